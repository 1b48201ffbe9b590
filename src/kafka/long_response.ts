/**
 * Encodes long responses over several turns, so that other requests of the shard do not wait for all of them.
 *
 * A response is long because of one array. Its elements are encoded one by one, as responses with one element
 * each, of which only the element is kept.
 *
 * @module
 */

import { RESPONSE_SIZE_MAX } from "../base/limits.ts";
import { Writer } from "../bytes/writer.ts";
import type { Task } from "../io/task.ts";
import type { Api } from "../wire/api.ts";

/** What is encoded in one turn, bytes or elements: about a millisecond. */
export const TURN_BYTES = 64 * 1024;
const TURN_ROWS = 256;
/** Fewer elements than this are encoded at once. */
const ROWS_MIN = 16;

/** The array that makes responses of an API long. */
export interface ResponseRows<Response> {
  of(response: Response): readonly unknown[];
  /** The same response with other elements. */
  with(response: Response, rows: readonly unknown[]): Response;
  /** Bytes behind the array, without the tagged fields that end a flexible message. */
  bytesBehind(version: number): number;
}

/** The encoded response; null where it is larger than responses may be. */
export function* encodeLong<Response>(
  api: Api<unknown, Response>,
  version: number,
  response: Response,
  rows: ResponseRows<Response>,
  nextTurn: () => Task<void>,
): Task<Uint8Array | null> {
  const all = rows.of(response);
  if (all.length < ROWS_MIN) return encodeWhole(api, version, response);
  const isFlexible = version >= api.flexibleSince;
  // A count of zero or one takes as much in either encoding.
  const countBytes = isFlexible ? 1 : 4;
  const frame = new Writer();
  api.encodeResponse(frame, version, rows.with(response, []));
  const behind = rows.bytesBehind(version) + (isFlexible ? 1 : 0);
  const before = frame.at - countBytes - behind;
  const writer = new Writer(null, 0, 0, RESPONSE_SIZE_MAX);
  writer.raw(frame.bytes.slice(0, before));
  writer.arrayLength(all.length, isFlexible);
  let turnEnd = TURN_BYTES;
  for (const [i, row] of all.entries()) {
    const start = writer.at;
    api.encodeResponse(writer, version, rows.with(response, [row]));
    if (writer.overflow) return null;
    const end = writer.at - behind;
    writer.bytes.copyWithin(start, start + before + countBytes, end);
    writer.at = end - before - countBytes;
    if (writer.at < turnEnd && (i + 1) % TURN_ROWS > 0) continue;
    turnEnd = writer.at + TURN_BYTES;
    yield* nextTurn();
  }
  writer.raw(frame.bytes.slice(frame.at - behind, frame.at));
  return writer.overflow ? null : writer.borrowBytes();
}

/** The encoded response, borrowed from a buffer of its own; null where it is larger than responses may be. */
export function encodeWhole<Response>(
  api: Api<unknown, Response>,
  version: number,
  response: Response,
): Uint8Array | null {
  const writer = new Writer(null, 0, 0, RESPONSE_SIZE_MAX);
  api.encodeResponse(writer, version, response);
  return writer.overflow ? null : writer.borrowBytes();
}

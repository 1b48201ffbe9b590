/**
 * Whole frames, as the recorder keeps them, through the generated codec and back.
 *
 * Decoding never throws, whatever the bytes: a frame that is no frame gives null. What real clients
 * send beyond their own schema is listed in {@linkcode leftoverOf}, case by case.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { Cursor } from "../../../../src/bytes/cursor.ts";
import { Writer } from "../../../../src/bytes/writer.ts";
import type { Api } from "../../../../src/wire/api.ts";
import { ErrorCode } from "../../../../src/wire/errors.ts";
import {
  ALTER_USER_SCRAM_CREDENTIALS,
  API_VERSIONS,
  apiByKey,
  METADATA,
} from "../../../../src/wire/generated/apis.ts";
import type { MetadataRequest } from "../../../../src/wire/generated/metadata_request.ts";
import {
  readRequestHeader,
  readResponseHeader,
  requestHeaderVersion,
  responseHeaderVersion,
} from "../../../../src/wire/header.ts";

/** A frame without its size; the key and the version are those of the request. */
export interface WireFrame {
  readonly direction: "request" | "response";
  readonly apiKey: number;
  readonly version: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** What a frame says. */
export interface DecodedFrame {
  readonly api: Api<unknown, unknown>;
  /** In which the body is encoded. */
  readonly version: number;
  readonly correlationId: number;
  readonly clientId: string | null;
  /** The body as the generated codec gives it. */
  readonly message: object;
  /** Where the body begins. */
  readonly bodyAt: number;
  /** Where what the schema describes ends. */
  readonly endAt: number;
}

/** The API of a frame, which must be one that the codec has. */
export function apiOf(frame: WireFrame): Api<unknown, unknown> {
  const api = apiByKey(frame.apiKey);
  assert.ok(api !== undefined, `there is no API ${frame.apiKey}`);
  return api;
}

export function nameOf(frame: WireFrame): string {
  return `${apiOf(frame).name} v${frame.version} ${frame.direction}`;
}

/** Reads a frame; null where it is malformed or names what does not exist. */
export function decodeFrame(frame: WireFrame): DecodedFrame | null {
  return frame.direction === "request" ? decodeRequest(frame.bytes) : decodeResponse(frame);
}

/** What a frame says of itself counts, as it does in a broker. */
function decodeRequest(bytes: Uint8Array<ArrayBuffer>): DecodedFrame | null {
  const cursor = Cursor.of(bytes);
  const { apiKey, apiVersion, correlationId, clientId } = readRequestHeader(cursor);
  const api = apiByKey(apiKey);
  if (!cursor.ok() || api === undefined) return null;
  if (requestHeaderVersion(api, apiVersion) === 2) cursor.skipTags();
  const bodyAt = cursor.at;
  const message = api.decodeRequest(cursor, apiVersion) as object;
  if (!cursor.ok()) return null;
  return { api, version: apiVersion, correlationId, clientId, message, bodyAt, endAt: cursor.at };
}

function decodeResponse(frame: WireFrame): DecodedFrame | null {
  const api = apiOf(frame);
  const version = bodyVersion(api, frame);
  const cursor = Cursor.of(frame.bytes);
  const correlationId = readResponseHeader(cursor, responseHeaderVersion(api, version));
  const bodyAt = cursor.at;
  const message = api.decodeResponse(cursor, version) as object;
  if (!cursor.ok()) return null;
  return { api, version, correlationId, clientId: null, message, bodyAt, endAt: cursor.at };
}

/** A broker that does not have the version of an ApiVersions says so in version 0. */
function bodyVersion(api: Api<unknown, unknown>, { version, bytes }: WireFrame): number {
  if (api.key !== API_VERSIONS.key || bytes.length < 6) return version;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return view.getInt16(4) === ErrorCode.UNSUPPORTED_VERSION ? 0 : version;
}

/** Writes what was decoded; the same bytes where they were canonical. */
export function encodeFrame(
  direction: WireFrame["direction"],
  { api, version, correlationId, clientId, message }: DecodedFrame,
): Uint8Array {
  const writer = new Writer();
  if (direction === "request") {
    writer.int16(api.key);
    writer.int16(version);
    writer.int32(correlationId);
    writer.nullableString(clientId, false);
    if (requestHeaderVersion(api, version) === 2) writer.unsignedVarint(0);
    api.encodeRequest(writer, version, message);
  } else {
    writer.int32(correlationId);
    if (responseHeaderVersion(api, version) === 1) writer.unsignedVarint(0);
    api.encodeResponse(writer, version, message);
  }
  return writer.copyBytes();
}

/**
 * Bytes that a frame has after its end, for a known reason. Both cases are librdkafka's, and
 * Kafka never looks at such bytes:
 *
 * - Metadata for all topics, from version 9 on: four bytes are reserved for a compact count of topics,
 *   and those that were not needed are given back, except for the null that means all. So the null is
 *   followed by three zeros and the rest of the request, of which the last three bytes are left over.
 * - AlterUserScramCredentials: an empty list of tags too many at the end.
 */
export function leftoverOf(frame: WireFrame, decoded: DecodedFrame): number {
  const { api, version, message, clientId } = decoded;
  if (frame.direction !== "request" || clientId !== "rdkafka") return 0;
  switch (api.key) {
    case METADATA.key:
      return version >= 9 && (message as MetadataRequest).topics === null ? 3 : 0;
    case ALTER_USER_SCRAM_CREDENTIALS.key:
      return 1;
    default:
      return 0;
  }
}

/** Decodes a frame, all of it, and encodes the same bytes again; gives what it says. */
export function checkFrame(frame: WireFrame): DecodedFrame {
  const name = nameOf(frame);
  const decoded = decodeFrame(frame);
  assert.ok(decoded !== null, `${name} is not understood: ${frame.bytes.toHex()}`);
  const leftover = frame.bytes.length - decoded.endAt;
  if (leftover !== 0) {
    assert.equal(leftover, leftoverOf(frame, decoded), `${name} has bytes left over`);
  }
  const again = encodeFrame(frame.direction, decoded);
  assert.equal(
    again.toHex(),
    frame.bytes.subarray(0, decoded.endAt).toHex(),
    `${name} is encoded otherwise`,
  );
  return decoded;
}

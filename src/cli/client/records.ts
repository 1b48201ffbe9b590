/**
 * From the bytes of a fetch response to records.
 *
 * A response may end in the middle of a batch, and begin with one that starts before the offset asked
 * for; both are left out here. Control batches never come out; with read_committed the batches of
 * aborted transactions do not either.
 *
 * @module
 */

import { crc32cOfBytes } from "../../bytes/crc32c.ts";
import { Cursor } from "../../bytes/cursor.ts";
import type { AbortedTransaction } from "../../wire/generated/fetch_response.ts";
import {
  ATTRIBUTES_OFFSET,
  BATCH_HEADER_SIZE,
  BATCH_MAGIC,
  batchAttributes,
  batchBaseOffset,
  batchBaseTimestamp,
  batchCompression,
  batchCrc,
  batchEndOffset,
  batchIsControl,
  batchIsTransactional,
  batchMagic,
  batchMaxTimestamp,
  batchProducerId,
  batchRecordCount,
  batchSize,
  ControlRecordType,
  LOG_APPEND_TIME_FLAG,
} from "../../wire/record_batch.ts";
import { EXIT_DATA_DAMAGED } from "../exit_codes.ts";
import { Failure } from "../failure.ts";
import { decompress } from "./codecs.ts";

export interface Header {
  readonly key: string;
  readonly value: Uint8Array | null;
}

export interface ConsumedRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** ms since the epoch */
  readonly timestamp: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: readonly Header[];
}

export interface ReadBatches {
  readonly records: readonly ConsumedRecord[];
  /** Where the next fetch goes on; the offset asked for when there was no whole batch. */
  readonly nextOffset: number;
}

/** Reads all whole batches of one partition's answer. */
export function readBatches(
  where: { readonly topic: string; readonly partition: number; readonly offset: number },
  bytes: Uint8Array,
  aborted: readonly AbortedTransaction[],
): ReadBatches {
  const records: ConsumedRecord[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const pendingAborts = [...aborted].sort((a, b) => a.firstOffset - b.firstOffset);
  const abortedProducers = new Set<number>();
  let nextOffset = where.offset;
  let at = 0;
  while (bytes.length - at >= BATCH_HEADER_SIZE) {
    const size = batchSize(view, at);
    if (size < BATCH_HEADER_SIZE || size > bytes.length - at) break;
    checkBatch(where, bytes, view, at, size);
    while (pendingAborts.length > 0 && pendingAborts[0]!.firstOffset <= batchBaseOffset(view, at)) {
      abortedProducers.add(pendingAborts.shift()!.producerId);
    }
    const producerId = batchProducerId(view, at);
    if (batchIsControl(view, at)) {
      if (controlType(bytes, view, at, size) === ControlRecordType.ABORT) {
        abortedProducers.delete(producerId);
      }
    } else if (!batchIsTransactional(view, at) || !abortedProducers.has(producerId)) {
      readRecords(where, bytes, view, at, size, records);
    }
    nextOffset = Math.max(nextOffset, batchEndOffset(view, at));
    at += size;
  }
  return { records, nextOffset };
}

function checkBatch(
  where: { readonly topic: string; readonly partition: number },
  bytes: Uint8Array,
  view: DataView,
  at: number,
  size: number,
): void {
  const problem = batchMagic(view, at) !== BATCH_MAGIC
    ? `record format ${batchMagic(view, at)}, which only brokers before 4.0 send`
    : crc32cOfBytes(bytes, at + ATTRIBUTES_OFFSET, at + size, 0) !== batchCrc(view, at)
    ? "a batch with a wrong checksum"
    : null;
  if (problem === null) return;
  const place = `${where.topic}/${where.partition} at offset ${batchBaseOffset(view, at)}`;
  throw new Failure(EXIT_DATA_DAMAGED, `the broker sent ${problem} (${place})`);
}

function recordCursor(bytes: Uint8Array, view: DataView, at: number, size: number): Cursor {
  const payload = bytes.subarray(at + BATCH_HEADER_SIZE, at + size);
  return Cursor.of(decompress(batchCompression(view, at), payload));
}

/** Type of a control batch: the second int16 of its one record's key. */
function controlType(bytes: Uint8Array, view: DataView, at: number, size: number): number {
  const cursor = recordCursor(bytes, view, at, size);
  cursor.varint();
  cursor.int8();
  cursor.varlong();
  cursor.varint();
  cursor.varint();
  cursor.int16();
  return cursor.int16();
}

function readRecords(
  where: { readonly topic: string; readonly partition: number; readonly offset: number },
  bytes: Uint8Array,
  view: DataView,
  at: number,
  size: number,
  records: ConsumedRecord[],
): void {
  const cursor = recordCursor(bytes, view, at, size);
  const baseOffset = batchBaseOffset(view, at);
  const baseTimestamp = batchBaseTimestamp(view, at);
  const isAppendTime = (batchAttributes(view, at) & LOG_APPEND_TIME_FLAG) !== 0;
  for (let left = batchRecordCount(view, at); left > 0 && cursor.ok(); left--) {
    cursor.varint();
    cursor.int8();
    const timestampDelta = cursor.varlong();
    const offset = baseOffset + cursor.varint();
    const key = readBytes(cursor);
    const value = readBytes(cursor);
    const headers: Header[] = [];
    for (let more = cursor.varint(); more > 0 && cursor.ok(); more--) {
      const name = readBytes(cursor) ?? new Uint8Array(0);
      headers.push({ key: new TextDecoder().decode(name), value: readBytes(cursor) });
    }
    if (!cursor.ok()) break;
    if (offset < where.offset) continue;
    records.push({
      topic: where.topic,
      partition: where.partition,
      offset,
      timestamp: isAppendTime ? batchMaxTimestamp(view, at) : baseTimestamp + timestampDelta,
      key,
      value,
      headers,
    });
  }
  if (!cursor.ok()) {
    const place = `${where.topic}/${where.partition} at offset ${baseOffset}`;
    throw new Failure(EXIT_DATA_DAMAGED, `the broker sent a batch that cannot be read (${place})`);
  }
}

function readBytes(cursor: Cursor): Uint8Array | null {
  const length = cursor.varint();
  return length < 0 ? null : cursor.borrow(length);
}

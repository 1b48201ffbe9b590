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
import type { ByteSource } from "../../bytes/cursor.ts";
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
import { RecordReader } from "../../wire/record_reader.ts";
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

interface Opened {
  readonly reader: RecordReader;
  readonly source: ByteSource;
}

export interface ReadBatches {
  readonly records: readonly ConsumedRecord[];
  /** Where the next fetch continues; the requested offset when there was no whole batch. */
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

/** The records of a batch as plain bytes. */
function payloadOf(bytes: Uint8Array, view: DataView, at: number, size: number): ByteSource {
  const payload = bytes.subarray(at + BATCH_HEADER_SIZE, at + size);
  const plain = decompress(batchCompression(view, at), payload);
  return { bytes: plain, view: new DataView(plain.buffer, plain.byteOffset, plain.byteLength) };
}

/** Opens a reader on the batch at `at`. */
function openReader(bytes: Uint8Array, view: DataView, at: number, size: number): Opened {
  const source = payloadOf(bytes, view, at, size);
  const reader = new RecordReader();
  const count = batchRecordCount(view, at);
  const [baseOffset, baseTimestamp] = [batchBaseOffset(view, at), batchBaseTimestamp(view, at)];
  reader.open(source, 0, source.bytes.length, count, baseOffset, baseTimestamp);
  return { reader, source };
}

/** Type of a control batch: the second int16 of its one record's key; -1 where there is none. */
function controlType(bytes: Uint8Array, view: DataView, at: number, size: number): number {
  const { reader, source } = openReader(bytes, view, at, size);
  if (!reader.next() || reader.keyLength < 4) return -1;
  return source.view.getInt16(reader.keyAt + 2, false);
}

function readRecords(
  where: { readonly topic: string; readonly partition: number; readonly offset: number },
  bytes: Uint8Array,
  view: DataView,
  at: number,
  size: number,
  records: ConsumedRecord[],
): void {
  const { reader, source } = openReader(bytes, view, at, size);
  const { topic, partition } = where;
  const isAppendTime = (batchAttributes(view, at) & LOG_APPEND_TIME_FLAG) !== 0;
  while (reader.next()) {
    const key = slice(source, reader.keyAt, reader.keyLength);
    const value = slice(source, reader.valueAt, reader.valueLength);
    const headers: Header[] = [];
    while (reader.nextHeader()) {
      const name = slice(source, reader.headerKeyAt, reader.headerKeyLength);
      headers.push({
        key: new TextDecoder().decode(name ?? undefined),
        value: slice(source, reader.headerValueAt, reader.headerValueLength),
      });
    }
    const { offset } = reader;
    if (offset < where.offset) continue;
    const timestamp = isAppendTime ? batchMaxTimestamp(view, at) : reader.timestamp;
    records.push({ topic, partition, offset, timestamp, key, value, headers });
  }
  if (!reader.ok()) {
    const place = `${topic}/${partition} at offset ${batchBaseOffset(view, at)}`;
    throw new Failure(EXIT_DATA_DAMAGED, `the broker sent a batch that cannot be read (${place})`);
  }
}

function slice(source: ByteSource, at: number, length: number): Uint8Array | null {
  return length < 0 ? null : source.bytes.subarray(at, at + length);
}

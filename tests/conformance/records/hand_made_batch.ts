/**
 * Record batches written by hand, so that any field of the header or of a record can say what no client
 * would: the material of `batch_kinds.ts`.
 *
 * @module
 */

import { compress } from "../../../src/bytes/compression.ts";
import { crc32cOfBytes } from "../../../src/bytes/crc32c.ts";
import { setInt64 } from "../../../src/bytes/int64.ts";
import { Writer } from "../../../src/bytes/writer.ts";
import {
  ATTRIBUTES_OFFSET,
  BASE_TIMESTAMP_OFFSET,
  BATCH_HEADER_SIZE,
  BATCH_LENGTH_OFFSET,
  BATCH_LENGTH_OVERHEAD,
  BATCH_MAGIC,
  Compression,
  CRC_OFFSET,
  LAST_OFFSET_DELTA_OFFSET,
  MAGIC_OFFSET,
  MAX_TIMESTAMP_OFFSET,
  PRODUCER_EPOCH_OFFSET,
  PRODUCER_ID_OFFSET,
  RECORD_COUNT_OFFSET,
} from "../../../src/wire/record_batch.ts";

/** A record, field by field; what is left out is what a client would write. */
export interface HandRecord {
  /** Of the record after it; `lengthMore` is added to the true one. */
  readonly lengthMore?: number;
  readonly attributes?: number;
  readonly timestampDelta?: number;
  readonly offsetDelta?: number;
  readonly key?: string | null;
  /** In place of the key's own. */
  readonly keyLength?: number;
  readonly value?: string | null;
  readonly valueLength?: number;
  readonly headers?: readonly { readonly key: string | null; readonly value: string | null }[];
  readonly headerCount?: number;
  /** Bytes after the last field that the record's length counts. */
  readonly tail?: readonly number[];
}

/** A batch, field by field. */
export interface HandBatch {
  readonly records: readonly HandRecord[];
  readonly compression?: Compression;
  readonly attributes?: number;
  readonly baseTimestamp: number;
  readonly maxTimestamp?: number;
  readonly count?: number;
  readonly lastOffsetDelta?: number;
  /** Changes the records' bytes before they are compressed. */
  readonly plain?: (bytes: Uint8Array) => Uint8Array;
  /** Changes the bytes after the header. */
  readonly packed?: (bytes: Uint8Array) => Uint8Array;
}

const encoder = new TextEncoder();

function writeText(writer: Writer, text: string | null, length?: number): void {
  const bytes = text === null ? new Uint8Array(0) : encoder.encode(text);
  writer.varint(length ?? (text === null ? -1 : bytes.length));
  writer.raw(bytes);
}

function writeRecord(writer: Writer, record: HandRecord, index: number): void {
  const body = new Writer();
  body.int8(record.attributes ?? 0);
  body.varlong(record.timestampDelta ?? 0);
  body.varint(record.offsetDelta ?? index);
  writeText(body, record.key === undefined ? "k" : record.key, record.keyLength);
  writeText(body, record.value === undefined ? "value" : record.value, record.valueLength);
  const headers = record.headers ?? [];
  body.varint(record.headerCount ?? headers.length);
  for (const header of headers) {
    writeText(body, header.key);
    writeText(body, header.value);
  }
  body.raw(Uint8Array.from(record.tail ?? []));
  const bytes = body.borrowBytes();
  writer.varint(bytes.length + (record.lengthMore ?? 0));
  writer.raw(bytes);
}

/** The batch's bytes, with a checksum that fits whatever they say. */
export function handMadeBatch(batch: HandBatch): Uint8Array {
  const writer = new Writer();
  batch.records.forEach((record, index) => writeRecord(writer, record, index));
  const written = writer.borrowBytes();
  const plain = batch.plain?.(written) ?? written;
  const compression = batch.compression ?? Compression.NONE;
  const compressed = compress(compression, plain);
  const packed = batch.packed?.(compressed) ?? compressed;
  const bytes = new Uint8Array(BATCH_HEADER_SIZE + packed.length);
  bytes.set(packed, BATCH_HEADER_SIZE);
  const view = new DataView(bytes.buffer);
  const { baseTimestamp } = batch;
  const deltas = batch.records.map(({ timestampDelta }) => timestampDelta ?? 0);
  view.setInt32(BATCH_LENGTH_OFFSET, bytes.length - BATCH_LENGTH_OVERHEAD, false);
  view.setInt32(12, -1, false);
  view.setInt8(MAGIC_OFFSET, BATCH_MAGIC);
  view.setInt16(ATTRIBUTES_OFFSET, batch.attributes ?? compression, false);
  const count = batch.count ?? batch.records.length;
  view.setInt32(LAST_OFFSET_DELTA_OFFSET, batch.lastOffsetDelta ?? count - 1, false);
  setInt64(view, BASE_TIMESTAMP_OFFSET, baseTimestamp);
  setInt64(view, MAX_TIMESTAMP_OFFSET, batch.maxTimestamp ?? baseTimestamp + Math.max(...deltas));
  setInt64(view, PRODUCER_ID_OFFSET, -1);
  view.setInt16(PRODUCER_EPOCH_OFFSET, -1, false);
  view.setInt32(53, -1, false);
  view.setInt32(RECORD_COUNT_OFFSET, count, false);
  view.setUint32(CRC_OFFSET, crc32cOfBytes(bytes, ATTRIBUTES_OFFSET, bytes.length, 0), false);
  return bytes;
}

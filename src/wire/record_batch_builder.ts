/**
 * Makes record batches: for coordinators, clients of our own, and tests.
 *
 * Records are collected, then {@linkcode RecordBatchBuilder.build} writes header and checksum.
 * Offsets are deltas from a base that the broker sets, so a new batch begins at 0 unless asked
 * otherwise.
 *
 * @module
 */

import { crc32cOfBytes } from "../bytes/crc32c.ts";
import { setInt64 } from "../bytes/int64.ts";
import { varintSize, varlongSize } from "../bytes/varint.ts";
import { Writer } from "../bytes/writer.ts";
import { utf8Size } from "../bytes/utf8.ts";
import {
  ATTRIBUTES_OFFSET,
  BASE_SEQUENCE_OFFSET,
  BASE_TIMESTAMP_OFFSET,
  BATCH_HEADER_SIZE,
  BATCH_LENGTH_OFFSET,
  BATCH_LENGTH_OVERHEAD,
  BATCH_MAGIC,
  Compression,
  CONTROL_FLAG,
  LAST_OFFSET_DELTA_OFFSET,
  MAGIC_OFFSET,
  MAX_TIMESTAMP_OFFSET,
  PRODUCER_EPOCH_OFFSET,
  PRODUCER_ID_OFFSET,
  RECORD_COUNT_OFFSET,
  setBatchBaseOffset,
  setBatchCrc,
  setBatchLeaderEpoch,
  TRANSACTIONAL_FLAG,
} from "./record_batch.ts";

/** A record's header. */
export interface RecordHeader {
  readonly key: string;
  readonly value: Uint8Array | null;
}

/** What makes a record. */
export interface RecordContent {
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  /** ms since the epoch */
  readonly timestamp: number;
  readonly headers?: readonly RecordHeader[];
}

/** What a batch's header says besides its records; everything may be left out. */
export interface BatchOptions {
  readonly baseOffset?: number;
  readonly leaderEpoch?: number;
  readonly producerId?: number;
  readonly producerEpoch?: number;
  readonly baseSequence?: number;
  readonly isTransactional?: boolean;
  readonly isControl?: boolean;
  readonly compression?: Compression;
  /** Compresses the records together; needed when `compression` is not NONE. */
  readonly compress?: (records: Uint8Array) => Uint8Array;
}

const NO_HEADERS: readonly RecordHeader[] = [];

export class RecordBatchBuilder {
  readonly #records = new Writer();
  #count = 0;
  #baseTimestamp = 0;
  #maxTimestamp = 0;

  /** Records added since the last {@linkcode clear}. */
  get count(): number {
    return this.#count;
  }

  /** Bytes of the batch if it were built now, uncompressed. */
  get size(): number {
    return BATCH_HEADER_SIZE + this.#records.size;
  }

  add(record: RecordContent): void {
    if (this.#count === 0) {
      this.#baseTimestamp = record.timestamp;
      this.#maxTimestamp = record.timestamp;
    }
    this.#maxTimestamp = Math.max(this.#maxTimestamp, record.timestamp);
    const headers = record.headers ?? NO_HEADERS;
    const timestampDelta = record.timestamp - this.#baseTimestamp;
    const writer = this.#records;
    writer.varint(this.#recordSize(record, headers, timestampDelta));
    writer.int8(0);
    writer.varlong(timestampDelta);
    writer.varint(this.#count);
    writeBytes(writer, record.key);
    writeBytes(writer, record.value);
    writer.varint(headers.length);
    for (const header of headers) {
      writer.varint(utf8Size(header.key));
      writer.text(header.key);
      writeBytes(writer, header.value);
    }
    this.#count++;
  }

  /** The batch, in a buffer of its own. */
  build(options: BatchOptions = {}): Uint8Array {
    const compression = options.compression ?? Compression.NONE;
    const plain = this.#records.borrowBytes();
    const payload = compression === Compression.NONE ? plain : compressWith(options, plain);
    const bytes = new Uint8Array(BATCH_HEADER_SIZE + payload.length);
    bytes.set(payload, BATCH_HEADER_SIZE);
    const view = new DataView(bytes.buffer);
    setBatchBaseOffset(view, 0, options.baseOffset ?? 0);
    view.setInt32(BATCH_LENGTH_OFFSET, bytes.length - BATCH_LENGTH_OVERHEAD, false);
    setBatchLeaderEpoch(view, 0, options.leaderEpoch ?? -1);
    view.setInt8(MAGIC_OFFSET, BATCH_MAGIC);
    const attributes = compression | (options.isTransactional ? TRANSACTIONAL_FLAG : 0) |
      (options.isControl ? CONTROL_FLAG : 0);
    view.setInt16(ATTRIBUTES_OFFSET, attributes, false);
    view.setInt32(LAST_OFFSET_DELTA_OFFSET, this.#count - 1, false);
    setInt64(view, BASE_TIMESTAMP_OFFSET, this.#baseTimestamp);
    setInt64(view, MAX_TIMESTAMP_OFFSET, this.#maxTimestamp);
    setInt64(view, PRODUCER_ID_OFFSET, options.producerId ?? -1);
    view.setInt16(PRODUCER_EPOCH_OFFSET, options.producerEpoch ?? -1, false);
    view.setInt32(BASE_SEQUENCE_OFFSET, options.baseSequence ?? -1, false);
    view.setInt32(RECORD_COUNT_OFFSET, this.#count, false);
    setBatchCrc(view, 0, crc32cOfBytes(bytes, ATTRIBUTES_OFFSET, bytes.length, 0));
    return bytes;
  }

  /** Starts a new batch with the same buffer. */
  clear(): void {
    this.#records.clear();
    this.#count = 0;
    this.#baseTimestamp = 0;
    this.#maxTimestamp = 0;
  }

  /** Bytes of a record after its length. */
  #recordSize(
    record: RecordContent,
    headers: readonly RecordHeader[],
    timestampDelta: number,
  ): number {
    let size = 1 + varlongSize(timestampDelta) + varintSize(this.#count);
    size += bytesSize(record.key) + bytesSize(record.value) + varintSize(headers.length);
    for (const header of headers) {
      const keySize = utf8Size(header.key);
      size += varintSize(keySize) + keySize + bytesSize(header.value);
    }
    return size;
  }
}

function compressWith(options: BatchOptions, plain: Uint8Array): Uint8Array {
  if (options.compress === undefined) throw new TypeError("Cannot build: no compressor was given");
  return options.compress(plain);
}

function bytesSize(value: Uint8Array | null): number {
  return value === null ? 1 : varintSize(value.length) + value.length;
}

function writeBytes(writer: Writer, value: Uint8Array | null): void {
  if (value === null) {
    writer.varint(-1);
    return;
  }
  writer.varint(value.length);
  writer.raw(value);
}

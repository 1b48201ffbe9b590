/**
 * The record batch (Kafka's message format v2, big-endian): where its fields lie, and functions on
 * one that lies in a buffer at an address.
 *
 * ```
 *  0  base offset          int64    set by the broker
 *  8  batch length         int32    bytes after this field
 * 12  leader epoch         int32    set by the broker
 * 16  magic                int8     2
 * 17  CRC-32C              uint32   of everything from 21 on, hence not of what the broker sets
 * 21  attributes           int16    0-2 compression, 3 time type, 4 transactional, 5 control, 6 horizon
 * 23  last offset delta    int32
 * 27  base timestamp       int64    with bit 6: the delete horizon
 * 35  max timestamp        int64
 * 43  producer id          int64    -1: none
 * 51  producer epoch       int16    -1: none
 * 53  base sequence        int32    -1: none
 * 57  record count         int32
 * 61  records, compressed together or not at all
 * ```
 *
 * One record, all integers zigzag varints but the attributes:
 *
 * ```
 * length  attributes:int8  timestamp delta  offset delta  key length, key  value length, value
 * header count  [key length, key  value length, value]        a length of -1 is null
 * ```
 *
 * Setters of attributes and timestamps leave the checksum to the caller.
 *
 * @module
 */

import { getInt64, setInt64 } from "../bytes/int64.ts";

export const BASE_OFFSET_OFFSET = 0;
export const BATCH_LENGTH_OFFSET = 8;
export const LEADER_EPOCH_OFFSET = 12;
export const MAGIC_OFFSET = 16;
export const CRC_OFFSET = 17;
export const ATTRIBUTES_OFFSET = 21;
export const LAST_OFFSET_DELTA_OFFSET = 23;
export const BASE_TIMESTAMP_OFFSET = 27;
export const MAX_TIMESTAMP_OFFSET = 35;
export const PRODUCER_ID_OFFSET = 43;
export const PRODUCER_EPOCH_OFFSET = 51;
export const BASE_SEQUENCE_OFFSET = 53;
export const RECORD_COUNT_OFFSET = 57;
export const BATCH_HEADER_SIZE = 61;

/** Bytes before and with the length field: what the length does not count. */
export const BATCH_LENGTH_OVERHEAD = 12;
export const BATCH_MAGIC = 2;

export const COMPRESSION_MASK = 0x07;
/** The timestamps are those of the append, not of the producer. */
export const LOG_APPEND_TIME_FLAG = 0x08;
export const TRANSACTIONAL_FLAG = 0x10;
export const CONTROL_FLAG = 0x20;
/** The base timestamp is the time at which tombstones may go (set by compaction). */
export const DELETE_HORIZON_FLAG = 0x40;

/** Values of the compression bits. */
export const Compression = {
  NONE: 0,
  GZIP: 1,
  SNAPPY: 2,
  LZ4: 3,
  ZSTD: 4,
} as const;
export type Compression = (typeof Compression)[keyof typeof Compression];

/** Types of control records: the second int16 of the record's key. */
export const ControlRecordType = {
  ABORT: 0,
  COMMIT: 1,
} as const;

/** Bytes of the whole batch at `at`, as it announces them. */
export function batchSize(view: DataView, at: number): number {
  return view.getInt32(at + BATCH_LENGTH_OFFSET, false) + BATCH_LENGTH_OVERHEAD;
}

export function batchBaseOffset(view: DataView, at: number): number {
  return getInt64(view, at);
}

/** Offset after the last record. */
export function batchEndOffset(view: DataView, at: number): number {
  return getInt64(view, at) + view.getInt32(at + LAST_OFFSET_DELTA_OFFSET, false) + 1;
}

export function batchLastOffsetDelta(view: DataView, at: number): number {
  return view.getInt32(at + LAST_OFFSET_DELTA_OFFSET, false);
}

export function batchLeaderEpoch(view: DataView, at: number): number {
  return view.getInt32(at + LEADER_EPOCH_OFFSET, false);
}

export function batchMagic(view: DataView, at: number): number {
  return view.getInt8(at + MAGIC_OFFSET);
}

export function batchCrc(view: DataView, at: number): number {
  return view.getUint32(at + CRC_OFFSET, false);
}

export function batchAttributes(view: DataView, at: number): number {
  return view.getInt16(at + ATTRIBUTES_OFFSET, false);
}

/** One of {@linkcode Compression}, or a number that is none. */
export function batchCompression(view: DataView, at: number): number {
  return batchAttributes(view, at) & COMPRESSION_MASK;
}

export function batchIsTransactional(view: DataView, at: number): boolean {
  return (batchAttributes(view, at) & TRANSACTIONAL_FLAG) !== 0;
}

export function batchIsControl(view: DataView, at: number): boolean {
  return (batchAttributes(view, at) & CONTROL_FLAG) !== 0;
}

export function batchBaseTimestamp(view: DataView, at: number): number {
  return getInt64(view, at + BASE_TIMESTAMP_OFFSET);
}

/** Largest timestamp of its records. */
export function batchMaxTimestamp(view: DataView, at: number): number {
  return getInt64(view, at + MAX_TIMESTAMP_OFFSET);
}

/** -1: the producer is not idempotent. */
export function batchProducerId(view: DataView, at: number): number {
  return getInt64(view, at + PRODUCER_ID_OFFSET);
}

export function batchProducerEpoch(view: DataView, at: number): number {
  return view.getInt16(at + PRODUCER_EPOCH_OFFSET, false);
}

export function batchBaseSequence(view: DataView, at: number): number {
  return view.getInt32(at + BASE_SEQUENCE_OFFSET, false);
}

export function batchRecordCount(view: DataView, at: number): number {
  return view.getInt32(at + RECORD_COUNT_OFFSET, false);
}

/** Outside of the checksum. */
export function setBatchBaseOffset(view: DataView, at: number, offset: number): void {
  setInt64(view, at, offset);
}

/** Outside of the checksum. */
export function setBatchLeaderEpoch(view: DataView, at: number, epoch: number): void {
  view.setInt32(at + LEADER_EPOCH_OFFSET, epoch, false);
}

export function setBatchCrc(view: DataView, at: number, crc: number): void {
  view.setUint32(at + CRC_OFFSET, crc, false);
}

/** Marks the batch as stamped by the broker: every record then has the time `timestampMs`. */
export function setBatchLogAppendTime(view: DataView, at: number, timestampMs: number): void {
  const attributes = batchAttributes(view, at) | LOG_APPEND_TIME_FLAG;
  view.setInt16(at + ATTRIBUTES_OFFSET, attributes, false);
  setInt64(view, at + MAX_TIMESTAMP_OFFSET, timestampMs);
}

/** Marks the batch as having its records' own times, the largest of which is `maxTimestampMs`. */
export function setBatchCreateTime(view: DataView, at: number, maxTimestampMs: number): void {
  const attributes = batchAttributes(view, at) & ~LOG_APPEND_TIME_FLAG;
  view.setInt16(at + ATTRIBUTES_OFFSET, attributes, false);
  setInt64(view, at + MAX_TIMESTAMP_OFFSET, maxTimestampMs);
}

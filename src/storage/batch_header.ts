/**
 * Where the fields of a stored record batch lie (Kafka's format v2, big-endian).
 *
 *      0  base offset          int64    set by the broker
 *      8  batch length         int32    bytes behind this field
 *     12  leader epoch         int32    set by the broker
 *     16  magic                int8     2
 *     17  CRC-32C              uint32   of everything from 21 on, hence not of what the broker sets
 *     21  attributes           int16    compression 0-2, timestamp type 3, transactional 4, control 5
 *     23  last offset delta    int32
 *     27  base timestamp       int64
 *     35  max timestamp        int64
 *     43  producer id          int64
 *     51  producer epoch       int16
 *     53  base sequence        int32
 *     57  record count         int32
 *     61  records
 *
 * @module
 */

import { getInt64 } from "../bytes/int64.ts";

export const BATCH_HEADER_SIZE = 61;
/** Bytes before and with the length field: what the length does not count. */
export const BATCH_LENGTH_OVERHEAD = 12;
export const BATCH_MAGIC = 2;

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

export const COMPRESSION_MASK = 0x07;
export const TRANSACTIONAL_FLAG = 0x10;
export const CONTROL_FLAG = 0x20;

/** Bytes of the whole batch at `at`. */
export function batchSize(view: DataView, at: number): number {
  return view.getInt32(at + BATCH_LENGTH_OFFSET, false) + BATCH_LENGTH_OVERHEAD;
}

/** Offset behind the last record of the batch at `at`. */
export function batchEndOffset(view: DataView, at: number): number {
  return getInt64(view, at) + view.getInt32(at + LAST_OFFSET_DELTA_OFFSET, false) + 1;
}

/** Largest record timestamp of the batch at `at`. */
export function batchMaxTimestamp(view: DataView, at: number): number {
  return getInt64(view, at + MAX_TIMESTAMP_OFFSET);
}

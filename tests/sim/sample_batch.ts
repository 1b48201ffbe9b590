/**
 * Makes record batches for tests and simulations.
 *
 * @module
 */

import type { Crc32c } from "../../src/bytes/crc32c.ts";
import { setInt64 } from "../../src/bytes/int64.ts";
import type { Memory } from "../../src/bytes/memory.ts";
import {
  ATTRIBUTES_OFFSET,
  BASE_SEQUENCE_OFFSET,
  BASE_TIMESTAMP_OFFSET,
  BATCH_HEADER_SIZE,
  BATCH_LENGTH_OFFSET,
  BATCH_LENGTH_OVERHEAD,
  BATCH_MAGIC,
  CRC_OFFSET,
  LAST_OFFSET_DELTA_OFFSET,
  LEADER_EPOCH_OFFSET,
  MAGIC_OFFSET,
  MAX_TIMESTAMP_OFFSET,
  PRODUCER_EPOCH_OFFSET,
  PRODUCER_ID_OFFSET,
  RECORD_COUNT_OFFSET,
} from "../../src/wire/record_batch.ts";

export interface SampleBatch {
  readonly recordCount: number;
  /** Bytes of each record's value. */
  readonly valueBytes: number;
  readonly fill: number;
  readonly timestampMs: number;
  readonly producerId?: number;
  readonly producerEpoch?: number;
  readonly baseSequence?: number;
  readonly attributes?: number;
}

/** Writes a batch at `address`; record i has the timestamp of the batch plus i. Returns its size. */
export function writeSampleBatch(
  memory: Memory,
  crc32c: Crc32c,
  address: number,
  batch: SampleBatch,
): number {
  const { view, bytes } = memory;
  let at = address + BATCH_HEADER_SIZE;
  const varint = (value: number): void => {
    let zigzag = value >= 0 ? value * 2 : -value * 2 - 1;
    while (zigzag >= 0x80) {
      bytes[at++] = (zigzag % 0x80) | 0x80;
      zigzag = Math.floor(zigzag / 0x80);
    }
    bytes[at++] = zigzag;
  };
  const size = (value: number): number => {
    let length = 1;
    for (let z = value >= 0 ? value * 2 : -value * 2 - 1; z >= 0x80; z = Math.floor(z / 0x80)) {
      length++;
    }
    return length;
  };
  for (let i = 0; i < batch.recordCount; i++) {
    const bodyBytes = 1 + size(i) + size(i) + size(-1) + size(batch.valueBytes) +
      batch.valueBytes + 1;
    varint(bodyBytes);
    bytes[at++] = 0;
    varint(i);
    varint(i);
    varint(-1);
    varint(batch.valueBytes);
    bytes.fill((batch.fill + i) & 0xff, at, at + batch.valueBytes);
    at += batch.valueBytes;
    varint(0);
  }
  const length = at - address;
  setInt64(view, address, 0);
  view.setInt32(address + BATCH_LENGTH_OFFSET, length - BATCH_LENGTH_OVERHEAD, false);
  view.setInt32(address + LEADER_EPOCH_OFFSET, -1, false);
  view.setInt8(address + MAGIC_OFFSET, BATCH_MAGIC);
  view.setInt16(address + ATTRIBUTES_OFFSET, batch.attributes ?? 0, false);
  view.setInt32(address + LAST_OFFSET_DELTA_OFFSET, batch.recordCount - 1, false);
  setInt64(view, address + BASE_TIMESTAMP_OFFSET, batch.timestampMs);
  setInt64(view, address + MAX_TIMESTAMP_OFFSET, batch.timestampMs + batch.recordCount - 1);
  setInt64(view, address + PRODUCER_ID_OFFSET, batch.producerId ?? -1);
  view.setInt16(address + PRODUCER_EPOCH_OFFSET, batch.producerEpoch ?? -1, false);
  view.setInt32(address + BASE_SEQUENCE_OFFSET, batch.baseSequence ?? -1, false);
  view.setInt32(address + RECORD_COUNT_OFFSET, batch.recordCount, false);
  const covered = length - ATTRIBUTES_OFFSET;
  view.setUint32(address + CRC_OFFSET, crc32c(address + ATTRIBUTES_OFFSET, covered, 0), false);
  return length;
}

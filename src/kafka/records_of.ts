/**
 * The broker's own records, in and out of batches: keys and values as plain bytes, for the state
 * machines that are kept in logs. Cold.
 *
 * @module
 */

import type { Memory } from "../bytes/memory.ts";
import {
  BATCH_HEADER_SIZE,
  batchBaseOffset,
  batchBaseTimestamp,
  batchIsControl,
  batchRecordCount,
} from "../wire/record_batch.ts";
import { RecordBatchBuilder } from "../wire/record_batch_builder.ts";
import { RecordReader } from "../wire/record_reader.ts";

/** A record of a state machine. */
export interface StateRecord {
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
}

/** Encodes records as one uncompressed batch. */
export function batchOf(records: readonly StateRecord[], timestampMs: number): Uint8Array {
  const builder = new RecordBatchBuilder();
  for (const { key, value } of records) builder.add({ key, value, timestamp: timestampMs });
  return builder.build();
}

/**
 * Visits the records of the uncompressed batch at `address`; what is handed out is a copy.
 *
 * @returns false when the batch is not what {@linkcode batchOf} makes
 */
export function visitRecords(
  memory: Memory,
  address: number,
  length: number,
  visit: (key: Uint8Array | null, value: Uint8Array | null) => void,
): boolean {
  const { view, bytes } = memory;
  if (batchIsControl(view, address)) return true;
  const reader = new RecordReader();
  reader.open(
    memory,
    address + BATCH_HEADER_SIZE,
    address + length,
    batchRecordCount(view, address),
    batchBaseOffset(view, address),
    batchBaseTimestamp(view, address),
  );
  while (reader.next()) {
    const { keyAt, keyLength, valueAt, valueLength } = reader;
    visit(
      keyLength < 0 ? null : bytes.slice(keyAt, keyAt + keyLength),
      valueLength < 0 ? null : bytes.slice(valueAt, valueAt + valueLength),
    );
  }
  return reader.ok();
}

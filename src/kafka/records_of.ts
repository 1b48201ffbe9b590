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
  batchCompression,
  batchIsControl,
  batchRecordCount,
  Compression,
} from "../wire/record_batch.ts";
import { RecordBatchBuilder } from "../wire/record_batch_builder.ts";
import { RecordReader } from "../wire/record_reader.ts";

/** A record of a state machine. */
export interface StateRecord {
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
}

/** The producer in whose transaction records are written. */
export interface RecordsProducer {
  readonly producerId: number;
  readonly producerEpoch: number;
}

/** Encodes records as one uncompressed batch; `producer`: they count when its transaction is committed. */
export function batchOf(
  records: readonly StateRecord[],
  timestampMs: number,
  producer: RecordsProducer | null = null,
): Uint8Array {
  const builder = new RecordBatchBuilder();
  for (const { key, value } of records) builder.add({ key, value, timestamp: timestampMs });
  if (producer === null) return builder.build();
  const { producerId, producerEpoch } = producer;
  return builder.build({ producerId, producerEpoch, isTransactional: true });
}

/** Takes one record of a batch; the bytes are copies. */
export type RecordVisitor = (
  offset: number,
  key: Uint8Array | null,
  value: Uint8Array | null,
) => void;

/**
 * Visits the records of the uncompressed batch at `address`: all of them, or, when the batch is not what
 * {@linkcode batchOf} makes, none.
 *
 * @returns why there was nothing to visit, for people; null when all is well
 */
export function visitRecords(
  memory: Memory,
  address: number,
  length: number,
  visit: RecordVisitor,
): string | null {
  const { view, bytes } = memory;
  if (batchIsControl(view, address)) return null;
  if (batchCompression(view, address) !== Compression.NONE) return "the batch is compressed";
  const reader = new RecordReader();
  const open = (): void =>
    reader.open(
      memory,
      address + BATCH_HEADER_SIZE,
      address + length,
      batchRecordCount(view, address),
      batchBaseOffset(view, address),
      batchBaseTimestamp(view, address),
    );
  open();
  while (reader.next());
  if (!reader.ok()) return "the batch's records cannot be read";
  open();
  while (reader.next()) {
    const { keyAt, keyLength, valueAt, valueLength } = reader;
    visit(
      reader.offset,
      keyLength < 0 ? null : bytes.slice(keyAt, keyAt + keyLength),
      valueLength < 0 ? null : bytes.slice(valueAt, valueAt + valueLength),
    );
  }
  return null;
}

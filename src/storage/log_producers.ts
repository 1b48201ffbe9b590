/**
 * What a log's batches say of their producers, and the state of producers in a log's row.
 *
 * @module
 */

import { getInt64 } from "../bytes/int64.ts";
import { type MarkerFields, readMarker } from "../wire/control_records.ts";
import {
  ATTRIBUTES_OFFSET,
  BASE_SEQUENCE_OFFSET,
  batchMaxTimestamp,
  CONTROL_FLAG,
  LAST_OFFSET_DELTA_OFFSET,
  PRODUCER_EPOCH_OFFSET,
  PRODUCER_ID_OFFSET,
  TRANSACTIONAL_FLAG,
} from "../wire/record_batch.ts";
import type { PartitionLog } from "./partition_log.ts";
import { lastSequenceOf } from "./producer_table.ts";

const marker: MarkerFields = { isAbort: false, coordinatorEpoch: -1 };

/**
 * Takes note of the producer of the log's last batch, whose header is at `at`.
 *
 * @param heardMs when the producer was heard; 0: unknown
 */
export function admitProducer(log: PartitionLog, at: number, heardMs: number): void {
  const view = log.parts.context.memory.view;
  const producerId = getInt64(view, at + PRODUCER_ID_OFFSET);
  if (producerId < 0) return;
  const { producers, lastIndex } = log;
  const records = view.getInt32(at + LAST_OFFSET_DELTA_OFFSET, false) + 1;
  const timestamp = batchMaxTimestamp(view, at);
  const baseOffset = log.endOffset - records;
  const epoch = view.getInt16(at + PRODUCER_EPOCH_OFFSET, false);
  const attributes = view.getInt16(at + ATTRIBUTES_OFFSET, false);
  if ((attributes & CONTROL_FLAG) !== 0) {
    if (!readMarker(view, at, marker)) return;
    const { isAbort, coordinatorEpoch: by } = marker;
    producers.appendMarker(
      lastIndex,
      producerId,
      epoch,
      baseOffset,
      timestamp,
      heardMs,
      isAbort,
      by,
    );
    return;
  }
  const first = view.getInt32(at + BASE_SEQUENCE_OFFSET, false);
  // A coordinator's records in a transaction have no sequence.
  if (first < 0 && (attributes & TRANSACTIONAL_FLAG) === 0) return;
  producers.append(
    lastIndex,
    producerId,
    epoch,
    first,
    lastSequenceOf(first, records),
    baseOffset,
    timestamp,
    (attributes & TRANSACTIONAL_FLAG) !== 0,
    heardMs,
  );
}

/** State of producers without the unrecorded batch, if there is one; for rows. */
export function encodeProducers(log: PartitionLog): Uint8Array<ArrayBuffer> {
  const large = log.unrecorded;
  if (large === null) return encoded(log);
  const at = large.chunk.addressOf(large.position);
  const producerId = getInt64(log.parts.context.memory.view, at + PRODUCER_ID_OFFSET);
  const heardMs = log.producers.heardMsOf(producerId);
  log.producers.truncate(large.firstIndex - 1);
  const bytes = encoded(log);
  admitProducer(log, at, heardMs);
  return bytes;
}

function encoded({ producers }: PartitionLog): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(producers.encodedSize());
  producers.encode(new DataView(bytes.buffer), 0);
  return bytes;
}

/**
 * Control records: what a transaction's coordinator writes into partitions, and no consumer sees.
 *
 * A control batch has one record. Its key says what it is, its value depends on that:
 *
 * ```
 * key    version:int16 = 0  type:int16 (0 abort, 1 commit)
 * value  version:int16 = 0  coordinator epoch:int32
 * ```
 *
 * @module
 */

import { Cursor } from "../bytes/cursor.ts";
import { BATCH_HEADER_SIZE, batchSize, ControlRecordType } from "./record_batch.ts";
import { RecordBatchBuilder } from "./record_batch_builder.ts";

const VERSION = 0;
const KEY_SIZE = 4;
const VALUE_SIZE = 6;

/** The end of a producer's transaction in one partition. */
export interface EndTransactionMarker {
  readonly isCommit: boolean;
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly coordinatorEpoch: number;
  /** ms since the epoch */
  readonly timestampMs: number;
}

/** The control batch of a marker. */
export function buildEndTransactionMarker(marker: EndTransactionMarker): Uint8Array {
  const key = new DataView(new ArrayBuffer(KEY_SIZE));
  key.setInt16(0, VERSION, false);
  key.setInt16(2, marker.isCommit ? ControlRecordType.COMMIT : ControlRecordType.ABORT, false);
  const value = new DataView(new ArrayBuffer(VALUE_SIZE));
  value.setInt16(0, VERSION, false);
  value.setInt32(2, marker.coordinatorEpoch, false);
  const builder = new RecordBatchBuilder();
  builder.add({
    key: new Uint8Array(key.buffer),
    value: new Uint8Array(value.buffer),
    timestamp: marker.timestampMs,
  });
  return builder.build({
    producerId: marker.producerId,
    producerEpoch: marker.producerEpoch,
    isTransactional: true,
    isControl: true,
  });
}

/** What the partition's log keeps of a marker. */
export interface MarkerFields {
  isAbort: boolean;
  coordinatorEpoch: number;
}

/**
 * A control batch of more than one small record is no marker. The record: length, attributes, timestamp and offset delta
 * (varints, but for the attributes' byte), then key and value, each behind its size.
 */
const MARKER_BYTES_MAX = 256;

/**
 * Reads the marker in the control batch at `at`, without an allocation.
 *
 * @returns false: it is none, and ends no transaction
 */
export function readMarker(view: DataView, at: number, into: MarkerFields): boolean {
  const size = batchSize(view, at);
  const end = at + size;
  if (size > MARKER_BYTES_MAX || end > view.byteLength) return false;
  let place = afterVarint(view, at + BATCH_HEADER_SIZE, end) + 1;
  place = afterVarint(view, afterVarint(view, place, end), end);
  // Small sizes are one byte: twice the size.
  if (place + 1 + KEY_SIZE + 1 + VALUE_SIZE > end || view.getUint8(place) !== 2 * KEY_SIZE) {
    return false;
  }
  const type = view.getInt16(place + 3, false);
  const value = place + 1 + KEY_SIZE + 1;
  if (type !== ControlRecordType.ABORT && type !== ControlRecordType.COMMIT) return false;
  into.isAbort = type === ControlRecordType.ABORT;
  into.coordinatorEpoch = view.getInt32(value + 2, false);
  return true;
}

/** The place after the varint at `at`; one that does not end there is not followed beyond `end`. */
function afterVarint(view: DataView, at: number, end: number): number {
  while (at < end && view.getUint8(at) >= 0x80) at++;
  return at + 1;
}

/** The type of a control record by its key; -1 when it is not one that is known here. */
export function controlRecordType(key: Uint8Array): number {
  const cursor = Cursor.of(key);
  const version = cursor.int16();
  const type = cursor.int16();
  if (cursor.bad || version < VERSION) return -1;
  return type === ControlRecordType.ABORT || type === ControlRecordType.COMMIT ? type : -1;
}

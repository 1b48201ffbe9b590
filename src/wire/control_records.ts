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
import { ControlRecordType } from "./record_batch.ts";
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

/** The type of a control record by its key; -1 when it is not one that is known here. */
export function controlRecordType(key: Uint8Array): number {
  const cursor = Cursor.of(key);
  const version = cursor.int16();
  const type = cursor.int16();
  if (cursor.bad || version < VERSION) return -1;
  return type === ControlRecordType.ABORT || type === ControlRecordType.COMMIT ? type : -1;
}

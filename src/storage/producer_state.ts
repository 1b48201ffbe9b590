/**
 * The state of one producer: its cells in memory (`producer_table.ts`), and its bytes (docs/formats/checkpoint_row.md).
 *
 * @module
 */

import { getInt64Le, setInt64Le } from "../bytes/int64.ts";

/** Batches remembered per producer: Kafka's bound on requests in flight with idempotence. */
export const BATCHES_PER_PRODUCER = 5;

export const ID = 0;
export const EPOCH = 1;
export const TIMESTAMP = 2;
export const TXN_FIRST = 3;
export const COUNT = 4;
export const HEARD = 5;
export const COORDINATOR = 6;
export const BATCHES = 7;
export const BATCH_CELLS = 4;
/** Of a batch. */
export const BASE_OFFSET_CELL = 2;
export const CELLS = BATCHES + BATCHES_PER_PRODUCER * BATCH_CELLS;
/**
 * Version 1 lacks the time at which a producer was last heard of; version 2, in which a table that never had a transaction is
 * written, lacks coordinators and aborted transactions. Raised together with the manifest's.
 */
export const PRODUCERS_FORMAT_VERSION = 3;
export const WITHOUT_TRANSACTIONS = 2;
export const FORMAT_VERSION_MIN = 1;
export const HEAD_SIZES = [0, 12, 12, 16] as const;
export const STATE_SIZES = [0, 28, 36, 40] as const;
const BATCH_SIZE = 24;

/** Bytes of a state. */
export function stateSize(cells: Float64Array, at: number, version: number): number {
  return STATE_SIZES[version]! + cells[at + COUNT]! * BATCH_SIZE;
}

/** Writes a state; returns the end. */
export function encodeState(
  view: DataView,
  at: number,
  version: number,
  cells: Float64Array,
  from: number,
): number {
  setInt64Le(view, at, cells[from + ID]!);
  view.setInt16(at + 8, cells[from + EPOCH]!, true);
  view.setUint16(at + 10, cells[from + COUNT]!, true);
  setInt64Le(view, at + 12, cells[from + TIMESTAMP]!);
  setInt64Le(view, at + 20, cells[from + TXN_FIRST]!);
  setInt64Le(view, at + 28, cells[from + HEARD]!);
  if (version > WITHOUT_TRANSACTIONS) view.setInt32(at + 36, cells[from + COORDINATOR]!, true);
  at += STATE_SIZES[version]!;
  for (let i = 0; i < cells[from + COUNT]!; i++) {
    const batch = from + BATCHES + i * BATCH_CELLS;
    view.setInt32(at, cells[batch]!, true);
    view.setInt32(at + 4, cells[batch + 1]!, true);
    setInt64Le(view, at + 8, cells[batch + 2]!);
    setInt64Le(view, at + 16, cells[batch + 3]!);
    at += BATCH_SIZE;
  }
  return at;
}

/** Whether an encoded state begins at `at` and ends within the bytes. */
export function holdsState(view: DataView, at: number, version: number): boolean {
  const size = STATE_SIZES[version]!;
  if (at + size > view.byteLength) return false;
  const count = view.getUint16(at + 10, true);
  return count <= BATCHES_PER_PRODUCER && at + size + count * BATCH_SIZE <= view.byteLength;
}

/** Reads a state that {@linkcode holdsState}; returns the end. */
export function decodeState(
  view: DataView,
  at: number,
  version: number,
  cells: Float64Array,
  to: number,
): number {
  cells.fill(0, to, to + CELLS);
  const count = view.getUint16(at + 10, true);
  cells[to + ID] = getInt64Le(view, at);
  cells[to + EPOCH] = view.getInt16(at + 8, true);
  cells[to + COUNT] = count;
  cells[to + TIMESTAMP] = getInt64Le(view, at + 12);
  cells[to + TXN_FIRST] = getInt64Le(view, at + 20);
  if (version >= 2) cells[to + HEARD] = getInt64Le(view, at + 28);
  cells[to + COORDINATOR] = version > WITHOUT_TRANSACTIONS ? view.getInt32(at + 36, true) : -1;
  at += STATE_SIZES[version]!;
  for (let i = 0; i < count; i++) {
    const batch = to + BATCHES + i * BATCH_CELLS;
    cells[batch] = view.getInt32(at, true);
    cells[batch + 1] = view.getInt32(at + 4, true);
    cells[batch + 2] = getInt64Le(view, at + 8);
    cells[batch + 3] = getInt64Le(view, at + 16);
    at += BATCH_SIZE;
  }
  return at;
}

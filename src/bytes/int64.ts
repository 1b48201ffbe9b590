/**
 * 64-bit integers as numbers.
 *
 * Offsets, timestamps, producer ids and sizes are JavaScript numbers (ADR 0002): two 32-bit reads cost
 * a quarter of a `getBigInt64` and allocate nothing. Values beyond 2^53 lose low bits here; where such
 * a value may come from outside, the reader checks `Number.isSafeInteger`.
 *
 * @module
 */

const TWO_TO_32 = 0x1_0000_0000;

/** Reads a big-endian int64 (Kafka's order) at `at`. */
export function getInt64(view: DataView, at: number): number {
  return view.getInt32(at, false) * TWO_TO_32 + view.getUint32(at + 4, false);
}

/** Writes a big-endian int64 at `at`. */
export function setInt64(view: DataView, at: number, value: number): void {
  view.setInt32(at, Math.floor(value / TWO_TO_32), false);
  view.setUint32(at + 4, value >>> 0, false);
}

/** Reads a little-endian int64 (the order of Gregor's own files) at `at`. */
export function getInt64Le(view: DataView, at: number): number {
  return view.getInt32(at + 4, true) * TWO_TO_32 + view.getUint32(at, true);
}

/** Writes a little-endian int64 at `at`. */
export function setInt64Le(view: DataView, at: number, value: number): void {
  view.setUint32(at, value >>> 0, true);
  view.setInt32(at + 4, Math.floor(value / TWO_TO_32), true);
}

/**
 * Walks of batches by the shim (`ffi/src/batch.rs`).
 *
 * @module
 */

import { type RecordRules, type RecordWalk, windowBytesMax } from "./record_walk.ts";
import type { Shim } from "./shim.ts";

const KEYS_REQUIRED = 1;
const RESUME = 2;
const MORE = 1;

// The verdict, little-endian:
//   0 i32 status   4 u32 records   8 f64 max timestamp   16 u32 refused   20 u32 of them out of time
//   24 three times: u32 index, u32 reason, f64 timestamp
const VERDICT_SIZE = 72;
const STATUS = 0;
const MAX_TIMESTAMP = 8;
const REFUSED = 16;
const OUT_OF_TIME = 20;
const LISTED = 24;
const LISTED_SIZE = 16;

/** Opens a walk over the shim's memory region, for the calling thread. */
export function openRegionWalk(shim: Shim, windowMax: number): ShimWalk {
  return new ShimWalk(shim, windowMax, (walker, address, length, flags, oldestMs, newestMs) => {
    return shim.gregor_walk(walker, address, length, flags, oldestMs, newestMs);
  });
}

/** Opens a walk over `bytes`, in which addresses are positions: for the simulator and tests. */
export function openBufferWalk(
  shim: Shim,
  bytes: Uint8Array<ArrayBuffer>,
  windowMax: number = windowBytesMax(Infinity),
): ShimWalk {
  return new ShimWalk(shim, windowMax, (walker, address, length, flags, oldestMs, newestMs) => {
    const batch = bytes.subarray(address, address + length);
    return shim.gregor_walk_bytes(walker, batch, length, flags, oldestMs, newestMs);
  });
}

type Slice = (
  walker: number,
  address: number,
  length: number,
  flags: number,
  oldestMs: number,
  newestMs: number,
) => number;

/** See {@linkcode RecordWalk}; close it when it is not needed any more. */
export class ShimWalk implements RecordWalk {
  readonly #shim: Shim;
  readonly #slice: Slice;
  readonly #walker: number;
  readonly #verdict: DataView;

  /**
   * @param windowMax largest window of a compressed stream (bytes)
   * @throws {TypeError} when there is no walker left: more than a thousand are open
   */
  constructor(shim: Shim, windowMax: number, slice: Slice) {
    this.#shim = shim;
    this.#slice = slice;
    this.#walker = shim.gregor_walker_open(windowMax);
    if (this.#walker < 0) throw new TypeError(`Cannot open a walk of records: ${this.#walker}`);
    const verdict = shim.gregor_walker_verdict(this.#walker)!;
    this.#verdict = new DataView(Deno.UnsafePointerView.getArrayBuffer(verdict, VERDICT_SIZE));
  }

  begin(address: number, length: number, rules: RecordRules): boolean {
    return this.#walk(address, length, rules, 0);
  }

  resume(address: number, length: number, rules: RecordRules): boolean {
    return this.#walk(address, length, rules, RESUME);
  }

  get status(): number {
    return this.#verdict.getInt32(STATUS, true);
  }

  get maxTimestampMs(): number {
    return this.#verdict.getFloat64(MAX_TIMESTAMP, true);
  }

  get refusedCount(): number {
    return this.#verdict.getUint32(REFUSED, true);
  }

  get outOfTimeCount(): number {
    return this.#verdict.getUint32(OUT_OF_TIME, true);
  }

  refusedIndex(nth: number): number {
    return this.#verdict.getUint32(LISTED + nth * LISTED_SIZE, true);
  }

  refusedReason(nth: number): number {
    return this.#verdict.getUint32(LISTED + nth * LISTED_SIZE + 4, true);
  }

  refusedTimestampMs(nth: number): number {
    return this.#verdict.getFloat64(LISTED + nth * LISTED_SIZE + 8, true);
  }

  /** The verdict must not be read afterwards. */
  close(): void {
    this.#shim.gregor_walker_close(this.#walker);
  }

  #walk(address: number, length: number, rules: RecordRules, flag: number): boolean {
    const flags = (rules.keysRequired ? KEYS_REQUIRED : 0) | flag;
    const { oldestMs, newestMs } = rules;
    const result = this.#slice(this.#walker, address, length, flags, oldestMs, newestMs);
    if (result < 0) throw new TypeError(`Cannot walk records: errno ${-result}`);
    return result !== MORE;
  }
}

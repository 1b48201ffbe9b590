/**
 * The seam through which batches are compacted: the newest record of each key is noted, and a batch is written without
 * those that have become superfluous. The shim does the work (`ffi/src/compact.rs`), because the bytes of
 * records never enter JavaScript.
 *
 * @module
 */

import type { Shim } from "./shim.ts";

/** Memory of one key in a map (bytes). */
export const KEY_SLOT_BYTES = 16;

/** How a batch is written; added up. */
export const RewriteFlag = {
  /** All of its records go. */
  DISCARD: 1,
  /** Where nothing stays, a batch without records does. */
  KEEP_EMPTY: 2,
  /** Records without a value stay. */
  KEEP_TOMBSTONES: 4,
  /** Every record stays; the batch gets a horizon where it has none. */
  SET_HORIZON: 8,
} as const;

/** The map of keys: zeroed memory before the first call, and the first offset that may be in it. */
export interface KeyMapPlace {
  readonly address: number;
  readonly bytes: number;
  readonly baseOffset: number;
}

/** What is the same for all batches of a round. */
export interface RewriteRules {
  /** Offsets from here on are not in the map. */
  readonly coveredEnd: number;
  readonly nowMs: number;
  /** The horizon of a batch that gets one: the time from which on its tombstones may go (ms). */
  readonly horizonMs: number;
}

/** One batch at a time; results are read before the next call. */
export interface RecordCompactor {
  /**
   * Notes the keys of the batch at `address`, in a map that has room for all of them.
   *
   * @returns the number of new keys, or a negative errno: EBADMSG (cannot be read), E2BIG (too large, decompressed)
   */
  index(address: number, length: number, keys: KeyMapPlace): number;
  /**
   * Writes what stays of a batch.
   *
   * @param flags of {@linkcode RewriteFlag}
   * @returns its length, 0: nothing stays; or a negative errno: as above, or EMSGSIZE: more than `room`
   */
  rewrite(
    address: number,
    length: number,
    target: number,
    room: number,
    keys: KeyMapPlace,
    flags: number,
    rules: RewriteRules,
  ): number;
  /** Records that stay of the batch written last. */
  readonly keptRecords: number;
  /** Whether the batch written last differs from what it was. */
  readonly changed: boolean;
}

const REPORT_SIZE = 16;
const KEYS = 0;
const KEPT = 8;
const CHANGED = 12;

/** Opens a compactor over the shim's region; its hash of keys is nobody else's. */
export function openRegionCompactor(shim: Shim, unpackedMax: number): ShimCompactor {
  const [a, b, c, d] = crypto.getRandomValues(new Uint32Array(4));
  return new ShimCompactor(shim, null, unpackedMax, [a!, b!, c!, d!]);
}

/** A compactor of the shim; close it when it is not needed any more. */
export class ShimCompactor implements RecordCompactor {
  readonly #shim: Shim;
  readonly #memory: Uint8Array<ArrayBuffer> | null;
  readonly #compactor: number;
  readonly #report: DataView;

  /**
   * @param memory where addresses count from; null: the shim's region
   * @param unpackedMax the most that a batch may decompress to (bytes)
   * @param seed four random numbers: of the hash of keys
   * @throws {TypeError} when there is none left
   */
  constructor(
    shim: Shim,
    memory: Uint8Array<ArrayBuffer> | null,
    unpackedMax: number,
    seed: readonly [number, number, number, number],
  ) {
    this.#shim = shim;
    this.#memory = memory;
    this.#compactor = shim.gregor_compactor_open(unpackedMax, ...seed);
    if (this.#compactor < 0) throw new TypeError(`Cannot open a compactor: ${this.#compactor}`);
    const report = shim.gregor_compactor_report(this.#compactor)!;
    this.#report = new DataView(Deno.UnsafePointerView.getArrayBuffer(report, REPORT_SIZE));
  }

  index(address: number, length: number, keys: KeyMapPlace): number {
    const result = this.#shim.gregor_compact_index(
      this.#compactor,
      this.#memory,
      address,
      length,
      keys.address,
      keys.bytes,
      keys.baseOffset,
    );
    return result < 0 ? result : this.#report.getUint32(KEYS, true);
  }

  rewrite(
    address: number,
    length: number,
    target: number,
    room: number,
    keys: KeyMapPlace,
    flags: number,
    rules: RewriteRules,
  ): number {
    return this.#shim.gregor_compact_rewrite(
      this.#compactor,
      this.#memory,
      address,
      length,
      target,
      room,
      keys.address,
      keys.bytes,
      keys.baseOffset,
      flags,
      rules.coveredEnd,
      rules.nowMs,
      rules.horizonMs,
    );
  }

  get keptRecords(): number {
    return this.#report.getUint32(KEPT, true);
  }

  get changed(): boolean {
    return this.#report.getUint32(CHANGED, true) !== 0;
  }

  /** Nothing may be read afterwards. */
  close(): void {
    this.#shim.gregor_compactor_close(this.#compactor);
  }
}

/**
 * Compaction of batches by the shim (`ffi/src/compact.rs`).
 *
 * @module
 */

import type { KeyMapPlace, RecordCompactor, RewriteRules } from "./record_compactor.ts";
import type { Shim } from "./shim.ts";

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

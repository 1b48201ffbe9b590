/**
 * Which entries an APPEND brings: runs of consecutive entries of one term, without their contents.
 *
 * The driver fills one, used again and again, while it walks a received frame: a batch is as many entries as it
 * has records, a meta entry is one. Neighbours of one term become one run.
 *
 * @module
 */

import { APPEND_RUNS_MAX } from "./limits.ts";

export class AppendRuns {
  readonly #firsts = new Float64Array(APPEND_RUNS_MAX);
  readonly #terms = new Float64Array(APPEND_RUNS_MAX);
  #count = 0;
  #next = 1;
  /** One of the entries is a configuration. */
  hasConfiguration = false;

  /** Begins an append whose first entry follows `prevIndex`. */
  begin(prevIndex: number): void {
    this.#count = 0;
    this.#next = prevIndex + 1;
    this.hasConfiguration = false;
  }

  /**
   * The next `entries` entries are of `term`.
   *
   * @returns false when there are more runs than {@linkcode APPEND_RUNS_MAX}, or terms go back: refuse the frame
   */
  add(entries: number, term: number): boolean {
    const count = this.#count;
    if (count === 0 || this.#terms[count - 1] !== term) {
      if (count === APPEND_RUNS_MAX || (count > 0 && term < this.#terms[count - 1]!)) return false;
      this.#firsts[count] = this.#next;
      this.#terms[count] = term;
      this.#count = count + 1;
    }
    this.#next += entries;
    return true;
  }

  get count(): number {
    return this.#count;
  }

  /** The last entry; the one before the first when there is none. */
  get lastIndex(): number {
    return this.#next - 1;
  }

  firstOf(run: number): number {
    return this.#firsts[run]!;
  }

  lastOf(run: number): number {
    return run + 1 < this.#count ? this.#firsts[run + 1]! - 1 : this.#next - 1;
  }

  termOf(run: number): number {
    return this.#terms[run]!;
  }

  /** What a leader of `term` may send after an entry of `prevTerm`. */
  isSound(prevTerm: number, term: number): boolean {
    const count = this.#count;
    return count === 0 || (this.#terms[0]! >= prevTerm && this.#terms[count - 1]! <= term);
  }
}

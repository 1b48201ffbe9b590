/**
 * For how long a follower has to cut its log, and cannot.
 *
 * Its leader has it tried again with every heartbeat, as long as the cut is needed. Where nobody asks any more, the log is as
 * good as any other: a later leader has the entries that an earlier one did not.
 *
 * @module
 */

/** Without a further try for so long, the cut is not needed any more (ms). */
const TRIED_MS_MAX = 5_000;

export class UncutLog {
  /** Since when each cut fails, and when the last one did (ms). */
  #sinceMs = Infinity;
  #lastMs = -Infinity;
  #isTrying = false;

  /** A cut begins. */
  begin(nowMs: number): void {
    if (!this.#isNeeded(nowMs)) this.#sinceMs = Infinity;
    this.#isTrying = true;
  }

  /** The cut has ended. */
  end(hasFailed: boolean, nowMs: number): void {
    this.#sinceMs = hasFailed ? Math.min(this.#sinceMs, nowMs) : Infinity;
    this.#lastMs = nowMs;
    this.#isTrying = false;
  }

  /** For how long that has been so (ms); 0: nothing is to be cut, or it can be. */
  forMs(nowMs: number): number {
    return this.#isNeeded(nowMs) ? Math.max(0, nowMs - this.#sinceMs) : 0;
  }

  #isNeeded(nowMs: number): boolean {
    return this.#isTrying || nowMs - this.#lastMs <= TRIED_MS_MAX;
  }
}

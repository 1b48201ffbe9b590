/**
 * Decides when to log long turns of the loop: a host that is always busy stalls all the time, and one line per
 * ten seconds and shard would be half of its log.
 *
 * The first stall after a quiet time is logged at once. While stalls continue, they are summed up and logged at
 * intervals that double, up to a limit.
 *
 * @module
 */

/** Shortest and longest interval between two lines (ms). */
const INTERVAL_MS_MIN = 10_000;
const INTERVAL_MS_MAX = 640_000;

/** Stalls since the last line. */
export interface Stalls {
  readonly longestMs: number;
  readonly stalls: number;
}

export class StallReport {
  #longestMs = 0;
  #stalls = 0;
  #toldMs = -Infinity;
  #latestMs = -Infinity;
  #intervalMs = INTERVAL_MS_MIN;

  /** A turn took long; returns what is to be logged now, or null. */
  note(tookMs: number, nowMs: number): Stalls | null {
    // No line for the longest interval: the last series of stalls is over, and this begins a new one.
    if (nowMs - this.#latestMs > this.#intervalMs) this.#intervalMs = INTERVAL_MS_MIN;
    this.#latestMs = nowMs;
    this.#longestMs = Math.max(this.#longestMs, tookMs);
    this.#stalls++;
    if (nowMs < this.#toldMs + this.#intervalMs) return null;
    const wasQuiet = nowMs > this.#toldMs + 2 * this.#intervalMs;
    this.#intervalMs = wasQuiet ? INTERVAL_MS_MIN : Math.min(INTERVAL_MS_MAX, 2 * this.#intervalMs);
    const told = { longestMs: Math.round(this.#longestMs), stalls: this.#stalls };
    this.#toldMs = nowMs;
    this.#longestMs = 0;
    this.#stalls = 0;
    return told;
  }
}

/**
 * How fast a shard fills the logs of learners: a copy of a log must not take the disk and the network from those who write.
 *
 * What is sent is counted against {@linkcode RECOVERY_BYTES_PER_MS}, with {@linkcode RECOVERY_BURST_BYTES} in advance. A request
 * for entries that comes too early waits, at most one for each group and learner; its leader asks for nothing more until it
 * is answered. Voters are not held back: what they lack may be what a producer waits for.
 *
 * @module
 */

import { RECOVERY_BURST_BYTES, RECOVERY_BYTES_PER_MS } from "../base/limits.ts";
import { Timer, type Timers } from "../io/timers.ts";

export interface RecoveryPaceOptions {
  readonly timers: Timers;
  readonly nowMs: () => number;
}

export class RecoveryPace {
  readonly #options: RecoveryPaceOptions;
  readonly #timer = new Timer(() => this.#goOn());
  /** What may be sent now; negative: less than nothing. */
  #bytes = RECOVERY_BURST_BYTES;
  #countedMs: number;
  /** Requests that wait, in order, by whom they are for. */
  readonly #waiting = new Map<string, () => void>();

  constructor(options: RecoveryPaceOptions) {
    this.#options = options;
    this.#countedMs = options.nowMs();
  }

  /**
   * Whether something has to wait; then `go` is called later, unless another request of `key` takes its place.
   *
   * @param key a group and a learner
   */
  holdsBack(key: string, go: () => void): boolean {
    this.#count();
    const isEarly = this.#bytes <= 0 || this.#waiting.size > 0;
    if (!isEarly) return false;
    this.#waiting.set(key, go);
    this.#schedule();
    return true;
  }

  /** So much was sent to a learner. */
  sent(bytes: number): void {
    this.#count();
    this.#bytes -= bytes;
  }

  #count(): void {
    const nowMs = this.#options.nowMs();
    const earned = (nowMs - this.#countedMs) * RECOVERY_BYTES_PER_MS;
    this.#bytes = Math.min(RECOVERY_BURST_BYTES, this.#bytes + earned);
    this.#countedMs = nowMs;
  }

  #goOn(): void {
    this.#count();
    for (const [key, go] of this.#waiting) {
      if (this.#bytes <= 0) break;
      this.#waiting.delete(key);
      go();
    }
    if (this.#waiting.size > 0) this.#schedule();
  }

  #schedule(): void {
    const { timers, nowMs } = this.#options;
    const waitMs = Math.max(1, Math.ceil(-this.#bytes / RECOVERY_BYTES_PER_MS));
    if (!this.#timer.scheduled) timers.schedule(this.#timer, nowMs() + waitMs);
  }
}

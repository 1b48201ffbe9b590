/**
 * When a follower whose log refuses what its leader sends asks for it again.
 *
 * A log that refuses says when to try again, which may be every few milliseconds while its disk is full or its journal
 * cannot go on. The leader would send the same records each time. So the follower waits ever longer from the second
 * refusal on, and at once for long if there is no space; one entry that is taken begins anew.
 *
 * @module
 */

import { APPEND_RETRY_MS_MAX, APPEND_RETRY_MS_MIN } from "../base/limits.ts";
import { LOG_NO_SPACE } from "../storage/log.ts";

export class AppendPatience {
  /** Appends in a row of which the log took nothing. */
  #refusals = 0;
  #untilMs = -Infinity;
  #isFull = false;

  /** The last refusal was for want of space on the disk. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** Before this time (ms) the leader is not asked to go on. */
  get untilMs(): number {
    return this.#untilMs;
  }

  /**
   * An append came.
   *
   * @param refusal the log's, 0: it took all
   * @param hasTaken it took something
   */
  note(refusal: number, hasTaken: boolean, nowMs: number): void {
    this.#isFull = refusal === LOG_NO_SPACE;
    this.#refusals = refusal === 0 || hasTaken ? 0 : this.#refusals + 1;
    if (this.#isFull) this.#untilMs = nowMs + APPEND_RETRY_MS_MAX;
    else if (this.#refusals < 2) this.#untilMs = -Infinity;
    else {
      const waitMs = APPEND_RETRY_MS_MIN * 2 ** Math.min(this.#refusals, 10);
      this.#untilMs = nowMs + Math.min(APPEND_RETRY_MS_MAX, waitMs);
    }
  }
}

/**
 * Whether a log takes appends: open, held for a while (LOG_BUSY), or failed (LOG_FAILED).
 *
 * ```text
 *   held --release--> open --hold--> held          fail: from anywhere
 *   failed --mend--> open                          (the loss was accepted, or the log begins anew)
 * ```
 *
 * @module
 */

import { LOG_BUSY, LOG_FAILED } from "./log.ts";

export class AppendGate {
  #refusal = 0;

  /** Why nothing may be appended now: 0, LOG_BUSY, or LOG_FAILED. */
  get refusal(): number {
    return this.#refusal;
  }

  /** Nothing may be appended until {@linkcode AppendGate.release}; a failed gate stays so. */
  hold(): void {
    if (this.#refusal === 0) this.#refusal = LOG_BUSY;
  }

  release(): void {
    if (this.#refusal === LOG_BUSY) this.#refusal = 0;
  }

  /** Nothing may be appended any more. */
  fail(): void {
    this.#refusal = LOG_FAILED;
  }

  /** What had failed is as good as new; a hold goes on. */
  mend(): void {
    if (this.#refusal === LOG_FAILED) this.#refusal = 0;
  }
}

/**
 * The clock seam on the host's clocks.
 *
 * @module
 */

import type { Clock } from "./clock.ts";
import type { Shim } from "./shim.ts";

export class SystemClock implements Clock {
  readonly #monotonicMs: Shim["gregor_monotonic_ms"];

  constructor(shim: Shim) {
    this.#monotonicMs = shim.gregor_monotonic_ms;
  }

  /** Counts from one moment for all threads of the process (`performance.now()` does not). */
  monotonicMs(): number {
    return this.#monotonicMs();
  }

  wallMs(): number {
    return Date.now();
  }
}

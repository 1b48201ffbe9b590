/**
 * The clock seam on the host's clocks.
 *
 * @module
 */

import type { Clock } from "./clock.ts";

export class SystemClock implements Clock {
  monotonicMs(): number {
    return performance.now();
  }

  wallMs(): number {
    return Date.now();
  }
}

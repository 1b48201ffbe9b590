/**
 * How long to wait before another attempt to connect.
 *
 * @module
 */

import { RPC_RETRY_MS_MAX, RPC_RETRY_MS_MIN } from "../base/limits.ts";
import type { Random } from "../base/prng.ts";

/**
 * Doubles with each failure up to {@linkcode RPC_RETRY_MS_MAX}; half of it is chance, so that nodes that lost the same peer
 * do not come back at the same time.
 *
 * @param failures attempts that failed one after another, at least 1
 */
export function retryDelayMs(failures: number, random: Random): number {
  const doubled = RPC_RETRY_MS_MIN * 2 ** Math.min(failures - 1, 16);
  const half = Math.min(RPC_RETRY_MS_MAX, doubled) / 2;
  return half + half * (random.nextUint32() / 2 ** 32);
}

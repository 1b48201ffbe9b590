/**
 * What running any simulation from a seed has in common: whatever is thrown is a failure of the seed, and two runs are equal.
 *
 * @module
 */

import { SimFailure } from "./sim_failure.ts";

/** What two runs of a seed are compared by. */
export interface SeedResult {
  readonly hash: number | string;
  readonly virtualMs: number;
}

/** Runs a seed twice; the runs must be equal. */
export function runTwice<T extends SeedResult>(run: () => T): T {
  const first = run();
  const second = run();
  if (first.hash !== second.hash || first.virtualMs !== second.virtualMs) {
    throw new SimFailure("nondeterminism", "two runs of the seed differ");
  }
  return first;
}

/** What was thrown, as a {@linkcode SimFailure}. */
export function failureOf(error: unknown): SimFailure {
  if (error instanceof SimFailure) return error;
  const text = error instanceof Error ? error.stack ?? error.message : String(error);
  return new SimFailure("crash", text);
}

/**
 * Runs simulations of a whole node: `deno task sim --seed N [--count M] [--damage]`.
 *
 * With `--damage` the disk is damaged between lives, for certain. Each seed is run twice, and must be equal both
 * times. One line per failure, with the seed that shows it again. Exit codes: 0 all held, 1 the broker crashed,
 * 2 somebody waited for ever, 3 a client got a wrong answer, 4 two runs of a seed differed, 64 bad flags.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { type FailureKind, SimFailure } from "../tests/sim/sim_failure.ts";
import { runSeed } from "../tests/sim/workload.ts";

const EXIT_CODES: Readonly<Record<FailureKind, number>> = {
  crash: 1,
  liveness: 2,
  correctness: 3,
  nondeterminism: 4,
};
const EXIT_USAGE = 64;
/** Interval at which a longer run prints its progress. */
const PROGRESS_MS = 1_000;

function main(): number {
  const flags = readFlags();
  if (flags === null) return EXIT_USAGE;
  const { seed, count, damage } = flags;
  const startedMs = performance.now();
  let toldMs = startedMs;
  let failures = 0;
  let exitCode = 0;
  let acknowledgements = 0;
  for (let i = 0; i < count; i++) {
    try {
      acknowledgements += runSeed(seed + i, { damage }).acknowledgements;
    } catch (error) {
      if (!(error instanceof SimFailure)) throw error;
      failures++;
      if (exitCode === 0) exitCode = EXIT_CODES[error.kind];
      console.log(`seed ${seed + i}: ${error.kind}: ${error.message}`);
    }
    const nowMs = performance.now();
    if (nowMs - toldMs < PROGRESS_MS) continue;
    toldMs = nowMs;
    const perSecond = ((i + 1) / (nowMs - startedMs) * 1000).toFixed(1);
    console.error(`${i + 1} of ${count} seeds, ${perSecond}/s, ${failures} failed`);
  }
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  console.log(
    `${count} seeds from ${seed} in ${seconds} s: ${failures} failed, ` +
      `${acknowledgements} acknowledgements held`,
  );
  return exitCode;
}

function readFlags(): { seed: number; count: number; damage: boolean } | null {
  try {
    const { values } = parseArgs({
      options: {
        seed: { type: "string" },
        count: { type: "string", default: "1" },
        damage: { type: "boolean", default: false },
      },
    });
    const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
    const count = Number(values.count);
    if (!Number.isSafeInteger(seed) || !Number.isSafeInteger(count) || count < 1) {
      throw new TypeError("--seed and --count take whole numbers");
    }
    return { seed, count, damage: values.damage };
  } catch (error) {
    console.error(`Cannot run: ${error instanceof Error ? error.message : error}`);
    console.error("Usage: deno task sim [--seed N] [--count M] [--damage]");
    return null;
  }
}

Deno.exit(main());

/**
 * Runs simulations: `deno task sim [--nodes N] [--seed N] [--seeds K] [--damage | --disasters] [--trace]`.
 *
 * Of one node, or of a cluster of several (`--nodes 3`; `--nodes any`: as the seed decides). With `--damage` disks are
 * damaged for certain, as far as the seed has room for it. With `--disasters` clusters lose their majority, and go on by force. Each seed is run twice, and must be equal both
 * times. One line per failure, with the command that shows it again. With `--trace` each seed is run once, and what
 * happened is printed: virtual time (ms), who, what; a failure comes last. Exit codes: 0 all held, 1 the broker
 * crashed, 2 somebody waited for ever, 3 a client got a wrong answer, 4 two runs of a seed differed, 64 bad flags.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { type FailureKind, SimFailure } from "../tests/sim/sim_failure.ts";
import { runCluster, runClusterTwice } from "../tests/sim/cluster_workload.ts";
import { runDisasters, runDisastersTwice } from "../tests/sim/recovery_workload.ts";
import { runOnce, runSeed } from "../tests/sim/workload.ts";

const EXIT_CODES: Readonly<Record<FailureKind, number>> = {
  crash: 1,
  liveness: 2,
  correctness: 3,
  nondeterminism: 4,
};
const EXIT_USAGE = 64;
const NODES_MAX = 9;
/** Interval at which a longer run prints its progress. */
const PROGRESS_MS = 1_000;

interface Flags {
  /** Null: the seed decides. */
  readonly nodes: number | null;
  readonly seed: number;
  readonly seeds: number;
  readonly damage: boolean;
  readonly disasters: boolean;
  readonly trace: boolean;
}

function main(): number {
  const flags = readFlags();
  if (flags === null) return EXIT_USAGE;
  const { seed, seeds } = flags;
  const startedMs = performance.now();
  let toldMs = startedMs;
  let failures = 0;
  let exitCode = 0;
  let acknowledgements = 0;
  let virtualMs = 0;
  for (let i = 0; i < seeds; i++) {
    try {
      const result = run(seed + i, flags);
      acknowledgements += result.acknowledgements;
      virtualMs += result.virtualMs;
    } catch (error) {
      if (!(error instanceof SimFailure)) throw error;
      failures++;
      if (exitCode === 0) exitCode = EXIT_CODES[error.kind];
      console.log(`seed ${seed + i}: ${error.kind}: ${error.message}`);
      console.log(`  again: deno task sim${kindOf(flags)} --seed ${seed + i} --trace`);
    }
    const nowMs = performance.now();
    if (nowMs - toldMs < PROGRESS_MS) continue;
    toldMs = nowMs;
    const perSecond = ((i + 1) / (nowMs - startedMs) * 1000).toFixed(1);
    console.error(`${i + 1} of ${seeds} seeds, ${perSecond}/s, ${failures} failed`);
  }
  const tookMs = performance.now() - startedMs;
  // Each seed is run twice, unless it is traced.
  const speed = (virtualMs * (flags.trace ? 1 : 2) / tookMs).toFixed(2);
  console.log(
    `${seeds} seeds from ${seed} in ${(tookMs / 1000).toFixed(1)} s: ${failures} failed, ` +
      `${acknowledgements} acknowledgements held, ${speed} simulated hours per hour`,
  );
  return exitCode;
}

/** The flags, other than the seed, that a run depends on. */
function kindOf({ nodes, damage, disasters }: Flags): string {
  if (disasters) return " --disasters";
  const size = nodes === 1 ? "" : ` --nodes ${nodes ?? "any"}`;
  return damage ? `${size} --damage` : size;
}

interface Ran {
  readonly acknowledgements: number;
  readonly virtualMs: number;
}

function run(seed: number, { nodes, damage, disasters, trace }: Flags): Ran {
  if (disasters) {
    return trace ? runDisasters(seed, (line) => console.log(line)) : runDisastersTwice(seed);
  }
  if (nodes !== 1) {
    const options = { damage, ...(nodes === null ? {} : { nodes }) };
    return trace
      ? runCluster(seed, { ...options, print: (line) => console.log(line) })
      : runClusterTwice(seed, options);
  }
  return trace
    ? runOnce(seed, { damage, print: (line) => console.log(line) })
    : runSeed(seed, { damage });
}

function readFlags(): Flags | null {
  try {
    const { values } = parseArgs({
      options: {
        nodes: { type: "string", default: "1" },
        seed: { type: "string" },
        seeds: { type: "string" },
        count: { type: "string" },
        damage: { type: "boolean", default: false },
        disasters: { type: "boolean", default: false },
        trace: { type: "boolean", default: false },
      },
    });
    const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
    const seeds = Number(values.seeds ?? values.count ?? 1);
    if (!Number.isSafeInteger(seed) || !Number.isSafeInteger(seeds) || seeds < 1) {
      throw new TypeError("--seed and --seeds take whole numbers");
    }
    const nodes = values.nodes === "any" ? null : Number(values.nodes);
    if (nodes !== null && !(nodes >= 1 && nodes <= NODES_MAX)) {
      throw new TypeError(`--nodes takes a number up to ${NODES_MAX}, or any`);
    }
    const { damage, disasters, trace } = values;
    if (disasters && (nodes !== 1 || damage)) {
      throw new TypeError("--disasters is a kind of its own");
    }
    return { nodes, seed, seeds, damage, disasters, trace };
  } catch (error) {
    console.error(`Cannot run: ${error instanceof Error ? error.message : error}`);
    console.error(
      "Usage: deno task sim [--nodes N] [--seed N] [--seeds K] [--damage | --disasters] [--trace]",
    );
    return null;
  }
}

Deno.exit(main());

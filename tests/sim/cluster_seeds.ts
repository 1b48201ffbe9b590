/**
 * A whole cluster from seeds: those that once found a fault, and fresh ones, some of them twice.
 *
 * `GREGOR_SIM_CLUSTER_SEEDS` fresh seeds are run; `GREGOR_SIM_FIRST_SEED` says where they begin. They are shared out to two
 * files of tests, because files run at the same time.
 */

import { strict as assert } from "node:assert";
import { SPARED } from "./cluster_plan.ts";
import { runCluster, runClusterTwice } from "./cluster_workload.ts";

/** The comment of each says what it found, without ambushes and hardships. */
const PAST_SEEDS: readonly number[] = [
  501, // a disk was lost with the only replica that remembered: the simulation's own fault
  13127243, // a new member gave no sign of life to a shard with which it had shared groups before, and was never filled
];

const FRESH = Number(Deno.env.get("GREGOR_SIM_CLUSTER_SEEDS") ?? 24);
const FIRST = Number(
  Deno.env.get("GREGOR_SIM_FIRST_SEED") ?? Math.floor(Math.random() * 2 ** 30),
);
const TWICE_ONE_IN = 10;
/** As many seeds fail before a run of them ends: one failure need not hide the next one. */
const FAILURES_MAX = 4;
/** The least that a run lasts (virtual ms). */
const LASTS_MS_MIN = 60_000;

/** Seeds that once failed hold. */
export function runPastSeeds(): void {
  const failures: Error[] = [];
  const asThen = (seed: number) => runCluster(seed, { plan: { ...SPARED, ambush: null } });
  for (const seed of PAST_SEEDS) run(seed, asThen, failures);
  throwAll(failures);
}

/** Fresh seeds hold, and those that are run twice run the same: one half of them, 0 or 1. */
export function runFreshSeeds(half: 0 | 1): void {
  const count = Math.ceil((FRESH - half) / 2);
  let acknowledgements = 0;
  let idle = 0;
  let elections = 0;
  let virtualMs = 0;
  const failures: Error[] = [];
  const startedMs = performance.now();
  for (let i = 0; i < count && failures.length < FAILURES_MAX; i++) {
    const simulate = i % TWICE_ONE_IN === 0 ? runClusterTwice : runCluster;
    const result = run(FIRST + 2 * i + half, simulate, failures);
    if (result === null) continue;
    acknowledgements += result.acknowledgements;
    elections += result.elections;
    virtualMs += result.virtualMs;
    if (result.acknowledgements === 0) idle++;
    assert(result.virtualMs >= LASTS_MS_MIN, "a run was too short");
  }
  throwAll(failures);
  assert(idle <= Math.max(1, count / 10), `in ${idle} of ${count} runs no client did any work`);
  const seconds = (performance.now() - startedMs) / 1000;
  console.log(
    `${count} seeds from ${
      FIRST + half
    } on: ${acknowledgements} acknowledgements and ${elections} elections in ` +
      `${(virtualMs / 3_600_000).toFixed(2)} simulated hours, ${seconds.toFixed(0)} s`,
  );
}

/** What a seed's run gives; null: it failed, and `failures` has one more. */
function run(seed: number, simulate: typeof runCluster, failures: Error[]) {
  try {
    return simulate(seed);
  } catch (error) {
    const { message } = error as Error;
    const again = `deno task sim --nodes any --seed ${seed} --trace: ${message}`;
    failures.push(new Error(again, { cause: error }));
    return null;
  }
}

function throwAll(failures: readonly Error[]): void {
  if (failures.length === 0) return;
  throw new AggregateError(failures, failures.map(({ message }) => message).join("\n"));
}

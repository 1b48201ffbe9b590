/**
 * A whole cluster from seeds: those that once found a fault, and fresh ones, some of them twice.
 *
 * `GREGOR_SIM_CLUSTER_SEEDS` fresh seeds are run; `GREGOR_SIM_FIRST_SEED` says where they begin.
 */

import { strict as assert } from "node:assert";
import { runCluster, runClusterTwice } from "./cluster_workload.ts";

/** The comment of each says what it found. */
const PAST_SEEDS: readonly number[] = [
  501, // a disk was lost with the only replica that remembered: the simulation's own fault
];

const FRESH = Number(Deno.env.get("GREGOR_SIM_CLUSTER_SEEDS") ?? 24);
const FIRST = Number(
  Deno.env.get("GREGOR_SIM_FIRST_SEED") ?? Math.floor(Math.random() * 2 ** 30),
);
const TWICE_ONE_IN = 10;
/** The least that a run lasts (virtual ms). */
const LASTS_MS_MIN = 60_000;

Deno.test("clusters: seeds that once failed hold", () => {
  for (const seed of PAST_SEEDS) run(seed, runCluster);
});

Deno.test("clusters: fresh seeds hold, and those that are run twice run the same", () => {
  let acknowledgements = 0;
  let idle = 0;
  let elections = 0;
  let virtualMs = 0;
  const startedMs = performance.now();
  for (let i = 0; i < FRESH; i++) {
    const result = run(FIRST + i, i % TWICE_ONE_IN === 0 ? runClusterTwice : runCluster);
    acknowledgements += result.acknowledgements;
    elections += result.elections;
    virtualMs += result.virtualMs;
    if (result.acknowledgements === 0) idle++;
    assert(result.virtualMs >= LASTS_MS_MIN, "a run was too short");
  }
  assert(idle <= FRESH / 10, `in ${idle} of ${FRESH} runs no client did any work`);
  const seconds = (performance.now() - startedMs) / 1000;
  console.log(
    `seeds ${FIRST} to ${
      FIRST + FRESH - 1
    }: ${acknowledgements} acknowledgements and ${elections} elections in ` +
      `${(virtualMs / 3_600_000).toFixed(2)} simulated hours, ${seconds.toFixed(0)} s`,
  );
});

function run(seed: number, simulate: typeof runCluster) {
  try {
    return simulate(seed);
  } catch (error) {
    const { message } = error as Error;
    throw new Error(`deno task sim --nodes any --seed ${seed} --trace: ${message}`, {
      cause: error,
    });
  }
}

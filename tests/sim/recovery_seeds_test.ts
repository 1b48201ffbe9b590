/**
 * Disasters from seeds: clusters that lose their majority, and go on by force (`recovery_workload.ts`).
 *
 * `GREGOR_SIM_RECOVERY_SEEDS` fresh seeds are run, the first of them twice; `GREGOR_SIM_FIRST_SEED` says where they begin.
 */

import { strict as assert } from "node:assert";
import { runDisasters, runDisastersTwice } from "./recovery_workload.ts";

/** The comment of each says what it found. */
const PAST_SEEDS: readonly number[] = [];

const FRESH = Number(Deno.env.get("GREGOR_SIM_RECOVERY_SEEDS") ?? 8);
const FIRST = Number(
  Deno.env.get("GREGOR_SIM_FIRST_SEED") ?? Math.floor(Math.random() * 2 ** 30),
);

Deno.test("clusters that lose their majority go on by force, and lose what only the lost nodes had", () => {
  const sums = {
    metadata: 0,
    partitions: 0,
    overruled: 0,
    givenUp: 0,
    acknowledgements: 0,
    lost: 0,
  };
  const failures: string[] = [];
  const fresh = Array.from({ length: FRESH }, (_, at) => FIRST + at);
  for (const seed of [...PAST_SEEDS, ...fresh]) {
    try {
      const result = seed === FIRST ? runDisastersTwice(seed) : runDisasters(seed);
      for (const name of Object.keys(sums) as (keyof typeof sums)[]) sums[name] += result[name];
    } catch (error) {
      failures.push(
        `deno task sim --disasters --seed ${seed} --trace: ${(error as Error).message}`,
      );
    }
  }
  console.log(`${FRESH} seeds from ${FIRST} on: ${JSON.stringify(sums)}`);
  assert.deepEqual(failures, []);
});

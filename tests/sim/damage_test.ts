/**
 * Whole nodes whose disk is damaged between lives: flipped bits, zeroed and stale blocks, in every kind of
 * file. What was acknowledged is served unchanged, or named as lost by a log that takes no more. What seeds
 * found is kept as small tests beside the sources (`src/storage/salvage_test.ts`).
 *
 * `GREGOR_SIM_DAMAGE_SEEDS` fresh seeds are run (one in five twice); `GREGOR_SIM_FIRST_SEED` says where they begin.
 */

import { strict as assert } from "node:assert";
import { MANIFEST_PATH } from "../../src/storage/manifest.ts";
import { takePicture } from "./disk_picture.ts";
import { SimNode } from "./sim_node.ts";
import { runOnce, runSeed, type WorkloadResult } from "./workload.ts";

const FRESH = Number(Deno.env.get("GREGOR_SIM_DAMAGE_SEEDS") ?? 25);
const FIRST = Number(
  Deno.env.get("GREGOR_SIM_FIRST_SEED") ?? Math.floor(Math.random() * 2 ** 30),
);
const TWICE_ONE_IN = 5;
/** Seeds that found what no small test shows as a whole: fetches that held what others waited for. */
const PAST = [134842714];

Deno.test("damage of every kind is named, and takes nothing else", () => {
  let strikes = 0;
  let refusals = 0;
  let suspects = 0;
  for (let i = 0; i < FRESH; i++) {
    const result = run(FIRST + i, i % TWICE_ONE_IN === 0 ? runSeed : runOnce);
    strikes += result.strikes;
    refusals += result.refusals;
    suspects += result.suspects;
  }
  assert.ok(strikes > 0, "nothing was damaged");
  console.log(
    `seeds ${FIRST} to ${FIRST + FRESH - 1}: damaged ${strikes} times, ` +
      `${refusals} starts refused, ${suspects} logs suspect`,
  );
});

for (const seed of PAST) {
  Deno.test(`seed ${seed}, which once failed, holds`, () => {
    run(seed, runOnce);
  });
}

Deno.test("a damaged manifest has a copy, by which damage elsewhere is foretold", () => {
  const node = new SimNode({ seed: 1 });
  assert(node.mount(2));
  node.crash();
  const before = takePicture(node.disk);
  node.disk.flipBit(MANIFEST_PATH, 100, 3);
  assert.equal(before.shards.length, 2);
  assert.deepEqual(takePicture(node.disk).shards, before.shards);
});

function run(seed: number, simulate: typeof runSeed): WorkloadResult {
  try {
    return simulate(seed, { damage: true });
  } catch (error) {
    const message = `deno task sim --damage --seed ${seed} --trace: ${(error as Error).message}`;
    throw new Error(message, { cause: error });
  }
}

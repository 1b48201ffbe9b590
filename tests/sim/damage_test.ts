/**
 * Whole nodes whose disk is damaged between lives: flipped bits, zeroed and stale blocks, in every kind of
 * file. What was acknowledged is served unchanged, or named as lost by a log that takes no more.
 *
 * `GREGOR_SIM_DAMAGE_SEEDS` fresh seeds are run (each twice); `GREGOR_SIM_FIRST_SEED` says where they begin.
 */

import { strict as assert } from "node:assert";
import { runOnce, runSeed, type WorkloadResult } from "./workload.ts";

/** What each of them found is told in its comment. */
const PAST_SEEDS = [
  238, // a group whose first record was damaged came back empty, and was written to
  252, // a stale checkpoint slot, the other one damaged: taken for the truth without a word
  294, // groups that only lost slots knew of came back empty
  398, // index and segment damaged: the sound part of the segment was refused as well
  40021, // a stale block of an earlier index left a hole, and a read went past it
  20063, // damage at an extent's end was named in the wrong file
  113, // damage without a sound write before it was named in the wrong file
  5208, // bytes before an append were made up: no damage at all, see engine_test.ts
  1254, // a segment that was gone, and its index not in memory: refused without a name
  150, // both slots lost, nothing in the journal: damage was named where there was none
];

const FRESH = Number(Deno.env.get("GREGOR_SIM_DAMAGE_SEEDS") ?? 40);
const FIRST = Number(
  Deno.env.get("GREGOR_SIM_FIRST_SEED") ?? Math.floor(Math.random() * 2 ** 30),
);

Deno.test("damage that was once missed is named", () => {
  for (const seed of PAST_SEEDS) run(seed, runOnce);
});

Deno.test("damage of every kind is named, and takes nothing else", () => {
  let strikes = 0;
  let refusals = 0;
  let suspects = 0;
  for (let i = 0; i < FRESH; i++) {
    const result = run(FIRST + i, runSeed);
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

function run(
  seed: number,
  how: (seed: number, options: { damage: boolean }) => WorkloadResult,
): WorkloadResult {
  try {
    return how(seed, { damage: true });
  } catch (error) {
    const message = `deno task sim --damage --seed ${seed}: ${(error as Error).message}`;
    throw new Error(message, { cause: error });
  }
}

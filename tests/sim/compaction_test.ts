import { strict as assert } from "node:assert";
import { CompactionSimulation } from "./compaction_simulation.ts";

Deno.test("compacted logs keep the last value of each key, their offsets and producers, through power cuts", () => {
  const met = { rounds: 0, removed: 0, crashes: 0, partial: 0 };
  // GREGOR_TEST_SEEDS=FIRST-LAST (or COUNT) runs others than the usual ones.
  const chosen = /^(?:(\d+)-)?(\d+)$/.exec(Deno.env.get("GREGOR_TEST_SEEDS") ?? "60");
  assert.ok(chosen !== null, "GREGOR_TEST_SEEDS is neither COUNT nor FIRST-LAST");
  for (let seed = Number(chosen[1] ?? 1); seed <= Number(chosen[2]); seed++) {
    const simulation = new CompactionSimulation(seed);
    try {
      simulation.run(5, 300);
    } catch (error) {
      throw new Error(`seed ${seed}, life ${simulation.crashes}`, { cause: error });
    }
    for (const what of Object.keys(met) as (keyof typeof met)[]) met[what] += simulation[what];
  }
  for (const [what, count] of Object.entries(met)) assert.ok(count > 0, `no ${what} in any run`);
  console.log(met);
});

Deno.test("a power cut at each write of a round, and of the checkpoints after it, loses and brings back nothing", () => {
  // With either slot of the checkpoint damaged, too: whichever is left names files that are there.
  for (const slot of [-1, 0, 1]) {
    let cuts = 0;
    let kept = 0;
    for (let operations = 0;; operations++) {
      const simulation = new CompactionSimulation(7);
      let result;
      try {
        result = simulation.cutAt(operations, slot);
      } catch (error) {
        throw new Error(`cut after ${operations} operations, slot ${slot}`, { cause: error });
      }
      if (result.hasLog) kept++;
      if (!result.isCut) break;
      cuts++;
    }
    assert.ok(cuts > 30, `there were ${cuts} cuts`);
    assert.ok(kept > 30, `the log was there after ${kept} of ${cuts} cuts`);
  }
});

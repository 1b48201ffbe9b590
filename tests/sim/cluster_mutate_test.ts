import { strict as assert } from "node:assert";
import { preyOf } from "../mutate/cluster_hunt.ts";
import { CLUSTER_MUTATIONS } from "../mutate/cluster_mutations.ts";
import { failureWithout, hunt, lineOf } from "../mutate/mutate.ts";

/** Whole clusters that are simulated for a bug; nearly all are caught by the first few. */
const SEEDS = 60;

Deno.test("simulations catch deliberate bugs of the cluster", async () => {
  const told = (verdict: Parameters<typeof lineOf>[0]): void => console.log(lineOf(verdict));
  const verdicts = await hunt(CLUSTER_MUTATIONS, SEEDS, told, preyOf());
  const missed = verdicts.filter(({ outcome }) => outcome !== "caught");
  assert.deepEqual(missed.map(lineOf), []);
  // The bugs are what these seeds fail by.
  const seeds = verdicts.map(({ detail }) => /^seed (\w+)-(\d+):/.exec(detail));
  const tries = new Set(seeds.flatMap((seed) => seed === null ? [] : [`${seed[1]}:${seed[2]}`]));
  assert.ok(tries.size > 0);
  assert.equal(await failureWithout([...tries], preyOf()), null);
});

Deno.test("every deliberate bug of the cluster still applies to the sources", async () => {
  for (const { name, edits } of CLUSTER_MUTATIONS) {
    for (const { file, find } of edits) {
      const source = await Deno.readTextFile(new URL(`../../src/${file}`, import.meta.url));
      assert.equal(source.split(find).length, 2, `${name}: not found once in ${file}`);
    }
  }
});

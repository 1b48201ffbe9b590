import { strict as assert } from "node:assert";
import { preyOf } from "../mutate/cluster_hunt.ts";
import { CLUSTER_MUTATIONS, HARD_MUTATIONS } from "../mutate/cluster_mutations.ts";
import { failureWithout, hunt, lineOf, type Prey } from "../mutate/mutate.ts";
import type { Mutation } from "../mutate/mutations.ts";

/** Whole clusters that are simulated for a bug; nearly all are caught by the first few. */
const SEEDS = 60;

async function assertCaught(mutations: readonly Mutation[], prey: Prey): Promise<void> {
  const told = (verdict: Parameters<typeof lineOf>[0]): void => console.log(lineOf(verdict));
  const verdicts = await hunt(mutations, SEEDS, told, prey);
  const missed = verdicts.filter(({ outcome }) => outcome !== "caught");
  assert.deepEqual(missed.map(lineOf), []);
  // The bugs are what these seeds fail by.
  const seeds = verdicts.map(({ detail }) => /^seed (\w+)-(\d+):/.exec(detail));
  const tries = new Set(seeds.flatMap((seed) => seed === null ? [] : [`${seed[1]}:${seed[2]}`]));
  assert.ok(tries.size > 0);
  assert.equal(await failureWithout([...tries], prey), null);
}

Deno.test("simulations catch deliberate bugs of the cluster", async () => {
  await assertCaught(CLUSTER_MUTATIONS, preyOf());
});

Deno.test("clusters with all hardships catch deliberate bugs, too, and those that only damage shows", async () => {
  await assertCaught(HARD_MUTATIONS, preyOf("hard"));
});

Deno.test("every deliberate bug of the cluster still applies to the sources", async () => {
  for (const { name, edits } of [...CLUSTER_MUTATIONS, ...HARD_MUTATIONS]) {
    for (const { file, find } of edits) {
      const source = await Deno.readTextFile(new URL(`../../src/${file}`, import.meta.url));
      assert.equal(source.split(find).length, 2, `${name}: not found once in ${file}`);
    }
  }
});

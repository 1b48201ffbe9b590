import { strict as assert } from "node:assert";
import { CLUSTER } from "../mutate/cluster_hunt.ts";
import { CLUSTER_MUTATIONS } from "../mutate/cluster_mutations.ts";
import { hunt, lineOf } from "../mutate/mutate.ts";

/** Seeds tried for a bug whose known seed does not meet it any more. */
const SEEDS = 12;

Deno.test("the simulation of clusters catches deliberate bugs of which a seed is known", async () => {
  const known = CLUSTER_MUTATIONS.filter(({ seed }) => seed !== undefined);
  const told = (verdict: Parameters<typeof lineOf>[0]): void => console.log(lineOf(verdict));
  const verdicts = await hunt(known, SEEDS, told, CLUSTER);
  const missed = verdicts.filter(({ outcome }) => outcome !== "caught");
  assert.deepEqual(missed.map(lineOf), []);
});

Deno.test("every deliberate bug of the cluster still applies to the sources", async () => {
  for (const { name, edits } of CLUSTER_MUTATIONS) {
    for (const { file, find } of edits) {
      const source = await Deno.readTextFile(new URL(`../../src/${file}`, import.meta.url));
      assert.equal(source.split(find).length, 2, `${name}: not found once in ${file}`);
    }
  }
});

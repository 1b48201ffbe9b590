/**
 * `deno run -A tests/mutate/cluster_hunt.ts [--seeds N] [--only WORDS]`: puts one deliberate bug after the other into a copy
 * of the sources, and simulates whole clusters until a seed fails.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { CLUSTER_MUTATIONS } from "./cluster_mutations.ts";
import { hunt, lineOf, type Prey } from "./mutate.ts";

export const CLUSTER: Prey = {
  sources: "src",
  hunter: "tests/mutate/hunt_cluster.ts",
  seedTimeoutMs: 300_000,
};
const SEEDS_DEFAULT = 40;

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      seeds: { type: "string", default: `${SEEDS_DEFAULT}` },
      only: { type: "string", default: "" },
    },
  });
  const chosen = CLUSTER_MUTATIONS.filter(({ name }) => name.includes(values.only));
  const told = (verdict: Parameters<typeof lineOf>[0]): void => console.log(lineOf(verdict));
  const verdicts = await hunt(chosen, Number(values.seeds), told, CLUSTER);
  const caught = verdicts.filter(({ outcome }) => outcome === "caught").length;
  console.log(`${caught} of ${chosen.length} bugs were caught`);
  Deno.exit(caught === chosen.length && caught > 0 ? 0 : 1);
}

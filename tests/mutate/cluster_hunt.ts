/**
 * `deno run -A tests/mutate/cluster_hunt.ts [--seeds N] [--only WORDS] [--in SIMULATION]`: puts one deliberate bug after the
 * other into a copy of the sources, and runs the simulations in which it may show until a seed fails: the cheap ones first, at
 * last whole clusters.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { CLUSTER_MUTATIONS, HARD_MUTATIONS } from "./cluster_mutations.ts";
import { hunt, lineOf, type Prey } from "./mutate.ts";
import type { Mutation } from "./mutations.ts";

/** Simulations below the whole cluster: the part of the sources that they run, and the seeds of them that CI runs. */
const SMALL = [
  { name: "raft", parts: ["raft/"], seeds: 200 },
  { name: "replication", parts: ["raft/", "replication/", "storage/"], seeds: 20 },
];
const SEEDS_DEFAULT = 60;

/** Clusters with all hardships, as those of CI's fresh seeds. */
const HARD = "hard";

/** @param only the one simulation to run; all in which a bug may show when absent */
export function preyOf(only?: string): Prey {
  return {
    sources: "src",
    hunter: "tests/mutate/hunt_cluster.ts",
    tries: (mutation, seeds) => {
      if (only === HARD) return [`${HARD}:1-${seeds}`];
      const all = [...smallOf(mutation), `cluster:1-${seeds}`];
      return all.filter((each) => only === undefined || each.startsWith(only));
    },
    seedTimeoutMs: 300_000,
  };
}

function smallOf({ edits }: Mutation): string[] {
  const runs = (parts: readonly string[]): boolean =>
    edits.every(({ file }) => parts.some((part) => file.startsWith(part)));
  return SMALL.filter(({ parts }) => runs(parts)).map(({ name, seeds }) => `${name}:1-${seeds}`);
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      seeds: { type: "string", default: `${SEEDS_DEFAULT}` },
      only: { type: "string", default: "" },
      in: { type: "string" },
    },
  });
  const known = values.in === HARD ? HARD_MUTATIONS : CLUSTER_MUTATIONS;
  const chosen = known.filter(({ name }) => name.includes(values.only));
  const told = (verdict: Parameters<typeof lineOf>[0]): void => console.log(lineOf(verdict));
  const verdicts = await hunt(chosen, Number(values.seeds), told, preyOf(values.in));
  const caught = verdicts.filter(({ outcome }) => outcome === "caught").length;
  console.log(`${caught} of ${chosen.length} bugs were caught`);
  Deno.exit(caught === chosen.length && caught > 0 ? 0 : 1);
}

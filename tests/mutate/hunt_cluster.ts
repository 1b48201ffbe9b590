/**
 * Runs seeds of a whole cluster until one fails; run by `cluster_hunt.ts` in a copy of the tree. Arguments and output are
 * those of `hunt.ts`.
 *
 * @module
 */

import { runCluster } from "../sim/cluster_workload.ts";

function hunt(): string {
  for (const range of Deno.args) {
    const [first, last] = range.split("-").map(Number);
    for (let seed = first!; seed <= (last ?? first!); seed++) {
      console.log(`try ${seed}`);
      try {
        runCluster(seed);
      } catch (error) {
        const reason = error instanceof Error ? error.message : `${error}`;
        return `caught ${seed} ${reason.split("\n")[0]}`;
      }
    }
  }
  return "survived";
}

console.log(hunt());

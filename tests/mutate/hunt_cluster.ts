/**
 * Runs seeds of the simulations in which a cluster's bugs show until one fails; run by `cluster_hunt.ts` in a copy of the tree.
 * Arguments are ranges (`raft:1-200`, `replication:1-20`, `cluster:1-60`; `hard:1-60` are clusters with all hardships), tried in
 * this order. Output is that of `hunt.ts`.
 *
 * @module
 */

import { RaftSimulation } from "../../src/raft/test_simulation.ts";
import { SPARED } from "../sim/cluster_plan.ts";
import { runCluster } from "../sim/cluster_workload.ts";
import { ReplicationSimulation } from "../sim/replication_simulation.ts";

const SIMULATIONS: Readonly<Record<string, (seed: number) => unknown>> = {
  raft: (seed) => new RaftSimulation(seed).run(),
  replication: (seed) => new ReplicationSimulation(seed).run(),
  // Where disks fail as well, fewer seeds meet what a bug needs.
  cluster: (seed) => runCluster(seed, { plan: SPARED }),
  hard: (seed) => runCluster(seed, { damage: true }),
};

function hunt(): string {
  for (const argument of Deno.args) {
    const [name, range] = argument.split(":") as [string, string];
    const [first, last] = range.split("-").map(Number);
    for (let seed = first!; seed <= (last ?? first!); seed++) {
      console.log(`try ${name}-${seed}`);
      try {
        SIMULATIONS[name]!(seed);
      } catch (error) {
        const reason = error instanceof Error ? error.message : `${error}`;
        return `caught ${name}-${seed} ${reason.split("\n")[0]}`;
      }
    }
  }
  return "survived";
}

console.log(hunt());

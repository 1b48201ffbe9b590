/**
 * A simulated cluster of more nodes than the first programs could have: all of them get the metadata.
 */

import { strict as assert } from "node:assert";
import { FEW_LEARNERS_MAX } from "../../src/cluster/logical_version.ts";
import { CONTROLLER_VOTERS_MAX } from "../../src/cluster/members.ts";
import { SimCluster } from "./sim_cluster.ts";

const NODES = CONTROLLER_VOTERS_MAX + FEW_LEARNERS_MAX + 1;
const FOUNDERS = 3;

Deno.test(`${NODES} nodes know all of each other`, () => {
  const node = { arenaBytes: 48 * 2 ** 20, settings: { "offsets.topic.num.partitions": "1" } };
  const cluster = new SimCluster({ seed: 3, nodes: NODES, node, founds: true, founders: FOUNDERS });
  const wait = (what: string, isSo: () => boolean): void => {
    const lateMs = cluster.nowMs + 30_000;
    while (!isSo()) {
      assert(cluster.nowMs < lateMs, `not in time: ${what}`);
      cluster.rest(20);
    }
  };
  for (const each of cluster.nodes.slice(0, FOUNDERS)) each.begin(1);
  wait("the founding", () => cluster.accepting.length === FOUNDERS);
  for (const each of cluster.nodes.slice(FOUNDERS)) each.begin(1);
  wait("the others", () => cluster.accepting.length === NODES);
  wait(
    "the metadata everywhere",
    () => cluster.nodes.every(({ shards }) => shards[0]!.shard.image.nodes.size === NODES),
  );
});

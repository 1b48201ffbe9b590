/** What tests do with the logs of a {@linkcode ReplicaCluster}: append, wait for the commit, compare. */

import { strict as assert } from "node:assert";
import { ReplicaCluster, type ReplicaNode } from "../../tests/sim/replica_cluster.ts";
import { LOG_BUSY } from "../storage/log.ts";

/** The group that all nodes have. */
export const GROUP = 5;

export function ledCluster(
  count: number,
  seed: number,
): { cluster: ReplicaCluster; leader: ReplicaNode } {
  const cluster = new ReplicaCluster(count, seed);
  cluster.openAll(GROUP);
  cluster.until("a leader", () => cluster.leaderOf(GROUP) !== null);
  return { cluster, leader: cluster.leaderOf(GROUP)! };
}

/** Appends `count` batches on the leader, as fast as its log takes them; the log's end. */
export function appendMany(
  cluster: ReplicaCluster,
  leader: ReplicaNode,
  count: number,
  valueBytes: (i: number) => number,
): number {
  let end = 0;
  for (let i = 0; i < count; i++) {
    let result = LOG_BUSY;
    cluster.until(
      "room",
      () => (result = cluster.append(leader, GROUP, 1 + i % 3, valueBytes(i))) >= 0,
    );
    end = result;
    if (i % 7 === 0) cluster.step();
  }
  return end;
}

export function committed(
  cluster: ReplicaCluster,
  nodes: readonly ReplicaNode[],
  end: number,
): void {
  cluster.until(
    `the commit of ${end}`,
    () => nodes.every((node) => cluster.replica(node, GROUP).commitOffset >= end),
  );
}

/** Bytes of the whole log on a node, up to `end`. */
export function bytesOf(cluster: ReplicaCluster, node: ReplicaNode, end: number): Uint8Array {
  const { log } = cluster.replica(node, GROUP);
  assert.ok(log.endOffset >= end);
  return node.storage.readAll(log, log.startOffset)!;
}

export function assertEqualLogs(cluster: ReplicaCluster, end: number): void {
  const [first, ...others] = cluster.nodes.map((node) => bytesOf(cluster, node, end));
  for (const other of others) assert.deepEqual(other, first);
}

import { strict as assert } from "node:assert";
import { ReplicaCluster, type ReplicaNode } from "../../tests/sim/replica_cluster.ts";
import { LOG_BUSY } from "../storage/log.ts";

const GROUP = 5;

function ledCluster(seed: number): { cluster: ReplicaCluster; leader: ReplicaNode } {
  const cluster = new ReplicaCluster(3, seed);
  cluster.openAll(GROUP);
  cluster.until("a leader", () => cluster.leaderOf(GROUP) !== null);
  return { cluster, leader: cluster.leaderOf(GROUP)! };
}

/** Appends three batches on the leader; the log's end. */
function appendSome(cluster: ReplicaCluster, leader: ReplicaNode): number {
  let end = 0;
  for (let i = 0; i < 3; i++) {
    end = LOG_BUSY;
    cluster.until("room", () => (end = cluster.append(leader, GROUP, 1, 300)) >= 0);
  }
  return end;
}

Deno.test("a node that takes nothing keeps its records in memory, and holds up no commit of the others", () => {
  const { cluster, leader } = ledCluster(11);
  const slow = cluster.nodes.find((node) => node !== leader)!;
  cluster.clogged.add(leader.id * 100 + slow.id);
  appendSome(cluster, leader);
  cluster.pass(20);
  cluster.hasPinRoom = false;
  const others = cluster.nodes.filter((node) => node !== slow);
  const end = appendSome(cluster, leader);
  const isCommitted = (node: ReplicaNode): boolean =>
    cluster.replica(node, GROUP).commitOffset >= end;
  cluster.until("the commit", () => others.every(isCommitted), 2_000);
  const other = GROUP + 1;
  cluster.openAll(other);
  cluster.until("a leader of another group", () => cluster.leaderOf(other) !== null, 2_000);
});

Deno.test("a leader whose first append has to wait for memory sends it when there is some", () => {
  const { cluster, leader } = ledCluster(11);
  for (const { id } of cluster.nodes) cluster.clogged.add(leader.id * 100 + id);
  appendSome(cluster, leader);
  cluster.pass(20);
  cluster.hasPinRoom = false;
  const other = GROUP + 1;
  cluster.openAll(other);
  cluster.until("an election", () => cluster.replica(leader, other).raft.leaderId === leader.id);
  cluster.pass(300);
  assert.equal(cluster.leaderOf(other), null, "its first entry cannot have been sent");
  cluster.clogged.clear();
  cluster.until("a leader of the other group", () => cluster.leaderOf(other) !== null);
});

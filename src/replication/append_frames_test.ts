import { strict as assert } from "node:assert";
import { ReplicaCluster, type ReplicaNode } from "../../tests/sim/replica_cluster.ts";
import { REPLICATION_FRAMES_MAX } from "../base/limits.ts";
import { LOG_BUSY } from "../storage/log.ts";
import type { AppendFrame } from "./append_frame.ts";
import { AppendFrames } from "./append_frames.ts";
import type { GroupReplica } from "./group_replica.ts";

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

Deno.test("very many groups that wait for a node hear that it is gone, one after the other", () => {
  const held: AppendFrame[] = [];
  let isDown = false;
  let givenUp = 0;
  const frames: AppendFrames = new AppendFrames({
    owner: {
      onRead: (frame) => {
        if (!isDown) return void held.push(frame);
        givenUp++;
        frame.end();
      },
      onOver: (frame) => frames.over(frame),
    },
    nodeId: 1,
    view: new DataView(new ArrayBuffer(0)),
    pinRoom: () => 1,
  });
  // Its log has nothing beyond what is asked for: a frame is read at once.
  const log = { metaFrom: () => null, startIndex: 0, lastIndex: 0 };
  const waiting = 20_000;
  for (let i = 0; i < REPLICATION_FRAMES_MAX + waiting; i++) {
    const replica = { log, raft: { term: 1, leaderId: 1 }, isClosed: false };
    frames.ask(replica as unknown as GroupReplica, 2, 1, 1000);
  }
  assert.equal(held.length, REPLICATION_FRAMES_MAX);
  isDown = true;
  for (const frame of held) frame.end();
  assert.equal(givenUp, waiting);
});

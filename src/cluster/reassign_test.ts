import { strict as assert } from "node:assert";
import { ErrorCode } from "../wire/errors.ts";
import { createTopics } from "./create_topics.ts";
import { ClusterImage, type PartitionImage } from "./image.ts";
import { memberIncarnation, replicaIncarnation } from "./members.ts";
import { registerNode } from "./membership.ts";
import { alterReplicas, completeChange, emitChange, replaceReplica } from "./reassign.ts";
import { TestCluster, testNode } from "./test_cluster.ts";

/** Lives whose first digits differ, so that their members do. */
function node(nodeId: number, life = "a") {
  return { ...testNode(nodeId), incarnation: `${life}${nodeId}`.padEnd(32, "0") };
}

function lifeOf(nodeId: number, life = "a"): number {
  return memberIncarnation(node(nodeId, life).incarnation);
}

/** Nodes 0 to 4, and a partition of `t` on some of them. */
function cluster(replicas: number[]): { cluster: TestCluster; partition: PartitionImage } {
  const made = new TestCluster({ nodes: [0, 1, 2, 3, 4].map((nodeId) => node(nodeId)) });
  made.run((context) => {
    const assignments = [{ partitionIndex: 0, brokerIds: replicas }];
    const topic = { name: "t", numPartitions: -1, replicationFactor: -1, assignments, configs: [] };
    const [result] = createTopics(context, [topic], false);
    assert.equal(result!.error, ErrorCode.NONE);
  });
  return { cluster: made, partition: made.image.topicByName("t")!.partitions[0]! };
}

function move(on: TestCluster, replicas: number[] | null, allowsOtherCount = true): ErrorCode {
  const wanted = { topic: "t", index: 0, replicas };
  return on.run((context) => alterReplicas(context, wanted, allowsOtherCount))!.error;
}

function view({ replicas, adding, removing }: PartitionImage): string {
  return `${replicas.join(" ")} + ${adding.join(" ")} - ${removing.join(" ")}`;
}

function complete(on: TestCluster, { groupId, change }: PartitionImage): boolean {
  return on.run((context) => completeChange(context, groupId, change))!;
}

Deno.test("a change names the wanted replicas, then those on their way out, until the members have followed", () => {
  const { cluster: on, partition } = cluster([0, 1, 2]);
  assert.equal(move(on, [3, 1, 2]), ErrorCode.NONE);
  assert.equal(view(partition), "3 1 2 0 + 3 - 0");
  assert.deepEqual(partition.wantedMembers, [
    { node: 3, incarnation: replicaIncarnation(lifeOf(3), 1) },
    { node: 1, incarnation: lifeOf(1) },
    { node: 2, incarnation: lifeOf(2) },
  ]);
  assert(complete(on, partition));
  assert.equal(view(partition), "3 1 2 +  - ");
  assert(!complete(on, partition), "nothing is under way");
  assert.deepEqual([0, 1, 2, 3].map((id) => on.image.loadOf(id).replicas), [0, 1, 1, 1]);
  assert.equal(on.image.loadOf(3).leaders, 1);
});

Deno.test("a change that is taken back or replaced keeps everybody until the members say so", () => {
  const { cluster: on, partition } = cluster([0, 1, 2]);
  move(on, [0, 1, 3]);
  const { change } = partition;
  assert.equal(move(on, null), ErrorCode.NONE);
  assert.equal(view(partition), "0 1 2 3 + 2 - 3");
  assert(!on.run((context) => completeChange(context, partition.groupId, change)), "an old report");
  assert(complete(on, partition));
  assert.equal(view(partition), "0 1 2 +  - ");
  assert.equal(move(on, null), ErrorCode.NO_REASSIGNMENT_IN_PROGRESS);
  move(on, [0, 1, 3]);
  move(on, [0, 1, 4]);
  assert.equal(view(partition), "0 1 4 3 2 + 4 - 3 2");
  assert(complete(on, partition));
  assert.equal(view(partition), "0 1 4 +  - ");
});

Deno.test("a change of which nothing would be left is not taken back, and the controller goes on", () => {
  const { cluster: on, partition } = cluster([0]);
  move(on, [1]);
  move(on, [1, 0]);
  // Node 1 is on its way in, and node 0, which was on its way out, is again.
  assert.equal(view(partition), "1 0 + 1 0 - ");
  assert.equal(move(on, null), ErrorCode.INVALID_REPLICA_ASSIGNMENT);
  assert.equal(view(partition), "1 0 + 1 0 - ");
  assert.equal(move(on, [0]), ErrorCode.NONE);
  assert(complete(on, partition));
  assert.equal(view(partition), "0 +  - ");
});

Deno.test("who comes back to a partition is another member, and has another log", () => {
  const { cluster: on, partition } = cluster([0, 1, 2]);
  const first = partition.incarnationOf(0, lifeOf(0));
  move(on, [1, 2, 3]);
  complete(on, partition);
  assert.equal(partition.incarnationOf(0, lifeOf(0)), null);
  move(on, [0, 1, 2]);
  assert.notEqual(partition.incarnationOf(0, lifeOf(0)), first);
  assert.equal(partition.holderOf(0)!.since, 3);
  assert.equal(partition.incarnationOf(1, lifeOf(1)), lifeOf(1), "who stays is who it was");
});

Deno.test("a node that lost its disk is another member, of which nothing is left out", () => {
  const { cluster: on, partition } = cluster([0, 1, 2]);
  on.run((context) => registerNode(context, node(1, "b")));
  assert.equal(partition.incarnationOf(1, lifeOf(1, "b")), null, "not yet");
  on.run((context) => emitChange(context, partition, partition.target));
  assert.equal(view(partition), "0 1 2 +  - ");
  assert.equal(partition.incarnationOf(1, lifeOf(1)), null);
  assert.equal(
    partition.incarnationOf(1, lifeOf(1, "b")),
    replicaIncarnation(lifeOf(1, "b"), partition.change),
  );
  const { change } = partition;
  on.run((context) => emitChange(context, partition, partition.target));
  assert.equal(partition.change, change, "once");
});

Deno.test("a partition on one node grows, and its first replica stays who it was", () => {
  const { cluster: on, partition } = cluster([0]);
  assert.equal(partition.incarnationOf(0, 99), 0, "whoever has that id");
  move(on, [0, 1, 2]);
  assert.equal(view(partition), "0 1 2 + 1 2 - ");
  assert.equal(partition.incarnationOf(0, lifeOf(0)), 0);
  assert.equal(partition.incarnationOf(0, lifeOf(0, "b")), null);
  assert.equal(partition.wantedMembers[0]!.incarnation, 0);
});

Deno.test("the only replica of a partition that began again on an empty disk keeps its log when the partition grows or moves", () => {
  for (const target of [[0, 1, 2], [1]]) {
    const { cluster: on, partition } = cluster([0]);
    on.run((context) => registerNode(context, node(0, "b")));
    assert.equal(partition.incarnationOf(0, lifeOf(0, "b")), 0, "it serves clients");
    move(on, target);
    assert.equal(
      partition.incarnationOf(0, lifeOf(0, "b")),
      0,
      "it is the voter that has the records",
    );
    assert.equal(partition.holderOf(0)!.since, 0, "its log is that of the creation");
    assert.equal(partition.incarnationOf(0, lifeOf(0, "c")), null, "another life has none of them");
    assert(!partition.adding.includes(0));
  }
});

Deno.test("a partition whose only replica moved, and then lost its disk, begins again there, in epochs that nobody has seen", () => {
  const { cluster: on, partition } = cluster([0]);
  move(on, [1]);
  assert.deepEqual(
    partition.beginners,
    partition.founders,
    "the log is copied from the first replica",
  );
  complete(on, partition);
  on.latestEpoch = 30;
  on.run((context) => registerNode(context, node(1, "b")));
  assert.equal(partition.incarnationOf(1, lifeOf(1, "b")), null, "not yet");
  on.run((context) => emitChange(context, partition, partition.target));
  const incarnation = partition.incarnationOf(1, lifeOf(1, "b"))!;
  assert.deepEqual(partition.beginners, [{ node: 1, incarnation }]);
  assert(
    on.image.epochFloor > 1_000,
    "also where the controller did not hear how far its epochs had got",
  );
});

Deno.test("what cannot be is refused", () => {
  const { cluster: on } = cluster([0, 1, 2]);
  assert.equal(move(on, []), ErrorCode.INVALID_REPLICA_ASSIGNMENT);
  assert.equal(move(on, [1, 1]), ErrorCode.INVALID_REPLICA_ASSIGNMENT);
  assert.equal(move(on, [0, 7]), ErrorCode.INVALID_REPLICA_ASSIGNMENT);
  assert.equal(move(on, [0, 1], false), ErrorCode.INVALID_REPLICATION_FACTOR);
  const commands = on.commands.length;
  assert.equal(move(on, [0, 1, 2]), ErrorCode.NONE);
  assert.equal(on.commands.length, commands, "nothing to do");
  const unknown = { topic: "u", index: 0, replicas: [0] };
  const { error } = on.run((context) => alterReplicas(context, unknown, true))!;
  assert.equal(error, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION);
  on.run((context) => registerNode(context, { ...node(4), logicalVersion: 1 }));
  assert.equal(move(on, [0, 1, 3]), ErrorCode.UNSUPPORTED_VERSION);
});

Deno.test("an image is the same after a snapshot in the middle of a change", () => {
  const { cluster: on, partition } = cluster([0, 1, 2]);
  move(on, [1, 2, 3]);
  complete(on, partition);
  move(on, [0, 1, 2]);
  const copy = new ClusterImage(0, new Map());
  for (const record of on.image.snapshotRecords()) assert.equal(copy.replay(record), null);
  const again = copy.topicByName("t")!.partitions[0]!;
  assert.equal(view(again), view(partition));
  assert.deepEqual(again.holders, partition.holders);
  assert.deepEqual(again.founders, partition.founders);
  assert.equal(again.change, partition.change);
  assert.deepEqual([...copy.snapshotRecords()], [...on.image.snapshotRecords()]);
});

Deno.test("a replica that has lost its log is another member, where a majority is there without it", () => {
  const { cluster: on, partition } = cluster([0, 1, 2]);
  const replace = (nodeId: number, since: number, down: readonly number[] = []): boolean =>
    on.run((context) => {
      const isAlive = (id: number): boolean => !down.includes(id);
      return replaceReplica({ ...context, isAlive }, partition.groupId, nodeId, since);
    })!;
  assert(!replace(1, 0, [2]), "node 0 would not be a majority");
  assert(!replace(3, 0), "node 3 has no replica");
  assert(!replace(1, 1), "a report of another time");
  assert(replace(1, 0));
  assert.equal(view(partition), "0 1 2 + 1 - ");
  assert.deepEqual(partition.wantedMembers, [
    { node: 0, incarnation: lifeOf(0) },
    { node: 1, incarnation: replicaIncarnation(lifeOf(1), 1) },
    { node: 2, incarnation: lifeOf(2) },
  ]);
  assert(!replace(1, 0), "it was told twice");
  assert(!replace(2, 0), "one after the other");
  assert(complete(on, partition));
  assert(replace(1, 1), "and again, some other day");
  const { cluster: small, partition: two } = cluster([0, 1]);
  assert(!small.run((context) => replaceReplica(context, two.groupId, 1, 0)), "half of two");
});

import { strict as assert } from "node:assert";
import { ErrorCode } from "../wire/errors.ts";
import { createTopics } from "./create_topics.ts";
import { ClusterImage } from "./image.ts";
import { passByIds, registerNode } from "./membership.ts";
import { allocateProducerIds } from "./producer_ids.ts";
import { type RecoveredVoter, recoverPartition } from "./recover_partition.ts";
import { encodeCommand } from "./records.ts";
import { alterReplicas, emitChange } from "./reassign.ts";
import { replayCommand, TestCluster, testNode } from "./test_cluster.ts";

/** A partition on the nodes 0, 1 and 2, of four. */
function cluster(): TestCluster {
  const made = new TestCluster({ nodes: [0, 1, 2, 3].map((nodeId) => testNode(nodeId)) });
  made.run((context) => {
    const assignments = [{ partitionIndex: 0, brokerIds: [0, 1, 2] }];
    const topic = { name: "t", numPartitions: -1, replicationFactor: -1, assignments, configs: [] };
    createTopics(context, [topic], false);
  });
  return made;
}

function recover(
  on: TestCluster,
  nodeId: number,
  alive: readonly number[],
  partition = 0,
  voters: readonly RecoveredVoter[] = [],
): { readonly error: ErrorCode; readonly message: string | null } {
  return on.run((context) =>
    recoverPartition(
      { ...context, isAlive: (node) => alive.includes(node) },
      { topic: "t", partition, nodeId, voters },
    )
  )!;
}

Deno.test("a partition without its majority goes on with the named replica, in every copy of the metadata", () => {
  const on = cluster();
  assert.equal(recover(on, 2, [2, 3]).error, ErrorCode.NONE);
  const partition = on.image.topicByName("t")!.partitions[0]!;
  assert.deepEqual([partition.replicas, partition.isForced, partition.change], [[2], true, 1]);
  assert.equal(partition.holderOf(0), null);
  const copy = new ClusterImage(2, new Map());
  replayCommand(copy, encodeCommand([...on.image.snapshotRecords()]));
  assert.equal(copy.topicByName("t")!.partitions[0]!.isForced, true);
  // What is decided after that is no longer forced.
  on.run((context) => alterReplicas(context, { topic: "t", index: 0, replicas: [2, 3] }, true));
  assert.deepEqual([partition.replicas, partition.isForced], [[2, 3], false]);
});

Deno.test("nothing is given up while a majority is there, and only a replica that is there goes on", () => {
  const on = cluster();
  const majority = recover(on, 1, [1, 2, 3]);
  assert.equal(majority.error, ErrorCode.ELECTION_NOT_NEEDED);
  assert.match(
    majority.message!,
    /2 of the 3 replicas of t\/0 can be reached, which is a majority/,
  );
  assert.equal(recover(on, 1, [2]).error, ErrorCode.BROKER_NOT_AVAILABLE);
  const stranger = recover(on, 3, [2, 3]);
  assert.equal(stranger.error, ErrorCode.INVALID_REPLICA_ASSIGNMENT);
  assert.match(stranger.message!, /node 3 has no replica of t\/0/);
  assert.equal(recover(on, 2, [2], 7).error, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION);
  assert.equal(on.image.topicByName("t")!.partitions[0]!.change, 0);
});

Deno.test("after the metadata was recovered, no id is given out that its lost end may have given out", () => {
  const on = cluster();
  // What another controller did, of which the copy that goes on knows nothing.
  const lost = cluster();
  for (let i = 0; i < 500; i++) lost.run((context) => allocateProducerIds(context));
  lost.run((context) => {
    const topic = {
      name: "u",
      numPartitions: 100,
      replicationFactor: 1,
      assignments: [],
      configs: [],
    };
    createTopics(context, [topic], false);
  });
  on.run((context) => passByIds(context));
  assert(on.run((context) => allocateProducerIds(context)) >= lost.image.nextProducerId);
  assert(on.image.nextGroupId >= lost.image.nextGroupId);
});

/** Voters that a replica of the partition would name now, or that are given. */
function voter(
  on: TestCluster,
  nodeId: number,
  more: Partial<RecoveredVoter> = {},
): RecoveredVoter {
  const { incarnation } = on.image.topicByName("t")!.partitions[0]!.memberOf(nodeId)!;
  return { nodeId, incarnation, isVoter: true, wasVoter: false, isDamaged: false, ...more };
}

Deno.test("nodes that are back without their disks are no majority, also when the metadata names their new lives", () => {
  const on = cluster();
  const voters = [0, 1, 2].map((nodeId) => voter(on, nodeId));
  const [partition] = on.image.topicByName("t")!.partitions;
  assert.equal(recover(on, 2, [0, 1, 2], 0, voters).error, ErrorCode.ELECTION_NOT_NEEDED);
  for (const nodeId of [0, 1]) {
    const node = { ...testNode(nodeId), incarnation: `${nodeId + 6}`.repeat(32) };
    on.run((context) => registerNode(context, node));
  }
  // The metadata alone knows it until it has given them another place.
  for (const place of [false, true]) {
    if (place) on.run((context) => emitChange(context, partition!, [0, 1, 2]));
    assert.equal(partition!.change, place ? 1 : 0);
    const copy = recover(on, 0, [0, 1, 2], 0, voters);
    assert.equal(copy.error, ErrorCode.INVALID_REPLICA_ASSIGNMENT, "what it had is lost");
  }
  assert.equal(recover(on, 2, [0, 1, 2], 0, voters).error, ErrorCode.NONE);
  assert.deepEqual(partition!.replicas, [2]);
});

Deno.test("of a move that the group has completed, a replica that votes by now goes on", () => {
  const on = cluster();
  on.run((context) => alterReplicas(context, { topic: "t", index: 0, replicas: [1, 2, 3] }, true));
  // The metadata says that node 3 is only becoming one, and that node 0 still votes.
  const { error } = recover(on, 3, [0, 3]);
  assert.equal(error, ErrorCode.INVALID_REPLICA_ASSIGNMENT);
  const voters = [1, 2, 3].map((nodeId) => voter(on, nodeId));
  assert.equal(recover(on, 3, [0, 2, 3], 0, voters).error, ErrorCode.ELECTION_NOT_NEEDED);
  assert.equal(recover(on, 3, [0, 3], 0, voters).error, ErrorCode.NONE);
  assert.deepEqual(on.image.topicByName("t")!.partitions[0]!.replicas, [3]);
});

Deno.test("a voter whose log is damaged elects nobody, and goes on where somebody says so", () => {
  const on = cluster();
  on.run((context) => alterReplicas(context, { topic: "t", index: 0, replicas: [0] }, true));
  on.run((context) => alterReplicas(context, { topic: "t", index: 0, replicas: [0, 3] }, true));
  assert.equal(recover(on, 0, [0, 3], 0, [voter(on, 0)]).error, ErrorCode.ELECTION_NOT_NEEDED);
  const voters = [voter(on, 0, { isDamaged: true })];
  assert.equal(recover(on, 0, [0, 3], 0, voters).error, ErrorCode.NONE);
  assert.deepEqual(on.image.topicByName("t")!.partitions[0]!.replicas, [0]);
});

Deno.test("while the voters change, each of the two sets needs its majority", () => {
  const on = cluster();
  on.run((context) => alterReplicas(context, { topic: "t", index: 0, replicas: [0, 3] }, true));
  const voters = [
    voter(on, 0, { wasVoter: true }),
    voter(on, 3),
    voter(on, 1, { isVoter: false, wasVoter: true }),
    voter(on, 2, { isVoter: false, wasVoter: true }),
  ];
  assert.equal(recover(on, 0, [0, 1, 3], 0, voters).error, ErrorCode.ELECTION_NOT_NEEDED);
  assert.equal(recover(on, 0, [0, 1, 2], 0, voters).error, ErrorCode.NONE, "the next set");
});

Deno.test("a copy that was being made goes on only where no voter is left", () => {
  const on = cluster();
  on.run((context) =>
    alterReplicas(context, { topic: "t", index: 0, replicas: [0, 1, 2, 3] }, true)
  );
  const voters = [0, 1, 2].map((nodeId) => voter(on, nodeId));
  const early = recover(on, 3, [0, 3], 0, voters);
  assert.equal(early.error, ErrorCode.INVALID_REPLICA_ASSIGNMENT);
  assert.match(early.message!, /node 3 is only becoming a replica of t\/0/);
  assert.equal(recover(on, 3, [3], 0, voters).error, ErrorCode.NONE);
});

import { strict as assert } from "node:assert";
import { ErrorCode } from "../wire/errors.ts";
import { createTopics } from "./create_topics.ts";
import { ClusterImage } from "./image.ts";
import { passByIds } from "./membership.ts";
import { allocateProducerIds } from "./producer_ids.ts";
import { recoverPartition } from "./recover_partition.ts";
import { encodeCommand } from "./records.ts";
import { alterReplicas } from "./reassign.ts";
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
): { readonly error: ErrorCode; readonly message: string | null } {
  return on.run((context) =>
    recoverPartition(
      { ...context, isAlive: (node) => alive.includes(node) },
      { topic: "t", partition, nodeId },
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

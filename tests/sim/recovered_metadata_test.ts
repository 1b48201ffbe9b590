/**
 * Simulated clusters whose metadata loses its majority for good, and goes on with one node; and metadata logs that are
 * damaged on the last node that has them.
 */

import { strict as assert } from "node:assert";
import { votersOf } from "../../src/cli/partition_recover.ts";
import type { ReplicaReport } from "../../src/cli/client/replicas.ts";
import { EIO } from "../../src/io/errno.ts";
import { ErrorCode } from "../../src/wire/errors.ts";
import {
  ALTER_NODE_STATE,
  ALTER_PARTITION_REASSIGNMENTS,
  CREATE_TOPICS,
  DESCRIBE_REPLICAS,
  PRODUCE,
  RECOVER_METADATA,
  RECOVER_PARTITION,
  UNREGISTER_BROKER,
} from "../../src/wire/generated/apis.ts";
import { newAlterNodeStateRequest } from "../../src/wire/generated/alter_node_state_request.ts";
import { newAlterPartitionReassignmentsRequest } from "../../src/wire/generated/alter_partition_reassignments_request.ts";
import { newCreatableTopic } from "../../src/wire/generated/create_topics_request.ts";
import { newDescribeReplicasRequest } from "../../src/wire/generated/describe_replicas_request.ts";
import { newRecoverMetadataRequest } from "../../src/wire/generated/recover_metadata_request.ts";
import { newRecoverPartitionRequest } from "../../src/wire/generated/recover_partition_request.ts";
import { newUnregisterBrokerRequest } from "../../src/wire/generated/unregister_broker_request.ts";
import { ClusterBench } from "./cluster_bench.ts";
import { manifestOn, takePicture } from "./disk_picture.ts";
import type { SimNode } from "./sim_node.ts";
import { produceRequest, SMALL_BATCH } from "./sim_requests.ts";

const DECOMMISSIONING = 2;
const BATCH_RECORDS = 3;

function nodeOf(bench: ClusterBench, nodeId: number): SimNode {
  return bench.cluster.nodes[nodeId]!;
}

function imageOf(bench: ClusterBench, nodeId: number) {
  return nodeOf(bench, nodeId).shards[0]!.shard.image;
}

function votersNow(bench: ClusterBench, nodeId: number): number[] {
  const raft = nodeOf(bench, nodeId).shards[0]!.shard.replication.replicaOf(0)!.raft;
  return raft.configuration.voters.map(({ node }) => node).sort((a, b) => a - b);
}

function recover(bench: ClusterBench, nodeId: number) {
  return bench.ask(nodeId, RECOVER_METADATA, 0, newRecoverMetadataRequest({ nodeId }));
}

function begun(
  seed: number,
  nodes: number,
  founders = nodes,
  topic: string | null = "t",
): ClusterBench {
  const bench = new ClusterBench(seed, nodes, {}, founders);
  bench.start(...Array(founders).fill(1));
  for (let nodeId = founders; nodeId < nodes; nodeId++) bench.join(nodeId);
  bench.until(() => bench.metadata(0).brokers.length === nodes, "all nodes");
  if (topic === null) return bench;
  assert.equal(bench.create(0, topic, Math.min(3, nodes), 3).errorCode, ErrorCode.NONE);
  bench.settled(topic, Array.from({ length: nodes }, (_, id) => id));
  return bench;
}

/** The node that is asked knows that the others are gone, and that nobody leads the metadata. */
function headless(bench: ClusterBench, nodeId: number, dead: readonly number[]): void {
  for (const other of dead) nodeOf(bench, other).crash();
  const { shard } = nodeOf(bench, nodeId).shards[0]!;
  bench.until(
    () =>
      dead.every((other) => !shard.live.isAlive(other)) &&
      shard.replication.replicaOf(0)!.leaderId < 0,
    "a group without a leader",
  );
}

Deno.test("a recovery that cannot be written down is refused, told, and changes nothing; the next one passes by ids", () => {
  const bench = begun(1, 3);
  const { nextGroupId, nextProducerId } = imageOf(bench, 0);
  headless(bench, 0, [1, 2]);
  const { disk, remarks } = nodeOf(bench, 0);
  disk.inject({
    operation: "rename",
    nth: 1,
    path: /manifest/,
    fault: { kind: "error", errno: EIO },
  });
  const refused = recover(bench, 0);
  assert.equal(refused.errorCode, ErrorCode.KAFKA_STORAGE_ERROR);
  assert.match(refused.errorMessage!, /nothing was changed: Cannot write the manifest \(errno 5\)/);
  assert(remarks.some((each) => /Cannot write the manifest/.test(each)), remarks.join("\n"));
  bench.cluster.rest(3_000);
  assert(!nodeOf(bench, 0).leads(0));
  assert.equal(recover(bench, 0).errorCode, ErrorCode.NONE);
  bench.until(() => nodeOf(bench, 0).leads(0), "a controller");
  bench.until(
    () => imageOf(bench, 0).nextGroupId >= nextGroupId + 10_000,
    "ids that are passed by",
  );
  assert(imageOf(bench, 0).nextProducerId >= nextProducerId + 1_000_000);
});

Deno.test("a recovery that is cut anywhere is carried on by the next start, once it is durable", () => {
  let carriedOn = 0;
  for (let ops = 1; ops <= 24; ops++) {
    const bench = begun(2, 3, 3, null);
    const { nextGroupId } = imageOf(bench, 0);
    headless(bench, 0, [1, 2]);
    const node = nodeOf(bench, 0);
    node.disk.crashAfterOps(ops);
    const request = newRecoverMetadataRequest({ nodeId: 0 });
    bench.send(0, RECOVER_METADATA, 0, request);
    bench.until(() => node.disk.crashed, "a crash");
    node.crash();
    const isMarked = manifestOn(node.disk)?.isRecovering === true;
    node.begin(1);
    bench.cluster.rest(4_000);
    assert(node.leads(0) || !isMarked, `after ${ops} operations`);
    if (!isMarked) continue;
    carriedOn++;
    // Whoever asked never heard of it, or all of it is done.
    assert(imageOf(bench, 0).nextGroupId >= nextGroupId + 10_000, `after ${ops} operations`);
    assert.deepEqual(votersNow(bench, 0), [0]);
    // Who was given up ends; nodes without what they had are members, and vote.
    nodeOf(bench, 1).begin(1);
    bench.until(() => nodeOf(bench, 1).fatals.length > 0, "an end");
    for (const other of [1, 2]) {
      nodeOf(bench, other).crash();
      nodeOf(bench, other).wipe();
      nodeOf(bench, other).fatals.length = 0;
      bench.join(other);
    }
    bench.until(() => votersNow(bench, 0).length === 3, "three voters");
  }
  assert(carriedOn >= 3, `carried on ${carriedOn} times`);
});

Deno.test("a voter that can be reached is kept when the metadata is recovered, and tells those that were given up", () => {
  const bench = begun(3, 5);
  headless(bench, 0, [2, 3, 4]);
  assert.equal(recover(bench, 0).errorCode, ErrorCode.NONE);
  bench.until(() => nodeOf(bench, 0).leads(0), "a controller");
  bench.until(() => votersNow(bench, 0).includes(1), "a second voter");
  bench.cluster.rest(6_000);
  assert.deepEqual(nodeOf(bench, 1).fatals, []);
  // It restarts as what it was.
  nodeOf(bench, 1).crash();
  bench.join(1);
  assert.deepEqual(nodeOf(bench, 1).fatals, []);
  // Only the one that heard of it is there when a lost one comes back with what it had.
  nodeOf(bench, 0).crash();
  nodeOf(bench, 2).begin(1);
  bench.until(() => nodeOf(bench, 2).fatals.length > 0, "an end");
  assert.match(nodeOf(bench, 2).fatals[0]!, /went on without this node/);
});

/** What a tool hears of a partition's replicas from those that answer. */
function reportsOf(bench: ClusterBench, topic: string, index: number): ReplicaReport[] {
  return bench.cluster.accepting.map(({ nodeId }) => {
    const topics = [{ name: topic, partitions: [index] }];
    const request = newDescribeReplicasRequest({ topics });
    const replica = bench.ask(nodeId, DESCRIBE_REPLICAS, 0, request).topics[0]!.partitions[0]!;
    return { node: nodeId, replica: replica.errorCode === 0 ? replica : null };
  });
}

function recoverPartition(
  bench: ClusterBench,
  asked: number,
  topic: string,
  index: number,
  nodeId: number,
) {
  const voters = votersOf(reportsOf(bench, topic, index));
  const request = newRecoverPartitionRequest({ topic, partition: index, nodeId, voters });
  return bench.ask(asked, RECOVER_PARTITION, 0, request);
}

function produce(bench: ClusterBench, leaderId: number, topic: string, index: number): number {
  const answer = bench.ask(leaderId, PRODUCE, 9, produceRequest(topic, index, SMALL_BATCH));
  const { errorCode, baseOffset } = answer.responses[0]!.partitionResponses[0]!;
  return errorCode === ErrorCode.NONE ? baseOffset : -1;
}

Deno.test("nodes that are back with empty disks do not keep the last one from going on", () => {
  const bench = begun(4, 3);
  for (const { partitionIndex, leaderId } of bench.metadata(0, "t").topics[0]!.partitions) {
    assert.equal(produce(bench, leaderId, "t", partitionIndex), 0);
  }
  bench.cluster.rest(1_000);
  headless(bench, 0, [1, 2]);
  for (const other of [1, 2]) {
    nodeOf(bench, other).wipe();
    nodeOf(bench, other).begin(1);
  }
  const { live } = nodeOf(bench, 0).shards[0]!.shard;
  bench.until(() => live.isAlive(1) && live.isAlive(2), "the nodes without disks");
  bench.cluster.rest(3_000);
  assert(!nodeOf(bench, 0).leads(0));
  const { errorCode, errorMessage } = recover(bench, 0);
  assert.equal(errorCode, ErrorCode.NONE, errorMessage ?? "");
  bench.until(() => [1, 2].every((id) => nodeOf(bench, id).accepting), "the start of the others");
  assert.deepEqual([1, 2].flatMap((id) => nodeOf(bench, id).fatals), []);
  // The metadata names the lives that the nodes have now: they hold nothing, and do not vote.
  const partitions = imageOf(bench, 0).topicByName("t")!.partitions;
  bench.until(() => partitions.every(({ change }) => change > 0), "replicas in their new lives");
  bench.cluster.rest(2_000);
  for (const { index } of partitions) {
    const answer = recoverPartition(bench, 0, "t", index, 0);
    assert.equal(answer.errorCode, ErrorCode.NONE, answer.errorMessage ?? "");
    bench.until(() => produce(bench, 0, "t", index) >= BATCH_RECORDS, `a leader of t-${index}`);
  }
});

Deno.test("while a majority is there in the lives that vote, nothing is recovered", () => {
  const bench = begun(5, 3);
  const refused = recover(bench, 0);
  assert.equal(refused.errorCode, ErrorCode.ELECTION_NOT_NEEDED);
  for (const nodeId of [0, 1, 2]) {
    const answer = recoverPartition(bench, 0, "t", 0, nodeId);
    assert.equal(answer.errorCode, ErrorCode.ELECTION_NOT_NEEDED);
  }
});

Deno.test("a copy that does not vote goes on when the only voter is lost with its disk", () => {
  const bench = begun(6, 2, 1);
  bench.until(
    () => nodeOf(bench, 1).shards[0]!.shard.replication.replicaOf(0)!.raft.isMember,
    "a learner",
  );
  const early = recover(bench, 1);
  assert.equal(early.errorCode, ErrorCode.ELECTION_NOT_NEEDED);
  headless(bench, 1, [0]);
  const { errorCode, errorMessage } = recover(bench, 1);
  assert.equal(errorCode, ErrorCode.NONE, errorMessage ?? "");
  bench.until(() => nodeOf(bench, 1).leads(0), "a controller");
  assert.deepEqual(votersNow(bench, 1), [1]);
  assert.equal(bench.create(1, "later", 1, 1).errorCode, ErrorCode.NONE);
  // The voter of before was not lost after all: it hears that it is none any more.
  nodeOf(bench, 0).begin(1);
  bench.until(() => nodeOf(bench, 0).fatals.length > 0, "an end");
});

/** Has a node do something, and takes that from the logs of one of its shards: what is left may have been cut. */
function cutLogs(bench: ClusterBench, nodeId: number, shard: number, act: () => void): void {
  const node = nodeOf(bench, nodeId);
  const blocks = () => takePicture(node.disk).shards[shard]!.blocks;
  const before = blocks().map(({ lsn }) => lsn);
  act();
  node.crash();
  const lost = blocks().filter(({ lsn }) => !before.includes(lsn));
  assert(lost.length > 0);
  for (const { path, block } of lost) node.disk.loseBlock(path, block);
}

function cutMetadata(bench: ClusterBench, nodeId: number): void {
  cutLogs(bench, nodeId, 0, () => {
    assert.equal(bench.create(nodeId, "lost", 1, 1).errorCode, ErrorCode.NONE);
  });
}

function leave(bench: ClusterBench, nodeId: number): void {
  bench.until(() => {
    const request = newAlterNodeStateRequest({ nodeId, state: DECOMMISSIONING });
    return bench.ask(0, ALTER_NODE_STATE, 0, request).errorCode === ErrorCode.NONE;
  }, "a decommission");
  bench.until(() => imageOf(bench, 0).loadOf(nodeId).replicas === 0, "an empty node");
  const { raft } = nodeOf(bench, 0).shards[0]!.shard.replication.replicaOf(0)!;
  bench.until(
    () => raft.isConfigurationSettled && !votersNow(bench, 0).includes(nodeId),
    "one voter less",
  );
  nodeOf(bench, nodeId).crash();
  bench.until(() => {
    const request = newUnregisterBrokerRequest({ brokerId: nodeId });
    return bench.ask(0, UNREGISTER_BROKER, 0, request).errorCode === ErrorCode.NONE;
  }, "a node that is forgotten");
}

Deno.test("the damaged metadata of a cluster that shrank to one node is accepted, as nobody else has it", () => {
  const bench = begun(7, 3, 3, null);
  for (const nodeId of [2, 1]) leave(bench, nodeId);
  bench.until(() => nodeOf(bench, 0).leads(0) && `${votersNow(bench, 0)}` === "0", "one voter");
  bench.cluster.rest(2_000);
  cutMetadata(bench, 0);
  const node = nodeOf(bench, 0);
  node.begin(1, undefined, true);
  bench.until(() => !node.starting, "the end of a start");
  assert(node.report!.suspectGroups.includes(0));
  assert.equal(node.refusal, null);
  bench.until(() => node.leads(0), "a controller");
  assert.equal(bench.create(0, "later", 1, 1).errorCode, ErrorCode.NONE);
});

Deno.test("the damaged metadata of a cluster that one node founded and that grew is not accepted, and that is said", () => {
  const bench = begun(8, 2, 1, null);
  bench.until(
    () => nodeOf(bench, 1).shards[0]!.shard.replication.replicaOf(0)!.raft.isMember,
    "a learner",
  );
  bench.cluster.rest(2_000);
  cutMetadata(bench, 0);
  const node = nodeOf(bench, 0);
  for (const acceptLoss of [true, false]) {
    node.begin(1, undefined, acceptLoss);
    bench.until(() => !node.starting, "the end of a start");
    assert(node.report!.suspectGroups.includes(0));
    assert.match(node.refusal ?? "", /^elsewhere: .*other nodes \(1\) may have more of it/);
    node.crash();
  }
  // What the refusal advises.
  const { shard } = nodeOf(bench, 1).shards[0]!;
  bench.until(() => !shard.live.isAlive(0), "the news");
  assert.equal(recover(bench, 1).errorCode, ErrorCode.NONE);
  bench.until(() => nodeOf(bench, 1).leads(0), "a controller");
  assert(imageOf(bench, 1).topicByName("lost") !== undefined);
});

Deno.test("the only log of a partition is damaged while it grows: what the log advises brings it back", () => {
  const bench = new ClusterBench(9, 3);
  bench.start(2, 1, 1);
  bench.until(() => bench.metadata(0).brokers.length === 3, "all nodes");
  const on = (brokerIds: number[]) => [{ partitionIndex: 0, brokerIds }];
  // The group is on the second shard.
  for (const name of ["a", "b"]) {
    const topics = [
      newCreatableTopic({ name, numPartitions: -1, replicationFactor: -1, assignments: on([0]) }),
    ];
    const request = { topics, timeoutMs: 5_000, validateOnly: false };
    assert.equal(bench.ask(0, CREATE_TOPICS, 7, request).topics[0]!.errorCode, ErrorCode.NONE);
  }
  const topic = ["a", "b"].find((name) =>
    imageOf(bench, 0).topicByName(name)!.partitions[0]!.groupId % 2 === 1
  )!;
  bench.until(() => produce(bench, 0, topic, 0) === 0, "a leader");
  bench.cluster.rest(1_000);
  nodeOf(bench, 1).crash();
  const topics = [{ name: topic, partitions: [{ partitionIndex: 0, replicas: [0, 1] }] }];
  bench.until(() => {
    const request = newAlterPartitionReassignmentsRequest({ topics });
    const { errorCode } = bench.ask(0, ALTER_PARTITION_REASSIGNMENTS, 0, request);
    return errorCode === ErrorCode.NONE;
  }, "a controller");
  bench.cluster.rest(1_000);
  cutLogs(bench, 0, 1, () => assert(produce(bench, 0, topic, 0) > 0));
  const node = nodeOf(bench, 0);
  const start = (): void => {
    node.remarks.length = 0;
    node.begin(2, undefined, true);
    bench.until(() => node.accepting, "a start");
    bench.cluster.rest(1_000);
  };
  start();
  const { groupId } = imageOf(bench, 0).topicByName(topic)!.partitions[0]!;
  assert(node.logOf(groupId)!.suspect);
  const remark = node.remarks.find((each) => /is not accepted/.test(each)) ?? "";
  assert.match(
    remark,
    new RegExp(
      `gregor partition recover ${topic}/0 --node 0 --accept-loss, then start this broker once`,
    ),
  );
  bench.until(() => {
    const { errorCode, errorMessage } = recoverPartition(bench, 2, topic, 0, 0);
    if (errorCode === ErrorCode.NOT_CONTROLLER) return false;
    assert.equal(errorCode, ErrorCode.NONE, errorMessage ?? "");
    return true;
  }, "a controller");
  bench.cluster.rest(500);
  node.crash();
  start();
  bench.until(() => produce(bench, 0, topic, 0) >= BATCH_RECORDS, "a leader");
});

Deno.test("a node that a cluster shrank to, and whose metadata lost that, is told to accept the loss", () => {
  const bench = begun(7, 3, 3, null);
  bench.cluster.rest(2_000);
  cutLogs(bench, 0, 0, () => {
    for (const nodeId of [2, 1]) leave(bench, nodeId);
    bench.until(() => nodeOf(bench, 0).leads(0) && `${votersNow(bench, 0)}` === "0", "one voter");
    bench.cluster.rest(2_000);
  });
  const node = nodeOf(bench, 0);
  node.begin(1);
  bench.until(() => !node.starting, "the end of a start");
  assert.match(node.refusal ?? "", /^damaged: .*its loss is not accepted$/);
  node.crash();
  node.begin(1, undefined, true);
  bench.until(() => !node.starting, "the end of a start");
  assert.equal(node.refusal, null);
  bench.until(() => node.leads(0), "a controller");
});

Deno.test("the damaged log of a partition that shrank to one node is accepted, though it has lost that", () => {
  const bench = new ClusterBench(9, 3);
  bench.start(2, 1, 1);
  bench.until(() => bench.metadata(0).brokers.length === 3, "all nodes");
  const names = ["a", "b"];
  for (const name of names) {
    const assignments = [{ partitionIndex: 0, brokerIds: [0, 1, 2] }];
    const topic = { name, numPartitions: -1, replicationFactor: -1, assignments };
    const request = { topics: [newCreatableTopic(topic)], timeoutMs: 5_000, validateOnly: false };
    assert.equal(bench.ask(0, CREATE_TOPICS, 7, request).topics[0]!.errorCode, ErrorCode.NONE);
  }
  const partitionOf = (name: string) => imageOf(bench, 0).topicByName(name)!.partitions[0]!;
  // On the shard whose journal loses its end; the metadata is on the other one.
  const name = names.find((each) => partitionOf(each).groupId % 2 === 1)!;
  bench.until(() => produce(bench, 0, name, 0) >= 0, "a leader");
  bench.cluster.rest(1_000);
  cutLogs(bench, 0, 1, () => {
    const topics = names.map((each) => ({
      name: each,
      partitions: [{ partitionIndex: 0, replicas: [0] }],
    }));
    const request = newAlterPartitionReassignmentsRequest({ topics });
    bench.until(
      () => bench.ask(0, ALTER_PARTITION_REASSIGNMENTS, 0, request).errorCode === ErrorCode.NONE,
      "a controller",
    );
    bench.until(() => names.every((each) => !partitionOf(each).isChanging), "the moves");
    for (const nodeId of [2, 1]) leave(bench, nodeId);
    bench.cluster.rest(1_000);
  });
  const node = nodeOf(bench, 0);
  node.begin(2, undefined, true);
  bench.until(() => node.accepting, "a start");
  const { groupId } = partitionOf(name);
  assert(node.report!.suspectGroups.includes(groupId));
  bench.until(() => node.leads(groupId), "a leader");
  assert(node.remarks.some((each) => /Accepted a damaged log/.test(each)), node.remarks.join("\n"));
});

Deno.test("the log of one of two replicas is damaged: what the broker says brings the partition back, and both replicas", () => {
  const bench = new ClusterBench(11, 3);
  bench.start(2, 1, 1);
  bench.until(() => bench.metadata(0).brokers.length === 3, "all nodes");
  const names = ["a", "b"];
  for (const name of names) {
    const assignments = [{ partitionIndex: 0, brokerIds: [0, 1] }];
    const topic = { name, numPartitions: -1, replicationFactor: -1, assignments };
    const request = { topics: [newCreatableTopic(topic)], timeoutMs: 5_000, validateOnly: false };
    assert.equal(bench.ask(0, CREATE_TOPICS, 7, request).topics[0]!.errorCode, ErrorCode.NONE);
  }
  const partitionOf = (name: string) => imageOf(bench, 2).topicByName(name)!.partitions[0]!;
  const topic = names.find((each) => partitionOf(each).groupId % 2 === 1)!;
  const { groupId } = partitionOf(topic);
  bench.until(() => produce(bench, 0, topic, 0) >= 0, "a leader");
  bench.cluster.rest(1_000);
  cutLogs(bench, 0, 1, () => assert(produce(bench, 0, topic, 0) > 0));
  const node = nodeOf(bench, 0);
  node.remarks.length = 0;
  node.begin(2, undefined, true);
  bench.until(() => node.accepting, "a start");
  bench.until(() => node.remarks.some((each) => /is not accepted/.test(each)), "what to do");
  assert(node.logOf(groupId)!.suspect);
  const remark = node.remarks.find((each) => /is not accepted/.test(each))!;
  assert.match(
    remark,
    new RegExp(
      `gregor partition recover ${topic}/0 --node 1 says what would be lost, and does it with --accept-loss; ` +
        `then gregor topic reassign ${topic} --partition 0 --replicas 0,1 has`,
    ),
  );
  // Nobody leads it until somebody decides.
  bench.cluster.rest(3_000);
  assert(!nodeOf(bench, 1).leads(groupId));
  bench.until(() => {
    const { errorCode, errorMessage } = recoverPartition(bench, 2, topic, 0, 1);
    if (errorCode === ErrorCode.NOT_CONTROLLER) return false;
    assert.equal(errorCode, ErrorCode.NONE, errorMessage ?? "");
    return true;
  }, "a controller");
  bench.until(() => produce(bench, 1, topic, 0) >= BATCH_RECORDS, "a leader");
  const partitions = [{ partitionIndex: 0, replicas: [0, 1] }];
  const request = newAlterPartitionReassignmentsRequest({ topics: [{ name: topic, partitions }] });
  bench.until(
    () => bench.ask(2, ALTER_PARTITION_REASSIGNMENTS, 0, request).errorCode === ErrorCode.NONE,
    "a controller",
  );
  bench.until(
    () => !partitionOf(topic).isChanging && partitionOf(topic).replicas.length === 2,
    "both replicas",
  );
  assert(!node.logOf(groupId)!.suspect);
});

/**
 * Simulated clusters whose metadata, or a partition, goes on by force with a replica that lacks committed entries of
 * another one that is still there.
 */

import { strict as assert } from "node:assert";
import { encodeCommand } from "../../src/cluster/records.ts";
import { ErrorCode } from "../../src/wire/errors.ts";
import {
  ALTER_PARTITION_REASSIGNMENTS,
  CREATE_TOPICS,
  RECOVER_METADATA,
} from "../../src/wire/generated/apis.ts";
import { newAlterPartitionReassignmentsRequest } from "../../src/wire/generated/alter_partition_reassignments_request.ts";
import { newCreatableTopic } from "../../src/wire/generated/create_topics_request.ts";
import { newRecoverMetadataRequest } from "../../src/wire/generated/recover_metadata_request.ts";
import { ClusterBench } from "./cluster_bench.ts";
import { produce, recoverPartition } from "./recovery_requests.ts";
import type { SimNode } from "./sim_node.ts";

const GROUP = 0;

function nodeOf(bench: ClusterBench, nodeId: number): SimNode {
  return bench.cluster.nodes[nodeId]!;
}

function shardOf(bench: ClusterBench, nodeId: number) {
  return nodeOf(bench, nodeId).shards[0]!.shard;
}

function raftOf(bench: ClusterBench, nodeId: number, groupId = GROUP) {
  return shardOf(bench, nodeId).replication.replicaOf(groupId)!.raft;
}

function imageText(bench: ClusterBench, nodeId: number): string {
  const records = [...shardOf(bench, nodeId).image.snapshotRecords()];
  return new TextDecoder("latin1").decode(encodeCommand(records));
}

/** What a node says and hears does not arrive (true), or does again; what was under way is lost. */
function cutOff(bench: ClusterBench, nodeId: number, isCut: boolean): void {
  const { network, nodes } = bench.cluster;
  const { name } = nodeOf(bench, nodeId);
  for (const other of nodes) {
    if (other.nodeId === nodeId) continue;
    network.link(name, other.name).cut = isCut;
    network.link(other.name, name).cut = isCut;
  }
  for (const connection of network.connections) {
    if (connection.from === name || connection.to === name) connection.reset();
  }
}

/** A cluster of five, the first of which may be the only founders; the nodes that vote are those. */
function begun(seed: number, founders: number): ClusterBench {
  const bench = new ClusterBench(seed, 5, {}, founders);
  bench.start(...Array(founders).fill(1));
  for (let nodeId = founders; nodeId < 5; nodeId++) bench.join(nodeId);
  bench.until(() => bench.metadata(0).brokers.length === 5, "all nodes");
  assert.equal(bench.create(0, "t", 3, 3).errorCode, ErrorCode.NONE);
  bench.settled("t", [0, 1, 2, 3, 4]);
  return bench;
}

/**
 * Node 0 hears nothing while the others go on, and node `kept` is the only one that is left of these: it has
 * metadata that node 0 lacks.
 */
function parted(bench: ClusterBench, kept: number, topic: string): void {
  cutOff(bench, 0, true);
  bench.cluster.rest(6_000);
  bench.until(() => bench.metadata(kept).controllerId > 0, "another controller");
  assert.equal(bench.create(kept, topic, 1, 1).errorCode, ErrorCode.NONE);
  bench.until(() => shardOf(bench, kept).image.topicByName(topic) !== undefined, "the topic");
  for (const { nodeId } of bench.cluster.nodes) {
    if (nodeId !== 0 && nodeId !== kept) nodeOf(bench, nodeId).crash();
  }
  // A leader without a majority would still send it.
  bench.until(() => shardOf(bench, kept).replication.replicaOf(GROUP)!.leaderId < 0, "no leader");
  cutOff(bench, 0, false);
  const { live, replication } = shardOf(bench, 0);
  bench.until(
    () =>
      live.isAlive(kept) && bench.cluster.nodes.every(({ nodeId }) =>
        nodeId === 0 || nodeId === kept || !live.isAlive(nodeId)
      ) && replication.replicaOf(GROUP)!.leaderId < 0,
    "two nodes without a leader",
  );
  const { lastIndex } = replication.replicaOf(GROUP)!.log;
  assert(raftOf(bench, kept).commitIndex > lastIndex);
}

function recover(bench: ClusterBench): void {
  const request = newRecoverMetadataRequest({ nodeId: 0 });
  const { errorCode, errorMessage } = bench.ask(0, RECOVER_METADATA, 0, request);
  assert.equal(errorCode, ErrorCode.NONE, errorMessage ?? "");
  bench.until(() => nodeOf(bench, 0).leads(GROUP), "a controller");
}

/** The node ends, says why, and is a member again without what it had. */
function replaced(bench: ClusterBench, nodeId: number): void {
  const node = nodeOf(bench, nodeId);
  bench.until(() => node.fatals.length > 0, "an end");
  assert.match(node.fatals[0]!, /recovered on a node that lacked some of what this node has/);
  assert.match(node.fatals[0]!, /empty it, and start the node again/);
  assert(!raftOf(bench, 0).configuration.voters.some(({ node: each }) => each === nodeId));
  node.crash();
  node.fatals.length = 0;
  node.wipe();
  bench.join(nodeId);
  bench.until(
    () =>
      raftOf(bench, nodeId).commitIndex === raftOf(bench, 0).commitIndex &&
      imageText(bench, nodeId) === imageText(bench, 0),
    "equal metadata",
  );
}

for (const [what, founders, kept] of [["voter", 5, 1], ["learner", 3, 3]] as const) {
  Deno.test(`a ${what} with metadata that the recovered node lacks ends, and comes back as another one`, () => {
    const bench = begun(31, founders);
    parted(bench, kept, "later");
    recover(bench);
    assert.equal(bench.create(0, "other", 1, 1).errorCode, ErrorCode.NONE);
    replaced(bench, kept);
    assert.equal(shardOf(bench, kept).image.topicByName("later"), undefined);
    assert(shardOf(bench, kept).image.topicByName("other") !== undefined);
  });
}

Deno.test("a voter that was restarted, and may have acted upon metadata that the recovered node lacks, ends too", () => {
  const bench = begun(32, 5);
  parted(bench, 1, "later");
  nodeOf(bench, 1).crash();
  nodeOf(bench, 1).begin(1);
  bench.until(() => shardOf(bench, 0).live.isAlive(1), "the other one");
  bench.cluster.rest(3_000);
  recover(bench);
  replaced(bench, 1);
});

Deno.test("a voter that has what the recovered node has is kept, and votes", () => {
  const bench = begun(33, 5);
  for (const lost of [2, 3, 4]) nodeOf(bench, lost).crash();
  bench.until(() => raftOf(bench, 0).leaderId < 0, "no leader");
  bench.cluster.rest(6_000);
  recover(bench);
  bench.until(() => raftOf(bench, 0).configuration.voters.length > 1, "a second voter");
  bench.cluster.rest(5_000);
  assert.deepEqual(nodeOf(bench, 1).fatals, []);
  assert.equal(imageText(bench, 1), imageText(bench, 0));
});

/** The nodes that hold a partition, their logs as numbers: incarnation, end, and what is committed. */
function logsOf(bench: ClusterBench, groupId: number, nodes: readonly number[]): string[] {
  return nodes.map((nodeId) => {
    const replica = shardOf(bench, nodeId).replication.replicaOf(groupId);
    if (replica === undefined) return "none";
    const { log, raft } = replica;
    return `${log.lastIndex} of ${log.lastTerm}, committed ${raft.commitIndex}`;
  });
}

Deno.test("a replica of a partition with records that the recovered one lacks comes back as another one, and has its log", () => {
  const bench = begun(34, 5);
  const assignments = [{ partitionIndex: 0, brokerIds: [0, 1, 2] }];
  const topic = newCreatableTopic({
    name: "p",
    numPartitions: -1,
    replicationFactor: -1,
    assignments,
  });
  const creation = { topics: [topic], timeoutMs: 5_000, validateOnly: false };
  assert.equal(bench.ask(0, CREATE_TOPICS, 7, creation).topics[0]!.errorCode, ErrorCode.NONE);
  bench.settled("p", [0, 1, 2, 3, 4]);
  const { groupId } = shardOf(bench, 0).image.topicByName("p")!.partitions[0]!;
  const put = (what: string): void => {
    const leads = () => bench.cluster.nodes.find((node) => node.accepting && node.leads(groupId));
    bench.until(
      () => leads() !== undefined && produce(bench, leads()!.nodeId, "p", 0) >= 0,
      what,
    );
  };
  put("a leader");
  bench.cluster.rest(1_000);
  cutOff(bench, 0, true);
  bench.cluster.rest(3_000);
  for (let at = 0; at < 3; at++) put("a leader without node 0");
  bench.cluster.rest(1_000);
  for (const lost of [1, 2]) nodeOf(bench, lost).crash();
  cutOff(bench, 0, false);
  const { live } = shardOf(bench, 0);
  bench.until(() => [3, 4].every((id) => live.isAlive(id)) && !live.isAlive(1), "three nodes");
  bench.cluster.rest(2_000);
  bench.until(() => {
    const { errorCode, errorMessage } = recoverPartition(bench, 3, "p", 0, 0);
    if (errorCode === ErrorCode.NOT_CONTROLLER) return false;
    assert.equal(errorCode, ErrorCode.NONE, errorMessage ?? "");
    return true;
  }, "a controller");
  put("the recovered leader");
  const replicas = [0, 1, 3];
  const topics = [{ name: "p", partitions: [{ partitionIndex: 0, replicas }] }];
  const request = newAlterPartitionReassignmentsRequest({ topics });
  assert.equal(bench.ask(3, ALTER_PARTITION_REASSIGNMENTS, 0, request).errorCode, ErrorCode.NONE);
  bench.cluster.rest(500);
  for (const back of [1, 2]) bench.join(back);
  const isSame = (): boolean =>
    new Set(logsOf(bench, groupId, replicas)).size === 1 &&
    raftOf(bench, 0, groupId).configuration.voters.length === 3;
  for (let at = 0; at < 3; at++) put("a leader of three");
  bench.until(isSame, "equal logs");
  assert.equal(shardOf(bench, 2).replication.replicaOf(groupId), undefined);
  assert.deepEqual(bench.cluster.nodes.flatMap(({ fatals }) => fatals), []);
});

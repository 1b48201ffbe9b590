/**
 * Simulated nodes that are added to a cluster: they get its metadata, hold and lead what is created afterwards, and share
 * in keeping the metadata.
 */

import { strict as assert } from "node:assert";
import { ErrorCode } from "../../src/wire/errors.ts";
import { PRODUCE } from "../../src/wire/generated/apis.ts";
import { ClusterBench } from "./cluster_bench.ts";
import { produceRequest, SMALL_BATCH } from "./sim_requests.ts";

/** Members of the metadata's group as its leader knows them. */
function controllers(bench: ClusterBench): { voters: number[]; learners: number[] } {
  const leader = bench.cluster.nodes.find((node) => node.accepting && node.leads(0));
  const replica = leader?.shards[0]?.shard.replication.replicaOf(0);
  if (replica === undefined || !replica.raft.isConfigurationSettled) {
    return { voters: [], learners: [] };
  }
  const { voters, learners } = replica.raft.configuration;
  const ids = (members: typeof voters) => members.map(({ node }) => node).sort((a, b) => a - b);
  return { voters: ids(voters), learners: ids(learners) };
}

function produceTo(bench: ClusterBench, topic: string, index: number, leaderId: number): number {
  const answer = bench.ask(leaderId, PRODUCE, 9, produceRequest(topic, index, SMALL_BATCH));
  const { errorCode, baseOffset } = answer.responses[0]!.partitionResponses[0]!;
  assert.equal(errorCode, ErrorCode.NONE);
  return baseOffset;
}

/** Creates a topic as soon as there is a controller. */
function created(bench: ClusterBench, nodeId: number, topic: string): void {
  bench.until(() => {
    const { errorCode } = bench.create(nodeId, topic);
    if (errorCode === ErrorCode.NONE) return true;
    assert.equal(errorCode, ErrorCode.NOT_CONTROLLER);
    bench.cluster.rest(20);
    return false;
  }, "a controller");
}

Deno.test("a fourth node joins three: it knows everything, and takes part in what is created then", () => {
  const bench = new ClusterBench(1, 4, {}, 3);
  bench.start(1, 2, 1);
  bench.until(() => bench.metadata(0).brokers.length === 3);
  assert.equal(bench.create(0, "before").errorCode, ErrorCode.NONE);
  bench.settled("before", [0, 1, 2]);

  bench.join(3, 2);
  bench.until(() => bench.metadata(0).brokers.length === 4, "the fourth node in the metadata");
  const seen = bench.metadata(3);
  assert.equal(seen.clusterId, bench.metadata(0).clusterId);
  assert.deepEqual(seen.topics.map(({ name }) => name).filter((name) => name === "before"), [
    "before",
  ]);
  bench.until(() => controllers(bench).learners.includes(3), "a learner");
  assert.deepEqual(controllers(bench), { voters: [0, 1, 2], learners: [3] });

  assert.equal(bench.create(3, "after", 3, 8).errorCode, ErrorCode.NONE);
  const { partitions } = bench.settled("after", [0, 1, 2, 3]);
  const held = partitions.filter(({ replicaNodes }) => replicaNodes.includes(3));
  assert(held.length >= 4, JSON.stringify(partitions));
  assert(partitions.some(({ leaderId }) => leaderId === 3), "it leads something");
  for (const { partitionIndex, leaderId } of partitions) {
    assert.equal(produceTo(bench, "after", partitionIndex, leaderId), 0);
  }
  bench.settled("before", [0, 1, 2, 3]);
});

Deno.test("a node that is added takes its share over, while clients write", () => {
  const bench = new ClusterBench(4, 4, {}, 3);
  bench.start(1, 1, 1);
  bench.until(() => bench.metadata(0).brokers.length === 3);
  assert.equal(bench.create(0, "t", 2, 12).errorCode, ErrorCode.NONE);
  bench.settled("t", [0, 1, 2]);
  const [node] = bench.cluster.nodes[0]!.shards;
  let written = 0;
  const write = (): void => {
    const { partitions } = bench.metadata(1, "t").topics[0]!;
    const { partitionIndex, leaderId } = partitions[written % partitions.length]!;
    if (leaderId < 0) return;
    const request = produceRequest("t", partitionIndex, SMALL_BATCH);
    const answer = bench.ask(leaderId, PRODUCE, 9, request).responses[0]!.partitionResponses[0]!;
    if (answer.errorCode === ErrorCode.NONE) written++;
  };
  bench.join(3);
  bench.until(() => {
    write();
    return node!.shard.image.loadOf(3).replicas >= 6 && node!.shard.image.stateOf(3) === 0;
  }, "its share");
  const loads = [0, 1, 2, 3].map((id) => node!.shard.image.loadOf(id).replicas);
  assert(Math.max(...loads) <= 7, `${loads}`);
  const { partitions, topicId } = bench.settled("t", [0, 1, 2, 3]);
  let kept = 0;
  for (const { partitionIndex, leaderId } of partitions) {
    const leader = bench.cluster.nodes[leaderId]!;
    kept += leader.logOf(leader.groupOf(topicId, partitionIndex))!.endOffset / 3;
  }
  // What was refused in the middle of a transfer may have been kept all the same.
  assert(kept >= written, `${kept} batches of ${written}`);
});

Deno.test("a node that joined is one of them after a restart, and when others are gone", () => {
  const bench = new ClusterBench(2, 4, {}, 3);
  bench.start(1, 1, 1);
  bench.join(3);
  bench.until(() => controllers(bench).learners.includes(3), "a learner");
  assert.equal(bench.create(3, "t", 3, 4).errorCode, ErrorCode.NONE);
  bench.settled("t", [0, 1, 2, 3]);
  bench.cluster.nodes[3]!.crash();
  bench.join(3, 2);
  bench.settled("t", [0, 1, 2, 3]);
  bench.cluster.nodes[0]!.crash();
  bench.until(
    () => bench.settled("t", [1, 2, 3]).partitions.every(({ leaderId }) => leaderId !== 0),
    "other leaders",
  );
  created(bench, 3, "later");
  bench.settled("later", [1, 2, 3]);
});

Deno.test("the metadata has one voter on one node and on two, three on three, and five on five", () => {
  const bench = new ClusterBench(3, 5, {}, 1);
  bench.start(1);
  assert.equal(bench.create(0, "first", 1, 2).errorCode, ErrorCode.NONE);
  bench.settled("first", [0]);
  const steps: readonly { voters: number[]; learners: number[] }[] = [
    { voters: [0], learners: [1] },
    { voters: [0, 1, 2], learners: [] },
    { voters: [0, 1, 2], learners: [3] },
    { voters: [0, 1, 2, 3, 4], learners: [] },
  ];
  for (const [at, members] of steps.entries()) {
    bench.join(at + 1);
    bench.until(
      () => JSON.stringify(controllers(bench)) === JSON.stringify(members),
      JSON.stringify(members),
    );
  }
  for (const dead of [0, 1]) bench.cluster.nodes[dead]!.crash();
  created(bench, 4, "last");
  bench.settled("last", [2, 3, 4]);
});

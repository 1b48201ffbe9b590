/**
 * What acks mean in a simulated cluster of three, and what its nodes say of replicas that do not keep up.
 */

import { strict as assert } from "node:assert";
import { ErrorCode } from "../../src/wire/errors.ts";
import { CREATE_TOPICS, LIST_OFFSETS, PRODUCE } from "../../src/wire/generated/apis.ts";
import { newCreatableTopic } from "../../src/wire/generated/create_topics_request.ts";
import {
  newListOffsetsPartition,
  newListOffsetsRequest,
} from "../../src/wire/generated/list_offsets_request.ts";
import type { PartitionProduceResponse } from "../../src/wire/generated/produce_response.ts";
import { ClusterBench } from "./cluster_bench.ts";
import { SimClient } from "./sim_client.ts";
import { produceRequest, SMALL_BATCH } from "./sim_requests.ts";

const TOPIC = "orders";
const NODES = [0, 1, 2];
const LAG_MS = 400;
const LONG_MS = 10_000;
/** Longest time for news to get round (virtual ms). */
const LATE_MS = 8_000;
const LATEST = -1;

function started(seed: number, insyncMin: number): ClusterBench {
  const bench = new ClusterBench(seed, 3, { "replica.lag.time.max.ms": `${LAG_MS}` });
  bench.start(1, 2, 1);
  bench.until(() => bench.metadata(0).brokers.length === 3);
  const configs = [{ name: "min.insync.replicas", value: `${insyncMin}` }];
  const topic = newCreatableTopic({ name: TOPIC, numPartitions: 1, replicationFactor: 3, configs });
  const request = { topics: [topic], timeoutMs: 5_000, validateOnly: false };
  assert.equal(bench.ask(0, CREATE_TOPICS, 7, request).topics[0]!.errorCode, ErrorCode.NONE);
  return bench;
}

/** Sends one batch to a node; the result gives the answer, null as long as there is none. */
function send(bench: ClusterBench, nodeId: number, acks: number, timeoutMs = LONG_MS) {
  const { network, nodes } = bench.cluster;
  const client = new SimClient(network.dial("producer", nodes[nodeId]!.address));
  let answer: PartitionProduceResponse | null = null;
  const request = { ...produceRequest(TOPIC, 0, SMALL_BATCH, acks), timeoutMs };
  client.send(PRODUCE, 9, request, ({ responses }) => {
    answer = responses[0]!.partitionResponses[0]!;
  });
  return (): PartitionProduceResponse | null => (client.poll(), answer);
}

function produce(bench: ClusterBench, nodeId: number, acks: number, timeoutMs = LONG_MS) {
  const answer = send(bench, nodeId, acks, timeoutMs);
  bench.until(() => answer() !== null, "an answer to a produce request");
  return answer()!;
}

/** As `until`, asking rarely: each question is a connection. */
function eventually(bench: ClusterBench, done: () => boolean, what: string): void {
  const lateMs = bench.cluster.nowMs + LATE_MS;
  while (!done()) {
    assert(bench.cluster.nowMs < lateMs, `${what} does not come`);
    bench.cluster.rest(50);
  }
}

function highWatermark(bench: ClusterBench, nodeId: number): number {
  const partitions = [newListOffsetsPartition({ partitionIndex: 0, timestamp: LATEST })];
  const request = newListOffsetsRequest({ replicaId: -1, topics: [{ name: TOPIC, partitions }] });
  const [partition] = bench.ask(nodeId, LIST_OFFSETS, 5, request).topics[0]!.partitions;
  assert.equal(partition!.errorCode, ErrorCode.NONE);
  return partition!.offset;
}

function leaderOf(bench: ClusterBench, alive: readonly number[] = NODES): number {
  return bench.settled(TOPIC, alive).partitions[0]!.leaderId;
}

/** Nothing passes between the two, either way. */
function cut(bench: ClusterBench, a: number, b: number, isCut = true): void {
  const { network, nodes } = bench.cluster;
  network.link(nodes[a]!.name, nodes[b]!.name).cut = isCut;
  network.link(nodes[b]!.name, nodes[a]!.name).cut = isCut;
}

function heal(bench: ClusterBench): void {
  for (const a of NODES) for (const b of NODES) if (a < b) cut(bench, a, b, false);
}

function inSync(bench: ClusterBench, nodeId: number): number[] {
  return bench.metadata(nodeId, TOPIC).topics[0]!.partitions[0]!.isrNodes.toSorted();
}

for (const seed of [1, 2, 3]) {
  Deno.test(`acks=all waits for all replicas where the topic asks for them, and says so when one falls behind (seed ${seed})`, () => {
    const bench = started(seed, 3);
    const leader = leaderOf(bench);
    const [slow, other] = NODES.filter((node) => node !== leader);
    assert.equal(produce(bench, leader, -1).errorCode, ErrorCode.NONE);
    eventually(
      bench,
      () => NODES.every((node) => inSync(bench, node).length === 3),
      "three in sync",
    );

    // One that is silent, and of which nobody knows yet whether it is dead.
    cut(bench, leader, slow!);
    const impatient = send(bench, leader, -1, 150);
    const patient = send(bench, leader, -1);
    bench.until(() => impatient() !== null, "the end of the client's time");
    assert.equal(impatient()!.errorCode, ErrorCode.REQUEST_TIMED_OUT);
    assert.equal(patient(), null);
    assert.equal(highWatermark(bench, leader), 9, "a majority has it: consumers see it");
    bench.until(() => patient() !== null, "an answer when the replica is out of sync");
    assert.equal(patient()!.errorCode, ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND);
    assert.equal(produce(bench, leader, -1).errorCode, ErrorCode.NOT_ENOUGH_REPLICAS);
    assert.equal(produce(bench, leader, 1).errorCode, ErrorCode.NONE);
    eventually(bench, () => highWatermark(bench, leader) > 9, "the commit");
    bench.cluster.rest(100);
    assert.equal(highWatermark(bench, leader), 12, "what was refused is not in the log");

    // The one that is cut off cannot hear of it.
    const expected = [leader, other!].toSorted();
    const isTold = (): boolean =>
      expected.every((node) => `${inSync(bench, node)}` === `${expected}`);
    eventually(bench, isTold, "the news");
    heal(bench);
    eventually(bench, () => NODES.every((node) => inSync(bench, node).length === 3), "its return");
    assert.equal(produce(bench, leader, -1).errorCode, ErrorCode.NONE);
  });

  Deno.test(`acks=1 is answered by the leader's disk, and nobody reads it before a majority has it (seed ${seed})`, () => {
    const bench = started(seed, 1);
    const leader = leaderOf(bench);
    assert.equal(produce(bench, leader, -1).errorCode, ErrorCode.NONE);
    for (const node of NODES) if (node !== leader) cut(bench, leader, node);
    const beganMs = bench.cluster.nowMs;
    const all = send(bench, leader, -1);
    assert.equal(produce(bench, leader, 1).errorCode, ErrorCode.NONE);
    assert.equal(all(), null);
    assert.equal(highWatermark(bench, leader), 3);
    assert(bench.cluster.nowMs - beganMs < 500, "it still led");
    // It does not lead for ever without the others.
    bench.until(() => all() !== null, "an answer to who waits for the commit");
    assert.equal(all()!.errorCode, ErrorCode.NOT_LEADER_OR_FOLLOWER);
    heal(bench);
  });
}

Deno.test("every node names the replicas of a dead node as offline and not in sync, and the controller that there is", () => {
  const bench = started(4, 1);
  const leader = leaderOf(bench);
  const dead = NODES.find((node) => node !== leader && node !== bench.metadata(0).controllerId)!;
  const alive = NODES.filter((node) => node !== dead);
  bench.cluster.nodes[dead]!.crash();
  const views = (): string[] =>
    alive.map((node) => {
      const { brokers, controllerId, topics } = bench.metadata(node, TOPIC);
      const { isrNodes, offlineReplicas, leaderId, errorCode } = topics[0]!.partitions[0]!;
      const ids = brokers.map(({ nodeId }) => nodeId);
      const isr = isrNodes.toSorted();
      return JSON.stringify({ ids, controllerId, isr, offlineReplicas, leaderId, errorCode });
    });
  const controllerId = bench.metadata(alive[0]!).controllerId;
  const expected = JSON.stringify({
    ids: alive,
    controllerId,
    isr: alive,
    offlineReplicas: [dead],
    leaderId: leader,
    errorCode: ErrorCode.NONE,
  });
  eventually(bench, () => views().every((view) => view === expected), `${expected} everywhere`);
});

Deno.test("without a majority nobody leads, and nobody is named", () => {
  const bench = started(5, 1);
  const leader = leaderOf(bench);
  const last = NODES.find((node) => node !== leader)!;
  for (const node of NODES) if (node !== last) bench.cluster.nodes[node]!.crash();
  eventually(bench, () => {
    const [partition] = bench.metadata(last, TOPIC).topics[0]!.partitions;
    return partition!.leaderId === -1 && partition!.errorCode === ErrorCode.LEADER_NOT_AVAILABLE;
  }, "that nobody leads");
  assert.deepEqual(bench.metadata(last).brokers.map(({ nodeId }) => nodeId), [last]);
});

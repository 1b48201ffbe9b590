/**
 * Leadership that moves as planned, in a simulated cluster of three under load: on request, before a stop, and back to
 * the preferred replica. Producers of the time between are not refused by the one that comes, and lose nothing.
 */

import { strict as assert } from "node:assert";
import { ErrorCode } from "../../src/wire/errors.ts";
import { ELECT_LEADERS, PRODUCE } from "../../src/wire/generated/apis.ts";
import { newElectLeadersRequest } from "../../src/wire/generated/elect_leaders_request.ts";
import { ClusterBench } from "./cluster_bench.ts";
import { SimClient } from "./sim_client.ts";
import { produceRequest, SMALL_BATCH } from "./sim_requests.ts";

const TOPIC = "orders";
const NODES = [0, 1, 2];
/** Records of {@linkcode SMALL_BATCH}. */
const BATCH_RECORDS = 3;
/** Longest time for news to get round (virtual ms). */
const LATE_MS = 8_000;
const PREFERRED = 0;
const UNCLEAN = 1;

/** One batch after another to partition 0; goes where answers point it, at once. */
class Producer {
  readonly #bench: ClusterBench;
  #node: number;
  #client: SimClient | null = null;
  #sentMs = 0;
  #batchMs = 0;
  /** Of acknowledged batches. */
  readonly offsets: number[] = [];
  /** By error code. */
  readonly errors = new Map<number, number>();
  /** The longest from the first attempt of a batch to its acknowledgement (virtual ms). */
  worstMs = 0;
  /** From the first to the last refusal of one batch: the longest (virtual ms). */
  refusedMs = 0;
  #refusedSinceMs = -1;
  isOver = false;

  constructor(bench: ClusterBench, node: number) {
    this.#bench = bench;
    this.#node = node;
  }

  /** Between two steps. */
  poll(): void {
    const { cluster } = this.#bench;
    if (this.#client?.end.closed) this.#client = null;
    if (this.#client === null) {
      if (!cluster.nodes[this.#node]!.accepting) this.#node = (this.#node + 1) % NODES.length;
      const { address } = cluster.nodes[this.#node]!;
      this.#client = new SimClient(cluster.network.dial("producer", address));
    }
    this.#client.poll();
    if (this.#client === null || this.#client.open > 0 || (this.isOver && this.#batchMs === 0)) {
      return;
    }
    this.#sentMs = cluster.nowMs;
    if (this.#batchMs === 0) this.#batchMs = this.#sentMs;
    this.#client.send(PRODUCE, 10, produceRequest(TOPIC, 0, SMALL_BATCH), (response) => {
      const { errorCode, baseOffset, currentLeader } = response.responses[0]!
        .partitionResponses[0]!;
      const { nowMs } = cluster;
      if (errorCode === ErrorCode.NONE) {
        this.offsets.push(baseOffset);
        this.worstMs = Math.max(this.worstMs, nowMs - this.#batchMs);
        this.#refusedSinceMs = -1;
        this.#batchMs = 0;
        return;
      }
      this.errors.set(errorCode, (this.errors.get(errorCode) ?? 0) + 1);
      if (this.#refusedSinceMs < 0) this.#refusedSinceMs = nowMs;
      this.refusedMs = Math.max(this.refusedMs, nowMs - this.#refusedSinceMs);
      const next = currentLeader.leaderId;
      if (next >= 0 && next !== this.#node) {
        this.#node = next;
        this.#client = null;
      }
    });
  }
}

class Stage {
  readonly bench: ClusterBench;
  readonly producer: Producer;

  constructor(seed: number, settings: Readonly<Record<string, string>> = {}) {
    this.bench = new ClusterBench(seed, NODES.length, settings);
    this.bench.start(1, 2, 1);
    this.bench.until(() => this.bench.metadata(0).brokers.length === NODES.length);
    assert.equal(this.bench.create(0, TOPIC, 3, 3).errorCode, ErrorCode.NONE);
    this.producer = new Producer(this.bench, this.leader());
  }

  leader(alive: readonly number[] = NODES): number {
    return this.view(alive).leaderId;
  }

  view(alive: readonly number[] = NODES) {
    const { partitions } = this.bench.settled(TOPIC, alive);
    return partitions.find(({ partitionIndex }) => partitionIndex === 0)!;
  }

  run(ms: number): void {
    const { cluster } = this.bench;
    const untilMs = cluster.nowMs + ms;
    while (cluster.nowMs < untilMs) this.#step();
  }

  until(done: () => boolean, what: string): void {
    const lateMs = this.bench.cluster.nowMs + LATE_MS;
    while (!done()) {
      assert(this.bench.cluster.nowMs < lateMs, `${what} does not come`);
      this.#step();
    }
  }

  #step(): void {
    this.bench.cluster.step();
    this.producer.poll();
  }

  elect(node: number, electionType: number, partitions: readonly number[] = [0]) {
    const { network, nodes } = this.bench.cluster;
    const client = new SimClient(network.dial("admin", nodes[node]!.address));
    const topicPartitions = [{ topic: TOPIC, partitions: [...partitions] }];
    const request = newElectLeadersRequest({ electionType, topicPartitions, timeoutMs: 5_000 });
    let codes: number[] | null = null;
    client.send(ELECT_LEADERS, 2, request, ({ replicaElectionResults }) => {
      codes = replicaElectionResults[0]!.partitionResult.map(({ errorCode }) => errorCode);
    });
    this.until(() => (client.poll(), codes !== null), "the answer to an election");
    return codes!;
  }

  /** Every acknowledged batch is where it was said to be, and none is there twice. */
  finish(): void {
    const { producer, bench } = this;
    producer.isOver = true;
    this.run(200);
    const { offsets } = producer;
    assert.deepEqual(offsets, offsets.map((_, i) => offsets[0]! + i * BATCH_RECORDS));
    assert(bench.cluster.nodes.every(({ fatals }) => fatals.length === 0));
  }
}

for (const seed of [1, 2, 3, 4]) {
  Deno.test(`leadership moves to the preferred replica on request, from any node, and producers hardly notice (seed ${seed})`, () => {
    const stage = new Stage(seed, { "auto.leader.rebalance.enable": "false" });
    const preferred = stage.view().replicaNodes[0]!;
    assert.equal(stage.leader(), preferred);
    assert.deepEqual(stage.elect(0, PREFERRED), [ErrorCode.ELECTION_NOT_NEEDED]);
    const node = stage.bench.cluster.nodes[preferred]!;
    node.crash();
    const others = NODES.filter((id) => id !== preferred);
    stage.bench.until(() => stage.leader(others) !== preferred, "another leader");
    assert.deepEqual(stage.elect(others[0]!, PREFERRED), [
      ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE,
    ]);
    stage.run(100);
    node.begin(1 + seed % 2);
    stage.until(() => node.accepting, "its return");
    stage.until(() => stage.elect(others[0]!, UNCLEAN)[0] !== undefined, "an answer");
    stage.run(500);
    const { producer } = stage;
    producer.errors.clear();
    producer.worstMs = producer.refusedMs = 0;
    for (const asked of [NODES[seed % 3]!]) {
      assert.deepEqual(stage.elect(asked, PREFERRED), [ErrorCode.NONE]);
      assert.equal(stage.leader(), preferred);
    }
    stage.run(200);
    assert.deepEqual([...producer.errors.keys()], [ErrorCode.NOT_LEADER_OR_FOLLOWER]);
    assert(producer.refusedMs < 10, `refused for ${producer.refusedMs} ms`);
    assert(producer.worstMs < 60, `a batch took ${producer.worstMs} ms`);
    assert.deepEqual(stage.elect(0, UNCLEAN), [ErrorCode.ELECTION_NOT_NEEDED]);
    stage.finish();
  });

  Deno.test(`a node that stops hands its groups over first (seed ${seed})`, () => {
    const stage = new Stage(seed);
    const { cluster } = stage.bench;
    stage.run(200);
    const leaving = stage.leader();
    const { producer } = stage;
    producer.worstMs = 0;
    const node = cluster.nodes[leaving]!;
    node.beginStop();
    stage.until(() => !node.stopping, "the end of the stop");
    assert(!node.serving, "a node that has stopped serves nobody");
    node.crash();
    stage.run(300);
    const lastly = producer.offsets.length;
    stage.run(300);
    assert(producer.offsets.length > lastly, "producers go on");
    assert(producer.worstMs < 200, `a batch took ${producer.worstMs} ms`);
    for (const code of producer.errors.keys()) assert.equal(code, ErrorCode.NOT_LEADER_OR_FOLLOWER);
    const alive = NODES.filter((id) => id !== leaving);
    assert(alive.includes(stage.bench.metadata(alive[0]!).controllerId));
    stage.finish();
  });
}

Deno.test("an unclean election of a partition without a majority is refused: nobody may lead it", () => {
  const stage = new Stage(5);
  const last = stage.leader();
  for (const id of NODES) if (id !== last) stage.bench.cluster.nodes[id]!.crash();
  stage.bench.cluster.rest(2_500);
  assert.deepEqual(stage.elect(last, UNCLEAN), [ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE]);
  assert.deepEqual(stage.elect(last, PREFERRED), [ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE]);
});

Deno.test("a preferred replica that has returned and keeps up gets its leadership back by itself", () => {
  const stage = new Stage(6, { "leader.imbalance.check.interval.seconds": "1" });
  const { cluster } = stage.bench;
  const preferred = stage.view().replicaNodes[0]!;
  const others = NODES.filter((id) => id !== preferred);
  cluster.nodes[preferred]!.crash();
  stage.bench.until(() => stage.leader(others) !== preferred, "another leader");
  stage.run(1_500);
  assert.notEqual(stage.leader(others), preferred);
  cluster.nodes[preferred]!.begin(1);
  stage.until(() => cluster.nodes[preferred]!.accepting, "its return");
  const isBack = (): boolean => {
    stage.run(100);
    const { partitions } = stage.bench.settled(TOPIC, NODES);
    return partitions.every(({ leaderId, replicaNodes }) => leaderId === replicaNodes[0]);
  };
  stage.until(isBack, "every preferred leader");
  stage.finish();
});

for (const seed of [7, 8, 9]) {
  Deno.test(`each node leads its share of new topics at once (seed ${seed})`, () => {
    const stage = new Stage(seed, { "auto.leader.rebalance.enable": "false" });
    const topics = Array.from({ length: 30 }, (_, at) => `new-${at}`);
    const asked = NODES[seed % 3]!;
    for (const topic of topics) {
      assert.equal(stage.bench.create(asked, topic, 3, 1).errorCode, ErrorCode.NONE);
      stage.run(20);
    }
    const led = topics.map((topic) => stage.bench.settled(topic, NODES).partitions[0]!);
    for (const { leaderId, replicaNodes } of led) assert.equal(leaderId, replicaNodes[0]);
    for (const id of NODES) {
      assert.equal(led.filter(({ leaderId }) => leaderId === id).length, topics.length / 3);
    }
    stage.finish();
  });
}

Deno.test("a new topic whose preferred leader is late for its first election is led by it soon", () => {
  const stage = new Stage(10);
  const { cluster } = stage.bench;
  const { controllerId } = stage.bench.metadata(0);
  const late = NODES.find((id) => id !== controllerId && id !== stage.leader())!;
  // As on a machine that leaves its process without a processor, for less than others wait to hear of it.
  cluster.nodes[late]!.pausedUntilMs = cluster.nowMs + 4_000;
  const others = NODES.filter((id) => id !== late);
  for (const at of [0, 1, 2]) {
    assert.equal(stage.bench.create(controllerId, `late-${at}`, 3, 1).errorCode, ErrorCode.NONE);
  }
  const leads = (): boolean =>
    [0, 1, 2].every((at) => {
      const { leaderId, replicaNodes } = stage.bench.settled(`late-${at}`, others).partitions[0]!;
      return leaderId === replicaNodes[0];
    });
  assert(!leads(), "it was not late");
  stage.until(() => (stage.run(100), leads()), "its leadership");
  stage.finish();
});

/**
 * Reading from a replica near by (KIP-392) in a simulated cluster of three racks.
 */

import { strict as assert } from "node:assert";
import { ErrorCode } from "../../src/wire/errors.ts";
import { FETCH, PRODUCE } from "../../src/wire/generated/apis.ts";
import {
  newFetchPartition,
  newFetchRequest,
  newFetchTopic,
} from "../../src/wire/generated/fetch_request.ts";
import type { PartitionData } from "../../src/wire/generated/fetch_response.ts";
import { ClusterBench } from "./cluster_bench.ts";
import { SimClient } from "./sim_client.ts";
import { produceRequest, SMALL_BATCH } from "./sim_requests.ts";

const TOPIC = "orders";
const NODES = [0, 1, 2];
const BATCH_RECORDS = 3;
const RACK_AWARE = "org.apache.kafka.common.replica.RackAwareReplicaSelector";
/** Names topics by name. */
const VERSION = 12;

interface Question {
  readonly offset: number;
  readonly rack: string;
  readonly waitMs?: number;
  readonly epoch?: number;
}

class Stage {
  readonly bench: ClusterBench;
  readonly leader: number;
  readonly follower: number;
  readonly other: number;

  constructor(seed: number, selector: string | null = RACK_AWARE) {
    const settings = selector === null ? {} : { "replica.selector.class": selector };
    this.bench = new ClusterBench(seed, 3, {
      ...settings,
      "replica.lag.time.max.ms": "500",
      "auto.leader.rebalance.enable": "false",
    });
    // Several shards: the partition is another one's for some connections.
    this.bench.start(2, 2, 2);
    this.bench.until(() => this.bench.metadata(0).brokers.length === NODES.length);
    assert.equal(this.bench.create(0, TOPIC, 3, 1).errorCode, ErrorCode.NONE);
    this.leader = this.bench.settled(TOPIC, NODES).partitions[0]!.leaderId;
    [this.follower, this.other] = NODES.filter((node) => node !== this.leader) as [number, number];
  }

  rackOf(node: number): string {
    return this.bench.cluster.nodes[node]!.name;
  }

  produce(): void {
    const answer = this.bench.ask(this.leader, PRODUCE, 9, produceRequest(TOPIC, 0, SMALL_BATCH));
    assert.equal(answer.responses[0]!.partitionResponses[0]!.errorCode, ErrorCode.NONE);
  }

  /** Asks a node; the result gives the answer, null as long as there is none. */
  send(
    node: number,
    { offset, rack, waitMs = 0, epoch = -1 }: Question,
  ): () => PartitionData | null {
    const { network, nodes } = this.bench.cluster;
    const client = new SimClient(network.dial("consumer", nodes[node]!.address));
    const partition = newFetchPartition({
      partition: 0,
      fetchOffset: offset,
      partitionMaxBytes: 1_000_000,
      currentLeaderEpoch: epoch,
    });
    const request = newFetchRequest({
      replicaId: -1,
      maxWaitMs: waitMs,
      minBytes: 1,
      maxBytes: 1_000_000,
      sessionEpoch: -1,
      rackId: rack,
      topics: [newFetchTopic({ topic: TOPIC, partitions: [partition] })],
    });
    let answer: PartitionData | null = null;
    client.send(FETCH, VERSION, request, ({ responses }) => answer = responses[0]!.partitions[0]!);
    return () => (client.poll(), answer);
  }

  fetch(node: number, question: Question): PartitionData {
    const answer = this.send(node, question);
    this.bench.until(() => answer() !== null, "an answer to a fetch");
    return answer()!;
  }
}

for (const seed of [1, 2, 3]) {
  Deno.test(`the leader sends a consumer to the replica in its rack, which serves what is committed (seed ${seed})`, () => {
    const stage = new Stage(seed);
    const { leader, follower, bench } = stage;
    const rack = stage.rackOf(follower);
    stage.produce();
    bench.cluster.rest(300);
    const sent = stage.fetch(leader, { offset: 0, rack, waitMs: 5_000 });
    assert.equal(sent.errorCode, ErrorCode.NONE);
    assert.equal(sent.preferredReadReplica, follower);
    assert.equal(sent.records?.length ?? 0, 0);
    assert.equal(sent.highWatermark, BATCH_RECORDS);

    const read = stage.fetch(follower, { offset: 0, rack });
    assert.equal(read.errorCode, ErrorCode.NONE);
    assert.equal(read.preferredReadReplica, -1);
    assert.equal(read.highWatermark, BATCH_RECORDS);
    assert(read.records!.length > 0);

    // It waits there for what comes.
    const waiting = stage.send(follower, { offset: BATCH_RECORDS, rack, waitMs: 10_000 });
    bench.cluster.rest(100);
    assert.equal(waiting(), null);
    const beganMs = bench.cluster.nowMs;
    stage.produce();
    bench.until(() => waiting() !== null, "news");
    assert(bench.cluster.nowMs - beganMs < 300, "as soon as the follower hears of the commit");
    assert(waiting()!.records!.length > 0);
    // Nothing comes: the wait ends in its time.
    const end = 2 * BATCH_RECORDS;
    const idle = stage.send(follower, { offset: end, rack, waitMs: 400 });
    bench.cluster.rest(300);
    assert.equal(idle(), null);
    bench.until(() => idle() !== null, "the end of the wait");
    assert.deepEqual([idle()!.errorCode, idle()!.highWatermark], [ErrorCode.NONE, end]);

    // In the leader's own rack, in none that there is, and without one: the leader itself.
    for (const elsewhere of [stage.rackOf(leader), "nowhere", ""]) {
      const own = stage.fetch(leader, { offset: 0, rack: elsewhere });
      assert.equal(own.preferredReadReplica, -1);
      assert(own.records!.length > 0);
    }
    assert.equal(
      stage.fetch(follower, { offset: 0, rack: "" }).errorCode,
      ErrorCode.NOT_LEADER_OR_FOLLOWER,
    );
  });

  Deno.test(`a replica that falls behind is not preferred any more, and gives nothing that it does not know to be committed (seed ${seed})`, () => {
    const stage = new Stage(seed + 10);
    const { leader, follower, other, bench } = stage;
    const { network, nodes } = bench.cluster;
    const rack = stage.rackOf(follower);
    stage.produce();
    bench.cluster.rest(300);
    for (const node of [leader, other]) {
      network.link(nodes[node]!.name, nodes[follower]!.name).cut = true;
    }
    stage.produce();
    const beyond = stage.fetch(follower, { offset: BATCH_RECORDS + 1, rack });
    assert.equal(beyond.errorCode, ErrorCode.OFFSET_OUT_OF_RANGE, "its log ends before");
    const last = stage.fetch(follower, { offset: 0, rack });
    assert.equal(last.highWatermark, BATCH_RECORDS);
    assert.equal(stage.fetch(leader, { offset: 2 * BATCH_RECORDS, rack }).preferredReadReplica, -1);
    bench.cluster.rest(700);
    const kept = stage.fetch(leader, { offset: 0, rack });
    assert.equal(kept.preferredReadReplica, -1);
    assert(kept.records!.length > 0);
  });
}

Deno.test("a follower that has records of which it does not know whether they are committed says so", () => {
  const stage = new Stage(21);
  const { leader, follower, other, bench } = stage;
  const { network, nodes } = bench.cluster;
  const rack = stage.rackOf(follower);
  stage.produce();
  bench.cluster.rest(300);
  const { leaderEpoch } = bench.settled(TOPIC, NODES).partitions[0]!;
  // The leader hears of no disk but its own, so nothing more is committed for now.
  for (const node of [follower, other]) {
    network.link(nodes[node]!.name, nodes[leader]!.name).cut = true;
  }
  const client = new SimClient(network.dial("producer", nodes[leader]!.address));
  client.send(PRODUCE, 9, produceRequest(TOPIC, 0, SMALL_BATCH), () => {});
  const node = nodes[follower]!;
  const log = node.logOf(node.groupOf(bench.metadata(follower, TOPIC).topics[0]!.topicId, 0))!;
  bench.until(() => (client.poll(), log.durableEndOffset === 2 * BATCH_RECORDS), "the records");
  const uncommitted = { offset: BATCH_RECORDS + 1, rack };
  assert.equal(stage.fetch(follower, uncommitted).errorCode, ErrorCode.OFFSET_NOT_AVAILABLE);
  assert.equal(
    stage.fetch(follower, { offset: 99, rack }).errorCode,
    ErrorCode.OFFSET_OUT_OF_RANGE,
  );
  const at = stage.fetch(follower, { offset: BATCH_RECORDS, rack });
  assert.deepEqual([at.errorCode, at.records?.length ?? 0], [ErrorCode.NONE, 0]);
  const fenced = stage.fetch(follower, { offset: 0, rack, epoch: leaderEpoch - 1 });
  assert.equal(fenced.errorCode, ErrorCode.FENCED_LEADER_EPOCH);
  const ahead = stage.fetch(follower, { offset: 0, rack, epoch: leaderEpoch + 9 });
  assert.equal(ahead.errorCode, ErrorCode.UNKNOWN_LEADER_EPOCH);
});

Deno.test("without a selector the leader serves every consumer itself", () => {
  const stage = new Stage(31, null);
  stage.produce();
  const own = stage.fetch(stage.leader, { offset: 0, rack: stage.rackOf(stage.follower) });
  assert.equal(own.preferredReadReplica, -1);
  assert(own.records!.length > 0);
});

/**
 * Simulated clusters whose disks are full, one of them, a majority, and all: producers get the right errors, DeleteRecords and
 * retention make room, and everything goes on.
 */

import { strict as assert } from "node:assert";
import { ErrorCode } from "../../src/wire/errors.ts";
import { CREATE_TOPICS, DELETE_RECORDS, PRODUCE } from "../../src/wire/generated/apis.ts";
import {
  newCreatableTopic,
  newCreatableTopicConfig,
  newCreateTopicsRequest,
} from "../../src/wire/generated/create_topics_request.ts";
import { RecordBatchBuilder } from "../../src/wire/record_batch_builder.ts";
import { ClusterBench } from "./cluster_bench.ts";
import { ClusterWatch } from "./cluster_watch.ts";
import { limitDisk } from "./disk_troubles.ts";
import { produceRequest } from "./sim_requests.ts";
import type { SimNode } from "./sim_node.ts";

const TOPIC = "orders";
const SEGMENT_BYTES = 1024 * 1024;
const VALUE_BYTES = 25_000;
/** Three segments and a half. */
const BATCHES = 50;
/** Later than the disks are full. */
const RETENTION_MS = 60_000;
/** Produce requests until no disk has room, at most. */
const FILLING_MAX = 400;

function batch(fill: number): Uint8Array {
  const builder = new RecordBatchBuilder();
  const value = new Uint8Array(VALUE_BYTES).fill(fill);
  for (let i = 0; i < 3; i++) builder.add({ key: null, value, timestamp: 1_700_000_000_000 });
  return builder.build();
}

/** A cluster with a topic, records in it, and disks that others have filled. */
class FullCluster {
  readonly bench: ClusterBench;
  readonly groupId: number;

  constructor(seed: number, configs: Readonly<Record<string, string>> = {}, settings = {}) {
    this.bench = new ClusterBench(seed, 3, settings);
    const { bench } = this;
    bench.start(1, 1, 1);
    bench.until(() => bench.metadata(0).brokers.length === 3);
    const all = { "segment.bytes": `${SEGMENT_BYTES}`, "min.insync.replicas": "2", ...configs };
    const topic = newCreatableTopic({
      name: TOPIC,
      numPartitions: 1,
      replicationFactor: 3,
      configs: Object.entries(all).map(([name, value]) => newCreatableTopicConfig({ name, value })),
    });
    const request = newCreateTopicsRequest({ topics: [topic], timeoutMs: 5_000 });
    const [created] = bench.ask(0, CREATE_TOPICS, 7, request).topics;
    assert.equal(created!.errorCode, ErrorCode.NONE);
    const { topicId } = bench.settled(TOPIC, [0, 1, 2]);
    this.groupId = bench.cluster.groupOf(topicId, 0);
    for (let i = 0; i < BATCHES; i++) assert.equal(this.produce(), ErrorCode.NONE);
    bench.until(() => this.logs.every(({ endOffset }) => endOffset === 3 * BATCHES), "all records");
  }

  get logs() {
    return this.bench.cluster.nodes.map((node) => node.logOf(this.groupId)!);
  }

  get leader(): SimNode {
    return this.bench.cluster.holderOf(this.groupId)!;
  }

  get followers(): SimNode[] {
    return this.bench.cluster.nodes.filter((node) => node !== this.leader);
  }

  produce(): ErrorCode {
    const request = { ...produceRequest(TOPIC, 0, batch(7)), timeoutMs: 1_000 };
    const { responses } = this.bench.ask(this.leader.nodeId, PRODUCE, 9, request);
    return responses[0]!.partitionResponses[0]!.errorCode as ErrorCode;
  }

  /** Produces until no record is taken any more; the errors. */
  fill(nodes: readonly SimNode[]): Set<ErrorCode> {
    for (const node of nodes) limitDisk(node, node.disk.usedBytes());
    const errors = new Set<ErrorCode>();
    let refused = 0;
    for (let i = 0; i < FILLING_MAX && refused < 10; i++) {
      const error = this.produce();
      refused = error === ErrorCode.NONE ? 0 : refused + 1;
      if (error !== ErrorCode.NONE) errors.add(error);
    }
    return errors;
  }

  /** Deletes all records but the last committed ones; the answer. */
  deleteRecords(): ErrorCode {
    const { startOffset, segmentList } = this.leader.logOf(this.groupId)!;
    const offset = segmentList[2]!.endOffset;
    assert(offset > startOffset);
    const answer = this.bench.ask(this.leader.nodeId, DELETE_RECORDS, 2, {
      topics: [{ name: TOPIC, partitions: [{ partitionIndex: 0, offset }] }],
      timeoutMs: 10_000,
    });
    return answer.topics[0]!.partitions[0]!.errorCode as ErrorCode;
  }

  /** Records are taken again, and all logs are equal. */
  assertFreed(): void {
    const { bench } = this;
    const { cluster } = bench;
    const lateMs = cluster.nowMs + 20_000;
    while (this.produce() !== ErrorCode.NONE) {
      assert(
        cluster.nowMs < lateMs,
        cluster.nodes.map(({ remarks }) => remarks.join("\n")).join("\n"),
      );
      cluster.rest(100);
    }
    for (const node of cluster.nodes) limitDisk(node);
    const end = (): number => this.leader.logOf(this.groupId)!.endOffset;
    bench.until(() => this.logs.every(({ endOffset }) => endOffset === end()), "all records");
    const starts = new Set(this.logs.map(({ startOffset }) => startOffset));
    assert(starts.size === 1 && !starts.has(0), `${[...starts]}`);
    cluster.rest(2_000);
    new ClusterWatch(cluster).compare([]);
  }
}

Deno.test("a full disk of one follower: producers notice nothing, and DeleteRecords frees it", () => {
  const full = new FullCluster(61);
  const [one] = full.followers;
  limitDisk(one!, one!.disk.usedBytes());
  for (let i = 0; i < 60; i++) assert.equal(full.produce(), ErrorCode.NONE);
  const log = one!.logOf(full.groupId)!;
  assert(log.endOffset < full.leader.logOf(full.groupId)!.endOffset, "it is not full");
  assert.equal(full.deleteRecords(), ErrorCode.NONE);
  full.assertFreed();
});

Deno.test("a full disk of the leader: a storage error, and DeleteRecords frees it", () => {
  const full = new FullCluster(62);
  assert.deepEqual([...full.fill([full.leader])], [ErrorCode.KAFKA_STORAGE_ERROR]);
  assert.equal(full.deleteRecords(), ErrorCode.NONE);
  full.assertFreed();
});

for (const seed of [63, 64, 65]) {
  Deno.test(`full disks of a majority: too few replicas, and DeleteRecords frees them (seed ${seed})`, () => {
    const full = new FullCluster(seed);
    const errors = full.fill(full.followers);
    assert(errors.has(ErrorCode.NOT_ENOUGH_REPLICAS), `${[...errors]}`);
    errors.delete(ErrorCode.NOT_ENOUGH_REPLICAS);
    errors.delete(ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND);
    errors.delete(ErrorCode.REQUEST_TIMED_OUT);
    assert.deepEqual([...errors], []);
    const { endOffset } = full.leader.logOf(full.groupId)!;
    for (const node of full.followers) assert(node.logOf(full.groupId)!.endOffset < endOffset);
    assert.equal(full.deleteRecords(), ErrorCode.NONE);
    full.assertFreed();
  });

  Deno.test(`full disks of a majority are freed by retention (seed ${seed})`, () => {
    const full = new FullCluster(seed, { "retention.bytes": `${SEGMENT_BYTES}` }, {
      "log.retention.check.interval.ms": `${RETENTION_MS}`,
    });
    const { cluster } = full.bench;
    full.fill(full.followers);
    const lateMs = cluster.nowMs + 2 * RETENTION_MS;
    while (full.leader.logOf(full.groupId)!.startOffset === 0) {
      assert(cluster.nowMs < lateMs, "retention does not come");
      cluster.rest(1_000);
    }
    full.assertFreed();
  });

  Deno.test(`full disks of all, and a leader that dies: what is left elects one, and DeleteRecords frees it (seed ${seed})`, () => {
    const full = new FullCluster(seed);
    const { cluster } = full.bench;
    full.fill(cluster.nodes);
    const { leader } = full;
    leader.crash();
    full.bench.until(
      () => cluster.nodes.some((node) => node !== leader && node.leads(full.groupId)),
      "a leader",
    );
    assert.equal(full.deleteRecords(), ErrorCode.NONE);
    limitDisk(leader);
    leader.begin(1);
    full.bench.until(() => leader.accepting, "a start");
    full.bench.until(() => leader.logOf(full.groupId) !== undefined, "its log");
    full.assertFreed();
  });
}

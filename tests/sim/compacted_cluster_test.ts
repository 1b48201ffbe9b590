/**
 * A simulated cluster with a compacted topic: nodes die and come back, leaders change, and each replica compacts
 * for itself. Whoever reads any replica to its end knows the last value of each key that was acknowledged.
 */

import { strict as assert } from "node:assert";
import { Xoshiro128 } from "../../src/base/prng.ts";
import { readBatches } from "../../src/cli/client/records.ts";
import { runTask } from "../../src/io/task.ts";
import { ErrorCode } from "../../src/wire/errors.ts";
import { CREATE_TOPICS, PRODUCE } from "../../src/wire/generated/apis.ts";
import { newCreatableTopic } from "../../src/wire/generated/create_topics_request.ts";
import { RecordBatchBuilder } from "../../src/wire/record_batch_builder.ts";
import { ClusterBench } from "./cluster_bench.ts";
import { readToEnd } from "./read_to_end.ts";
import { produceRequest } from "./sim_requests.ts";

const TOPIC = "users";
const KEYS = 25;
const SETTINGS = { "log.cleaner.backoff.ms": "50", "replica.lag.time.max.ms": "2000" };
const CONFIGS = {
  "cleanup.policy": "compact",
  "segment.ms": "300",
  "min.cleanable.dirty.ratio": "0.01",
  "delete.retention.ms": "0",
};

class CompactedBench extends ClusterBench {
  /** What was acknowledged last of each key; null: that it is deleted. */
  readonly acknowledged = new Map<string, string | null>();
  /** Values that may be there, because it is not known what became of them. */
  readonly doubtful = new Map<string, Set<string | null>>();
  readonly #random: Xoshiro128;
  #next = 0;

  constructor(seed: number, nodes: number) {
    super(seed, nodes, SETTINGS);
    this.#random = new Xoshiro128(seed);
  }

  makeTopic(replicationFactor: number): void {
    const configs = Object.entries(CONFIGS).map(([name, value]) => ({ name, value }));
    const topics = [
      newCreatableTopic({ name: TOPIC, numPartitions: 1, replicationFactor, configs }),
    ];
    const request = { topics, timeoutMs: 5_000, validateOnly: false };
    const [answer] = this.ask(0, CREATE_TOPICS, 7, request).topics;
    assert.equal(answer!.errorCode, ErrorCode.NONE, answer!.errorMessage ?? "");
  }

  /** One record of one key; false: it was refused. */
  produce(asked: number): boolean {
    const [partition] = this.metadata(asked, TOPIC).topics[0]!.partitions;
    if (partition === undefined || partition.leaderId < 0) return false;
    if (!this.cluster.nodes[partition.leaderId]!.accepting) return false;
    const key = `key-${this.#random.nextBelow(KEYS)}`;
    const value = this.#random.nextBelow(4) === 0 ? null : `${this.#next++} `.repeat(20);
    const builder = new RecordBatchBuilder();
    const bytes = value === null ? null : new TextEncoder().encode(value);
    builder.add({ key: new TextEncoder().encode(key), value: bytes, timestamp: 1_700_000_000_000 });
    const request = produceRequest(TOPIC, 0, builder.build());
    const answer = this.ask(partition.leaderId, PRODUCE, 9, request);
    const { errorCode } = answer.responses[0]!.partitionResponses[0]!;
    if (errorCode === ErrorCode.NONE) {
      this.acknowledged.set(key, value);
      this.doubtful.delete(key);
      return true;
    }
    const values = this.doubtful.get(key) ?? new Set();
    this.doubtful.set(key, values.add(value));
    return false;
  }

  write(count: number, asked: number): void {
    for (let i = 0; i < count; i++) {
      if (!this.produce(asked)) this.cluster.rest(20);
      if (i % 10 === 0) this.cluster.rest(60);
    }
  }

  get groupId(): number {
    return this.cluster.groupOf(this.metadata(0, TOPIC).topics[0]!.topicId, 0);
  }

  /** All replicas have the same end, and their readers know the same. */
  check(nodes: readonly number[]): { segments: number; cleaned: number } {
    const { groupId } = this;
    const logs = nodes.map((nodeId) => this.cluster.nodes[nodeId]!.logOf(groupId)!);
    this.until(
      () => new Set(logs.map(({ durableEndOffset }) => durableEndOffset)).size === 1,
      "equal ends",
    );
    let segments = 0;
    let cleaned = 0;
    for (const log of logs) {
      const values = new Map<string, string | null>();
      const { memory } = log.parts.context;
      let stuck: number | null = null;
      runTask(
        readToEnd(log, log.startOffset, (address, length) => {
          const bytes = memory.bytes.slice(address, address + length);
          const { records } = readBatches({ topic: TOPIC, partition: 0, offset: 0 }, bytes, []);
          for (const { key, value } of records) {
            const name = new TextDecoder().decode(key!);
            values.set(name, value === null ? null : new TextDecoder().decode(value));
          }
        }),
        (at) => stuck = at,
      );
      this.until(() => stuck !== null, "the end of a log");
      assert.equal(stuck, -1);
      for (const [key, value] of this.acknowledged) {
        const found = values.get(key) ?? null;
        const isRight = found === value || this.doubtful.get(key)?.has(found) === true;
        assert.ok(isRight, `${key} is ${found} in ${log.directory}, and was ${value}`);
      }
      segments += log.segmentList.length;
      cleaned += log.chain.cleanOffset > 0 ? 1 : 0;
    }
    return { segments, cleaned };
  }
}

for (const seed of [1, 2, 3, 4]) {
  Deno.test(`replicas of a compacted topic agree on each key's last value, whoever dies (seed ${seed})`, () => {
    const bench = new CompactedBench(seed, 3);
    bench.start(1, 1, 2);
    bench.until(() => bench.metadata(0).brokers.length === 3);
    bench.makeTopic(3);
    bench.settled(TOPIC, [0, 1, 2]);
    for (let round = 0; round < 6; round++) {
      bench.write(60, 0);
      const victim = 1 + (round + seed) % 2;
      bench.cluster.nodes[victim]!.crash();
      bench.write(120, 0);
      bench.join(victim, 1 + round % 2);
      bench.write(30, 0);
    }
    bench.cluster.rest(3_000);
    bench.settled(TOPIC, [0, 1, 2]);
    const { segments, cleaned } = bench.check([0, 1, 2]);
    assert.equal(cleaned, 3, "every replica has compacted its log");
    assert.ok(segments < 60, `${segments} segments`);
    assert.ok(bench.acknowledged.size === KEYS);
  });
}

Deno.test("a compacted topic of one node drops its tombstones, and keeps what it is to keep over restarts", () => {
  const bench = new CompactedBench(9, 1);
  bench.start(2);
  bench.makeTopic(1);
  bench.settled(TOPIC, [0]);
  for (let round = 0; round < 8; round++) {
    bench.write(100, 0);
    if (round % 2 === 1) bench.cluster.nodes[0]!.crash();
    if (round % 2 === 1) bench.join(0, 1 + round % 3);
    bench.settled(TOPIC, [0]);
  }
  bench.write(40, 0);
  bench.cluster.rest(3_000);
  const { cleaned } = bench.check([0]);
  assert.equal(cleaned, 1);
  const log = bench.cluster.nodes[0]!.logOf(bench.groupId)!;
  assert.ok(log.sizeBytes < 30_000, `the log has ${log.sizeBytes} bytes`);
});

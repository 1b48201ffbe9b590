/**
 * Running brokers of a cluster: one whose disk hangs, and batches that are larger than their memory lets them send.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { ErrorCode } from "../../src/wire/errors.ts";
import { CREATE_TOPICS, METADATA, PRODUCE } from "../../src/wire/generated/apis.ts";
import {
  newCreatableTopic,
  newCreatableTopicConfig,
  newCreateTopicsRequest,
} from "../../src/wire/generated/create_topics_request.ts";
import { newMetadataRequest } from "../../src/wire/generated/metadata_request.ts";
import {
  newPartitionProduceData,
  newProduceRequest,
  newTopicProduceData,
} from "../../src/wire/generated/produce_request.ts";
import { RecordBatchBuilder } from "../../src/wire/record_batch_builder.ts";
import { LocalCluster } from "../harness/local_cluster.ts";
import { FaultOrders } from "./fault_orders.ts";
import { Link, parseAddress, pause } from "./link.ts";

const TOPIC = "orders";
const SOON_MS = 30_000;
/** Each write of the journal, once its disk hangs. */
const HANGS_US = 6_000_000;
const MIB = 1024 * 1024;

/** Links to every node of a cluster with one topic of one partition and three replicas. */
class Bench {
  readonly links: readonly Link[];

  constructor(cluster: LocalCluster) {
    this.links = cluster.brokers.map(({ kafka }) => new Link(parseAddress(kafka), "bench"));
  }

  async create(configs: Readonly<Record<string, string>> = {}): Promise<void> {
    const topic = newCreatableTopic({
      name: TOPIC,
      numPartitions: -1,
      replicationFactor: -1,
      assignments: [{ partitionIndex: 0, brokerIds: [0, 1, 2] }],
      configs: Object.entries(configs).map(([name, value]) =>
        newCreatableTopicConfig({ name, value })
      ),
    });
    await eventually("the topic", async () => {
      const request = newCreateTopicsRequest({ topics: [topic], timeoutMs: 5_000 });
      const response = await this.links[0]!.call(CREATE_TOPICS, request, 7);
      const error = response?.topics[0]?.errorCode;
      return error === ErrorCode.NONE || error === ErrorCode.TOPIC_ALREADY_EXISTS;
    });
  }

  /** Who leads, and which replicas keep up, as `node` says; null: it does not know. */
  async partition(node: number): Promise<{ leaderId: number; inSync: number } | null> {
    const request = newMetadataRequest({ topics: [{ name: TOPIC, topicId: "0".repeat(32) }] });
    const response = await this.links[node]!.call(METADATA, request, 9);
    const partition = response?.topics[0]?.partitions[0];
    if (partition === undefined || partition.leaderId < 0) return null;
    return { leaderId: partition.leaderId, inSync: partition.isrNodes.length };
  }

  async leader(node: number, except = -1): Promise<number> {
    let leaderId = -1;
    await eventually("a leader", async () => {
      leaderId = (await this.partition(node))?.leaderId ?? -1;
      return leaderId >= 0 && leaderId !== except;
    });
    return leaderId;
  }

  /** Sends one record to a node. */
  async produce(node: number, valueBytes: number): Promise<{ error: number; message: string }> {
    const builder = new RecordBatchBuilder();
    builder.add({ key: null, value: new Uint8Array(valueBytes), timestamp: 1 });
    const partitionData = [newPartitionProduceData({ index: 0, records: builder.build() })];
    const topicData = [newTopicProduceData({ name: TOPIC, partitionData })];
    const request = newProduceRequest({ acks: -1, timeoutMs: 10_000, topicData });
    const response = await this.links[node]!.call(PRODUCE, request, 9);
    assert.ok(response !== null, "the connection broke");
    const { errorCode, errorMessage } = response.responses[0]!.partitionResponses[0]!;
    return { error: errorCode, message: errorMessage ?? "" };
  }

  [Symbol.dispose](): void {
    for (const link of this.links) link.close();
  }
}

async function eventually(what: string, done: () => Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + SOON_MS;
  while (!await done()) {
    if (performance.now() > deadlineMs) throw new Error(`${what} does not come`);
    await pause(20);
  }
}

Deno.test("A leader whose disk hangs while its network lives is replaced within 2 s, and follows afterwards", async () => {
  const directory = Deno.makeTempDirSync({ prefix: "gregor-faults-" });
  const orders = [0, 1, 2].map((node) => new FaultOrders(`${directory}/${node}`));
  const cluster = await LocalCluster.start({ nodes: 3, env: (node) => orders[node]!.env });
  try {
    using bench = new Bench(cluster);
    await bench.create();
    const leader = await bench.leader(0);
    const other = (leader + 1) % 3;
    await bench.leader(other);
    for (let i = 0; i < 20; i++) {
      assert.equal((await bench.produce(leader, 100)).error, ErrorCode.NONE);
    }
    await orders[leader]!.order([{ ops: ["Write"], file: "/journal-", delayUs: HANGS_US }]);
    const beganMs = performance.now();
    // Two followers have it on their disks, so it is acknowledged all the same.
    const stuck = bench.produce(leader, 100);
    const next = await bench.leader(other, leader);
    const tookMs = performance.now() - beganMs;
    assert.ok(tookMs < 3_000, `${tookMs} ms`);
    assert.equal((await bench.produce(next, 100)).error, ErrorCode.NONE);
    assert.match(cluster.brokers[leader]!.stderr, /disk does not get on with a write/);
    await orders[leader]!.order([]);
    assert.equal((await stuck).error, ErrorCode.NONE);
    assert.equal((await bench.produce(await bench.leader(next), 100)).error, ErrorCode.NONE);
    const isBack = (): Promise<boolean> =>
      Promise.resolve(/gets on with its writes again/.test(cluster.brokers[leader]!.stderr));
    await eventually("its disk", isBack);
    // Another replica's disk hangs: now the one that is back is needed for a majority.
    const third = [0, 1, 2].find((node) => node !== leader && node !== next)!;
    await orders[third]!.order([{ ops: ["Write"], file: "/journal-", delayUs: HANGS_US }]);
    assert.equal((await bench.produce(await bench.leader(next, third), 100)).error, ErrorCode.NONE);
  } catch (error) {
    throw new Error(`${error}\n${cluster.stderr}`, { cause: error });
  } finally {
    await cluster.dispose();
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("A batch that one of the brokers has no memory for is refused with the limit, and nothing stops", async () => {
  const memory = (node: number): string => node === 2 ? "128MiB" : "256MiB";
  const cluster = await LocalCluster.start({ nodes: 3, memory });
  try {
    using bench = new Bench(cluster);
    await bench.create({ "max.message.bytes": `${100 * MIB}` });
    const leader = await bench.leader(0);
    for (const size of [100, 5 * MIB, 30 * MIB, 100, 12 * MIB]) {
      const { error, message } = await bench.produce(leader, size);
      if (size < 16 * MIB) assert.equal(error, ErrorCode.NONE, `${size}: ${message}`);
      else {
        assert.equal(error, ErrorCode.MESSAGE_TOO_LARGE);
        assert.match(message, /larger than \d+ bytes.*--memory/);
      }
    }
    await eventually(
      "all replicas in sync",
      async () => (await bench.partition(leader))?.inSync === 3,
    );
  } catch (error) {
    throw new Error(`${error}\n${cluster.stderr}`, { cause: error });
  } finally {
    await cluster.dispose();
  }
});

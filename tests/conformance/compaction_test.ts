/**
 * The same records go into compacted topics of Gregor and of Apache Kafka, and what its cleaner keeps is what Gregor keeps:
 * of each compression, with tombstones before and after their time.
 */

import { strict as assert } from "node:assert";
import { Xoshiro128 } from "../../src/base/prng.ts";
import { compress } from "../../src/bytes/compression.ts";
import { Connection } from "../../src/cli/client/connection.ts";
import { readBatches } from "../../src/cli/client/records.ts";
import {
  CREATE_TOPICS,
  FETCH,
  INIT_PRODUCER_ID,
  METADATA,
  PRODUCE,
} from "../../src/wire/generated/apis.ts";
import {
  newCreatableTopic,
  newCreateTopicsRequest,
} from "../../src/wire/generated/create_topics_request.ts";
import {
  newFetchPartition,
  newFetchRequest,
  newFetchTopic,
} from "../../src/wire/generated/fetch_request.ts";
import { newInitProducerIdRequest } from "../../src/wire/generated/init_producer_id_request.ts";
import { newMetadataRequest } from "../../src/wire/generated/metadata_request.ts";
import { newProduceRequest } from "../../src/wire/generated/produce_request.ts";
import type { Compression } from "../../src/wire/record_batch.ts";
import { RecordBatchBuilder } from "../../src/wire/record_batch_builder.ts";
import { ZERO_UUID } from "../../src/wire/uuid.ts";
import { Broker } from "../harness/broker.ts";
import { KafkaBroker } from "../harness/kafka_broker.ts";
import { KAFKA } from "./diff/kafka_version.ts";

const SETTINGS = [
  "log.cleaner.backoff.ms=200",
  "offsets.topic.num.partitions=1",
  "offsets.topic.replication.factor=1",
  "transaction.state.log.replication.factor=1",
  "transaction.state.log.min.isr=1",
  "broker.session.timeout.ms=60000",
];
const SEGMENT_BYTES = 2 ** 20;
const STABLE_MS = 3_000;
const CLEAN_MS = 60_000;
const CODECS = ["none", "gzip", "snappy", "lz4", "zstd"];

/** The batches of one topic, in two phases: each fills one segment and a part of the next. */
class Batches {
  readonly #random: Xoshiro128;
  readonly #compression: Compression;
  readonly #encoder = new TextEncoder();
  #bytes = 0;
  #sequence = 0;
  #timestamp = Date.now() - 1_000_000;

  constructor(seed: number) {
    this.#random = new Xoshiro128(seed);
    this.#compression = seed as Compression;
  }

  *phase(producerId: number): Generator<Uint8Array> {
    const end = this.#bytes + SEGMENT_BYTES * 1.2;
    while (this.#bytes < end) {
      const builder = new RecordBatchBuilder();
      const count = 1 + this.#random.nextBelow(40);
      for (let i = 0; i < count; i++) {
        const key = this.#encoder.encode(`key-${this.#random.nextBelow(300)}`);
        const value = new Uint8Array(this.#random.nextBelow(1_500)).map(() =>
          this.#random.nextBelow(256)
        );
        const isTombstone = this.#random.nextBelow(5) === 0;
        const headers = this.#random.nextBelow(4) === 0 ? [{ key: "h", value: key }] : [];
        builder.add({
          key,
          value: isTombstone ? null : value,
          timestamp: this.#timestamp++,
          headers,
        });
      }
      const isIdempotent = this.#random.nextBelow(2) === 0;
      const batch = builder.build({
        compression: this.#compression,
        compress: (bytes) => compress(this.#compression, bytes),
        producerId: isIdempotent ? producerId : -1,
        producerEpoch: isIdempotent ? 0 : -1,
        baseSequence: isIdempotent ? this.#sequence : -1,
      });
      if (isIdempotent) this.#sequence += count;
      this.#bytes += batch.length;
      yield batch;
    }
  }
}

class Side {
  readonly #connection: Connection;
  readonly #ids = new Map<string, string>();
  #producerId = -1;
  readonly batches = new Map<string, Batches>();

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  async prepare(topics: readonly string[], deleteRetentionMs: number): Promise<void> {
    const connection = this.#connection;
    const configs = Object.entries({
      "cleanup.policy": "compact",
      "segment.bytes": `${SEGMENT_BYTES}`,
      "min.cleanable.dirty.ratio": "0.01",
      "delete.retention.ms": `${deleteRetentionMs}`,
      "max.message.bytes": "1000000",
    }).map(([name, value]) => ({ name, value }));
    const made = await connection.call(
      CREATE_TOPICS,
      newCreateTopicsRequest({
        topics: topics.map((name) =>
          newCreatableTopic({ name, numPartitions: 1, replicationFactor: 1, configs })
        ),
        timeoutMs: 10_000,
      }),
    );
    for (const { name, errorCode, topicId } of made.topics) {
      assert.equal(errorCode, 0, name);
      this.#ids.set(name, topicId);
    }
    for (let tries = 0;; tries++) {
      const { topics: known } = await connection.call(
        METADATA,
        newMetadataRequest({ topics: topics.map((name) => ({ topicId: ZERO_UUID, name })) }),
      );
      if (known.every(({ partitions }) => partitions[0]?.leaderId === 1)) break;
      assert.ok(tries < 100, "the topics have no leaders");
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    const init = await connection.call(
      INIT_PRODUCER_ID,
      newInitProducerIdRequest({ transactionalId: null, transactionTimeoutMs: 60_000 }),
    );
    this.#producerId = init.producerId;
    topics.forEach((name, i) => this.batches.set(name, new Batches(i % CODECS.length)));
  }

  async fill(): Promise<void> {
    for (const [name, batches] of this.batches) {
      for (const records of batches.phase(this.#producerId)) {
        const request = newProduceRequest({
          acks: -1,
          timeoutMs: 10_000,
          topicData: [{ name, topicId: ZERO_UUID, partitionData: [{ index: 0, records }] }],
        });
        const { responses } = await this.#connection.call(PRODUCE, request, { maxVersion: 12 });
        assert.equal(responses[0]!.partitionResponses[0]!.errorCode, 0, name);
      }
    }
  }

  /** What is in all topics once nothing changes any more. */
  async settled(before: number): Promise<Map<string, string[]>> {
    const deadline = performance.now() + CLEAN_MS;
    let last = "";
    let since = performance.now();
    for (;;) {
      const contents = new Map<string, string[]>();
      for (const name of this.batches.keys()) contents.set(name, await this.#read(name));
      const now = JSON.stringify([...contents]);
      if (now !== last) since = performance.now();
      last = now;
      const isCompacted = [...contents.values()].every((lines) => lines.length < before);
      if (isCompacted && performance.now() - since > STABLE_MS) return contents;
      assert.ok(performance.now() < deadline, "it is not compacted in time");
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
  }

  async #read(name: string): Promise<string[]> {
    const lines: string[] = [];
    const topicId = this.#ids.get(name)!;
    for (let offset = 0;;) {
      const partitions = [
        newFetchPartition({ partition: 0, fetchOffset: offset, partitionMaxBytes: 2 ** 20 }),
      ];
      const topics = [newFetchTopic({ topicId, partitions })];
      const request = newFetchRequest({ replicaId: -1, maxWaitMs: 0, maxBytes: 2 ** 20, topics });
      const { responses } = await this.#connection.call(FETCH, request);
      const { errorCode, records, highWatermark } = responses[0]!.partitions[0]!;
      assert.equal(errorCode, 0);
      const read = readBatches(
        { topic: name, partition: 0, offset },
        records ?? new Uint8Array(0),
        [],
      );
      for (const { offset, key, value, timestamp, headers } of read.records) {
        lines.push(
          `${offset} ${text(key)} ${
            timestamp - Math.floor(timestamp)
          } ${value?.toHex()} ${headers.length}`,
        );
      }
      if (read.nextOffset === offset || read.nextOffset >= highWatermark) return lines;
      offset = read.nextOffset;
    }
  }

  async close(): Promise<void> {
    await this.#connection.close();
  }
}

async function connect(address: string): Promise<Connection> {
  const [host, port] = address.split(":");
  return await Connection.open({ host: host!, port: Number(port) }, { timeoutMs: 20_000 });
}

function text(bytes: Uint8Array | null): string {
  return bytes === null ? "null" : new TextDecoder().decode(bytes);
}

Deno.test({
  name: "what stays of compacted topics is what Kafka's cleaner keeps",
  ignore: !hasKafka(),
  fn: async () => {
    const kafka = await KafkaBroker.start(KAFKA, null, SETTINGS);
    const gregor = await Broker.start({
      cores: 2,
      memory: "256MiB",
      flags: ["--node-id=1", ...SETTINGS.map((setting) => `--set=${setting}`)],
    });
    const sides = await Promise.all(
      [kafka, gregor].map(async (one) => new Side(await connect(one.kafka))),
    );
    try {
      for (const retentionMs of [86_400_000, 0]) {
        const topics = CODECS.map((codec) => `${codec}-${retentionMs}`);
        for (const side of sides) {
          side.batches.clear();
          await side.prepare(topics, retentionMs);
        }
        for (const [phase, before] of [1, 2].entries()) {
          for (const side of sides) await side.fill();
          const [kept, ours] = [
            await sides[0]!.settled(1200 * before),
            await sides[1]!.settled(1200 * before),
          ];
          for (const topic of topics) {
            assert.deepEqual(ours.get(topic), kept.get(topic), `${topic} after phase ${phase + 1}`);
            console.log(
              `${topic}, phase ${phase + 1}: ${kept.get(topic)!.length} records are kept`,
            );
          }
        }
      }
    } finally {
      for (const side of sides) await side.close();
      await kafka.stop();
      await gregor.dispose();
    }
  },
});

/** Kafka needs Java and Maven; where a check must not be skipped, they have to be there. */
function hasKafka(): boolean {
  if (Deno.env.get("CI") === "true") return true;
  return ["java", "mvn"].every((program) =>
    (Deno.env.get("PATH") ?? "").split(":").some((folder) => {
      try {
        return Deno.statSync(`${folder}/${program}`).isFile;
      } catch {
        return false;
      }
    })
  );
}

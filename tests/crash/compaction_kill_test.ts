/**
 * Kills the broker while it compacts: after each start the topic says the last value of each key that was acknowledged, and no
 * key is back that was deleted.
 */

import { strict as assert } from "node:assert";
import { Xoshiro128 } from "../../src/base/prng.ts";
import { Connection } from "../../src/cli/client/connection.ts";
import { readBatches } from "../../src/cli/client/records.ts";
import { CREATE_TOPICS, FETCH, PRODUCE } from "../../src/wire/generated/apis.ts";
import {
  newCreatableTopic,
  newCreateTopicsRequest,
} from "../../src/wire/generated/create_topics_request.ts";
import {
  newFetchPartition,
  newFetchRequest,
  newFetchTopic,
} from "../../src/wire/generated/fetch_request.ts";
import { ErrorCode } from "../../src/wire/errors.ts";
import { RecordBatchBuilder } from "../../src/wire/record_batch_builder.ts";
import { Broker } from "../harness/broker.ts";
import { produceRequest } from "../sim/sim_requests.ts";
import { checkData } from "./check_data.ts";
import { pause } from "./link.ts";

const TOPIC = "users";
const KILLS = Number(Deno.env.get("GREGOR_CRASH_KILLS") ?? "15");
const KEYS = 400;
const COMPACTED_MS = 60_000;
/** Those of one segment, and of each key. */
const COMPACTED_RECORDS = 2_000;
const CONFIGS = {
  "cleanup.policy": "compact",
  "segment.bytes": "1048576",
  "min.cleanable.dirty.ratio": "0.01",
  "delete.retention.ms": "0",
};

class Users {
  readonly #broker: Broker;
  readonly #random = new Xoshiro128(Date.now() % 2 ** 31);
  readonly #acknowledged = new Map<string, string | null>();
  /** Of the request that was on its way when the broker died. */
  readonly #doubtful = new Map<string, Set<string | null>>();
  #topicId = "";
  #next = 0;

  constructor(broker: Broker) {
    this.#broker = broker;
  }

  async connect(): Promise<Connection> {
    const [host, port] = this.#broker.kafka.split(":");
    return await Connection.open({ host: host!, port: Number(port) }, { timeoutMs: 20_000 });
  }

  async make(): Promise<void> {
    const connection = await this.connect();
    const configs = Object.entries(CONFIGS).map(([name, value]) => ({ name, value }));
    const topic = newCreatableTopic({
      name: TOPIC,
      numPartitions: 1,
      replicationFactor: 1,
      configs,
    });
    const request = newCreateTopicsRequest({ topics: [topic], timeoutMs: 10_000 });
    const { topics: [made] } = await connection.call(CREATE_TOPICS, request);
    assert.equal(made!.errorCode, ErrorCode.NONE);
    this.#topicId = made!.topicId;
    await connection.close();
  }

  /** Writes until the broker is gone. */
  async write(): Promise<void> {
    const connection = await this.connect();
    for (;;) {
      const builder = new RecordBatchBuilder();
      const values = new Map<string, string | null>();
      for (let i = 0; i < 60; i++) {
        const key = `key-${this.#random.nextBelow(KEYS)}`;
        const isDeleted = this.#random.nextBelow(4) === 0;
        const value = isDeleted ? null : `${this.#next++} `.padEnd(1_000, "x");
        const bytes = value === null ? null : new TextEncoder().encode(value);
        builder.add({ key: new TextEncoder().encode(key), value: bytes, timestamp: Date.now() });
        values.set(key, value);
      }
      try {
        const request = produceRequest(TOPIC, 0, builder.build());
        const { responses } = await connection.call(PRODUCE, request, { maxVersion: 12 });
        assert.equal(responses[0]!.partitionResponses[0]!.errorCode, ErrorCode.NONE);
      } catch (error) {
        await connection.close();
        if (error instanceof assert.AssertionError) throw error;
        for (const [key, value] of values) {
          this.#doubtful.set(key, (this.#doubtful.get(key) ?? new Set()).add(value));
        }
        return;
      }
      for (const [key, value] of values) {
        this.#acknowledged.set(key, value);
        this.#doubtful.delete(key);
      }
      // So that compaction keeps up.
      await pause(5);
    }
  }

  /** Reads the topic to its end, and compares; the number of its records. */
  async check(): Promise<number> {
    const connection = await this.connect();
    const found = new Map<string, string | null>();
    let count = 0;
    for (let offset = 0, end = Infinity; offset < end;) {
      const bytes = 2 ** 20;
      const partitions = [
        newFetchPartition({ partition: 0, fetchOffset: offset, partitionMaxBytes: bytes }),
      ];
      const topics = [newFetchTopic({ topicId: this.#topicId, partitions })];
      const request = newFetchRequest({ replicaId: -1, maxWaitMs: 0, maxBytes: bytes, topics });
      const { responses } = await connection.call(FETCH, request);
      const { errorCode, records, highWatermark } = responses[0]!.partitions[0]!;
      assert.equal(errorCode, ErrorCode.NONE);
      end = highWatermark;
      const where = { topic: TOPIC, partition: 0, offset };
      const read = readBatches(where, records ?? new Uint8Array(0), []);
      assert.ok(read.nextOffset > offset || offset >= end, `nothing follows at offset ${offset}`);
      count += read.records.length;
      for (const { key, value } of read.records) {
        const name = new TextDecoder().decode(key!);
        found.set(name, value === null ? null : new TextDecoder().decode(value));
      }
      offset = read.nextOffset;
    }
    await connection.close();
    for (const [key, value] of this.#acknowledged) {
      const there = found.get(key) ?? null;
      if (there === value) continue;
      assert.ok(this.#doubtful.get(key)?.has(there), `${key} is ${there}, and was ${value}`);
      this.#acknowledged.set(key, there);
    }
    return count;
  }

  get written(): number {
    return this.#next;
  }
}

Deno.test("a broker that is killed while it compacts keeps each key's last value, and brings none back", async () => {
  await using broker = await Broker.start({
    cores: 2,
    memory: "128MiB",
    flags: ["--set=log.cleaner.backoff.ms=20"],
  });
  const users = new Users(broker);
  await users.make();
  let count = 0;
  for (let kill = 1; kill <= KILLS; kill++) {
    const writing = users.write();
    await pause(300 + Math.random() * 900);
    await broker.kill();
    await writing;
    if (kill % 5 === 0) {
      const { code, output } = await checkData(broker.dataDir);
      assert.equal(code, 0, output);
    }
    await broker.restart({ cores: 1 + kill % 3 });
    count = await users.check();
  }
  // What is left when there is time for it: a segment that is written to, and little else.
  const lateMs = performance.now() + COMPACTED_MS;
  while (count > COMPACTED_RECORDS) {
    assert.ok(performance.now() < lateMs, `${count} of ${users.written} records are there`);
    await pause(500);
    count = await users.check();
  }
  console.log(`${users.written} values were written, ${count} records are left`);
});

/**
 * What requests cost a real broker beside its budgets: JavaScript objects do not grow with what a client
 * names, nor with how many do so at once, and clients that stall over TCP cost the others no time.
 */

import { strict as assert } from "node:assert";
import type { Api } from "../../src/wire/api.ts";
import { CREATE_TOPICS, FETCH, METADATA, PRODUCE } from "../../src/wire/generated/apis.ts";
import {
  newFetchPartition,
  newFetchRequest,
  newFetchTopic,
} from "../../src/wire/generated/fetch_request.ts";
import {
  newMetadataRequest,
  newMetadataRequestTopic,
} from "../../src/wire/generated/metadata_request.ts";
import { encodeRequestFrame } from "../../src/wire/header.ts";
import { RecordBatchBuilder } from "../../src/wire/record_batch_builder.ts";
import { Broker, within } from "../harness/broker.ts";
import { produceRequest, topicRequest } from "../sim/sim_requests.ts";

const TOPIC = "bounded";
const PATIENCE_MS = 8_000;
/** What an idle broker of two shards has, and what hostile requests may add to it. */
const GROWTH_MAX = 450 * 2 ** 20;

class Client {
  readonly connection: Deno.TcpConn;

  constructor(connection: Deno.TcpConn) {
    this.connection = connection;
  }

  static async connect(broker: Broker): Promise<Client> {
    const [hostname, port] = broker.ready.kafka.split(":");
    return new Client(await Deno.connect({ hostname: hostname!, port: Number(port) }));
  }

  async send<Request>(api: Api<Request, unknown>, version: number, request: Request) {
    await this.write(encodeRequestFrame(api, version, 1, "bounds", request));
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) at += await this.connection.write(bytes.subarray(at));
  }

  /** The size of the next answer, whose bytes are dropped; -1: the broker hung up. */
  async answer(): Promise<number> {
    const head = await this.#read(4);
    if (head === null) return -1;
    const size = new DataView(head.buffer).getInt32(0, false);
    return await this.#read(size) === null ? -1 : size;
  }

  async #read(size: number): Promise<Uint8Array<ArrayBuffer> | null> {
    const bytes = new Uint8Array(size);
    for (let at = 0; at < size;) {
      const read = await this.connection.read(bytes.subarray(at)).catch(() => null);
      if (read === null) return null;
      at += read;
    }
    return bytes;
  }

  close(): void {
    try {
      this.connection.close();
    } catch {
      // The broker was first.
    }
  }
}

async function withBroker(
  memory: string,
  run: (broker: Broker) => Promise<void>,
): Promise<void> {
  const broker = await Broker.start({ cores: 2, memory });
  try {
    const client = await Client.connect(broker);
    await client.send(CREATE_TOPICS, 7, topicRequest(TOPIC, 2));
    assert(await client.answer() > 0);
    client.close();
    await run(broker);
  } finally {
    await broker.dispose();
  }
}

/** Resident memory of the broker that is not a file's or shared (bytes). */
function residentBytes(broker: Broker): number {
  const status = Deno.readTextFileSync(`/proc/${broker.pid}/status`);
  return Number(/RssAnon:\s+(\d+) kB/.exec(status)![1]) * 1024;
}

function batchOf(bytes: number): Uint8Array {
  const builder = new RecordBatchBuilder();
  builder.add({ key: null, value: new Uint8Array(bytes), timestamp: Date.now() });
  return builder.build();
}

/** How long a produce of `bytes` takes (ms). */
async function produceMs(broker: Broker, bytes: number): Promise<number> {
  const client = await Client.connect(broker);
  const startedMs = performance.now();
  await client.send(PRODUCE, 9, produceRequest(TOPIC, 0, batchOf(bytes)));
  const size = await within(client.answer(), 2 * PATIENCE_MS);
  client.close();
  assert(size !== null && size > 0, "the producer was hung up on, or not answered");
  return performance.now() - startedMs;
}

/** The same request from many connections, none of which reads before all have sent. */
async function flood<Request>(
  broker: Broker,
  count: number,
  api: Api<Request, unknown>,
  version: number,
  request: Request,
): Promise<void> {
  const before = residentBytes(broker);
  const clients = await Promise.all(Array.from({ length: count }, () => Client.connect(broker)));
  const frame = encodeRequestFrame(api, version, 1, "bounds", request);
  let most = 0;
  const watch = setInterval(() => most = Math.max(most, residentBytes(broker)), 100);
  const sent = Promise.all(clients.map((client) => client.write(frame).catch(() => {})));
  try {
    await within(sent, 2_000);
    await new Promise((done) => setTimeout(done, 1_000));
    // Somebody else is served while they lie there.
    assert(await produceMs(broker, 1000) < PATIENCE_MS);
    const answers = await within(Promise.all(clients.map((client) => client.answer())), 60_000);
    assert(answers !== null, "requests are not answered");
  } finally {
    clearInterval(watch);
    for (const client of clients) client.close();
    await sent;
  }
  const grown = Math.max(most, residentBytes(broker)) - before;
  console.log(`${api.name}: ${count} of ${frame.length} bytes cost ${grown >> 20} MiB at most`);
  assert(grown < GROWTH_MAX, `${grown >> 20} MiB of memory for ${api.name}`);
}

Deno.test("thirty fetches that name a partition 99,000 times cost little", async () => {
  await withBroker("64MiB", async (broker) => {
    const same = Array.from({ length: 99_000 }, () => newFetchPartition({ partition: 0 }));
    const topics = [newFetchTopic({ topic: TOPIC, partitions: same })];
    await flood(broker, 30, FETCH, 4, newFetchRequest({ maxWaitMs: 1000, minBytes: 1, topics }));
  });
});

Deno.test("thirty fetches of 20,000 partitions that nobody has cost little", async () => {
  await withBroker("64MiB", async (broker) => {
    const unknown = Array.from(
      { length: 20_000 },
      (_, partition) => newFetchPartition({ partition }),
    );
    const topics = [newFetchTopic({ topic: "nobody", partitions: unknown })];
    await flood(broker, 30, FETCH, 4, newFetchRequest({ maxWaitMs: 1000, minBytes: 1, topics }));
  });
});

Deno.test("thirty requests for the metadata of 10,000 topics cost little", async () => {
  await withBroker("64MiB", async (broker) => {
    const topics = Array.from(
      { length: 10_000 },
      (_, i) => newMetadataRequestTopic({ name: `t${i}` }),
    );
    const request = newMetadataRequest({ topics, allowAutoTopicCreation: false });
    await flood(broker, 30, METADATA, 12, request);
  });
});

Deno.test("clients that announce and stall, or poll and wait, cost others no time over TCP", async () => {
  await withBroker("64MiB", async (broker) => {
    const stalling: Client[] = [];
    for (let i = 0; i < 66; i++) {
      const client = await Client.connect(broker);
      await client.write(new Uint8Array([0, 1, 0x86, 0xa0, 0]));
      stalling.push(client);
    }
    const partition = newFetchPartition({ partition: 1, partitionMaxBytes: 1_000_000 });
    const poll = newFetchRequest({
      maxWaitMs: 30_000,
      minBytes: 1,
      topics: [newFetchTopic({ topic: TOPIC, partitions: [partition] })],
    });
    for (let i = 0; i < 300; i++) {
      const client = await Client.connect(broker);
      await client.send(FETCH, 12, poll);
      await client.send(METADATA, 12, newMetadataRequest({ topics: [] }));
      stalling.push(client);
    }
    await new Promise((done) => setTimeout(done, 500));
    for (let i = 0; i < 4; i++) {
      const tookMs = await produceMs(broker, 100_000);
      assert(tookMs < PATIENCE_MS / 2, `a produce took ${tookMs} ms`);
    }
    for (const client of stalling) client.close();
  });
});

Deno.test("consumers that never read cost producers no time over TCP", async () => {
  await withBroker("64MiB", async (broker) => {
    for (let i = 0; i < 60; i++) await produceMs(broker, 900_000);
    const partition = newFetchPartition({ partition: 0, partitionMaxBytes: 2 ** 30 });
    const topics = [newFetchTopic({ topic: TOPIC, partitions: [partition] })];
    const deaf: Client[] = [];
    for (let i = 0; i < 6; i++) {
      const client = await Client.connect(broker);
      topics[0]!.partitions[0]!.fetchOffset = 8 * i;
      await client.send(FETCH, 12, newFetchRequest({ maxWaitMs: 0, minBytes: 1, topics }));
      deaf.push(client);
    }
    await new Promise((done) => setTimeout(done, 500));
    for (let i = 0; i < 40; i++) {
      const tookMs = await produceMs(broker, 900_000);
      assert(tookMs < PATIENCE_MS / 2, `a produce took ${tookMs} ms`);
    }
    for (const client of deaf) client.close();
  });
});

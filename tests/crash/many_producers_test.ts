/**
 * Producers whose ids no cluster ever gave out, one for each record, as two seconds of hostile or careless load
 * make them: kills, starts and stops bear them, and each is remembered.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { PRODUCE } from "../../src/wire/generated/apis.ts";
import {
  newPartitionProduceData,
  newProduceRequest,
  newTopicProduceData,
  type ProduceRequest,
} from "../../src/wire/generated/produce_request.ts";
import { encodeRequestFrame } from "../../src/wire/header.ts";
import { RecordBatchBuilder } from "../../src/wire/record_batch_builder.ts";
import { Broker } from "../harness/broker.ts";
import { checkData } from "./check_data.ts";
import { Link, parseAddress } from "./link.ts";
import { createTopic } from "./side_loads.ts";

const PRODUCERS = 82_000;
const FIRST_ID = 7_000_000;
/** Requests written at once. */
const BURST = 500;
const PRODUCE_VERSION = 9;

function requestOf(producer: number): ProduceRequest {
  const builder = new RecordBatchBuilder();
  builder.add({ key: null, value: new Uint8Array(1), timestamp: 1 });
  const options = { producerId: FIRST_ID + producer, producerEpoch: 0, baseSequence: 0 };
  const partition = newPartitionProduceData({ index: 0, records: builder.build(options) });
  return newProduceRequest({
    acks: -1,
    timeoutMs: 5000,
    topicData: [newTopicProduceData({ name: "t", partitionData: [partition] })],
  });
}

/** One batch of each producer, in order, over one connection; resolves when all are answered. */
async function produceAll(kafka: string): Promise<void> {
  const { host, port } = parseAddress(kafka);
  using connection = await Deno.connect({ hostname: host, port });
  const answered = countAnswers(connection);
  const writer = connection.writable.getWriter();
  for (let first = 0; first < PRODUCERS; first += BURST) {
    for (let i = first; i < first + BURST; i++) {
      const frame = encodeRequestFrame(PRODUCE, PRODUCE_VERSION, i, "many", requestOf(i));
      await writer.write(frame);
    }
  }
  await answered;
  writer.releaseLock();
}

/** Reads until every request has its answer. */
async function countAnswers(connection: Deno.TcpConn): Promise<void> {
  let held = new Uint8Array(0);
  let answers = 0;
  const buffer = new Uint8Array(256 * 1024);
  while (answers < PRODUCERS) {
    const count = await connection.read(buffer);
    assert.notEqual(count, null, `the connection ended after ${answers} answers`);
    const bytes = new Uint8Array(held.length + count!);
    bytes.set(held);
    bytes.set(buffer.subarray(0, count!), held.length);
    const view = new DataView(bytes.buffer);
    let at = 0;
    while (at + 4 <= bytes.length && at + 4 + view.getInt32(at) <= bytes.length) {
      at += 4 + view.getInt32(at);
      answers++;
    }
    held = bytes.slice(at);
  }
}

/** A batch that is sent again is answered with the offset that it has. */
async function remembers(link: Link): Promise<void> {
  for (const producer of [0, 1, PRODUCERS / 2, PRODUCERS - 2, PRODUCERS - 1]) {
    let answer = await link.call(PRODUCE, requestOf(producer), PRODUCE_VERSION);
    // The first call after a restart finds the connection broken.
    answer ??= await link.call(PRODUCE, requestOf(producer), PRODUCE_VERSION);
    const partition = answer!.responses[0]!.partitionResponses[0]!;
    assert.deepEqual([partition.errorCode, partition.baseOffset], [0, producer]);
  }
}

Deno.test("82,000 producers are remembered over a kill, a stop and another number of cores", async () => {
  await using broker = await Broker.start({ cores: 1, memory: "64MiB" });
  const link = new Link(parseAddress(broker.kafka), "link");
  try {
    await createTopic(link, "t", 1, {});
    await produceAll(broker.kafka);
    await remembers(link);
    await broker.kill();
    await broker.restart();
    await remembers(link);
    await broker.restart({ cores: 2 });
    await remembers(link);
  } finally {
    link.close();
  }
  assert.deepEqual(await broker.stop(), { code: 0, signal: null });
  const check = await checkData(broker.dataDir);
  assert.equal(check.code, 0, check.output);
});

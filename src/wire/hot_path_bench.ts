/**
 * How long the in-place readers and writers take: `deno bench src/wire/hot_path_bench.ts`.
 *
 * One iteration is one request or response of one topic and one partition, a thousand times: divide
 * by 1000.
 *
 * @module
 */

import { wrapMemory } from "../bytes/memory.ts";
import { Cursor } from "../bytes/cursor.ts";
import { Writer } from "../bytes/writer.ts";
import { FetchReader } from "./fetch_reader.ts";
import { FetchResponseWriter } from "./fetch_response.ts";
import {
  encodeFetchRequest,
  newFetchPartition,
  newFetchRequest,
  newFetchTopic,
} from "./generated/fetch_request.ts";
import {
  decodeProduceRequest,
  encodeProduceRequest,
  newPartitionProduceData,
  newProduceRequest,
  newTopicProduceData,
} from "./generated/produce_request.ts";
import { ProduceReader } from "./produce_reader.ts";
import { ProduceResponseWriter } from "./produce_response.ts";

const TIMES = 1000;
const memory = wrapMemory(new ArrayBuffer(65536));
const RESPONSE_AT = 32768;

function place(encode: (writer: Writer) => void): number {
  const writer = new Writer();
  encode(writer);
  memory.bytes.set(writer.borrowBytes());
  return writer.size;
}

function placeProduce(version: number): number {
  const records = new Uint8Array(1024);
  return place((writer) =>
    encodeProduceRequest(
      writer,
      version,
      newProduceRequest({
        acks: -1,
        topicData: [newTopicProduceData({
          ...(version < 13 ? { name: "some-topic" } : {}),
          partitionData: [newPartitionProduceData({ records })],
        })],
      }),
    )
  );
}

for (const version of [3, 9, 13]) {
  Deno.bench(`ProduceReader v${version}`, (b) => {
    const end = placeProduce(version);
    const reader = new ProduceReader();
    let sum = 0;
    b.start();
    for (let i = 0; i < TIMES; i++) {
      reader.open(memory, 0, end, version);
      while (reader.nextTopic()) {
        while (reader.nextPartition()) sum += reader.recordsLength;
      }
    }
    b.end();
    if (sum !== TIMES * 1024) throw new Error("not read");
  });
}

Deno.bench("decodeProduceRequest() v9, for comparison", (b) => {
  const end = placeProduce(9);
  b.start();
  for (let i = 0; i < TIMES; i++) decodeProduceRequest(new Cursor(memory, 0, end), 9);
  b.end();
});

for (const version of [4, 12, 17]) {
  Deno.bench(`FetchReader v${version}`, (b) => {
    const end = place((writer) =>
      encodeFetchRequest(
        writer,
        version,
        newFetchRequest({
          topics: [newFetchTopic({ topic: "some-topic", partitions: [newFetchPartition()] })],
        }),
      )
    );
    const reader = new FetchReader();
    b.start();
    for (let i = 0; i < TIMES; i++) {
      reader.open(memory, 0, end, version);
      while (reader.nextTopic()) {
        while (reader.nextPartition());
      }
    }
    b.end();
  });
}

for (const version of [3, 9, 13]) {
  Deno.bench(`ProduceResponseWriter v${version}`, (b) => {
    const writer = new ProduceResponseWriter(memory);
    const result = {
      index: 0,
      errorCode: 0,
      baseOffset: 2 ** 33,
      logAppendTimeMs: -1,
      logStartOffset: 0,
      errorMessage: null,
      recordErrors: [],
      leaderId: -1,
      leaderEpoch: -1,
    };
    b.start();
    for (let i = 0; i < TIMES; i++) {
      writer.begin(RESPONSE_AT, memory.bytes.length, version, i, 1);
      if (version < 13) writer.topicByName(0, 10, 1);
      else writer.topicById(0, 1);
      writer.partition(result);
      writer.endTopic();
      writer.end(0, null);
    }
    b.end();
  });
}

for (const version of [4, 12, 17]) {
  Deno.bench(`FetchResponseWriter v${version}`, (b) => {
    const writer = new FetchResponseWriter(memory);
    const head = { correlationId: 1, throttleTimeMs: 0, errorCode: 0, sessionId: 0, topicCount: 1 };
    const result = {
      index: 0,
      errorCode: 0,
      highWatermark: 2 ** 33,
      lastStableOffset: 2 ** 33,
      logStartOffset: 0,
      divergingEpoch: -1,
      divergingEndOffset: -1,
      leaderId: -1,
      leaderEpoch: -1,
    };
    b.start();
    for (let i = 0; i < TIMES; i++) {
      writer.begin(RESPONSE_AT, memory.bytes.length, version, head);
      if (version < 13) writer.topicByName(0, 10, 1);
      else writer.topicById(0, 1);
      writer.partition(result, -1);
      writer.records(-1, 100_000);
      writer.endPartition(result);
      writer.endTopic();
      writer.end(null);
    }
    b.end();
  });
}

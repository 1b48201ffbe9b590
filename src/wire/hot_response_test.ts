import { strict as assert } from "node:assert";
import { Cursor } from "../bytes/cursor.ts";
import { wrapMemory } from "../bytes/memory.ts";
import { encodeUtf8 } from "../bytes/utf8.ts";
import {
  FETCH_ABORTED_SIZE_MAX,
  FETCH_PARTITION_SIZE_MAX,
  FETCH_RESPONSE_SIZE_MAX,
  FETCH_TOPIC_SIZE_MAX,
  type FetchPartitionResult,
  FetchResponseWriter,
} from "./fetch_response.ts";
import { FETCH, PRODUCE } from "./generated/apis.ts";
import * as fetched from "./generated/fetch_response.ts";
import * as produced from "./generated/produce_response.ts";
import { encodeResponse } from "./header.ts";
import {
  PRODUCE_PARTITION_SIZE_MAX,
  PRODUCE_RESPONSE_SIZE_MAX,
  PRODUCE_TOPIC_SIZE_MAX,
  type ProducePartitionResult,
  ProduceResponseWriter,
} from "./produce_response.ts";
import { uuidToBytes } from "./uuid.ts";

const ID = "00112233445566778899aabbccddeeff";
const NAME_AT = 16;
const NAME = "events";
const START = 64;
const ENDPOINT = { nodeId: 3, host: "peer", port: 9092, rack: null };

function region() {
  const memory = wrapMemory(new ArrayBuffer(4096));
  encodeUtf8(NAME, memory.bytes, NAME_AT);
  uuidToBytes(ID, memory.bytes, 0);
  return memory;
}

/** A frame by the generated codec, size in front. */
function framed(body: Uint8Array): string {
  return body.length.toString(16).padStart(8, "0") + body.toHex();
}

const DONE: ProducePartitionResult = {
  index: 4,
  errorCode: 0,
  baseOffset: 2 ** 33 + 1,
  logAppendTimeMs: -1,
  logStartOffset: 17,
  errorMessage: null,
  recordErrors: [],
  leaderId: -1,
  leaderEpoch: -1,
};
const MOVED: ProducePartitionResult = {
  ...DONE,
  index: 5,
  errorCode: 6,
  baseOffset: -1,
  logStartOffset: -1,
  errorMessage: "elsewhere",
  recordErrors: [{ index: 2, message: "too old" }, { index: 3, message: "no key" }],
  leaderId: 3,
  leaderEpoch: 9,
};

Deno.test("ProduceResponseWriter writes what the codec encodes, in every version", () => {
  const memory = region();
  const writer = new ProduceResponseWriter(memory);
  for (let version = PRODUCE.minVersion; version <= PRODUCE.maxVersion; version++) {
    writer.begin(START, memory.bytes.length, version, 42, 1);
    if (version < 13) writer.topicByName(NAME_AT, NAME.length, 2);
    else writer.topicById(0, 2);
    writer.partition(DONE);
    writer.partition(MOVED);
    writer.endTopic();
    const size = writer.end(100, [ENDPOINT]);
    const expected = produced.newProduceResponse({
      throttleTimeMs: 100,
      ...(version >= 10 ? { nodeEndpoints: [produced.newNodeEndpoint(ENDPOINT)] } : {}),
      responses: [
        produced.newTopicProduceResponse({
          name: NAME,
          topicId: ID,
          partitionResponses: [DONE, MOVED].map((one) =>
            produced.newPartitionProduceResponse({
              index: one.index,
              errorCode: one.errorCode,
              baseOffset: one.baseOffset,
              logAppendTimeMs: one.logAppendTimeMs,
              logStartOffset: one.logStartOffset,
              errorMessage: one.errorMessage,
              recordErrors: one.recordErrors.map(({ index, message }) =>
                produced.newBatchIndexAndErrorMessage({
                  batchIndex: index,
                  batchIndexErrorMessage: message,
                })
              ),
              ...(version >= 10
                ? {
                  currentLeader: produced.newLeaderIdAndEpoch({
                    leaderId: one.leaderId,
                    leaderEpoch: one.leaderEpoch,
                  }),
                }
                : {}),
            })
          ),
        }),
      ],
    });
    const bytes = memory.bytes.slice(START, START + size);
    assert.equal(bytes.toHex(), framed(encodeResponse(PRODUCE, version, 42, expected)));
    assert.equal(writer.overflow, false);
  }
});

Deno.test("ProduceResponseWriter stays within the bounds it names, and says where they are broken", () => {
  const memory = region();
  const writer = new ProduceResponseWriter(memory);
  const leader = { ...MOVED, errorMessage: null };
  const bound = PRODUCE_RESPONSE_SIZE_MAX + PRODUCE_TOPIC_SIZE_MAX + NAME.length +
    PRODUCE_PARTITION_SIZE_MAX;
  for (let version = PRODUCE.minVersion; version <= PRODUCE.maxVersion; version++) {
    const write = (end: number) => {
      writer.begin(START, end, version, 1, 1);
      if (version < 13) writer.topicByName(NAME_AT, NAME.length, 1);
      else writer.topicById(0, 1);
      writer.partition(leader);
      writer.endTopic();
      return writer.end(0, null);
    };
    const size = write(START + bound);
    assert.equal(writer.overflow, false, `v${version}`);
    memory.bytes[START + size - 1] = 0xee;
    write(START + size - 1);
    assert.equal(writer.overflow, true);
    assert.equal(memory.bytes[START + size - 1], 0xee);
  }
});

const READ: FetchPartitionResult = {
  index: 0,
  errorCode: 0,
  highWatermark: 2 ** 35,
  lastStableOffset: 2 ** 35 - 4,
  logStartOffset: 3,
  divergingEpoch: -1,
  divergingEndOffset: -1,
  leaderId: -1,
  leaderEpoch: -1,
};
const DIVERGED: FetchPartitionResult = {
  ...READ,
  index: 1,
  errorCode: 74,
  divergingEpoch: 2,
  divergingEndOffset: 1000,
  leaderId: 3,
  leaderEpoch: 8,
};

function expectedFetch(version: number, records: Uint8Array): fetched.FetchResponse {
  const partition = (one: FetchPartitionResult) => ({
    partitionIndex: one.index,
    errorCode: one.errorCode,
    highWatermark: one.highWatermark,
    lastStableOffset: one.lastStableOffset,
    logStartOffset: one.logStartOffset,
    ...(version >= 12
      ? {
        divergingEpoch: fetched.newEpochEndOffset({
          epoch: one.divergingEpoch,
          endOffset: one.divergingEndOffset,
        }),
        currentLeader: fetched.newLeaderIdAndEpoch({
          leaderId: one.leaderId,
          leaderEpoch: one.leaderEpoch,
        }),
      }
      : {}),
  });
  return fetched.newFetchResponse({
    throttleTimeMs: 1,
    ...(version >= 7 ? { sessionId: 5 } : {}),
    ...(version >= 16 ? { nodeEndpoints: [fetched.newNodeEndpoint(ENDPOINT)] } : {}),
    responses: [fetched.newFetchableTopicResponse({
      topic: NAME,
      topicId: ID,
      partitions: [
        fetched.newPartitionData({
          ...partition(READ),
          abortedTransactions: [
            fetched.newAbortedTransaction({ producerId: 70, firstOffset: 71 }),
          ],
          ...(version >= 11 ? { preferredReadReplica: 2 } : {}),
          records,
        }),
        fetched.newPartitionData({
          ...partition(DIVERGED),
          abortedTransactions: null,
          records: new Uint8Array(0),
        }),
      ],
    })],
  });
}

Deno.test("FetchResponseWriter and records from elsewhere make what the codec encodes", () => {
  const memory = region();
  const writer = new FetchResponseWriter(memory);
  for (let version = FETCH.minVersion; version <= FETCH.maxVersion; version++) {
    for (const byText of [false, true]) {
      const records = new Uint8Array(300).map((_, i) => i);
      writer.begin(START, memory.bytes.length, version, {
        correlationId: 43,
        throttleTimeMs: 1,
        errorCode: 0,
        sessionId: 5,
        topicCount: 1,
      });
      if (version < 13) {
        if (byText) writer.topicByText(NAME, 2);
        else writer.topicByName(NAME_AT, NAME.length, 2);
      } else if (byText) writer.topicByUuid(ID, 2);
      else writer.topicById(0, 2);
      writer.partition(READ, 1);
      writer.aborted(70, 71);
      writer.records(2, records.length);
      const split = writer.at;
      writer.endPartition(READ);
      writer.partition(DIVERGED, -1);
      writer.records(-1, 0);
      writer.endPartition(DIVERGED);
      writer.endTopic();
      const size = writer.end([ENDPOINT]);
      const sent = memory.bytes.slice(START, split).toHex() + records.toHex() +
        memory.bytes.slice(split, START + size).toHex();
      const expected = expectedFetch(version, records);
      assert.equal(sent, framed(encodeResponse(FETCH, version, 43, expected)), `v${version}`);
    }
  }
});

Deno.test("FetchResponseWriter stays within the bounds it names", () => {
  const memory = region();
  const writer = new FetchResponseWriter(memory);
  const bound = FETCH_RESPONSE_SIZE_MAX + FETCH_TOPIC_SIZE_MAX + NAME.length +
    FETCH_PARTITION_SIZE_MAX + FETCH_ABORTED_SIZE_MAX;
  for (let version = FETCH.minVersion; version <= FETCH.maxVersion; version++) {
    const head = { correlationId: 1, throttleTimeMs: 0, errorCode: 0, sessionId: 1, topicCount: 1 };
    writer.begin(START, START + bound, version, head);
    if (version < 13) writer.topicByName(NAME_AT, NAME.length, 1);
    else writer.topicById(0, 1);
    writer.partition(DIVERGED, 1);
    writer.aborted(1, 2);
    writer.records(-1, 2 ** 30);
    writer.endPartition(DIVERGED);
    writer.endTopic();
    writer.end(null);
    assert.equal(writer.overflow, false, `v${version}`);
  }
});

Deno.test("a fetch frame's size counts the records", () => {
  const memory = region();
  const writer = new FetchResponseWriter(memory);
  const head = { correlationId: 7, throttleTimeMs: 0, errorCode: 0, sessionId: 0, topicCount: 1 };
  writer.begin(START, memory.bytes.length, 12, head);
  writer.topicByName(NAME_AT, NAME.length, 1);
  writer.partition(READ, -1);
  writer.records(-1, 1_000_000);
  writer.endPartition(READ);
  writer.endTopic();
  const size = writer.end(null);
  assert.equal(new Cursor(memory, START, START + 4).int32(), size - 4 + 1_000_000);
});

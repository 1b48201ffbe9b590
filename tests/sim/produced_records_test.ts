/**
 * Whole nodes and what producers say of their records: times are the records' own, and a batch that takes long
 * to look at holds nobody else up.
 */

import { strict as assert } from "node:assert";
import { compress } from "../../src/bytes/compression.ts";
import { UNPACKED_BYTES_MIN } from "../../src/io/record_walk.ts";
import type { Api } from "../../src/wire/api.ts";
import { ErrorCode } from "../../src/wire/errors.ts";
import {
  CREATE_TOPICS,
  DELETE_TOPICS,
  LIST_OFFSETS,
  PRODUCE,
} from "../../src/wire/generated/apis.ts";
import { newDeleteTopicsRequest } from "../../src/wire/generated/delete_topics_request.ts";
import {
  newListOffsetsPartition,
  newListOffsetsRequest,
  newListOffsetsTopic,
} from "../../src/wire/generated/list_offsets_request.ts";
import {
  newProduceRequest,
  type ProduceRequest,
} from "../../src/wire/generated/produce_request.ts";
import type {
  PartitionProduceResponse,
  ProduceResponse,
} from "../../src/wire/generated/produce_response.ts";
import { Compression } from "../../src/wire/record_batch.ts";
import { RecordBatchBuilder } from "../../src/wire/record_batch_builder.ts";
import { ZERO_UUID } from "../../src/wire/uuid.ts";
import { handMadeBatch } from "../conformance/records/hand_made_batch.ts";
import { SimClient } from "./sim_client.ts";
import { SimNode } from "./sim_node.ts";
import { produceRequest, SMALL_BATCH, topicRequest } from "./sim_requests.ts";

const HOUR_MS = 3_600_000;
/** The last version of Produce with names of topics. */
const NAMES = 12;
const EARLIEST = -2;

function call<Request, Response>(
  node: SimNode,
  api: Api<Request, Response>,
  version: number,
  request: Request,
): Response {
  const client = new SimClient(node.connect(node.shards.length - 1));
  let response: Response | null = null;
  client.send(api, version, request, (r) => response = r);
  assert(node.run(() => (client.poll(), response !== null)));
  return response!;
}

function create(node: SimNode, name: string, partitions: number): void {
  const { topics } = call(node, CREATE_TOPICS, 7, topicRequest(name, partitions));
  assert.equal(topics[0]!.errorCode, 0);
}

/** Starts a produce request; what came of it, once it did. */
function start(
  node: SimNode,
  shard: number,
  index: number,
  batch: Uint8Array,
): { answer: PartitionProduceResponse | null; readonly poll: () => void } {
  const client = new SimClient(node.connect(shard));
  const sent: { answer: PartitionProduceResponse | null; poll: () => void } = {
    answer: null,
    poll: () => client.poll(),
  };
  client.send(PRODUCE, NAMES, produceRequest("t", index, batch), (response) => {
    sent.answer = response.responses[0]!.partitionResponses[0]!;
  });
  return sent;
}

function produce(node: SimNode, index: number, batch: Uint8Array): PartitionProduceResponse {
  for (let tries = 0; tries < 100; tries++) {
    const sent = start(node, 0, index, batch);
    assert(node.run(() => (sent.poll(), sent.answer !== null)));
    if (sent.answer!.errorCode !== ErrorCode.NOT_LEADER_OR_FOLLOWER) return sent.answer!;
    node.pass(1);
  }
  throw new Error("the partition has no leader");
}

function offsetAt(node: SimNode, index: number, timestamp: number): number {
  const partitions = [newListOffsetsPartition({ partitionIndex: index, timestamp })];
  const topics = [newListOffsetsTopic({ name: "t", partitions })];
  const answer = call(node, LIST_OFFSETS, 7, newListOffsetsRequest({ replicaId: -1, topics }));
  const found = answer.topics[0]!.partitions[0]!;
  assert.equal(found.errorCode, ErrorCode.NONE);
  return found.offset;
}

function wallMs(node: SimNode): number {
  return node.shards[0]!.shard.options.clock.wallMs();
}

Deno.test("a fresh record is found by its time and kept, though its batch claims to be old", () => {
  const settings = {
    "log.retention.ms": String(HOUR_MS),
    "log.retention.check.interval.ms": "1000",
  };
  const compressions = Object.values(Compression);
  const node = new SimNode({ seed: 1, settings });
  assert(node.mount(2));
  create(node, "t", compressions.length);
  const nowMs = wallMs(node);
  for (const [index, compression] of compressions.entries()) {
    // As kafkajs does: the first record's time is the base, the last one's the maximum.
    const batch = handMadeBatch({
      records: [{}, { timestampDelta: -100 * HOUR_MS }],
      compression,
      baseTimestamp: nowMs,
      maxTimestamp: nowMs - 100 * HOUR_MS,
    });
    assert.equal(produce(node, index, batch).errorCode, ErrorCode.NONE);
  }
  const check = (): void => {
    for (const index of compressions.keys()) {
      assert.equal(offsetAt(node, index, nowMs - 1000), 0, `partition ${index} by time`);
      assert.equal(offsetAt(node, index, EARLIEST), 0, `partition ${index}: the log start`);
    }
  };
  node.pass(3_000);
  check();
  node.crash();
  assert(node.mount(1));
  node.pass(3_000);
  check();
});

/** Compressed to little, decompressed to `sizeBytes`. */
function bulky(compression: Compression, sizeBytes: number): Uint8Array {
  const builder = new RecordBatchBuilder();
  const value = new Uint8Array(sizeBytes / 100);
  for (let i = 0; i < 100; i++) builder.add({ key: null, value, timestamp: 1_700_000_000_000 });
  return builder.build({ compression, compress: (bytes) => compress(compression, bytes) });
}

Deno.test("a batch that takes long to look at holds up its own log alone, from whichever shard", () => {
  const node = new SimNode({ seed: 2 });
  assert(node.mount(2));
  create(node, "t", 4);
  for (let index = 0; index < 4; index++) produce(node, index, SMALL_BATCH);
  for (const compression of [Compression.GZIP, Compression.SNAPPY, Compression.ZSTD]) {
    const large = bulky(compression, UNPACKED_BYTES_MIN - 100_000);
    for (const shard of [0, 1]) {
      // Two long ones, and after each a small one of another connection for the same log.
      const long = [0, 1].map((index) => start(node, shard, index, large));
      node.pass(0.5);
      const behind = [0, 1].map((index) => start(node, shard, index, SMALL_BATCH));
      const others = [2, 3].map((index) => start(node, shard, index, SMALL_BATCH));
      const all = [...long, ...behind, ...others];
      const answered = (some: typeof all) => some.every(({ answer }) => answer !== null);
      const poll = (): void => all.forEach((each) => each.poll());
      assert(node.run(() => (poll(), answered(others))));
      if (compression !== Compression.SNAPPY) {
        assert(!answered(long) && !answered(behind), "a long walk took one turn");
      }
      assert(node.run(() => (poll(), answered(all))));
      for (const { answer } of all) assert.equal(answer!.errorCode, ErrorCode.NONE);
      for (const index of [0, 1]) {
        assert(long[index]!.answer!.baseOffset < behind[index]!.answer!.baseOffset, "overtaken");
      }
    }
  }
});

/** Two partitions of topic `t` that live on `shard`. */
function pairOn(node: SimNode, shard: number): [number, number] {
  const { partitions } = node.shards[shard]!.shard.image.topicByName("t")!;
  const there = [...partitions.keys()].filter((index) => {
    return partitions[index]!.groupId % node.shards.length === shard;
  });
  return [there[0]!, there[1]!];
}

/** One request for several partitions of the topic. */
function requestFor(parts: readonly (readonly [number, Uint8Array])[]): ProduceRequest {
  return newProduceRequest({
    acks: -1,
    timeoutMs: 10_000,
    topicData: [{
      name: "t",
      topicId: ZERO_UUID,
      partitionData: parts.map(([index, records]) => ({ index, records })),
    }],
  });
}

function baseOffsets({ responses }: ProduceResponse): number[] {
  return responses[0]!.partitionResponses.map(({ errorCode, baseOffset }) => {
    assert.equal(errorCode, ErrorCode.NONE);
    return baseOffset;
  });
}

for (const [shard, whose] of [[0, "its own"], [1, "another"]] as const) {
  Deno.test(`requests keep their order in every log of ${whose} shard while a walk holds one up`, () => {
    const node = new SimNode({ seed: 6 });
    assert(node.mount(2));
    create(node, "t", 4);
    for (let index = 0; index < 4; index++) produce(node, index, SMALL_BATCH);
    const [first, second] = pairOn(node, shard);
    const large = bulky(Compression.GZIP, UNPACKED_BYTES_MIN - 100_000);
    const client = new SimClient(node.connect(0));
    const answers: number[][] = [];
    const take = (response: ProduceResponse): void => void answers.push(baseOffsets(response));
    // In one batch the walk holds up the other log of its request; what comes later must not overtake it there.
    const held = requestFor([[first, large], [second, SMALL_BATCH]]);
    client.send(PRODUCE, NAMES, held, take);
    client.send(PRODUCE, NAMES, requestFor([[second, SMALL_BATCH]]), take);
    assert(node.run(() => (client.poll(), answers.length === 2)));
    assert(answers[0]![1]! < answers[1]![0]!, "a later request overtook an earlier one");
  });

  Deno.test(`long walks of several requests for the same logs of ${whose} shard all end`, () => {
    const node = new SimNode({ seed: 7 });
    assert(node.mount(2));
    create(node, "t", 4);
    for (let index = 0; index < 4; index++) produce(node, index, SMALL_BATCH);
    const [first, second] = pairOn(node, shard);
    const large = bulky(Compression.GZIP, UNPACKED_BYTES_MIN - 100_000);
    const clients = [0, 1, 2].map(() => new SimClient(node.connect(0)));
    let answered = 0;
    const take = (response: ProduceResponse): void => {
      baseOffsets(response);
      answered++;
    };
    // What the second one waits for comes into line before the first one's second batch does.
    const asked = [[first, second], [second], [second, first]];
    for (const [i, indexes] of asked.entries()) {
      const request = requestFor(indexes.map((index) => [index, large]));
      clients[i]!.send(PRODUCE, NAMES, request, take);
      node.pass(0.5);
    }
    const poll = (): void => clients.forEach((client) => client.poll());
    assert(node.run(() => (poll(), answered === 3)), "somebody waits for ever");
  });
}

Deno.test("a batch that decompresses to more than a consumer should hold is refused with a reason", () => {
  const node = new SimNode({ seed: 3 });
  assert(node.mount(2));
  create(node, "t", 2);
  for (
    const compression of [Compression.GZIP, Compression.SNAPPY, Compression.LZ4, Compression.ZSTD]
  ) {
    const batch = bulky(compression, UNPACKED_BYTES_MIN + 1_000_000);
    // Snappy and lz4 do not compress so far that anything so small could be a bomb.
    const bomb = batch.length * 100 < UNPACKED_BYTES_MIN;
    for (const index of [0, 1]) {
      const { errorCode, errorMessage } = produce(node, index, batch);
      assert.equal(
        errorCode,
        bomb ? ErrorCode.MESSAGE_TOO_LARGE : ErrorCode.NONE,
        `${compression}`,
      );
      if (bomb) assert.match(errorMessage!, /decompressed/);
    }
  }
});

Deno.test("a batch whose window the broker has no memory for is refused with what to do, from whichever shard", () => {
  const node = new SimNode({ seed: 6 });
  assert(node.mount(2));
  create(node, "t", 2);
  // A zstd frame of one stored byte with a window of 16 MiB, and a frame to be skipped: too much for one go.
  const skipped = [...new Uint8Array(70_000)];
  const frame = [0x28, 0xb5, 0x2f, 0xfd, 0, 14 << 3, 9, 0, 0, 0xff];
  const packed = Uint8Array.from([...frame, 0x50, 0x2a, 0x4d, 0x18, 0x70, 0x11, 1, 0, ...skipped]);
  const batch = handMadeBatch({
    records: [{}],
    compression: Compression.ZSTD,
    baseTimestamp: 0,
    packed: () => packed,
  });
  for (const partition of [0, 1]) {
    const { errorCode, errorMessage } = produce(node, partition, batch);
    assert.equal(errorCode, ErrorCode.INVALID_RECORD);
    assert.match(errorMessage!, /lower level.*--memory/);
  }
});

Deno.test("with produce.records.check=uncompressed the records of compressed batches are not looked at", () => {
  const node = new SimNode({ seed: 4, settings: { "produce.records.check": "uncompressed" } });
  assert(node.mount(1));
  create(node, "t", 1);
  const nowMs = wallMs(node);
  const wrong = { records: [{}, { offsetDelta: 7 }], baseTimestamp: nowMs };
  assert.equal(produce(node, 0, handMadeBatch(wrong)).errorCode, ErrorCode.INVALID_RECORD);
  const packed = handMadeBatch({ ...wrong, compression: Compression.GZIP });
  assert.equal(produce(node, 0, packed).errorCode, ErrorCode.NONE);
});

Deno.test("refused records are named, from whichever shard they came", () => {
  const node = new SimNode({ seed: 5 });
  assert(node.mount(2));
  create(node, "t", 2);
  const nowMs = wallMs(node);
  const records = [0, 1, 0, 1, 1, 1].map((late) => ({ timestampDelta: late * 9 * HOUR_MS }));
  for (const index of [0, 1]) {
    const answer = produce(node, index, handMadeBatch({ records, baseTimestamp: nowMs }));
    assert.equal(answer.errorCode, ErrorCode.INVALID_TIMESTAMP);
    assert.match(answer.errorMessage!, /^4 records refused/);
    assert.deepEqual(answer.recordErrors.map(({ batchIndex }) => batchIndex), [1, 3, 4]);
    for (const { batchIndexErrorMessage } of answer.recordErrors) {
      assert.match(batchIndexErrorMessage!, new RegExp(`^Timestamp ${nowMs + 9 * HOUR_MS} is not`));
    }
    assert.equal(answer.baseOffset, -1);
  }
});

/** Bytes of frames and responses that some shard holds. */
function heldBytes(node: SimNode): number {
  let held = 0;
  for (const { blocks } of node.shards) {
    const { waitingWindows, begunFrames, smallFrames, largeFrames, responses } = blocks;
    for (const budget of [waitingWindows, begunFrames, smallFrames, largeFrames, responses]) {
      held += budget.used;
    }
  }
  return held;
}

for (
  const [ending, end] of [
    ["its connection ends", null],
    ["its topic is deleted", newDeleteTopicsRequest({ topicNames: ["t"], timeoutMs: 1000 })],
  ] as const
) {
  Deno.test(`a batch that is being walked holds nothing any more when ${ending}`, () => {
    for (const shard of [0, 1]) {
      const node = new SimNode({ seed: 8 });
      assert(node.mount(2));
      create(node, "t", 4);
      for (let index = 0; index < 4; index++) produce(node, index, SMALL_BATCH);
      const [first, second] = pairOn(node, shard);
      const large = bulky(Compression.GZIP, UNPACKED_BYTES_MIN - 100_000);
      const clients = [0, 1, 2].map(() => new SimClient(node.connect(0)));
      const errors: number[] = [];
      const take = ({ responses }: ProduceResponse): void => {
        errors.push(...responses[0]!.partitionResponses.map(({ errorCode }) => errorCode));
      };
      for (const client of clients) {
        client.send(PRODUCE, NAMES, requestFor([[first, large], [second, large]]), take);
        client.send(PRODUCE, NAMES, requestFor([[second, SMALL_BATCH]]), take);
      }
      node.pass(1);
      assert.equal(errors.length, 0);
      assert(heldBytes(node) > 0);
      if (end === null) {
        for (const client of clients) client.end.ended = true;
      } else {
        assert.equal(call(node, DELETE_TOPICS, 4, end).responses[0]!.errorCode, ErrorCode.NONE);
        const poll = (): void => clients.forEach((client) => client.poll());
        assert(node.run(() => (poll(), errors.length === 9)));
        assert(errors.includes(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION));
      }
      assert(node.run(() => heldBytes(node) === 0), `${heldBytes(node)} bytes are held`);
      // Walks of others go on.
      create(node, "u", 1);
      node.pass(5);
      const client = new SimClient(node.connect(0));
      let error = -1;
      client.send(PRODUCE, NAMES, produceRequest("u", 0, large), (response) => {
        error = response.responses[0]!.partitionResponses[0]!.errorCode;
      });
      assert(node.run(() => (client.poll(), error >= 0)));
      assert.equal(error, ErrorCode.NONE);
      assert(node.stop());
    }
  });
}

import { strict as assert } from "node:assert";
import { LOG_BUSY, LOG_FAILED } from "../../storage/log.ts";
import { ErrorCode } from "../../wire/errors.ts";
import { newDeleteRecordsRequest } from "../../wire/generated/delete_records_request.ts";
import { newDescribeLogDirsRequest } from "../../wire/generated/describe_log_dirs_request.ts";
import {
  newListOffsetsPartition,
  newListOffsetsRequest,
} from "../../wire/generated/list_offsets_request.ts";
import {
  newOffsetForLeaderEpochRequest,
  newOffsetForLeaderPartition,
} from "../../wire/generated/offset_for_leader_epoch_request.ts";
import { TestBroker } from "../test_services.ts";
import { DELETE_RECORDS_HANDLER } from "./delete_records.ts";
import { DESCRIBE_LOG_DIRS_HANDLER } from "./describe_log_dirs.ts";
import { DESCRIBE_PRODUCERS_HANDLER } from "./describe_producers.ts";
import { LIST_OFFSETS_HANDLER } from "./list_offsets.ts";
import { OFFSET_FOR_LEADER_EPOCH_HANDLER } from "./offset_for_leader_epoch.ts";

const SHARD_COUNT = 3;

function newBroker(): TestBroker {
  const broker = new TestBroker({ shardCount: SHARD_COUNT });
  broker.addTopic("t", 4, [10, 30, 20, 40]);
  return broker;
}

/** The error, offset, timestamp and epoch of a search on partition 0 of `t`. */
function search(
  broker: TestBroker,
  version: number,
  timestamp: number,
  fields: { isolationLevel?: number; currentLeaderEpoch?: number } = {},
): number[] {
  const { isolationLevel = 0, currentLeaderEpoch = -1 } = fields;
  const partition = newListOffsetsPartition({ partitionIndex: 0, timestamp, currentLeaderEpoch });
  const request = newListOffsetsRequest({
    replicaId: -1,
    isolationLevel,
    topics: [{ name: "t", partitions: [partition] }],
  });
  const response = broker.ask(LIST_OFFSETS_HANDLER, version, request);
  const result = response.topics[0]!.partitions[0]!;
  return [result.errorCode, result.offset, result.timestamp, result.leaderEpoch];
}

for (let version = 1; version <= 11; version++) {
  Deno.test(`ListOffsets v${version} finds offsets by time`, () => {
    const broker = newBroker();
    const partition = broker.partition("t", 0);
    const epoch = (known: number) => (version >= 4 ? known : -1);
    assert.deepEqual(search(broker, version, -1), [0, 4, -1, epoch(3)]);
    assert.deepEqual(search(broker, version, -2), [0, 0, -1, epoch(3)]);
    assert.deepEqual(search(broker, version, 20), [0, 1, 30, epoch(3)]);
    assert.deepEqual(search(broker, version, 0), [0, 0, 10, epoch(3)]);
    assert.deepEqual(search(broker, version, 41), [0, -1, -1, -1]);
    partition.highWatermark = 3;
    partition.lastStableOffset = 2;
    assert.deepEqual(search(broker, version, -1), [0, 3, -1, epoch(3)]);
    assert.deepEqual(search(broker, version, 40), [0, -1, -1, -1], "not committed");
    if (version >= 2) {
      const isolationLevel = 1;
      assert.deepEqual(search(broker, version, -1, { isolationLevel }), [0, 2, -1, epoch(3)]);
      assert.deepEqual(search(broker, version, 31, { isolationLevel }), [0, -1, -1, -1]);
    }
    partition.log.startOffset = 2;
    partition.log.epochs = [{ term: 1, offset: 0 }, { term: 2, offset: 1 }, { term: 3, offset: 3 }];
    assert.deepEqual(search(broker, version, -2), [0, 2, -1, epoch(2)]);
    partition.log.failing = true;
    assert.deepEqual(search(broker, version, 0)[0], ErrorCode.KAFKA_STORAGE_ERROR);
  });

  Deno.test(`ListOffsets v${version} knows the special times of its version`, () => {
    const broker = newBroker();
    const epoch = version >= 4 ? 3 : -1;
    const unsupported = [ErrorCode.UNSUPPORTED_VERSION, -1, -1, -1];
    assert.deepEqual(search(broker, version, -3), version >= 7 ? [0, 3, 40, epoch] : unsupported);
    assert.deepEqual(search(broker, version, -4), version >= 8 ? [0, 0, -1, epoch] : unsupported);
    assert.deepEqual(search(broker, version, -5), version >= 9 ? [0, -1, -1, -1] : unsupported);
    assert.deepEqual(search(broker, version, -6), version >= 11 ? [0, -1, -1, -1] : unsupported);
    assert.deepEqual(search(broker, version, -7), unsupported);
    broker.partition("t", 0).log.timestamps = [];
    if (version >= 7) assert.deepEqual(search(broker, version, -3), [0, -1, -1, -1]);
  });
}

Deno.test("ListOffsets v0 lists what lies before a time, the greatest offset first", () => {
  const broker = newBroker();
  const partition = broker.partition("t", 0);
  const list = (timestamp: number, maxNumOffsets: number): number[] => {
    const item = newListOffsetsPartition({ partitionIndex: 0, timestamp, maxNumOffsets });
    const request = newListOffsetsRequest({ topics: [{ name: "t", partitions: [item, item] }] });
    const [first, second] = broker.ask(LIST_OFFSETS_HANDLER, 0, request).topics[0]!.partitions;
    assert.deepEqual(first, second, "named twice");
    assert.deepEqual([first!.offset, first!.timestamp], [-1, -1], "v0 has no such fields");
    return first!.errorCode === ErrorCode.NONE ? first!.oldStyleOffsets : [-first!.errorCode];
  };
  assert.deepEqual(list(-1, 5), [4, 0]);
  assert.deepEqual(list(-1, 1), [4]);
  assert.deepEqual(list(-1, 0), []);
  assert.deepEqual(list(-2, 5), [0]);
  assert.deepEqual(list(20, 5), [1, 0], "the first record that is not older");
  assert.deepEqual(list(41, 5), [4, 0]);
  assert.deepEqual(list(0, 5), [], "nothing is older");
  assert.deepEqual(list(-3, 5), [-ErrorCode.UNSUPPORTED_VERSION]);
  assert.deepEqual(list(-1, -1), [-ErrorCode.INVALID_REQUEST]);
  partition.highWatermark = 3;
  assert.deepEqual(list(-1, 1), [3], "committed records alone");
  partition.log.startOffset = 3;
  assert.deepEqual(list(-1, 5), [3], "an empty log has one");
});

Deno.test("ListOffsets v0 does not look for many times in one partition", () => {
  const broker = newBroker();
  const errorsOf = (count: number): Set<number> => {
    const partitions = Array.from(
      { length: count },
      (_, timestamp) => newListOffsetsPartition({ partitionIndex: 0, timestamp, maxNumOffsets: 1 }),
    );
    const request = newListOffsetsRequest({ topics: [{ name: "t", partitions }] });
    const { topics } = broker.ask(LIST_OFFSETS_HANDLER, 0, request);
    assert.equal(topics[0]!.partitions.length, count);
    return new Set(topics[0]!.partitions.map(({ errorCode }) => errorCode));
  };
  assert.deepEqual(errorsOf(16), new Set([ErrorCode.NONE]));
  assert.deepEqual(errorsOf(17), new Set([ErrorCode.INVALID_REQUEST]));
});

Deno.test("ListOffsets with a senseless isolation level refuses everything as it was asked", () => {
  const broker = new TestBroker();
  broker.addTopic("t", 1);
  const topics = ["t", "none", "t"].map((name) => ({
    name,
    partitions: [newListOffsetsPartition({ timestamp: -1 })],
  }));
  const request = newListOffsetsRequest({ replicaId: -1, isolationLevel: 2, topics });
  assert.deepEqual(
    broker.ask(LIST_OFFSETS_HANDLER, 8, request).topics
      .map(({ name, partitions }) => [name, partitions.map(({ errorCode }) => errorCode)]),
    [["t", [-1]], ["none", [-1]], ["t", [-1]]],
  );
});

Deno.test("ListOffsets fences by leader epoch", () => {
  const broker = newBroker();
  const errorOf = (currentLeaderEpoch: number) => search(broker, 4, -1, { currentLeaderEpoch })[0];
  assert.equal(errorOf(2), ErrorCode.FENCED_LEADER_EPOCH);
  assert.equal(errorOf(3), ErrorCode.NONE);
  assert.equal(errorOf(4), ErrorCode.UNKNOWN_LEADER_EPOCH);
  broker.partition("t", 0).readable = false;
  assert.equal(errorOf(3), ErrorCode.NOT_LEADER_OR_FOLLOWER);
});

Deno.test("ListOffsets asks clients to come again while a new leader does not know what is committed", () => {
  const broker = newBroker();
  const partition = broker.partition("t", 0);
  partition.readable = false;
  partition.undecided = true;
  const errorOf = (version: number, currentLeaderEpoch: number) =>
    search(broker, version, -1, { currentLeaderEpoch })[0];
  assert.equal(errorOf(4, -1), ErrorCode.LEADER_NOT_AVAILABLE);
  assert.equal(errorOf(5, 3), ErrorCode.OFFSET_NOT_AVAILABLE);
  assert.equal(errorOf(5, 2), ErrorCode.FENCED_LEADER_EPOCH);
});

Deno.test("ListOffsets asks every owner and answers in the order of the request, from any shard", () => {
  for (let shard = 0; shard < SHARD_COUNT; shard++) {
    const broker = newBroker();
    broker.addTopic("u", 2, [1]);
    const partitionsOf = (...indexes: number[]) =>
      indexes.map((partitionIndex) => newListOffsetsPartition({ partitionIndex, timestamp: -1 }));
    const topics = [
      { name: "u", partitions: partitionsOf(1, 0, 7) },
      { name: "none", partitions: partitionsOf(0) },
      { name: "t", partitions: partitionsOf(3, 1, 2, 0, 1) },
    ];
    const request = newListOffsetsRequest({ topics });
    const response = broker.ask(LIST_OFFSETS_HANDLER, 5, request, shard);
    assert.deepEqual(
      response.topics.map(({ name, partitions }) => [
        name,
        partitions.map((result) => [result.partitionIndex, result.errorCode, result.offset]),
      ]),
      [
        ["u", [[1, 0, 1], [0, 0, 1], [7, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, -1]]],
        ["none", [[0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, -1]]],
        [
          "t",
          [
            [3, 0, 4],
            [1, ErrorCode.INVALID_REQUEST, -1],
            [2, 0, 4],
            [0, 0, 4],
          ],
        ],
      ],
    );
  }
});

for (let version = 2; version <= 4; version++) {
  Deno.test(`OffsetForLeaderEpoch v${version} says where epochs end`, () => {
    const broker = newBroker();
    broker.partition("t", 1).log.epochs = [{ term: 1, offset: 0 }, { term: 3, offset: 2 }];
    const ask = (leaderEpoch: number, currentLeaderEpoch = -1, partition = 1) => {
      const item = newOffsetForLeaderPartition({ partition, leaderEpoch, currentLeaderEpoch });
      const request = newOffsetForLeaderEpochRequest({
        topics: [{ topic: "t", partitions: [item] }],
      });
      const [result] = broker.ask(OFFSET_FOR_LEADER_EPOCH_HANDLER, version, request).topics[0]!
        .partitions;
      return [result!.errorCode, result!.leaderEpoch, result!.endOffset];
    };
    assert.deepEqual(ask(1), [0, 1, 2]);
    assert.deepEqual(ask(2), [0, 1, 2]);
    assert.deepEqual(ask(3, 3), [0, 3, 4]);
    assert.deepEqual(ask(0), [0, -1, -1]);
    assert.deepEqual(ask(3, 2), [ErrorCode.FENCED_LEADER_EPOCH, -1, -1]);
    assert.deepEqual(ask(3, 9), [ErrorCode.UNKNOWN_LEADER_EPOCH, -1, -1]);
    assert.deepEqual(ask(3, -1, 99), [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, -1, -1]);
  });
}

for (let version = 0; version <= 2; version++) {
  Deno.test(`DeleteRecords v${version} moves the log start`, () => {
    const broker = newBroker();
    const ask = (offset: number, name = "t", partitionIndex = 0) => {
      const topics = [{ name, partitions: [{ partitionIndex, offset }] }];
      const request = newDeleteRecordsRequest({ topics });
      const result = broker.ask(DELETE_RECORDS_HANDLER, version, request).topics[0]!.partitions[0]!;
      return [result.errorCode, result.lowWatermark];
    };
    const { log } = broker.partition("t", 0);
    assert.deepEqual(ask(2), [0, 2]);
    assert.equal(log.startOffset, 2);
    assert.deepEqual(ask(1), [0, 2], "the log start does not go back");
    assert.deepEqual(ask(5), [ErrorCode.OFFSET_OUT_OF_RANGE, -1]);
    assert.deepEqual(ask(-2), [ErrorCode.OFFSET_OUT_OF_RANGE, -1]);
    log.trimResult = LOG_BUSY;
    assert.deepEqual(ask(3), [ErrorCode.REQUEST_TIMED_OUT, -1]);
    log.trimResult = LOG_FAILED;
    assert.deepEqual(ask(3), [ErrorCode.KAFKA_STORAGE_ERROR, -1]);
    log.trimResult = 0;
    assert.deepEqual(ask(-1), [0, 4]);
    assert.deepEqual(ask(0, "t", 9), [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, -1]);
    broker.addTopic("__consumer_offsets", 1);
    assert.deepEqual(ask(0, "__consumer_offsets"), [ErrorCode.INVALID_TOPIC_EXCEPTION, -1]);
    broker.partition("t", 1).leading = false;
    assert.deepEqual(ask(1, "t", 1), [ErrorCode.KAFKA_STORAGE_ERROR, -1]);
  });
}

Deno.test("DeleteRecords refuses a topic that only compacts", () => {
  const broker = new TestBroker({ settings: { "log.cleanup.policy": "compact" } });
  broker.addTopic("t", 1, [1]);
  const topics = [{ name: "t", partitions: [{ partitionIndex: 0, offset: 1 }] }];
  const response = broker.ask(DELETE_RECORDS_HANDLER, 2, newDeleteRecordsRequest({ topics }));
  assert.equal(response.topics[0]!.partitions[0]!.errorCode, ErrorCode.POLICY_VIOLATION);
});

for (let version = 1; version <= 5; version++) {
  Deno.test(`DescribeLogDirs v${version} adds up the shards`, () => {
    const broker = newBroker();
    broker.addTopic("u", 1, [1]);
    const ask = (topics: { topic: string; partitions: number[] }[] | null) => {
      const request = newDescribeLogDirsRequest({ topics });
      const response = broker.ask(DESCRIBE_LOG_DIRS_HANDLER, version, request, 1);
      assert.equal(response.results.length, 1);
      return response.results[0]!;
    };
    const all = ask(null);
    assert.equal(all.logDir, "/data");
    assert.deepEqual([all.totalBytes, all.usableBytes], version >= 4 ? [1000, 750] : [-1, -1]);
    const sizes = all.topics.map(({ name, partitions }) => [
      name,
      partitions.map(({ partitionIndex, partitionSize }) => [partitionIndex, partitionSize]),
    ]).sort();
    assert.deepEqual(sizes, [["t", [[0, 400], [1, 400], [2, 400], [3, 400]]], ["u", [[0, 100]]]]);
    const some = ask([{ topic: "t", partitions: [2, 9] }, { topic: "none", partitions: [0] }]);
    assert.deepEqual(some.topics.map(({ name, partitions }) => [name, partitions.length]), [
      ["t", 1],
    ]);
    assert.deepEqual(ask([]).topics, []);
  });
}

Deno.test("DescribeProducers v0 shows who wrote to a partition", () => {
  const broker = newBroker();
  const { producers } = broker.partition("t", 2).log;
  producers.append(1, 900, 0, 0, 4, 0, 111, false, 1);
  producers.append(2, 7, 2, 0, 0, 5, 222, true, 1);
  producers.append(3, 900, 0, 5, 6, 6, 333, false, 1);
  const topics = [{ name: "t", partitionIndexes: [2, 8] }];
  const response = broker.ask(DESCRIBE_PRODUCERS_HANDLER, 0, { topics });
  const [known, unknown] = response.topics[0]!.partitions;
  assert.deepEqual(known!.activeProducers, [
    {
      producerId: 7,
      producerEpoch: 2,
      lastSequence: 0,
      lastTimestamp: 222,
      coordinatorEpoch: -1,
      currentTxnStartOffset: 5,
    },
    {
      producerId: 900,
      producerEpoch: 0,
      lastSequence: 6,
      lastTimestamp: 333,
      coordinatorEpoch: -1,
      currentTxnStartOffset: -1,
    },
  ]);
  assert.equal(known!.errorMessage, null);
  assert.equal(unknown!.errorCode, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION);
});

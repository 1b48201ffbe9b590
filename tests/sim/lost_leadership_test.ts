import { strict as assert } from "node:assert";
import {
  DELETE_RECORDS,
  FETCH,
  LIST_OFFSETS,
  METADATA,
  OFFSET_FOR_LEADER_EPOCH,
  PRODUCE,
} from "../../src/wire/generated/apis.ts";
import { ErrorCode } from "../../src/wire/errors.ts";
import { newDeleteRecordsRequest } from "../../src/wire/generated/delete_records_request.ts";
import { newFetchRequest } from "../../src/wire/generated/fetch_request.ts";
import {
  newListOffsetsPartition,
  newListOffsetsRequest,
} from "../../src/wire/generated/list_offsets_request.ts";
import { newMetadataRequest } from "../../src/wire/generated/metadata_request.ts";
import {
  newOffsetForLeaderEpochRequest,
  newOffsetForLeaderPartition,
} from "../../src/wire/generated/offset_for_leader_epoch_request.ts";
import { newProduceRequest } from "../../src/wire/generated/produce_request.ts";
import { ZERO_UUID } from "../../src/wire/uuid.ts";
import { FickleBench, isInFlight, OTHER_ENDPOINT, OTHER_NODE } from "./fickle_bench.ts";
import type { FickleReplica } from "./fickle_replica.ts";
import { produceRequest, SMALL_BATCH } from "./sim_requests.ts";

/** A bench with a topic `t` whose only partition belongs to shard 1. */
class Bench extends FickleBench {
  readonly replicaOfT: FickleReplica;
  readonly topicId: string;

  constructor(seed: number) {
    super(seed);
    this.topicId = this.create("t");
    this.replicaOfT = this.replica("t");
    assert.equal(this.replicaOfT.log.groupId % 2, 1, "the partition is shard 1's");
  }
}

function produceById(topicId: string, acks: number): ReturnType<typeof newProduceRequest> {
  const partitionData = [{ index: 0, records: SMALL_BATCH }];
  return newProduceRequest({
    acks,
    timeoutMs: 1000,
    topicData: [{ name: "", topicId, partitionData }],
  });
}

function fetchById(
  topicId: string,
  currentLeaderEpoch: number,
  fetchOffset: number,
  maxWaitMs: number,
): ReturnType<typeof newFetchRequest> {
  const partition = {
    partition: 0,
    currentLeaderEpoch,
    fetchOffset,
    lastFetchedEpoch: -1,
    logStartOffset: -1,
    partitionMaxBytes: 100_000,
    replicaDirectoryId: ZERO_UUID,
    highWatermark: 0,
  };
  return newFetchRequest({
    maxWaitMs,
    minBytes: 1,
    maxBytes: 1_000_000,
    sessionEpoch: -1,
    topics: [{ topic: "", topicId, partitions: [partition] }],
  });
}

for (const [shard, acks] of [[0, -1], [1, -1], [0, 1], [1, 1]] as const) {
  Deno.test(`a produce of shard ${shard} with acks=${acks} that waits when leadership is lost is told who leads`, () => {
    const bench = new Bench(10 + shard);
    const { replicaOfT: replica, topicId } = bench;
    const waiting = bench.ask(shard, PRODUCE, 13, produceById(topicId, acks));
    bench.until(() => isInFlight(replica));
    replica.stepDown(OTHER_NODE);
    const later = bench.ask(shard, PRODUCE, 13, produceById(topicId, acks));
    for (const response of [waiting(), later()]) {
      const [result] = response.responses[0]!.partitionResponses;
      assert.equal(result!.errorCode, ErrorCode.NOT_LEADER_OR_FOLLOWER);
      assert.equal(result!.baseOffset, -1);
      assert.deepEqual(result!.currentLeader, {
        leaderId: OTHER_NODE,
        leaderEpoch: replica.term,
      });
      assert.deepEqual(response.nodeEndpoints, [OTHER_ENDPOINT]);
    }
    // Before version 10 there is no place for the leader.
    const old = bench.ask(shard, PRODUCE, 9, produceRequest("t", 0, SMALL_BATCH, acks))();
    assert.equal(
      old.responses[0]!.partitionResponses[0]!.errorCode,
      ErrorCode.NOT_LEADER_OR_FOLLOWER,
    );
    assert.equal(old.nodeEndpoints.length, 0);

    bench.elect(replica);
    const again = bench.ask(shard, PRODUCE, 13, produceById(topicId, acks))();
    assert.deepEqual(again.responses[0]!.partitionResponses[0]!.errorCode, ErrorCode.NONE);
    assert.equal(again.responses[0]!.partitionResponses[0]!.baseOffset, 3);
  });
}

for (const shard of [0, 1]) {
  Deno.test(`a fetch of shard ${shard} that waits when leadership is lost is told who leads`, () => {
    const bench = new Bench(20 + shard);
    const { replicaOfT: replica, topicId } = bench;
    const epoch = replica.term;
    const waiting = bench.ask(shard, FETCH, 17, fetchById(topicId, epoch, 0, 60_000));
    for (let i = 0; i < 50; i++) bench.step();
    replica.stepDown(OTHER_NODE);
    const expected = [
      [waiting, ErrorCode.FENCED_LEADER_EPOCH],
      [
        bench.ask(shard, FETCH, 17, fetchById(topicId, -1, 0, 60_000)),
        ErrorCode.NOT_LEADER_OR_FOLLOWER,
      ],
    ] as const;
    for (const [answer, error] of expected) {
      const response = answer();
      const [result] = response.responses[0]!.partitions;
      assert.equal(result!.errorCode, error);
      const { leaderId, leaderEpoch } = result!.currentLeader;
      assert.deepEqual([leaderId, leaderEpoch], [OTHER_NODE, replica.term]);
      assert.deepEqual(response.nodeEndpoints, [OTHER_ENDPOINT]);
    }
    const ahead = bench.ask(shard, FETCH, 17, fetchById(topicId, 99_999, 0, 0))();
    const [result] = ahead.responses[0]!.partitions;
    assert.equal(result!.errorCode, ErrorCode.UNKNOWN_LEADER_EPOCH);
    assert.equal(ahead.nodeEndpoints.length, 0);
  });

  Deno.test(`a node that does not lead serves nothing of the partition to shard ${shard}, and its Metadata names the leader`, () => {
    const bench = new Bench(30 + shard);
    const { replicaOfT: replica } = bench;
    bench.ask(shard, PRODUCE, 9, produceRequest("t", 0, SMALL_BATCH))();
    replica.stepDown(OTHER_NODE);
    const errors: number[] = [];
    const offsets = newListOffsetsRequest({
      topics: [{
        name: "t",
        partitions: [newListOffsetsPartition({ partitionIndex: 0, timestamp: -1 })],
      }],
    });
    const listed = bench.ask(shard, LIST_OFFSETS, 5, offsets)();
    errors.push(listed.topics[0]!.partitions[0]!.errorCode);
    const trim = newDeleteRecordsRequest({
      topics: [{ name: "t", partitions: [{ partitionIndex: 0, offset: 1 }] }],
    });
    const trimmed = bench.ask(shard, DELETE_RECORDS, 2, trim)();
    errors.push(trimmed.topics[0]!.partitions[0]!.errorCode);
    const epochs = newOffsetForLeaderEpochRequest({
      topics: [{
        topic: "t",
        partitions: [newOffsetForLeaderPartition({ partition: 0, leaderEpoch: 1 })],
      }],
    });
    const ended = bench.ask(shard, OFFSET_FOR_LEADER_EPOCH, 4, epochs)();
    errors.push(ended.topics[0]!.partitions[0]!.errorCode);
    assert.deepEqual(errors, errors.map(() => ErrorCode.NOT_LEADER_OR_FOLLOWER));

    const topics = [{ name: "t", topicId: ZERO_UUID }];
    const metadata = bench.ask(shard, METADATA, 9, newMetadataRequest({ topics }))();
    const [partition] = metadata.topics[0]!.partitions;
    assert.deepEqual([partition!.leaderId, partition!.leaderEpoch], [OTHER_NODE, replica.term]);
  });
}

Deno.test("a trim that waits when leadership is lost is refused", () => {
  const bench = new Bench(40);
  const { replicaOfT: replica } = bench;
  bench.ask(0, PRODUCE, 9, produceRequest("t", 0, SMALL_BATCH))();
  const lastIndex = replica.log.lastIndex;
  const trim = newDeleteRecordsRequest({
    topics: [{ name: "t", partitions: [{ partitionIndex: 0, offset: 1 }] }],
  });
  const waiting = bench.ask(0, DELETE_RECORDS, 2, trim);
  bench.until(() => replica.log.lastIndex > lastIndex);
  replica.stepDown(-1);
  const error = waiting().topics[0]!.partitions[0]!.errorCode;
  assert.equal(error, ErrorCode.NOT_LEADER_OR_FOLLOWER);
});

Deno.test("a turn at whose end appends may be tried again is followed by another one at once", () => {
  const { node, replicaOfT } = new Bench(1);
  const { shard } = node.shards[1]!;
  const endTurn = (): boolean => shard.endTurn(node.nowMs);
  let isQuiet = false;
  for (let turns = 0; turns < 10 && !isQuiet; turns++) isQuiet = endTurn();
  assert.ok(isQuiet, "nothing is to be done");
  // What replicas have to say when a turn ends comes behind the step that tries again.
  const { replication } = shard;
  const flush = replication.flush.bind(replication);
  replication.flush = () => {
    flush();
    replicaOfT.listener!.onWritable();
  };
  assert.equal(endTurn(), false);
  replication.flush = flush;
  assert.equal(endTurn(), true);
});

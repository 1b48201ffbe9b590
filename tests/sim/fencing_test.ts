/**
 * What the nodes of a simulated cluster of three answer about a partition that they do not lead, and to clients that
 * believe in another epoch.
 */

import { strict as assert } from "node:assert";
import { ErrorCode } from "../../src/wire/errors.ts";
import {
  DELETE_RECORDS,
  FETCH,
  LIST_OFFSETS,
  OFFSET_FOR_LEADER_EPOCH,
  PRODUCE,
} from "../../src/wire/generated/apis.ts";
import { newDeleteRecordsRequest } from "../../src/wire/generated/delete_records_request.ts";
import {
  newFetchPartition,
  newFetchRequest,
  newFetchTopic,
} from "../../src/wire/generated/fetch_request.ts";
import {
  newListOffsetsPartition,
  newListOffsetsRequest,
} from "../../src/wire/generated/list_offsets_request.ts";
import {
  newOffsetForLeaderEpochRequest,
  newOffsetForLeaderPartition,
} from "../../src/wire/generated/offset_for_leader_epoch_request.ts";
import { ClusterBench } from "./cluster_bench.ts";
import { produceRequest, SMALL_BATCH } from "./sim_requests.ts";

const TOPIC = "orders";
const NODES = [0, 1, 2];
const BATCH_RECORDS = 3;
const LATEST = -1;

class Stage {
  readonly bench: ClusterBench;

  constructor(seed: number) {
    this.bench = new ClusterBench(seed, NODES.length, { "auto.leader.rebalance.enable": "false" });
    this.bench.start(2, 1, 2);
    this.bench.until(() => this.bench.metadata(0).brokers.length === NODES.length);
    assert.equal(this.bench.create(0, TOPIC, 3, 1).errorCode, ErrorCode.NONE);
  }

  settled(alive: readonly number[] = NODES) {
    return this.bench.settled(TOPIC, alive).partitions[0]!;
  }

  produce(node: number) {
    return this.bench.ask(node, PRODUCE, 10, produceRequest(TOPIC, 0, SMALL_BATCH));
  }

  fetch(node: number, currentLeaderEpoch: number) {
    const { topicId } = this.bench.metadata(node, TOPIC).topics[0]!;
    const partition = newFetchPartition({ currentLeaderEpoch, partitionMaxBytes: 1_000_000 });
    const topics = [newFetchTopic({ topicId, partitions: [partition] })];
    const request = newFetchRequest({ maxBytes: 1_000_000, sessionEpoch: -1, topics });
    return this.bench.ask(node, FETCH, 16, request);
  }

  listOffsets(node: number, currentLeaderEpoch: number) {
    const partitions = [newListOffsetsPartition({ timestamp: LATEST, currentLeaderEpoch })];
    const request = newListOffsetsRequest({ replicaId: -1, topics: [{ name: TOPIC, partitions }] });
    return this.bench.ask(node, LIST_OFFSETS, 5, request).topics[0]!.partitions[0]!;
  }

  epochEnd(node: number, currentLeaderEpoch: number, leaderEpoch: number) {
    const partitions = [newOffsetForLeaderPartition({ currentLeaderEpoch, leaderEpoch })];
    const request = newOffsetForLeaderEpochRequest({
      replicaId: -1,
      topics: [{ topic: TOPIC, partitions }],
    });
    const answer = this.bench.ask(node, OFFSET_FOR_LEADER_EPOCH, 3, request);
    return answer.topics[0]!.partitions[0]!;
  }

  deleteRecords(node: number, offset: number) {
    const partitions = [{ partitionIndex: 0, offset }];
    const request = newDeleteRecordsRequest({
      topics: [{ name: TOPIC, partitions }],
      timeoutMs: 5_000,
    });
    return this.bench.ask(node, DELETE_RECORDS, 2, request).topics[0]!.partitions[0]!;
  }
}

for (const seed of [1, 2]) {
  Deno.test(`a follower refuses clients of the leader, and tells them where that is (seed ${seed})`, () => {
    const stage = new Stage(seed);
    const { leaderId, leaderEpoch } = stage.settled();
    const leader = stage.bench.cluster.nodes[leaderId]!;
    for (const node of NODES) {
      const isLeader = node === leaderId;
      const refused = isLeader ? ErrorCode.NONE : ErrorCode.NOT_LEADER_OR_FOLLOWER;
      const produced = stage.produce(node);
      const [result] = produced.responses[0]!.partitionResponses;
      assert.equal(result!.errorCode, refused);
      const fetched = stage.fetch(node, -1);
      const [data] = fetched.responses[0]!.partitions;
      assert.equal(data!.errorCode, refused);
      for (const { currentLeader } of [result!, data!]) {
        const named = isLeader ? [-1, -1] : [leaderId, leaderEpoch];
        assert.deepEqual([currentLeader.leaderId, currentLeader.leaderEpoch], named);
      }
      for (const { nodeEndpoints } of [produced, fetched]) {
        const where = isLeader ? [] : [[leaderId, leader.host, leader.port]];
        assert.deepEqual(
          nodeEndpoints.map(({ nodeId, host, port }) => [nodeId, host, port]),
          where,
        );
      }
      assert.equal(stage.listOffsets(node, -1).errorCode, refused);
      assert.equal(stage.epochEnd(node, -1, leaderEpoch).errorCode, refused);
      assert.equal(stage.deleteRecords(node, 0).errorCode, refused);
    }
  });

  Deno.test(`clients of an earlier or a later epoch are told so by every API that asks for it (seed ${seed})`, () => {
    const stage = new Stage(seed + 10);
    const before = stage.settled();
    stage.produce(before.leaderId);
    stage.bench.cluster.nodes[before.leaderId]!.crash();
    const alive = NODES.filter((node) => node !== before.leaderId);
    stage.bench.until(() => {
      const [partition] = stage.bench.metadata(alive[0]!, TOPIC).topics[0]!.partitions;
      return partition!.leaderId >= 0 && partition!.leaderId !== before.leaderId;
    }, "another leader");
    const { leaderId, leaderEpoch } = stage.settled(alive);
    assert(leaderEpoch > before.leaderEpoch);
    stage.produce(leaderId);
    for (const node of alive) {
      for (
        const [epoch, expected] of [
          [before.leaderEpoch, ErrorCode.FENCED_LEADER_EPOCH],
          [leaderEpoch + 1, ErrorCode.UNKNOWN_LEADER_EPOCH],
          [leaderEpoch, node === leaderId ? ErrorCode.NONE : ErrorCode.NOT_LEADER_OR_FOLLOWER],
        ] as const
      ) {
        const fetched = stage.fetch(node, epoch).responses[0]!.partitions[0]!;
        assert.equal(fetched.errorCode, expected);
        assert.equal(stage.listOffsets(node, epoch).errorCode, expected);
        assert.equal(stage.epochEnd(node, epoch, before.leaderEpoch).errorCode, expected);
        const isSent = node !== leaderId && expected !== ErrorCode.UNKNOWN_LEADER_EPOCH;
        assert.equal(fetched.currentLeader.leaderId, isSent ? leaderId : -1);
      }
    }
    // Where the epochs end, and with which an offset that is not there yet would come.
    const ends = [before.leaderEpoch, leaderEpoch, leaderEpoch + 7].map((epoch) => {
      const { leaderEpoch: found, endOffset } = stage.epochEnd(leaderId, leaderEpoch, epoch);
      return [found, endOffset];
    });
    assert.deepEqual(ends.slice(0, 2), [
      [before.leaderEpoch, BATCH_RECORDS],
      [leaderEpoch, 2 * BATCH_RECORDS],
    ]);
    assert.equal(stage.listOffsets(leaderId, leaderEpoch).leaderEpoch, leaderEpoch);
    // The one that comes back knows the present epoch as soon as it serves.
    stage.bench.cluster.nodes[before.leaderId]!.begin(1);
    stage.bench.until(() => stage.bench.cluster.nodes[before.leaderId]!.accepting, "its return");
    stage.settled();
    const stale = stage.fetch(before.leaderId, before.leaderEpoch).responses[0]!.partitions[0]!;
    assert.equal(stale.errorCode, ErrorCode.FENCED_LEADER_EPOCH);
    assert.equal(stale.currentLeader.leaderId, stage.settled().leaderId);
  });
}

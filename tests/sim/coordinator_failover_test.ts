/**
 * What lives in the coordinators and in the partitions themselves outlives a node, in a simulated cluster of three: groups
 * with their members and committed offsets, and the sequences of idempotent producers.
 */

import { strict as assert } from "node:assert";
import { ErrorCode } from "../../src/wire/errors.ts";
import {
  DESCRIBE_PRODUCERS,
  FIND_COORDINATOR,
  HEARTBEAT,
  INIT_PRODUCER_ID,
  JOIN_GROUP,
  OFFSET_COMMIT,
  OFFSET_FETCH,
  PRODUCE,
  SYNC_GROUP,
} from "../../src/wire/generated/apis.ts";
import { newDescribeProducersRequest } from "../../src/wire/generated/describe_producers_request.ts";
import { newFindCoordinatorRequest } from "../../src/wire/generated/find_coordinator_request.ts";
import { newHeartbeatRequest } from "../../src/wire/generated/heartbeat_request.ts";
import { newInitProducerIdRequest } from "../../src/wire/generated/init_producer_id_request.ts";
import { newJoinGroupRequest } from "../../src/wire/generated/join_group_request.ts";
import {
  newOffsetCommitRequest,
  newOffsetCommitRequestPartition,
  newOffsetCommitRequestTopic,
} from "../../src/wire/generated/offset_commit_request.ts";
import {
  newOffsetFetchRequest,
  newOffsetFetchRequestTopic,
} from "../../src/wire/generated/offset_fetch_request.ts";
import { newSyncGroupRequest } from "../../src/wire/generated/sync_group_request.ts";
import { RecordBatchBuilder } from "../../src/wire/record_batch_builder.ts";
import { ClusterBench } from "./cluster_bench.ts";
import { SimClient } from "./sim_client.ts";
import { produceRequest } from "./sim_requests.ts";

const TOPIC = "orders";
const GROUP = "readers";
const NODES = [0, 1, 2];
const ROUNDS = 4;
const LATE_MS = 8_000;
/** Answers that a client repeats its question after, when it has looked for the coordinator again. */
const RETRIED: readonly number[] = [
  ErrorCode.NOT_COORDINATOR,
  ErrorCode.COORDINATOR_NOT_AVAILABLE,
  ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
];

function started(seed: number): ClusterBench {
  const bench = new ClusterBench(seed, NODES.length, { "auto.leader.rebalance.enable": "false" });
  bench.start(1, 2, 1);
  bench.until(() => bench.metadata(0).brokers.length === NODES.length);
  assert.equal(bench.create(0, TOPIC, 3, 1).errorCode, ErrorCode.NONE);
  return bench;
}

function eventually<T>(bench: ClusterBench, ask: () => T | null, what: string): T {
  const lateMs = bench.cluster.nowMs + LATE_MS;
  for (;;) {
    const found = ask();
    if (found !== null) return found;
    assert(bench.cluster.nowMs < lateMs, `${what} does not come`);
    bench.cluster.rest(20);
  }
}

function accepting(bench: ClusterBench): number[] {
  return NODES.filter((node) => bench.cluster.nodes[node]!.accepting);
}

function coordinatorOf(bench: ClusterBench): number {
  const request = newFindCoordinatorRequest({ key: GROUP });
  return eventually(bench, () => {
    const [node] = accepting(bench);
    const { errorCode, nodeId } = bench.ask(node!, FIND_COORDINATOR, 2, request);
    return errorCode === ErrorCode.NONE && accepting(bench).includes(nodeId) ? nodeId : null;
  }, "a coordinator");
}

/** Asks the coordinator, as often as clients do; the first answer that is not to be repeated. */
function ofCoordinator<T extends { readonly errorCode: number }>(
  bench: ClusterBench,
  ask: (node: number) => T,
): T {
  return eventually(bench, () => {
    const answer = ask(coordinatorOf(bench));
    return RETRIED.includes(answer.errorCode) ? null : answer;
  }, "the coordinator's answer");
}

function commit(bench: ClusterBench, offset: number, memberId: string, generation: number): number {
  const partitions = [newOffsetCommitRequestPartition({ committedOffset: offset })];
  const request = newOffsetCommitRequest({
    groupId: GROUP,
    generationIdOrMemberEpoch: generation,
    memberId,
    topics: [newOffsetCommitRequestTopic({ name: TOPIC, partitions })],
  });
  return ofCoordinator(
    bench,
    (node) => bench.ask(node, OFFSET_COMMIT, 6, request).topics[0]!.partitions[0]!,
  ).errorCode;
}

function committed(bench: ClusterBench): number {
  const topics = [newOffsetFetchRequestTopic({ name: TOPIC, partitionIndexes: [0] })];
  const request = newOffsetFetchRequest({ groupId: GROUP, topics });
  return ofCoordinator(bench, (node) => bench.ask(node, OFFSET_FETCH, 5, request)).topics[0]!
    .partitions[0]!.committedOffset;
}

for (const seed of [1, 2, 3]) {
  Deno.test(`a group outlives its coordinators: its member goes on, and no committed offset goes back (seed ${seed})`, () => {
    const bench = started(seed);
    const join = newJoinGroupRequest({
      groupId: GROUP,
      sessionTimeoutMs: 30_000,
      rebalanceTimeoutMs: 30_000,
      protocolType: "consumer",
      protocols: [{ name: "range", metadata: Uint8Array.of(0, 0, 0, 0, 0, 0) }],
    });
    const joined = ofCoordinator(bench, (node) => bench.ask(node, JOIN_GROUP, 3, join));
    assert.equal(joined.errorCode, ErrorCode.NONE);
    const { memberId, generationId } = joined;
    const assignments = [{ memberId, assignment: Uint8Array.of(7) }];
    const sync = newSyncGroupRequest({ groupId: GROUP, generationId, memberId, assignments });
    const synced = ofCoordinator(bench, (node) => bench.ask(node, SYNC_GROUP, 2, sync));
    assert.deepEqual([...synced.assignment], [7]);

    let last = 0;
    for (let round = 0; round < ROUNDS; round++) {
      for (let i = 0; i < 3; i++) {
        assert.equal(commit(bench, ++last, memberId, generationId), ErrorCode.NONE);
      }
      // One that is on its way when the node dies may have come to pass, or not.
      const dead = coordinatorOf(bench);
      const client = new SimClient(
        bench.cluster.network.dial("member", bench.cluster.nodes[dead]!.address),
      );
      const partitions = [newOffsetCommitRequestPartition({ committedOffset: last + 1 })];
      const topics = [newOffsetCommitRequestTopic({ name: TOPIC, partitions })];
      let answered = false;
      const request = newOffsetCommitRequest({
        groupId: GROUP,
        generationIdOrMemberEpoch: generationId,
        memberId,
        topics,
      });
      client.send(OFFSET_COMMIT, 6, request, () => answered = true);
      for (let step = 0; step < seed * round; step++) bench.cluster.step();
      client.poll();
      bench.cluster.nodes[dead]!.crash();
      const now = committed(bench);
      assert(now === last + 1 || (now === last && !answered), `${now} after ${last}`);
      last = now;
      const heartbeat = newHeartbeatRequest({ groupId: GROUP, generationId, memberId });
      const beat = ofCoordinator(bench, (node) => bench.ask(node, HEARTBEAT, 2, heartbeat));
      assert.equal(beat.errorCode, ErrorCode.NONE, "it need not join again");
      assert.equal(commit(bench, ++last, memberId, generationId), ErrorCode.NONE);
      bench.cluster.nodes[dead]!.begin(1 + round % 2);
      bench.until(() => bench.cluster.nodes[dead]!.accepting, "the return of a node");
      bench.settled("__consumer_offsets", NODES);
      assert.equal(committed(bench), last);
    }
  });

  Deno.test(`an idempotent producer outlives the leader: a repeated batch is there once, and the next one follows (seed ${seed})`, () => {
    const bench = started(seed + 10);
    const request = newInitProducerIdRequest({
      transactionalId: null,
      transactionTimeoutMs: 60_000,
      producerId: -1,
      producerEpoch: -1,
    });
    const ids = new Set<number>();
    const newProducer = (): number => {
      const answer = eventually(bench, () => {
        const given = bench.ask(accepting(bench)[0]!, INIT_PRODUCER_ID, 4, request);
        return given.errorCode === ErrorCode.NONE ? given : null;
      }, "a producer id");
      assert(!ids.has(answer.producerId), "no id is given twice");
      ids.add(answer.producerId);
      return answer.producerId;
    };
    const producerId = newProducer();
    const batch = (sequence: number): Uint8Array => {
      const builder = new RecordBatchBuilder();
      builder.add({ key: null, value: Uint8Array.of(sequence), timestamp: 1_700_000_000_000 });
      return builder.build({ producerId, producerEpoch: 0, baseSequence: sequence });
    };
    const produce = (sequence: number): { errorCode: number; baseOffset: number } =>
      eventually(bench, () => {
        const [partition] = bench.metadata(accepting(bench)[0]!, TOPIC).topics[0]!.partitions;
        const node = partition!.leaderId;
        if (!accepting(bench).includes(node)) return null;
        const answer = bench.ask(node, PRODUCE, 9, produceRequest(TOPIC, 0, batch(sequence)));
        const result = answer.responses[0]!.partitionResponses[0]!;
        return result.errorCode === ErrorCode.NOT_LEADER_OR_FOLLOWER ? null : result;
      }, "an answer to a batch");
    const offsets: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      for (let i = 0; i < 3; i++) {
        const { errorCode, baseOffset } = produce(offsets.length);
        assert.deepEqual([errorCode, baseOffset], [ErrorCode.NONE, offsets.length]);
        offsets.push(baseOffset);
      }
      const [partition] = bench.settled(TOPIC, NODES).partitions;
      const dead = partition!.leaderId;
      bench.cluster.nodes[dead]!.crash();
      // Its answer may have been lost: it is sent again, to whoever leads.
      const again = produce(offsets.length - 1);
      assert.deepEqual([again.errorCode, again.baseOffset], [ErrorCode.NONE, offsets.at(-1)!]);
      const beyond = produce(offsets.length + 1);
      assert.equal(beyond.errorCode, ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER);
      newProducer();
      bench.cluster.nodes[dead]!.begin(1);
      bench.until(() => bench.cluster.nodes[dead]!.accepting, "the return of a node");
    }
    // Every replica remembers it, whoever leads.
    bench.settled(TOPIC, NODES);
    bench.cluster.rest(500);
    for (const node of NODES) {
      const topics = [{ name: TOPIC, partitionIndexes: [0] }];
      const described = bench.ask(
        node,
        DESCRIBE_PRODUCERS,
        0,
        newDescribeProducersRequest({ topics }),
      );
      const [partition] = described.topics[0]!.partitions;
      assert.equal(partition!.errorCode, ErrorCode.NONE);
      assert.deepEqual(
        partition!.activeProducers.map((one) => [one.producerId, one.lastSequence]),
        [[producerId, offsets.length - 1]],
      );
    }
  });
}

import assert from "node:assert/strict";
import { Cursor } from "../../bytes/cursor.ts";
import { TransactionState } from "../../txn/records.ts";
import { ErrorCode } from "../../wire/errors.ts";
import { newAddOffsetsToTxnRequest } from "../../wire/generated/add_offsets_to_txn_request.ts";
import { newAddPartitionsToTxnRequest } from "../../wire/generated/add_partitions_to_txn_request.ts";
import { newDescribeTransactionsRequest } from "../../wire/generated/describe_transactions_request.ts";
import { newEndTxnRequest } from "../../wire/generated/end_txn_request.ts";
import { newInitProducerIdRequest } from "../../wire/generated/init_producer_id_request.ts";
import {
  type ListTransactionsRequest,
  newListTransactionsRequest,
} from "../../wire/generated/list_transactions_request.ts";
import { newTxnOffsetCommitRequest } from "../../wire/generated/txn_offset_commit_request.ts";
import { newWriteTxnMarkersRequest } from "../../wire/generated/write_txn_markers_request.ts";
import { batchIsControl, batchIsTransactional, batchProducerId } from "../../wire/record_batch.ts";
import { TRANSACTIONS_SINCE_VERSION } from "../../cluster/logical_version.ts";
import { testNode } from "../../cluster/test_cluster.ts";
import { groupPartition } from "../../group/group_partition.ts";
import { newWriteTxnMarkersResponse } from "../../wire/generated/write_txn_markers_response.ts";
import { TestBroker } from "../test_services.ts";
import { ADD_OFFSETS_TO_TXN_HANDLER } from "./add_offsets_to_txn.ts";
import { ADD_PARTITIONS_TO_TXN_HANDLER } from "./add_partitions_to_txn.ts";
import { DESCRIBE_TRANSACTIONS_HANDLER } from "./describe_transactions.ts";
import { END_TXN_HANDLER } from "./end_txn.ts";
import { INIT_PRODUCER_ID_HANDLER } from "./init_producer_id.ts";
import { LIST_TRANSACTIONS_HANDLER } from "./list_transactions.ts";
import { TXN_OFFSET_COMMIT_HANDLER } from "./txn_offset_commit.ts";
import { WRITE_TXN_MARKERS_HANDLER } from "./write_txn_markers.ts";

const transactionalId = "copy";

interface Producer {
  readonly producerId: number;
  readonly producerEpoch: number;
}

/** A broker with a topic and a producer. */
function start(): { broker: TestBroker; producer: Producer; zombie: Producer } {
  const broker = new TestBroker();
  broker.addTopic("t", 2);
  const init = () =>
    broker.ask(
      INIT_PRODUCER_ID_HANDLER,
      5,
      newInitProducerIdRequest({ transactionalId, transactionTimeoutMs: 1_000 }),
    );
  return { broker, zombie: init(), producer: init() };
}

/** Adds a partition as a client does, or as a leader; the error. */
function add(broker: TestBroker, version: number, producer: Producer, verifyOnly = false): number {
  const { producerId, producerEpoch } = producer;
  const topics = [{ name: "t", partitions: [1] }];
  const request = version < 4
    ? newAddPartitionsToTxnRequest({
      v3AndBelowTransactionalId: transactionalId,
      v3AndBelowProducerId: producerId,
      v3AndBelowProducerEpoch: producerEpoch,
      v3AndBelowTopics: topics,
    })
    : newAddPartitionsToTxnRequest({
      transactions: [{ transactionalId, producerId, producerEpoch, verifyOnly, topics }],
    });
  const response = broker.ask(ADD_PARTITIONS_TO_TXN_HANDLER, version, request);
  const results = version < 4
    ? response.resultsByTopicV3AndBelow
    : response.resultsByTransaction[0]!.topicResults;
  return results[0]!.resultsByPartition[0]!.partitionErrorCode;
}

Deno.test("a transaction begins and ends in every version; who was fenced is told in the version's words", () => {
  for (let version = 0; version <= 5; version++) {
    const { broker, producer, zombie } = start();
    const { transactions } = broker;
    const fenced = version < 2 ? ErrorCode.INVALID_PRODUCER_EPOCH : ErrorCode.PRODUCER_FENCED;
    const end = (of: Producer, committed = true) =>
      broker.ask(
        END_TXN_HANDLER,
        version,
        newEndTxnRequest({
          transactionalId,
          producerId: of.producerId,
          producerEpoch: of.producerEpoch,
          committed,
        }),
      );
    assert.equal(end(producer).errorCode, ErrorCode.INVALID_TXN_STATE);
    if (version < 4) assert.equal(add(broker, version, zombie), fenced);
    assert.equal(add(broker, version, producer), ErrorCode.NONE);
    assert.equal(end(zombie).errorCode, fenced);
    const ended = end(producer);
    assert.equal(ended.errorCode, ErrorCode.NONE);
    assert.equal(ended.producerEpoch, version < 5 ? -1 : producer.producerEpoch + 1);
    assert.equal(transactions.stateOf(transactionalId), TransactionState.PREPARE_COMMIT);
    transactions.mark();
    assert.equal(transactions.stateOf(transactionalId), TransactionState.COMPLETE_COMMIT);
    assert.equal(end({ producerId: 5, producerEpoch: 0 }).errorCode, 49);
  }
});

Deno.test("offsets are committed in a transaction, in every version", () => {
  for (let version = 0; version <= 6; version++) {
    const { broker, producer: { producerId, producerEpoch } } = start();
    const producer = { transactionalId, producerId, producerEpoch };
    const groupId = "g";
    const added = broker.ask(
      ADD_OFFSETS_TO_TXN_HANDLER,
      Math.min(version, 4),
      newAddOffsetsToTxnRequest({ ...producer, groupId }),
    );
    assert.equal(added.errorCode, ErrorCode.NONE);
    const partitions = broker.transactions.coordinator.verify(producer).partitions;
    assert.equal(partitions.get("__consumer_offsets")!.size, 1);
    const { id: topicId } = broker.cluster.image.topicByName("t")!;
    const partition = { committedOffset: 5, committedLeaderEpoch: -1, committedMetadata: null };
    const topics = [
      {
        name: "t",
        topicId,
        partitions: [0, 9].map((partitionIndex) => ({ ...partition, partitionIndex })),
      },
    ];
    const request = newTxnOffsetCommitRequest({ ...producer, groupId, topics });
    const response = broker.ask(TXN_OFFSET_COMMIT_HANDLER, version, request);
    const errors = response.topics[0]!.partitions.map(({ errorCode }) => errorCode);
    assert.deepEqual(errors, [ErrorCode.NONE, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]);
    const coordinator = broker.groups.coordinators[0]!;
    assert.equal(coordinator.table.pending.has({ groupId, topic: "t", partition: 0 }), true);
    coordinator.endTransaction(producerId, true);
    assert.equal(coordinator.table.groups.get(groupId)!.offsets.get("t", 0)!.offset, 5);
  }
});

Deno.test("transactions are described and listed, with filters", () => {
  const { broker, producer } = start();
  const list = (fields: Partial<ListTransactionsRequest>) =>
    broker.ask(LIST_TRANSACTIONS_HANDLER, 2, newListTransactionsRequest(fields));
  const describe = (id: string) =>
    broker.ask(
      DESCRIBE_TRANSACTIONS_HANDLER,
      0,
      newDescribeTransactionsRequest({ transactionalIds: [id] }),
    ).transactionStates[0]!;
  assert.equal(describe(transactionalId).transactionState, "Empty");
  add(broker, 3, producer);
  const { errorCode, transactionState, producerEpoch, topics } = describe(transactionalId);
  assert.deepEqual([errorCode, transactionState, producerEpoch], [0, "Ongoing", 1]);
  assert.deepEqual(topics, [{ topic: "t", partitions: [1] }]);
  assert.equal(describe("none").errorCode, ErrorCode.TRANSACTIONAL_ID_NOT_FOUND);
  assert.equal(describe("").errorCode, ErrorCode.INVALID_REQUEST);
  const { producerId } = producer;
  const all = [{ transactionalId, producerId, transactionState: "Ongoing" }];
  assert.deepEqual(list({}).transactionStates, all);
  assert.deepEqual(list({ stateFilters: ["Ongoing"] }).transactionStates, all);
  assert.deepEqual(list({ producerIdFilters: [producerId] }).transactionStates, all);
  assert.deepEqual(list({ producerIdFilters: [1] }).transactionStates, []);
  const unknown = list({ stateFilters: ["Empty", "Strange"] });
  assert.deepEqual([unknown.transactionStates, unknown.unknownStateFilters], [[], ["Strange"]]);
  assert.deepEqual(list({ durationFilter: 1_000_000 }).transactionStates, []);
  const matching = (transactionalIdPattern: string) => list({ transactionalIdPattern });
  assert.deepEqual(matching(`.*${transactionalId.slice(1)}`).transactionStates, all);
  assert.deepEqual(matching("").transactionStates, all);
  assert.deepEqual(matching(transactionalId.slice(1)).transactionStates, []);
  assert.equal(matching("(").errorCode, ErrorCode.INVALID_REGULAR_EXPRESSION);
});

Deno.test("a leader asks whether a partition is in a transaction, in the words of the version", () => {
  for (const version of [4, 5]) {
    const { broker, producer, zombie } = start();
    const outside = version < 5 ? ErrorCode.INVALID_TXN_STATE : ErrorCode.TRANSACTION_ABORTABLE;
    assert.equal(add(broker, version, producer, true), outside);
    assert.equal(add(broker, version, producer), ErrorCode.NONE);
    assert.equal(add(broker, version, producer, true), ErrorCode.NONE);
    assert.equal(add(broker, version, zombie, true), ErrorCode.PRODUCER_FENCED);
  }
});

Deno.test("a partition that does not exist keeps the others out of the transaction", () => {
  const { broker, producer: { producerId, producerEpoch } } = start();
  const request = newAddPartitionsToTxnRequest({
    v3AndBelowTransactionalId: transactionalId,
    v3AndBelowProducerId: producerId,
    v3AndBelowProducerEpoch: producerEpoch,
    v3AndBelowTopics: [{ name: "t", partitions: [0, 7] }],
  });
  const { resultsByTopicV3AndBelow } = broker.ask(ADD_PARTITIONS_TO_TXN_HANDLER, 3, request);
  assert.deepEqual(resultsByTopicV3AndBelow[0]!.resultsByPartition, [
    { partitionIndex: 0, partitionErrorCode: ErrorCode.OPERATION_NOT_ATTEMPTED },
    { partitionIndex: 7, partitionErrorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION },
  ]);
  assert.equal(broker.transactions.stateOf(transactionalId), TransactionState.EMPTY);
});

Deno.test("a marker is written where its producer's epoch and its coordinator are not older than the last ones", () => {
  for (const version of [1, 2]) {
    const broker = new TestBroker();
    broker.addTopic("t", 1);
    const { producers } = broker.partition("t", 0).log;
    const mark = (producerEpoch: number, coordinatorEpoch: number, transactionVersion = 0) => {
      const marker = {
        producerId: 7,
        producerEpoch,
        transactionResult: true,
        coordinatorEpoch,
        transactionVersion,
        topics: [{ name: "t", partitionIndexes: [0] }, { name: "gone", partitionIndexes: [0] }],
      };
      const request = newWriteTxnMarkersRequest({ markers: [marker] });
      const { markers } = broker.ask(WRITE_TXN_MARKERS_HANDLER, version, request);
      const [here, gone] = markers[0]!.topics;
      assert.equal(gone!.partitions[0]!.errorCode, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION);
      return here!.partitions[0]!.errorCode;
    };
    producers.append(0, 7, 3, 0, 0, 0, 0, true, 0);
    assert.equal(mark(2, 5), ErrorCode.INVALID_PRODUCER_EPOCH);
    assert.equal(broker.markers.length, 0);
    assert.equal(mark(3, 5), ErrorCode.NONE);
    assert.equal(broker.markers.length, 1);
    const batch = broker.markers[0]!.batch;
    const { view } = Cursor.of(batch);
    assert.equal(batchIsControl(view, 0) && batchIsTransactional(view, 0), true);
    assert.equal(batchProducerId(view, 0), 7);
    producers.appendMarker(1, 7, 3, 1, 0, 0, false, 5);
    assert.equal(mark(3, 4), ErrorCode.TRANSACTION_COORDINATOR_FENCED);
    if (version < 2) continue;
    // Where the epoch rises with each transaction, a late marker does not end the next one.
    producers.append(2, 7, 3, 1, 1, 2, 0, true, 0);
    assert.equal(mark(3, 5, 2), ErrorCode.INVALID_PRODUCER_EPOCH);
    assert.equal(mark(4, 5, 2), ErrorCode.NONE);
    assert.equal(broker.markers.length, 2);
    // The answer to the first one was lost, and nothing else is written to the partition.
    producers.appendMarker(3, 7, 4, 3, 0, 0, false, 5);
    assert.equal(mark(4, 5, 2), ErrorCode.NONE);
    assert.equal(broker.markers.length, 2);
  }
});

Deno.test("a request with very many markers is answered in time that grows with their number", () => {
  const broker = new TestBroker({ shardCount: 2 });
  broker.addTopic("t", 2);
  const count = 20_000;
  const markers = Array.from({ length: count }, (_, producerId) => ({
    producerId,
    producerEpoch: 0,
    transactionResult: true,
    coordinatorEpoch: 0,
    transactionVersion: 0,
    topics: [{ name: "gone", partitionIndexes: [producerId] }],
  }));
  const { route } = WRITE_TXN_MARKERS_HANDLER;
  assert(typeof route === "object" && route.kind === "split");
  const response = newWriteTxnMarkersResponse({
    markers: markers.map(({ producerId }) => ({
      producerId,
      topics: [{ name: "gone", partitions: [{ partitionIndex: producerId, errorCode: 3 }] }],
    })),
  });
  let looks = 0;
  for (const answer of response.markers) {
    const { producerId } = answer;
    Object.defineProperty(answer, "producerId", {
      get: () => {
        looks++;
        return producerId;
      },
    });
  }
  const merged = route.merge(newWriteTxnMarkersRequest({ markers }), [response]);
  assert.equal(merged.markers.length, count);
  assert.equal(merged.markers.at(-1)!.topics[0]!.partitions[0]!.errorCode, 3);
  assert(looks <= 2 * count, `${looks} looks at ${count} answers`);
});

Deno.test("no marker is written as long as some node does not know transactions", () => {
  const older = { ...testNode(1), logicalVersion: TRANSACTIONS_SINCE_VERSION - 1 };
  const broker = new TestBroker({ nodes: [testNode(0), older] });
  broker.addTopic("t", 1);
  const marker = {
    producerId: 7,
    producerEpoch: 0,
    transactionResult: true,
    coordinatorEpoch: 0,
    transactionVersion: 0,
    topics: [{ name: "t", partitionIndexes: [0] }],
  };
  const request = newWriteTxnMarkersRequest({ markers: [marker] });
  const { markers } = broker.ask(WRITE_TXN_MARKERS_HANDLER, 1, request);
  assert.equal(markers[0]!.topics[0]!.partitions[0]!.errorCode, ErrorCode.UNSUPPORTED_VERSION);
  assert.equal(broker.markers.length, 0);
});

Deno.test("an offset behind the marker of its transaction is not taken for a part of it", () => {
  const { broker, producer: { producerId, producerEpoch } } = start();
  const producer = { transactionalId, producerId, producerEpoch };
  const groupId = "g";
  broker.ask(ADD_OFFSETS_TO_TXN_HANDLER, 3, newAddOffsetsToTxnRequest({ ...producer, groupId }));
  const partition = { partitionIndex: 0, committedOffset: 5, committedLeaderEpoch: -1 };
  const topics = [{
    name: "t",
    topicId: "",
    partitions: [{ ...partition, committedMetadata: null }],
  }];
  const commit = () =>
    broker.ask(
      TXN_OFFSET_COMMIT_HANDLER,
      3,
      newTxnOffsetCommitRequest({ ...producer, groupId, topics }),
    ).topics[0]!.partitions[0]!.errorCode;
  const { image } = broker.cluster;
  const offsets = image.topicByName("__consumer_offsets")!;
  const index = groupPartition(groupId, offsets.partitions.length);
  const { producers } = broker.partition("__consumer_offsets", index).log;
  producers.append(0, producerId, producerEpoch, -1, -1, 0, 0, true, 0);
  broker.admission = ErrorCode.INVALID_TXN_STATE;
  assert.equal(commit(), ErrorCode.NONE);
  broker.endsAll = true;
  assert.equal(commit(), ErrorCode.INVALID_TXN_STATE);
});

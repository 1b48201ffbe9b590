import assert from "node:assert/strict";
import { Cursor } from "../../bytes/cursor.ts";
import { TransactionState } from "../../txn/records.ts";
import { ErrorCode } from "../../wire/errors.ts";
import { newAddPartitionsToTxnRequest } from "../../wire/generated/add_partitions_to_txn_request.ts";
import { newEndTxnRequest } from "../../wire/generated/end_txn_request.ts";
import { newInitProducerIdRequest } from "../../wire/generated/init_producer_id_request.ts";
import { newWriteTxnMarkersRequest } from "../../wire/generated/write_txn_markers_request.ts";
import { batchIsControl, batchIsTransactional, batchProducerId } from "../../wire/record_batch.ts";
import { TestBroker } from "../test_services.ts";
import { ADD_PARTITIONS_TO_TXN_HANDLER } from "./add_partitions_to_txn.ts";
import { END_TXN_HANDLER } from "./end_txn.ts";
import { INIT_PRODUCER_ID_HANDLER } from "./init_producer_id.ts";
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
  }
});

import assert from "node:assert/strict";
import { ErrorCode } from "../wire/errors.ts";
import { EPOCH_PER_TRANSACTION } from "./coordinator.ts";
import { TransactionState } from "./records.ts";
import { EPOCH_EXHAUSTED } from "./rules.ts";
import { partitionsOf, TestTransactions } from "./test_coordinator.ts";

const ID = "copy";
const T0 = partitionsOf("t", 0);

function producerOf({ producerId, producerEpoch }: { producerId: number; producerEpoch: number }) {
  return { transactionalId: ID, producerId, producerEpoch };
}

Deno.test("a transaction: partitions are added, the decision is written, then the markers, then it is over", () => {
  const test = new TestTransactions();
  const given = test.init(ID);
  assert.deepEqual(given, { errorCode: 0, producerId: 1_000, producerEpoch: 0 });
  const producer = producerOf(given);
  assert.equal(test.add(producer, T0), ErrorCode.NONE);
  assert.equal(test.add(producer, partitionsOf("t", 1)), ErrorCode.NONE);
  assert.equal(test.stateOf(ID), TransactionState.ONGOING);
  assert.equal(test.end(producer, true).errorCode, ErrorCode.NONE);
  assert.equal(test.stateOf(ID), TransactionState.PREPARE_COMMIT);
  assert.equal(test.orders.length, 1);
  const { order } = test.orders[0]!;
  assert.deepEqual([...order.partitions.get("t")!], [0, 1]);
  assert.equal(order.isCommit, true);
  assert.equal(order.producerEpoch, 0);
  // Before all markers are there, nothing else begins; the same question again is not refused for good.
  assert.equal(test.add(producer, T0), ErrorCode.CONCURRENT_TRANSACTIONS);
  assert.equal(test.end(producer, true).errorCode, ErrorCode.CONCURRENT_TRANSACTIONS);
  assert.equal(test.end(producer, false).errorCode, ErrorCode.INVALID_TXN_STATE);
  assert.equal(test.init(ID).errorCode, ErrorCode.CONCURRENT_TRANSACTIONS);
  test.mark();
  assert.equal(test.stateOf(ID), TransactionState.COMPLETE_COMMIT);
  assert.equal(test.end(producer, true).errorCode, ErrorCode.NONE);
  assert.equal(test.end(producer, false).errorCode, ErrorCode.INVALID_TXN_STATE);
  assert.equal(test.add(producer, T0), ErrorCode.NONE);
  assert.equal(test.end(producer, false).errorCode, ErrorCode.NONE);
  test.mark();
  assert.equal(test.stateOf(ID), TransactionState.COMPLETE_ABORT);
});

Deno.test("the next InitProducerId fences the producer before, and aborts its transaction first", () => {
  const test = new TestTransactions();
  const zombie = producerOf(test.init(ID));
  test.add(zombie, T0);
  assert.equal(test.init(ID).errorCode, ErrorCode.CONCURRENT_TRANSACTIONS);
  assert.equal(test.orders[0]!.order.isCommit, false);
  assert.equal(test.orders[0]!.order.producerEpoch, 1);
  assert.equal(test.end(zombie, true).errorCode, ErrorCode.PRODUCER_FENCED);
  assert.equal(test.init(ID).errorCode, ErrorCode.CONCURRENT_TRANSACTIONS);
  test.mark();
  const next = test.init(ID);
  assert.deepEqual(next, { errorCode: 0, producerId: zombie.producerId, producerEpoch: 2 });
  assert.equal(test.add(zombie, T0), ErrorCode.PRODUCER_FENCED);
  assert.equal(test.end(zombie, true).errorCode, ErrorCode.PRODUCER_FENCED);
  assert.equal(test.coordinator.verify(zombie).errorCode, ErrorCode.PRODUCER_FENCED);
});

Deno.test("KIP-360: a producer goes on with the next epoch, and a repeated question gets the same answer", () => {
  const test = new TestTransactions();
  const first = test.init(ID);
  const next = test.init(ID, first);
  assert.equal(next.producerEpoch, 1);
  assert.deepEqual(test.init(ID, first), next);
  const other = test.init(ID);
  assert.equal(other.producerEpoch, 2);
  assert.equal(test.init(ID, next).errorCode, ErrorCode.PRODUCER_FENCED);
  assert.equal(
    test.init(ID, { producerId: 5, producerEpoch: 2 }).errorCode,
    ErrorCode.PRODUCER_FENCED,
  );
});

Deno.test("a zombie that names its epoch does not abort the transaction of the producer after it", () => {
  const test = new TestTransactions();
  const zombie = test.init(ID);
  const producer = producerOf(test.init(ID));
  test.add(producer, T0);
  assert.equal(test.init(ID, zombie).errorCode, ErrorCode.PRODUCER_FENCED);
  assert.equal(test.stateOf(ID), TransactionState.ONGOING);
});

Deno.test("what the coordinator before it decided, the next one carries out", () => {
  for (const isCommit of [true, false]) {
    const test = new TestTransactions();
    const producer = producerOf(test.init(ID));
    test.add(producer, T0);
    test.end(producer, isCommit);
    test.failOver();
    assert.equal(test.orders.length, 1);
    assert.equal(test.orders[0]!.order.isCommit, isCommit);
    test.mark();
    const complete = isCommit ? TransactionState.COMPLETE_COMMIT : TransactionState.COMPLETE_ABORT;
    assert.equal(test.stateOf(ID), complete);
    assert.equal(test.add(producer, T0), ErrorCode.NONE);
  }
});

Deno.test("no marker is written, and nobody is answered, before the decision is committed", () => {
  const test = new TestTransactions();
  const producer = producerOf(test.init(ID));
  test.add(producer, T0);
  test.immediate = false;
  const answers: number[] = [];
  const { coordinator, time } = test;
  coordinator.endTransaction(time, producer, true, 0, -1, ({ errorCode }) => {
    answers.push(errorCode);
  });
  assert.equal(test.orders.length, 0);
  assert.deepEqual(answers, []);
  test.failOver();
  assert.deepEqual(answers, [ErrorCode.NOT_COORDINATOR]);
  // It was never decided: the producer may still abort.
  assert.equal(test.stateOf(ID), TransactionState.ONGOING);
  assert.equal(test.orders.length, 0);
  test.immediate = true;
  assert.equal(test.end(producer, false).errorCode, ErrorCode.NONE);
});

Deno.test("partitions that are added at the same time are all in the transaction", () => {
  const test = new TestTransactions();
  const producer = producerOf(test.init(ID));
  test.immediate = false;
  const answers: number[] = [];
  for (const index of [0, 1, 2]) {
    const added = partitionsOf("t", index);
    test.coordinator.addPartitions(test.time, producer, added, 2, (code) => answers.push(code));
  }
  test.commit();
  assert.deepEqual(answers, [0, 0, 0]);
  assert.equal(test.coordinator.verify(producer).partitions.get("t")!.size, 3);
});

Deno.test("a transaction whose time is over is aborted, and its producer fenced", () => {
  const test = new TestTransactions({ timeoutCheckMs: 1_000 });
  const producer = producerOf(test.init(ID, undefined, 5_000));
  test.add(producer, T0);
  test.passTime(4_000);
  assert.equal(test.orders.length, 0);
  test.passTime(1_000);
  assert.equal(test.orders.length, 1);
  assert.equal(test.orders[0]!.order.producerEpoch, 1);
  test.mark();
  assert.equal(test.end(producer, true).errorCode, ErrorCode.PRODUCER_FENCED);
});

Deno.test("an id that is not used is forgotten, one with a transaction is not", () => {
  const test = new TestTransactions({ expirationCheckMs: 1_000, idExpirationMs: 10_000 });
  const busy = { ...producerOf(test.init("busy")), transactionalId: "busy" };
  test.init("idle");
  test.add(busy, T0);
  test.passTime(10_000);
  assert.equal(test.coordinator.find("idle"), undefined);
  assert.equal(test.stateOf("busy"), TransactionState.ONGOING);
  test.failOver();
  assert.equal(test.coordinator.find("idle"), undefined);
});

Deno.test("KIP-890: the epoch rises with each transaction, a repeated EndTxn gets the same answer, a late one none", () => {
  const test = new TestTransactions();
  const first = producerOf(test.init(ID));
  const end = (producer: typeof first, isCommit: boolean) =>
    test.end(producer, isCommit, EPOCH_PER_TRANSACTION);
  test.add(first, T0, EPOCH_PER_TRANSACTION);
  const second = end(first, true);
  assert.equal(second.producerEpoch, 1);
  assert.equal(test.orders[0]!.order.producerEpoch, 1);
  assert.equal(test.orders[0]!.order.clientVersion, EPOCH_PER_TRANSACTION);
  assert.equal(end(first, true).errorCode, ErrorCode.CONCURRENT_TRANSACTIONS);
  test.mark();
  assert.deepEqual(end(first, true), second);
  assert.equal(end(first, false).errorCode, ErrorCode.INVALID_TXN_STATE);
  test.add(producerOf(second), T0, EPOCH_PER_TRANSACTION);
  // It would end the next transaction.
  assert.equal(end(first, true).errorCode, ErrorCode.PRODUCER_FENCED);
  assert.equal(test.stateOf(ID), TransactionState.ONGOING);
  // A producer that failed with nothing written gets its next epoch all the same.
  test.marksAtOnce = true;
  const third = end(producerOf(second), false);
  assert.equal(third.producerEpoch, 2);
  const fourth = end(producerOf(third), false);
  assert.equal(fourth.producerEpoch, 3);
  assert.equal(end(producerOf(fourth), true).errorCode, ErrorCode.INVALID_TXN_STATE);
});

Deno.test("a producer whose epochs are used up gets another id", () => {
  const test = new TestTransactions();
  test.marksAtOnce = true;
  let producer = producerOf(test.init(ID));
  const { producerId } = producer;
  for (let i = 0; i < 40_000 && producer.producerId === producerId; i++) {
    producer = producerOf(test.end(producer, false, EPOCH_PER_TRANSACTION));
  }
  assert.notEqual(producer.producerId, producerId);
  assert.equal(producer.producerEpoch, 0);
  assert.equal(test.coordinator.find(ID)!.value!.previousProducerId, producerId);
  assert.equal(test.add(producer, T0), ErrorCode.NONE);
});

Deno.test("a snapshot gives the same state", () => {
  const test = new TestTransactions();
  const producer = producerOf(test.init(ID));
  test.add(producer, T0);
  const records = [...test.coordinator.snapshotRecords()];
  test.log.length = 0;
  test.log.push(...records);
  test.failOver();
  assert.equal(test.stateOf(ID), TransactionState.ONGOING);
  assert.equal(test.end(producer, true).errorCode, ErrorCode.NONE);
});

Deno.test("what is no record of a transactional id is skipped", () => {
  const test = new TestTransactions();
  const { coordinator } = test;
  assert.notEqual(coordinator.replay(new Uint8Array([0]), null), null);
  assert.notEqual(coordinator.replay(new Uint8Array([0, 9, 0, 0]), null), null);
  const key = new Uint8Array([0, 0, 0, 1, 97]);
  assert.notEqual(coordinator.replay(key, new Uint8Array([0, 0, 1])), null);
  assert.notEqual(coordinator.replay(key, new Uint8Array([0, 7])), null);
  assert.equal(coordinator.replay(key, null), null);
  assert.equal(coordinator.find("a"), undefined);
});

Deno.test("the end that cannot be written down is tried again after a while, and so are markers that were given up", () => {
  const test = new TestTransactions({ timeoutCheckMs: 1_000 });
  const producer = producerOf(test.init(ID));
  test.add(producer, T0);
  test.end(producer, true);
  test.mark(false);
  assert.equal(test.orders.length, 0);
  test.passTime(1_000);
  assert.equal(test.orders.length, 1);
  // On a full disk markers are not written again and again.
  test.failWith = ErrorCode.KAFKA_STORAGE_ERROR;
  test.mark();
  assert.equal(test.orders.length, 0);
  assert.equal(test.stateOf(ID), TransactionState.PREPARE_COMMIT);
  test.passTime(1_000);
  assert.equal(test.orders.length, 1);
  test.failWith = ErrorCode.NONE;
  // While it is said that it is over, no marker is on its way, which could meet the next transaction.
  test.immediate = false;
  test.mark();
  test.passTime(1_000);
  assert.equal(test.orders.length, 0);
  test.commit();
  assert.equal(test.stateOf(ID), TransactionState.COMPLETE_COMMIT);
});

Deno.test("nobody begins a transaction in the last epoch of an id, which only fences", () => {
  const test = new TestTransactions({ timeoutCheckMs: 1_000 });
  test.marksAtOnce = true;
  let producer = producerOf(test.init(ID, undefined, 1_000));
  while (producer.producerEpoch < EPOCH_EXHAUSTED) {
    producer = producerOf(test.init(ID, producer, 1_000));
  }
  test.add(producer, T0);
  test.passTime(1_000);
  assert.equal(test.coordinator.find(ID)!.value!.producerEpoch, EPOCH_EXHAUSTED + 1);
  const last = { ...producer, producerEpoch: EPOCH_EXHAUSTED + 1 };
  assert.equal(test.add(last, T0), ErrorCode.PRODUCER_FENCED);
  assert.equal(test.end(last, false, EPOCH_PER_TRANSACTION).errorCode, ErrorCode.PRODUCER_FENCED);
  const next = producerOf(test.init(ID));
  assert.notEqual(next.producerId, producer.producerId);
});

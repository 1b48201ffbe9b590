import assert from "node:assert/strict";
import { ProducerTable } from "./producer_table.ts";
import { ABORTED_TRANSACTIONS_MAX, TransactionIndex } from "./transaction_index.ts";
import { committedProducers, isProducerTable } from "./producer_snapshot.ts";

const NOW_MS = 1_000;

/** One batch of one record at an offset; its index is the offset. */
function put(table: ProducerTable, producerId: number, offset: number, sequence = offset): void {
  table.append(offset, producerId, 0, sequence, sequence, offset, NOW_MS, true, NOW_MS);
}

function end(
  table: ProducerTable,
  producerId: number,
  offset: number,
  isAbort: boolean,
  epoch = 0,
): void {
  table.appendMarker(offset, producerId, epoch, offset, NOW_MS, NOW_MS, isAbort, 3);
}

function aborted(table: ProducerTable, from: number, until: number): number[] {
  const into: number[] = [];
  table.collectAborted(from, until, into);
  return into;
}

/** As a checkpoint's row keeps it. */
function copyOf(table: ProducerTable): ProducerTable {
  const bytes = new Uint8Array(table.encodedSize());
  assert.equal(table.encode(new DataView(bytes.buffer), 0), bytes.length);
  const copy = new ProducerTable();
  assert.equal(copy.decode(new DataView(bytes.buffer), 0), bytes.length);
  return copy;
}

/** Transactions of producers 7 (10 to 14, aborted), 8 (11 to 15, committed) and 9 (from 12 on). */
function example(): ProducerTable {
  const table = new ProducerTable();
  put(table, 7, 10);
  put(table, 8, 11);
  put(table, 9, 12);
  put(table, 7, 13, 11);
  end(table, 7, 14, true);
  end(table, 8, 15, false);
  return table;
}

Deno.test("the first unstable offset is that of the oldest transaction whose end is not committed", () => {
  const table = example();
  // The markers could still be cut.
  assert.equal(table.firstUnstable(), 10);
  table.commit(13);
  assert.equal(table.firstUnstable(), 10);
  table.commit(14);
  assert.equal(table.firstUnstable(), 11);
  table.commit(15);
  assert.equal(table.firstUnstable(), 12);
  end(table, 9, 16, true);
  assert.equal(table.firstUnstable(), 12);
  table.commit(16);
  assert.equal(table.firstUnstable(), -1);
});

Deno.test("a marker that is cut has ended nothing", () => {
  for (const table of [example(), copyOf(example())]) {
    assert.deepEqual(aborted(table, 0, 100), [7, 10]);
    table.truncate(13);
    assert.deepEqual(aborted(table, 0, 100), []);
    assert.equal(table.transactionOf(7), 10);
    assert.equal(table.firstUnstable(), 10);
    table.truncate(11);
    assert.equal(table.transactionOf(9), -1);
    end(table, 7, 12, false);
    table.commit(12);
    assert.equal(table.firstUnstable(), 11);
    assert.deepEqual(aborted(table, 0, 100), []);
  }
});

Deno.test("aborted transactions are found by the offsets that they span, until the log starts behind them", () => {
  const table = example();
  end(table, 9, 20, true);
  for (const each of [table, copyOf(table)]) {
    assert.deepEqual(aborted(each, 0, 100), [7, 10, 9, 12]);
    assert.deepEqual(aborted(each, 14, 100), [7, 10, 9, 12]);
    assert.deepEqual(aborted(each, 15, 100), [9, 12]);
    assert.deepEqual(aborted(each, 21, 100), []);
    assert.deepEqual(aborted(each, 0, 12), [7, 10]);
    assert.deepEqual(aborted(each, 0, 10), []);
    each.trim(14);
    assert.deepEqual(aborted(each, 0, 100), [7, 10, 9, 12]);
    each.trim(15);
    assert.deepEqual(aborted(each, 0, 100), [9, 12]);
    assert.equal(each.coordinatorEpochOf(7), 3);
  }
});

Deno.test("a state that came with a snapshot is not changed by the records that led to it", () => {
  const table = example();
  end(table, 9, 16, true);
  table.commit(16);
  put(table, 9, 17, 13);
  const bytes = committedProducers(table, 1_000_000);
  assert.equal(isProducerTable(bytes), true);
  const replica = new ProducerTable();
  replica.decode(new DataView(bytes.buffer), 0);
  assert.equal(replica.firstUnstable(), -1);
  assert.deepEqual(aborted(replica, 0, 100), [7, 10, 9, 12]);
  // The records after the log start follow, which the state knows.
  put(replica, 7, 13, 11);
  end(replica, 7, 14, true);
  end(replica, 8, 15, false);
  end(replica, 9, 16, true);
  put(replica, 9, 17, 13);
  replica.commit(17);
  assert.deepEqual(aborted(replica, 0, 100), [7, 10, 9, 12]);
  assert.equal(replica.firstUnstable(), 17);
  assert.equal(replica.transactionOf(7), -1);
});

Deno.test("a table without transactions is written as programs before them read it", () => {
  const table = new ProducerTable();
  table.append(0, 7, 0, 0, 0, 0, NOW_MS, false, NOW_MS);
  const version = (of: ProducerTable): number => {
    const view = new DataView(new ArrayBuffer(of.encodedSize()));
    of.encode(view, 0);
    return view.getUint32(0, true);
  };
  assert.equal(version(table), 2);
  put(table, 8, 1);
  assert.equal(version(table), 3);
});

Deno.test("an index that is full says so, and one that is not in order is not read", () => {
  const index = new TransactionIndex();
  for (let i = 0; i < ABORTED_TRANSACTIONS_MAX; i++) {
    assert.equal(index.isFull, false);
    index.abort(7, 2 * i, 2 * i + 1, i);
  }
  assert.equal(index.isFull, true);
  index.trim(2);
  assert.equal(index.isFull, false);
  const view = new DataView(new ArrayBuffer(64));
  view.setBigInt64(16, 5n, true);
  view.setBigInt64(48, 4n, true);
  assert.equal(new TransactionIndex().decode(view, 0, 2), -1);
  assert.equal(new TransactionIndex().decode(view, 0, 3), -1);
  view.setBigInt64(48, 6n, true);
  assert.equal(new TransactionIndex().decode(view, 0, 2), 64);
});

Deno.test("more aborted transactions than a partition remembers can be written and read: the oldest are forgotten", () => {
  const table = new ProducerTable();
  const count = ABORTED_TRANSACTIONS_MAX + 3;
  for (let i = 0; i < count; i++) {
    put(table, 7, 2 * i, i);
    end(table, 7, 2 * i + 1, true);
  }
  table.commit(2 * count);
  const bytes = committedProducers(table, 1_000_000);
  assert.equal(isProducerTable(bytes), true);
  for (const each of [table, copyOf(table)]) {
    assert.equal(aborted(each, 0, 2 * count).length, 2 * ABORTED_TRANSACTIONS_MAX);
    assert.deepEqual(aborted(each, 0, 7), [7, 6]);
  }
});

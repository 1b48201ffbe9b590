import { strict as assert } from "node:assert";
import { ProducerCensus } from "./producer_census.ts";
import { lastSequenceOf, ProducerCheck, ProducerTable } from "./producer_table.ts";

const MAX = 0x7fff_ffff;
const NOW_MS = 5000;

/** Appends sequences first..last of producer 7 at `offset`; the log index is the offset plus 100. */
function put(
  table: ProducerTable,
  epoch: number,
  first: number,
  last: number,
  offset: number,
  heardMs = NOW_MS,
): void {
  table.append(offset + 100, 7, epoch, first, last, offset, 1000 + offset, false, heardMs);
}

Deno.test("an unknown producer may begin anywhere", () => {
  const table = new ProducerTable();
  assert.equal(table.check(7, 0, 0, 4, NOW_MS), ProducerCheck.NEW);
  assert.equal(table.check(7, 3, 500, 504, NOW_MS), ProducerCheck.NEW);
});

Deno.test("sequences follow each other, a gap is out of order", () => {
  const table = new ProducerTable();
  put(table, 0, 0, 4, 0);
  assert.equal(table.check(7, 0, 5, 9, NOW_MS), ProducerCheck.NEW);
  assert.equal(table.check(7, 0, 6, 9, NOW_MS), ProducerCheck.OUT_OF_ORDER);
  assert.equal(table.check(7, 0, 3, 4, NOW_MS), ProducerCheck.OUT_OF_ORDER);
});

Deno.test("the last five batches are known as duplicates, with their offsets; older ones are not", () => {
  const table = new ProducerTable();
  for (let i = 0; i < 6; i++) put(table, 0, i * 10, i * 10 + 9, i * 10);
  for (let i = 1; i < 6; i++) {
    assert.equal(table.check(7, 0, i * 10, i * 10 + 9, NOW_MS), ProducerCheck.DUPLICATE);
    assert.equal(table.duplicateOffset, i * 10);
    assert.equal(table.duplicateTimestampMs, 1000 + i * 10);
  }
  assert.equal(table.check(7, 0, 0, 9, NOW_MS), ProducerCheck.OUT_OF_ORDER);
});

Deno.test("an older epoch is fenced, a newer one begins at zero", () => {
  const table = new ProducerTable();
  put(table, 2, 0, 4, 0);
  assert.equal(table.check(7, 1, 5, 5, NOW_MS), ProducerCheck.INVALID_EPOCH);
  assert.equal(table.check(7, 3, 5, 5, NOW_MS), ProducerCheck.OUT_OF_ORDER);
  assert.equal(table.check(7, 3, 0, 0, NOW_MS), ProducerCheck.NEW);
  put(table, 3, 0, 0, 5);
  assert.equal(table.check(7, 2, 5, 5, NOW_MS), ProducerCheck.INVALID_EPOCH);
  assert.equal(table.epochOf(7), 3);
});

Deno.test("sequences wrap from 2^31-1 to 0, also inside a batch", () => {
  const table = new ProducerTable();
  put(table, 0, MAX - 1, MAX, 0);
  assert.equal(table.check(7, 0, 0, 3, NOW_MS), ProducerCheck.NEW);
  assert.equal(lastSequenceOf(MAX - 1, 5), 2);
  const across = new ProducerTable();
  put(across, 0, MAX - 1, 2, 0);
  assert.equal(across.check(7, 0, 3, 3, NOW_MS), ProducerCheck.NEW);
  assert.equal(across.check(7, 0, MAX - 1, 2, NOW_MS), ProducerCheck.DUPLICATE);
});

Deno.test("truncation forgets exactly what was cut, commit makes it final", () => {
  const table = new ProducerTable();
  for (let i = 0; i < 7; i++) put(table, 0, i, i, i);
  table.commit(103);
  assert.equal(table.uncommittedCount, 3);
  table.truncate(104);
  assert.equal(table.check(7, 0, 5, 5, NOW_MS), ProducerCheck.NEW);
  assert.equal(table.check(7, 0, 4, 4, NOW_MS), ProducerCheck.DUPLICATE);
  // The evicted batches are back.
  assert.equal(table.check(7, 0, 0, 0, NOW_MS), ProducerCheck.DUPLICATE);
  table.truncate(0);
  assert.equal(table.check(7, 0, 4, 4, NOW_MS), ProducerCheck.NEW);
  assert.equal(table.check(7, 0, 3, 3, NOW_MS), ProducerCheck.DUPLICATE);
});

Deno.test("truncating a producer's first batch forgets the producer, a new epoch's the epoch", () => {
  const table = new ProducerTable();
  put(table, 4, 0, 0, 0);
  put(table, 5, 0, 0, 1);
  table.truncate(100);
  assert.equal(table.epochOf(7), 4);
  assert.equal(table.check(7, 4, 0, 0, NOW_MS), ProducerCheck.DUPLICATE);
  table.truncate(99);
  assert.equal(table.size, 0);
});

Deno.test("producers expire by when they were last heard of, those with an open transaction do not", () => {
  const table = new ProducerTable();
  // The records' timestamps are old, absent, or far ahead: they do not count.
  put(table, 0, 0, 0, 0);
  table.append(101, 8, 0, 0, 0, 1, -1, true, NOW_MS);
  table.append(102, 9, 0, 0, 0, 2, 1e15, false, NOW_MS);
  assert.equal(table.firstUnstable(), 1);
  assert.equal(table.expire(NOW_MS + 9999, 10_000), 0);
  assert.equal(table.expire(NOW_MS + 10_000, 10_000), 2);
  assert.equal(table.epochOf(7), -1);
  assert.equal(table.epochOf(9), -1);
  assert.equal(table.epochOf(8), 0);
  table.appendMarker(103, 8, 0, 103, 1000, 20_000, false, -1);
  table.commit(103);
  assert.equal(table.firstUnstable(), -1);
  assert.equal(table.expire(29_999, 10_000), 0);
  assert.equal(table.expire(30_000, 10_000), 1);
});

Deno.test("a producer that sends again is heard of; of whom nothing is known, time runs from the first look", () => {
  const table = new ProducerTable();
  put(table, 0, 0, 0, 0);
  assert.equal(table.check(7, 0, 0, 0, 90_000), ProducerCheck.DUPLICATE);
  assert.equal(table.expire(99_999, 10_000), 0);
  assert.equal(table.expire(100_000, 10_000), 1);
  put(table, 0, 0, 0, 1, 0);
  assert.equal(table.expire(1_000_000, 10_000), 0);
  assert.equal(table.expire(1_009_999, 10_000), 0);
  assert.equal(table.expire(1_010_000, 10_000), 1);
});

Deno.test("beyond a census's limit those are forgotten that were silent for the longest, of all tables", () => {
  const census = new ProducerCensus(1600);
  const tables = [new ProducerTable(census), new ProducerTable(census)];
  for (let id = 0; id < 1600; id++) {
    tables[id % 2]!.append(id, id, 0, 0, 0, id, 1, id === 3, 1_000_000 + id * 1000);
  }
  assert.equal(census.count, 1600);
  for (let id = 5000; id < 5100; id++) tables[0]!.append(id, id, 0, 0, 0, id, 1, false, 2e7 + id);
  assert.equal(census.count, 1600);
  assert.equal(census.forgotten, 100);
  // In an open transaction: not forgotten.
  assert.equal(tables[1]!.epochOf(3), 0);
  for (let id = 0; id < 101; id++) if (id !== 3) assert.equal(tables[id % 2]!.epochOf(id), -1);
  for (let id = 101; id < 1600; id++) assert.equal(tables[id % 2]!.epochOf(id), 0);
  tables[0]!.truncate(4999);
  assert.equal(census.count, 1500);
  for (const table of tables) table.clear();
  assert.equal(census.count, 0);
});

Deno.test("who is forgotten does not depend on how far apart the times are; those of whom it is not known go last", () => {
  // One of a clock that was wrong once, and one that a journal brought back.
  for (const odd of [4e12, 0]) {
    const census = new ProducerCensus(1600);
    const table = new ProducerTable(census);
    table.append(0, 9999, 0, 0, 0, 0, 1, false, odd);
    // The longest silent ones are those that came last.
    for (let id = 1; id < 1600; id++) table.append(id, id, 0, 0, 0, id, 1, false, 2e12 - id * 10);
    table.append(1600, 1600, 0, 0, 0, 1600, 1, false, 2e12);
    assert.equal(census.forgotten, 100);
    assert.equal(table.epochOf(9999), 0);
    for (let id = 1; id < 1500; id++) assert.equal(table.epochOf(id), 0, `${id}`);
    for (let id = 1500; id < 1600; id++) assert.equal(table.epochOf(id), -1, `${id}`);
  }
});

Deno.test("a producer heard of by a clock that was ahead is forgotten in its time", () => {
  const table = new ProducerTable();
  put(table, 0, 0, 0, 0, 4e12);
  assert.equal(table.expire(1_000_000, 10_000), 0);
  assert.equal(table.expire(1_010_000, 10_000), 1);
});

Deno.test("a census holds however many producers come, and none of them is asked for memory that went", () => {
  const census = new ProducerCensus(1000);
  const table = new ProducerTable(census);
  for (let id = 0; id < 200_000; id++) {
    table.append(id, id, 0, 0, 0, id, 1, false, 7000);
    table.commit(id);
    if (id >= 5) assert.equal(table.check(id, 0, 1, 1, 7000), ProducerCheck.NEW);
  }
  assert.equal(census.count, table.size);
  assert.ok(table.size <= 1000 && table.size > 900);
  assert.equal(table.check(199_999, 0, 0, 0, 7000), ProducerCheck.DUPLICATE);
  assert.equal(table.duplicateOffset, 199_999);
  table.expire(1e9, 1000);
  assert.equal(census.count, 0);
  assert.equal(table.encodedSize(), 12);
});

Deno.test("encoding keeps the table and what can still be undone", () => {
  const table = new ProducerTable();
  for (let i = 0; i < 9; i++) put(table, i < 4 ? 0 : 1, i < 4 ? i : i - 4, i < 4 ? i : i - 4, i);
  for (let id = 100; id < 140; id++) {
    table.append(200 + id, id, 3, 5, 9, id, 77, id % 2 === 0, NOW_MS);
  }
  table.commit(102);
  const bytes = new Uint8Array(table.encodedSize() + 8);
  assert.equal(table.encode(new DataView(bytes.buffer), 8), bytes.length);
  const copy = new ProducerTable();
  assert.equal(copy.decode(new DataView(bytes.buffer), 8), bytes.length);
  for (const each of [table, copy]) {
    assert.equal(each.size, 41);
    assert.equal(each.check(123, 3, 10, 10, NOW_MS), ProducerCheck.NEW);
    assert.equal(each.firstUnstable(), 100);
    each.truncate(103);
    assert.equal(each.size, 1);
    assert.equal(each.check(7, 0, 3, 3, NOW_MS), ProducerCheck.DUPLICATE);
    assert.equal(each.check(7, 0, 4, 4, NOW_MS), ProducerCheck.NEW);
  }
  assert.equal(copy.heardMsOf(7), NOW_MS);
  new DataView(bytes.buffer).setUint32(8, 99, true);
  assert.equal(copy.decode(new DataView(bytes.buffer), 8), -1);
});

Deno.test("a table of version 1 is read; when its producers were heard of is not known", () => {
  const bytes = new Uint8Array(12 + 28 + 24);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 1, true);
  view.setUint32(4, 1, true);
  view.setBigInt64(12, 42n, true);
  view.setInt16(20, 3, true);
  view.setUint16(22, 1, true);
  view.setBigInt64(24, 777n, true);
  view.setBigInt64(32, -1n, true);
  view.setInt32(40, 5, true);
  view.setInt32(44, 9, true);
  view.setBigInt64(48, 1000n, true);
  view.setBigInt64(56, 777n, true);
  const table = new ProducerTable();
  assert.equal(table.decode(view, 0), bytes.length);
  assert.equal(table.check(42, 3, 5, 9, 0), ProducerCheck.DUPLICATE);
  assert.equal(table.duplicateOffset, 1000);
  assert.equal(table.heardMsOf(42), 0);
});

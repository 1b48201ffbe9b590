import { strict as assert } from "node:assert";
import { lastSequenceOf, ProducerCheck, ProducerTable } from "./producer_table.ts";

const MAX = 0x7fff_ffff;

/** Appends sequences first..last of producer 7 at `offset`; the log index is the offset plus 100. */
function put(
  table: ProducerTable,
  epoch: number,
  first: number,
  last: number,
  offset: number,
): void {
  table.append(offset + 100, 7, epoch, first, last, offset, 1000 + offset, false);
}

Deno.test("an unknown producer may begin anywhere", () => {
  const table = new ProducerTable();
  assert.equal(table.check(7, 0, 0, 4), ProducerCheck.NEW);
  assert.equal(table.check(7, 3, 500, 504), ProducerCheck.NEW);
});

Deno.test("sequences follow each other, a gap is out of order", () => {
  const table = new ProducerTable();
  put(table, 0, 0, 4, 0);
  assert.equal(table.check(7, 0, 5, 9), ProducerCheck.NEW);
  assert.equal(table.check(7, 0, 6, 9), ProducerCheck.OUT_OF_ORDER);
  assert.equal(table.check(7, 0, 3, 4), ProducerCheck.OUT_OF_ORDER);
});

Deno.test("the last five batches are known as duplicates, with their offsets; older ones are not", () => {
  const table = new ProducerTable();
  for (let i = 0; i < 6; i++) put(table, 0, i * 10, i * 10 + 9, i * 10);
  for (let i = 1; i < 6; i++) {
    assert.equal(table.check(7, 0, i * 10, i * 10 + 9), ProducerCheck.DUPLICATE);
    assert.equal(table.duplicateOffset, i * 10);
    assert.equal(table.duplicateTimestampMs, 1000 + i * 10);
  }
  assert.equal(table.check(7, 0, 0, 9), ProducerCheck.OUT_OF_ORDER);
});

Deno.test("an older epoch is fenced, a newer one begins at zero", () => {
  const table = new ProducerTable();
  put(table, 2, 0, 4, 0);
  assert.equal(table.check(7, 1, 5, 5), ProducerCheck.INVALID_EPOCH);
  assert.equal(table.check(7, 3, 5, 5), ProducerCheck.OUT_OF_ORDER);
  assert.equal(table.check(7, 3, 0, 0), ProducerCheck.NEW);
  put(table, 3, 0, 0, 5);
  assert.equal(table.check(7, 2, 5, 5), ProducerCheck.INVALID_EPOCH);
  assert.equal(table.epochOf(7), 3);
});

Deno.test("sequences wrap from 2^31-1 to 0, also inside a batch", () => {
  const table = new ProducerTable();
  put(table, 0, MAX - 1, MAX, 0);
  assert.equal(table.check(7, 0, 0, 3), ProducerCheck.NEW);
  assert.equal(lastSequenceOf(MAX - 1, 5), 2);
  const across = new ProducerTable();
  put(across, 0, MAX - 1, 2, 0);
  assert.equal(across.check(7, 0, 3, 3), ProducerCheck.NEW);
  assert.equal(across.check(7, 0, MAX - 1, 2), ProducerCheck.DUPLICATE);
});

Deno.test("truncation forgets exactly what was cut, commit makes it final", () => {
  const table = new ProducerTable();
  for (let i = 0; i < 7; i++) put(table, 0, i, i, i);
  table.commit(103);
  assert.equal(table.uncommittedCount, 3);
  table.truncate(104);
  assert.equal(table.check(7, 0, 5, 5), ProducerCheck.NEW);
  assert.equal(table.check(7, 0, 4, 4), ProducerCheck.DUPLICATE);
  // The evicted batches are back.
  assert.equal(table.check(7, 0, 0, 0), ProducerCheck.DUPLICATE);
  table.truncate(0);
  assert.equal(table.check(7, 0, 4, 4), ProducerCheck.NEW);
  assert.equal(table.check(7, 0, 3, 3), ProducerCheck.DUPLICATE);
});

Deno.test("truncating a producer's first batch forgets the producer, a new epoch's the epoch", () => {
  const table = new ProducerTable();
  put(table, 4, 0, 0, 0);
  put(table, 5, 0, 0, 1);
  table.truncate(100);
  assert.equal(table.epochOf(7), 4);
  assert.equal(table.check(7, 4, 0, 0), ProducerCheck.DUPLICATE);
  table.truncate(99);
  assert.equal(table.size, 0);
});

Deno.test("silent producers expire, those with an open transaction do not", () => {
  const table = new ProducerTable();
  put(table, 0, 0, 0, 0);
  table.append(101, 8, 0, 0, 0, 1, 1000, true);
  assert.equal(table.firstOpenTransaction(), 1);
  assert.equal(table.expire(5000, 10_000), 0);
  assert.equal(table.expire(20_000, 10_000), 1);
  assert.equal(table.epochOf(7), -1);
  assert.equal(table.epochOf(8), 0);
  table.appendMarker(102, 8, 0, 1000);
  assert.equal(table.firstOpenTransaction(), -1);
  assert.equal(table.expire(20_000, 10_000), 1);
});

Deno.test("encoding keeps the table and what can still be undone", () => {
  const table = new ProducerTable();
  for (let i = 0; i < 9; i++) put(table, i < 4 ? 0 : 1, i < 4 ? i : i - 4, i < 4 ? i : i - 4, i);
  for (let id = 100; id < 140; id++) table.append(200 + id, id, 3, 5, 9, id, 77, id % 2 === 0);
  table.commit(102);
  const bytes = new Uint8Array(table.encodedSize() + 8);
  assert.equal(table.encode(new DataView(bytes.buffer), 8), bytes.length);
  const copy = new ProducerTable();
  assert.equal(copy.decode(new DataView(bytes.buffer), 8), bytes.length);
  for (const each of [table, copy]) {
    assert.equal(each.size, 41);
    assert.equal(each.check(123, 3, 10, 10), ProducerCheck.NEW);
    assert.equal(each.firstOpenTransaction(), 100);
    each.truncate(103);
    assert.equal(each.size, 1);
    assert.equal(each.check(7, 0, 3, 3), ProducerCheck.DUPLICATE);
    assert.equal(each.check(7, 0, 4, 4), ProducerCheck.NEW);
  }
  new DataView(bytes.buffer).setUint32(8, 99, true);
  assert.equal(copy.decode(new DataView(bytes.buffer), 8), -1);
});

import { strict as assert } from "node:assert";
import { committedProducers, fittedProducers, isProducerTable } from "./producer_snapshot.ts";
import { ProducerCheck, ProducerTable } from "./producer_table.ts";

const NOW_MS = 1_000_000;

/** Producers 1 to `count`, each heard of later than the one before, with one batch of two records at offset 10 times its id. */
function tableOf(count: number): ProducerTable {
  const table = new ProducerTable();
  for (let id = 1; id <= count; id++) {
    table.append(10 * id + 1, id, 0, 0, 1, 10 * id, NOW_MS, false, NOW_MS + id);
  }
  return table;
}

function decoded(bytes: Uint8Array<ArrayBuffer>): ProducerTable {
  const table = new ProducerTable();
  assert.equal(table.decode(new DataView(bytes.buffer), 0), bytes.length);
  return table;
}

Deno.test("a snapshot holds what is committed, and leaves the table as it is", () => {
  const table = tableOf(5);
  table.commit(31);
  const copy = decoded(committedProducers(table, 10_000));
  assert.equal(copy.size, 3);
  assert.equal(copy.uncommittedCount, 0);
  assert.equal(copy.check(3, 0, 0, 1, NOW_MS), ProducerCheck.DUPLICATE);
  assert.equal(copy.check(4, 0, 0, 1, NOW_MS), ProducerCheck.NEW);
  assert.equal(table.size, 5);
  assert.equal(table.uncommittedCount, 2);
});

Deno.test("of more producers than fit, those that were heard of last are there", () => {
  const table = tableOf(500);
  table.commit(Infinity);
  const bytes = committedProducers(table, 6_000);
  assert.ok(bytes.length <= 6_000 && bytes.length > 5_000, `${bytes.length} bytes`);
  const kept = [...decoded(bytes).summaries()].map(({ producerId }) => producerId);
  assert.deepEqual(kept.sort((a, b) => a - b), Array.from(kept, (_, i) => 501 - kept.length + i));
  assert.ok(decoded(fittedProducers(bytes, 1_000)).size < kept.length);
});

Deno.test("no producers are no bytes, and other bytes are not believed", () => {
  assert.equal(committedProducers(new ProducerTable(), 100).length, 0);
  const bytes = committedProducers(tableOf(0), 100);
  assert.equal(bytes.length, 0);
  const table = tableOf(3);
  table.commit(Infinity);
  const good = committedProducers(table, 1_000);
  assert.ok(isProducerTable(good));
  assert.ok(!isProducerTable(good.slice(0, -1)));
  assert.ok(!isProducerTable(new Uint8Array([...good, 0])));
});

Deno.test("a table that is ahead of the records which follow it ends as if it had seen them once", () => {
  const table = new ProducerTable();
  const straight = new ProducerTable();
  for (let batch = 0; batch < 12; batch++) {
    const args = [batch + 1, 7, 1, batch, batch, batch, NOW_MS, false, NOW_MS] as const;
    straight.append(...args);
    if (batch < 9) table.append(...args);
  }
  table.commit(Infinity);
  const ahead = decoded(committedProducers(table, 1_000));
  for (let batch = 3; batch < 12; batch++) {
    ahead.append(batch + 1, 7, 1, batch, batch, batch, NOW_MS, false, NOW_MS);
  }
  assert.equal(ahead.uncommittedCount, 3);
  for (let batch = 7; batch < 12; batch++) {
    assert.equal(ahead.check(7, 1, batch, batch, NOW_MS), ProducerCheck.DUPLICATE);
    assert.equal(ahead.duplicateOffset, batch);
  }
  assert.equal(ahead.check(7, 1, 6, 6, NOW_MS), straight.check(7, 1, 6, 6, NOW_MS));
  // What came after the snapshot can still be cut off.
  ahead.truncate(10);
  assert.equal(ahead.check(7, 1, 10, 10, NOW_MS), ProducerCheck.NEW);
});

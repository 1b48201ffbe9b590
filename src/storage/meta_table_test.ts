import { strict as assert } from "node:assert";
import { type EpochEnd, MetaKind } from "./log.ts";
import { MetaTable } from "./meta_table.ts";

const NO_PAYLOAD = new Uint8Array(0);

/** Terms 1 (offsets 0 to 9), 3 (10 to 14, a configuration at 12), 4 (15 to 19). */
function sample(): MetaTable {
  const table = new MetaTable();
  table.push({ kind: MetaKind.NO_OP, index: 1, term: 1, offset: 0, payload: NO_PAYLOAD });
  table.push({ kind: MetaKind.NO_OP, index: 12, term: 3, offset: 10, payload: NO_PAYLOAD });
  table.push({ kind: MetaKind.CONFIGURATION, index: 15, term: 3, offset: 12, payload: NO_PAYLOAD });
  table.push({ kind: MetaKind.NO_OP, index: 19, term: 4, offset: 15, payload: NO_PAYLOAD });
  return table;
}

function epochEnd(table: MetaTable, term: number): [number, number] {
  const result: EpochEnd = { term: 0, endOffset: 0 };
  table.endOffsetForEpoch(term, 4, 20, result);
  return [result.term, result.endOffset];
}

Deno.test("indexes and offsets map onto each other around meta entries", () => {
  const table = sample();
  for (let offset = 0; offset < 20; offset++) {
    const index = table.indexAt(offset);
    assert.equal(
      index,
      offset + 2 + (offset >= 10 ? 1 : 0) + (offset >= 12 ? 1 : 0) + (offset >= 15 ? 1 : 0),
    );
    assert.equal(table.offsetAt(index), offset);
    assert.equal(table.termAt(index), offset < 10 ? 1 : offset < 15 ? 3 : 4);
  }
  assert.equal(table.offsetAt(15), 12);
  assert.equal(table.from(13)!.index, 15);
  assert.equal(table.from(20), null);
  assert.equal(table.last(MetaKind.CONFIGURATION, 14), null);
  assert.equal(table.last(MetaKind.NO_OP, 14)!.index, 12);
});

Deno.test("endOffsetForEpoch() follows KIP-320", () => {
  const table = sample();
  assert.deepEqual(epochEnd(table, 4), [4, 20]);
  assert.deepEqual(epochEnd(table, 3), [3, 15]);
  assert.deepEqual(epochEnd(table, 2), [1, 10]);
  assert.deepEqual(epochEnd(table, 1), [1, 10]);
  assert.deepEqual(epochEnd(table, 5), [-1, -1]);
  assert.deepEqual(epochEnd(table, 0), [0, 0]);
  assert.deepEqual(epochEnd(table, -1), [-1, -1]);
});

Deno.test("a trim keeps the arithmetic, the term and the last entry of each kind", () => {
  const table = sample();
  const startIndex = table.indexAt(13) - 1;
  table.trim(startIndex, table.termAt(startIndex), 13);
  assert.deepEqual(table.entries.map((entry) => entry.index), [12, 15, 19]);
  for (let offset = 13; offset < 20; offset++) {
    assert.equal(table.offsetAt(table.indexAt(offset)), offset);
    assert.equal(table.termAt(table.indexAt(offset)), offset < 15 ? 3 : 4);
  }
  assert.equal(table.termAt(startIndex), 3);
  assert.equal(table.termAt(startIndex - 1), -1);
  assert.deepEqual(epochEnd(table, 3), [3, 15]);
  assert.deepEqual(epochEnd(table, 2), [2, 13]);
});

Deno.test("a truncation forgets entries beyond it", () => {
  const table = sample();
  table.truncate(15);
  assert.equal(table.entries.length, 3);
  assert.equal(table.indexAt(13), 17);
});

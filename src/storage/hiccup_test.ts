import { strict as assert } from "node:assert";
import { EDQUOT } from "../io/errno.ts";
import { DISK_OPERATIONS, failOnce, PASSING_ERRNOS } from "../io/test_patience.ts";
import { LOG_BUSY, LOG_NO_SPACE, MetaKind } from "./log.ts";
import type { PartitionLog } from "./partition_log.ts";
import { writeSampleBatch } from "../../tests/sim/sample_batch.ts";
import { TEST_LIMITS, TestNode } from "../../tests/sim/storage_node.ts";

function append(node: TestNode, log: PartitionLog, valueBytes: number): number {
  const { memory, crc32c } = node;
  const batch = { recordCount: 2, valueBytes, fill: 7, timestampMs: 5000 + log.endOffset };
  const size = writeSampleBatch(memory, crc32c, 0, batch);
  let offset: number = LOG_BUSY;
  for (let i = 0; offset === LOG_BUSY && i < 60; i++) {
    offset = log.append(0, size, log.lastTerm, node.nowMs);
    if (offset === LOG_BUSY) node.settle();
  }
  return offset;
}

function makeLog(node: TestNode, groupId: number): PartitionLog {
  const log = node.engines[0]!.createLog({
    groupId,
    incarnation: 1,
    name: `orders-${groupId}`,
    segmentLimits: TEST_LIMITS,
    listener: null,
  });
  log.appendMeta(MetaKind.NO_OP, 1, new Uint8Array(0));
  return log;
}

/** A life with every kind of operation in it: creation, rolls, cold reads, a trim, a checkpoint, a deletion. */
function live(node: TestNode): void {
  const engine = node.engines[0]!;
  const log = makeLog(node, 1);
  const other = makeLog(node, 2);
  for (let i = 0; i < 40; i++) assert.ok(append(node, log, 3000) >= 0);
  // One that goes straight to its segment.
  assert.ok(append(node, other, 100_000) >= 0);
  node.settle();
  engine.checkpoint();
  node.settle();
  assert.notEqual(node.readAll(log, 0), null);
  log.setCommitted(log.lastIndex);
  assert.equal(log.trimPrefix(40), 0);
  assert.equal(node.finish(engine.deleteLog(2)), 0);
  for (let i = 0; i < 4; i++) node.settle();
}

for (const operation of DISK_OPERATIONS) {
  Deno.test(`hiccups of "${operation}" damage nothing and end nothing`, () => {
    let met = 0;
    for (const [i, errno] of PASSING_ERRNOS.entries()) {
      const node = new TestNode({ seed: 40 + i });
      const arm = (nth: number): void => failOnce(node.disk, operation, errno, nth);
      for (let nth = 1; nth < 30; nth += 2) arm(nth);
      assert.equal(node.mount(1), true);
      live(node);
      node.crash();
      for (let nth = 1; nth < 30; nth += 2) arm(nth);
      assert.equal(node.mount(1), true);
      const log = node.log(1) as PartitionLog;
      assert.equal(log.endOffset, 80);
      assert.notEqual(node.readAll(log, 40), null);
      assert.equal(append(node, log, 10), 80);
      met += node.patience.hiccups.length;
      assert.deepEqual(node.damages, [], `errno ${errno}`);
      assert.deepEqual(node.fatals, [], `errno ${errno}`);
      assert.equal(log.suspect, false);
    }
    assert.ok(met > 0 || operation === "rename" || operation === "removeDirectory");
  });
}

Deno.test("a full quota refuses appends as a full disk does, until there is room again", () => {
  const node = new TestNode({ seed: 60 });
  assert.equal(node.mount(1), true);
  const log = makeLog(node, 1);
  assert.ok(append(node, log, 100) >= 0);
  const end = log.endOffset;
  for (let nth = 1; nth <= 60; nth++) {
    failOnce(node.disk, "allocate", EDQUOT, nth);
  }
  let offset = 0;
  for (let i = 0; i < 60 && offset >= 0; i++) offset = append(node, log, 3000);
  assert.equal(offset, LOG_NO_SPACE);
  for (let i = 0; i < 400 && offset < 0; i++) {
    node.settle();
    offset = append(node, log, 3000);
  }
  assert.ok(offset > end);
  assert.deepEqual([...node.damages, ...node.fatals], []);
});

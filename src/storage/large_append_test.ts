import { strict as assert } from "node:assert";
import { MemoryDisk } from "../io/memory_disk.ts";
import { writeSampleBatch } from "../../tests/sim/sample_batch.ts";
import { TEST_LIMITS, TestNode } from "../../tests/sim/storage_node.ts";
import { LOG_BUSY, LOG_NO_SPACE, MetaKind } from "./log.ts";
import type { PartitionLog } from "./partition_log.ts";

const NO_PAYLOAD = new Uint8Array(0);
const LARGE = 150_000;

function mounted(seed: number, capacityBytes?: number): { node: TestNode; log: PartitionLog } {
  const node = new TestNode({
    seed,
    ...(capacityBytes === undefined ? {} : { disk: { capacityBytes } }),
  });
  assert.equal(node.mount(1), true);
  return { node, log: makeLog(node, 1) };
}

function makeLog(node: TestNode, groupId: number): PartitionLog {
  const log = node.engines[0]!.createLog({
    groupId,
    incarnation: 1,
    name: "orders-0",
    segmentLimits: { ...TEST_LIMITS, segmentBytes: 1024 * 1024 },
    listener: null,
  });
  log.appendMeta(MetaKind.NO_OP, 1, NO_PAYLOAD);
  return log;
}

function put(node: TestNode, log: PartitionLog, valueBytes: number): number {
  const batch = { recordCount: 1, valueBytes, fill: log.endOffset + 1, timestampMs: 9 };
  const size = writeSampleBatch(node.memory, node.crc32c, 0, batch);
  return log.append(0, size, log.lastTerm, node.nowMs);
}

/** Appends, waiting for room as long as it takes (or until the disk crashes). */
function append(node: TestNode, log: PartitionLog, valueBytes: number): number {
  for (let i = 0; i < 30 && !node.disk.crashed; i++) {
    const offset = put(node, log, valueBytes);
    if (offset !== LOG_BUSY) return offset;
    node.settle();
  }
  return LOG_BUSY;
}

Deno.test("a large batch is not journaled, read back at once and after a crash", () => {
  const { node, log } = mounted(1);
  assert.ok(LARGE > node.engines[0]!.largeBytesMin);
  assert.equal(append(node, log, 500), 0);
  node.settle();
  const before = node.engines[0]!.stats().journalUsedBytes;
  assert.equal(append(node, log, LARGE), 1);
  assert.equal(append(node, log, 700), 2);
  node.settle();
  const journaled = node.engines[0]!.stats().journalUsedBytes - before;
  assert.ok(journaled < 32_768, `${journaled} bytes of journal`);
  assert.equal(log.durableEndOffset, 3);
  const bytes = node.readAll(log, 0)!;
  assert.ok(bytes.length > LARGE + 1200);
  node.crash();
  assert.equal(node.mount(2), true);
  assert.deepEqual(node.report!.damages, []);
  assert.deepEqual(node.readAll(node.log(1)!, 0), bytes);
});

Deno.test("after a large batch its log waits, other logs and votes do not", () => {
  const { node, log } = mounted(2);
  const other = makeLog(node, 2);
  append(node, log, 100);
  append(node, other, 100);
  // What a large batch needs is prepared by a first one.
  append(node, log, LARGE);
  node.settle();
  const end = log.endOffset;
  assert.equal(append(node, log, LARGE), end);
  assert.equal(log.endOffset, end + 1);
  assert.equal(put(node, log, 10), LOG_BUSY);
  assert.equal(log.appendMeta(MetaKind.NO_OP, 2, NO_PAYLOAD), LOG_BUSY);
  assert.equal(log.busy, true);
  assert.equal(other.busy, false);
  assert.ok(put(node, other, 10) >= 0);
  assert.ok(log.setHardState(1, 2) > 0);
  while (log.durableHardVersion < log.hardVersion) {
    assert.equal(log.durableEndOffset, end);
    node.turn();
    node.disk.step();
  }
  // Until its record is durable, nothing of it is.
  while (log.large !== null) {
    assert.equal(log.durableEndOffset, end);
    node.turn();
    node.disk.step();
  }
  assert.equal(log.durableEndOffset, end + 1);
});

Deno.test("a cut, a reset and a checkpoint meet a large batch on its way", () => {
  const { node, log } = mounted(3);
  append(node, log, 3000);
  append(node, log, LARGE);
  node.settle();
  const kept = node.readAll(log, 0)!;
  const last = log.lastIndex;
  append(node, log, LARGE);
  assert.notEqual(log.large, null);
  node.engines[0]!.checkpoint();
  assert.equal(node.finish(log.truncate(last)), 0);
  assert.equal(log.endOffset, 2);
  assert.equal(append(node, log, 900), 2);
  node.settle();
  const bytes = node.readAll(log, 0)!;
  assert.deepEqual(bytes.slice(0, kept.length), kept);
  node.crash();
  assert.equal(node.mount(1), true);
  const again = node.log(1)! as PartitionLog;
  assert.deepEqual(node.readAll(again, 0), bytes);
  append(node, again, LARGE);
  assert.notEqual(again.large, null);
  const point = { index: 40, term: 3, offset: 30, metas: [], producers: null };
  assert.equal(node.finish(again.reset(point)), 0);
  assert.equal(again.endOffset, 30);
  append(node, again, LARGE);
  assert.equal(node.finish(node.engines[0]!.deleteLog(1)), 0);
  node.settle();
  node.crash();
  assert.equal(node.mount(1), true);
  assert.equal(node.log(1), undefined);
  assert.deepEqual(node.report!.damages, []);
});

Deno.test("a full disk refuses a large batch before anything is written", () => {
  const { node, log } = mounted(4, 700 * 1024);
  let offset = 0;
  for (let i = 0; i < 20 && offset >= 0; i++) offset = append(node, log, LARGE);
  assert.equal(offset, LOG_NO_SPACE);
  node.settle();
  assert.deepEqual(node.fatals, []);
  assert.equal(log.durableEndOffset, log.endOffset);
});

Deno.test("a failed write of a large batch is fatal, and it never becomes durable", () => {
  const { node, log } = mounted(5);
  append(node, log, LARGE);
  node.settle();
  const path = log.segmentList[0]!.file.path;
  node.disk.inject({ operation: "write", nth: 1, path, fault: { kind: "error", errno: 5 } });
  append(node, log, LARGE);
  node.settle();
  assert.equal(node.fatals.length, 1);
  assert.equal(log.durableEndOffset, 1);
});

Deno.test("a flipped bit in a large batch is damage, also when nothing was journaled after it", () => {
  for (const sealed of [true, false]) {
    const { node, log } = mounted(6);
    append(node, log, 3000);
    // The preparation for it fails the first time; nothing after it is settled.
    while (put(node, log, LARGE) === LOG_BUSY) node.settle();
    while (log.large !== null) {
      node.turn();
      node.disk.step();
    }
    assert.equal(log.durableEndOffset, 2);
    if (sealed) node.settle();
    const path = log.segmentList[0]!.file.path;
    node.crash();
    node.disk.flipBit(path, 90_000, 3);
    assert.equal(node.mount(1), true);
    assert.equal(node.report!.damages.length, 1);
    assert.match(node.report!.damages[0]!.lost, /Large batch/);
    assert.deepEqual(node.report!.suspectGroups, [1]);
    assert.equal(node.log(1)!.endOffset, 2);
  }
});

Deno.test("a crash at every operation around a large batch keeps what was durable", () => {
  const work = (node: TestNode, log: PartitionLog): void => {
    append(node, log, 900);
    append(node, log, LARGE);
    append(node, log, 700);
    if (!node.disk.crashed) node.engines[0]!.checkpoint();
    append(node, log, LARGE);
    append(node, log, 10);
    node.settle();
  };
  const whole = mounted(7);
  const before = whole.node.disk.operations;
  work(whole.node, whole.log);
  const operations = whole.node.disk.operations - before;
  assert.ok(operations > 20, `only ${operations} operations`);
  assert.equal(whole.log.durableEndOffset, 5);
  const wanted = whole.node.readAll(whole.log, 0)!;
  for (let crashAt = 0; crashAt < operations; crashAt++) {
    const { node, log } = mounted(7);
    node.disk.crashAfterOps(crashAt);
    work(node, log);
    const durable = log.durableEndOffset;
    node.crash();
    assert.equal(node.mount(1), true, `crash at ${crashAt}`);
    assert.deepEqual(node.report!.damages, [], `crash at ${crashAt}`);
    const again = node.log(1);
    const end = again?.endOffset ?? 0;
    assert.ok(end >= durable, `crash at ${crashAt}: durable records lost`);
    if (again === undefined) continue;
    const bytes = node.readAll(again, 0)!;
    assert.deepEqual(bytes, wanted.slice(0, bytes.length), `crash at ${crashAt}`);
  }
  assert.ok(whole.node.disk instanceof MemoryDisk);
});

Deno.test("requests larger than every budget are let in when nothing else is under way", () => {
  const { node } = mounted(8);
  node.settle();
  assert.equal(node.engines[0]!.canAppend(1e9), true);
});

Deno.test("a stop ends while the ring is full and a large batch waits to be recorded", () => {
  let full = 0;
  for (let seed = 1; seed <= 20; seed++) {
    const { node, log } = mounted(seed);
    const other = makeLog(node, 2);
    append(node, log, LARGE);
    append(node, other, 100);
    node.settle();
    const engine = node.engines[0]!;
    let isFull = false;
    for (let i = 0; i < 3000 && !isFull; i++) {
      if (log.large === null) put(node, log, LARGE);
      while (put(node, other, 3000) >= 0);
      // What frees a full disk has more room, and so has the large batch's record.
      while (other.appendMeta(MetaKind.NO_OP, 1, NO_PAYLOAD) >= 0);
      node.turn();
      node.disk.step();
      isFull = log.unrecorded !== null && !engine.journal.hasFreeingRoom(2 * 4096);
    }
    if (isFull) full++;
    const end = log.endOffset;
    assert.equal(node.finish(engine.stop()), 0, `seed ${seed}`);
    assert.deepEqual(node.fatals, []);
    node.crash();
    assert.equal(node.mount(1), true);
    assert.equal(node.report!.replayedRecords, 0);
    assert.equal(node.log(1)!.endOffset, end);
  }
  assert.ok(full > 10, `${full}`);
});

Deno.test("a large batch is found again when an entry without a batch came before it in a prepared segment", () => {
  const { node, log } = mounted(30);
  // The segment is prepared, and then there is no memory for the batch.
  node.settle();
  assert.equal(put(node, log, LARGE), LOG_BUSY);
  node.settle();
  const { arena } = node.engines[0]!.context;
  const taken: number[] = [];
  for (let at = arena.allocate(262_144); at >= 0; at = arena.allocate(262_144)) taken.push(at);
  assert.equal(put(node, log, LARGE), LOG_BUSY);
  for (const at of taken) arena.release(at);
  assert.equal(log.appendMeta(MetaKind.CONFIGURATION, 1, NO_PAYLOAD), 2);
  assert.equal(append(node, log, LARGE), 0);
  node.settle();
  assert.equal(log.durableEndOffset, 1);
  const bytes = node.readAll(log, 0)!;
  node.crash();
  assert.equal(node.mount(1), true);
  assert.deepEqual(node.report!.damages, []);
  assert.deepEqual(node.readAll(node.log(1)!, 0), bytes);
});

/**
 * What must be durable before what, brought about step by step: power cuts at each operation, on a disk that leaves
 * garbage in the blocks that were being written.
 */

import { strict as assert } from "node:assert";
import { runTask } from "../io/task.ts";
import { writeSampleBatch } from "../../tests/sim/sample_batch.ts";
import { TEST_LIMITS, TestNode } from "../../tests/sim/storage_node.ts";
import { LOG_FAILED, MetaKind } from "./log.ts";
import type { PartitionLog } from "./partition_log.ts";

const SEEDS = 8;
/** Power cuts at each of so many operations. */
const CUTS = 8;
/** Each block that was not synced is torn in one of three. */
const SEEDS_TORN = 24;
const STEPS_MAX = 1000;
const LARGE_BYTES = 150_000;

function mounted(seed: number): { node: TestNode; log: PartitionLog } {
  const node = new TestNode({ seed, disk: { roughness: { wholeBlocks: true } } });
  assert.equal(node.mount(1), true);
  const log = node.engines[0]!.createLog({
    groupId: 1,
    incarnation: 1,
    name: "orders-0",
    segmentLimits: { ...TEST_LIMITS, segmentBytes: 2 ** 20 },
    listener: null,
  });
  log.appendMeta(MetaKind.NO_OP, 1, new Uint8Array(0));
  node.settle();
  return { node, log };
}

function put(node: TestNode, log: PartitionLog, valueBytes: number): void {
  const { memory, crc32c } = node;
  const batch = { recordCount: 1, valueBytes, fill: log.endOffset, timestampMs: 9 };
  const size = writeSampleBatch(memory, crc32c, 0, batch);
  for (let i = 0; i < 40 && !node.disk.crashed; i++) {
    if (log.append(0, size, log.lastTerm, node.nowMs) >= 0) return;
    node.settle();
  }
}

/** Appends until an extent is closed: it is written up to its last whole block, and begins in the block of what was before. */
function putExtent(node: TestNode, log: PartitionLog): void {
  while (log.segmentList[0]!.dirtyHead === null) put(node, log, 4500);
  node.settle();
}

/** Two checkpoints: the journal behind them holds nothing of the logs any more. */
function release(node: TestNode): void {
  for (let i = 0; i < 2; i++) {
    node.engines[0]!.checkpoint();
    node.settle();
  }
}

/** Has a power cut and a start, which must find nothing wrong; the log, if it is there, gives these bytes first. */
function restarted(node: TestNode, kept: Uint8Array, about: string): PartitionLog | undefined {
  node.crash();
  assert.equal(node.mount(1), true, about);
  assert.deepEqual(node.report!.damages, [], about);
  const log = node.log(1) as PartitionLog | undefined;
  if (log === undefined) return undefined;
  assert.equal(log.suspect, false, about);
  const bytes = node.readAll(log, 0);
  assert.ok(bytes !== null, `${about}: unreadable`);
  assert.deepEqual(bytes.subarray(0, kept.length), kept, about);
  return log;
}

function forEachCut(test: (seed: number, cut: number, about: string) => void): void {
  for (let seed = 1; seed <= SEEDS; seed++) {
    for (let cut = 0; cut < CUTS; cut++) test(seed, cut, `seed ${seed}, cut ${cut}`);
  }
}

Deno.test("a deletion leaves the log as it was, or takes all of it", () => {
  let gone = 0;
  forEachCut((seed, cut, about) => {
    const { node, log } = mounted(seed);
    for (let i = 0; i < 3; i++) put(node, log, 2000);
    node.settle();
    release(node);
    const kept = node.readAll(log, 0)!;
    node.disk.crashAfterOps(cut);
    runTask(node.engines[0]!.deleteLog(1), () => {});
    node.settle();
    if (restarted(node, kept, about) === undefined) gone++;
  });
  assert.ok(gone > 0 && gone < SEEDS * CUTS, `${gone} were gone`);
});

Deno.test("what was durable before a cut is not told of behind it", () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { node, log } = mounted(seed);
    put(node, log, 700);
    node.settle();
    const index = log.lastIndex;
    for (let i = 0; i < 3; i++) put(node, log, 700);
    node.turn();
    runTask(log.truncate(index), () => {});
    assert.equal(log.endOffset, 1, "the cut comes before the write of what it cuts is done");
    for (let i = 0; i < 40; i++) {
      if (!node.disk.step()) node.turn();
      assert.ok(log.durableEndOffset <= log.endOffset && log.durableIndex <= log.lastIndex);
    }
    assert.equal(log.durableEndOffset, 1);
  }
});

Deno.test("a replayed cut first writes what it cuts, which mends the block before it", () => {
  for (let seed = 1; seed <= SEEDS_TORN; seed++) {
    const { node, log } = mounted(seed);
    put(node, log, 600);
    node.settle();
    release(node);
    const kept = node.readAll(log, 0)!;
    const index = log.lastIndex;
    putExtent(node, log);
    runTask(log.truncate(index), () => {});
    node.settle();
    assert.equal(log.lastIndex, index);
    restarted(node, kept, `seed ${seed}`);
  }
});

Deno.test("a cut does not write again what was written: a checkpoint may have taken the records", () => {
  for (let seed = 1; seed <= SEEDS_TORN; seed++) {
    const { node, log } = mounted(seed);
    put(node, log, 600);
    node.settle();
    release(node);
    putExtent(node, log);
    const engine = node.engines[0]!;
    const index = log.indexAt(1);
    engine.checkpoint();
    runTask(log.truncate(index), () => {});
    for (let i = 0; i < STEPS_MAX && engine.checkpointing; i++) if (!node.disk.step()) node.turn();
    assert.equal(engine.checkpointing, false);
    node.turn();
    node.disk.run();
    const kept = node.readAll(log, 0)!;
    assert.ok(kept.length > 5000, "the cut leaves a part of the extent");
    restarted(node, kept, `seed ${seed}`);
  }
});

Deno.test("a torn block behind a large batch is mended from the record that shares it", () => {
  forEachCut((seed, cut, about) => {
    const { node, log } = mounted(seed);
    put(node, log, LARGE_BYTES);
    node.settle();
    const kept = node.readAll(log, 0)!;
    assert.ok(kept.length > LARGE_BYTES);
    put(node, log, 600);
    node.settle();
    // Has the tail written out, padded.
    node.engines[0]!.checkpoint();
    node.disk.crashAfterOps(cut);
    node.settle();
    restarted(node, kept, about);
  });
});

Deno.test("a checkpoint is not there before the write that it begins behind", () => {
  const { node, log } = mounted(1);
  put(node, log, 600);
  node.turn();
  node.disk.run();
  const kept = node.readAll(log, 0)!;
  const { disk } = node;
  const { journal } = node.engines[0]!.journal;
  assert.equal(journal.durableLsn, journal.nextLsn - 1);
  // The SEAL, which comes next, is not carried out before the power cut.
  const carryOut = disk.writeSealed.bind(disk);
  let isHeld = false;
  disk.writeSealed = (...args) => {
    if (isHeld) carryOut(...args);
    isHeld = true;
  };
  while (!isHeld) node.turn();
  node.engines[0]!.checkpoint();
  node.settle();
  assert.ok(journal.durableLsn < journal.nextLsn - 1);
  restarted(node, kept, "without the SEAL");
});

Deno.test("a segment's write does not go beside a journal write that begins, and waits for one turn at most", () => {
  const { node, log } = mounted(1);
  const { disk } = node;
  let writes = 0;
  const write = disk.write.bind(disk);
  disk.write = (handle, position, address, length, durable, done) => {
    if (!durable) writes++;
    write(handle, position, address, length, durable, done);
  };
  const { journal } = node.engines[0]!.journal;
  let waits = false;
  let written = 0;
  // Every turn begins a journal write, as under a load that never pauses.
  for (let i = 0; i < 200; i++) {
    put(node, log, 2000);
    writes = 0;
    const { nextLsn } = journal;
    node.turn();
    waits = journal.nextLsn > nextLsn && !waits;
    if (waits) assert.equal(writes, 0, `turn ${i}`);
    written += writes;
    disk.run();
  }
  assert.ok(written > 5, `${written} writes in 200 turns`);
});

Deno.test("a log that is deleted while it is reset, or cut, records nothing behind its deletion", () => {
  const point = { index: 40, term: 3, offset: 30, metas: [], producers: null };
  for (const kind of ["reset", "cut"]) {
    const { node, log } = mounted(7);
    for (let i = 0; i < 30; i++) put(node, log, 2000);
    node.settle();
    const index = log.lastIndex - 3;
    for (let i = 0; i < 30; i++) put(node, log, 2000);
    node.engines[0]!.checkpoint();
    for (let i = 0; i < 200 && !log.segmentList.some(isWriting); i++) {
      if (!node.disk.step()) node.turn();
    }
    assert.ok(log.segmentList.some(isWriting));
    let result = 0;
    const task = kind === "reset" ? log.reset(point) : log.truncate(index);
    runTask(task, (done) => result = done);
    assert.equal(node.finish(node.engines[0]!.deleteLog(1)), 0);
    node.settle();
    node.crash();
    assert.equal(node.mount(1), true);
    assert.equal(node.log(1), undefined, kind);
    assert.equal(result, LOG_FAILED, kind);
  }
});

function isWriting({ writesInFlight }: { readonly writesInFlight: number }): boolean {
  return writesInFlight > 0;
}

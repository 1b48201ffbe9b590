import { strict as assert } from "node:assert";
import { BLOCK_SIZE } from "../io/disk.ts";
import { EIO } from "../io/errno.ts";
import { runTask } from "../io/task.ts";
import { MetaKind, ReadError } from "./log.ts";
import { LogRead } from "./log_read.ts";
import type { PartitionLog } from "./partition_log.ts";
import { type RecordSource, Refilled } from "./refill.ts";
import { writeSampleBatch } from "../../tests/sim/sample_batch.ts";
import { TEST_LIMITS, TestNode } from "../../tests/sim/storage_node.ts";

const GROUP = 1;
const BATCHES = 15;
/** The cut begins after so many turns of the refill, and fewer. */
const STEPS = 12;
/** Longest way of the disk and the log until nothing moves (turns). */
const TURNS_MAX = 5_000;

/** A node after a restart: a log of two extents in one segment, and its bytes. */
function restarted(seed: number): { node: TestNode; log: PartitionLog; bytes: Uint8Array } {
  const node = new TestNode({ seed });
  assert.equal(node.mount(1), true);
  const log = node.engines[0]!.createLog({
    groupId: GROUP,
    incarnation: 1,
    name: "orders-0",
    segmentLimits: TEST_LIMITS,
    listener: null,
  });
  log.appendMeta(MetaKind.NO_OP, 1, new Uint8Array(0));
  for (let i = 0; i < BATCHES; i++) {
    const batch = { recordCount: 1, valueBytes: 6_000, fill: i, timestampMs: 5_000 + i };
    const size = writeSampleBatch(node.memory, node.crc32c, 0, batch);
    while (log.append(0, size, 1, node.nowMs) < 0) node.settle();
    node.settle();
  }
  const bytes = node.readAll(log, 0)!;
  node.engines[0]!.checkpoint();
  node.settle();
  node.crash();
  assert.equal(node.mount(1), true);
  return { node, log: node.log(GROUP) as PartitionLog, bytes };
}

Deno.test("a log can be cut in the extent behind a damaged one that is being written anew", () => {
  for (let step = 0; step < STEPS; step++) {
    const { node, log, bytes } = restarted(1);
    const [engine] = node.engines;
    const segment = log.segmentList[0]!;
    runTask(engine!.loader.loadIndex(segment), () => {});
    node.settle();
    assert.equal(segment.index.count, 2);
    const length = segment.index.lengths[0]!;
    node.disk.flipBit(segment.file.path, length - 50, 1);
    const source: RecordSource = {
      *fetch({ offset, address }, accepts) {
        assert.equal(offset, 0);
        yield* engine!.nextTurn();
        node.memory.bytes.set(bytes.subarray(0, length), address);
        return accepts(length) ? length : -Refilled.ABSENT;
      },
    };
    let refilled = -1;
    let cut = -1;
    const place = { groupId: GROUP, file: segment.file.path, position: 0 };
    runTask(engine!.refill(place, source, true), (result) => refilled = result);
    for (let i = 0; i < step; i++) {
      node.disk.step();
      node.turn();
    }
    const end = BATCHES - 2;
    runTask(log.truncate(log.indexAt(end - 1)), (result) => cut = result);
    for (let turn = 0; refilled < 0 || cut < 0; turn++) {
      assert(turn < TURNS_MAX, "it does not end");
      node.disk.step();
      node.turn();
    }
    assert.equal(cut, 0);
    assert.equal(log.endOffset, end);
    node.settle();
    if (refilled === Refilled.BUSY) {
      runTask(engine!.refill(place, source, true), (result) => refilled = result);
      node.settle();
    }
    assert.equal(refilled, Refilled.MENDED, `step ${step}`);
    assert.deepEqual(node.readAll(log, 0), bytes.subarray(0, bytes.length / BATCHES * end));
  }
});

Deno.test("what a replica has given up it does not give to another one", () => {
  const { node, log } = restarted(2);
  const segment = log.segmentList[0]!;
  runTask(node.engines[0]!.loader.loadIndex(segment), () => {});
  node.settle();
  segment.lose(1, 1);
  const second = segment.index.baseOffsets[1]!;
  for (const offset of [0, second]) {
    const read = new LogRead({ complete: () => {} });
    read.offset = offset;
    read.limitOffset = BATCHES;
    read.maxBytes = 200_000;
    read.beforeStart = true;
    log.read(read);
    node.settle();
    assert.equal(read.error, offset === 0 ? ReadError.NONE : ReadError.DAMAGED);
    assert.equal(read.nextOffset, second);
    read.release();
  }
  // Clients go past it.
  assert.notEqual(node.readAll(log, 0), null);
});

Deno.test("where something was given up behind a damage without an index nothing is written over it", () => {
  const { node, log, bytes } = restarted(3);
  const segment = log.segmentList[0]!;
  const { file } = segment;
  const size = bytes.length / BATCHES;
  const from = 12 * size;
  segment.lost = [{ baseOffset: 12, endOffset: 13, position: from, endPosition: from + size }];
  node.disk.flipBit(file.path, 5 * size + 100, 1);
  // Its index is lost.
  segment.indexLoaded = false;
  segment.unfiledEntries = null;
  let asked = 0;
  const source: RecordSource = {
    *fetch() {
      asked++;
      yield* node.engines[0]!.nextTurn();
      return -Refilled.UNANSWERED;
    },
  };
  const results: number[] = [];
  const place = { groupId: GROUP, file: file.path, position: 5 * size };
  runTask(node.engines[0]!.refill(place, source, true), (result) => results.push(result));
  node.settle();
  assert.deepEqual([results, asked], [[Refilled.ABSENT], 0]);
  assert.equal(segment.damagedFrom, 5 * size);
});

Deno.test("a log that is cut where damage begins goes on there", () => {
  const { node, log, bytes } = restarted(4);
  const segment = log.segmentList[0]!;
  const size = bytes.length / BATCHES;
  node.disk.flipBit(segment.file.path, 5 * size + 100, 1);
  // Its index is lost.
  segment.indexLoaded = false;
  segment.unfiledEntries = null;
  runTask(node.engines[0]!.loader.loadIndex(segment), () => {});
  node.settle();
  assert.equal(segment.damagedFrom, 5 * size);
  let cut = -1;
  runTask(log.truncate(log.indexAt(4)), (result) => cut = result);
  node.settle();
  assert.deepEqual([cut, log.endOffset], [0, 5]);
  node.damages.length = 0;
  const batch = { recordCount: 1, valueBytes: 100, fill: 1, timestampMs: 9_000 };
  const length = writeSampleBatch(node.memory, node.crc32c, 0, batch);
  while (log.append(0, length, 1, node.nowMs) < 0) node.settle();
  node.settle();
  assert.deepEqual(node.damages, []);
  assert.equal(log.segmentList.length, 1);
  assert.equal(node.readAll(log, 0)!.length, 5 * size + length);
});

Deno.test("what shares a block with damaged records, and the disk does not give back for a moment, is not written over", () => {
  const { node, log, bytes } = restarted(5);
  const [engine] = node.engines;
  const segment = log.segmentList[0]!;
  runTask(engine!.loader.loadIndex(segment), () => {});
  node.settle();
  const { path } = segment.file;
  const length = segment.index.lengths[0]!;
  assert(segment.index.count === 2 && length % BLOCK_SIZE > 0);
  node.disk.flipBit(path, 100, 1);
  // The extent itself is read once more; then the block that both have, and the other extent.
  const fault = { kind: "error", errno: EIO } as const;
  node.disk.inject({ operation: "read", nth: 2, count: 2, path, fault });
  const source: RecordSource = {
    *fetch({ address }, accepts) {
      yield* engine!.nextTurn();
      node.memory.bytes.set(bytes.subarray(0, length), address);
      return accepts(length) ? length : -Refilled.ABSENT;
    },
  };
  const place = { groupId: GROUP, file: path, position: 0 };
  const results: number[] = [];
  for (let attempt = 0; attempt < 2; attempt++) {
    runTask(engine!.refill(place, source, false), (result) => results.push(result));
    node.settle();
  }
  assert.deepEqual(results, [Refilled.EDGE, Refilled.MENDED]);
  assert.deepEqual(node.readAll(log, 0), bytes);
});

Deno.test("records that share a block which the disk does not give back are written anew together, at once", () => {
  const { node, log, bytes } = restarted(6);
  const [engine] = node.engines;
  const segment = log.segmentList[0]!;
  runTask(engine!.loader.loadIndex(segment), () => {});
  node.settle();
  const { path } = segment.file;
  const length = segment.index.lengths[0]!;
  assert(segment.index.count === 2 && length % BLOCK_SIZE > 0);
  node.disk.loseBlock(path, Math.floor(length / BLOCK_SIZE));
  const batchBytes = bytes.length / BATCHES;
  const source: RecordSource = {
    *fetch({ offset, endOffset, address, room }, accepts) {
      yield* engine!.nextTurn();
      const from = offset * batchBytes;
      const size = (Math.min(endOffset, offset + Math.floor(room / batchBytes)) - offset) *
        batchBytes;
      node.memory.bytes.set(bytes.subarray(from, from + size), address);
      return accepts(size) ? size : -Refilled.ABSENT;
    },
  };
  const results: number[] = [];
  const place = { groupId: GROUP, file: path, position: 0 };
  runTask(engine!.refill(place, source, false), (result) => results.push(result));
  node.settle();
  assert.deepEqual(results, [Refilled.MENDED]);
  assert.deepEqual(node.readAll(log, 0), bytes);
});

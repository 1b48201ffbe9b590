import { strict as assert } from "node:assert";
import { LOG_FAILED, MetaKind } from "./log.ts";
import { LogRead } from "./log_read.ts";
import type { ShardManifest } from "./manifest.ts";
import type { PartitionLog } from "./partition_log.ts";
import type { Segment } from "./segment.ts";
import { INDEX_READ_BYTES } from "./segment_loader.ts";
import type { Damage } from "./shard_storage.ts";
import { crc32cOfBytes } from "../bytes/crc32c.ts";
import { BLOCK_SIZE, type Disk } from "../io/disk.ts";
import { EIO, ENOSPC } from "../io/errno.ts";
import { io, type Task } from "../io/task.ts";
import { takePicture } from "../../tests/sim/disk_picture.ts";
import { writeSampleBatch } from "../../tests/sim/sample_batch.ts";
import { TEST_LIMITS, TestNode } from "../../tests/sim/storage_node.ts";

const JOURNAL_BYTES = 256 * 1024;

function makeLog(node: TestNode, groupId: number): PartitionLog {
  const log = node.engines[0]!.createLog({
    groupId,
    incarnation: 1,
    name: "orders-0",
    segmentLimits: TEST_LIMITS,
    listener: null,
  });
  log.appendMeta(MetaKind.NO_OP, 1, new Uint8Array(0));
  return log;
}

function fill(node: TestNode, log: PartitionLog, batches: number, valueBytes: number): void {
  const { memory, crc32c } = node;
  for (let i = 0; i < batches; i++) {
    const batch = { recordCount: 1, valueBytes, fill: i, timestampMs: 5000 + log.endOffset };
    const size = writeSampleBatch(memory, crc32c, 0, batch);
    while (log.append(0, size, log.lastTerm, node.nowMs) < 0) node.settle();
    node.settle();
  }
}

/** Blocks of a file, to be put back later. */
function blocksOf(node: TestNode, path: string): (Uint8Array | null)[] {
  const count = node.disk.size(path) / BLOCK_SIZE;
  return Array.from({ length: count }, (_, block) => node.disk.blockAt(path, block));
}

Deno.test("a group whose first record is damaged comes back suspect, not as an empty log", () => {
  const node = new TestNode({ seed: 21, journalBytes: JOURNAL_BYTES });
  assert.equal(node.mount(1), true);
  const [path] = node.report!.manifest!.shards[0]!.extents;
  fill(node, makeLog(node, 1), 3, 600);
  node.crash();
  node.disk.replaceBlock(path!, 0, null);
  assert.equal(node.mount(1), true);
  assert.equal(node.report!.damages[0]!.file, path);
  assert.deepEqual(node.report!.suspectGroups, [1]);
  const log = node.log(1) as PartitionLog;
  assert.equal(log.endOffset, 0);
  assert.equal(log.append(0, 100, 1, node.nowMs), LOG_FAILED);
});

Deno.test("one directory that a full disk refuses holds up no other log", () => {
  const node = new TestNode({ seed: 30, journalBytes: JOURNAL_BYTES });
  assert.equal(node.mount(1), true);
  const fault = { kind: "error", errno: ENOSPC } as const;
  node.disk.inject({ operation: "makeDirectory", nth: 2, fault });
  const logs = [1, 2, 3].map((groupId) => makeLog(node, groupId));
  const named = (): number[] => logs.map((log) => log.durableIndex);
  node.settle();
  assert.deepEqual(named(), [1, 0, 0], "the first is not held up by the second");
  for (let i = 0; i < 10; i++) node.settle();
  assert.deepEqual(named(), [1, 1, 1], "the others follow when there is room");
});

Deno.test("the longest name of a topic makes a directory that a file system takes", () => {
  const node = new TestNode({ seed: 29, journalBytes: JOURNAL_BYTES });
  assert.equal(node.mount(1), true);
  const groupId = 2_000_000_011;
  const log = node.engines[0]!.createLog({
    groupId,
    incarnation: 1,
    name: `${"x".repeat(249)}-99999`,
    segmentLimits: TEST_LIMITS,
    listener: null,
  });
  log.appendMeta(MetaKind.NO_OP, 1, new Uint8Array(0));
  fill(node, log, 3, 600);
  assert.deepEqual(node.fatals, []);
  node.crash();
  assert.equal(node.mount(1), true);
  assert.equal(node.log(groupId)!.endOffset, 3);
});

Deno.test("a log is not durable before the name of its directory is", () => {
  const node = new TestNode({ seed: 22, journalBytes: JOURNAL_BYTES });
  assert.equal(node.mount(1), true);
  node.disk.inject({
    operation: "makeDirectory",
    nth: 1,
    fault: { kind: "error", errno: 28 },
  });
  const log = makeLog(node, 1);
  node.turn();
  node.disk.run();
  assert.equal(node.engines[0]!.journal.journal.durableLsn, 1);
  assert.equal(log.durableIndex, 0);
  for (let i = 0; i < 20; i++) node.settle();
  assert.equal(log.durableIndex, 1);
  assert.deepEqual(node.fatals, []);
});

Deno.test("a slot older than the journal begins is named, and its groups are suspect", () => {
  const node = new TestNode({ seed: 23, journalBytes: JOURNAL_BYTES });
  assert.equal(node.mount(1), true);
  const [first, second] = node.report!.manifest!.shards[0]!.checkpoints;
  const log = makeLog(node, 1);
  const old = blocksOf(node, first!);
  const checkpoint = (): void => {
    node.engines[0]!.checkpoint();
    node.settle();
  };
  for (let i = 0; i < 4; i++) {
    fill(node, log, 4, 2000);
    checkpoint();
  }
  fill(node, log, 1, 100);
  const end = log.endOffset;
  node.crash();
  const count = node.disk.size(first!) / BLOCK_SIZE;
  for (let i = 0; i < count; i++) node.disk.replaceBlock(first!, i, old[i] ?? null);
  node.disk.flipBit(second!, 100, 0);
  assert.equal(node.mount(1), true);
  assert.deepEqual(node.report!.damages.map(({ file }) => file), [first, log.directory]);
  assert.deepEqual(node.report!.suspectGroups, [1]);
  // What is in segments is kept.
  const kept = node.log(1)!;
  assert.ok(kept.endOffset > 0 && kept.endOffset <= end);
  assert.notEqual(node.readAll(kept, 0), null);
});

Deno.test("lost slots of a shard that wrote nothing since its start are no damage of its journal", () => {
  const node = new TestNode({ seed: 24, journalBytes: JOURNAL_BYTES });
  assert.equal(node.mount(1), true);
  fill(node, makeLog(node, 1), 2, 500);
  node.crash();
  assert.equal(node.mount(1), true);
  const { checkpoints } = node.report!.manifest!.shards[0]!;
  node.crash();
  for (const path of checkpoints) node.disk.flipBit(path, 100, 0);
  assert.equal(node.mount(1), true);
  const files = node.report!.damages.map(({ file }) => file);
  assert.deepEqual(files, [checkpoints[0], "logs/orders-0.1.1"]);
});

Deno.test("index and segment damaged: what stands before the damage is served, the rest is named", () => {
  const node = new TestNode({ seed: 25, journalBytes: JOURNAL_BYTES });
  assert.equal(node.mount(1), true);
  const log = makeLog(node, 1);
  fill(node, log, 40, 6000);
  node.engines[0]!.checkpoint();
  node.settle();
  const segment = log.segmentList[0]!;
  assert.ok(segment.closed && segment.index.filedCount > 0);
  const { path } = segment.file;
  const index = segment.indexFile.path;
  node.engines[0]!.checkpoint();
  node.settle();
  node.crash();
  node.disk.flipBit(index, 100, 0);
  node.disk.flipBit(path, 40_000, 0);
  assert.equal(node.mount(1), true);
  assert.deepEqual(node.report!.damages, []);
  const again = node.log(1) as PartitionLog;
  const sound = node.readOnce(again, 0, 1_000_000)!;
  assert.equal(sound.next, 6);
  assert.equal(node.readOnce(again, 6, 1_000_000), null);
  const behind = again.segmentList[1]!.baseOffset;
  assert.equal(node.readOnce(again, behind - 1, 1_000_000), null);
  assert.notEqual(node.readOnce(again, behind, 1_000_000), null);
  const { lost, position } = node.damages[0]!;
  assert.match(lost, new RegExp(`offsets 6 to ${behind - 1}`));
  assert.ok(position <= 40_000 && position > 30_000);
  assert.equal(again.suspect, false);
});

/** Has a file end at `bytes`. */
function* resize(disk: Disk, path: string, bytes: number): Task<void> {
  const handle = yield* io((done) => disk.open(path, false, done));
  yield* io((done) => disk.truncate(handle, bytes, done));
  yield* io((done) => disk.close(handle, done));
}

/**
 * A node whose closed segment has an index and a block that are damaged, and space behind its end: a power cut
 * took back that it had been given up.
 */
function withoutIndex(seed: number, lostBlock: (segment: Segment) => number): TestNode {
  const node = new TestNode({ seed, journalBytes: JOURNAL_BYTES });
  assert.equal(node.mount(1), true);
  const log = makeLog(node, 1);
  fill(node, log, 40, 6000);
  node.engines[0]!.checkpoint();
  node.settle();
  const segment = log.segmentList[0]!;
  assert.ok(segment.closed && segment.index.filedCount > 0);
  node.crash();
  node.disk.flipBit(segment.indexFile.path, 100, 0);
  node.finish(resize(node.disk, segment.file.path, 2 * TEST_LIMITS.segmentBytes));
  node.disk.loseBlock(segment.file.path, lostBlock(segment));
  assert.equal(node.mount(1), true);
  return node;
}

Deno.test("an index is made anew with an unreadable block behind the segment's end", () => {
  const node = withoutIndex(26, ({ sizeBytes }) => Math.ceil(sizeBytes / BLOCK_SIZE));
  const log = node.log(1) as PartitionLog;
  assert.notEqual(node.readAll(log, 0), null);
  assert.deepEqual(node.damages.map(({ harmless }) => harmless), [true]);
});

Deno.test("an unreadable block costs a segment without index the batches from it on, none before", () => {
  const node = withoutIndex(27, () => Math.floor(40_000 / BLOCK_SIZE));
  const log = node.log(1) as PartitionLog;
  assert.equal(node.readOnce(log, 0, 1_000_000)!.next, 6);
  assert.equal(node.readOnce(log, 6, 1_000_000), null);
  const [{ lost }] = node.damages as [Damage];
  assert.match(lost, /offsets 6 to/);
});

Deno.test("a closed segment that is gone is named, its index or not", () => {
  for (const withIndex of [false, true]) {
    const node = new TestNode({ seed: 26, journalBytes: JOURNAL_BYTES });
    assert.equal(node.mount(1), true);
    const log = makeLog(node, 1);
    fill(node, log, 40, 6000);
    for (let i = 0; i < 2; i++) {
      node.engines[0]!.checkpoint();
      node.settle();
    }
    const { file, indexFile } = log.segmentList[0]!;
    node.crash();
    for (const path of withIndex ? [file.path, indexFile.path] : [file.path]) {
      node.disk.unlink(path, { complete: () => {} });
    }
    node.disk.run();
    assert.equal(node.mount(1), true);
    const again = node.log(1)!;
    assert.equal(node.readOnce(again, 0, 1_000_000), null);
    assert.equal(node.damages[0]!.file, file.path);
  }
});

Deno.test("an index with a hole is rebuilt: a block of an earlier index is valid by itself", () => {
  const node = new TestNode({ seed: 27, journalBytes: JOURNAL_BYTES });
  assert.equal(node.mount(1), true);
  const log = makeLog(node, 1);
  fill(node, log, 40, 6000);
  for (let i = 0; i < 2; i++) {
    node.engines[0]!.checkpoint();
    node.settle();
  }
  const whole = node.readAll(log, 0);
  const { path } = log.segmentList[0]!.indexFile;
  const block = node.disk.blockAt(path, 0)!.slice();
  const [header, entry] = [32, 32];
  block.copyWithin(header, header + entry, header + 2 * entry);
  new DataView(block.buffer).setUint32(0, crc32cOfBytes(block, 4, BLOCK_SIZE, 0), true);
  node.crash();
  node.disk.replaceBlock(path, 0, block);
  assert.equal(node.mount(1), true);
  assert.deepEqual(node.readAll(node.log(1)!, 0), whole);
  assert.equal(node.damages[0]!.file, path);
});

Deno.test("an index is made anew though the device fails once, and up to the block that always fails", () => {
  const node = new TestNode({ seed: 29, journalBytes: JOURNAL_BYTES });
  assert.equal(node.mount(1), true);
  const log = makeLog(node, 1);
  fill(node, log, 40, 6000);
  const whole = node.readAll(log, 0)!.length;
  const { file, indexFile } = log.segmentList[0]!;
  const loseIndex = (): void => {
    for (let i = 0; i < 2; i++) {
      node.engines[0]!.checkpoint();
      node.settle();
    }
    node.crash();
    node.disk.flipBit(indexFile.path, 100, 0);
  };
  loseIndex();
  const fault = { kind: "error", errno: EIO } as const;
  node.disk.inject({ operation: "read", path: file.path, nth: 1, fault });
  assert.equal(node.mount(1), true);
  assert.equal(node.readAll(node.log(1)!, 0)?.length, whole);
  loseIndex();
  node.disk.loseBlock(file.path, 6);
  assert.equal(node.mount(1), true);
  const before = node.readOnce(node.log(1)!, 0, 1_000_000)!;
  assert.equal(before.next, Math.floor(6 * BLOCK_SIZE / (before.bytes.length / before.next)));
});

Deno.test("a read that must not wait for memory does not wait for an index to be made anew", () => {
  for (const isUnreadable of [false, true]) {
    const node = new TestNode({ seed: 30, journalBytes: JOURNAL_BYTES });
    assert.equal(node.mount(1), true);
    const log = makeLog(node, 1);
    fill(node, log, 40, 6000);
    const { file, indexFile } = log.segmentList[0]!;
    for (let i = 0; i < 2; i++) {
      node.engines[0]!.checkpoint();
      node.settle();
    }
    node.crash();
    node.disk.flipBit(indexFile.path, 100, 0);
    assert.equal(node.mount(1), true);
    const { arena } = node.engines[0]!.context;
    const again = node.log(1)!;
    let served = 0;
    const ask = (): LogRead => {
      const read = new LogRead({ complete: () => served++ });
      read.maxBytes = 10_000;
      read.limitOffset = again.endOffset;
      read.waitsForMemory = false;
      if (again.read(read)) served++;
      node.settle();
      return read;
    };
    while (arena.onShortage());
    // For the index, and nothing else.
    const room = arena.allocate(INDEX_READ_BYTES);
    const taken: number[] = [];
    for (let bytes = arena.blockSizeMax; bytes >= 4096; bytes /= 2) {
      for (let at = arena.allocate(bytes); at >= 0; at = arena.allocate(bytes)) taken.push(at);
    }
    arena.release(room);
    const first = ask();
    assert.deepEqual([served, first.lacksMemory, first.error], [1, true, 0]);
    // While it is made anew, nobody waits for that either.
    const second = ask();
    assert.deepEqual([served, second.lacksMemory], [2, true]);
    if (isUnreadable) {
      node.disk.inject({
        operation: "read",
        path: file.path,
        nth: 1,
        count: 99,
        fault: { kind: "error", errno: EIO },
      });
    }
    for (const at of taken) arena.release(at);
    node.settle();
    const third = ask();
    assert.deepEqual([served, third.lacksMemory], [3, false]);
    assert.equal(third.error === 0 && third.bytesTotal > 0, !isUnreadable);
    for (const read of [first, second, third]) read.release();
  }
});

Deno.test("what a device did not give while an index was made anew is read by the next life", () => {
  const node = new TestNode({ seed: 30, journalBytes: JOURNAL_BYTES });
  assert.equal(node.mount(1), true);
  fill(node, makeLog(node, 1), 8, 6000);
  node.engines[0]!.checkpoint();
  node.settle();
  node.crash();
  assert.equal(node.mount(1), true);
  const log = node.log(1) as PartitionLog;
  const [segment] = log.segmentList;
  segment!.index.cut(0);
  segment!.indexLoaded = false;
  const fault = { kind: "error", errno: EIO } as const;
  const { path } = segment!.file;
  node.disk.inject({ operation: "read", path, nth: 1, count: Infinity, fault });
  fill(node, log, 8, 600);
  assert.equal(log.segmentList.length, 2, "nothing is written behind what cannot be told apart");
  assert.equal(node.readAll(log, 0), null);
  assert.match(node.damages[0]!.lost, /offsets 0 to 7/);
  node.engines[0]!.checkpoint();
  node.settle();
  node.crash();
  node.damages = [];
  node.disk.clearFaults();
  assert.equal(node.mount(1), true);
  assert.notEqual(node.readAll(node.log(1)!, 0), null);
  assert.equal(node.log(1)!.endOffset, 16);
  assert.ok(node.damages.every(({ harmless }) => harmless === true));
});

Deno.test("a lost write is named where it was, also with no sound one needed before it", () => {
  const node = new TestNode({ seed: 28, journalBytes: JOURNAL_BYTES });
  assert.equal(node.mount(1), true);
  const log = makeLog(node, 1);
  // The ring's second extent is written to when the last checkpoint is made.
  fill(node, log, 14, 6000);
  for (let i = 0; i < 2; i++) {
    node.engines[0]!.checkpoint();
    node.settle();
  }
  fill(node, log, 4, 500);
  node.crash();
  const [shard] = takePicture(node.disk).shards;
  const lsn = Math.max(...shard!.slots.map((slot) => slot!.lsn)) + 1;
  const lost = shard!.blocks.filter((block) => block.lsn === lsn);
  assert.equal(lost[0]!.path, shard!.manifest.extents[1]);
  for (const { path, block } of lost) node.disk.replaceBlock(path, block, null);
  assert.equal(node.mount(1), true);
  const [damage] = node.report!.damages;
  assert.equal(damage!.file, lost[0]!.path);
  assert.equal(damage!.position, lost[0]!.block * BLOCK_SIZE);
});

Deno.test("segments that a salvage could not place stay where they are until the loss is accepted", () => {
  const node = new TestNode({ seed: 29, journalBytes: JOURNAL_BYTES });
  assert.equal(node.mount(1), true);
  fill(node, makeLog(node, 1), 60, 5000);
  assert.equal(node.finish(node.engines[0]!.stop()), 0);
  const segments = node.disk.paths().filter((path) => path.endsWith(".log")).sort();
  assert.ok(segments.length > 2);
  node.crash();
  for (const path of node.report!.manifest!.shards[0]!.checkpoints) node.disk.flipBit(path, 100, 0);
  node.disk.flipBit(segments[0]!, 10_000, 0);
  for (let start = 0; start < 3; start++) {
    assert.equal(node.mount(1), true);
    assert.deepEqual(node.report!.suspectGroups, [1]);
    assert.ok(node.log(1)!.endOffset < 20);
    node.crash();
  }
  // Three starts later: the damaged file's copy comes back, and whoever knows how finds the others.
  assert.deepEqual(node.disk.paths().filter((path) => path.endsWith(".log")).sort(), segments);
});

/** A stopped node whose journal holds what no checkpoint does, or whose rows are in its slots. */
function withContent(seed: number): { node: TestNode; shard: ShardManifest; bytes: Uint8Array } {
  const node = new TestNode({ seed, journalBytes: JOURNAL_BYTES });
  assert.equal(node.mount(1), true);
  const log = makeLog(node, 1);
  fill(node, log, 20, 6000);
  node.engines[0]!.checkpoint();
  node.settle();
  fill(node, log, 3, 600);
  const bytes = node.readAll(log, 0)!;
  const shard = node.report!.manifest!.shards[0]!;
  node.crash();
  return { node, shard, bytes };
}

for (const what of ["a journal extent", "both checkpoint slots"]) {
  Deno.test(`a start that accepts loss does without what it cannot open: ${what}`, () => {
    const { node, shard } = withContent(32);
    const missing = what === "a journal extent" ? [shard.extents[0]!] : shard.checkpoints;
    for (const path of missing) {
      node.disk.inject({ operation: "open", nth: 1, path, fault: { kind: "error", errno: EIO } });
    }
    assert.equal(node.mount(1, true), true);
    assert.deepEqual(node.report!.suspectGroups, [1]);
  });
}

Deno.test("a start that cannot look at a segment of which no row is left changes nothing", () => {
  const { node, shard, bytes } = withContent(33);
  const segments = node.disk.paths().filter((path) => path.endsWith(".log")).sort();
  for (const path of shard.checkpoints) node.disk.loseFile(path);
  const fault = { kind: "error", errno: EIO } as const;
  node.disk.inject({ operation: "open", nth: 1, path: segments[0]!, fault });
  assert.equal(node.mount(1), false);
  node.crash();
  assert.equal(node.mount(1), true);
  const log = node.log(1)!;
  const found = node.readAll(log, 0)!;
  assert.ok(found.length > 0 && log.startOffset === 0);
  assert.deepEqual(found, bytes.subarray(0, found.length));
});

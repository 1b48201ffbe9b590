import { strict as assert } from "node:assert";
import { Arena } from "../bytes/arena.ts";
import { EACCES, EPERM, EROFS } from "../io/errno.ts";
import { checkNode } from "./check.ts";
import { LOG_BUSY, LOG_FAILED, LOG_NO_SPACE, LOG_TOO_LARGE, MetaKind } from "./log.ts";
import type { PartitionLog } from "./partition_log.ts";
import { recoverNode } from "./recovery.ts";
import { writeSampleBatch } from "../../tests/sim/sample_batch.ts";
import { TEST_LIMITS, TestNode } from "../../tests/sim/storage_node.ts";

const NO_PAYLOAD = new Uint8Array(0);

function makeLog(node: TestNode, groupId: number, segmentLimits = TEST_LIMITS): PartitionLog {
  const engine = node.engines[groupId % node.engines.length]!;
  const log = engine.createLog({
    groupId,
    incarnation: 1,
    name: "orders-0",
    segmentLimits,
    listener: null,
  });
  log.appendMeta(MetaKind.NO_OP, 1, NO_PAYLOAD);
  return log;
}

function append(node: TestNode, log: PartitionLog, valueBytes: number): number {
  const { memory, crc32c } = node;
  const batch = { recordCount: 2, valueBytes, fill: 7, timestampMs: 5000 + log.endOffset };
  const size = writeSampleBatch(memory, crc32c, 0, batch);
  let offset = log.append(0, size, log.lastTerm, node.nowMs);
  for (let i = 0; offset === -11 && i < 20; i++) {
    node.settle();
    offset = log.append(0, size, log.lastTerm, node.nowMs);
  }
  return offset;
}

function fill(node: TestNode, log: PartitionLog, batches: number, valueBytes = 3000): void {
  for (let i = 0; i < batches; i++) assert.ok(append(node, log, valueBytes) >= 0);
  node.settle();
}

Deno.test("a full disk refuses appends only, and they go on once there is room", () => {
  const node = new TestNode({ seed: 3, disk: { capacityBytes: 900 * 1024 } });
  assert.equal(node.mount(1), true);
  const log = makeLog(node, 1);
  let offset = 0;
  for (let i = 0; i < 400 && offset >= 0; i++) offset = append(node, log, 3000);
  assert.equal(offset, LOG_NO_SPACE);
  assert.ok(log.setHardState(2, 1) > 0);
  node.settle();
  assert.equal(log.durableEndOffset, log.endOffset);
  assert.equal(log.durableHardVersion, log.hardVersion);
  assert.deepEqual(node.fatals, []);
  const end = log.endOffset;
  log.setCommitted(log.lastIndex);
  log.trimPrefix(Math.floor(end * 0.7));
  for (let i = 0; i < 400; i++) node.settle();
  assert.equal(append(node, log, 3000), end);
});

Deno.test("a failed write of the journal is fatal, and nothing is acknowledged after it", () => {
  const node = new TestNode({ seed: 4 });
  assert.equal(node.mount(1), true);
  const log = makeLog(node, 1);
  fill(node, log, 2);
  const durable = log.durableEndOffset;
  const path = node.report!.manifest!.shards[0]!.extents[0]!;
  node.disk.inject({ operation: "write", nth: 1, path, fault: { kind: "error", errno: 5 } });
  assert.ok(append(node, log, 100) >= 0);
  node.settle();
  assert.equal(node.fatals.length, 1);
  assert.equal(log.durableEndOffset, durable);
  assert.equal(append(node, log, 100), LOG_FAILED);
});

Deno.test("a failed write of a segment is fatal", () => {
  const node = new TestNode({ seed: 5 });
  assert.equal(node.mount(1), true);
  const log = makeLog(node, 1);
  fill(node, log, 2);
  const path = log.segmentList[0]!.file.path;
  node.disk.inject({ operation: "write", nth: 1, path, fault: { kind: "error", errno: 5 } });
  fill(node, log, 30);
  assert.equal(node.fatals.length, 1);
  assert.match(node.fatals[0]!, /segment/);
});

Deno.test("a segment that cannot be begun is fatal, and the log is whole after the next start", () => {
  for (const operation of ["open", "allocate", "truncate"] as const) {
    const node = new TestNode({ seed: 5 });
    assert.equal(node.mount(1), true);
    const log = makeLog(node, 1);
    fill(node, log, 2);
    const end = log.durableEndOffset;
    const path = /^logs\/.*\.log$/;
    const count = Infinity;
    node.disk.inject({ operation, nth: 1, count, path, fault: { kind: "error", errno: 5 } });
    for (let i = 0; i < 60 && append(node, log, 3000) >= 0; i++);
    node.settle();
    assert.equal(node.fatals.length, 1, operation);
    assert.match(node.fatals[0]!, /Cannot begin the segment logs/);
    assert.equal(log.suspect, false);
    node.fatals = [];
    node.crash();
    assert.equal(node.mount(1), true);
    const again = node.log(1)!;
    assert.equal(again.suspect, false);
    assert.ok(again.durableEndOffset >= end);
    assert.ok(append(node, again as PartitionLog, 100) >= 0);
  }
});

Deno.test("a segment that the host forbids to begin, or to continue, is refused, told, and tried again", () => {
  for (
    const [operation, errno] of [["open", EACCES], ["open", EPERM], ["allocate", EPERM]] as const
  ) {
    for (const continues of [false, true]) {
      const node = new TestNode({ seed: 5 });
      assert.equal(node.mount(1), true);
      let log = makeLog(node, 1);
      const other = makeLog(node, 2);
      fill(node, log, 2);
      fill(node, other, 2);
      if (continues) {
        node.crash();
        assert.equal(node.mount(1), true);
        log = node.log(1)! as PartitionLog;
      }
      const path = /^logs\/orders-0\.1\..*\.log$/;
      assert.match(log.segmentList[0]!.file.path, path);
      node.disk.inject({
        operation,
        nth: 1,
        count: Infinity,
        path,
        fault: { kind: "error", errno },
      });
      let offset = 0;
      for (let i = 0; i < 60 && offset >= 0; i++) offset = append(node, log, 3000);
      assert.equal(offset, LOG_NO_SPACE, `${operation} ${errno} ${continues}`);
      for (let i = 0; i < 20; i++) {
        node.settle();
        assert.equal(append(node, log, 3000), LOG_NO_SPACE);
      }
      assert.deepEqual(node.fatals, []);
      assert.equal(log.suspect, false);
      assert.equal(node.damages.length, 1, "said once");
      assert.match(node.damages[0]!.lost, /^Nothing: the host forbids .* errno (1|13)$/);
      assert.equal(node.damages[0]!.groupId, 1);
      assert.ok(append(node, node.log(2)! as PartitionLog, 100) >= 0, "nobody else is concerned");
      // Nor are checkpoints, which write indexes in the same place.
      node.engines[0]!.checkpoint();
      node.settle();
      assert.deepEqual(node.fatals, []);
      node.disk.clearFaults();
      for (let i = 0; i < 20; i++) node.settle();
      assert.ok(append(node, log, 3000) >= 0);
      node.settle();
      const { file, position } = node.damages[0]!;
      assert.deepEqual(node.readable, [{ groupId: 1, file, position }]);
      assert.equal(log.durableEndOffset, log.endOffset);
    }
  }
});

Deno.test("a directory that the host forbids to make keeps its log waiting, and nobody else", () => {
  const node = new TestNode({ seed: 5 });
  assert.equal(node.mount(1), true);
  const path = /orders-0\.1/;
  const fault = { kind: "error", errno: EACCES } as const;
  node.disk.inject({ operation: "makeDirectory", nth: 1, count: Infinity, path, fault });
  const log = makeLog(node, 1);
  for (let i = 0; i < 20; i++) node.settle();
  assert.deepEqual(node.fatals, []);
  assert.equal(node.damages.length, 1);
  const other = makeLog(node, 2);
  node.disk.clearFaults();
  for (let i = 0; i < 20; i++) node.settle();
  for (const each of [log, other]) {
    assert.ok(append(node, each, 100) >= 0);
    node.settle();
    assert.equal(each.durableEndOffset, each.endOffset);
  }
  assert.equal(node.readable.length, 1);
});

Deno.test("a file system that takes nothing any more ends the process, also where a segment is continued", () => {
  const node = new TestNode({ seed: 5 });
  assert.equal(node.mount(1), true);
  fill(node, makeLog(node, 1), 2);
  node.crash();
  assert.equal(node.mount(1), true);
  const log = node.log(1)! as PartitionLog;
  const fault = { kind: "error", errno: EROFS } as const;
  node.disk.inject({ operation: "open", nth: 1, count: Infinity, path: /\.log$/, fault });
  node.disk.inject({ operation: "allocate", nth: 1, count: Infinity, path: /\.log$/, fault });
  for (let i = 0; i < 60 && append(node, log, 3000) >= 0; i++);
  node.settle();
  assert.equal(node.fatals.length, 1);
  assert.match(node.fatals[0]!, /Cannot (begin|continue) the segment logs.* errno 30/);
  assert.equal(log.suspect, false);
});

Deno.test("a flipped bit in a segment is named, refused to readers, and found by a check", () => {
  const node = new TestNode({ seed: 6 });
  assert.equal(node.mount(1), true);
  const log = makeLog(node, 1);
  fill(node, log, 40);
  assert.equal(node.finish(node.engines[0]!.stop()), 0);
  node.crash();
  const path = log.segmentList[0]!.file.path;
  node.disk.flipBit(path, 70_000, 3);
  assert.equal(node.mount(1), true);
  const again = node.log(1)!;
  assert.equal(again.endOffset, log.endOffset);
  assert.equal(node.readAll(again, 0), null);
  assert.equal(node.damages.length, 1);
  assert.equal(node.damages[0]!.file, path);
  assert.match(node.damages[0]!.lost, /offsets \d+ to \d+/);
  node.engines = [];
  const report = node.finish(checkNode(node.context(3), () => {}))!;
  assert.equal(report.damages.length, 1);
  assert.equal(report.damages[0]!.file, path);
  assert.ok(report.bytes > 100_000);
});

Deno.test("check finds nothing wrong with a good directory", () => {
  const node = new TestNode({ seed: 7 });
  assert.equal(node.mount(2), true);
  const logs = [makeLog(node, 1), makeLog(node, 2)];
  for (const log of logs) fill(node, log, 40);
  for (const engine of node.engines) assert.equal(node.finish(engine.stop()), 0);
  node.engines = [];
  const report = node.finish(checkNode(node.context(3), () => {}))!;
  assert.deepEqual(report.damages, []);
  assert.equal(report.logs, 2);
  assert.equal(report.bytes, logs[0]!.sizeBytes + logs[1]!.sizeBytes);
  assert.equal(report.replayedRecords, 0);
});

Deno.test("damage in the journal makes its groups suspect until an operator accepts", () => {
  const node = new TestNode({ seed: 8 });
  assert.equal(node.mount(2), true);
  const logs = [makeLog(node, 1), makeLog(node, 2)];
  for (let i = 0; i < 6; i++) for (const log of logs) fill(node, log, 1, 500);
  const shard = node.report!.manifest!.shards[1]!;
  node.crash();
  node.disk.flipBit(shard.extents[0]!, 4096 * 4 + 100, 1);
  assert.equal(node.mount(1), true);
  assert.equal(node.report!.damages.length, 1);
  assert.equal(node.report!.damages[0]!.file, shard.extents[0]);
  assert.deepEqual(node.report!.suspectGroups, [1]);
  const suspect = node.log(1)! as PartitionLog;
  assert.equal(suspect.suspect, true);
  assert.equal(append(node, suspect, 100), LOG_FAILED);
  assert.equal(suspect.setHardState(9, 1), LOG_FAILED);
  assert.ok(append(node, node.log(2)! as PartitionLog, 100) >= 0);
  // Suspicion outlives a restart, acceptance too.
  node.settle();
  node.crash();
  assert.equal(node.mount(2), true);
  const again = node.log(1)! as PartitionLog;
  assert.equal(again.suspect, true);
  assert.equal(again.acceptLoss(), 0);
  const end = again.endOffset;
  assert.equal(append(node, again, 100), end);
  node.settle();
  node.crash();
  assert.equal(node.mount(2), true);
  assert.equal((node.log(1) as PartitionLog).suspect, false);
  assert.equal(node.log(1)!.endOffset, end + 2);
  assert.deepEqual(node.damages.map(({ file }) => file), [shard.extents[0]]);
});

Deno.test("one lost checkpoint slot costs nothing, both leave suspect logs of what was written", () => {
  const node = new TestNode({ seed: 9 });
  assert.equal(node.mount(1), true);
  const log = makeLog(node, 1);
  fill(node, log, 40);
  node.engines[0]!.checkpoint();
  node.settle();
  const bytes = node.readAll(log, 0);
  const slots = node.report!.manifest!.shards[0]!.checkpoints;
  node.crash();
  node.disk.flipBit(slots[0], 5000, 1);
  assert.equal(node.mount(1), true);
  assert.deepEqual(node.report!.suspectGroups, []);
  assert.deepEqual(node.readAll(node.log(1)!, 0), bytes);
  const next = node.report!.manifest!.shards[0]!.checkpoints;
  node.crash();
  node.disk.flipBit(next[0], 5000, 1);
  node.disk.flipBit(next[1], 5000, 1);
  assert.equal(node.mount(1), true);
  assert.deepEqual(node.report!.suspectGroups, [1]);
  assert.deepEqual(node.readAll(node.log(1)!, 0), bytes);
  assert.equal(append(node, node.log(1)! as PartitionLog, 10), LOG_FAILED);
});

Deno.test("a batch that could never be journaled is refused for good, the largest one is taken", () => {
  const node = new TestNode({ seed: 10 });
  assert.equal(node.mount(1), true);
  const log = makeLog(node, 1);
  const limit = node.engines[0]!.appendBytesMax;
  assert.ok(limit > 64 * 1024);
  const { memory, crc32c } = node;
  const write = (valueBytes: number): number =>
    writeSampleBatch(memory, crc32c, 0, { recordCount: 1, valueBytes, fill: 7, timestampMs: 5 });
  const overhead = write(100_000) - 100_000;
  assert.equal(log.append(0, write(limit - overhead + 1), 1, node.nowMs), LOG_TOO_LARGE);
  // It must get as far as that: a request larger than any record is not held back for ever.
  assert.equal(node.engines[0]!.canAppend(4 * limit), true);
  for (let i = 0; i < 4; i++) {
    const size = write(limit - overhead);
    let offset = -11;
    for (let tries = 0; tries < 50 && offset < 0; tries++) {
      offset = log.append(0, size, 1, node.nowMs);
      node.settle();
    }
    assert.equal(offset, i);
  }
  const bytes = node.readAll(log, 0);
  node.crash();
  assert.equal(node.mount(1), true);
  assert.deepEqual(node.readAll(node.log(1)!, 0), bytes);
});

Deno.test("a checkpoint is written, and waits for index blocks, when the arena is used up", () => {
  const node = new TestNode({ seed: 12 });
  assert.equal(node.mount(1), true);
  const log = makeLog(node, 1);
  fill(node, log, 60);
  const engine = node.engines[0]!;
  const { arena } = engine.cache;
  const taken: number[] = [];
  for (let size = arena.blockSizeMax; size >= 4096; size /= 2) {
    for (let at = arena.allocate(size); at >= 0; at = arena.allocate(size)) taken.push(at);
  }
  assert.equal(arena.allocate(4096), -1);
  const before = engine.stats().checkpoints;
  engine.checkpoint();
  node.settle();
  assert.ok(engine.stats().checkpoints > before);
  assert.deepEqual(node.fatals, []);
  for (const address of taken) arena.release(address);
  assert.ok(append(node, log, 100) >= 0);
  node.settle();
  const bytes = node.readAll(log, 0);
  node.crash();
  assert.equal(node.mount(1), true);
  assert.deepEqual(node.readAll(node.log(1)!, 0), bytes);
});

Deno.test("what stands before a batch is read again when the journal has just taken its memory", () => {
  let givenUp = 0;
  // Which of the journal's two buffers has grown already, and which has to, depends on how many writes there were.
  for (const writes of [0, 1]) {
    const node = new TestNode({ seed: 14 });
    assert.equal(node.mount(1), true);
    const log = makeLog(node, 1, { segmentBytes: 2 ** 20, segmentMs: 1e12 });
    fill(node, log, 1, 36_000);
    const engine = node.engines[0]!;
    engine.checkpoint();
    node.settle();
    for (let i = 0; i < writes; i++) assert.ok(log.setHardState(2 + i, 1) > 0);
    node.settle();
    const segment = log.segmentList[0]!;
    const last = segment.index.chunks[0]!;
    assert.ok(segment.tail === null && segment.sizeBytes % 4096 > 0);
    // All memory is used, and that extent is all that could be given up.
    const { arena } = engine.cache;
    const taken: number[] = [];
    last.pin();
    for (let size = arena.blockSizeMax; size >= 4096; size /= 2) {
      for (let at = arena.allocate(size); at >= 0; at = arena.allocate(size)) taken.push(at);
    }
    last.unpin();
    const { memory, crc32c } = node;
    const batch = { recordCount: 1, valueBytes: 50_000, fill: 9, timestampMs: 6000 };
    const size = writeSampleBatch(memory, crc32c, 0, batch);
    let offset = log.append(0, size, log.lastTerm, node.nowMs);
    if (segment.index.chunks[0] !== last) givenUp++;
    for (const address of taken) arena.release(address);
    for (let i = 0; offset === LOG_BUSY && i < 20; i++) {
      node.settle();
      offset = log.append(0, size, log.lastTerm, node.nowMs);
    }
    assert.equal(offset, 2);
    node.settle();
    node.crash();
    const report = node.finish(checkNode(node.context(0), () => {}))!;
    assert.deepEqual(report.damages, []);
    assert.equal(report.batches, 2);
  }
  assert.ok(givenUp > 0, "the extent should have been given up");
});

Deno.test("a start with far less memory than the last one is refused with what it takes", () => {
  const node = new TestNode({ seed: 13 });
  assert.equal(node.mount(1), true);
  const log = makeLog(node, 1);
  fill(node, log, 1);
  // One journal write, larger than an eighth of the memory below.
  for (let i = 0; i < 5; i++) append(node, log, 4000);
  node.settle();
  node.crash();
  const context = { ...node.context(0), arena: new Arena(node.context(0).arena.base, 64 * 4096) };
  const options = {
    context,
    shardCount: 1,
    nodeId: 1,
    journalBytes: 262_144,
    extentBytes: 131_072,
  };
  const report = node.finish(recoverNode(options))!;
  assert.equal(report.outcome, "memory");
  assert.match(report.reason, /start with at least \d+ MiB/);
  node.crash();
  assert.equal(node.mount(1), true);
  assert.equal(node.log(1)!.endOffset, log.endOffset);
});

import { strict as assert } from "node:assert";
import { LOG_BUSY, MetaKind } from "./log.ts";
import { LogRead } from "./log_read.ts";
import { writeSampleBatch } from "../../tests/sim/sample_batch.ts";
import { TEST_LIMITS, TestNode } from "../../tests/sim/storage_node.ts";

const NO_PAYLOAD = new Uint8Array(0);

Deno.test("a batch is durable, read back, kept over a checkpoint and a crash", () => {
  const node = new TestNode({ seed: 1 });
  assert.equal(node.mount(1), true);
  const told: number[] = [];
  const log = node.engines[0]!.createLog({
    groupId: 7,
    incarnation: 1,
    name: "orders-0",
    segmentLimits: TEST_LIMITS,
    listener: { onDurable: (l) => told.push(l.durableEndOffset), onWritable: () => {} },
  });
  assert.equal(log.appendMeta(MetaKind.NO_OP, 1, NO_PAYLOAD), 1);
  const size = writeSampleBatch(node.memory, node.crc32c, 0, {
    recordCount: 3,
    valueBytes: 100,
    fill: 1,
    timestampMs: 5000,
  });
  assert.equal(log.append(0, size, 1, 1), -11, "its creation is not even recorded");
  node.settle();
  assert.equal(log.append(0, size, 1, 1), 0);
  assert.equal(log.append(0, size, 1, 1), 3);
  assert.equal(log.lastIndex, 7);
  node.settle();
  assert.equal(log.durableEndOffset, 6);
  assert.equal(told.at(-1), 6);
  const before = node.readAll(log, 0)!;
  assert.equal(before.length, 2 * size);
  node.engines[0]!.checkpoint();
  node.settle();
  assert.equal(node.engines[0]!.stats().checkpoints, 1);
  assert.equal(log.append(0, size, 1, 1), 6);
  node.settle();
  const whole = node.readAll(log, 0)!;
  node.crash();
  assert.equal(node.mount(2), true);
  const again = node.log(7)!;
  assert.equal(again.endOffset, 9);
  assert.equal(again.lastIndex, 10);
  assert.deepEqual(node.readAll(again, 0), whole);
  assert.deepEqual(node.damages, []);
  assert.deepEqual(node.report!.damages, []);
});

Deno.test("the first record of a log does not wait for its file", () => {
  const node = new TestNode({ seed: 4 });
  assert.equal(node.mount(1), true);
  const logs = Array.from({ length: 50 }, (_, index) =>
    node.engines[0]!.createLog({
      groupId: 100 + index,
      incarnation: 1,
      name: `t-${index}`,
      segmentLimits: TEST_LIMITS,
      listener: null,
    }));
  for (const log of logs) log.appendMeta(MetaKind.NO_OP, 1, NO_PAYLOAD);
  node.settle();
  const size = writeSampleBatch(node.memory, node.crc32c, 0, {
    recordCount: 3,
    valueBytes: 100,
    fill: 1,
    timestampMs: 5000,
  });
  assert.deepEqual(logs.map((log) => log.append(0, size, 1, 1)), logs.map(() => 0));
  node.settle();
  assert.ok(logs.every((log) => log.durableEndOffset === 3));
  node.crash();
  assert.equal(node.mount(1), true);
  assert.ok(logs.every(({ groupId }) => node.log(groupId)!.endOffset === 3));
  assert.deepEqual(node.damages, []);
});

Deno.test("nothing of a log is in the journal before its beginning, which may find no memory", () => {
  const node = new TestNode({ seed: 2 });
  assert.equal(node.mount(1), true);
  const engine = node.engines[0]!;
  const { arena } = engine.context;
  const taken: number[] = [];
  for (let size = arena.blockSizeMax; size >= 4096; size /= 2) {
    for (let at = arena.allocate(size); at >= 0; at = arena.allocate(size)) taken.push(at);
  }
  const log = engine.createLog({
    groupId: 9,
    incarnation: 1,
    name: "late-0",
    segmentLimits: TEST_LIMITS,
    listener: null,
  });
  const sequence = log.sequence;
  assert.equal(log.setHardState(1, 0), -11, "room for this one is reserved, yet it has to wait");
  assert.equal(log.sequence, sequence);
  for (const address of taken) arena.release(address);
  node.settle();
  assert(log.setHardState(1, 0) > 0);
  node.settle();
  node.crash();
  assert.equal(node.mount(1), true);
  assert.equal(node.log(9)!.hardTerm, 1);
});

Deno.test("bytes before an append are not made up when the cache gave them away meanwhile", () => {
  const node = new TestNode({ seed: 2 });
  assert.equal(node.mount(1), true);
  const [engine] = node.engines;
  const log = engine!.createLog({
    groupId: 1,
    incarnation: 1,
    name: "orders-0",
    segmentLimits: TEST_LIMITS,
    listener: null,
  });
  log.appendMeta(MetaKind.NO_OP, 1, NO_PAYLOAD);
  const put = (valueBytes: number): number => {
    const batch = { recordCount: 1, valueBytes, fill: 9, timestampMs: 5 };
    return log.append(0, writeSampleBatch(node.memory, node.crc32c, 0, batch), 1, node.nowMs);
  };
  for (const valueBytes of [300, engine!.largeBytesMin]) {
    while (put(300) < 0) node.settle();
    engine!.checkpoint();
    node.settle();
    // Asking for room in the journal may take memory for its next buffer.
    const { journal } = engine!;
    const hasRoom = journal.hasRoom.bind(journal);
    journal.hasRoom = (bytes) => {
      while (engine!.cache.arena.onShortage());
      return hasRoom(bytes);
    };
    const refused = put(valueBytes);
    journal.hasRoom = hasRoom;
    assert.equal(refused, LOG_BUSY);
    while (put(valueBytes) < 0) node.settle();
    node.settle();
  }
  const end = log.endOffset;
  node.crash();
  assert.equal(node.mount(1), true);
  assert.deepEqual(node.report!.damages, []);
  assert.notEqual(node.readAll(node.log(1)!, 0), null);
  assert.equal(node.log(1)!.endOffset, end);
});

Deno.test("a read takes what there is memory for, and waits only for its first extent, or not at all", () => {
  const node = new TestNode({ seed: 3 });
  assert.equal(node.mount(1), true);
  const [engine] = node.engines;
  const log = engine!.createLog({
    groupId: 1,
    incarnation: 1,
    name: "orders-0",
    segmentLimits: { ...TEST_LIMITS, segmentBytes: 2 ** 20 },
    listener: null,
  });
  log.appendMeta(MetaKind.NO_OP, 1, NO_PAYLOAD);
  const batch = { recordCount: 1, valueBytes: 50_000, fill: 9, timestampMs: 5 };
  const size = writeSampleBatch(node.memory, node.crc32c, 0, batch);
  for (let i = 0; i < 6; i++) {
    while (log.append(0, size, 1, node.nowMs) < 0) node.settle();
    node.settle();
  }
  engine!.checkpoint();
  node.settle();
  const { arena } = engine!.context;
  while (arena.onShortage());
  const extents: number[] = [];
  for (let i = 0; i < 2; i++) extents.push(arena.allocate(64 * 1024));
  for (let bytes = arena.blockSizeMax; bytes >= 4096; bytes /= 2) {
    while (arena.allocate(bytes) >= 0);
  }
  let served = 0;
  const ask = (waitsForMemory: boolean): LogRead => {
    const read = new LogRead({ complete: () => served++ });
    read.maxBytes = 4 * size;
    read.limitOffset = log.endOffset;
    read.waitsForMemory = waitsForMemory;
    if (log.read(read)) served++;
    node.settle();
    return read;
  };
  const impatient = ask(false);
  assert.equal(served, 1);
  assert.deepEqual([impatient.lacksMemory, impatient.error, impatient.bytesTotal], [true, 0, 0]);
  impatient.release();
  const patient = ask(true);
  assert.equal(served, 1);
  assert.equal(engine!.stats().pinnedBytes, 0);
  arena.release(extents.pop()!);
  node.settle();
  assert.equal(served, 2);
  assert.deepEqual([patient.lacksMemory, patient.error, patient.bytesTotal], [false, 0, size]);
  patient.release();
  arena.release(extents.pop()!);
  // As if they were evicted in between, two extents find memory.
  for (const waitsForMemory of [false, true]) {
    while (arena.onShortage());
    const read = ask(waitsForMemory);
    assert.deepEqual([read.lacksMemory, read.error, read.bytesTotal], [false, 0, 2 * size]);
    read.release();
  }
  assert.equal(served, 4);
});

Deno.test("behind a first extent for which there is no memory, a read that does not wait loads nothing", () => {
  const node = new TestNode({ seed: 4 });
  assert.equal(node.mount(1), true);
  const [engine] = node.engines;
  const log = engine!.createLog({
    groupId: 1,
    incarnation: 1,
    name: "orders-0",
    segmentLimits: { ...TEST_LIMITS, segmentBytes: 2 ** 20 },
    listener: null,
  });
  log.appendMeta(MetaKind.NO_OP, 1, NO_PAYLOAD);
  for (const valueBytes of [100_000, 20_000, 20_000, 20_000]) {
    const batch = { recordCount: 1, valueBytes, fill: 9, timestampMs: 5 };
    const size = writeSampleBatch(node.memory, node.crc32c, 0, batch);
    while (log.append(0, size, 1, node.nowMs) < 0) node.settle();
    node.settle();
    engine!.checkpoint();
    node.settle();
  }
  const { arena } = engine!.context;
  while (arena.onShortage());
  const room = arena.allocate(64 * 1024);
  for (let bytes = arena.blockSizeMax; bytes >= 4096; bytes /= 2) {
    while (arena.allocate(bytes) >= 0);
  }
  arena.release(room);
  const { cacheMisses } = engine!.stats();
  const read = new LogRead({ complete: () => {} });
  read.maxBytes = 200_000;
  read.limitOffset = log.endOffset;
  read.waitsForMemory = false;
  for (let round = 0; round < 5; round++) {
    log.read(read);
    node.settle();
    assert.deepEqual([read.lacksMemory, read.bytesTotal], [true, 0]);
  }
  assert.equal(engine!.stats().cacheMisses, cacheMisses);
});

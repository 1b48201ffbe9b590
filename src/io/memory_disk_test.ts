import { strict as assert } from "node:assert";
import { Xoshiro128 } from "../base/prng.ts";
import { type Memory, wrapMemory } from "../bytes/memory.ts";
import { BLOCK_SIZE } from "./disk.ts";
import { testDisk } from "./disk_suite.ts";
import { EIO, ENOENT, ENOSPC } from "./errno.ts";
import { MemoryDisk } from "./memory_disk.ts";
import { io, runTask, type Task } from "./task.ts";

for (const seed of [1, 2, 3]) {
  testDisk(`memory disk, seed ${seed}`, () => {
    const memory = wrapMemory(new ArrayBuffer(256 * 1024));
    const disk = new MemoryDisk({ memory, random: new Xoshiro128(seed) });
    return { disk, memory, scratchAddress: 0, run: () => disk.run(), close: () => {} };
  });
}

interface Life {
  memory: Memory;
  disk: MemoryDisk;
}

function newLife(seed: number, capacityBytes?: number): Life {
  const memory = wrapMemory(new ArrayBuffer(64 * 1024));
  const random = new Xoshiro128(seed);
  const options = { memory, random, ...(capacityBytes === undefined ? {} : { capacityBytes }) };
  return { memory, disk: new MemoryDisk(options) };
}

function finish<T>(disk: MemoryDisk, task: Task<T>): T {
  let result: { value: T } | null = null;
  runTask(task, (value) => result = { value });
  disk.run();
  assert.ok(result !== null, "task did not finish");
  return (result as { value: T }).value;
}

function* openSynced(disk: MemoryDisk, path: string): Task<number> {
  const handle = yield* io((done) => disk.open(path, true, done));
  yield* io((done) => disk.syncDirectory("", done));
  return handle;
}

const noCare = { complete: () => {} };

Deno.test("a crash keeps all that was synced, and tears what was not", () => {
  const outcomes = { kept: 0, lost: 0, torn: 0 };
  for (let seed = 0; seed < 300; seed++) {
    const { memory, disk } = newLife(seed);
    const handle = finish(disk, openSynced(disk, "file"));
    memory.bytes.fill(1, 0, BLOCK_SIZE);
    finish(disk, io((done) => disk.write(handle, 0, 0, BLOCK_SIZE, true, done)));
    memory.bytes.fill(2, 0, 2 * BLOCK_SIZE);
    finish(disk, io((done) => disk.write(handle, BLOCK_SIZE, 0, BLOCK_SIZE, false, done)));
    finish(disk, io((done) => disk.sync(handle, done)));
    memory.bytes.fill(3, 0, BLOCK_SIZE);
    finish(disk, io((done) => disk.write(handle, BLOCK_SIZE, 0, BLOCK_SIZE, false, done)));
    disk.crash();
    const next = disk.restart();
    const again = finish(next, io((done) => next.open("file", false, done)));
    assert.equal(
      finish(next, io((done) => next.read(again, 0, 0, 2 * BLOCK_SIZE, done))),
      2 * BLOCK_SIZE,
    );
    assert.ok(memory.bytes.subarray(0, BLOCK_SIZE).every((byte) => byte === 1));
    const second = memory.bytes.subarray(BLOCK_SIZE, 2 * BLOCK_SIZE);
    assert.ok(second.every((byte) => byte === 2 || byte === 3));
    if (second.every((byte) => byte === 3)) outcomes.kept++;
    else if (second.every((byte) => byte === 2)) outcomes.lost++;
    else outcomes.torn++;
  }
  assert.ok(outcomes.kept > 50 && outcomes.lost > 50 && outcomes.torn > 50);
});

Deno.test("a name is volatile until its directory is synced", () => {
  let survived = 0;
  for (let seed = 0; seed < 100; seed++) {
    const { disk } = newLife(seed);
    finish(disk, openSynced(disk, "old"));
    finish(disk, io((done) => disk.open("new", true, done)));
    finish(disk, io((done) => disk.unlink("old", done)));
    disk.crash();
    const names = disk.restart().list("")!;
    // The unlink came after the creation in the same directory: never the one without the other.
    assert.ok(["old", "new,old", "new"].includes(names.join()), names.join());
    if (names.includes("new")) survived++;
  }
  assert.ok(survived > 20 && survived < 80);
});

Deno.test("after a crash nothing completes, and old handles are dead", () => {
  const { disk } = newLife(5);
  const handle = finish(disk, openSynced(disk, "file"));
  let completed = 0;
  disk.sync(handle, { complete: () => completed++ });
  disk.crash();
  disk.run();
  disk.sync(handle, { complete: () => completed++ });
  disk.run();
  assert.equal(completed, 0);
  const next = disk.restart();
  assert.notEqual(finish(next, io((done) => next.sync(handle, done))), 0);
});

Deno.test("crashAfterOps stops at every boundary", () => {
  const script = function* (disk: MemoryDisk): Task<void> {
    const handle = yield* io((done) => disk.open("file", true, done));
    yield* io((done) => disk.write(handle, 0, 0, BLOCK_SIZE, true, done));
    yield* io((done) => disk.syncDirectory("", done));
  };
  for (let count = 0; count <= 3; count++) {
    const { disk } = newLife(count);
    let done = false;
    disk.crashAfterOps(count);
    runTask(script(disk), () => done = true);
    disk.run();
    assert.equal(done, count === 3);
    assert.equal(disk.crashed, count < 3);
    assert.equal(disk.operations, count);
  }
});

Deno.test("a durable write in flight at the crash is torn, a completed one never", () => {
  let torn = 0;
  for (let seed = 0; seed < 200; seed++) {
    const { memory, disk } = newLife(seed);
    const handle = finish(disk, openSynced(disk, "file"));
    finish(disk, io((done) => disk.write(handle, 0, 0, 2 * BLOCK_SIZE, true, done)));
    memory.bytes.fill(9, 0, 2 * BLOCK_SIZE);
    disk.write(handle, 0, 0, 2 * BLOCK_SIZE, true, noCare);
    disk.crash();
    const next = disk.restart();
    const again = finish(next, io((done) => next.open("file", false, done)));
    finish(next, io((done) => next.read(again, 0, 0, 2 * BLOCK_SIZE, done)));
    const nines = memory.bytes.subarray(0, 2 * BLOCK_SIZE).filter((byte) => byte === 9).length;
    if (nines > 0 && nines < 2 * BLOCK_SIZE) torn++;
  }
  assert.ok(torn > 10, `${torn}`);
});

Deno.test("injected faults hit the operation they name", () => {
  const { memory, disk } = newLife(7);
  const handle = finish(disk, openSynced(disk, "file"));
  const write = (position: number): number =>
    finish(disk, io((done) => disk.write(handle, position, 0, BLOCK_SIZE, true, done)));
  disk.inject({ operation: "write", nth: 2, path: "file", fault: { kind: "error", errno: EIO } });
  assert.equal(write(0), BLOCK_SIZE);
  assert.equal(write(0), -EIO);
  assert.equal(write(0), BLOCK_SIZE);
  disk.inject({ operation: "write", nth: 1, fault: { kind: "short", bytes: 512 } });
  assert.equal(write(0), 512);
  memory.bytes.fill(8, 0, BLOCK_SIZE);
  disk.inject({ operation: "write", nth: 1, fault: { kind: "lost" } });
  assert.equal(write(0), BLOCK_SIZE);
  disk.inject({ operation: "write", nth: 1, fault: { kind: "misdirected", shiftBytes: 4096 } });
  assert.equal(write(0), BLOCK_SIZE);
  finish(disk, io((done) => disk.read(handle, 0, 8192, 2 * BLOCK_SIZE, done)));
  assert.equal(memory.bytes[8192], 0);
  assert.equal(memory.bytes[8192 + BLOCK_SIZE], 8);
  disk.flipBit("file", BLOCK_SIZE + 17, 3);
  finish(disk, io((done) => disk.read(handle, BLOCK_SIZE, 8192, BLOCK_SIZE, done)));
  assert.equal(memory.bytes[8192 + 17], 0);
  assert.equal(memory.bytes[8192 + 18], 8);
  disk.inject({ operation: "sync", nth: 1, path: "other", fault: { kind: "error", errno: EIO } });
  assert.equal(finish(disk, io((done) => disk.sync(handle, done))), 0);
});

Deno.test("a full disk refuses, and unlink and truncate free", () => {
  const { disk } = newLife(8, 4 * BLOCK_SIZE);
  const a = finish(disk, openSynced(disk, "a"));
  const b = finish(disk, openSynced(disk, "b"));
  const write = (handle: number, position: number): number =>
    finish(disk, io((done) => disk.write(handle, position, 0, BLOCK_SIZE, false, done)));
  assert.equal(finish(disk, io((done) => disk.allocate(a, 0, 3 * BLOCK_SIZE, done))), 0);
  assert.equal(disk.freeBytes(), BLOCK_SIZE);
  assert.equal(write(b, 0), BLOCK_SIZE);
  assert.equal(write(b, BLOCK_SIZE), -ENOSPC);
  assert.equal(write(a, 2 * BLOCK_SIZE), BLOCK_SIZE);
  assert.equal(finish(disk, io((done) => disk.allocate(b, 0, 2 * BLOCK_SIZE, done))), -ENOSPC);
  finish(disk, io((done) => disk.truncate(a, BLOCK_SIZE, done)));
  assert.equal(write(b, BLOCK_SIZE), BLOCK_SIZE);
  finish(disk, io((done) => disk.close(b, done)));
  finish(disk, io((done) => disk.unlink("b", done)));
  assert.equal(disk.freeBytes(), 3 * BLOCK_SIZE);
  assert.equal(disk.size("b"), -ENOENT);
});

Deno.test("virtual time delivers in order, and slow operations late", () => {
  const memory = wrapMemory(new ArrayBuffer(64 * 1024));
  const random = new Xoshiro128(1);
  const disk = new MemoryDisk({ memory, random, latencyMs: { min: 1, max: 2 } });
  const order: string[] = [];
  disk.inject({ operation: "open", nth: 1, fault: { kind: "slow", delayMs: 50 } });
  disk.open("slow", true, { complete: () => order.push("slow") });
  disk.open("fast", true, { complete: () => order.push("fast") });
  disk.advance(0.5);
  assert.deepEqual(order, []);
  assert.ok(disk.nextDueMs() >= 1 && disk.nextDueMs() <= 2);
  disk.advance(10);
  assert.deepEqual(order, ["fast"]);
  disk.advance(60);
  assert.deepEqual(order, ["fast", "slow"]);
});

Deno.test("equal seeds give equal traces, other seeds other orders", () => {
  const trace = (seed: number): number => {
    const { disk } = newLife(seed);
    const handle = finish(disk, openSynced(disk, "file"));
    for (let i = 0; i < 8; i++) disk.write(handle, i * BLOCK_SIZE, 0, BLOCK_SIZE, false, noCare);
    disk.run();
    return disk.traceHash;
  };
  assert.equal(trace(1), trace(1));
  assert.notEqual(trace(1), trace(2));
});

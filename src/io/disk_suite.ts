/**
 * What every {@linkcode Disk} does, as tests: run on the simulator's disk and on io_uring's.
 *
 * Crashes and faults are not part of it; they belong to the simulator alone.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { crc32cOfBytes } from "../bytes/crc32c.ts";
import type { Memory } from "../bytes/memory.ts";
import { BLOCK_SIZE, type Disk } from "./disk.ts";
import { EEXIST, ENOENT, ENOTEMPTY } from "./errno.ts";
import { all, io, runTask, type Task } from "./task.ts";

/** One disk under test, on an empty data directory. */
export interface DiskUnderTest {
  readonly disk: Disk;
  readonly memory: Memory;
  /** Start of 256 KiB of the region, aligned to the block, for the suite alone. */
  readonly scratchAddress: number;
  /** Delivers completions until nothing is in flight; every wait bounded. */
  run(): void;
  close(): void;
}

/** Registers the suite's tests under `name`. */
export function testDisk(name: string, make: () => DiskUnderTest): void {
  const test = (rule: string, body: (t: DiskUnderTest) => Task<void>): void => {
    Deno.test(`${name}: ${rule}`, () => {
      const underTest = make();
      try {
        let finished = false;
        runTask(body(underTest), () => finished = true);
        underTest.run();
        assert.ok(finished, "the disk went idle before the test ended");
      } finally {
        underTest.close();
      }
    });
  };

  test("an operation never completes inside its call", function* ({ disk }) {
    let inside = true;
    let early = false;
    yield (resume) => {
      disk.open("file", true, {
        complete: (result) => {
          early = inside;
          resume(result);
        },
      });
      inside = false;
    };
    assert.equal(early, false);
  });

  test("what is written is read back", function* ({ disk, memory, scratchAddress: at }) {
    const handle = yield* io((done) => disk.open("file", true, done));
    assert.ok(handle >= 0);
    for (const durable of [false, true]) {
      fill(memory, at, 3 * BLOCK_SIZE, durable ? 7 : 11);
      const position = durable ? 3 * BLOCK_SIZE : 0;
      const length = 3 * BLOCK_SIZE;
      const written = yield* io((done) => disk.write(handle, position, at, length, durable, done));
      assert.equal(written, length);
    }
    assert.equal(yield* io((done) => disk.sync(handle, done)), 0);
    assert.equal(disk.size("file"), 6 * BLOCK_SIZE);
    const target = at + 16 * BLOCK_SIZE;
    const length = 6 * BLOCK_SIZE;
    assert.equal(yield* io((done) => disk.read(handle, 0, target, length, done)), length);
    assert.ok(holds(memory, target, 3 * BLOCK_SIZE, 11));
    assert.ok(holds(memory, target + 3 * BLOCK_SIZE, 3 * BLOCK_SIZE, 7));
    assert.equal(yield* io((done) => disk.close(handle, done)), 0);
  });

  test("a read past the end gives fewer bytes", function* ({ disk, memory, scratchAddress: at }) {
    const handle = yield* io((done) => disk.open("file", true, done));
    fill(memory, at, BLOCK_SIZE, 3);
    yield* io((done) => disk.write(handle, 0, at, BLOCK_SIZE, true, done));
    const two = 2 * BLOCK_SIZE;
    assert.equal(yield* io((done) => disk.read(handle, 0, at, two, done)), BLOCK_SIZE);
    assert.equal(yield* io((done) => disk.read(handle, BLOCK_SIZE, at, two, done)), 0);
    yield* io((done) => disk.close(handle, done));
  });

  test("a hole reads as zeros", function* ({ disk, memory, scratchAddress: at }) {
    const handle = yield* io((done) => disk.open("file", true, done));
    fill(memory, at, 2 * BLOCK_SIZE, 5);
    yield* io((done) => disk.write(handle, BLOCK_SIZE, at, BLOCK_SIZE, false, done));
    yield* io((done) => disk.read(handle, 0, at, 2 * BLOCK_SIZE, done));
    assert.ok(memory.bytes.subarray(at, at + BLOCK_SIZE).every((byte) => byte === 0));
    assert.ok(holds(memory, at + BLOCK_SIZE, BLOCK_SIZE, 5));
    yield* io((done) => disk.close(handle, done));
  });

  test("a sealed write stores each block's CRC", function* ({ disk, memory, scratchAddress: at }) {
    const handle = yield* io((done) => disk.open("file", true, done));
    const length = 2 * BLOCK_SIZE;
    fill(memory, at, length, 9);
    assert.equal(yield* io((done) => disk.writeSealed(handle, 0, at, length, done)), length);
    const target = at + length;
    yield* io((done) => disk.read(handle, 0, target, length, done));
    for (const start of [at, at + BLOCK_SIZE, target, target + BLOCK_SIZE]) {
      const crc = crc32cOfBytes(memory.bytes, start + 4, start + BLOCK_SIZE, 0);
      assert.equal(memory.view.getUint32(start, true), crc);
    }
    yield* io((done) => disk.close(handle, done));
  });

  test("many operations may be in flight", function* ({ disk, memory, scratchAddress: at }) {
    const handle = yield* io((done) => disk.open("file", true, done));
    const blocks = Array.from({ length: 24 }, (_, i) => i);
    for (const i of blocks) fill(memory, at + i * BLOCK_SIZE, BLOCK_SIZE, i);
    const writes = yield* all(
      blocks.map((i) =>
        io((done) => {
          disk.write(handle, i * BLOCK_SIZE, at + i * BLOCK_SIZE, BLOCK_SIZE, i % 3 === 0, done);
        })
      ),
      24,
    );
    assert.ok(writes.every((result) => result === BLOCK_SIZE));
    const target = at + 32 * BLOCK_SIZE;
    yield* io((done) => disk.read(handle, 0, target, 24 * BLOCK_SIZE, done));
    for (const i of blocks) assert.ok(holds(memory, target + i * BLOCK_SIZE, BLOCK_SIZE, i));
    yield* io((done) => disk.close(handle, done));
  });

  test("truncate cuts and extends", function* ({ disk, memory, scratchAddress: at }) {
    const handle = yield* io((done) => disk.open("file", true, done));
    fill(memory, at, 4 * BLOCK_SIZE, 1);
    yield* io((done) => disk.write(handle, 0, at, 4 * BLOCK_SIZE, false, done));
    assert.equal(yield* io((done) => disk.truncate(handle, BLOCK_SIZE, done)), 0);
    assert.equal(disk.size("file"), BLOCK_SIZE);
    assert.equal(yield* io((done) => disk.truncate(handle, 3 * BLOCK_SIZE, done)), 0);
    assert.equal(disk.size("file"), 3 * BLOCK_SIZE);
    yield* io((done) => disk.read(handle, 0, at, 3 * BLOCK_SIZE, done));
    assert.ok(holds(memory, at, BLOCK_SIZE, 1));
    assert.ok(memory.bytes.subarray(at + BLOCK_SIZE, at + 3 * BLOCK_SIZE).every((b) => b === 0));
    yield* io((done) => disk.close(handle, done));
  });

  test("allocate does not change the size", function* ({ disk, memory, scratchAddress: at }) {
    const handle = yield* io((done) => disk.open("file", true, done));
    assert.equal(yield* io((done) => disk.allocate(handle, 0, 64 * BLOCK_SIZE, done)), 0);
    assert.equal(disk.size("file"), 0);
    fill(memory, at, BLOCK_SIZE, 2);
    yield* io((done) => disk.write(handle, 0, at, BLOCK_SIZE, true, done));
    assert.equal(disk.size("file"), BLOCK_SIZE);
    yield* io((done) => disk.close(handle, done));
  });

  test("names are made, listed, renamed and removed", function* ({ disk }) {
    assert.equal(yield* io((done) => disk.makeDirectory("topics", done)), 0);
    assert.equal(yield* io((done) => disk.makeDirectory("topics", done)), -EEXIST);
    assert.deepEqual(disk.list("topics"), []);
    assert.equal(disk.list("nothing"), -ENOENT);
    for (const name of ["topics/b", "topics/a"]) {
      const handle = yield* io((done) => disk.open(name, true, done));
      yield* io((done) => disk.close(handle, done));
    }
    assert.deepEqual(disk.list("topics"), ["a", "b"]);
    assert.equal(yield* io((done) => disk.removeDirectory("topics", done)), -ENOTEMPTY);
    assert.equal(yield* io((done) => disk.rename("topics/a", "topics/b", done)), 0);
    assert.deepEqual(disk.list("topics"), ["b"]);
    assert.equal(yield* io((done) => disk.syncDirectory("topics", done)), 0);
    assert.equal(yield* io((done) => disk.unlink("topics/b", done)), 0);
    assert.equal(yield* io((done) => disk.unlink("topics/b", done)), -ENOENT);
    assert.equal(yield* io((done) => disk.removeDirectory("topics", done)), 0);
    assert.equal(disk.list("topics"), -ENOENT);
    assert.equal(yield* io((done) => disk.syncFileSystem(done)), 0);
  });

  test("a missing file is ENOENT", function* ({ disk }) {
    assert.equal(yield* io((done) => disk.open("nothing", false, done)), -ENOENT);
    assert.equal(yield* io((done) => disk.open("no/where", true, done)), -ENOENT);
    assert.equal(yield* io((done) => disk.rename("nothing", "else", done)), -ENOENT);
    assert.equal(disk.size("nothing"), -ENOENT);
  });

  test("an unlinked file lives while it is open", function* ({
    disk,
    memory,
    scratchAddress: at,
  }) {
    const handle = yield* io((done) => disk.open("file", true, done));
    fill(memory, at, BLOCK_SIZE, 4);
    yield* io((done) => disk.write(handle, 0, at, BLOCK_SIZE, true, done));
    assert.equal(yield* io((done) => disk.unlink("file", done)), 0);
    assert.deepEqual(disk.list(""), []);
    assert.equal(
      yield* io((done) => disk.read(handle, 0, at + BLOCK_SIZE, BLOCK_SIZE, done)),
      BLOCK_SIZE,
    );
    assert.ok(holds(memory, at + BLOCK_SIZE, BLOCK_SIZE, 4));
    yield* io((done) => disk.close(handle, done));
  });

  test("space is reported", function* ({ disk }) {
    assert.ok(disk.freeBytes() > 0 && disk.freeBytes() <= disk.totalBytes());
    yield* io((done) => disk.syncFileSystem(done));
  });
}

/** Bytes that differ by place and by `salt`. */
function fill(memory: Memory, address: number, length: number, salt: number): void {
  for (let i = 0; i < length; i++) memory.bytes[address + i] = (i * 31 + (i >> 9) + salt) & 0xff;
}

function holds(memory: Memory, address: number, length: number, salt: number): boolean {
  for (let i = 0; i < length; i++) {
    if (memory.bytes[address + i] !== ((i * 31 + (i >> 9) + salt) & 0xff)) return false;
  }
  return true;
}

import { strict as assert } from "node:assert";
import { Xoshiro128 } from "../base/prng.ts";
import { wrapMemory } from "../bytes/memory.ts";
import type { Completion } from "./completion.ts";
import { BLOCK_SIZE } from "./disk.ts";
import { testDisk } from "./disk_suite.ts";
import { EDQUOT, EIO, EMFILE, ENOENT, ENOMEM, ENOSPC } from "./errno.ts";
import { type DiskOperation, MemoryDisk } from "./memory_disk.ts";
import { DISK_OPERATIONS, failOnce, PASSING_ERRNOS, TestPatience } from "./test_patience.ts";

class Scene {
  readonly memory = wrapMemory(new ArrayBuffer(256 * 1024));
  readonly below = new MemoryDisk({ memory: this.memory, random: new Xoshiro128(3) });
  nowMs = 0;
  readonly patience = new TestPatience(() => this.nowMs);
  readonly disk = this.patience.wrap(this.below);
  readonly hiccups = this.patience.hiccups;
  readonly over = this.patience.over;

  fail(operation: DiskOperation, errno: number, nth = 1): void {
    failOnce(this.below, operation, errno, nth);
  }

  /** Until nothing is in flight and nothing waits. */
  run(): void {
    for (let i = 0; i < 10_000; i++) {
      this.below.run();
      const { nextMs } = this.patience;
      if (nextMs === Infinity) return;
      this.nowMs = nextMs;
      this.patience.run();
    }
    assert.fail("an operation is tried again for ever");
  }
}

testDisk("patient disk", () => {
  const scene = new Scene();
  for (const operation of DISK_OPERATIONS) {
    for (const [i, errno] of PASSING_ERRNOS.entries()) scene.fail(operation, errno, i + 1);
  }
  const { disk, memory } = scene;
  return { disk, memory, scratchAddress: 0, run: () => scene.run(), close: () => {} };
});

Deno.test("a hiccup is reported once, however many operations wait, and again when all have continued", () => {
  const scene = new Scene();
  for (let nth = 1; nth <= 9; nth++) scene.fail("open", EMFILE, nth);
  const results: number[] = [];
  for (const name of ["a", "b", "c"]) {
    scene.disk.open(name, true, { complete: (result) => results.push(result) });
  }
  scene.run();
  assert.equal(results.filter((handle) => handle > 0).length, 3);
  assert.equal(scene.hiccups.length, 1);
  assert.match(scene.hiccups[0]!.reason, /ulimit -n/);
  assert.ok(["a", "b", "c"].includes(scene.hiccups[0]!.file));
  assert.deepEqual(scene.over, [9]);
  // A second one directly after it is the same trouble.
  scene.fail("open", EMFILE);
  scene.disk.open("d", true, { complete: (result) => results.push(result) });
  scene.run();
  assert.equal(scene.hiccups.length, 1);
  scene.nowMs += 60_000;
  scene.fail("open", ENOMEM);
  scene.disk.open("e", true, { complete: (result) => results.push(result) });
  scene.run();
  assert.equal(scene.hiccups.length, 2);
  assert.equal(scene.over.length, 2);
});

Deno.test("transfers that end short are gone on with, at whatever byte they were cut", () => {
  const blocks = 5;
  const length = blocks * BLOCK_SIZE;
  const target = 2 * length;
  for (const bytes of [1, 512, 4095, 4096, 6000, 8192, 3 * 4096 + 1]) {
    for (const sealed of [false, true]) {
      const scene = new Scene();
      const { disk, memory } = scene;
      for (let i = 0; i < length; i++) memory.bytes[i] = (i * 31 + (i >> 8)) & 0xff;
      const handle = resultOf(scene, (done) => disk.open("file", true, done));
      const fault = { kind: "short", bytes } as const;
      // Those that move no whole block come singly, the others each time.
      const count = bytes < BLOCK_SIZE ? 1 : Infinity;
      scene.below.inject({ operation: "write", nth: 1, count, fault });
      const written = resultOf(scene, (done) => {
        if (sealed) disk.writeSealed(handle, 0, 0, length, done);
        else disk.write(handle, 0, 0, length, true, done);
      });
      assert.equal(written, length, `write of ${bytes}`);
      scene.below.inject({ operation: "read", nth: 1, count, fault });
      const read = resultOf(scene, (done) => disk.read(handle, 0, target, 2 * length, done));
      assert.equal(read, length, `read of ${bytes}`);
      assert.deepEqual(
        memory.bytes.subarray(target, target + length),
        memory.bytes.subarray(0, length),
      );
      assert.equal(resultOf(scene, (done) => disk.read(handle, length, target, 4096, done)), 0);
      assert.deepEqual(scene.hiccups, []);
    }
  }
});

Deno.test("a read that is cut at the same byte twice has not met the end of the file", () => {
  const scene = new Scene();
  const { disk, memory } = scene;
  const length = 3 * BLOCK_SIZE;
  memory.bytes.fill(7, 0, length);
  const handle = resultOf(scene, (done) => disk.open("file", true, done));
  assert.equal(resultOf(scene, (done) => disk.write(handle, 0, 0, length, true, done)), length);
  for (const bytes of [[700, 700, 700], [5000, 100, 100], [4096, 1, 4095]]) {
    for (const [i, one] of bytes.entries()) {
      const fault = { kind: "short", bytes: one } as const;
      scene.below.inject({ operation: "read", nth: i + 1, fault });
    }
    const read = resultOf(scene, (done) => disk.read(handle, 0, length, length, done));
    assert.equal(read, length, bytes.join());
  }
  assert.equal(resultOf(scene, (done) => disk.truncate(handle, 5000, done)), 0);
  assert.equal(resultOf(scene, (done) => disk.read(handle, 0, length, length, done)), 5000);
});

Deno.test("a write that never completes a block is an error, and one that meets a full disk says so", () => {
  const scene = new Scene();
  const { disk } = scene;
  const handle = resultOf(scene, (done) => disk.open("file", true, done));
  const write = (done: Completion) => disk.write(handle, 0, 0, 3 * BLOCK_SIZE, true, done);
  const short = { kind: "short", bytes: 512 } as const;
  scene.below.inject({ operation: "write", nth: 1, count: 100, fault: short });
  assert.equal(resultOf(scene, write), -EIO);
  const full = new Scene();
  const fullHandle = resultOf(full, (done) => full.disk.open("file", true, done));
  const half = { kind: "short", bytes: BLOCK_SIZE } as const;
  full.below.inject({ operation: "write", nth: 1, fault: half });
  full.fail("write", ENOSPC, 2);
  const written = resultOf(full, (done) => {
    full.disk.write(fullHandle, 0, 0, 3 * BLOCK_SIZE, true, done);
  });
  assert.equal(written, -ENOSPC);
});

function resultOf(scene: Scene, start: (done: Completion) => void): number {
  const results: number[] = [];
  start({ complete: (result) => void results.push(result) });
  scene.run();
  assert.equal(results.length, 1);
  return results[0]!;
}

Deno.test("damage is answered at once, and a full quota as a full disk", () => {
  const scene = new Scene();
  const results: number[] = [];
  const done = { complete: (result: number) => void results.push(result) };
  scene.disk.open("nothing", false, done);
  scene.below.run();
  scene.fail("syncFileSystem", EIO);
  scene.disk.syncFileSystem(done);
  scene.below.run();
  scene.fail("makeDirectory", EDQUOT);
  scene.disk.makeDirectory("full", done);
  scene.below.run();
  assert.deepEqual(results, [-ENOENT, -EIO, -ENOSPC]);
  assert.deepEqual(scene.hiccups, []);
});

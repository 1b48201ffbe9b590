import { strict as assert } from "node:assert";
import { Xoshiro128 } from "../base/prng.ts";
import { wrapMemory } from "../bytes/memory.ts";
import { testDisk } from "./disk_suite.ts";
import {
  EAGAIN,
  ECANCELED,
  EDQUOT,
  EINTR,
  EIO,
  EMFILE,
  ENFILE,
  ENOENT,
  ENOMEM,
  ENOSPC,
} from "./errno.ts";
import { type DiskOperation, MemoryDisk } from "./memory_disk.ts";
import { type DiskHiccup, PatientDisk } from "./patient_disk.ts";
import { Timer, Timers } from "./timers.ts";

const OPERATIONS: readonly DiskOperation[] = [
  "open",
  "read",
  "write",
  "sync",
  "syncFileSystem",
  "syncDirectory",
  "allocate",
  "truncate",
  "rename",
  "unlink",
  "makeDirectory",
  "removeDirectory",
];
const PASSING = [EINTR, EAGAIN, ENOMEM, ENFILE, EMFILE, ECANCELED];

class Scene {
  readonly memory = wrapMemory(new ArrayBuffer(256 * 1024));
  readonly below = new MemoryDisk({ memory: this.memory, random: new Xoshiro128(3) });
  readonly hiccups: DiskHiccup[] = [];
  readonly over: number[] = [];
  readonly #timers = new Timers();
  nowMs = 0;
  readonly disk = new PatientDisk(this.below, {
    later: (delayMs, again) => this.#timers.schedule(new Timer(again), this.nowMs + delayMs),
    nowMs: () => this.nowMs,
    onHiccup: (hiccup) => this.hiccups.push(hiccup),
    onOver: (_tookMs, retries) => this.over.push(retries),
  });

  fail(operation: DiskOperation, errno: number, nth = 1): void {
    this.below.inject({ operation, nth, fault: { kind: "error", errno } });
  }

  /** Until nothing is in flight and nothing waits. */
  run(): void {
    for (let i = 0; i < 10_000; i++) {
      this.below.run();
      const nextMs = this.#timers.nextDeadlineMs();
      if (nextMs === Infinity) return;
      this.nowMs = nextMs;
      this.#timers.run(nextMs);
    }
    assert.fail("an operation is tried again for ever");
  }
}

testDisk("patient disk", () => {
  const scene = new Scene();
  for (const operation of OPERATIONS) {
    for (const [i, errno] of PASSING.entries()) scene.fail(operation, errno, i + 1);
  }
  const { disk, memory } = scene;
  return { disk, memory, scratchAddress: 0, run: () => scene.run(), close: () => {} };
});

Deno.test("a hiccup is told once, however many operations wait, and again when all have gone on", () => {
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
  // A second one right behind it is the same trouble.
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

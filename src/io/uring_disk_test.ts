import { strict as assert } from "node:assert";
import { crc32cOfBytes } from "../bytes/crc32c.ts";
import { BLOCK_SIZE, namesIn } from "./disk.ts";
import { testDisk } from "./disk_suite.ts";
import { EFAULT, EINVAL, EIO } from "./errno.ts";
import { clearFault, setFault } from "./faults.ts";
import type { Uring } from "./uring.ts";
import { setDataDirectory, UringDisk } from "./uring_disk.ts";
import { finish, openTestRing, testMemory, testShim, Told, turnUntil } from "./uring_fixture.ts";
import { Op } from "./uring_ops.ts";

const FAULT_SLOT = 0;

interface DiskOfTest extends Disposable {
  ring: Uring;
  disk: UringDisk;
}

/** A disk on a directory of its own, which goes away with it. */
function openTestDisk(): DiskOfTest {
  const ring = openTestRing();
  const root = Deno.makeTempDirSync({ prefix: "gregor-disk-" });
  assert.equal(setDataDirectory(testShim(), root), 0);
  return {
    ring,
    disk: new UringDisk(ring, root),
    [Symbol.dispose]: () => {
      ring.dispose();
      Deno.removeSync(root, { recursive: true });
    },
  };
}

testDisk("uring disk", () => {
  const { ring, disk, [Symbol.dispose]: dispose } = openTestDisk();
  const run = (): void => {
    const deadline = performance.now() + 10_000;
    while (ring.pending > 0) {
      assert(performance.now() < deadline, "operations still in flight after 10 s");
      ring.turn(10_000, 0);
    }
  };
  return { disk, memory: testMemory(), scratchAddress: 0, run, close: dispose };
});

Deno.test("UringDisk refuses names outside the data directory", () => {
  using test = openTestDisk();
  const { ring, disk } = test;
  for (const path of ["/etc/passwd", "../x", "a/../../x", "a/..", "", "a\0b"]) {
    assert.equal(finish(ring, (done) => disk.open(path, true, done)), -EINVAL, path);
  }
});

Deno.test("UringDisk refuses ranges outside the region and unaligned ones", () => {
  using test = openTestDisk();
  const { ring, disk } = test;
  const handle = finish(ring, (done) => disk.open("file", true, done));
  const write = (position: number, address: number, length: number): number =>
    finish(ring, (done) => disk.write(handle, position, address, length, false, done));
  const size = testMemory().bytes.length;
  assert.equal(write(0, size - BLOCK_SIZE, BLOCK_SIZE), BLOCK_SIZE);
  assert.equal(write(0, size, BLOCK_SIZE), -EFAULT);
  assert.equal(write(0, size - BLOCK_SIZE, 2 * BLOCK_SIZE), -EFAULT);
  assert.equal(write(0, -BLOCK_SIZE, BLOCK_SIZE), -EFAULT);
  assert.equal(write(0, NaN, BLOCK_SIZE), -EFAULT);
  assert.equal(write(-BLOCK_SIZE, 0, BLOCK_SIZE), -EINVAL);
  assert.equal(write(1, 0, BLOCK_SIZE), -EINVAL);
  finish(ring, (done) => disk.close(handle, done));
});

Deno.test("UringDisk keeps positions beyond 4 GiB apart", () => {
  using test = openTestDisk();
  const { ring, disk } = test;
  const { bytes } = testMemory();
  const handle = finish(ring, (done) => disk.open("sparse", true, done));
  const far = 5 * 2 ** 32 + BLOCK_SIZE;
  bytes.fill(1, 0, BLOCK_SIZE);
  bytes.fill(2, BLOCK_SIZE, 2 * BLOCK_SIZE);
  finish(ring, (done) => disk.write(handle, BLOCK_SIZE, 0, BLOCK_SIZE, false, done));
  finish(ring, (done) => disk.write(handle, far, BLOCK_SIZE, BLOCK_SIZE, true, done));
  assert.equal(disk.size("sparse"), far + BLOCK_SIZE);
  finish(ring, (done) => disk.read(handle, BLOCK_SIZE, 4 * BLOCK_SIZE, BLOCK_SIZE, done));
  assert.equal(bytes[4 * BLOCK_SIZE], 1);
  finish(ring, (done) => disk.read(handle, far, 4 * BLOCK_SIZE, BLOCK_SIZE, done));
  assert.equal(bytes[4 * BLOCK_SIZE], 2);
  finish(ring, (done) => disk.close(handle, done));
});

Deno.test("UringDisk takes more operations than its tables hold", () => {
  using ring = openTestRing({ submissions: 8, completions: 16, ops: 8, dones: 8 });
  const root = Deno.makeTempDirSync({ prefix: "gregor-disk-" });
  assert.equal(setDataDirectory(testShim(), root), 0);
  const disk = new UringDisk(ring, root);
  const handle = finish(ring, (done) => disk.open("file", true, done));
  const { bytes } = testMemory();
  const count = 300;
  for (let i = 0; i < count; i++) bytes.fill(i & 0xff, i * BLOCK_SIZE, (i + 1) * BLOCK_SIZE);
  const written = new Told();
  for (let i = 0; i < count; i++) {
    disk.write(handle, i * BLOCK_SIZE, i * BLOCK_SIZE, BLOCK_SIZE, false, written);
  }
  turnUntil(ring, written, count);
  assert(written.results.every((result) => result === BLOCK_SIZE));
  const target = 16 << 20;
  const size = count * BLOCK_SIZE;
  assert.equal(finish(ring, (done) => disk.read(handle, 0, target, size, done)), size);
  for (let i = 0; i < count; i++) assert.equal(bytes[target + i * BLOCK_SIZE], i & 0xff);
  const opened = new Told();
  const long = "x".repeat(200);
  for (let i = 0; i < 500; i++) disk.open(long + i, true, opened);
  turnUntil(ring, opened, 500);
  assert(opened.results.every((fd) => fd >= 0));
  assert.equal(namesIn(disk, "").length, 501);
  for (const fd of opened.results) disk.close(fd, opened);
  disk.close(handle, opened);
  turnUntil(ring, opened, 1001);
  assert.equal(ring.pending, 0);
  Deno.removeSync(root, { recursive: true });
});

Deno.test("UringDisk faults: an error that acts, then passes", () => {
  using test = openTestDisk();
  const { ring, disk } = test;
  const handle = finish(ring, (done) => disk.open("file", true, done));
  const write = (): number =>
    finish(ring, (done) => disk.write(handle, 0, 0, 4 * BLOCK_SIZE, true, done));
  const fault = { opcodes: [Op.Write], ring: ring.index };
  setFault(testShim(), FAULT_SLOT, { ...fault, errno: EIO, skip: 1, count: 1 });
  assert.deepEqual([write(), write(), write()], [4 * BLOCK_SIZE, -EIO, 4 * BLOCK_SIZE]);
  assert.equal(clearFault(testShim(), FAULT_SLOT), 1);
  setFault(testShim(), FAULT_SLOT, { ...fault, short: true });
  assert.equal(write(), 2 * BLOCK_SIZE);
  clearFault(testShim(), FAULT_SLOT);
  const { bytes } = testMemory();
  bytes.fill(9, 0, BLOCK_SIZE);
  setFault(testShim(), FAULT_SLOT, { ...fault, errno: EIO, perform: true });
  assert.equal(write(), -EIO);
  clearFault(testShim(), FAULT_SLOT);
  bytes.fill(0, 0, BLOCK_SIZE);
  finish(ring, (done) => disk.read(handle, 0, 0, BLOCK_SIZE, done));
  assert.equal(bytes[17], 9, "the write was carried out though reported as failed");
  setFault(testShim(), FAULT_SLOT, { opcodes: [Op.SyncFileSystem], ring: ring.index, errno: EIO });
  assert.equal(finish(ring, (done) => disk.syncFileSystem(done)), -EIO);
  clearFault(testShim(), FAULT_SLOT);
  finish(ring, (done) => disk.close(handle, done));
});

Deno.test("UringDisk faults: a slow flush holds back its completion and nothing else", () => {
  using test = openTestDisk();
  const { ring, disk } = test;
  const handle = finish(ring, (done) => disk.open("file", true, done));
  const delayUs = 200_000;
  setFault(testShim(), FAULT_SLOT, { opcodes: [Op.Sync], ring: ring.index, delayUs });
  const synced = new Told();
  const start = performance.now();
  disk.sync(handle, synced);
  disk.sync(handle, synced);
  let others = 0;
  while (performance.now() - start < 10) {
    finish(ring, (done) => disk.read(handle, 0, 0, BLOCK_SIZE, done));
    others++;
  }
  assert(others > 0, `${others} other operations`);
  assert.equal(synced.count, 0);
  while (synced.count < 2 && performance.now() - start < 5000) ring.turn(1_000_000, 0);
  const elapsedMs = performance.now() - start;
  assert.deepEqual(synced.results, [0, 0]);
  assert(elapsedMs >= 200 && elapsedMs < 900, `${elapsedMs} ms: the sleep ends when it is due`);
  clearFault(testShim(), FAULT_SLOT);
  finish(ring, (done) => disk.close(handle, done));
});

Deno.test("the shim's CRC-32C equals the one in TypeScript and can be continued", () => {
  const { bytes } = testMemory();
  for (let i = 0; i < 9000; i++) bytes[i] = (i * 2654435761) >>> 24;
  for (const length of [0, 1, 3, 4, 63, 64, 255, 4092, 9000]) {
    const expected = crc32cOfBytes(bytes, 0, length, 0);
    const split = length >>> 1;
    assert.equal(testShim().gregor_crc32c(0, 0, length), expected);
    const head = testShim().gregor_crc32c(0, 0, split);
    assert.equal(testShim().gregor_crc32c(head, split, length - split), expected);
  }
});

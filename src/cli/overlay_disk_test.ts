import { strict as assert } from "node:assert";
import { wrapMemory } from "../bytes/memory.ts";
import { BLOCK_SIZE } from "../io/disk.ts";
import { ENOENT } from "../io/errno.ts";
import { io, type Task } from "../io/task.ts";
import { OverlayDisk } from "./overlay_disk.ts";

/** Runs `use` on a directory with `below` (one block and a half of 1s). */
function onDisk(use: (disk: OverlayDisk, bytes: Uint8Array) => Task<void>): void {
  const root = Deno.makeTempDirSync();
  const path = `${root}/logs/below`;
  const content = new Uint8Array(BLOCK_SIZE * 1.5).fill(1);
  Deno.mkdirSync(`${root}/logs`);
  Deno.writeFileSync(path, content);
  const memory = wrapMemory(new ArrayBuffer(8 * BLOCK_SIZE));
  const disk = new OverlayDisk(root, memory);
  try {
    disk.finish(use(disk, memory.bytes));
    assert.deepEqual(Deno.readFileSync(path), content);
    assert.deepEqual([...Deno.readDirSync(`${root}/logs`)].map((one) => one.name), ["below"]);
  } finally {
    disk.dispose();
    Deno.removeSync(root, { recursive: true });
  }
}

Deno.test("OverlayDisk reads the file below, and over it what was written", () => {
  onDisk(function* (disk, bytes) {
    const handle = yield* io((done) => disk.open("logs/below", false, done));
    bytes.fill(2, 0, BLOCK_SIZE);
    assert.equal(
      yield* io((done) => disk.write(handle, BLOCK_SIZE, 0, BLOCK_SIZE, true, done)),
      BLOCK_SIZE,
    );
    const at = 4 * BLOCK_SIZE;
    const read = yield* io((done) => disk.read(handle, 0, at, 4 * BLOCK_SIZE, done));
    assert.equal(read, 2 * BLOCK_SIZE);
    assert.ok(bytes.subarray(at, at + BLOCK_SIZE).every((byte) => byte === 1));
    assert.ok(bytes.subarray(at + BLOCK_SIZE, at + 2 * BLOCK_SIZE).every((byte) => byte === 2));
  });
});

Deno.test("OverlayDisk forgets what was cut, also when the file grows again", () => {
  onDisk(function* (disk, bytes) {
    const handle = yield* io((done) => disk.open("logs/below", false, done));
    yield* io((done) => disk.truncate(handle, 0, done));
    yield* io((done) => disk.truncate(handle, BLOCK_SIZE, done));
    bytes.fill(9);
    assert.equal(yield* io((done) => disk.read(handle, 0, 0, BLOCK_SIZE, done)), BLOCK_SIZE);
    assert.ok(bytes.subarray(0, BLOCK_SIZE).every((byte) => byte === 0));
  });
});

Deno.test("OverlayDisk makes, renames and removes names for itself alone", () => {
  onDisk(function* (disk) {
    yield* io((done) => disk.open("logs/made", true, done));
    yield* io((done) => disk.rename("logs/below", "logs/moved", done));
    assert.deepEqual(disk.list("logs"), ["made", "moved"]);
    assert.equal(disk.size("logs/moved"), BLOCK_SIZE * 1.5);
    assert.equal(disk.size("logs/below"), -ENOENT);
    yield* io((done) => disk.unlink("logs/made", done));
    assert.deepEqual(disk.list("logs"), ["moved"]);
    assert.equal(disk.list("elsewhere"), -ENOENT);
    yield* io((done) => disk.makeDirectory("elsewhere", done));
    assert.deepEqual(disk.list("elsewhere"), []);
    assert.equal(yield* io((done) => disk.open("logs/below", false, done)), -ENOENT);
  });
});

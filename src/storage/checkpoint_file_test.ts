import { strict as assert } from "node:assert";
import { type Random, Xoshiro128 } from "../base/prng.ts";
import { softwareCrc32c } from "../bytes/crc32c.ts";
import { type Memory, wrapMemory } from "../bytes/memory.ts";
import { BLOCK_SIZE } from "../io/disk.ts";
import { EIO, ENOENT, ENOSPC } from "../io/errno.ts";
import { MemoryDisk } from "../io/memory_disk.ts";
import { io, runTask, type Task } from "../io/task.ts";
import { type CheckpointRead, readCheckpoint } from "./checkpoint_file.ts";
import { CheckpointWriter } from "./checkpoint_writer.ts";

const JOURNAL_ID = 77;
const BUFFER_ADDRESS = 0;
const BUFFER_BYTES = 256 * 1024;

class Bench {
  memory = wrapMemory(new ArrayBuffer(512 * 1024));
  random: Random;
  disk: MemoryDisk;
  handles: [number, number] = [-1, -1];

  constructor(seed: number, capacityBytes = 2 ** 40) {
    this.random = new Xoshiro128(seed);
    this.disk = new MemoryDisk({ memory: this.memory, random: this.random, capacityBytes });
    this.open();
    this.finish(io((done) => this.disk.syncDirectory("", done)));
  }

  open(): void {
    for (const slot of [0, 1]) {
      this.handles[slot] = this.finish(io((done) => this.disk.open(`slot-${slot}`, true, done)));
    }
  }

  finish<T>(task: Task<T>): T {
    const results: T[] = [];
    runTask(task, (value) => results.push(value));
    this.disk.run();
    assert.equal(results.length, 1);
    return results[0]!;
  }

  write(slot: number, sequence: number, rows: readonly string[]): Task<number> {
    return writeRows(this.disk, this.memory, this.handles[slot]!, sequence, rows);
  }

  read(): { read: CheckpointRead; rows: string[] } {
    const rows: string[] = [];
    const { disk, memory, handles } = this;
    const read = this.finish(readCheckpoint(
      {
        disk,
        memory,
        crc32c: softwareCrc32c(memory),
        handles,
        journalId: JOURNAL_ID,
        bufferAddress: BUFFER_ADDRESS,
        bufferBytes: BUFFER_BYTES,
      },
      (row) => rows.push(new TextDecoder().decode(row)),
    ));
    return { read, rows };
  }
}

function* writeRows(
  disk: MemoryDisk,
  memory: Memory,
  handle: number,
  sequence: number,
  rows: readonly string[],
): Task<number> {
  const writer = new CheckpointWriter({
    disk,
    memory,
    handle,
    journalId: JOURNAL_ID,
    mountEpoch: 3,
    sequence,
    lsn: sequence * 100,
    bufferAddress: BUFFER_ADDRESS,
    bufferBytes: BUFFER_BYTES,
  });
  for (const row of rows) {
    const error = yield* writer.row(new TextEncoder().encode(row));
    if (error !== 0) return error;
  }
  return yield* writer.finish();
}

function rowsOf(seed: number, count: number, lengthMax: number): string[] {
  const random = new Xoshiro128(seed);
  return Array.from(
    { length: count },
    (_, i) => `${seed}/${i} `.padEnd(random.nextBelow(lengthMax)),
  );
}

Deno.test("ten thousand rows come back in order, in either slot", () => {
  const bench = new Bench(1);
  assert.deepEqual(bench.read().read.slots.map((slot) => slot.state), ["empty", "empty"]);
  const first = rowsOf(1, 10_000, 600);
  const second = rowsOf(2, 3000, 60_000 / 30);
  assert.equal(bench.finish(bench.write(0, 1, first)), 0);
  assert.deepEqual(bench.read().rows, first);
  assert.equal(bench.finish(bench.write(1, 2, second)), 0);
  const { read, rows } = bench.read();
  assert.deepEqual(rows, second);
  assert.equal(read.newest, 1);
  assert.equal(read.older, 0);
  assert.equal(read.slots[1].lsn, 200);
  assert.equal(read.slots[1].rowCount, 3000);
  assert.equal(read.slots[1].mountEpoch, 3);
});

Deno.test("rows of every length around a block's size, and none at all", () => {
  const bench = new Bench(2);
  const rows = Array.from({ length: 120 }, (_, i) => "x".repeat(3970 + i));
  // Longer than the buffer, too.
  rows.push("", "y".repeat(100_000), "", "z".repeat(3 * BUFFER_BYTES + 5), "end");
  assert.equal(bench.finish(bench.write(0, 1, rows)), 0);
  assert.deepEqual(bench.read().rows, rows);
  assert.equal(bench.finish(bench.write(1, 2, [])), 0);
  assert.deepEqual(bench.read(), {
    rows: [],
    read: { ...bench.read().read, newest: 1, older: 0 },
  });
});

Deno.test("a crash at every boundary leaves the newer slot or gives the new one", () => {
  let finished = 0;
  let runs = 0;
  const old = rowsOf(4, 40, 900);
  const older = rowsOf(3, 300, 900);
  const next = rowsOf(5, 1500, 900);
  for (let seed = 0; seed < 25; seed++) {
    for (let crashAt = 0; crashAt < 6; crashAt++) {
      const bench = new Bench(seed);
      assert.equal(bench.finish(bench.write(0, 1, older)), 0);
      assert.equal(bench.finish(bench.write(1, 2, old)), 0);
      let done = false;
      bench.disk.crashAfterOps(crashAt);
      runTask(bench.write(0, 3, next), (result) => done = result === 0);
      bench.disk.run();
      bench.disk.crash();
      bench.disk = bench.disk.restart();
      bench.open();
      const { read, rows } = bench.read();
      assert.equal(read.slots[1].state, "valid");
      if (done) assert.equal(read.newest, 0);
      assert.deepEqual(rows, read.newest === 0 ? next : old);
      if (read.newest === 0) finished++;
      runs++;
    }
  }
  assert.ok(finished > 0 && finished < runs);
});

Deno.test("a flipped bit anywhere in a slot makes it damaged, and the other one is used", () => {
  const random = new Xoshiro128(9);
  const old = rowsOf(6, 100, 300);
  for (let round = 0; round < 200; round++) {
    const bench = new Bench(round);
    bench.finish(bench.write(0, 1, old));
    bench.finish(bench.write(1, 2, rowsOf(7, 100, 300)));
    const position = random.nextBelow(bench.disk.size("slot-1"));
    bench.disk.flipBit("slot-1", position, random.nextBelow(8));
    const one = bench.read();
    assert.deepEqual(one.read.slots.map((slot) => slot.state), ["valid", "damaged"]);
    assert.deepEqual(one.rows, old);
    assert.equal(one.read.older, 1);
    bench.disk.flipBit("slot-0", random.nextBelow(bench.disk.size("slot-0")), 0);
    const none = bench.read();
    assert.equal(none.read.newest, -1);
    assert.deepEqual(none.read.slots.map((slot) => slot.state), ["damaged", "damaged"]);
    assert.deepEqual(none.rows, []);
  }
});

Deno.test("blocks of two checkpoints of one sequence do not pass for one slot", () => {
  const bench = new Bench(3);
  const rows = rowsOf(1, 600, 400);
  bench.finish(bench.write(0, 5, rows));
  // Another checkpoint of the same sequence, as after damage, that never gets to its head.
  bench.disk.inject({ operation: "write", nth: 2, fault: { kind: "lost" } });
  const other = rows.map((row) => row.replace("1/", "9/"));
  bench.finish(bench.write(0, 5, other.slice(0, 60)));
  assert.equal(bench.read().read.slots[0].state, "damaged");
});

Deno.test("a write error ends the checkpoint, and leaves the other slot", () => {
  const bench = new Bench(4);
  const rows = rowsOf(1, 100, 300);
  bench.finish(bench.write(0, 1, rows));
  bench.disk.inject({ operation: "write", nth: 1, fault: { kind: "error", errno: EIO } });
  assert.equal(bench.finish(bench.write(1, 2, rows)), -EIO);
  assert.deepEqual(bench.read().rows, rows);
  const small = new Bench(5, 20 * BLOCK_SIZE);
  assert.equal(small.finish(small.write(0, 1, rows.slice(0, 20))), 0);
  assert.equal(small.finish(small.write(1, 2, rowsOf(2, 1000, 900))), -ENOSPC);
  assert.deepEqual(small.read().rows, rows.slice(0, 20));
});

Deno.test("a slot that is not there, or that its device does not give back, is made good by the other one", () => {
  const rows = rowsOf(1, 400, 300);
  for (const lost of [0, 1]) {
    for (const block of [-1, 0, 1, 7]) {
      const bench = new Bench(6);
      bench.finish(bench.write(0, 1, rows));
      bench.finish(bench.write(1, 2, rows));
      if (block < 0) bench.handles[lost] = -ENOENT;
      else bench.disk.loseBlock(`slot-${lost}`, block);
      const { read, rows: found } = bench.read();
      assert.deepEqual(found, rows);
      assert.equal(read.newest, 1 - lost);
      assert.equal(read.older, lost);
      assert.equal(read.slots[lost as 0 | 1].state, "unreadable");
      assert.equal(read.slots[lost as 0 | 1].errno, block < 0 ? ENOENT : EIO);
    }
  }
});

Deno.test("a slot that can be read but once hands out no half of its rows", () => {
  const bench = new Bench(7);
  const rows = rowsOf(1, 3000, 300);
  bench.finish(bench.write(0, 1, rows.slice(1000)));
  bench.finish(bench.write(1, 2, rows));
  // Read to be checked, and again for its rows, in pieces: the last of them.
  const reads = 1 + 2 * Math.ceil(bench.disk.size("slot-1") / BUFFER_BYTES);
  bench.disk.inject({
    operation: "read",
    path: "slot-1",
    nth: reads,
    fault: { kind: "error", errno: EIO },
  });
  const { read, rows: found } = bench.read();
  assert.equal(read.newest, 0);
  assert.deepEqual(found, rows.slice(1000));
});

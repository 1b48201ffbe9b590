import { strict as assert } from "node:assert";
import { Arena } from "../bytes/arena.ts";
import { wrapMemory } from "../bytes/memory.ts";
import { Xoshiro128 } from "../base/prng.ts";
import { BLOCK_SIZE } from "../io/disk.ts";
import { EIO, ENOSPC } from "../io/errno.ts";
import { MemoryDisk } from "../io/memory_disk.ts";
import { io, runTask, type Task } from "../io/task.ts";
import { Journal } from "./journal.ts";
import { JOURNAL_BUFFER_BYTES_MIN } from "./journal_buffer.ts";
import {
  BLOCK_HEADER_SIZE,
  BLOCK_PAYLOAD_SIZE,
  blocksOfStream,
  JournalRecordType,
  RECORD_HEADER_SIZE,
  recordSize,
} from "./journal_format.ts";
import { type JournalExtent, JournalRing, JournalRoom } from "./journal_ring.ts";
import { JournalSimulation } from "../../tests/sim/journal_simulation.ts";
import { prewriteFile } from "./prewritten_file.ts";

const MEGABYTE = 1024 * 1024;

class Bench {
  memory = wrapMemory(new ArrayBuffer(16 * MEGABYTE));
  disk = new MemoryDisk({ memory: this.memory, random: new Xoshiro128(1) });
  arena = new Arena(MEGABYTE, 15 * MEGABYTE);
  durable: number[] = [];
  failures: number[] = [];
  journal: Journal;

  constructor(extentBlocks: number, extentCount: number) {
    const extents: JournalExtent[] = [];
    for (let i = 0; i < extentCount; i++) {
      const handle = this.finish(io((done) => this.disk.open(`extent-${i}`, true, done)));
      extents.push({ handle, path: `extent-${i}`, sizeBytes: extentBlocks * BLOCK_SIZE });
    }
    this.journal = new Journal({
      disk: this.disk,
      memory: this.memory,
      arena: this.arena,
      extents,
      journalId: 1,
      mountEpoch: 1,
      firstLsn: 10,
      onDurable: (lsn) => this.durable.push(lsn),
      onFailure: (errno) => this.failures.push(errno),
    });
  }

  finish<T>(task: Task<T>): T {
    const results: T[] = [];
    runTask(task, (value) => results.push(value));
    this.disk.run();
    assert.equal(results.length, 1);
    return results[0]!;
  }

  append(payloadLength: number): number {
    return this.journal.record(JournalRecordType.APPEND, 1, 1, 1, 0, 0, 0, 0, 0, 0, payloadLength);
  }
}

Deno.test("records made while a write is in flight become durable together with the next", () => {
  const { journal, disk, durable, append } = bound(new Bench(64, 2));
  assert.equal(append(100), 10);
  assert.equal(append(100), 10);
  journal.flush();
  assert.equal(append(100), 11);
  assert.equal(append(9000), 11);
  journal.flush();
  assert.equal(disk.inFlight, 1, "one write in flight");
  disk.run();
  assert.deepEqual(durable, [10]);
  assert.equal(journal.durableLsn, 10);
  journal.flush();
  assert.equal(journal.nextLsn, 12);
  disk.run();
  assert.deepEqual(durable, [10, 11]);
  assert.ok(journal.idle);
  journal.flush();
  assert.equal(disk.inFlight, 0, "nothing to write, nothing written");
  assert.deepEqual(journal.stats(), { writes: 2, writtenBytes: 4 * BLOCK_SIZE, records: 4 });
});

Deno.test("space is counted, refused when the ring is full, and comes back by release", () => {
  const { journal, disk, append } = bound(new Bench(20, 2));
  assert.equal(journal.capacityBytes, 40 * BLOCK_SIZE);
  // 38 blocks for all, 2 reserved.
  for (let i = 0; i < 38; i++) {
    assert.ok(journal.hasRoom(3000, JournalRoom.ORDINARY), `write ${i}`);
    append(3000);
    journal.flush();
    disk.run();
  }
  assert.equal(journal.usedBytes, 38 * BLOCK_SIZE);
  assert.equal(journal.hasRoom(0, JournalRoom.ORDINARY), false);
  for (let i = 0; i < 2; i++) {
    assert.ok(journal.hasRoom(0, JournalRoom.URGENT));
    journal.record(JournalRecordType.HARD, 1, 1, 5, 0, -1, 0, 0, 0, 0, 0);
    journal.flush();
    disk.run();
  }
  assert.equal(journal.hasRoom(0, JournalRoom.URGENT), false);
  assert.equal(journal.seal(), false, "no room for a SEAL, no SEAL");
  assert.equal(journal.bytesSince(10 + 29), 10 * BLOCK_SIZE);
  assert.equal(journal.bytesSince(0), 40 * BLOCK_SIZE);
  assert.equal(journal.lsnWithinOldest(7 * BLOCK_SIZE), 16);
  journal.release(16);
  assert.equal(journal.usedBytes, 33 * BLOCK_SIZE);
  assert.equal(journal.oldestLsn, 17);
  assert.ok(journal.hasRoom(3000, JournalRoom.ORDINARY));
  assert.ok(journal.hasRoom(4 * BLOCK_PAYLOAD_SIZE, JournalRoom.ORDINARY));
  assert.equal(journal.hasRoom(5 * BLOCK_PAYLOAD_SIZE, JournalRoom.ORDINARY), false);
  journal.release(journal.durableLsn);
  assert.equal(journal.usedBytes, 0);
  assert.throws(() => journal.release(journal.durableLsn + 1), /not durable/);
});

Deno.test("what frees a full disk has room of its own in the ring, and leaves some for what must not wait", () => {
  const { journal, disk, append } = bound(new Bench(200, 1));
  const fill = (room: JournalRoom): number => {
    let writes = 0;
    for (; journal.hasRoom(100, room); writes++) {
      append(100);
      journal.flush();
      disk.run();
    }
    return writes;
  };
  assert.equal(fill(JournalRoom.ORDINARY), 190);
  assert.equal(fill(JournalRoom.FREEING), 5);
  assert.equal(fill(JournalRoom.URGENT), 5);
  journal.release(journal.durableLsn);
  assert.equal(fill(JournalRoom.FREEING), 195, "also in the place of what others left");
});

Deno.test("a write does not cross extents: the rest of one is skipped, and counted", () => {
  const extents = [0, 1, 2].map((i) => ({ handle: i, path: `${i}`, sizeBytes: 10 * BLOCK_SIZE }));
  const ring = new JournalRing(extents, 1);
  assert.equal(ring.take(7), 0);
  assert.equal(ring.take(4), 10);
  assert.equal(ring.usedBlocks, 14);
  assert.equal(ring.lastExtent.handle, 1);
  assert.equal(ring.lastPosition(4), 0);
  assert.equal(ring.take(6), 14);
  assert.equal(ring.lastPosition(6), 4 * BLOCK_SIZE);
  assert.equal(ring.take(1), 20);
  assert.ok(!ring.fits(11, JournalRoom.URGENT), "larger than an extent");
  ring.release(2);
  assert.equal(ring.usedBlocks, 7);
  assert.equal(ring.take(10), 0, "around the ring");
  assert.equal(ring.usedBlocks, 7 + 9 + 10);
  assert.ok(ring.fits(4, JournalRoom.URGENT) && !ring.fits(5, JournalRoom.URGENT));
  assert.equal(ring.lsnWithinOldest(6), 3);
  assert.equal(ring.lsnWithinOldest(5), 2);
  assert.equal(ring.lsnWithinOldest(100), 5);
});

Deno.test("what a write would skip counts against the room for it", () => {
  const extents = [0, 1, 2].map((i) => ({ handle: i, path: `${i}`, sizeBytes: 10 * BLOCK_SIZE }));
  const ring = new JournalRing(extents, 1);
  ring.take(7);
  ring.take(10);
  ring.take(7);
  assert.equal(ring.usedBlocks, 27);
  assert.ok(ring.fits(3, JournalRoom.URGENT) && !ring.fits(4, JournalRoom.URGENT));
  ring.release(1);
  // Ten blocks are free, three of them at the end of the last extent.
  assert.ok(ring.fits(7, JournalRoom.URGENT) && !ring.fits(8, JournalRoom.URGENT));
  assert.equal(ring.take(7), 0);
  assert.equal(ring.usedBlocks, 30);
});

Deno.test("buffers grow for large writes, and shrink when writes stay small", () => {
  const { journal, disk, arena, append } = bound(new Bench(1024, 2));
  const free = arena.freeBytes;
  const large = 900_000;
  assert.ok(journal.hasRoom(large, JournalRoom.ORDINARY));
  append(large);
  assert.equal(arena.freeBytes, free + JOURNAL_BUFFER_BYTES_MIN - MEGABYTE);
  journal.flush();
  disk.run();
  for (let i = 0; i < 600; i++) {
    append(10);
    journal.flush();
    disk.run();
    journal.release(journal.durableLsn);
  }
  assert.equal(arena.freeBytes, free);
  assert.ok(journal.recordPayloadMax > large);
  assert.ok(journal.hasRoom(journal.recordPayloadMax, JournalRoom.ORDINARY));
  assert.equal(journal.hasRoom(2 * journal.recordPayloadMax, JournalRoom.ORDINARY), false);
});

Deno.test("growing keeps what was recorded, and what is not recorded is written as zeros", () => {
  const bench = new Bench(1024, 1);
  const { journal, memory, disk } = bench;
  memory.bytes.fill(0xff, MEGABYTE);
  memory.bytes.fill(0x55, 0, 101);
  bench.append(101);
  assert.ok(journal.hasRoom(200_000, JournalRoom.ORDINARY));
  bench.append(200_000);
  journal.flush();
  disk.run();
  const handle = bench.finish(io((done) => disk.open("extent-0", false, done)));
  const size = disk.size("extent-0");
  bench.finish(io((done) => disk.read(handle, 0, 8 * MEGABYTE, size, done)));
  const at = 8 * MEGABYTE;
  const payload = at + BLOCK_HEADER_SIZE + RECORD_HEADER_SIZE;
  assert.ok(memory.bytes.subarray(payload, payload + 101).every((byte) => byte === 0x55));
  assert.deepEqual([...memory.bytes.subarray(payload + 101, payload + 104)], [0, 0, 0]);
  const streamBytes = recordSize(101) + recordSize(200_000);
  const end = at + size - (blocksOfStream(streamBytes) * BLOCK_PAYLOAD_SIZE - streamBytes);
  assert.ok(end < at + size);
  assert.ok(memory.bytes.subarray(end, at + size).every((byte) => byte === 0));
});

Deno.test("no memory to grow: refused for appends, still room for a vote", () => {
  const { journal, arena, append } = bound(new Bench(64, 2));
  while (arena.allocate(BLOCK_SIZE) >= 0);
  let made = 0;
  while (journal.hasRoom(1000, JournalRoom.ORDINARY)) {
    append(1000);
    made++;
  }
  assert.ok(made > 30);
  for (let i = 0; i < 100; i++) {
    assert.ok(journal.hasRoom(0, JournalRoom.URGENT));
    journal.record(JournalRecordType.HARD, i, 1, 1, 0, 2, 0, 0, 3, 0, 0);
  }
});

Deno.test("going idle writes one SEAL, and not another", () => {
  const { journal, disk, append } = bound(new Bench(64, 2));
  assert.equal(journal.seal(), false, "nothing was written");
  append(10);
  assert.equal(journal.seal(), false, "something waits to be flushed");
  journal.flush();
  disk.run();
  assert.equal(journal.seal(), true);
  journal.flush();
  disk.run();
  assert.equal(journal.seal(), false);
  append(10);
  journal.flush();
  disk.run();
  assert.equal(journal.seal(), true);
});

Deno.test("a failed or short write ends the journal: nothing is retried, nothing becomes durable", () => {
  for (
    const fault of [
      { kind: "error", errno: EIO },
      { kind: "error", errno: ENOSPC },
      { kind: "short", bytes: 512 },
    ] as const
  ) {
    const { journal, disk, durable, failures, append } = bound(new Bench(64, 2));
    append(10);
    journal.flush();
    disk.run();
    disk.inject({ operation: "write", nth: 1, fault });
    append(20);
    journal.flush();
    append(30);
    disk.run();
    assert.deepEqual(failures, [fault.kind === "error" ? fault.errno : EIO]);
    journal.flush();
    disk.run();
    assert.equal(disk.inFlight, 0);
    assert.deepEqual(durable, [10]);
    assert.equal(journal.durableLsn, 10);
    assert.equal(journal.hasRoom(0, JournalRoom.URGENT), false);
    assert.throws(() => append(40), /has failed/);
  }
});

Deno.test("recording is refused beyond what the record announced, and mid-record flushes are caught", () => {
  const { journal } = bound(new Bench(64, 2));
  journal.begin(JournalRecordType.META, 1, 1, 1, 0, 0, 0, 0, 0, 100);
  assert.throws(() => journal.flush(), /not whole/);
  assert.throws(() => journal.addPayload(0, 101), /more payload/);
  journal.addPayload(0, 60);
  assert.throws(
    () => journal.record(JournalRecordType.DELETE, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0),
    /before the last one was whole/,
  );
  journal.addPayload(60, 40);
  journal.flush();
});

Deno.test("a prewritten file has its size, and a full disk leaves no file", () => {
  const memory = wrapMemory(new ArrayBuffer(MEGABYTE));
  const random = new Xoshiro128(1);
  const disk = new MemoryDisk({ memory, random, capacityBytes: 100 * BLOCK_SIZE });
  memory.bytes.fill(0xff);
  const progress: number[] = [];
  const make = (path: string): number => {
    const results: number[] = [];
    const task = prewriteFile({
      disk,
      memory,
      path,
      sizeBytes: 60 * BLOCK_SIZE,
      bufferAddress: 0,
      bufferBytes: 25 * BLOCK_SIZE,
      onProgress: (bytes) => progress.push(bytes / BLOCK_SIZE),
    });
    runTask(task, (value) => results.push(value));
    disk.run();
    return results[0]!;
  };
  assert.ok(make("a") >= 0);
  assert.deepEqual(progress, [25, 50, 60]);
  assert.equal(disk.size("a"), 60 * BLOCK_SIZE);
  assert.equal(make("b"), -ENOSPC);
  assert.deepEqual(disk.list(""), ["a"]);
  assert.equal(disk.freeBytes(), 40 * BLOCK_SIZE);
});

Deno.test("a long life goes round the ring many times", () => {
  const simulation = new JournalSimulation(42);
  simulation.mount();
  simulation.work(20_000);
  simulation.settle();
  const written = simulation.journal.stats().writtenBytes;
  assert.ok(written > 20 * simulation.journal.capacityBytes, `${written}`);
  const { records, damages } = simulation.scan();
  assert.deepEqual(records, simulation.expected(simulation.durableLsn));
  assert.deepEqual(damages, []);
});

/** A bench with its parts as variables. */
function bound(bench: Bench): Bench & { append: (payloadLength: number) => number } {
  return Object.assign(bench, { append: bench.append.bind(bench) });
}

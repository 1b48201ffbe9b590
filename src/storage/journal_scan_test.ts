import { JournalRecordType } from "./journal_format.ts";
import { strict as assert } from "node:assert";
import { getInt64Le, setInt64Le } from "../bytes/int64.ts";
import { BLOCK_SIZE } from "../io/disk.ts";
import { EIO } from "../io/errno.ts";
import { io } from "../io/task.ts";
import {
  BLOCK_COUNT_OFFSET,
  BLOCK_INDEX_OFFSET,
  JOURNAL_ID_OFFSET,
  LSN_OFFSET,
  MAGIC_OFFSET,
  MOUNT_EPOCH_OFFSET,
  PAYLOAD_LENGTH_OFFSET,
  RING_BLOCK_OFFSET,
} from "./journal_format.ts";
import { JournalSimulation, simulateJournal } from "../../tests/sim/journal_simulation.ts";

const SEEDS = Number(Deno.env.get("GREGOR_TEST_SEEDS") ?? 24);
const FIRST_SEED = Number(Deno.env.get("GREGOR_TEST_FIRST_SEED") ?? 1);

Deno.test("a journal comes back after a crash at every write boundary", () => {
  let runs = 0;
  let tornTails = 0;
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
    // Every fourth life is long enough to go round the ring.
    const steps = seed % 4 === 0 ? 400 : 100;
    const boundaries = simulateJournal(seed, Infinity, steps).operations;
    for (let crashAt = 0; crashAt <= boundaries; crashAt++) {
      const first = simulateJournal(seed, crashAt, steps);
      assert.equal(first.problem, null, `seed ${seed}, crash at ${crashAt}: ${first.problem}`);
      const again = simulateJournal(seed, crashAt, steps);
      assert.equal(again.traceHash, first.traceHash, `seed ${seed} is not reproducible`);
      tornTails += first.tornTails;
      runs += 2;
    }
  }
  assert.ok(tornTails > runs / 200, `only ${tornTails} torn tails in ${runs} runs`);
  if (SEEDS > 24) console.log(`${SEEDS} seeds, ${runs} runs, ${tornTails} torn tails`);
});

/** A block of the present epoch, as it lies in an extent. */
interface LiveBlock {
  readonly path: string;
  readonly position: number;
  readonly lsn: number;
}

/** The blocks of the present life that are not released. */
function liveBlocks(simulation: JournalSimulation): LiveBlock[] {
  const blocks: LiveBlock[] = [];
  for (const extent of simulation.extents) {
    const length = extent.sizeBytes;
    simulation.finish(io((done) => simulation.disk.read(extent.handle, 0, 0, length, done)));
    const view = simulation.memory.view;
    for (let position = 0; position < length; position += BLOCK_SIZE) {
      const lsn = getInt64Le(view, position + LSN_OFFSET);
      if (view.getUint32(position + MOUNT_EPOCH_OFFSET, true) !== simulation.mountEpoch) continue;
      if (lsn > simulation.releasedLsn) blocks.push({ path: extent.path, position, lsn });
    }
  }
  return blocks;
}

/** A life that ended well: everything durable, `epochs` lives before it. */
function settledLife(seed: number, epochs: number, steps: number): JournalSimulation {
  const simulation = new JournalSimulation(seed);
  for (let life = 0; life <= epochs; life++) {
    simulation.mount();
    simulation.work(steps);
    if (life < epochs) {
      simulation.crashAndReopen();
      simulation.scan();
    }
  }
  // The last write holds a record, and all of it is there to be lost.
  simulation.recordForSure();
  simulation.settle();
  return simulation;
}

Deno.test("a flipped bit below the newest write is damage, in it a torn tail, never the reverse", () => {
  let damaged = 0;
  let cut = 0;
  for (let seed = 1; seed <= 400; seed++) {
    const simulation = settledLife(seed, seed % 3, 80);
    const blocks = liveBlocks(simulation);
    const newest = simulation.durableLsn;
    const at = blocks[simulation.random.nextBelow(blocks.length)]!;
    const byte = simulation.random.nextBelow(BLOCK_SIZE);
    simulation.disk.flipBit(at.path, at.position + byte, simulation.random.nextBelow(8));
    const { scan, records, damages } = simulation.scan();
    const all = simulation.expected(newest);
    assert.deepEqual(records, all.filter(({ lsn }) => lsn !== at.lsn), `seed ${seed}`);
    if (at.lsn === newest) {
      assert.deepEqual(damages, [], `seed ${seed}: a tail was called damage`);
      const wholeBlocks = blocks.filter(({ lsn }) => lsn === newest).length - 1;
      assert.equal(scan.tornTail, wholeBlocks > 0);
      cut++;
    } else {
      assert.equal(damages.length, 1, `seed ${seed}: damage was not reported`);
      assert.equal(damages[0]!.firstLsn, at.lsn);
      assert.equal(damages[0]!.lastLsn, at.lsn);
      assert.equal(scan.tornTail, false);
      assert.equal(scan.replayedLsn, newest);
      // It points at the write, at its first block or, if that is the broken one, where it should be.
      const first = blocks.filter(({ lsn }) => lsn === at.lsn).map((block) => block.position);
      if (at.position !== Math.min(...first)) {
        assert.equal(damages[0]!.path, at.path);
        assert.equal(damages[0]!.position, Math.min(...first));
      }
      damaged++;
    }
  }
  assert.ok(damaged > 150 && cut > 30, `${damaged} damaged, ${cut} cut`);
});

Deno.test("after a SEAL even the newest record's damage is damage", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const simulation = settledLife(seed, 0, 40);
    const newest = simulation.durableLsn;
    if (!simulation.journal.seal()) continue;
    simulation.settle();
    const block = liveBlocks(simulation).find(({ lsn }) => lsn === newest)!;
    simulation.disk.flipBit(block.path, block.position + 100, 1);
    const { damages } = simulation.scan();
    assert.deepEqual(damages.map(({ firstLsn, lastLsn }) => [firstLsn, lastLsn]), [[
      newest,
      newest,
    ]]);
  }
});

Deno.test("several broken writes in a row are one damage; apart, they are two", () => {
  const simulation = new JournalSimulation(5);
  simulation.mount();
  for (let i = 0; i < 7; i++) {
    simulation.journal.record(JournalRecordType.HARD, 1, 1, i, 0, -1, 0, 0, 0, 0, 0);
    simulation.journal.flush();
    simulation.disk.run();
  }
  const blocks = liveBlocks(simulation);
  for (const index of [1, 2, 4]) {
    simulation.disk.flipBit(blocks[index]!.path, blocks[index]!.position + 64, 0);
  }
  const { scan, damages } = simulation.scan();
  assert.deepEqual(damages.map(({ firstLsn, lastLsn }) => [firstLsn, lastLsn]), [[2, 3], [5, 5]]);
  assert.deepEqual(damages.map(({ position }) => position / BLOCK_SIZE), [1, 4]);
  assert.equal(scan.recordCount, 4);
  assert.equal(scan.replayedLsn, 7);
});

Deno.test("a write that the disk lost or put elsewhere is damage", () => {
  for (
    const fault of [{ kind: "lost" }, { kind: "misdirected", shiftBytes: BLOCK_SIZE }] as const
  ) {
    for (let seed = 1; seed <= 30; seed++) {
      // An earlier life leaves whole blocks of an older epoch in the place of the lost one.
      const simulation = settledLife(seed, 1, 40);
      const lsn = simulation.journal.nextLsn;
      simulation.journal.release(simulation.durableLsn);
      simulation.releasedLsn = simulation.durableLsn;
      simulation.disk.inject({ operation: "write", nth: 1, fault });
      for (let i = 0; i < 3; i++) {
        simulation.recordForSure();
        simulation.settle();
      }
      const { records, damages } = simulation.scan();
      assert.equal(damages.length, 1);
      assert.equal(damages[0]!.firstLsn, lsn);
      assert.equal(damages[0]!.lastLsn, lsn);
      assert.deepEqual(
        records,
        simulation.expected(simulation.durableLsn).filter((record) => record.lsn !== lsn),
      );
    }
  }
});

Deno.test("a damaged tail after a crash is cut, and cutting it costs no reported record", () => {
  let torn = 0;
  for (let seed = 1; seed <= 100; seed++) {
    const simulation = settledLife(seed, 0, 30);
    const durableLsn = simulation.durableLsn;
    simulation.recordForSure();
    simulation.journal.flush();
    simulation.crashAndReopen();
    const { scan, records, damages } = simulation.scan();
    assert.deepEqual(damages, []);
    if (scan.replayedLsn === durableLsn) {
      assert.deepEqual(records, simulation.expected(durableLsn));
    } else {
      assert.equal(scan.replayedLsn, durableLsn + 1);
      assert.deepEqual(records, simulation.expected(durableLsn + 1));
    }
    if (scan.tornTail) torn++;
  }
  assert.ok(torn > 3, `${torn} torn`);
});

Deno.test("an empty ring, another journal's ring and another epoch's are empty", () => {
  const simulation = new JournalSimulation(6);
  simulation.mount();
  assert.equal(simulation.scan().scan.recordCount, 0);
  simulation.work(60);
  simulation.settle();
  assert.ok(simulation.scan().records.length > 0);
  simulation.mountEpoch++;
  const { scan, damages } = simulation.scan(1);
  assert.equal(scan.recordCount, 0);
  assert.equal(scan.mountEpoch, 0);
  assert.equal(scan.newestEpoch, simulation.mountEpoch - 1);
  assert.equal(scan.newestLsn, simulation.durableLsn);
  assert.deepEqual(damages, []);
});

Deno.test("a read that fails once costs nothing, in either pass", () => {
  for (let nth = 1; nth <= 6; nth++) {
    const simulation = settledLife(7, 0, 40);
    const { records } = simulation.scan();
    assert.ok(records.length > 0);
    simulation.disk.inject({ operation: "read", nth, fault: { kind: "error", errno: EIO } });
    const again = simulation.scan();
    assert.equal(again.scan.error, 0);
    assert.deepEqual(again.records, records);
    assert.deepEqual(again.damages, []);
  }
});

Deno.test("blocks that cannot be read are named, and cost what a rotten block costs", () => {
  for (let seed = 0; seed < 20; seed++) {
    const rotten = settledLife(seed, 0, 40);
    const lost = settledLife(seed, 0, 40);
    const blocks = liveBlocks(rotten);
    const { path, position, lsn } = blocks[seed % blocks.length]!;
    rotten.disk.flipBit(path, position + 50, 1);
    lost.disk.loseBlock(path, position / BLOCK_SIZE);
    const [before, after] = [rotten.scan(), lost.scan()];
    assert.deepEqual(after.records, before.records);
    if (lsn !== lost.durableLsn) assert.deepEqual(after.damages, before.damages);
    assert.equal(after.scan.unreadable.length, 1);
    const named = after.scan.unreadable[0]!;
    assert.deepEqual([named.path, named.position, named.blocks], [path, position, 1]);
  }
});

Deno.test("newest writes that the device does not give back are damage, and no torn tail", () => {
  let several = 0;
  for (let seed = 1; seed <= 200; seed++) {
    const simulation = settledLife(seed, seed % 3, 60);
    const newest = simulation.durableLsn;
    const blocks = liveBlocks(simulation);
    // The last writes, or one block of the last one.
    const writes = Math.min(1 + seed % 4, blocks.length);
    const from = Math.max(newest - writes + 1, blocks[0]!.lsn);
    const chosen = seed % 2 === 0
      ? blocks.filter(({ lsn }) => lsn >= from)
      : [blocks.filter(({ lsn }) => lsn === newest).at(-1)!];
    for (const { path, position } of chosen) simulation.disk.loseBlock(path, position / BLOCK_SIZE);
    const first = Math.min(...chosen.map(({ lsn }) => lsn));
    if (first < newest) several++;
    const { scan, records, damages } = simulation.scan();
    assert.deepEqual(records, simulation.expected(newest).filter(({ lsn }) => lsn < first));
    assert.equal(damages.length, 1, `seed ${seed}: lost in silence`);
    assert.equal(damages[0]!.firstLsn, first);
    assert.equal(scan.tornTail, false);
  }
  assert.ok(several > 30, `${several} with several writes`);
});

Deno.test("a write with a block that was never written is a torn tail, though others cannot be read", () => {
  const { simulation, blocks } = threeWrites();
  simulation.disk.loseBlock(blocks[4]!.path, blocks[4]!.position / BLOCK_SIZE);
  simulation.disk.replaceBlock(blocks[5]!.path, blocks[5]!.position / BLOCK_SIZE, null);
  const { scan, damages } = simulation.scan();
  assert.deepEqual(damages, []);
  assert.equal(scan.replayedLsn, 2);
  assert.equal(scan.tornTail, true);
});

Deno.test("an extent that is gone is named, and nothing is lost with it in silence", () => {
  let costly = 0;
  let free = 0;
  for (let seed = 0; seed < 60; seed++) {
    for (const how of ["missing", "unreadable", "cut"]) {
      const simulation = settledLife(seed, 0, 40);
      const whole = simulation.scan();
      const e = seed % simulation.extents.length;
      const extent = simulation.extents[e]!;
      if (how === "missing") simulation.extents[e] = { ...extent, handle: -EIO };
      else if (how === "unreadable") {
        for (let at = 0; at < extent.sizeBytes; at += BLOCK_SIZE) {
          simulation.disk.loseBlock(extent.path, at / BLOCK_SIZE);
        }
      } else simulation.finish(io((done) => simulation.disk.truncate(extent.handle, 0, done)));
      const { scan, records, damages } = simulation.scan();
      assert.equal(scan.error, 0);
      assert.deepEqual(scan.unreadable.map(({ path }) => path), [extent.path]);
      assert.equal(scan.unreadable[0]!.blocks, extent.sizeBytes / BLOCK_SIZE);
      const missing = whole.records.length - records.length;
      assert.ok(missing === 0 || damages.length > 0, `seed ${seed} ${how}: ${missing} in silence`);
      if (missing > 0) costly++;
      else if (damages.length === 0) free++;
    }
  }
  assert.ok(costly > 10 && free > 10, `${costly} costly, ${free} free`);
});

Deno.test("a journal file that is cut anywhere loses nothing in silence", () => {
  let costly = 0;
  let free = 0;
  for (let seed = 0; seed < 60; seed++) {
    const simulation = settledLife(seed, 0, 40);
    const whole = simulation.scan();
    const blocks = liveBlocks(simulation);
    // Where the last write begins is where nothing behind tells of it.
    const { path, position } = seed % 2 === 0 ? blocks.at(-1)! : blocks[seed % blocks.length]!;
    const { handle } = simulation.extents.find((extent) => extent.path === path)!;
    simulation.finish(io((done) => simulation.disk.truncate(handle, position, done)));
    const { scan, records, damages } = simulation.scan();
    assert.equal(scan.error, 0);
    const missing = whole.records.length - records.length;
    assert.ok(missing === 0 || damages.length > 0, `seed ${seed}: ${missing} in silence`);
    if (missing > 0) costly++;
    else if (damages.length === 0) free++;
  }
  assert.ok(costly > 10, `${costly} costly, ${free} free`);
});

/** Reads a block, lets `change` edit it, and writes it back with a CRC that fits. */
function forge(
  simulation: JournalSimulation,
  block: LiveBlock,
  change: (view: DataView) => void,
): void {
  const { disk, memory } = simulation;
  const handle = simulation.extents.find(({ path }) => path === block.path)!.handle;
  const { position } = block;
  simulation.finish(io((done) => disk.read(handle, position, 0, BLOCK_SIZE, done)));
  change(memory.view);
  simulation.finish(io((done) => disk.writeSealed(handle, position, 0, BLOCK_SIZE, done)));
}

/** Three writes, LSN 1 to 3; the second and third have three blocks. */
function threeWrites(): { simulation: JournalSimulation; blocks: LiveBlock[] } {
  const simulation = new JournalSimulation(1);
  simulation.mount();
  for (const length of [10, 9000, 9000]) {
    simulation.journal.record(JournalRecordType.APPEND, 1, 1, 1, 0, 0, 0, 0, 0, 0, length);
    simulation.settle();
  }
  return { simulation, blocks: liveBlocks(simulation) };
}

Deno.test("a sound block that belongs elsewhere does not pass for part of a write", () => {
  const changes: Record<string, (view: DataView) => void> = {
    magic: (view) => view.setUint32(MAGIC_OFFSET, 1, true),
    "journal id": (view) => setInt64Le(view, JOURNAL_ID_OFFSET, 1),
    LSN: (view) => setInt64Le(view, LSN_OFFSET, 1),
    epoch: (view) => view.setUint32(MOUNT_EPOCH_OFFSET, 0, true),
    place: (view) => view.setUint32(RING_BLOCK_OFFSET, 7, true),
    index: (view) => view.setUint16(BLOCK_INDEX_OFFSET, 2, true),
    count: (view) => view.setUint16(BLOCK_COUNT_OFFSET, 2, true),
    length: (view) => view.setUint32(PAYLOAD_LENGTH_OFFSET, 5000, true),
  };
  for (const [field, change] of Object.entries(changes)) {
    const { simulation, blocks } = threeWrites();
    // The last write has no successor whose chain shows it: its blocks must.
    forge(simulation, blocks[5]!, change);
    assert.equal(simulation.scan().scan.recordCount, 2, field);
    assert.deepEqual(simulation.scan().damages, [], field);
    const other = threeWrites();
    forge(other.simulation, other.blocks[2]!, change);
    const { damages } = other.simulation.scan();
    assert.deepEqual(damages.map(({ firstLsn, lastLsn }) => [firstLsn, lastLsn]), [[2, 2]], field);
  }
});

Deno.test("a whole write that is not the one its successor was built on is damage", () => {
  const { simulation, blocks } = threeWrites();
  forge(simulation, blocks[2]!, (view) => view.setUint8(1000, view.getUint8(1000) ^ 1));
  const { scan, damages, records } = simulation.scan();
  assert.deepEqual(damages.map(({ firstLsn, lastLsn }) => [firstLsn, lastLsn]), [[2, 2]]);
  assert.deepEqual(records.map(({ lsn }) => lsn), [1, 3]);
  assert.equal(scan.replayedLsn, 3);
});

Deno.test("the rest of a torn tail still shows that the write before it had completed", () => {
  const { simulation, blocks } = threeWrites();
  simulation.disk.flipBit(blocks[1]!.path, blocks[1]!.position + 5, 5);
  simulation.disk.flipBit(blocks[4]!.path, blocks[4]!.position + 5, 5);
  const { scan, damages, records } = simulation.scan();
  assert.deepEqual(damages.map(({ firstLsn, lastLsn }) => [firstLsn, lastLsn]), [[2, 2]]);
  assert.deepEqual(records.map(({ lsn }) => lsn), [1]);
  assert.equal(scan.replayedLsn, 2);
  assert.equal(scan.tornTail, true);
});

Deno.test("without a checkpoint, what the journal says was released is not missed", () => {
  let released = 0;
  for (let seed = 1; seed <= 60; seed++) {
    const simulation = settledLife(seed, 1, 200);
    const { scan, damages } = simulation.scan(0);
    assert.deepEqual(damages, []);
    assert.equal(scan.replayedLsn, simulation.durableLsn);
    assert.equal(simulation.scan().scan.recordCount, scan.recordCount);
    released += simulation.releasedLsn;
  }
  assert.ok(released > 1000);
});

Deno.test("a ring that knows nothing of writes that a checkpoint covers is damage", () => {
  const simulation = new JournalSimulation(1);
  simulation.mount();
  for (let i = 0; i < 3; i++) {
    simulation.journal.record(JournalRecordType.HARD, 1, 1, i, 0, -1, 0, 0, 0, 0, 0);
    simulation.settle();
  }
  const blocks = liveBlocks(simulation);
  // The checkpoint covers LSN 1 and 2; what comes after may have been lost with them.
  for (const { path, position } of blocks.slice(1)) simulation.disk.flipBit(path, position, 0);
  const { damages } = simulation.scan(3);
  assert.deepEqual(damages.map(({ firstLsn, lastLsn }) => [firstLsn, lastLsn]), [[2, 2]]);
});

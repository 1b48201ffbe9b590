/**
 * A journal under simulated crashes, against a model: used by its tests and by longer runs.
 *
 * One run is three lives on one disk. In each, records of random size are made, flushed, released and
 * sealed in an order drawn from the seed, until the disk crashes before a given operation; then the
 * journal is scanned, and what comes back is compared with the model:
 *
 * - every record that was reported durable and not released comes back, in order, byte for byte;
 * - beyond them come at most the records of the one write that was in flight, all or none;
 * - nothing else comes back: no record of an earlier lap, of an earlier life, or made up;
 * - nothing is called damage, since nothing was.
 *
 * @module
 */

import { assert } from "../../src/base/assert.ts";
import { type Random, Xoshiro128 } from "../../src/base/prng.ts";
import { Arena } from "../../src/bytes/arena.ts";
import { crc32cOfBytes, softwareCrc32c } from "../../src/bytes/crc32c.ts";
import { type Memory, wrapMemory } from "../../src/bytes/memory.ts";
import { BLOCK_SIZE } from "../../src/io/disk.ts";
import { MemoryDisk } from "../../src/io/memory_disk.ts";
import { io, runTask, type Task } from "../../src/io/task.ts";
import { Journal } from "../../src/storage/journal.ts";
import { isReservedType, JournalRecordType } from "../../src/storage/journal_format.ts";
import type { JournalRecord } from "../../src/storage/journal_record.ts";
import { type JournalExtent, JournalRoom } from "../../src/storage/journal_ring.ts";
import {
  type JournalDamage,
  type JournalScan,
  scanJournal,
} from "../../src/storage/journal_scan.ts";
import { prewriteFile } from "../../src/storage/prewritten_file.ts";

const JOURNAL_ID = 0x1234_5678_9abc;
const REGION_BYTES = 1024 * 1024;
/** One seed in this many has large extents and writes, so that buffers grow. */
const LARGE_ODDS = 5;
const LARGE_REGION_BYTES = 3 * 1024 * 1024;
/** Below the arena: source of payloads, and the scan's buffer. */
const PAYLOAD_ADDRESS = 0;
const SCAN_ADDRESS = 64 * 1024;
const SCAN_BYTES = 192 * 1024;
const ARENA_ADDRESS = 256 * 1024;
const WRITE_BYTES_MAX = 24 * 1024;
const LARGE_WRITE_BYTES_MAX = SCAN_BYTES;
const PAYLOAD_BYTES_MAX = 9000;
const TYPES = Object.values(JournalRecordType).filter((type) => type !== JournalRecordType.SEAL);

/** A record, as a text that two equal ones share. */
export interface ModelRecord {
  readonly lsn: number;
  readonly text: string;
}

/** What the scan of one life gave. */
export interface ScannedJournal {
  readonly scan: JournalScan;
  readonly records: readonly ModelRecord[];
  readonly damages: readonly JournalDamage[];
}

export class JournalSimulation {
  readonly random: Random;
  memory: Memory;
  disk: MemoryDisk;
  extents: JournalExtent[] = [];
  journal!: Journal;
  /** Records of the present life, and how far they are durable and released. */
  made: ModelRecord[] = [];
  durableLsn = 0;
  releasedLsn = 0;
  mountEpoch = 0;
  failures: number[] = [];
  traceHash = 0;
  readonly #large: boolean;
  #firstLsn = 1;
  #nextLsn = 1;
  #serial = 0;

  constructor(seed: number) {
    this.random = new Xoshiro128(seed);
    this.#large = seed % LARGE_ODDS === 0;
    this.memory = this.#newMemory();
    this.disk = new MemoryDisk({ memory: this.memory, random: new Xoshiro128(seed ^ 0x5bd1e995) });
    const count = 1 + this.random.nextBelow(3);
    for (let i = 0; i < count; i++) {
      const blocks = (this.#large ? 44 : 8) + this.random.nextBelow(12);
      const sizeBytes = blocks * BLOCK_SIZE;
      this.extents.push({ handle: -1, path: `extent-${i}`, sizeBytes });
    }
    this.extents = this.extents.map((extent) => {
      const handle = this.finish(prewriteFile({
        disk: this.disk,
        memory: this.memory,
        path: extent.path,
        sizeBytes: extent.sizeBytes,
        bufferAddress: SCAN_ADDRESS,
        bufferBytes: SCAN_BYTES,
        onProgress: null,
      }));
      return { ...extent, handle };
    });
    this.finish(io((done) => this.disk.syncDirectory("", done)));
  }

  /** Runs a task that cannot crash. */
  finish<T>(task: Task<T>): T {
    const results: T[] = [];
    runTask(task, (value) => results.push(value));
    this.disk.run();
    assert(results.length === 1, "a task of the simulation did not finish");
    return results[0]!;
  }

  /** Begins a life: a new epoch, an empty journal. */
  mount(): void {
    this.mountEpoch++;
    this.#firstLsn = this.#nextLsn;
    this.made = [];
    this.durableLsn = this.#nextLsn - 1;
    this.releasedLsn = this.#nextLsn - 1;
    this.journal = new Journal({
      disk: this.disk,
      memory: this.memory,
      arena: new Arena(ARENA_ADDRESS, this.memory.bytes.length - ARENA_ADDRESS),
      extents: this.extents,
      journalId: JOURNAL_ID,
      mountEpoch: this.mountEpoch,
      firstLsn: this.#nextLsn,
      writeBytesMax: this.#large ? LARGE_WRITE_BYTES_MAX : WRITE_BYTES_MAX,
      onDurable: (lsn) => this.durableLsn = lsn,
      onFailure: (errno) => this.failures.push(errno),
    });
  }

  /** Makes records, flushes and completes for `steps` steps, or until the disk crashes. */
  work(steps: number): void {
    for (let i = 0; i < steps && !this.disk.crashed; i++) {
      const choice = this.random.nextBelow(16);
      if (choice < 7) this.recordOne();
      else if (choice < 10) this.journal.flush();
      else if (choice < 14) this.disk.step();
      else if (choice < 15) this.#releaseSome();
      else if (this.journal.seal()) {
        this.made.push({ lsn: this.journal.nextLsn, text: textOfSeal() });
      }
    }
  }

  /** Flushes until everything recorded is durable. */
  settle(): void {
    while (!this.journal.idle && !this.disk.crashed && this.journal.failure === 0) {
      this.journal.flush();
      this.disk.run();
    }
  }

  /** Makes one random record; false when the journal has no room for it. */
  recordOne(): boolean {
    const { random, memory } = this;
    const type = TYPES[random.nextBelow(TYPES.length)]!;
    const small = random.nextBelow(2) === 0;
    const length = random.nextBelow(small ? 100 : PAYLOAD_BYTES_MAX);
    const room = isReservedType(type) ? JournalRoom.URGENT : JournalRoom.ORDINARY;
    if (!this.journal.hasRoom(length, room)) {
      this.journal.flush();
      this.#releaseSome();
      return false;
    }
    const serial = ++this.#serial;
    this.#fillPayload(length);
    const address = PAYLOAD_ADDRESS;
    const group = serial * 0x1_0000_0001;
    const text = textOf(type, group, serial, 7, -1, 2 ** 52, memory, address, length);
    let lsn: number;
    if (random.nextBelow(3) === 0) {
      lsn = this.journal.begin(type, group, serial, 7, 11, -1, 2 ** 52, 3, 4, length);
      const first = random.nextBelow(length + 1);
      if (first > 0) this.journal.addPayload(address, first);
      if (first < length) this.journal.addPayload(address + first, length - first);
    } else {
      lsn = this.journal.record(type, group, serial, 7, 11, -1, 2 ** 52, 3, 4, address, length);
    }
    // The journal has copied: what becomes of the source is nobody's business.
    memory.bytes.fill(0xee, address, address + length);
    this.made.push({ lsn, text });
    return true;
  }

  /** Makes one record, waiting and releasing for room as long as it takes. */
  recordForSure(): void {
    for (let attempt = 0; !this.recordOne(); attempt++) {
      assert(attempt < 1000, "the simulated journal never has room");
      this.disk.run();
    }
  }

  /** Power cut, and the disk of the next life, with its extents open. */
  crashAndReopen(): void {
    this.disk.crash();
    this.traceHash = Math.imul(this.traceHash ^ this.disk.traceHash, 0x01000193) >>> 0;
    this.memory = this.#newMemory();
    this.disk = this.disk.restart({ memory: this.memory, random: this.random });
    this.extents = this.extents.map((extent) => {
      const handle = this.finish(io((done) => this.disk.open(extent.path, false, done)));
      assert(handle >= 0, "an extent is gone");
      return { ...extent, handle };
    });
  }

  /** Scans the journal of the present life from what a checkpoint needs; 0: as if there were none. */
  scan(fromLsn = this.releasedLsn + 1): ScannedJournal {
    const records: ModelRecord[] = [];
    const damages: JournalDamage[] = [];
    const scan = this.finish(scanJournal({
      disk: this.disk,
      memory: this.memory,
      crc32c: softwareCrc32c(this.memory),
      extents: this.extents,
      journalId: JOURNAL_ID,
      mountEpoch: this.mountEpoch,
      fromLsn,
      firstLsn: this.#firstLsn,
      bufferAddress: SCAN_ADDRESS,
      bufferBytes: SCAN_BYTES,
    }, {
      record: (record) => {
        records.push({ lsn: record.lsn, text: textOfRecord(this.memory, record) });
      },
      damage: (damage) => damages.push(damage),
    }));
    this.#nextLsn = Math.max(this.#nextLsn, this.durableLsn + 1, scan.newestLsn + 1);
    let hash = Math.imul(this.traceHash ^ scan.recordCount, 0x01000193);
    for (const record of records) hash = Math.imul(hash ^ record.text.length, 0x01000193);
    this.traceHash = Math.imul(hash ^ scan.replayedLsn, 0x01000193) >>> 0;
    return { scan, records, damages };
  }

  /** What must come back at least; the in-flight write's records may follow. */
  expected(throughLsn: number): ModelRecord[] {
    return this.made.filter(({ lsn }) => lsn > this.releasedLsn && lsn <= throughLsn);
  }

  #newMemory(): Memory {
    return wrapMemory(new ArrayBuffer(this.#large ? LARGE_REGION_BYTES : REGION_BYTES));
  }

  #releaseSome(): void {
    const live = this.durableLsn - this.releasedLsn;
    if (live <= 0) return;
    this.releasedLsn += 1 + this.random.nextBelow(live);
    this.journal.release(this.releasedLsn);
  }

  /** Random bytes; sometimes a block of the journal itself, to be mistaken for one. */
  #fillPayload(length: number): void {
    const { memory, random } = this;
    let state = random.nextUint32();
    for (let i = 0; i < length; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      memory.bytes[PAYLOAD_ADDRESS + i] = state >>> 24;
    }
    if (length < BLOCK_SIZE || random.nextBelow(2) === 0) return;
    const at = ARENA_ADDRESS + BLOCK_SIZE * random.nextBelow(12);
    memory.bytes.copyWithin(PAYLOAD_ADDRESS, at, at + BLOCK_SIZE);
  }
}

/** Runs three lives, each ended by a crash before its operation `crashAt`; null when all is well. */
export function simulateJournal(
  seed: number,
  crashAt: number,
  steps: number,
): { problem: string | null; traceHash: number; operations: number; tornTails: number } {
  const simulation = new JournalSimulation(seed);
  let operations = 0;
  let tornTails = 0;
  for (let life = 0; life < 3; life++) {
    simulation.mount();
    const before = simulation.disk.operations;
    simulation.disk.crashAfterOps(crashAt);
    simulation.work(steps);
    operations = Math.max(operations, simulation.disk.operations - before);
    const durableLsn = simulation.durableLsn;
    simulation.crashAndReopen();
    const scanned = simulation.scan();
    if (scanned.scan.tornTail) tornTails++;
    const problem = compare(simulation, scanned, durableLsn);
    if (problem !== null) {
      const traceHash = simulation.traceHash;
      return { problem: `life ${life}: ${problem}`, traceHash, operations, tornTails };
    }
  }
  return { problem: null, traceHash: simulation.traceHash, operations, tornTails };
}

function compare(
  simulation: JournalSimulation,
  scanned: ScannedJournal,
  durableLsn: number,
): string | null {
  const { records, damages, scan } = scanned;
  if (scan.error !== 0) return `scan failed with ${scan.error}`;
  if (damages.length > 0) return `damage without damage: ${JSON.stringify(damages[0])}`;
  const sure = simulation.expected(durableLsn);
  const possible = simulation.expected(durableLsn + 1);
  if (records.length !== sure.length && records.length !== possible.length) {
    return `${records.length} records, not ${sure.length} or ${possible.length}`;
  }
  for (let i = 0; i < records.length; i++) {
    const made = possible[i]!;
    if (records[i]!.lsn !== made.lsn || records[i]!.text !== made.text) {
      return `record ${i}: ${records[i]!.lsn} ${records[i]!.text}, not ${made.lsn} ${made.text}`;
    }
  }
  return null;
}

function textOf(
  type: number,
  groupId: number,
  incarnation: number,
  term: number,
  a: number,
  b: number,
  memory: Memory,
  address: number,
  length: number,
): string {
  const crc = crc32cOfBytes(memory.bytes, address, address + length, 0);
  return `${type} ${groupId} ${incarnation} ${term} ${a} ${b} ${length} ${crc}`;
}

function textOfSeal(): string {
  return `${JournalRecordType.SEAL} 0 0 0 0 0 0 0`;
}

function textOfRecord(memory: Memory, record: JournalRecord): string {
  return textOf(
    record.type,
    record.groupId,
    record.incarnation,
    record.term,
    record.batch.firstIndex,
    record.batch.generation,
    memory,
    record.payloadAddress,
    record.payloadLength,
  );
}

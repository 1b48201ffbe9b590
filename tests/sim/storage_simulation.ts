/**
 * A node's storage under a random workload, crashes and restarts, against a model: one seed, one run.
 *
 * Every life mounts the node with a new random number of shards, works on a few groups (append, meta entry,
 * hard state, truncate, trim up to the end, retention, roll, read, checkpoint, create, delete), and ends in a
 * power cut at a random operation, perhaps during recovery. Then each group must be what its recorded
 * operations make of it: as many as it says it reflects, at least those that were durable. What a seed does
 * much of is its plan (`storage_plan.ts`).
 *
 * In some lives the host has hiccups, which must not show. In some the disk fails an operation: such a life may
 * end early, and may leave a log suspect; nothing that was durable is lost by it.
 *
 * @module
 */

import { assert } from "../../src/base/assert.ts";
import { Xoshiro128 } from "../../src/base/prng.ts";
import { setInt64 } from "../../src/bytes/int64.ts";
import type { FaultPlan } from "../../src/io/memory_disk.ts";
import { runTask } from "../../src/io/task.ts";
import { checkEnds, checkEntries, checkProducer } from "./log_check.ts";
import type { Engine } from "../../src/storage/engine.ts";
import { MetaKind } from "../../src/storage/log.ts";
import { equal, isDeleted, type ModelOperation, ModelState } from "./log_model.ts";
import type { PartitionLog } from "../../src/storage/partition_log.ts";
import { checkSegments, expectedStart } from "./retention_model.ts";
import { planFailure, planHiccups, planOf, type StoragePlan } from "./storage_plan.ts";
import { lastSequenceOf } from "../../src/storage/producer_table.ts";
import { writeSampleBatch } from "./sample_batch.ts";
import { TestNode } from "./storage_node.ts";

const GROUPS = 5;
const PRODUCERS = 3;
const SEGMENT_BYTES_MIN = 8192;
/** Segments of so many sizes, each twice the one before. */
const SEGMENT_SIZES = 5;
/** A last scene's appends, steps before and after them, and operations until the power goes, at most. */
const DOOM_ROUNDS = 5;
const DOOM_APPENDS = 64;
const DOOM_APPENDS_LATER = 6;
const DOOM_STEPS = 60;
const DOOM_OPERATIONS = 60;
const DOOM_STEPS_PER_OPERATION = 4;
/** Large batches are of up to so many bytes more than the smallest large one. */
const LARGE_SPREAD_BYTES = 100_000;
/** Of blocks that a power cut left unreadable in the middle of a write, this is said. */
const LOST_NOTHING = /nothing is lost|nothing:/i;
/** And of those where nothing shows that it was cut. */
const UNREADABLE = /blocks of a journal cannot be read|withholds/;
/** The first record's time; later ones are as many milliseconds later (ms). */
const FIRST_TIMESTAMP_MS = 10_000;

interface Tracked {
  readonly groupId: number;
  readonly operations: ModelOperation[];
  /** What they amount to, all of them. */
  state: ModelState;
  /** LSN of each operation. */
  readonly lsns: number[];
  /** Operations that survived an earlier life, or were reported durable. */
  durableCount: number;
  truncating: { index: number } | null;
  deleting: boolean;
  /** Last indexes of the checkpoint that was begun last, and of the one before; or of the start. */
  capturedIndexes: readonly [number, number];
  /** A large batch whose record is still to come, and the log's state in memory. */
  large: ModelOperation | null;
  log: PartitionLog | null;
}

export class StorageSimulation {
  readonly node: TestNode;
  readonly #random: Xoshiro128;
  #groups = new Map<number, Tracked>();
  #nextGroup = 1;
  #fill = 0;
  #hash = 0x811c9dc5;
  lives = 0;
  mounts = 0;
  operations = 0;
  checkpoints = 0;
  reads = 0;
  /** Large batches that became part of a log. */
  largeBatches = 0;
  /** Log starts that were moved to the very end, and by retention. */
  trimsToEnd = 0;
  retentions = 0;
  /** Cuts of a log's end, and lives that ended in one. */
  cuts = 0;
  dooms = 0;
  /** Lives in which the disk failed an operation. */
  failures = 0;
  hiccups = 0;
  readonly #plan: StoragePlan;
  /** What the disk does wrong in this life. */
  #failure: FaultPlan | null = null;
  /**
   * The disk has failed in some life, or a power cut made a block of the journal's last write unreadable, which may
   * have completed for all that a start can tell: a log may have been left suspect.
   */
  #mayBeSuspect = false;

  constructor(seed: number) {
    this.#random = new Xoshiro128(seed);
    const journalBytes = 128 * 1024 * (1 + this.#random.nextBelow(3));
    this.#plan = planOf(this.#random);
    this.node = new TestNode({ seed, journalBytes, disk: this.#plan.disk });
  }

  /** Equal for equal runs. */
  get hash(): number {
    return this.#hash;
  }

  run(lives: number, steps: number): void {
    for (let life = 0; life < lives * this.#plan.livesFactor; life++) {
      this.#mount();
      if (this.#random.nextBelow(8) > 0) {
        const within = steps * this.#plan.powerCutWithin;
        this.node.disk.crashAfterOps(this.#random.nextBelow(within));
      }
      this.#arm();
      for (let step = 0; step < steps && !this.#isOver; step++) this.#step();
      this.#observe();
      if (!this.#isOver && this.#random.nextBelow(3) === 0) this.#stop();
      this.#observe();
      this.#fold(this.node.disk.traceHash);
      assert(
        this.node.fatals.length === 0 || this.#failure !== null,
        `storage failed: ${this.node.fatals[0]}`,
      );
      this.#endLife();
      this.lives++;
    }
    this.#mount();
  }

  /** A power cut, or the process has ended. */
  get #isOver(): boolean {
    return this.node.disk.crashed || this.node.fatals.length > 0;
  }

  #endLife(): void {
    this.node.crash();
    this.node.fatals = [];
    this.node.damages = [];
    this.#failure = null;
  }

  /** In some lives the disk will fail, in some the host has hiccups, which nobody may notice. */
  #arm(): void {
    const { failureOdds } = this.#plan;
    if (failureOdds === 0 || this.#random.nextBelow(failureOdds) > 0) return;
    if (this.#random.nextBelow(3) === 0) {
      this.node.disk.inject(planHiccups(this.#random));
      this.hiccups++;
      return;
    }
    this.#failure = planFailure(this.#random);
    this.node.disk.inject(this.#failure);
    this.#mayBeSuspect = true;
    this.failures++;
  }

  #fold(value: number): void {
    this.#hash = Math.imul(this.#hash ^ value, 0x01000193) >>> 0;
  }

  #mount(): void {
    for (let attempt = 0;; attempt++) {
      if (attempt < 3 && this.#random.nextBelow(3) === 0) {
        this.node.disk.crashAfterOps(this.#random.nextBelow(60));
      }
      if (attempt < 3 && this.#random.nextBelow(3) === 0) this.#arm();
      const mounted = this.node.mount(1 + this.#random.nextBelow(3));
      this.mounts++;
      if (mounted && !this.node.disk.crashed && this.#failure === null) break;
      assert(
        mounted || this.node.disk.crashed || this.#failure !== null,
        `a start failed: ${this.node.report?.reason}`,
      );
      this.#endLife();
    }
    // A crash that was planned for recovery must not hit the checks below.
    this.node.disk.crashAfterOps(Infinity);
    this.#verify();
  }

  // ---- Verification ----

  #verify(): void {
    const found = this.node.report!.damages.filter(({ lost }) => !LOST_NOTHING.test(lost));
    const isTorn = found.some(({ lost }) => UNREADABLE.test(lost));
    assert(isTorn || found.length === 0, `recovery found damage: ${JSON.stringify(found)}`);
    if (isTorn) this.#mayBeSuspect = true;
    for (const tracked of [...this.#groups.values()]) {
      const log = this.node.log(tracked.groupId) as PartitionLog | undefined;
      if (log === undefined) {
        const mayBeGone = tracked.durableCount === 0 || isDeleted(tracked);
        assert(mayBeGone, `group ${tracked.groupId} is gone`);
        this.#groups.delete(tracked.groupId);
        continue;
      }
      if (isTorn && log.sequence === 0 && (isDeleted(tracked) || tracked.durableCount === 0)) {
        // Whether its creation or deletion is lost cannot be known: what is left of its directory is a log.
        this.node.finish(this.#engineOf(tracked.groupId).deleteLog(tracked.groupId));
        this.#groups.delete(tracked.groupId);
        continue;
      }
      assert(log.sequence >= tracked.durableCount, "durable records are lost");
      assert(log.sequence <= tracked.operations.length, "more records than were made");
      tracked.operations.length = log.sequence;
      tracked.lsns.length = log.sequence;
      tracked.durableCount = log.sequence;
      tracked.truncating = null;
      tracked.deleting = false;
      tracked.large = null;
      tracked.log = null;
      tracked.state = new ModelState(tracked.operations, log.sequence);
      tracked.capturedIndexes = [log.lastIndex, log.lastIndex];
      this.#compare(log, tracked.state);
      if (this.node.disk.crashed) return;
    }
    const met = this.node.damages.find((damage) =>
      !LOST_NOTHING.test(damage.lost) && !found.includes(damage)
    );
    assert(met === undefined, `damage: ${JSON.stringify(met)}`);
  }

  #compare(log: PartitionLog, state: ModelState): void {
    checkEnds(log, state);
    const bytes = this.node.readAll(log, log.startOffset);
    if (log.suspect && this.#mayBeSuspect) this.#accept(log);
    assert(!log.suspect, "a log is suspect");
    checkSegments(log.segments(), state, state.batches());
    assert(bytes !== null, `the log cannot be read: ${JSON.stringify(this.node.damages)}`);
    const wanted = state.bytesFrom(log.startOffset);
    assert(equal(bytes, wanted), "the log's bytes differ");
    for (const byte of bytes) this.#hash = Math.imul(this.#hash ^ byte, 0x01000193) >>> 0;
    checkEntries(log, state);
    for (let id = 1; id <= PRODUCERS; id++) checkProducer(log, state, id, this.node.nowMs);
  }

  /** An operator lets a log be written again that a failure left suspect. */
  #accept(log: PartitionLog): void {
    const { groupId } = log;
    const tracked = this.#groups.get(groupId)!;
    assert(log.acceptLoss() === 0, "what a failure left suspect cannot be accepted");
    this.#note(tracked, { kind: "accept" }, this.#engineOf(groupId).journal.recordedLsn);
  }

  // ---- Workload ----

  #engineOf(groupId: number): Engine {
    return this.node.engines[groupId % this.node.engines.length]!;
  }

  /** Takes note of records made by tasks, and of what became durable. */
  #observe(): void {
    for (const tracked of this.#groups.values()) {
      const engine = this.#engineOf(tracked.groupId);
      const log = engine.logs.get(tracked.groupId);
      const lsn = engine.journal.recordedLsn;
      if (log !== undefined) tracked.log = log;
      // Deleting makes the last of the records.
      const made = (tracked.log?.sequence ?? 0) - (tracked.deleting && log === undefined ? 1 : 0);
      while (tracked.operations.length < made) {
        if (tracked.operations.length === 0) this.#note(tracked, { kind: "create" }, lsn);
        else if (tracked.large !== null) {
          this.#note(tracked, tracked.large, lsn);
          tracked.large = null;
          this.largeBatches++;
        } else {
          assert(tracked.truncating !== null, "a record nobody made");
          this.cuts++;
          this.#note(tracked, { kind: "truncate", index: tracked.truncating.index }, lsn);
          tracked.truncating = null;
        }
      }
      if (log === undefined) {
        if (tracked.deleting) this.#note(tracked, { kind: "delete" }, lsn);
        tracked.deleting = false;
      } else {
        assert(log.sequence === tracked.operations.length, "records out of step");
        const known = tracked.state;
        const pending = tracked.large !== null || tracked.truncating !== null;
        assert(pending || log.endOffset === known.endOffset, "the log's end differs");
        assert(log.durableEndOffset <= known.endOffset, "an unrecorded batch is called durable");
      }
      while (
        tracked.durableCount < tracked.lsns.length &&
        tracked.lsns[tracked.durableCount]! <= engine.journal.journal.durableLsn
      ) tracked.durableCount++;
    }
  }

  #note(tracked: Tracked, operation: ModelOperation, lsn: number): void {
    tracked.operations.push(operation);
    tracked.state.apply(operation);
    tracked.lsns.push(lsn);
    this.operations++;
  }

  #step(): void {
    const random = this.#random;
    const choice = random.nextBelow(40);
    if (choice < 12) this.node.disk.step();
    else if (choice < 18) this.node.turn();
    else if (choice < 19 && this.#groups.size < GROUPS) this.#create();
    else {
      const groups = [...this.#groups.values()];
      const tracked = groups[random.nextBelow(groups.length)];
      const { doomOdds } = this.#plan;
      if (tracked === undefined) return;
      if (doomOdds > 0 && random.nextBelow(doomOdds) === 0) this.#doom(tracked);
      else this.#act(tracked, choice);
    }
    this.#observe();
  }

  #create(): void {
    const groupId = this.#nextGroup++;
    const { segmentSizeMin } = this.#plan;
    const segmentBytes = SEGMENT_BYTES_MIN <<
      (segmentSizeMin + this.#random.nextBelow(SEGMENT_SIZES - segmentSizeMin));
    this.#groups.set(groupId, {
      groupId,
      operations: [],
      state: new ModelState([], 0),
      capturedIndexes: [0, 0],
      lsns: [],
      durableCount: 0,
      truncating: null,
      deleting: false,
      large: null,
      log: null,
    });
    this.#engineOf(groupId).createLog({
      groupId,
      incarnation: 1,
      name: "topic-0",
      segmentLimits: { segmentBytes, segmentMs: 1e12 },
      listener: null,
    });
  }

  /**
   * The last scene of a life: a log is written, and cut while that is on its way to the disk or a checkpoint
   * runs; then nothing more is recorded, and the power goes.
   */
  #doom(tracked: Tracked): void {
    const random = this.#random;
    const { disk } = this.node;
    const engine = this.#engineOf(tracked.groupId);
    this.dooms++;
    const logOf = (): PartitionLog | null => {
      const log = engine.logs.get(tracked.groupId);
      const isThere = log !== undefined && !tracked.deleting && tracked.operations.length > 0;
      return isThere && !this.#isOver ? log : null;
    };
    const write = (countMax: number): void => {
      const log = logOf();
      if (log === null) return;
      let left = 1 + random.nextBelow(countMax);
      while (left > 0 && this.#append(tracked, log, engine)) left--;
    };
    disk.crashAfterOps(Infinity);
    if (random.nextBelow(2) === 0) {
      this.#checkpoint(engine);
      for (let i = 0; i < DOOM_STEPS && engine.checkpointing; i++) this.#pass(DOOM_STEPS);
    }
    for (let rounds = random.nextBelow(DOOM_ROUNDS); rounds >= 0; rounds--) {
      write(DOOM_APPENDS);
      this.#pass(random.nextBelow(DOOM_STEPS));
    }
    if (random.nextBelow(2) === 0) write(DOOM_APPENDS_LATER);
    if (random.nextBelow(3) === 0) this.#checkpoint(engine);
    const log = logOf();
    if (log !== null) this.#truncate(tracked, log);
    disk.crashAfterOps(random.nextBelow(DOOM_OPERATIONS));
    this.#pass(DOOM_OPERATIONS * DOOM_STEPS_PER_OPERATION);
    disk.crash();
  }

  /** Only the disk and the shards go on. */
  #pass(steps: number): void {
    for (let i = 0; i < steps && !this.#isOver; i++) {
      if (this.#random.nextBelow(3) === 0) this.node.turn();
      else this.node.disk.step();
      this.#observe();
    }
  }

  #act(tracked: Tracked, choice: number): void {
    const engine = this.#engineOf(tracked.groupId);
    const log = engine.logs.get(tracked.groupId);
    if (log === undefined || tracked.deleting || tracked.operations.length === 0) return;
    const random = this.#random;
    if (choice < 31) {
      if (random.nextBelow(this.#plan.trimOdds) === 0) this.#trim(tracked, log, engine);
      else if (random.nextBelow(this.#plan.cutOdds) === 0) this.#truncate(tracked, log);
      else {
        const burst = 1 + random.nextBelow(this.#plan.burstMax);
        for (let i = 0; i < burst && this.#append(tracked, log, engine); i++);
      }
    } else if (choice < 33) this.#meta(tracked, log, engine);
    else if (choice === 33) this.#hard(tracked, log, engine);
    else if (choice === 34) this.#truncate(tracked, log);
    else if (choice === 35) this.#trim(tracked, log, engine);
    else if (choice === 36) this.#read(tracked, log);
    else if (choice === 37) {
      if (random.nextBelow(this.#plan.checkpointOdds) === 0) this.#checkpoint(engine);
    } else if (choice === 38) {
      if (random.nextBelow(4) === 0) engine.cache.reclaim(engine.cache.arena.blockSizeMax);
    } else if (random.nextBelow(this.#plan.deleteOdds) === 0) {
      tracked.deleting = true;
      runTask(engine.deleteLog(tracked.groupId), () => {});
    }
  }

  /** False: nothing can be appended after it now. */
  #append(tracked: Tracked, log: PartitionLog, engine: Engine): boolean {
    const random = this.#random;
    if (log.lastTerm === 0) {
      this.#meta(tracked, log, engine);
      return false;
    }
    const large = random.nextBelow(this.#plan.largeOdds) === 0;
    const size = random.nextBelow(20);
    const recordCount = large ? 1 : 1 + random.nextBelow(5);
    const valueBytes = large
      ? engine.largeBytesMin + random.nextBelow(LARGE_SPREAD_BYTES)
      : size === 0
      ? random.nextBelow(16_000)
      : random.nextBelow(size < 8 ? 60 : 900);
    const producerId = random.nextBelow(PRODUCERS + 1);
    const { state } = tracked;
    const last = state.lastBatchOf(producerId);
    const firstSequence = last === null
      ? 0
      : lastSequenceOf(last.firstSequence, last.endOffset - last.offset) + 1;
    const identity = producerId === 0
      ? {}
      : { producerId, producerEpoch: 0, baseSequence: firstSequence };
    const { memory, crc32c } = this.node;
    const length = writeSampleBatch(memory, crc32c, 0, {
      recordCount,
      valueBytes,
      fill: this.#fill++,
      timestampMs: FIRST_TIMESTAMP_MS + this.#fill,
      ...identity,
    });
    const offset = log.append(0, length, log.lastTerm, this.node.nowMs);
    if (offset < 0) {
      assert(
        offset === -11 || this.#failure !== null,
        `append refused: ${offset} ${JSON.stringify([this.node.damages, this.node.fatals])}`,
      );
      return false;
    }
    assert(offset === state.endOffset, "an append has the wrong offset");
    assert(tracked.large === null, "an append went past a large one");
    const bytes = memory.bytes.slice(0, length);
    const view = new DataView(bytes.buffer);
    setInt64(view, 0, offset);
    view.setInt32(12, log.lastTerm, false);
    const operation: ModelOperation = {
      kind: "append",
      bytes,
      recordCount,
      producerId: producerId === 0 ? -1 : producerId,
      firstSequence,
    };
    if (log.sequence === tracked.operations.length) {
      tracked.large = operation;
      return false;
    }
    this.#note(tracked, operation, engine.journal.recordedLsn);
    return true;
  }

  #meta(tracked: Tracked, log: PartitionLog, engine: Engine): void {
    const opens = log.lastTerm === 0 || this.#random.nextBelow(2) === 0;
    const kind = opens ? MetaKind.NO_OP : MetaKind.CONFIGURATION;
    const term = log.lastTerm + (opens ? 1 : 0);
    const mark = this.#random.nextBelow(256);
    if (log.appendMeta(kind, term, new Uint8Array([mark, 1, 2])) < 0) return;
    this.#note(tracked, { kind: "meta", meta: kind, term, mark }, engine.journal.recordedLsn);
  }

  #hard(tracked: Tracked, log: PartitionLog, engine: Engine): void {
    const term = log.hardTerm + this.#random.nextBelow(2);
    const vote = this.#random.nextBelow(3) - 1;
    if (log.setHardState(term, vote) < 0) return;
    this.#note(tracked, { kind: "hard", term, vote }, engine.journal.recordedLsn);
  }

  #checkpoint(engine: Engine): void {
    if (engine.checkpointing) return;
    engine.checkpoint();
    for (const tracked of this.#groups.values()) {
      if (this.#engineOf(tracked.groupId) !== engine) continue;
      tracked.capturedIndexes = [tracked.state.lastIndex, tracked.capturedIndexes[0]];
    }
  }

  #truncate(tracked: Tracked, log: PartitionLog): void {
    const { state } = tracked;
    const entries = state.entries.filter((entry) =>
      entry.lastIndex >= log.startIndex && entry.lastIndex >= log.committedIndex
    );
    if (entries.length < 2 || log.gate.refusal !== 0) return;
    let from = Math.max(0, entries.length - 1 - this.#random.nextBelow(this.#plan.cutWithin));
    const captured = tracked.capturedIndexes[this.#random.nextBelow(4)];
    if (captured !== undefined) {
      from = Math.max(0, entries.findLastIndex((entry) => entry.lastIndex <= captured));
    }
    const index = entries[from]!.lastIndex;
    if (index === log.lastIndex) return;
    tracked.truncating = { index };
    runTask(log.truncate(index), (result) => {
      const may = log.deleted || this.#failure !== null;
      assert(result === 0 || may, `cannot truncate: ${result}`);
    });
  }

  #trim(tracked: Tracked, log: PartitionLog, engine: Engine): void {
    const before = log.sequence;
    if (log.gate.refusal !== 0) return;
    if (this.#random.nextBelow(2) === 0) this.#retain(tracked, log);
    else if (log.endOffset > log.startOffset) {
      const { state } = tracked;
      const choice = this.#random.nextBelow(4);
      const span = state.endOffset - log.startOffset;
      if (choice === 0) log.trimPrefix(state.endOffset);
      else if (choice === 1) log.trimPrefix(Math.min(log.durableEndOffset, state.endOffset));
      else log.trimPrefix(log.startOffset + this.#random.nextBelow(span + 1));
      if (log.startOffset === state.endOffset && log.sequence > before) this.trimsToEnd++;
    }
    if (log.sequence === before) return;
    const operation: ModelOperation = { kind: "trim", offset: log.startOffset };
    this.#note(tracked, operation, engine.journal.recordedLsn);
  }

  /** Retention by new random limits; its expected effect is known exactly. */
  #retain(tracked: Tracked, log: PartitionLog): void {
    const random = this.#random;
    log.setCommitted(log.indexAt(Math.floor((log.startOffset + log.endOffset) / 2)) - 1);
    const bytes = Math.max(1, log.sizeBytes);
    const limits = {
      retentionMs: random.nextBelow(2) === 0 ? -1 : random.nextBelow(60),
      retentionBytes: random.nextBelow(3) === 0 ? -1 : 1 + random.nextBelow(bytes),
      limitOffset: random.nextBelow(2) === 0 ? log.endOffset : log.durableEndOffset,
    };
    const nowMs = FIRST_TIMESTAMP_MS + this.#fill + random.nextBelow(20);
    const { state } = tracked;
    const batches = state.batches();
    const large = tracked.large;
    if (large === null) checkSegments(log.segments(), state, batches);
    const before = log.startOffset;
    const wanted = expectedStart(log.segments(), before, nowMs, limits);
    assert(log.retentionOffset(nowMs, limits) === wanted, "retention wants another log start");
    const start = log.applyRetention(nowMs, limits);
    assert(start === wanted || start === before, "retention moved the log start elsewhere");
    if (start > before) this.retentions++;
  }

  #read(tracked: Tracked, log: PartitionLog): void {
    if (log.endOffset === log.startOffset) return;
    const offset = log.startOffset + this.#random.nextBelow(log.endOffset - log.startOffset);
    const maxBytes = 1 + this.#random.nextBelow(50_000);
    const piece = this.node.readOnce(log, offset, maxBytes);
    this.#observe();
    if (piece === null || tracked.operations.length === 0) {
      assert(
        this.node.disk.crashed || log.startOffset > offset || log.endOffset <= offset ||
          this.#failure !== null,
        "a read failed",
      );
      return;
    }
    this.reads++;
    const { state } = tracked;
    const wanted = state.bytesFrom(offset);
    if (wanted.length < piece.bytes.length) return;
    assert(piece.bytes.length > 0, "a read gave nothing");
    assert(equal(piece.bytes, wanted.subarray(0, piece.bytes.length)), "a read gave other bytes");
  }

  #stop(): void {
    for (const engine of this.node.engines) {
      const result = this.node.finish(engine.stop());
      if (result === null || this.#isOver) return;
      assert(result === 0 || this.#failure !== null, `an engine did not stop: ${result}`);
    }
  }
}

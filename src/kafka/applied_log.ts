/**
 * A state machine that is kept in a partition's log: the controller's image on group 0, a coordinator on a
 * partition of `__consumer_offsets`.
 *
 * ```
 *   load()          --> snapshot, then every committed record after it --> apply
 *   commit          --> read what is new --> apply, batch by batch --> done(0) of its append
 *   append(records) --> log, wherever this node leads
 *   unload()        --> nothing is applied any more, and open appends are refused; load() may follow
 *   unreadable      --> stalled: nothing is applied or appended, until the record can be read
 *   from time to time --> the state's records --> snapshot
 * ```
 *
 * Leader and followers apply the same way, from the log. Who proposed a record learns of it like anybody
 * else, so a state cannot depend on who led.
 *
 * Snapshots bound a load: when the log after the last snapshot is as large as that snapshot (and not smaller
 * than the owner's minimum), the next one is written, piece by piece, while the machine continues. A small state
 * is also written after a pause, and when the shard stops, so that it can replace its log where damage takes
 * that. Changes of the meantime may be in it or not: they are applied again from the log after the snapshot, so
 * a machine must accept its records more than once, in order ({@linkcode StateMachine.snapshot}). A snapshot that
 * is damaged, of another log, or ahead of a log that lost its end is reported, and the whole log is read instead.
 * A state that lacks an unreadable part of the log is not written: it would replace that part once it is readable.
 *
 * A log's contents are input: clients once could write there, and disks return wrong bytes. So
 * - a record that the machine cannot apply is skipped, and reported with its offset;
 * - a read that fails is repeated, because some errors are temporary;
 * - while a state is loaded, a part of the log that stays unreadable, and that no other node has, is skipped, and
 *   reported with the lost offsets; the records after it still count. Who loads decides what a state that lacks something may do.
 * - later, nothing is skipped: others rely on the state, and on having heard of every change. It is *stalled* then,
 *   which is reported, and tries again until the record can be read, or a start loads the state anew.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import { ECANCELED, EIO } from "../io/errno.ts";
import { NOT_LEADER } from "../replication/replica.ts";
import { type Logger, LogLevel } from "../base/logger.ts";
import type { Memory } from "../bytes/memory.ts";
import { runTask, type Task, until } from "../io/task.ts";
import { Timer, type Timers } from "../io/timers.ts";
import { ReadError } from "../storage/log.ts";
import { LogRead } from "../storage/log_read.ts";
import {
  readSnapshot,
  type Snapshot,
  type SnapshotContext,
  type SnapshotCover,
  type SnapshotOwner,
  snapshotPath,
  writeSnapshot,
} from "../storage/state_snapshot.ts";
import { type MarkerFields, readMarker } from "../wire/control_records.ts";
import {
  batchBaseOffset,
  batchEndOffset,
  batchIsControl,
  batchIsTransactional,
  batchProducerId,
  batchSize,
} from "../wire/record_batch.ts";
import type { Partition } from "./partition.ts";
import { type AppendMemory, RecordAppender } from "./record_appender.ts";
import { batchOf, type RecordsProducer, type StateRecord, visitRecords } from "./records_of.ts";

/** Bytes read at once. */
const READ_SIZE = 1024 * 1024;
/** Pauses before a read that failed is tried again (ms). */
const READ_PAUSES_MS = [10, 50, 250];
/** The same of a stalled state. */
const STALLED_PAUSE_MS = 1_000;
/** Skipped records that are reported one by one; the rest is counted. */
const NAMED_RECORDS_MAX = 10;

/** Records of a snapshot that are applied in one turn. */
const APPLIED_AT_ONCE = 5_000;
/** Loads that take at least this long are logged (ms). */
const SLOW_LOAD_MS = 100;
/** A state up to this size is written even when little follows the last snapshot (bytes). */
const SMALL_STATE_BYTES = 2 ** 20;
/** A snapshot that could not be written is tried again after this time (ms). */
const SNAPSHOT_RETRY_MS = 60_000;

const marker: MarkerFields = { isAbort: false, coordinatorEpoch: -1 };

/** When the next snapshot of a state is written. */
export interface SnapshotPolicy {
  /** Not before this much was written after the last one (bytes of keys and values)... */
  readonly bytesMin: number;
  /** ... and asked this often (ms). */
  readonly intervalMs: number;
  /** A small state is written when anything follows the last snapshot, and that snapshot is this old (ms). */
  readonly restMs: number;
}

/** What is kept in the log. */
export interface StateMachine {
  /** Applies a committed record; returns why it makes no sense and was skipped, or null. */
  apply(key: Uint8Array | null, value: Uint8Array | null): string | null;
  /** The same of a record in a producer's transaction: it counts when that is committed. Absent: it counts at once. */
  applyPending?(
    producerId: number,
    key: Uint8Array | null,
    value: Uint8Array | null,
  ): string | null;
  /** A producer's transaction has ended. */
  endTransaction?(producerId: number, isCommit: boolean): void;
  /**
   * Records that, applied to an empty machine, give the state. They are drawn over many turns, between which
   * further records are applied; of what those change, the state before or after may be given. A machine whose
   * records cannot be applied twice gives all of them as they are at the call.
   */
  snapshot(): Iterable<StateRecord>;
}

export interface AppliedLogOptions {
  readonly memory: Memory;
  readonly blocks: AppendMemory;
  readonly disk: SnapshotContext["disk"];
  readonly crc32c: SnapshotContext["crc32c"];
  readonly snapshots: SnapshotPolicy;
  readonly logger: Logger;
  readonly timers: Timers;
  /** Monotonic time of the present turn, and of this moment (ms). */
  readonly nowMs: () => number;
  readonly clockMs: () => number;
  readonly wallMs: () => number;
}

/** What {@linkcode AppliedLog.load} met. */
export interface Loaded {
  /** Records that were skipped. */
  readonly skippedRecords: number;
  /** Offsets whose records could not be read. */
  readonly lostOffsets: number;
}

/** Answered when the state has reached an offset. */
interface Parked {
  readonly offset: number;
  readonly done: (result: number) => void;
}

export class AppliedLog {
  readonly partition: Partition;
  readonly #machine: StateMachine;
  readonly #options: AppliedLogOptions;
  readonly #appender: RecordAppender;
  readonly #timer: Timer;
  readonly #read = new LogRead({ complete: () => this.#onRead() });
  #onRead: () => void = () => {};
  /** Between a load that has ended and the next unload. */
  #loaded = false;
  /** Grows with each unload: what was begun before it stops where it is. */
  #tenure = 0;
  /** A read or a snapshot is on its way. */
  #applying = false;
  #writing = false;
  readonly #idleWaiters: (() => void)[] = [];
  /** In order of their offsets. */
  readonly #parked: Parked[] = [];
  #skipped = 0;
  #lost = 0;
  /** First offset that is not applied. */
  #nextOffset = 0;
  /** Bytes applied since the last snapshot, and its size. */
  #bytesBehind = 0;
  #snapshotBytes = 0;
  #snapshotAtMs = 0;
  #retryAtMs = 0;
  #failing = false;
  #stopped = false;
  /** Since when a record cannot be read (ms); negative: none. */
  #stalledSinceMs = -1;

  constructor(partition: Partition, machine: StateMachine, options: AppliedLogOptions) {
    this.partition = partition;
    this.#machine = machine;
    this.#options = options;
    const { memory, blocks, wallMs } = options;
    this.#appender = new RecordAppender(partition, memory, blocks, wallMs);
    this.#timer = new Timer(() => this.#onTimer());
  }

  /** First offset whose record is not in the state yet. */
  get appliedOffset(): number {
    return this.#nextOffset;
  }

  /** A committed record cannot be read: those after it wait, and so does who appended them; appends are refused. */
  get stalled(): boolean {
    return this.#stalledSinceMs >= 0;
  }

  /**
   * Appends `records` as one batch. `done` is called once: with 0 when they are committed and applied, in
   * the order of the appends and before anything later is applied; or with a refusal, when they never will be
   * (-EIO while the state is {@linkcode AppliedLog.stalled}), or when this node lost the leadership or unloaded the
   * state first.
   *
   * @param producer in whose transaction they are
   */
  append(
    records: readonly StateRecord[],
    done: (result: number) => void,
    producer: RecordsProducer | null = null,
  ): void {
    if (!this.#loaded) return done(NOT_LEADER);
    if (this.stalled) return done(-EIO);
    const batch = batchOf(records, this.#options.wallMs(), producer);
    const tenure = this.#tenure;
    this.#appender.append(batch, (baseOffset) => {
      if (baseOffset < 0) done(baseOffset);
      else if (tenure !== this.#tenure) done(NOT_LEADER);
      else this.#park(baseOffset + records.length, done);
    });
  }

  /** What is appended by others stands in one line with this state's own records. */
  get appender(): RecordAppender {
    return this.#appender;
  }

  /** Appends may be tried again. */
  retry(): void {
    this.#appender.retry();
  }

  /** Calls `done` with 0 once everything is applied that is committed now, or with a refusal as an append's. */
  whenApplied(done: (result: number) => void): void {
    assert(this.#loaded, "a state follows its log when it is loaded");
    this.#park(this.partition.highWatermark, done);
  }

  /** The partition's commit advanced. */
  onCommit(): void {
    if (!this.#loaded || this.#applying) return;
    this.#applying = true;
    runTask(this.#applyCommitted(this.#tenure), () => this.#endApplying());
  }

  /**
   * Builds the state from the snapshot and every committed record after it, in order; one that is committed
   * while this runs is included. From then on, what is committed is applied at once.
   *
   * @returns null when it was unloaded meanwhile
   */
  *load(): Task<Loaded | null> {
    assert(!this.#loaded, "a state was loaded twice");
    const tenure = this.#tenure;
    // What an earlier tenure left on its way ends first.
    while (this.#applying || this.#writing) {
      yield* until<void>((done) => this.#idleWaiters.push(done));
    }
    if (tenure !== this.#tenure) return null;
    const begunMs = this.#options.clockMs();
    this.#skipped = 0;
    this.#lost = 0;
    this.#bytesBehind = 0;
    this.#snapshotBytes = 0;
    this.#applying = true;
    const snapshot = yield* this.#usableSnapshot();
    if (snapshot !== null) yield* this.#applySnapshot(snapshot, tenure);
    const from = Math.max(this.partition.startOffset, snapshot?.nextOffset ?? 0);
    this.#nextOffset = from;
    yield* this.#applyCommitted(tenure);
    this.#endApplying();
    if (tenure !== this.#tenure) return null;
    if (this.#skipped > NAMED_RECORDS_MAX) {
      this.#log(LogLevel.WARN, "More records were skipped", { records: this.#skipped });
    }
    this.#loaded = true;
    this.#noteLoaded(snapshot?.sizeBytes ?? 0, this.#nextOffset - from, begunMs);
    this.#snapshotAtMs = this.#options.nowMs();
    this.#schedule();
    return { skippedRecords: this.#skipped, lostOffsets: this.#lost };
  }

  /** Leaves the state as it is: the machine gets nothing more, and no snapshot of it is written. */
  unload(): void {
    this.#tenure++;
    this.#loaded = false;
    this.#stalledSinceMs = -1;
    this.#options.timers.cancel(this.#timer);
    for (const { done } of this.#parked.splice(0)) done(NOT_LEADER);
  }

  /** Ends: a small state with records after its last snapshot is written. Nothing may be appended any more. */
  *stop(): Task<void> {
    this.#stopped = true;
    this.#options.timers.cancel(this.#timer);
    if (!this.#loaded || this.#writing) return;
    if (this.#isWorthWriting && this.#isSmall) yield* this.writeSnapshot();
  }

  /**
   * Writes a snapshot of the present state; its size (bytes), or a negative errno: ECANCELED when the state
   * was unloaded before all of it was drawn.
   */
  *writeSnapshot(): Task<number> {
    const { log } = this.partition;
    const nextOffset = this.#nextOffset;
    const bytesBehind = this.#bytesBehind;
    const point = { appliedIndex: log.indexAt(nextOffset) - 1, nextOffset };
    const records = this.#machine.snapshot();
    const tenure = this.#tenure;
    const cover = (): SnapshotCover | null =>
      tenure === this.#tenure ? this.#coverOf(this.#nextOffset) : null;
    this.#writing = true;
    const size = yield* writeSnapshot(this.#options, this.#owner, point, records, cover);
    this.#writing = false;
    this.#wakeIdle();
    if (size < 0 || tenure !== this.#tenure) return size;
    this.#snapshotAtMs = this.#options.nowMs();
    this.#snapshotBytes = size;
    this.#bytesBehind -= bytesBehind;
    return size;
  }

  get #isWorthWriting(): boolean {
    return this.#bytesBehind > 0 && this.#lost === 0;
  }

  get #isSmall(): boolean {
    return this.#snapshotBytes + this.#bytesBehind <= SMALL_STATE_BYTES;
  }

  get #isDue(): boolean {
    const { nowMs, snapshots } = this.#options;
    if (!this.#isWorthWriting || nowMs() < this.#retryAtMs) return false;
    if (this.#bytesBehind >= Math.max(snapshots.bytesMin, this.#snapshotBytes)) return true;
    return this.#isSmall && nowMs() >= this.#snapshotAtMs + snapshots.restMs;
  }

  get #owner(): SnapshotOwner {
    const { groupId, incarnation } = this.partition.log;
    return { groupId, incarnation };
  }

  #coverOf(coveredOffset: number): SnapshotCover {
    const { log } = this.partition;
    const coveredTerm = coveredOffset === 0 ? 0 : log.termAt(log.indexAt(coveredOffset - 1));
    return { coveredOffset, coveredTerm: Math.max(0, coveredTerm) };
  }

  #schedule(): void {
    if (!this.#loaded || this.#stopped) return;
    const { timers, nowMs, snapshots } = this.#options;
    timers.schedule(this.#timer, nowMs() + snapshots.intervalMs);
  }

  #onTimer(): void {
    const { nowMs } = this.#options;
    if (this.partition.gone) return;
    if (!this.#isDue) return this.#schedule();
    runTask(this.writeSnapshot(), (size) => {
      const failed = size < 0 && size !== -ECANCELED && !this.partition.gone;
      if (failed) this.#retryAtMs = nowMs() + SNAPSHOT_RETRY_MS;
      // Said once: a disk that is full stays full for a while.
      if (failed && !this.#failing) {
        this.#log(LogLevel.WARN, "Cannot write a snapshot: the next start reads more of the log", {
          file: snapshotPath(this.#owner),
          errno: -size,
        });
      }
      this.#failing = failed;
      this.#schedule();
    });
  }

  /** The log's snapshot, if there is one and the log bears it out. */
  *#usableSnapshot(): Task<Snapshot | null> {
    const read = yield* readSnapshot(this.#options, this.#owner);
    if (read.kind === "none") return null;
    const path = snapshotPath(this.#owner);
    const problem = read.kind === "found" ? this.#disproofOf(read.snapshot) : read.problem;
    if (read.kind === "found" && problem === null) return read.snapshot;
    this.#log(LogLevel.WARN, "Cannot use a snapshot: the whole log is read instead", {
      file: path,
      problem: problem ?? "",
    });
    return null;
  }

  /** Why the log as it is cannot have given `snapshot`; null when it can. */
  #disproofOf({ coveredOffset, coveredTerm }: Snapshot): string | null {
    const { log, startOffset } = this.partition;
    if (coveredOffset > log.endOffset) {
      return `it covers the log up to offset ${coveredOffset}, and the log ends at ${log.endOffset}: the log lost its end`;
    }
    // Records before the log start can no longer be compared.
    if (coveredOffset <= startOffset || this.#coverOf(coveredOffset).coveredTerm === coveredTerm) {
      return null;
    }
    return `the log was rewritten before offset ${coveredOffset}, up to which the snapshot reaches`;
  }

  *#applySnapshot(snapshot: Snapshot, tenure: number): Task<void> {
    let count = 0;
    for (const { key, value } of snapshot.records) {
      if (tenure !== this.#tenure) return;
      const problem = this.#machine.apply(key, value);
      if (problem !== null) this.#noteSkipped(-1, problem);
      if (++count % APPLIED_AT_ONCE === 0) yield* this.#pause(0);
    }
    this.#snapshotBytes = snapshot.sizeBytes;
  }

  /** Reads and applies up to the commit, as it is when all is applied. */
  *#applyCommitted(tenure: number): Task<void> {
    const { partition } = this;
    const read = this.#read;
    let tries = 0;
    while (tenure === this.#tenure && this.#nextOffset < partition.highWatermark) {
      if (this.#nextOffset < partition.startOffset) {
        if (this.#loaded) yield* this.#stall("it was removed before it was applied");
        else this.#skipTo(partition.startOffset);
        continue;
      }
      read.offset = this.#nextOffset;
      read.maxBytes = READ_SIZE;
      read.limitOffset = partition.highWatermark;
      read.minOneBatch = true;
      if (!partition.log.read(read)) yield* until<void>((done) => this.#onRead = done);
      const found = read.error === ReadError.NONE && read.extentCount > 0;
      if (found) {
        for (let i = 0; i < read.extentCount; i++) {
          this.#applyExtent(read.addresses[i]!, read.lengths[i]!, tenure);
        }
        tries = 0;
        this.#endStall();
      }
      read.release();
      if (found || tenure !== this.#tenure) continue;
      if (tries < READ_PAUSES_MS.length) {
        yield* this.#pause(READ_PAUSES_MS[tries++]!);
        continue;
      }
      // Another node has it: it is waited for, whatever it takes.
      if (this.#loaded || read.error === ReadError.MENDING) {
        yield* this.#stall("its part of the log cannot be read");
        continue;
      }
      this.#skipTo(Math.min(partition.log.readableFrom(this.#nextOffset), partition.highWatermark));
      tries = 0;
    }
  }

  #applyExtent(address: number, length: number, tenure: number): void {
    const { memory } = this.#options;
    const end = address + length;
    let at = address;
    while (at < end && tenure === this.#tenure) {
      const size = batchSize(memory.view, at);
      assert(size > 0 && at + size <= end, "an extent is a run of whole batches");
      const machine = this.#machine;
      const producerId = batchProducerId(memory.view, at);
      const isPending = batchIsTransactional(memory.view, at);
      const problem = visitRecords(memory, at, size, (offset, key, value) => {
        this.#bytesBehind += (key?.length ?? 0) + (value?.length ?? 0);
        const senseless = isPending && machine.applyPending !== undefined
          ? machine.applyPending(producerId, key, value)
          : machine.apply(key, value);
        if (senseless !== null) this.#noteSkipped(offset, senseless);
      });
      if (batchIsControl(memory.view, at) && readMarker(memory.view, at, marker)) {
        this.#bytesBehind += size;
        machine.endTransaction?.(producerId, !marker.isAbort);
      }
      if (problem !== null) this.#noteSkipped(batchBaseOffset(memory.view, at), problem);
      this.#nextOffset = batchEndOffset(memory.view, at);
      this.#answer(0);
      at += size;
    }
  }

  /** The next record cannot be had: waits before it is tried again. */
  *#stall(problem: string): Task<void> {
    if (!this.stalled) {
      this.#stalledSinceMs = this.#options.nowMs();
      this.#log(
        LogLevel.ERROR,
        "Cannot read a committed record: changes after it wait, and new ones are refused",
        {
          directory: this.partition.log.directory,
          offset: this.#nextOffset,
          problem,
          next:
            "it is tried again; gregor check --data-dir DIR names the file: put back a copy of it, or start with " +
            "--accept-loss",
        },
      );
    }
    yield* this.#pause(STALLED_PAUSE_MS);
  }

  #endStall(): void {
    if (!this.stalled) return;
    const stalledMs = Math.round(this.#options.nowMs() - this.#stalledSinceMs);
    this.#stalledSinceMs = -1;
    this.#log(LogLevel.INFO, "The record can be read: changes continue", { stalledMs });
  }

  /** While it is loaded: goes on without the records before `offset`. */
  #skipTo(offset: number): void {
    this.#noteLost(this.#nextOffset, offset);
    this.#nextOffset = offset;
    this.#answer(-EIO);
  }

  #endApplying(): void {
    this.#applying = false;
    this.#wakeIdle();
  }

  #wakeIdle(): void {
    for (const wake of this.#idleWaiters.splice(0)) wake();
  }

  #park(offset: number, done: (result: number) => void): void {
    if (offset <= this.#nextOffset) done(0);
    else this.#parked.push({ offset, done });
  }

  /** Answers whoever waits for what is applied by now. */
  #answer(result: number): void {
    while (this.#parked.length > 0 && this.#parked[0]!.offset <= this.#nextOffset) {
      this.#parked.shift()!.done(result);
    }
  }

  /** A line that people see when it took long. */
  #noteLoaded(snapshotBytes: number, offsetsBehind: number, begunMs: number): void {
    const tookMs = Math.round(this.#options.clockMs() - begunMs);
    const level = tookMs < SLOW_LOAD_MS ? LogLevel.DEBUG : LogLevel.INFO;
    this.#log(level, "Loaded a state", { snapshotBytes, offsetsBehind, tookMs });
  }

  #noteSkipped(offset: number, problem: string): void {
    this.#skipped++;
    if (this.#skipped > NAMED_RECORDS_MAX) return;
    this.#log(LogLevel.WARN, "Skipped a record that makes no sense", {
      offset,
      problem,
    });
  }

  #noteLost(from: number, to: number): void {
    this.#lost += to - from;
    this.#log(LogLevel.ERROR, "Skipped a part of the log that cannot be read", {
      directory: this.partition.log.directory,
      fromOffset: from,
      toOffset: to - 1,
      lost: "the changes in these records, unless later records repeat them",
      next: "gregor check --data-dir DIR names the file; put back a copy of it to recover them",
    });
  }

  #log(level: LogLevel, message: string, fields: Record<string, string | number>): void {
    const { topic, index } = this.partition.image;
    this.#options.logger.log(level, message, { partition: `${topic.name}-${index}`, ...fields });
  }

  *#pause(ms: number): Task<void> {
    const { timers, nowMs } = this.#options;
    yield* until<void>((done) => timers.schedule(new Timer(done), nowMs() + ms));
  }
}

/**
 * A state machine that is kept in a partition's log: the controller's image on group 0, a coordinator on a
 * partition of `__consumer_offsets`.
 *
 * ```
 *   append(records) --> log ... committed --> apply, in order --> done(0)
 *   load()          --> snapshot, then every committed record after it --> apply
 *   from time to time --> the state's records --> snapshot
 * ```
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
 * - a part of the log that stays unreadable is skipped, and reported with the lost offsets; the records after it
 *   still count.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
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
import { batchBaseOffset, batchSize } from "../wire/record_batch.ts";
import type { Partition } from "./partition.ts";
import { type AppendMemory, RecordAppender } from "./record_appender.ts";
import { batchOf, type StateRecord, visitRecords } from "./records_of.ts";

/** Bytes read at once. */
const READ_SIZE = 1024 * 1024;
/** Pauses before a read that failed is tried again (ms). */
const READ_PAUSES_MS = [10, 50, 250];
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

export class AppliedLog {
  readonly partition: Partition;
  readonly #machine: StateMachine;
  readonly #options: AppliedLogOptions;
  readonly #appender: RecordAppender;
  readonly #timer: Timer;
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
  #writing = false;
  #closed = false;

  constructor(partition: Partition, machine: StateMachine, options: AppliedLogOptions) {
    this.partition = partition;
    this.#machine = machine;
    this.#options = options;
    const { memory, blocks, wallMs } = options;
    this.#appender = new RecordAppender(partition, memory, blocks, wallMs);
    this.#timer = new Timer(() => this.#onTimer());
  }

  /**
   * Appends `records` as one batch. `done` is called once: with 0 after they are committed and applied, in
   * the order of the appends, or with the refusal when they never will be.
   */
  append(records: readonly StateRecord[], done: (result: number) => void): void {
    this.#appender.append(batchOf(records, this.#options.wallMs()), (result) => {
      if (result >= 0) {
        for (const { key, value } of records) this.#apply(key, value);
        this.#nextOffset = result + records.length;
      }
      done(Math.min(result, 0));
    });
  }

  /** Appends may be tried again. */
  retry(): void {
    this.#appender.retry();
  }

  /**
   * Applies every committed record, in order; one that is committed while this runs is included. Before the
   * first {@linkcode AppliedLog.append}.
   *
   * @returns null when the partition went away
   */
  *load(): Task<Loaded | null> {
    const { partition } = this;
    const begunMs = this.#options.clockMs();
    const snapshot = yield* this.#usableSnapshot();
    if (snapshot !== null) yield* this.#applySnapshot(snapshot);
    let resume: (result: number) => void = () => {};
    const read = new LogRead({ complete: (result) => resume(result) });
    let offset = Math.max(partition.startOffset, snapshot?.nextOffset ?? 0);
    let tries = 0;
    while (offset < partition.highWatermark) {
      if (partition.gone) return null;
      read.offset = offset;
      read.maxBytes = READ_SIZE;
      read.limitOffset = partition.highWatermark;
      read.minOneBatch = true;
      const waited = !partition.log.read(read);
      if (waited) yield* until<number>((done) => resume = done);
      if (read.error === ReadError.NONE && read.extentCount > 0) {
        for (let i = 0; i < read.extentCount; i++) {
          this.#applyExtent(read.addresses[i]!, read.lengths[i]!);
        }
        offset = read.nextOffset;
        tries = 0;
        read.release();
        continue;
      }
      read.release();
      if (partition.gone) return null;
      if (tries < READ_PAUSES_MS.length) {
        yield* this.#pause(READ_PAUSES_MS[tries++]!);
      } else {
        const next = Math.min(partition.log.readableFrom(offset), partition.highWatermark);
        this.#noteLost(offset, next);
        offset = next;
        tries = 0;
      }
    }
    if (this.#skipped > NAMED_RECORDS_MAX) {
      this.#log(LogLevel.WARN, "More records were skipped", { records: this.#skipped });
    }
    this.#nextOffset = offset;
    this.#noteLoaded(snapshot, begunMs);
    this.#snapshotAtMs = this.#options.nowMs();
    this.#schedule();
    return { skippedRecords: this.#skipped, lostOffsets: this.#lost };
  }

  /** Writes no further snapshot. */
  close(): void {
    this.#closed = true;
    this.#options.timers.cancel(this.#timer);
  }

  /** Ends: a small state with records after its last snapshot is written. Nothing may be appended any more. */
  *stop(): Task<void> {
    this.close();
    if (this.#isWorthWriting && this.#isSmall && !this.#writing) yield* this.writeSnapshot();
  }

  /** Writes a snapshot of the present state; its size (bytes), or a negative errno. */
  *writeSnapshot(): Task<number> {
    const { log } = this.partition;
    const nextOffset = this.#nextOffset;
    const bytesBehind = this.#bytesBehind;
    const point = { appliedIndex: log.indexAt(nextOffset) - 1, nextOffset };
    const records = this.#machine.snapshot();
    const cover = (): SnapshotCover => this.#coverOf(this.#nextOffset);
    this.#writing = true;
    const size = yield* writeSnapshot(this.#options, this.#owner, point, records, cover);
    this.#writing = false;
    if (size < 0) return size;
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
    if (this.#closed) return;
    const { timers, nowMs, snapshots } = this.#options;
    timers.schedule(this.#timer, nowMs() + snapshots.intervalMs);
  }

  #onTimer(): void {
    const { nowMs } = this.#options;
    if (this.partition.gone) return;
    if (!this.#isDue) return this.#schedule();
    runTask(this.writeSnapshot(), (size) => {
      const failed = size < 0 && !this.partition.gone;
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
    const { highWatermark, startOffset } = this.partition;
    if (coveredOffset > highWatermark) {
      return `it covers the log up to offset ${coveredOffset}, and the log ends at ${highWatermark}: the log lost its end`;
    }
    // Records before the log start can no longer be compared.
    if (coveredOffset <= startOffset || this.#coverOf(coveredOffset).coveredTerm === coveredTerm) {
      return null;
    }
    return `the log was rewritten before offset ${coveredOffset}, up to which the snapshot reaches`;
  }

  *#applySnapshot(snapshot: Snapshot): Task<void> {
    let count = 0;
    for (const { key, value } of snapshot.records) {
      const problem = this.#machine.apply(key, value);
      if (problem !== null) this.#noteSkipped(-1, problem);
      if (++count % APPLIED_AT_ONCE === 0) yield* this.#pause(0);
    }
    this.#snapshotBytes = snapshot.sizeBytes;
  }

  #apply(key: Uint8Array | null, value: Uint8Array | null): string | null {
    this.#bytesBehind += (key?.length ?? 0) + (value?.length ?? 0);
    return this.#machine.apply(key, value);
  }

  #applyExtent(address: number, length: number): void {
    const { memory } = this.#options;
    const end = address + length;
    let at = address;
    while (at < end) {
      const size = batchSize(memory.view, at);
      assert(size > 0 && at + size <= end, "an extent is a run of whole batches");
      const problem = visitRecords(memory, at, size, (offset, key, value) => {
        const senseless = this.#apply(key, value);
        if (senseless !== null) this.#noteSkipped(offset, senseless);
      });
      if (problem !== null) this.#noteSkipped(batchBaseOffset(memory.view, at), problem);
      at += size;
    }
  }

  /** A line that people see when it took long. */
  #noteLoaded(snapshot: Snapshot | null, begunMs: number): void {
    const from = Math.max(this.partition.startOffset, snapshot?.nextOffset ?? 0);
    const tookMs = Math.round(this.#options.clockMs() - begunMs);
    this.#log(tookMs < SLOW_LOAD_MS ? LogLevel.DEBUG : LogLevel.INFO, "Loaded a state", {
      snapshotBytes: snapshot?.sizeBytes ?? 0,
      offsetsBehind: this.#nextOffset - from,
      tookMs,
    });
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

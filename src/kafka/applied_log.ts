/**
 * A state machine that is kept in a partition's log: the controller's image on group 0, a coordinator on a
 * partition of `__consumer_offsets`.
 *
 * ```
 *   append(records) --> log ... committed --> apply, in order --> done(0)
 *   load()          --> every committed record from the log start --> apply
 * ```
 *
 * What is read back is input: clients once could write there, and disks lie. So
 * - a record that the machine cannot take over is passed over, and reported with its offset;
 * - a read that fails is tried again, for some errors pass;
 * - a part of the log that stays unreadable is passed over, and reported with the offsets that are lost: what
 *   is written behind it still counts.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import { type Logger, LogLevel } from "../base/logger.ts";
import type { Memory } from "../bytes/memory.ts";
import { type Task, until } from "../io/task.ts";
import { Timer, type Timers } from "../io/timers.ts";
import { ReadError } from "../storage/log.ts";
import { LogRead } from "../storage/log_read.ts";
import { batchBaseOffset, batchSize } from "../wire/record_batch.ts";
import type { Partition } from "./partition.ts";
import { type AppendMemory, RecordAppender } from "./record_appender.ts";
import { batchOf, type StateRecord, visitRecords } from "./records_of.ts";

/** Bytes read at once. */
const READ_SIZE = 1024 * 1024;
/** Pauses before a read that failed is tried again (ms). */
const READ_PAUSES_MS = [10, 50, 250];
/** Records that are named one by one when they are passed over; the rest is counted. */
const NAMED_RECORDS_MAX = 10;

/** What is kept in the log. */
export interface StateMachine {
  /** Takes over a committed record; returns why it makes no sense and was passed over, or null. */
  apply(key: Uint8Array | null, value: Uint8Array | null): string | null;
}

export interface AppliedLogOptions {
  readonly memory: Memory;
  readonly blocks: AppendMemory;
  readonly logger: Logger;
  readonly timers: Timers;
  readonly nowMs: () => number;
  readonly wallMs: () => number;
}

/** What {@linkcode AppliedLog.load} met. */
export interface Loaded {
  /** Records that were passed over. */
  readonly skippedRecords: number;
  /** Offsets whose records could not be read. */
  readonly lostOffsets: number;
}

export class AppliedLog {
  readonly partition: Partition;
  readonly #machine: StateMachine;
  readonly #options: AppliedLogOptions;
  readonly #appender: RecordAppender;
  #skipped = 0;
  #lost = 0;

  constructor(partition: Partition, machine: StateMachine, options: AppliedLogOptions) {
    this.partition = partition;
    this.#machine = machine;
    this.#options = options;
    const { memory, blocks, wallMs } = options;
    this.#appender = new RecordAppender(partition, memory, blocks, wallMs);
  }

  /**
   * Appends `records` as one batch. `done` is called once: with 0 after they are committed and applied, in
   * the order of the appends, or with the refusal when they never will be.
   */
  append(records: readonly StateRecord[], done: (result: number) => void): void {
    this.#appender.append(batchOf(records, this.#options.wallMs()), (result) => {
      if (result >= 0) {
        for (const { key, value } of records) this.#machine.apply(key, value);
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
    let resume: (result: number) => void = () => {};
    const read = new LogRead({ complete: (result) => resume(result) });
    let offset = partition.startOffset;
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
      this.#log(LogLevel.WARN, "More records were passed over", { records: this.#skipped });
    }
    return { skippedRecords: this.#skipped, lostOffsets: this.#lost };
  }

  #applyExtent(address: number, length: number): void {
    const { memory } = this.#options;
    const end = address + length;
    let at = address;
    while (at < end) {
      const size = batchSize(memory.view, at);
      assert(size > 0 && at + size <= end, "an extent is a run of whole batches");
      const problem = visitRecords(memory, at, size, (offset, key, value) => {
        const senseless = this.#machine.apply(key, value);
        if (senseless !== null) this.#noteSkipped(offset, senseless);
      });
      if (problem !== null) this.#noteSkipped(batchBaseOffset(memory.view, at), problem);
      at += size;
    }
  }

  #noteSkipped(offset: number, problem: string): void {
    this.#skipped++;
    if (this.#skipped > NAMED_RECORDS_MAX) return;
    this.#log(LogLevel.WARN, "Passed over a record that makes no sense", {
      offset,
      problem,
    });
  }

  #noteLost(from: number, to: number): void {
    this.#lost += to - from;
    this.#log(LogLevel.ERROR, "Passed over a part of the log that cannot be read", {
      directory: this.partition.log.directory,
      fromOffset: from,
      toOffset: to - 1,
      lost: "what these records say, unless later ones say it again",
      next: "gregor check --data-dir DIR names the file; put back a copy of it to have them back",
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

/**
 * When a shard's logs are compacted: one at a time, the dirtiest first, so slowly that who produces and consumes does not
 * notice.
 *
 * Every replica compacts its own log, up to what is committed and of no open transaction. In a log with several replicas
 * tombstones and markers stay: a replica that lags would miss what a tombstone says that another one has dropped.
 *
 * @module
 */

import type { Settings } from "../base/settings.ts";
import type { Completion } from "../io/completion.ts";
import type { RecordCompactor } from "../io/record_compactor.ts";
import { io, runTask, type Task } from "../io/task.ts";
import { Timer, type Timers } from "../io/timers.ts";
import type { EventLog } from "../base/event_log.ts";
import type { Partition } from "../kafka/partition.ts";
import { LogLevel } from "../base/logger.ts";
import { Slot } from "../metrics/catalog.ts";
import type { ShardRecorder } from "../metrics/recorder.ts";
import { Compacted, type CompactionResult, MAP_BYTES_MIN } from "../storage/compaction.ts";
import type { CompactionPlan, CompactionPolicy } from "../storage/compaction_plan.ts";
import type { ShardStorage } from "../storage/shard_storage.ts";

/**
 * Bytes that a round reads per millisecond, unless `log.cleaner.io.max.bytes.per.second` allows less: while somebody produces to
 * this shard, and while nobody does.
 */
const BUSY_BYTES_PER_MS = 8 * 1024;
const IDLE_BYTES_PER_MS = 64 * 1024;
/** Share of a shard's memory for the map of keys, as a divisor of its largest block. */
const MAP_SHARE = 4;
/** Pause between two rounds while there is work (ms). */
const ROUND_PAUSE_MS = 10;

export interface LogCompactionOptions {
  readonly storage: ShardStorage;
  /** The replicas on this shard whose configuration is known. */
  readonly partitions: () => Iterable<Partition>;
  /** All nodes follow a leader whose log is compacted ({@linkcode COMPACTED_REPLICAS_SINCE_VERSION}). */
  readonly mayCompactReplicas: () => boolean;
  readonly compactor: RecordCompactor;
  readonly settings: Settings;
  readonly shardCount: number;
  /** The largest block of the shard's memory (bytes). */
  readonly blockSizeMax: number;
  readonly timers: Timers;
  readonly nowMs: () => number;
  readonly wallMs: () => number;
  readonly events: EventLog;
  readonly recorder: ShardRecorder;
}

interface Chosen {
  readonly partition: Partition;
  readonly policy: CompactionPolicy;
  readonly plan: CompactionPlan;
}

export class LogCompaction {
  readonly #options: LogCompactionOptions;
  readonly #timer: Timer;
  readonly #pause: Timer;
  /** Groups whose log cannot be compacted as it is, until the next start. */
  readonly #unable = new Set<number>();
  /** Who waits for the pace. */
  #waiting: Completion | null = null;
  /** Of the storage, when the pace was asked for last. */
  #appendedBytes = 0;
  #isRunning = false;
  #isStopped = false;

  constructor(options: LogCompactionOptions) {
    this.#options = options;
    this.#timer = new Timer(() => this.#look());
    this.#pause = new Timer(() => this.#goOn());
    this.#isStopped = !options.settings.boolean("log.cleaner.enable");
    if (!this.#isStopped) this.#later(this.#backoffMs);
  }

  /** Ends the round that is under way; finishes when it has. */
  *stop(): Task<void> {
    const { timers, nowMs } = this.#options;
    this.#isStopped = true;
    timers.cancel(this.#timer);
    timers.cancel(this.#pause);
    this.#goOn();
    while (this.#isRunning) {
      yield* io((done) => timers.schedule(new Timer(() => done.complete(0, 0)), nowMs() + 1));
    }
  }

  get #backoffMs(): number {
    return this.#options.settings.number("log.cleaner.backoff.ms");
  }

  get #mapBytesMax(): number {
    const { settings, shardCount, blockSizeMax } = this.#options;
    const share = settings.number("log.cleaner.dedupe.buffer.size") / shardCount;
    const bytes = Math.max(MAP_BYTES_MIN, Math.min(share, blockSizeMax / MAP_SHARE));
    return 2 ** Math.floor(Math.log2(bytes));
  }

  #bytesPerMs(): number {
    const perSecond = this.#options.settings.number("log.cleaner.io.max.bytes.per.second");
    const { appendedBytes } = this.#options.storage;
    const most = appendedBytes === this.#appendedBytes ? IDLE_BYTES_PER_MS : BUSY_BYTES_PER_MS;
    this.#appendedBytes = appendedBytes;
    return Math.max(1, Math.min(most, perSecond / 1000));
  }

  #later(ms: number): void {
    const { timers, nowMs } = this.#options;
    if (!this.#isStopped) timers.schedule(this.#timer, nowMs() + ms);
  }

  /** Begins a round in the dirtiest log, if one is due. */
  #look(): void {
    const { storage, compactor, wallMs } = this.#options;
    const chosen = this.#choose();
    if (chosen === null) {
      this.#later(this.#backoffMs);
      return;
    }
    const { partition, policy } = chosen;
    this.#isRunning = true;
    const round = storage.compactions.compact(partition.image.groupId, {
      policy,
      nowMs: wallMs(),
      removalEnd: () => partition.replica.isAlone ? Infinity : 0,
      mapBytesMax: this.#mapBytesMax,
      compactor,
      pace: (bytes) => this.#pace(bytes),
    });
    runTask(round, (result) => {
      this.#isRunning = false;
      this.#note(partition, result);
      const isDone = result?.outcome === Compacted.DONE;
      this.#later(isDone ? ROUND_PAUSE_MS : this.#backoffMs);
    });
  }

  #choose(): Chosen | null {
    const { storage, partitions, wallMs, recorder, mayCompactReplicas } = this.#options;
    const now = wallMs();
    let chosen: Chosen | null = null;
    let unable = 0;
    for (const partition of partitions()) {
      const policy = partition.limits.compaction;
      if (policy === null || (!partition.replica.isAlone && !mayCompactReplicas())) continue;
      const { groupId } = partition.image;
      if (this.#unable.has(groupId)) {
        unable++;
        continue;
      }
      const plan = storage.compactions.plan(groupId, policy, now);
      if (plan === null || !plan.isDue) continue;
      if (chosen !== null && chosen.plan.dirtyRatio >= plan.dirtyRatio) continue;
      chosen = { partition, policy, plan };
    }
    recorder.set(Slot.UNCOMPACTABLE, unable);
    return chosen;
  }

  #note(partition: Partition, result: CompactionResult | null): void {
    if (result === null) return;
    const { recorder, events } = this.#options;
    const { groupId } = partition.image;
    recorder.add(Slot.COMPACTIONS, 1);
    recorder.add(Slot.COMPACTION_READ, result.bytesRead);
    recorder.add(Slot.COMPACTION_FREED, Math.max(0, result.bytesBefore - result.bytesAfter));
    if (result.outcome !== Compacted.UNABLE) return;
    this.#unable.add(groupId);
    const what =
      "A log cannot be compacted: a batch in it is too large, decompressed, or has too " +
      "many keys for the map (log.cleaner.dedupe.buffer.size)";
    events.note(what, { log: partition.log.directory }, LogLevel.ERROR);
  }

  /** See {@linkcode CompactionOrder.pace}. */
  *#pace(bytes: number): Task<boolean> {
    if (this.#isStopped) return false;
    const { timers, nowMs } = this.#options;
    yield* io((done) => {
      this.#waiting = done;
      timers.schedule(this.#pause, nowMs() + Math.max(1, Math.ceil(bytes / this.#bytesPerMs())));
    });
    return !this.#isStopped;
  }

  #goOn(): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.complete(0, 0);
  }
}

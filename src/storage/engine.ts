/**
 * The storage of one shard: its journal, its logs, and their coordination.
 *
 * Once a turn, in this order: the journal's next write starts; then writes of chunks are handed out,
 * waiting loads and tasks continue, refused appends are notified, a checkpoint begins when the ring fills.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import { PRODUCERS_PER_SHARD_MAX } from "../base/limits.ts";
import type { Completion } from "../io/completion.ts";
import { BLOCK_SIZE } from "../io/disk.ts";
import { EIO, ENOENT, ENOMEM, ENOSPC, EROFS, isForbidden } from "../io/errno.ts";
import { io, runTask, type Task } from "../io/task.ts";
import { Slot } from "../metrics/catalog.ts";
import { ShardRecorder } from "../metrics/recorder.ts";
import { type CheckpointTarget, runCheckpoint } from "./checkpoint.ts";
import { encodeRow } from "./checkpoint_row.ts";
import { ChunkCache } from "./chunk_cache.ts";
import { Compactions } from "./compactions.ts";
import { extentEnd } from "./extent_index.ts";
import { ForbiddenLogs } from "./forbidden_logs.ts";
import { FileTable, OPEN_FILES_MAX_DEFAULT } from "./file_table.ts";
import { GroupJournal } from "./group_journal.ts";
import { Journal, type JournalOptions } from "./journal.ts";
import { LARGE_APPEND_BYTES } from "./large_append.ts";
import { LOG_BUSY } from "./log.ts";
import type { LogParts } from "./log_parts.ts";
import { PartitionLog } from "./partition_log.ts";
import { logDirectoryName, nameDirectories, openAhead } from "./log_names.ts";
import { ProducerCensus } from "./producer_census.ts";
import { Reaper } from "./reaper.ts";
import type { LostExtent, Segment } from "./segment.ts";
import { SegmentLoader } from "./segment_loader.ts";
import { refillOrRewrite } from "./segment_rewrite.ts";
import { prepareSegment } from "./segment_prepare.ts";
import { Inspector } from "./inspector.ts";
import { type RecordSource, Refilled } from "./refill.ts";
import type {
  Damage,
  ExtentPlace,
  LogCreation,
  ShardStorage,
  StorageContext,
  StorageStats,
} from "./shard_storage.ts";
import { WriteBehind } from "./write_behind.ts";

/** Share of the arena that may hold bytes which are not on disk. */
const DIRTY_SHARE = 1 / 3;
/** Share of memory that reads may pin: what a client does not take is not cache that can be given up. */
const PINNED_SHARE = 1 / 8;
/** Share of that from which on it is written faster. */
const HURRY_SHARE = 1 / 4;
/** Share of the ring recorded since the last checkpoint at which the next one begins. */
const CHECKPOINT_SHARE = 0.35;
/** Share of the ring in use at which one begins in any case. */
const CHECKPOINT_USED_SHARE = 0.8;
/** The journal is sealed after this time without a record (ms). */
const SEAL_AFTER_MS = 20;
/** A log that met a full disk asks for space again after this time (ms). */
const SPACE_RETRY_MS = 200;
/** Refused appends are notified at least this often, because others may have freed memory (ms). */
const MEMORY_RETRY_MS = 5;
/** A checkpoint that met a full disk, or no memory, is tried again after this time (ms). */
const CHECKPOINT_RETRY_MS = 500;
/** Directory of all logs, below the data directory. */
export const LOGS_DIRECTORY = "logs";

export interface EngineOptions {
  readonly shard: number;
  readonly context: StorageContext;
  readonly journal: Omit<
    JournalOptions,
    "disk" | "memory" | "arena" | "onDurable" | "onFailure"
  >;
  readonly target: CheckpointTarget;
  /** Damage that is met is given up, and read as batches without records. */
  readonly acceptLoss?: boolean;
}

export class Engine implements ShardStorage, LogParts {
  readonly shard: number;
  readonly context: StorageContext;
  readonly cache: ChunkCache;
  readonly files: FileTable;
  readonly writer: WriteBehind;
  readonly loader: SegmentLoader;
  readonly journal: GroupJournal;
  readonly census: ProducerCensus;
  readonly dirtyBytesMax: number;
  appendedBytes = 0;
  readonly appendBytesMax: number;
  readonly largeBytesMin: number;
  readonly logs = new Map<number, PartitionLog>();
  readonly inspector = new Inspector(this, this.logs);
  readonly compactions = new Compactions(this, this.logs);
  readonly #journal: Journal;
  readonly #target: CheckpointTarget;
  readonly #reaper: Reaper;
  readonly #pinnedBytesMax: number;
  #waiting: PartitionLog[] = [];
  #uncreated: PartitionLog[] = [];
  /** Logs whose directory's name is not durable yet. */
  #unnamed: PartitionLog[] = [];
  /** New logs whose first segment is made before its first record comes. */
  #unopened: PartitionLog[] = [];
  #naming = false;
  #namingRetryMs = 0;
  readonly #forbidden: ForbiddenLogs;
  #turnWaiters: Completion[] = [];
  /** Something happened that may make room. */
  #progress = false;
  #toldMs = 0;
  #nowMs = 0;
  #idleSinceMs = -1;
  readonly #recorder: ShardRecorder;
  /** When the journal's write in flight was begun, by the recorder's clock. */
  #flushStartedMs = 0;
  /** The journal's write in flight, as the last turn left it, and since when. */
  #flightLsn = 0;
  #flightSinceMs = 0;
  /** The last turn began a journal write, and left the segments' writes to this one. */
  #pumpOwed = false;
  #checkpointing = false;
  #checkpoints = 0;
  #checkpointRetryMs = 0;
  ringStuck = false;
  /** First LSN needed by the newer slot; the older slot's is what the journal was released to. */
  #floorLsn: number;
  #stopping = false;
  #failed = false;

  constructor(options: EngineOptions) {
    const { context } = options;
    this.shard = options.shard;
    this.context = context;
    this.#recorder = context.recorder ?? new ShardRecorder();
    this.#target = options.target;
    this.cache = new ChunkCache(context.arena);
    this.#forbidden = new ForbiddenLogs(context);
    this.census = new ProducerCensus(context.producersMax ?? PRODUCERS_PER_SHARD_MAX);
    this.files = new FileTable(context.disk, context.openFilesMax ?? OPEN_FILES_MAX_DEFAULT);
    this.writer = new WriteBehind(context, this.cache, this.files);
    this.writer.onProgress = () => this.#progress = true;
    this.loader = new SegmentLoader(context, this.cache, this.files);
    this.loader.acceptLoss = options.acceptLoss ?? false;
    this.loader.termOf = (segment, extent) => this.#termOf(segment, extent);
    this.loader.knownTermOf = ({ groupId }, offset) => {
      const log = this.logs.get(groupId);
      // A log that was made of the batches found in its files has no table of their terms.
      if (log === undefined || offset < log.startOffset || !this.loader.mends(groupId)) return -1;
      return log.termAt(log.indexAt(offset));
    };
    this.loader.onLost = (segment, lost, last) => this.#onLost(segment, lost, last);
    this.dirtyBytesMax = Math.floor(context.arena.size * DIRTY_SHARE);
    this.#pinnedBytesMax = Math.floor(context.arena.size * PINNED_SHARE);
    this.writer.hurryBytes = this.dirtyBytesMax * HURRY_SHARE;
    this.#reaper = new Reaper(this);
    this.#journal = new Journal({
      ...options.journal,
      disk: context.disk,
      memory: context.memory,
      arena: context.arena,
      onDurable: (lsn) => {
        this.#recorder.observe(Slot.FLUSH_TIME, this.#recorder.nowMs - this.#flushStartedMs);
        this.#progress = true;
        this.writer.durableLsn = lsn;
        this.journal.onDurable(lsn);
      },
      onFailure: (errno) => this.#fail(-errno, "Cannot write the journal"),
    });
    this.appendBytesMax = context.arena.blockSizeMax - BLOCK_SIZE;
    const journaledMax = Math.min(this.#journal.recordPayloadMax, context.arena.blockSizeMax);
    this.largeBytesMin = Math.min(
      LARGE_APPEND_BYTES,
      Math.max(2 * BLOCK_SIZE, Math.floor((journaledMax - BLOCK_SIZE) / 2)),
    );
    this.journal = new GroupJournal(this.#journal, context.memory, context.arena);
    this.#floorLsn = options.journal.firstLsn;
    this.writer.durableLsn = this.#journal.durableLsn;
  }

  /** Takes over a log that was read from a checkpoint. */
  adopt(log: PartitionLog): void {
    assert(!this.logs.has(log.groupId), "two rows for one group");
    log.recorded = true;
    log.directoryMade = true;
    log.directorySynced = true;
    this.logs.set(log.groupId, log);
  }

  createLog(creation: LogCreation): PartitionLog {
    const { groupId, incarnation } = creation;
    assert(!this.logs.has(groupId), "a group is created twice");
    const directory = `${LOGS_DIRECTORY}/${logDirectoryName(creation)}`;
    const log = new PartitionLog(this, { groupId, incarnation, directory }, creation.segmentLimits);
    log.listener = creation.listener;
    log.gate.hold();
    this.logs.set(groupId, log);
    this.#uncreated.push(log);
    this.#unnamed.push(log);
    this.#recordCreations();
    return log;
  }

  *deleteLog(groupId: number): Task<number> {
    const log = this.logs.get(groupId);
    if (log === undefined || log.deleted) return 0;
    log.markDeleted();
    const at = this.#uncreated.indexOf(log);
    this.#forbidden.forget(log);
    if (at >= 0) {
      this.#uncreated.splice(at, 1);
      this.logs.delete(groupId);
      return 0;
    }
    while (!this.journal.hasReservedRoom()) yield* this.nextTurn();
    const lsn = this.journal.delete(log);
    this.logs.delete(groupId);
    log.producers.clear();
    const segments = log.dropSegments(() => true);
    if (log.next !== null) segments.push(log.next);
    log.next = null;
    yield* this.journal.durable(lsn);
    for (const segment of segments) this.retire(segment, lsn);
    yield* this.compactions.leave(log);
    this.#reaper.directory(log.directory, lsn);
    return 0;
  }

  set mayGiveUp(mayGiveUp: (groupId: number) => boolean) {
    this.loader.mayGiveUp = mayGiveUp;
  }

  set mends(mends: (groupId: number) => boolean) {
    this.loader.mends = mends;
  }

  set onUnreadable(onUnreadable: (place: ExtentPlace) => void) {
    this.loader.onUnreadable = ({ groupId, file }, position) => {
      onUnreadable({ groupId, file: file.path, position });
    };
  }

  *refill(place: ExtentPlace, source: RecordSource, mayBlank: boolean): Task<Refilled> {
    const log = this.logs.get(place.groupId);
    const segment = this.#segmentAt(place);
    const { position } = place;
    if (log === undefined || segment === undefined) return Refilled.MENDED;
    const result = yield* refillOrRewrite(this, log, segment, position, source, mayBlank);
    if (result === Refilled.MENDED) this.loader.noteMended(segment, position);
    return result;
  }

  canAppend(bytes: number): boolean {
    // What waits here is not even read; it must be, to be refused.
    if (this.ringStuck) return true;
    // A checkpoint begins when half of the dirty memory is used, so half of it comes free again.
    const asked = Math.min(bytes, this.dirtyBytesMax / 2);
    return !this.#failed && this.cache.dirtyBytes + asked <= this.dirtyBytesMax &&
      this.journal.hasRoom(Math.min(bytes, this.largeBytesMin));
  }

  get pinRoom(): number {
    return this.#pinnedBytesMax - this.cache.pinnedBytes;
  }

  turnEnd(nowMs: number): void {
    if (this.#failed) return;
    this.#nowMs = nowMs;
    this.#recordCreations();
    this.#nameDirectories();
    openAhead(this.#unopened);
    this.#pumpBehindJournal(nowMs, this.#flush());
    this.loader.retry();
    if (this.#turnWaiters.length > 0) {
      const waiters = this.#turnWaiters;
      this.#turnWaiters = [];
      for (const waiter of waiters) waiter.complete(0, 0);
    }
    const removal = this.#reaper.next(this.#journal.durableLsn);
    if (removal !== null) runTask(removal, () => this.#progress = true);
    if (this.#waiting.length > 0) this.#tellWaiting();
    if (!this.#checkpointing && !this.#stopping && this.#wantsCheckpoint()) this.#checkpoint();
    this.#sealWhenIdle();
    this.#flush();
    const { flightLsn } = this.#journal;
    if (flightLsn === this.#flightLsn) return;
    this.#flightLsn = flightLsn;
    this.#flightSinceMs = nowMs;
  }

  /**
   * In one submission with the journal's write, a segment's write (64 KiB, and nobody waits for it) delays the journal's,
   * for which all wait, by a fifth of its time. So it goes in the next turn, but never waits for more than that one.
   */
  #pumpBehindJournal(nowMs: number, flushed: boolean): void {
    this.#pumpOwed = flushed && !this.#pumpOwed;
    if (!this.#pumpOwed) this.writer.pump(nowMs);
  }

  /** Starts the journal's next write, unless one is in flight; returns whether it did. */
  #flush(): boolean {
    const flushed = this.#journal.flush();
    if (flushed) this.#flushStartedMs = this.#recorder.clockMs();
    return flushed;
  }

  flushWaitMs(nowMs: number): number {
    const { flightLsn } = this.#journal;
    return flightLsn === 0 || flightLsn !== this.#flightLsn ? 0 : nowMs - this.#flightSinceMs;
  }

  *stop(): Task<number> {
    for (const log of this.logs.values()) if (log.gate.refusal === 0) log.gate.fail();
    for (const log of [...this.logs.values()]) yield* this.#landLarge(log);
    this.#stopping = true;
    while (this.#checkpointing) yield* this.nextTurn();
    const result = yield* io((done) => this.#checkpoint(done));
    if (result < 0) return result;
    while (!this.#journal.idle || this.#journal.seal()) yield* this.nextTurn();
    while (!this.writer.idle) yield* this.nextTurn();
    return 0;
  }

  /**
   * Gives up what a verification found damaged, before anything is led ({@linkcode Segment.lose}).
   *
   * @param damages of any shard's logs; those of others are passed by
   */
  *giveUp(damages: readonly Damage[]): Task<void> {
    for (const damage of damages) {
      const segment = this.#segmentAt(damage);
      if (segment !== undefined) yield* this.loader.giveUp(segment, damage.position);
    }
  }

  /**
   * Waits for a large batch, whose record may need room in the ring that only checkpoints make. Where no checkpoint
   * can be written, nobody was notified that it is durable, and it is dropped.
   */
  *#landLarge(log: PartitionLog): Task<void> {
    while (log.large !== null && !log.deleted) {
      if (this.ringStuck && log.unrecorded !== null) return;
      yield* this.nextTurn();
    }
  }

  /** Starts a checkpoint now, unless one runs. */
  checkpoint(): void {
    if (!this.#checkpointing && !this.#stopping) this.#checkpoint();
  }

  get checkpointing(): boolean {
    return this.#checkpointing;
  }

  stats(): StorageStats {
    return {
      logCount: this.logs.size,
      dirtyBytes: this.cache.dirtyBytes,
      cachedBytes: this.cache.cachedBytes,
      pinnedBytes: this.cache.pinnedBytes,
      journalBufferBytes: this.#journal.bufferBytes,
      checkpointBufferBytes: this.#target.reservedBytes,
      journalUsedBytes: this.#journal.usedBytes,
      journalSizeBytes: this.#journal.capacityBytes,
      writesInFlight: this.writer.writesInFlight,
      openFiles: this.files.openCount,
      checkpoints: this.#checkpoints,
      cacheHits: this.cache.hits,
      cacheMisses: this.cache.misses,
      journal: this.#journal.stats(),
    };
  }

  // ---- LogParts ----

  prepare(log: PartitionLog, segment: Segment, length: number): void {
    if (segment.preparing || (log.noSpace && this.#nowMs < log.spaceRetryMs)) return;
    segment.preparing = true;
    log.noSpace = false;
    runTask(prepareSegment(this, log, segment, length), (result) => {
      segment.preparing = false;
      if (result >= 0) this.context.onRoom?.(true);
      this.#progress = true;
      if (result >= 0) this.#forbidden.allow(log);
      if (result >= 0 || segment.dropped) return;
      const forbids = isForbidden(result);
      if (result === -ENOSPC || forbids) {
        log.noSpace = true;
        if (forbids) this.#forbidden.note(log, segment.file.path, segment.sizeBytes, result);
        else this.context.onRoom?.(false);
        log.spaceRetryMs = this.#nowMs + SPACE_RETRY_MS;
      } else if (
        result === -ENOENT && this.loader.acceptsLossOf(segment) && segment.entryCount > 0
      ) {
        runTask(this.loader.giveUp(segment, -1), () => this.#progress = true);
      } else if (segment.sizeBytes === 0 || result === -EROFS) {
        // Nothing is lost: the log is as good as it was, and what the disk takes next is not.
        const what = segment.sizeBytes === 0 ? "begin" : "continue";
        this.#fail(result, `Cannot ${what} the segment ${segment.file.path}`);
      } else if (
        (result === -EIO || (result === -ENOENT && this.loader.mends(log.groupId))) &&
        segment === log.active
      ) {
        // Nothing that is written needs the bytes before it, but in the block that they share.
        this.context.onDamage({
          file: segment.file.path,
          position: segment.sizeBytes - (segment.sizeBytes % BLOCK_SIZE),
          lost: "The segment's end cannot be read: new records go to another segment",
          groupId: log.groupId,
        });
        log.closeSegment(segment);
      } else {
        this.context.onDamage({
          file: segment.file.path,
          position: segment.sizeBytes,
          lost: `Segment cannot be continued: errno ${-result}`,
          groupId: log.groupId,
        });
        log.markSuspect();
      }
    });
  }

  wantWritable(log: PartitionLog): void {
    if (log.wantsWritable) return;
    log.wantsWritable = true;
    this.#waiting.push(log);
  }

  *nextTurn(): Task<number> {
    return yield* io((done) => this.#turnWaiters.push(done));
  }

  retire(segment: Segment, afterLsn: number): void {
    this.#reaper.segment(segment, afterLsn);
  }

  // ---- Private ----

  #termOf(segment: Segment, extent: number): number {
    const log = this.logs.get(segment.groupId);
    const last = extentEnd(segment, extent) - 1;
    return log === undefined || last < log.startOffset
      ? segment.term
      : log.termAt(log.indexAt(last));
  }

  /** Nothing may share a block with what is lost: the next append begins a new segment. */
  #onLost(segment: Segment, lost: LostExtent, last: number): void {
    this.context.onGivenUp?.({
      file: segment.file.path,
      position: lost.position,
      lost: `offsets ${lost.baseOffset} to ${lost.endOffset - 1}`,
      groupId: segment.groupId,
    });
    const log = this.logs.get(segment.groupId);
    if (log?.active !== segment || log.large !== null || last < segment.index.count - 1) return;
    log.closeSegment(segment);
  }

  #recordCreations(): void {
    while (this.#uncreated.length > 0) {
      const log = this.#uncreated[0]!;
      const row = encodeRow(log, 1);
      if (!this.journal.create(log, row)) return;
      log.recorded = true;
      log.gate.release();
      this.#progress = true;
      this.#uncreated.shift();
    }
  }

  /** Beside the record of their creation; see {@linkcode nameDirectories}. */
  #nameDirectories(): void {
    if (this.#naming || this.#unnamed.length === 0 || this.#nowMs < this.#namingRetryMs) return;
    this.#naming = true;
    const logs = this.#unnamed;
    this.#unnamed = [];
    runTask(nameDirectories(this.context.disk, LOGS_DIRECTORY, logs), (result) => {
      this.#naming = false;
      const forbids = isForbidden(result);
      if (result < 0 && result !== -ENOSPC && !forbids) {
        this.#fail(result, "Cannot make the directory of a log");
        return;
      }
      if (result === 0) {
        for (const log of logs) this.#forbidden.allow(log);
        this.#unopened.push(...logs);
        return;
      }
      if (!forbids) this.context.onRoom?.(false);
      for (const log of logs) {
        if (log.directorySynced || log.deleted) continue;
        if (forbids) this.#forbidden.note(log, log.directory, 0, result);
        this.#unnamed.push(log);
      }
      this.#namingRetryMs = this.#nowMs + SPACE_RETRY_MS;
    });
  }

  #segmentAt({ groupId, file }: ExtentPlace): Segment | undefined {
    return this.logs.get(groupId)?.segmentList.find((one) => one.file.path === file);
  }

  /** Tells logs whose appends were refused, except those that still cannot go on. */
  #tellWaiting(): void {
    const memoryDue = this.#nowMs - this.#toldMs >= MEMORY_RETRY_MS;
    if (!this.#progress && !memoryDue) return;
    this.#progress = false;
    this.#toldMs = this.#nowMs;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const log of waiting) {
      const segment = log.next ?? log.active;
      const preparing = segment !== null && segment.preparing;
      // Without space they are notified too: their next append is refused, and does not wait for the disk.
      if (log.gate.refusal === LOG_BUSY || log.large !== null || preparing) {
        this.#waiting.push(log);
        continue;
      }
      log.wantsWritable = false;
      log.listener?.onWritable(log);
    }
  }

  #wantsCheckpoint(): boolean {
    if (this.#nowMs < this.#checkpointRetryMs) return false;
    const journal = this.#journal;
    if (this.cache.dirtyBytes > this.dirtyBytesMax / 2) return true;
    if (this.compactions.wantsCheckpoint(this.#nowMs)) return true;
    const since = journal.bytesSince(this.#floorLsn - 1);
    if (since >= journal.capacityBytes * CHECKPOINT_SHARE) return true;
    // One more checkpoint frees what only the older slot still needs.
    const frees = since > 0 || this.#floorLsn > journal.oldestLsn;
    const refused = this.journal.refused && journal.idle;
    this.journal.refused = false;
    return frees && (refused || journal.usedBytes >= journal.capacityBytes * CHECKPOINT_USED_SHARE);
  }

  #checkpoint(done?: Completion): void {
    this.#checkpointing = true;
    this.compactions.checkpointBegins(this.#nowMs);
    const task = runCheckpoint({
      parts: this,
      logs: () => [...this.logs.values()],
      target: this.#target,
      nextLsn: () => this.#journal.nextLsn,
      recordedLsn: () => this.journal.recordedLsn,
      durable: (lsn) => this.journal.durable(lsn),
    });
    runTask(task, (floor) => {
      this.#checkpointing = false;
      this.compactions.checkpointEnds(floor >= 0);
      if (floor === -ENOSPC || floor === -ENOMEM) {
        if (floor === -ENOSPC) this.context.onRoom?.(false);
        // Both slots stand as they were; until one can be written, nothing in the ring can be freed.
        this.ringStuck = floor === -ENOSPC;
        this.#checkpointRetryMs = this.#nowMs + CHECKPOINT_RETRY_MS;
        done?.complete(floor, 0);
        return;
      }
      if (floor < 0) {
        this.#fail(floor, "Cannot write a checkpoint");
        done?.complete(floor, 0);
        return;
      }
      // Behind both slots: what the slot written before this one needs is kept.
      const behindBoth = Math.min(this.#floorLsn, floor) - 1;
      if (behindBoth >= this.#journal.oldestLsn) this.#journal.release(behindBoth);
      this.#floorLsn = floor;
      this.#checkpoints++;
      this.ringStuck = false;
      this.#progress = true;
      done?.complete(0, 0);
    });
  }

  #sealWhenIdle(): void {
    if (!this.#journal.idle) {
      this.#idleSinceMs = -1;
      return;
    }
    if (this.#idleSinceMs < 0) this.#idleSinceMs = this.#nowMs;
    else if (this.#nowMs - this.#idleSinceMs >= SEAL_AFTER_MS) this.#journal.seal();
  }

  #fail(errno: number, what: string): void {
    if (this.#failed) return;
    this.#failed = true;
    for (const log of this.logs.values()) log.gate.fail();
    this.context.onFatal(errno, `${what}: errno ${-errno}`);
  }
}

/**
 * One round of compaction of one log: of each key its newest record stays, and offsets stay what they are.
 *
 * ```text
 *   map      the newest offset of each key in the dirty segments (hashes, in a block of the arena)
 *   write    from the first segment on, a group of segments at a time, into one new file (segment_writer.ts)
 *   swap     at once, in memory: the new segment takes the place of the group's in the log
 *   rows     the next checkpoint's row names the new file; the old files stay until no slot names them (replaced_segments.ts)
 * ```
 *
 * So a round writes no journal record: a row is what it was before a swap, or after it. Oldest segments are written first:
 * in every state of the log in which a tombstone is gone, so is all that it deletes.
 *
 * Batches of a log follow each other without gaps, on the disk and between replicas. What goes between two batches that stay
 * is therefore replaced by one batch without records that covers its offsets, as far as the term is one and no entry
 * without an offset lies between; and neighbours of this kind become one.
 *
 * Where the map is full, the round covers the log up to the batch that did not fit, and the next one goes on there.
 * What records are superfluous follows Kafka's cleaner; what transactions and producers need, `compaction_rules.ts`.
 *
 * @module
 */

import { EIO, EMSGSIZE, ENOMEM } from "../io/errno.ts";
import {
  KEY_SLOT_BYTES,
  type KeyMapPlace,
  type RecordCompactor,
  RewriteFlag,
  type RewriteRules,
} from "../io/record_compactor.ts";
import { io, type Task } from "../io/task.ts";
import {
  BATCH_HEADER_SIZE,
  batchBaseOffset,
  batchEndOffset,
  batchLeaderEpoch,
  batchRecordCount,
  batchSize,
} from "../wire/record_batch.ts";
import {
  type CompactionPlan,
  type CompactionPolicy,
  groupLength,
  planCompaction,
  type PlannedSegment,
} from "./compaction_plan.ts";
import { CompactionRules, Fate } from "./compaction_rules.ts";
import { FILLER_OFFSETS_MAX, isFiller, writeFiller } from "./lost_extent.ts";
import type { LogParts } from "./log_parts.ts";
import type { PartitionLog } from "./partition_log.ts";
import type { Segment } from "./segment.ts";
import { SegmentWriter } from "./segment_writer.ts";
import { extentSeed, roundDown, roundUp } from "./write_behind.ts";

/** The map is full when so much of it is used: beyond, looking for a key takes long. */
const MAP_LOAD = 0.75;
/** Smallest map that is worth a round (bytes). */
export const MAP_BYTES_MIN = 64 * 1024;
/** Offsets that one round covers at most: the map counts them from its first one. */
const ROUND_OFFSETS_MAX = 2 ** 32 - 2;

/** Room on the disk without which a group is not written, as a multiple of its size. */
const ROOM_FACTOR = 2;

/** How a round ended. */
export const Compacted = {
  /** The plan was carried out, as far as the map reached. */
  DONE: 0,
  /** The log changed, memory or room on the disk was short, or a segment could not be read: again later. */
  LATER: 1,
  /** A batch cannot be decompressed, or has more keys than the map holds: the log stays as it is. */
  UNABLE: 2,
} as const;
export type Compacted = typeof Compacted[keyof typeof Compacted];

/** What is asked for. */
export interface CompactionOrder {
  readonly policy: CompactionPolicy;
  /** Wall clock (ms). */
  readonly nowMs: number;
  /**
   * Tombstones and markers at or beyond it stay: another replica may lack what they say. Asked when a round begins; where less is
   * allowed before a segment takes the place of others, it does not.
   */
  removalEnd(): number;
  /** Memory for the map (bytes). */
  readonly mapBytesMax: number;
  readonly compactor: RecordCompactor;
  /** Waits until so many more bytes may be read or written; false: the round is to end. */
  pace(bytes: number): Task<boolean>;
}

/** What a round did. */
export interface CompactionResult {
  outcome: Compacted;
  /** Of the segments that were replaced, before and after. */
  bytesBefore: number;
  bytesAfter: number;
  bytesRead: number;
}

/** A log's segments, as a plan sees them. The last one is written to, or was: nothing follows it. */
export function plannedSegments(log: PartitionLog): PlannedSegment[] {
  const last = log.segmentList.at(-1);
  return log.segmentList.map((segment) => ({
    baseOffset: segment.baseOffset,
    endOffset: segment.endOffset,
    sizeBytes: segment.sizeBytes,
    maxTimestampMs: segment.maxTimestampMs,
    createdMs: segment.createdMs,
    isSettled: segment !== last && isSettled(segment),
  }));
}

/** The plan for a log as it is now. */
export function planOf(
  log: PartitionLog,
  policy: CompactionPolicy,
  nowMs: number,
): CompactionPlan | null {
  if (log.suspect || log.deleted || log.segmentList.length < 2) return null;
  const committed = log.offsetAt(log.committedIndex + 1);
  const unstable = log.producers.firstUnstable();
  const limit = Math.min(committed, log.durableEndOffset, unstable < 0 ? Infinity : unstable);
  return planCompaction(plannedSegments(log), log.chain.cleanOffset, limit, policy, nowMs);
}

/**
 * Whether nothing changes a segment any more, and all of it is in its file.
 *
 * @param mayBeDamaged whether parts of it may turn out not to be readable
 */
export function isSettled(segment: Segment, mayBeDamaged = false): boolean {
  const isWhole = !segment.damaged && segment.damagedFrom === Infinity;
  return segment.closed && segment.created && segment.sizeBytes > 0 && !segment.dropped &&
    !segment.frozen && !segment.preparing && segment.writesInFlight === 0 &&
    segment.lost === null && (isWhole || mayBeDamaged) &&
    segment.landings === null && segment.tail === null && segment.dirtyHead === null &&
    segment.unrecordedEntries === 0 && segment.writtenPosition >= segment.sizeBytes;
}

/** Offsets whose records are gone, and their term. */
interface Gap {
  from: number;
  end: number;
  term: number;
}

/** Ends a round early, from deep inside. */
class Stop {
  readonly outcome: Compacted;
  constructor(outcome: Compacted) {
    this.outcome = outcome;
  }
}

const NO_KEYS: KeyMapPlace = { address: 0, bytes: 0, baseOffset: 0 };

export class CompactionRound {
  readonly result: CompactionResult = {
    outcome: Compacted.DONE,
    bytesBefore: 0,
    bytesAfter: 0,
    bytesRead: 0,
  };
  readonly #parts: LogParts;
  readonly #log: PartitionLog;
  readonly #order: CompactionOrder;
  readonly #plan: CompactionPlan;
  readonly #swap: (group: readonly Segment[], by: Segment) => void;
  readonly #removalEnd: number;
  #rules: CompactionRules;
  #keys: KeyMapPlace = NO_KEYS;
  #rewrite: RewriteRules;
  /** The extent that is looked at. */
  #input = -1;
  #inputBytes = 0;
  /** Its first batch. */
  #inputAt = -1;
  /** Where the batch that is looked at is written: behind the writer's last one, or here. */
  #scratch = -1;
  #scratchBytes = 0;
  #target = -1;
  #targetRoom = 0;
  /** The group's new segment; null: it is only looked whether there is something to do. */
  #writer: SegmentWriter | null = null;
  #gap: Gap | null = null;
  #changes = false;

  /** @param swap puts a segment in the place of a group, in memory */
  constructor(
    parts: LogParts,
    log: PartitionLog,
    order: CompactionOrder,
    plan: CompactionPlan,
    swap: (group: readonly Segment[], by: Segment) => void,
  ) {
    this.#parts = parts;
    this.#log = log;
    this.#order = order;
    this.#plan = plan;
    this.#swap = swap;
    this.#removalEnd = order.removalEnd();
    this.#rules = new CompactionRules(log, order.nowMs, this.#removalEnd);
    this.#rewrite = { coveredEnd: plan.dirtyOffset, nowMs: order.nowMs, horizonMs: order.nowMs };
  }

  *run(): Task<CompactionResult> {
    const { arena } = this.#parts.context;
    const stop = yield* this.#run();
    this.result.outcome = stop?.outcome ?? Compacted.DONE;
    if (this.#keys.bytes > 0) arena.release(this.#keys.address);
    if (this.#input >= 0) arena.release(this.#input);
    if (this.#scratch >= 0) arena.release(this.#scratch);
    return this.result;
  }

  *#run(): Task<Stop | null> {
    const { nowMs, policy: { deleteRetentionMs, segmentBytes } } = this.#order;
    if (!this.#takeMap()) return new Stop(Compacted.LATER);
    const covered = yield* this.#fillMap();
    if (covered instanceof Stop) return covered;
    if (covered <= this.#plan.dirtyOffset) return new Stop(Compacted.UNABLE);
    this.#rewrite = { coveredEnd: covered, nowMs, horizonMs: nowMs + deleteRetentionMs };
    let next = this.#log.segmentList[0]?.baseOffset ?? covered;
    while (next < covered) {
      const segments = this.#log.segmentList;
      const from = segments.findIndex((segment) => segment.endOffset > next);
      const count = from < 0
        ? 0
        : groupLength(plannedSegments(this.#log), from, covered, segmentBytes);
      if (count === 0) return new Stop(Compacted.LATER);
      const group = segments.slice(from, from + count);
      next = group.at(-1)!.endOffset;
      const stop = yield* this.#writeGroup(group);
      if (stop !== null) return stop;
    }
    this.#log.chain.cleanOffset = covered;
    return null;
  }

  #takeMap(): boolean {
    const { memory, arena } = this.#parts.context;
    let bytes = Math.min(this.#order.mapBytesMax, arena.blockSizeMax);
    let address = arena.allocate(bytes);
    while (address < 0 && bytes > MAP_BYTES_MIN) {
      bytes /= 2;
      address = arena.allocate(bytes);
    }
    if (address < 0) return false;
    memory.bytes.fill(0, address, address + bytes);
    this.#keys = { address, bytes, baseOffset: this.#plan.dirtyOffset };
    return true;
  }

  /** Notes the keys of the dirty part; the offset after it, or after as much of it as there is room for. */
  *#fillMap(): Task<number | Stop> {
    const { view } = this.#parts.context.memory;
    const { dirtyOffset, endOffset } = this.#plan;
    const capacity = Math.floor(this.#keys.bytes / KEY_SLOT_BYTES * MAP_LOAD);
    let keys = 0;
    for (const segment of this.#log.segmentList.slice()) {
      if (segment.endOffset <= dirtyOffset) continue;
      if (segment.baseOffset >= endOffset) break;
      const loaded = yield* this.#parts.loader.loadIndex(segment);
      if (loaded < 0 || segment.dropped) return new Stop(Compacted.LATER);
      const first = Math.max(
        0,
        segment.index.findOffset(Math.max(dirtyOffset, segment.baseOffset)),
      );
      for (let extent = first; extent < segment.index.count; extent++) {
        const length = yield* this.#read(segment, extent);
        if (length < 0) return new Stop(Compacted.LATER);
        const from = this.#inputAt;
        for (let at = from; at < from + length; at += batchSize(view, at)) {
          const base = batchBaseOffset(view, at);
          if (base < dirtyOffset || !this.#rules.hasKeys(view, at)) continue;
          const isBeyond = batchEndOffset(view, at) - dirtyOffset > ROUND_OFFSETS_MAX;
          if (isBeyond || keys + batchRecordCount(view, at) > capacity) return base;
          const added = this.#order.compactor.index(at, batchSize(view, at), this.#keys);
          if (added < 0) return new Stop(Compacted.UNABLE);
          keys += added;
        }
      }
    }
    return endOffset;
  }

  /** Brings an extent to {@linkcode CompactionRound.#input}, checked; its length or a negative errno. */
  *#read(segment: Segment, extent: number): Task<number> {
    const { context: { arena, crc32c, disk }, files, loader } = this.#parts;
    const { index } = segment;
    const position = index.positions[extent]!;
    const length = index.lengths[extent]!;
    const checksum = index.checksums[extent]!;
    const from = roundDown(position);
    const bytes = roundUp(position + length) - from;
    if (!(yield* this.#order.pace(bytes))) return -EIO;
    if (bytes > this.#inputBytes) {
      if (this.#input >= 0) arena.release(this.#input);
      this.#input = arena.allocate(bytes);
      this.#inputBytes = this.#input < 0 ? 0 : arena.blockSize(this.#input);
      if (this.#input < 0) return -ENOMEM;
    }
    const handle = yield* loader.open(segment, false, false);
    if (handle < 0) return handle;
    const read = yield* io((done) => disk.read(handle, from, this.#input, bytes, done));
    files.release(segment.file);
    if (segment.dropped || read < position + length - from) return -EIO;
    this.#inputAt = this.#input + (position - from);
    if (crc32c(this.#inputAt, length, extentSeed(segment.groupId, position)) !== checksum) {
      // Whoever reads it finds the damage, says so, and has it mended.
      const chunk = yield* loader.load(segment, extent, { lacksMemory: false });
      chunk?.unpin();
      return -EIO;
    }
    this.result.bytesRead += length;
    return length;
  }

  /** Writes a group into one segment, and puts it in their place, if that changes anything. */
  *#writeGroup(group: readonly Segment[]): Task<Stop | null> {
    const first = group[0]!;
    for (const segment of group) {
      if ((yield* this.#parts.loader.loadIndex(segment)) < 0) return new Stop(Compacted.LATER);
    }
    const cuts = group.map(({ index }) => index.cuts);
    if (group.length === 1) {
      // Most clean segments stay as they are.
      const rules = this.#rules.copy();
      this.#changes = false;
      const stop = yield* this.#walk(group);
      if (stop !== null) return stop;
      if (!this.#changes) return null;
      this.#rules = rules;
    }
    // Compaction must not take the last room that appends have.
    const bytes = group.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    if (this.#parts.context.disk.freeBytes() < ROOM_FACTOR * bytes) {
      return new Stop(Compacted.LATER);
    }
    const writer = new SegmentWriter(this.#log, first);
    this.#writer = writer;
    let stop = yield* this.#walk(group);
    if (stop === null && (yield* writer.finish()) < 0) stop = new Stop(Compacted.LATER);
    this.#writer = null;
    writer.release();
    const hasChanged = group.some((segment, i) => segment.index.cuts !== cuts[i]) ||
      !this.#isStill(group) || this.#order.removalEnd() < this.#removalEnd;
    if (stop === null && hasChanged) stop = new Stop(Compacted.LATER);
    if (stop !== null) {
      writer.abandon();
      return stop;
    }
    for (const { sizeBytes } of group) this.result.bytesBefore += sizeBytes;
    this.result.bytesAfter += writer.segment.sizeBytes;
    this.#log.producers.forgetAborted(this.#rules.takeRemovedAborts());
    this.#swap(group, writer.segment);
    return null;
  }

  /** Whether the log still has these segments, as they were. */
  #isStill(group: readonly Segment[]): boolean {
    const { segmentList, deleted } = this.#log;
    const from = segmentList.indexOf(group[0]!);
    return !deleted && from >= 0 &&
      group.every((segment, i) => segmentList[from + i] === segment && isSettled(segment));
  }

  /** Goes through the batches of a group, and writes what stays, if there is a writer. */
  *#walk(group: readonly Segment[]): Task<Stop | null> {
    const { view } = this.#parts.context.memory;
    this.#gap = null;
    for (const segment of group) {
      for (let extent = 0; extent < segment.index.count; extent++) {
        const length = yield* this.#read(segment, extent);
        if (length < 0) return new Stop(Compacted.LATER);
        const from = this.#inputAt;
        for (let at = from; at < from + length; at += batchSize(view, at)) {
          const stop = yield* this.#take(view, at);
          if (stop !== null) return stop;
          if (this.#changes && this.#writer === null) return null;
        }
      }
    }
    return this.#gap === null ? null : yield* this.#endGap(this.#gap);
  }

  /** Writes what stays of the batch at `at`. */
  *#take(view: DataView, at: number): Task<Stop | null> {
    if (isFiller(view, at)) return yield* this.#pass(view, at);
    const fate = this.#rules.fateOf(view, at);
    if (fate === Fate.GOES) {
      this.#changes = true;
      return yield* this.#pass(view, at);
    }
    let room = batchSize(view, at) + BATCH_HEADER_SIZE;
    for (;;) {
      // The batch that covers the gap comes first, if this one stays.
      const ahead = this.#gap === null ? 0 : BATCH_HEADER_SIZE;
      if (!(yield* this.#reserve(ahead + room))) return new Stop(Compacted.LATER);
      const target = this.#target + ahead;
      const length = this.#rewriteBatch(view, at, fate, target, this.#targetRoom - ahead);
      if (length === -EMSGSIZE && room < this.#parts.appendBytesMax) {
        // Compressed again, or with a horizon, it is larger than it was.
        room = Math.min(2 * room, this.#parts.appendBytesMax);
        continue;
      }
      if (length < 0 || length > this.#parts.appendBytesMax) return new Stop(Compacted.UNABLE);
      if (length === 0) return yield* this.#pass(view, at);
      if (this.#gap !== null) this.#writeGap(this.#gap);
      this.#writer?.add(length);
      return null;
    }
  }

  /** Writes what stays of a batch to `target`; its length, 0: nothing; or a negative errno. */
  #rewriteBatch(view: DataView, at: number, fate: Fate, target: number, room: number): number {
    const size = batchSize(view, at);
    if (fate === Fate.STAYS) {
      if (size > room) return -EMSGSIZE;
      this.#parts.context.memory.bytes.copyWithin(target, at, at + size);
      return size;
    }
    let flags = 0;
    if (fate === Fate.RECORDS_GO) flags = RewriteFlag.DISCARD;
    if (fate === Fate.GETS_HORIZON) flags = RewriteFlag.SET_HORIZON;
    if (this.#rules.isLastOfProducer(view, at)) flags |= RewriteFlag.KEEP_EMPTY;
    if (batchEndOffset(view, at) > this.#rules.removalEnd) flags |= RewriteFlag.KEEP_TOMBSTONES;
    const { compactor } = this.#order;
    const length = compactor.rewrite(at, size, target, room, this.#keys, flags, this.#rewrite);
    this.#changes ||= length === 0 || (length > 0 && compactor.changed);
    return length;
  }

  /** Makes room at {@linkcode CompactionRound.#target}; false: there is no memory, or the disk does not take what is before. */
  *#reserve(bytes: number): Task<boolean> {
    const writer = this.#writer;
    if (writer !== null) {
      const reserved = yield* writer.reserve(bytes);
      this.#target = writer.address;
      this.#targetRoom = writer.room;
      return reserved >= 0;
    }
    const { arena } = this.#parts.context;
    if (bytes > this.#scratchBytes) {
      if (this.#scratch >= 0) arena.release(this.#scratch);
      this.#scratch = arena.allocate(bytes);
      this.#scratchBytes = this.#scratch < 0 ? 0 : arena.blockSize(this.#scratch);
    }
    this.#target = this.#scratch;
    this.#targetRoom = this.#scratchBytes;
    return this.#scratch >= 0;
  }

  /** Nothing stays of the batch at `at`: its offsets become part of the gap, or another gap begins. */
  *#pass(view: DataView, at: number): Task<Stop | null> {
    const from = batchBaseOffset(view, at);
    const end = batchEndOffset(view, at);
    const term = batchLeaderEpoch(view, at);
    const gap = this.#gap;
    if (gap !== null && this.#joins(gap, from, end, term)) {
      gap.end = end;
      this.#changes = true;
      return null;
    }
    const stop = gap === null ? null : yield* this.#endGap(gap);
    this.#gap = { from, end, term };
    return stop;
  }

  /** Whether offsets can be covered by the batch that covers the gap before them. */
  #joins(gap: Gap, from: number, end: number, term: number): boolean {
    if (gap.term !== term || end - gap.from > FILLER_OFFSETS_MAX) return false;
    const { startOffset } = this.#log;
    // What is before the log start is on no replica's way, and the entries between are forgotten.
    if (end <= startOffset) return true;
    if (gap.from < startOffset) return false;
    return this.#log.indexAt(from) - this.#log.indexAt(gap.from) === from - gap.from;
  }

  *#endGap(gap: Gap): Task<Stop | null> {
    if (!(yield* this.#reserve(BATCH_HEADER_SIZE))) return new Stop(Compacted.LATER);
    this.#writeGap(gap);
    return null;
  }

  #writeGap({ from, end, term }: Gap): void {
    this.#gap = null;
    if (this.#writer === null) return;
    writeFiller(this.#parts.context, this.#writer.address, from, end - from, term);
    this.#writer.add(BATCH_HEADER_SIZE);
  }
}

/**
 * The log of one group: its state, and the hot path that appends to it.
 *
 * An append copies the batch once into the tail chunk, sets offset and leader epoch there, and journals it
 * from there; nothing waits and nothing is allocated. Its requirements - file space, the bytes that share the
 * tail's first block, the next segment - is prepared ahead by {@linkcode LogParts.prepare}; when it is
 * missing, the append is refused with LOG_BUSY.
 *
 *     segments   [closed] [closed] [active]  next (being prepared for a roll)
 *     writing    log_tail.ts, large_append.ts      reading    log_reader.ts
 *     cutting    log_cut.ts                        rows       checkpoint_row.ts
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import { setInt64 } from "../bytes/int64.ts";
import { BLOCK_SIZE } from "../io/disk.ts";
import type { Task } from "../io/task.ts";
import {
  BATCH_HEADER_SIZE,
  batchMaxTimestamp,
  batchSize,
  LAST_OFFSET_DELTA_OFFSET,
  LEADER_EPOCH_OFFSET,
} from "../wire/record_batch.ts";
import { AppendGate } from "./append_gate.ts";
import { encodeRow } from "./checkpoint_row.ts";
import type { Chunk } from "./chunk_cache.ts";
import { HardState } from "./hard_state.ts";
import { FileSlot } from "./file_table.ts";
import {
  type EpochEnd,
  type Log,
  LOG_BUSY,
  LOG_FAILED,
  LOG_NO_SPACE,
  LOG_TOO_LARGE,
  type LogListener,
  type MetaEntry,
  type MetaKind,
  type RetentionLimits,
  type SegmentLimits,
  type SegmentSummary,
  type SnapshotPoint,
  type TimestampMatch,
} from "./log.ts";
import { acceptLarge, type LargeAppend } from "./large_append.ts";
import { checkInvariants } from "./log_invariants.ts";
import { LogPositions } from "./log_positions.ts";
import { resetLog, trimLog, truncateLog } from "./log_cut.ts";
import type { LogParts } from "./log_parts.ts";
import type { LogRead } from "./log_read.ts";
import { UnnamedProgress } from "./log_names.ts";
import { LogReader } from "./log_reader.ts";
import { tailFor } from "./log_tail.ts";
import { MetaTable } from "./meta_table.ts";
import { admitProducer } from "./log_producers.ts";
import { ProducerTable } from "./producer_table.ts";
import { retentionOffset } from "./retention.ts";
import { SegmentChain } from "./segment_chain.ts";
import { indexPathOf, Segment, segmentFileName } from "./segment.ts";
import { isNearEnd, isRead, isReady, OPEN_AHEAD_BYTES } from "./segment_prepare.ts";
import { offsetForTimestamp } from "./timestamp_search.ts";

export class PartitionLog implements Log {
  readonly groupId: number;
  readonly incarnation: number;
  readonly directory: string;
  readonly parts: LogParts;
  listener: LogListener | null = null;
  segmentLimits: SegmentLimits;

  readonly metas = new MetaTable();
  readonly producers: ProducerTable;
  /** Where it ends, and how far that is durable and committed. */
  readonly positions = new LogPositions();
  /** Whether anything may be appended now. */
  readonly gate = new AppendGate();
  readonly chain = new SegmentChain();
  readonly hard = new HardState();
  #suspect = false;
  /** A large batch that is being written, or whose REF record is not durable. */
  large: LargeAppend | null = null;
  /** Being prepared for a roll. */
  next: Segment | null = null;
  #sequence = 0;
  #deleted = false;
  directoryMade = false;
  /** The directory's name is known to be durable; until then no record of the log is reported as durable. */
  directorySynced = false;
  readonly #unnamed = new UnnamedProgress();
  /** The last preparation met a full disk. */
  noSpace = false;
  /** The next preparation comes no earlier. */
  spaceRetryMs = 0;
  /** The record of its creation is in the journal, or a row of it in a checkpoint. */
  recorded = false;
  /** The next record must carry the bytes before it in its block. */
  carryNeeded = true;
  /** Waits for a notice that it may append again. */
  wantsWritable = false;
  /** Place of its newest durability notice; see {@linkcode GroupJournal}. */
  noticeLsn = -1;
  noticeAt = -1;
  readonly reader: LogReader;

  constructor(
    parts: LogParts,
    identity: { groupId: number; incarnation: number; directory: string },
    segmentLimits: SegmentLimits,
  ) {
    this.parts = parts;
    this.groupId = identity.groupId;
    this.incarnation = identity.incarnation;
    this.directory = identity.directory;
    this.segmentLimits = segmentLimits;
    this.producers = new ProducerTable(parts.census);
    this.reader = new LogReader(this);
  }

  get endOffset(): number {
    return this.positions.endOffset;
  }
  get lastIndex(): number {
    return this.positions.lastIndex;
  }
  get lastTerm(): number {
    return this.positions.lastTerm;
  }
  get durableIndex(): number {
    return this.positions.durableIndex;
  }
  get durableEndOffset(): number {
    return this.positions.durableEndOffset;
  }
  get committedIndex(): number {
    return this.positions.committedIndex;
  }
  get hardTerm(): number {
    return this.hard.term;
  }
  get hardVote(): number {
    return this.hard.vote;
  }
  get hardVersion(): number {
    return this.hard.version;
  }
  get durableHardVersion(): number {
    return this.hard.durableVersion;
  }
  get sizeBytes(): number {
    return this.chain.sizeBytes;
  }
  get suspect(): boolean {
    return this.#suspect;
  }
  get deleted(): boolean {
    return this.#deleted;
  }
  /** Oldest first; the last one is written to. */
  get segmentList(): readonly Segment[] {
    return this.chain.list;
  }
  /** Journal records of the group so far. */
  get sequence(): number {
    return this.#sequence;
  }
  get startOffset(): number {
    return this.metas.startOffset;
  }
  get startIndex(): number {
    return this.metas.startIndex;
  }
  get startTerm(): number {
    return this.metas.startTerm;
  }

  get maxTimestampMs(): number {
    return this.chain.maxTimestampMs;
  }

  get maxTimestampOffset(): number {
    return this.chain.maxTimestampOffset;
  }

  /** The batch at the log's end without a journal record yet, if there is one. */
  get unrecorded(): LargeAppend | null {
    return this.large === null || this.large.recorded ? null : this.large;
  }

  get appendBytesMax(): number {
    return this.parts.appendBytesMax;
  }

  get busy(): boolean {
    // After a start, its last segment is read before it is ready.
    const isOpening = this.active?.preparing === true && !isRead(this.active);
    if (this.gate.refusal !== LOG_BUSY && this.large === null && !isOpening) return false;
    this.parts.wantWritable(this);
    return true;
  }

  /** The segment that is written to, if there is one. */
  get active(): Segment | null {
    return this.chain.active;
  }

  append(address: number, length: number, term: number, nowMs: number): number {
    if (this.gate.refusal !== 0) return this.#refuse(this.gate.refusal);
    assert(term === this.lastTerm, "a term opens with a no-op entry");
    const view = this.parts.context.memory.view;
    assert(length > BATCH_HEADER_SIZE - 1 && batchSize(view, address) === length, "not one batch");
    if (length > this.parts.appendBytesMax) return LOG_TOO_LARGE;
    if (this.large !== null) return this.#refuse(LOG_BUSY);
    const journal = this.parts.journal!;
    const segment = this.#segmentFor(length, nowMs);
    if (segment === null) return this.#refuse(this.noSpace ? LOG_NO_SPACE : LOG_BUSY);
    if (length >= this.parts.largeBytesMin) {
      const offset = acceptLarge(this, segment, address, length, term, nowMs);
      return offset < 0 ? this.#refuse(offset) : offset;
    }
    const position = segment.sizeBytes;
    const carry = this.carryNeeded ? position % BLOCK_SIZE : 0;
    if (!journal.hasRoom(carry + length)) {
      return this.#refuse(this.parts.ringStuck ? LOG_NO_SPACE : LOG_BUSY);
    }
    const tail = tailFor(this.parts, segment, length);
    if (tail === null) return this.#refuse(LOG_BUSY);
    this.enter(segment);

    const firstIndex = this.lastIndex + 1;
    const baseOffset = this.endOffset;
    const at = tail.addressOf(position);
    this.parts.context.memory.bytes.copyWithin(at, address, address + length);
    setInt64(view, at, baseOffset);
    view.setInt32(at + LEADER_EPOCH_OFFSET, term, false);
    this.admit(segment, tail, length, nowMs);
    tail.recordLsn = journal.append(
      this,
      carry,
      firstIndex,
      segment.generation,
      position,
      at - carry,
      carry + length,
    );
    this.carryNeeded = false;
    return baseOffset;
  }

  /** The large batch is part of the log from here on. */
  noteRecorded(large: LargeAppend): void {
    large.recorded = true;
    large.segment.unrecordedEntries = 0;
    this.producers.commit(this.committedIndex);
  }

  /** Notes a large batch in its segment, from its header at `headerAddress`. */
  admitLanded(
    segment: Segment,
    headerAddress: number,
    length: number,
    checksum: number,
    nowMs: number,
  ): void {
    const extent = segment.index.add(this.endOffset, segment.sizeBytes);
    segment.entryCount = segment.index.count;
    segment.index.checksums[extent] = checksum;
    this.admitBatch(segment, extent, headerAddress, length, nowMs);
    segment.writtenPosition = segment.sizeBytes;
  }

  /** Notes a batch that is now at the tail's end: offsets, time, index, producers. */
  admit(segment: Segment, tail: Chunk, length: number, nowMs: number): void {
    const position = segment.sizeBytes;
    const index = segment.index;
    if (tail.extent < 0) {
      tail.extent = index.add(this.endOffset, position);
      index.chunks[tail.extent] = tail;
      segment.entryCount = index.count;
      tail.start = position;
    }
    tail.end = position + length;
    this.admitBatch(segment, tail.extent, tail.addressOf(position), length, nowMs);
  }

  /** Takes note of a batch at the segment's end, in an extent that the index has; `at`: its header. */
  admitBatch(segment: Segment, extent: number, at: number, length: number, nowMs: number): void {
    const view = this.parts.context.memory.view;
    const index = segment.index;
    const baseOffset = this.endOffset;
    const records = view.getInt32(at + LAST_OFFSET_DELTA_OFFSET, false) + 1;
    const timestamp = batchMaxTimestamp(view, at);
    const end = segment.sizeBytes + length;
    index.lengths[extent] = end - index.positions[extent]!;
    if (timestamp > index.maxTimestamps[extent]!) index.maxTimestamps[extent] = timestamp;
    if (timestamp > segment.maxTimestampMs) {
      segment.maxTimestampMs = timestamp;
      segment.maxTimestampOffset = baseOffset;
    }
    if (segment.createdMs === 0) segment.createdMs = nowMs;
    this.chain.extend(segment, length, baseOffset + records);
    this.positions.addRecords(records);
    this.parts.appendedBytes += length;
    // The time at which a replayed batch arrived is unknown.
    admitProducer(this, at, this.parts.journal === null ? 0 : nowMs);
  }

  appendMeta(kind: MetaKind, term: number, payload: Uint8Array<ArrayBuffer>): number {
    if (this.gate.refusal !== 0) return this.#refuse(this.gate.refusal);
    if (this.large !== null) return this.#refuse(LOG_BUSY);
    assert(term >= this.lastTerm, "terms never go back");
    const entry: MetaEntry = {
      kind,
      index: this.lastIndex + 1,
      term,
      offset: this.endOffset,
      payload: payload.slice(),
    };
    const previousTerm = this.lastTerm;
    // The notice of the record must carry the state after it.
    this.positions.addMeta(entry.index, term);
    if (!this.parts.journal!.meta(this, entry)) {
      this.positions.takeBackMeta(previousTerm);
      return this.#refuse(this.parts.ringStuck ? LOG_NO_SPACE : LOG_BUSY);
    }
    this.metas.push(entry);
    return entry.index;
  }

  setHardState(term: number, vote: number): number {
    if (this.#suspect || this.#deleted) return LOG_FAILED;
    // Its room is reserved, that of the CREATE record is not: no record may precede the CREATE record.
    if (!this.recorded) return this.#refuse(LOG_BUSY);
    const journal = this.parts.journal!;
    if (!journal.hasReservedRoom()) return this.#refuse(LOG_BUSY);
    this.hard.set(term, vote);
    journal.hard(this);
    return this.hard.version;
  }

  setCommitted(index: number): void {
    if (index <= this.committedIndex) return;
    this.positions.commit(index);
    const recordedIndex = (this.unrecorded?.firstIndex ?? Infinity) - 1;
    this.producers.commit(Math.min(index, recordedIndex));
  }

  truncate(index: number): Task<number> {
    return truncateLog(this, index);
  }

  trimPrefix(offset: number): number {
    return trimLog(this, offset);
  }

  reset(point: SnapshotPoint): Task<number> {
    return resetLog(this, point);
  }

  read(read: LogRead): boolean {
    return this.reader.read(read);
  }

  readableFrom(offset: number): number {
    return this.reader.readableFrom(offset);
  }

  offsetForTimestamp(timestampMs: number, limitOffset: number): Task<TimestampMatch | null> {
    return offsetForTimestamp(this, timestampMs, limitOffset);
  }

  endOffsetForEpoch(term: number, result: EpochEnd): void {
    this.metas.endOffsetForEpoch(term, this.lastTerm, this.endOffset, result);
  }

  termAt(index: number): number {
    return index > this.lastIndex ? -1 : this.metas.termAt(index);
  }

  offsetAt(index: number): number {
    return this.metas.offsetAt(index);
  }

  indexAt(offset: number): number {
    return this.metas.indexAt(offset);
  }

  metaFrom(index: number): MetaEntry | null {
    return this.metas.from(index);
  }

  lastMeta(kind: MetaKind, index: number): MetaEntry | null {
    return this.metas.last(kind, index);
  }

  segments(): SegmentSummary[] {
    return this.segmentList.map((segment) => ({
      baseOffset: segment.baseOffset,
      endOffset: segment.endOffset,
      sizeBytes: segment.sizeBytes,
      maxTimestampMs: segment.maxTimestampMs,
    }));
  }

  retentionOffset(nowMs: number, limits: RetentionLimits): number {
    return retentionOffset(this, nowMs, limits);
  }

  applyRetention(nowMs: number, limits: RetentionLimits): number {
    const offset = this.retentionOffset(nowMs, limits);
    if (offset > this.startOffset) this.trimPrefix(offset);
    return this.startOffset;
  }

  acceptLoss(): number {
    if (!this.#suspect) return 0;
    if (this.large !== null) return LOG_BUSY;
    const journal = this.parts.journal!;
    this.#suspect = false;
    const row = encodeRow(this, this.#sequence + 1);
    // What no record could hold, the next checkpoint does: until then, a start would have to accept it again.
    const fits = row.length <= journal.payloadMax;
    if (fits && !journal.create(this, row)) {
      this.#suspect = true;
      return LOG_BUSY;
    }
    this.gate.mend();
    return 0;
  }

  /** A journal write is durable that held records of this log up to here. */
  reachDurable(index: number, endOffset: number, hardVersion: number): void {
    if (this.#deleted) return;
    // Its records may have been cut off since; nothing else is appended before that is durable.
    index = Math.min(index, this.lastIndex);
    endOffset = Math.min(endOffset, this.endOffset);
    if (!this.directorySynced) return this.#unnamed.note(index, endOffset, hardVersion);
    this.positions.reachDurable(index, endOffset);
    this.hard.reachDurable(hardVersion);
    this.listener?.onDurable(this);
  }

  /** Entries beyond `index` go, durable or not: from the positions and the terms; segments are the caller's. */
  cutEntries(index: number, endOffset: number): void {
    this.metas.truncate(index);
    this.positions.cut(index, this.metas.termAt(index), endOffset);
    this.#unnamed.cut(index, endOffset);
  }

  /** The log is empty behind a snapshot point, and as good as new; its segments are the caller's. */
  beginAfter(point: SnapshotPoint): void {
    assert(this.chain.list.length === 0, "a log begins anew without segments");
    this.metas.reset(point.index, point.term, point.offset, point.metas);
    this.positions.reset(point.index, point.term, point.offset);
    this.#unnamed.cut(point.index, point.offset);
    this.producers.clear();
    if (point.producers !== null && point.producers.length > 0) {
      const bytes = point.producers;
      this.producers.decode(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0);
    }
    this.#suspect = false;
  }

  /** Damage may have taken a part of it: it takes nothing more until the loss is accepted. */
  markSuspect(): void {
    this.#suspect = true;
    this.gate.fail();
  }

  /** It takes nothing more, and reports nothing more. */
  markDeleted(): void {
    this.#deleted = true;
    this.gate.fail();
  }

  /** The number of the journal record that is being written. */
  nextSequence(): number {
    return ++this.#sequence;
  }

  /** Recovery: the records up to this one are replayed, or in a row. */
  restoreSequence(sequence: number): void {
    this.#sequence = sequence;
  }

  /** Recovery: an entry without an offset, from a record that fits. */
  restoreMeta(entry: MetaEntry): void {
    this.metas.push(entry);
    this.positions.addMeta(entry.index, entry.term);
  }

  /** What holds between any two calls; for simulations and tests. */
  invariants(): void {
    checkInvariants(this);
  }

  /** The directory's name is durable. */
  reachNamed(): void {
    this.directorySynced = true;
    const { noted, index, endOffset, hardVersion } = this.#unnamed;
    if (noted) this.reachDurable(index, endOffset, hardVersion);
  }

  /** A segment to follow the last one, not yet in the list. */
  newSegment(baseOffset: number, baseIndex: number, term: number, generation: number): Segment {
    const path = `${this.directory}/${segmentFileName(baseOffset, baseIndex, term, generation)}`;
    return new Segment(
      this.groupId,
      baseOffset,
      baseIndex,
      term,
      generation,
      new FileSlot(path),
      new FileSlot(indexPathOf(path)),
    );
  }

  /** The segment with room for `length` more bytes, perhaps {@linkcode next}, or null when it is not ready. */
  #segmentFor(length: number, nowMs: number): Segment | null {
    const active = this.active;
    if (active !== null && !this.#mustRoll(active, length, nowMs)) {
      if (!isReady(active, length)) {
        this.parts.prepare(this, active, length);
        return null;
      }
      const { segmentBytes } = this.segmentLimits;
      if (isNearEnd(active.reservedEnd, active.sizeBytes + length, segmentBytes)) {
        this.parts.prepare(this, active, length);
      }
      return active;
    }
    const next = this.#following();
    if (!isReady(next, length)) {
      this.parts.prepare(this, next, length);
      return null;
    }
    return next;
  }

  /** Makes the first segment's file before there are records to wait for it. */
  openAhead(): void {
    if (this.gate.refusal === 0 && this.active === null && this.endOffset === 0) {
      this.parts.prepare(this, this.#following(), OPEN_AHEAD_BYTES);
    }
  }

  /** {@linkcode next}, recreated if its name has changed by now. */
  #following(): Segment {
    let next = this.next;
    if (
      next === null || next.baseOffset !== this.endOffset ||
      next.baseIndex !== this.lastIndex + 1 || next.term !== this.lastTerm
    ) {
      if (next !== null) this.parts.retire(next, 0);
      const base = this.endOffset;
      next = this.newSegment(base, this.lastIndex + 1, this.lastTerm, this.chain.takeGeneration());
      this.next = next;
    }
    return next;
  }

  /**
   * Makes a segment that was prepared for a roll the one that is written to, with its first batch: an entry
   * without a batch that came before that would make its name another.
   */
  enter(segment: Segment): void {
    if (segment !== this.next) return;
    this.next = null;
    const active = this.active;
    if (active !== null) this.closeSegment(active);
    this.chain.add(segment);
  }

  /** Takes segments out of the log and out of memory; their files are the caller's to retire. */
  dropSegments(chosen: (segment: Segment) => boolean): Segment[] {
    const dropped = this.chain.drop(chosen);
    for (const segment of dropped) this.parts.writer.forget(segment);
    return dropped;
  }

  /** No more appends to a segment; its end goes to disk. */
  closeSegment(segment: Segment): void {
    this.parts.writer.closeTail(segment, true);
    segment.closed = true;
  }

  #mustRoll(segment: Segment, length: number, nowMs: number): boolean {
    if (segment.sizeBytes === 0) return false;
    return segment.sizeBytes + length > this.segmentLimits.segmentBytes ||
      nowMs - segment.createdMs >= this.segmentLimits.segmentMs;
  }

  #refuse(code: number): number {
    if (code === LOG_BUSY || code === LOG_NO_SPACE) this.parts.wantWritable(this);
    return code;
  }
}

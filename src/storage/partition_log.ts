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
import { getInt64, setInt64 } from "../bytes/int64.ts";
import { BLOCK_SIZE } from "../io/disk.ts";
import type { Task } from "../io/task.ts";
import {
  ATTRIBUTES_OFFSET,
  BASE_SEQUENCE_OFFSET,
  BATCH_HEADER_SIZE,
  batchMaxTimestamp,
  batchSize,
  CONTROL_FLAG,
  LAST_OFFSET_DELTA_OFFSET,
  LEADER_EPOCH_OFFSET,
  PRODUCER_EPOCH_OFFSET,
  PRODUCER_ID_OFFSET,
  TRANSACTIONAL_FLAG,
} from "../wire/record_batch.ts";
import { encodeRow } from "./checkpoint_row.ts";
import type { Chunk } from "./chunk_cache.ts";
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
import { resetLog, trimLog, truncateLog } from "./log_cut.ts";
import type { LogParts } from "./log_parts.ts";
import type { LogRead } from "./log_read.ts";
import { UnnamedProgress } from "./log_names.ts";
import { LogReader } from "./log_reader.ts";
import { tailFor } from "./log_tail.ts";
import { MetaTable } from "./meta_table.ts";
import { lastSequenceOf, ProducerTable } from "./producer_table.ts";
import { retentionOffset } from "./retention.ts";
import { indexPathOf, Segment, segmentFileName } from "./segment.ts";
import { isNearEnd, isReady, OPEN_AHEAD_BYTES } from "./segment_prepare.ts";
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
  endOffset = 0;
  lastIndex = 0;
  lastTerm = 0;
  durableIndex = 0;
  durableEndOffset = 0;
  hardTerm = 0;
  hardVote = -1;
  hardVersion = 0;
  durableHardVersion = 0;
  committedIndex = 0;
  sizeBytes = 0;
  suspect = false;

  /** Oldest first; the last one is written to. */
  readonly segmentList: Segment[] = [];
  /** A large batch that is being written, or whose REF record is not durable. */
  large: LargeAppend | null = null;
  /** Being prepared for a roll. */
  next: Segment | null = null;
  generationNext = 1;
  /** Journal records of the group so far. */
  sequence = 0;
  /** Why nothing may be appended now: 0, or a refusal. */
  gate = 0;
  deleted = false;
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
    let latest = -1;
    for (const segment of this.segmentList) latest = Math.max(latest, segment.maxTimestampMs);
    return latest;
  }

  get maxTimestampOffset(): number {
    let latest = -1;
    let offset = -1;
    for (const segment of this.segmentList) {
      if (segment.maxTimestampMs <= latest) continue;
      latest = segment.maxTimestampMs;
      offset = segment.maxTimestampOffset;
    }
    return offset;
  }

  /** The batch at the log's end without a journal record yet, if there is one. */
  get unrecorded(): LargeAppend | null {
    return this.large === null || this.large.recorded ? null : this.large;
  }

  get appendBytesMax(): number {
    return this.parts.appendBytesMax;
  }

  get busy(): boolean {
    if (this.gate !== LOG_BUSY && this.large === null) return false;
    this.parts.wantWritable(this);
    return true;
  }

  /** The segment that is written to, if there is one. */
  get active(): Segment | null {
    const last = this.segmentList[this.segmentList.length - 1];
    return last === undefined || last.closed ? null : last;
  }

  append(address: number, length: number, term: number, nowMs: number): number {
    if (this.gate !== 0) return this.#refuse(this.gate);
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

  /** State of producers without the unrecorded batch, if there is one; for rows. */
  encodeProducers(): Uint8Array<ArrayBuffer> {
    const large = this.unrecorded;
    if (large === null) return this.#encodedProducers();
    const at = large.chunk.addressOf(large.position);
    const producerId = getInt64(this.parts.context.memory.view, at + PRODUCER_ID_OFFSET);
    const heardMs = this.producers.heardMsOf(producerId);
    this.producers.truncate(large.firstIndex - 1);
    const bytes = this.#encodedProducers();
    this.#admitProducer(at, heardMs);
    return bytes;
  }

  #encodedProducers(): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(this.producers.encodedSize());
    this.producers.encode(new DataView(bytes.buffer), 0);
    return bytes;
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
    segment.sizeBytes = end;
    segment.endOffset = baseOffset + records;
    this.sizeBytes += length;
    this.endOffset = baseOffset + records;
    this.lastIndex += records;
    // The time at which a replayed batch arrived is unknown.
    this.#admitProducer(at, this.parts.journal === null ? 0 : nowMs);
  }

  /** Takes note of the producer of the log's last batch. */
  #admitProducer(at: number, heardMs: number): void {
    const view = this.parts.context.memory.view;
    const producerId = getInt64(view, at + PRODUCER_ID_OFFSET);
    if (producerId < 0) return;
    const records = view.getInt32(at + LAST_OFFSET_DELTA_OFFSET, false) + 1;
    const timestamp = batchMaxTimestamp(view, at);
    const baseOffset = this.endOffset - records;
    const epoch = view.getInt16(at + PRODUCER_EPOCH_OFFSET, false);
    const attributes = view.getInt16(at + ATTRIBUTES_OFFSET, false);
    if ((attributes & CONTROL_FLAG) !== 0) {
      this.producers.appendMarker(this.lastIndex, producerId, epoch, timestamp, heardMs);
      return;
    }
    const first = view.getInt32(at + BASE_SEQUENCE_OFFSET, false);
    if (first < 0) return;
    this.producers.append(
      this.lastIndex,
      producerId,
      epoch,
      first,
      lastSequenceOf(first, records),
      baseOffset,
      timestamp,
      (attributes & TRANSACTIONAL_FLAG) !== 0,
      heardMs,
    );
  }

  appendMeta(kind: MetaKind, term: number, payload: Uint8Array<ArrayBuffer>): number {
    if (this.gate !== 0) return this.#refuse(this.gate);
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
    this.lastIndex++;
    this.lastTerm = term;
    if (!this.parts.journal!.meta(this, entry)) {
      this.lastIndex--;
      this.lastTerm = previousTerm;
      return this.#refuse(LOG_BUSY);
    }
    this.metas.push(entry);
    return entry.index;
  }

  setHardState(term: number, vote: number): number {
    if (this.suspect || this.deleted) return LOG_FAILED;
    assert(term >= this.hardTerm, "the term never goes back");
    // Its room is reserved, that of the CREATE record is not: no record may precede the CREATE record.
    if (!this.recorded) return this.#refuse(LOG_BUSY);
    const journal = this.parts.journal!;
    if (!journal.hasReservedRoom()) return this.#refuse(LOG_BUSY);
    this.hardTerm = term;
    this.hardVote = vote;
    this.hardVersion++;
    journal.hard(this);
    return this.hardVersion;
  }

  setCommitted(index: number): void {
    if (index <= this.committedIndex) return;
    assert(index <= this.lastIndex, "committed beyond the end of the log");
    this.committedIndex = index;
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
    if (!this.suspect) return 0;
    if (this.large !== null) return LOG_BUSY;
    const journal = this.parts.journal!;
    this.suspect = false;
    this.sequence++;
    const row = encodeRow(this);
    this.sequence--;
    // What no record could hold, the next checkpoint does: until then, a start would have to accept it again.
    const fits = row.length <= journal.payloadMax;
    if (fits && !journal.create(this, row)) {
      this.suspect = true;
      return LOG_BUSY;
    }
    if (this.gate === LOG_FAILED) this.gate = 0;
    return 0;
  }

  /** A journal write is durable that held records of this log up to here. */
  reachDurable(index: number, endOffset: number, hardVersion: number): void {
    if (this.deleted) return;
    // Its records may have been cut off since; nothing else is appended before that is durable.
    index = Math.min(index, this.lastIndex);
    endOffset = Math.min(endOffset, this.endOffset);
    if (!this.directorySynced) return this.#unnamed.note(index, endOffset, hardVersion);
    this.durableIndex = Math.max(this.durableIndex, index);
    this.durableEndOffset = Math.max(this.durableEndOffset, endOffset);
    this.durableHardVersion = Math.max(this.durableHardVersion, hardVersion);
    this.listener?.onDurable(this);
  }

  /** Entries beyond `index` are cut off, durable or not. */
  lowerDurable(index: number, endOffset: number): void {
    this.durableIndex = Math.min(this.durableIndex, index);
    this.durableEndOffset = Math.min(this.durableEndOffset, endOffset);
    this.#unnamed.cut(index, endOffset);
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
    if (this.gate === 0 && this.active === null && this.endOffset === 0) {
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
      next = this.newSegment(base, this.lastIndex + 1, this.lastTerm, this.generationNext++);
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
    this.segmentList.push(segment);
  }

  /** Takes segments out of the log and out of memory; their files are the caller's to retire. */
  dropSegments(chosen: (segment: Segment) => boolean): Segment[] {
    const dropped = this.segmentList.filter(chosen);
    if (dropped.length === 0) return dropped;
    const kept = this.segmentList.filter((segment) => !dropped.includes(segment));
    this.segmentList.length = 0;
    this.segmentList.push(...kept);
    for (const segment of dropped) {
      this.sizeBytes -= segment.sizeBytes;
      this.parts.writer.forget(segment);
    }
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

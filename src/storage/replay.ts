/**
 * Replays journal records onto the logs of a recovering node.
 *
 * Every group counts its records: those that the row reflects are skipped, later ones are applied, and a gap, or
 * a record that does not fit, makes the group *suspect* (its later records cannot be placed). Batches go through
 * the same tail chunks and write-behind as when they were appended, at the positions that their records name, so the
 * segments come out byte for byte; carried bytes complete every block that is rewritten. When memory is
 * short, or a large batch must be checked in its segment, dirty chunks are written out first.
 *
 * @module
 */

import { BLOCK_SIZE, namesIn } from "../io/disk.ts";
import { EIO, ENOMEM } from "../io/errno.ts";
import { io, type Task } from "../io/task.ts";
import { batchMaxTimestamp } from "../wire/record_batch.ts";
import { type Chunk, ChunkState } from "./chunk_cache.ts";
import { decodeRow } from "./checkpoint_row.ts";
import { JournalRecordType } from "./journal_format.ts";
import type { JournalRecord } from "./journal_record.ts";
import type { JournalDamage, JournalVisitor } from "./journal_scan.ts";
import {
  type DoubtfulBatch,
  isMended,
  landingKey,
  type Landings,
  noteLanding,
  replayLanded,
} from "./landed_batch.ts";
import { cutSegment } from "./log_cut.ts";
import type { LogParts } from "./log_parts.ts";
import { tailFor } from "./log_tail.ts";
import type { PartitionLog } from "./partition_log.ts";
import { parseSegmentName } from "./salvage.ts";
import { misfitOf } from "./replay_check.ts";
import type { Segment } from "./segment.ts";

/** First pass: which groups have records beyond their rows, and which are deleted in the end. */
export class ReplaySurvey implements JournalVisitor {
  readonly #logs: ReadonlyMap<number, PartitionLog>;
  readonly touched = new Set<number>();
  readonly damages: JournalDamage[] = [];
  readonly landings: Landings = new Map();

  constructor(logs: ReadonlyMap<number, PartitionLog>) {
    this.#logs = logs;
  }

  record(record: JournalRecord): void {
    if (record.type === JournalRecordType.SEAL) return;
    const log = this.#logs.get(record.groupId);
    if (
      log !== undefined && log.incarnation === record.incarnation && record.sequence <= log.sequence
    ) {
      return;
    }
    this.touched.add(record.groupId);
    if (record.type === JournalRecordType.REF) noteLanding(this.landings, record);
  }

  damage(damage: JournalDamage): void {
    this.damages.push(damage);
  }
}

/** Second pass: applies the records. */
export class Replay implements JournalVisitor {
  readonly #parts: LogParts;
  readonly #logs: Map<number, PartitionLog>;
  /** Directories of logs that were deleted, or replaced by one of another name. */
  readonly doomedDirectories: string[] = [];
  /** Segments whose index must be rebuilt from their batches. */
  readonly rebuild = new Set<Segment>();
  readonly applied = new Set<PartitionLog>();
  records = 0;
  /** Impossible records: groups may have lost records, and whole groups may be missing. */
  misfits = 0;
  readonly #flush: (applied: Iterable<PartitionLog>) => Task<number>;
  readonly #landings: Landings;
  readonly #followed = new Map<PartitionLog, number>();
  #doubtful: DoubtfulBatch[] = [];

  /** @param flush writes out everything dirty of some logs, whose files it makes; 0 or a negative errno */
  constructor(
    parts: LogParts,
    logs: Map<number, PartitionLog>,
    flush: (applied: Iterable<PartitionLog>) => Task<number>,
    landings: Landings,
  ) {
    this.#parts = parts;
    this.#logs = logs;
    this.#flush = flush;
    this.#landings = landings;
    for (const log of logs.values()) this.#protect(log);
  }

  /**
   * The large batches whose bytes did not match and do not match now that a journal is replayed and written:
   * lost, unless later records cut them away. Or a negative errno.
   */
  *takeLostBatches(): Task<DoubtfulBatch[] | number> {
    const lost: DoubtfulBatch[] = [];
    for (const doubtful of this.#doubtful) {
      const { log, segment } = doubtful;
      if (this.#logs.get(log.groupId) !== log || segment.dropped) continue;
      const mended = yield* isMended(this.#parts, doubtful);
      if (typeof mended === "number") return mended;
      if (mended) continue;
      log.markSuspect();
      lost.push(doubtful);
    }
    this.#doubtful = [];
    return lost;
  }

  damage(): void {
    // The survey has noted it; gaps in the counts show which groups lost records.
  }

  /** LSN of the newest record of a log that follows all before it, or 0: up to there the log lost nothing. */
  followedLsn(log: PartitionLog): number {
    return this.#followed.get(log) ?? 0;
  }

  record(record: JournalRecord): Task<number> | void {
    const type = record.type;
    if (type === JournalRecordType.SEAL) return;
    if (type === JournalRecordType.CREATE) {
      this.#create(record);
      return;
    }
    const log = this.#logs.get(record.groupId);
    // Of a group that was deleted, or whose first records are lost: its directory shows which.
    if (log === undefined) return;
    if (log.incarnation !== record.incarnation) return;
    if (record.sequence <= log.sequence) {
      this.#followed.set(log, record.lsn);
      return;
    }
    if (record.sequence !== log.sequence + 1) {
      if (type === JournalRecordType.DELETE) this.#delete(log);
      else log.markSuspect();
      return;
    }
    const misfit = misfitOf(log, record);
    if (misfit !== null) {
      this.#refuse(record, misfit);
      log.markSuspect();
      return;
    }
    log.restoreSequence(record.sequence);
    this.#followed.set(log, record.lsn);
    this.records++;
    this.applied.add(log);
    if (type === JournalRecordType.REF) return this.#reference(log, record);
    if (type === JournalRecordType.TRUNCATE) return this.#truncate(log, record);
    if (type === JournalRecordType.APPEND) {
      if (!this.#append(log, record)) return this.#appendWithRoom(log, record);
    } else if (type === JournalRecordType.META) this.#meta(log, record);
    else if (type === JournalRecordType.HARD) {
      log.hard.restore(record.term, record.hard.vote);
    } else if (type === JournalRecordType.PREFIX) {
      const { startIndex, startTerm, startOffset } = record.prefix;
      log.metas.trim(startIndex, startTerm, startOffset);
      const { sequence } = record;
      this.#forget(
        log.dropSegments((segment) =>
          segment.endOffset <= startOffset && !goesOn(segment, sequence)
        ),
      );
    } else this.#delete(log);
  }

  /** Names a record that cannot be replayed. */
  #refuse(record: JournalRecord, misfit: string): void {
    this.misfits++;
    this.#parts.context.onDamage({
      file: record.path,
      position: record.position,
      lost: `Journal record ${record.sequence} of group ${record.groupId} ${misfit}: ` +
        `it and the group's records after it`,
      groupId: record.groupId,
    });
  }

  /** Continues without a segment's index, and has it rebuilt from the batches after the replay. */
  rebuildLater(segment: Segment): void {
    segment.index.cut(0);
    segment.indexLoaded = true;
    segment.unfiledEntries = null;
    this.rebuild.add(segment);
  }

  #create(record: JournalRecord): void {
    const old = this.#logs.get(record.groupId);
    if (old !== undefined) {
      if (old.incarnation > record.incarnation) return;
      if (old.incarnation === record.incarnation && old.sequence >= record.sequence) return;
    }
    const from = record.payloadAddress;
    const row = record.bytes.slice(from, from + record.payloadLength);
    const log = decodeRow(this.#parts, row);
    if (log === null || log.groupId !== record.groupId) {
      this.#refuse(record, "has a row that cannot be read");
      old?.markSuspect();
      return;
    }
    if (old !== undefined) {
      this.#forget(old.dropSegments(() => true));
      if (old.directory !== log.directory) this.doomedDirectories.push(old.directory);
      log.hard.restore(Math.max(log.hardTerm, old.hardTerm), log.hardVote);
    }
    log.restoreSequence(record.sequence);
    this.#protect(log);
    const last = log.segmentList.at(-1);
    if (last !== undefined && !last.indexLoaded) this.rebuildLater(last);
    this.#logs.set(record.groupId, log);
    this.#followed.set(log, record.lsn);
    this.applied.add(log);
    this.records++;
  }

  /** Keeps what older records have from being written over large batches that came later. */
  #protect(log: PartitionLog): void {
    if (this.#landings.size === 0) return;
    for (const segment of log.segmentList) {
      const key = landingKey(log.groupId, log.incarnation, segment.generation);
      const landings = this.#landings.get(key)?.filter((each) => each.sequence > log.sequence) ??
        [];
      segment.landings = landings.length === 0 ? null : landings;
    }
  }

  #delete(log: PartitionLog): void {
    this.#forget(log.dropSegments(() => true));
    this.doomedDirectories.push(log.directory);
    this.#logs.delete(log.groupId);
    this.applied.delete(log);
  }

  /** Their files are removed once the new checkpoints are durable, because no row names them. */
  #forget(segments: readonly Segment[]): void {
    for (const segment of segments) this.rebuild.delete(segment);
  }

  *#reference(log: PartitionLog, record: JournalRecord): Task<number> {
    const segment = this.#segmentOf(log, record);
    const flushed = yield* this.#flush(this.applied);
    if (flushed < 0) return flushed;
    // The batch's own record is replayed: later records may be written after it and over it.
    const later = segment.landings?.filter((each) => each.sequence > record.sequence) ?? [];
    segment.landings = later.length === 0 ? null : later;
    const replayed = yield* replayLanded(this.#parts, log, segment, record);
    if (typeof replayed === "number") return replayed;
    if (replayed !== null) this.#doubtful.push(replayed);
    return 0;
  }

  /** An append for which memory was short, or the bytes before it are no longer in memory. */
  *#appendWithRoom(log: PartitionLog, record: JournalRecord): Task<number> {
    const flushed = yield* this.#flush(this.applied);
    if (flushed < 0) return flushed;
    const segment = this.#segmentOf(log, record);
    const lead = segment.sizeBytes % BLOCK_SIZE;
    if (lead > 0 && record.batch.carriedBytes !== lead && !holdsEnd(segment)) {
      const loaded = yield* this.#loadLead(segment, lead);
      if (loaded === -ENOMEM) return loaded;
      if (loaded < 0) {
        this.#parts.writer.closeTail(segment, false);
        this.#refuse(record, "follows bytes that cannot be read");
        log.restoreSequence(record.sequence - 1);
        log.markSuspect();
        return 0;
      }
    }
    return this.#append(log, record) ? 0 : -ENOMEM;
  }

  /** Begins the tail with the bytes that the flush has written. */
  *#loadLead(segment: Segment, lead: number): Task<number> {
    const chunk = this.#beginTail(segment, lead);
    if (chunk === null) return -ENOMEM;
    const { context, files, loader } = this.#parts;
    const handle = yield* loader.open(segment, false, false);
    if (handle < 0) return handle;
    const from = chunk.windowStart;
    const read = yield* io((done) =>
      context.disk.read(handle, from, chunk.address, BLOCK_SIZE, done)
    );
    files.release(segment.file);
    return read >= lead ? 0 : read < 0 ? read : -EIO;
  }

  /** False: not for want of memory, or of the bytes before it; nothing has changed then. */
  #append(log: PartitionLog, record: JournalRecord): boolean {
    const { context } = this.#parts;
    const { carriedBytes: carry, address: source, length } = record.batch;
    const segment = this.#segmentOf(log, record);
    if (!this.#provideLead(segment, record, carry)) return false;
    const tail = tailFor(log.parts, segment, length);
    if (tail === null) return false;
    const at = tail.addressOf(segment.sizeBytes);
    context.memory.bytes.copyWithin(at, source, source + length);
    log.positions.enterTerm(record.term);
    log.admit(segment, tail, length, Math.max(0, batchMaxTimestamp(context.memory.view, at)));
    return true;
  }

  /** Begins the tail with the carried bytes, when what precedes it is not in memory. */
  #provideLead(segment: Segment, record: JournalRecord, carry: number): boolean {
    const lead = segment.sizeBytes % BLOCK_SIZE;
    if (lead === 0 || holdsEnd(segment)) return true;
    // Replayed from this journal, written out and given up since; or the record would carry it.
    if (carry === 0) return false;
    const chunk = this.#beginTail(segment, lead);
    if (chunk === null) return false;
    const from = record.payloadAddress;
    this.#parts.context.memory.bytes.copyWithin(chunk.address, from, from + lead);
    return true;
  }

  #beginTail(segment: Segment, lead: number): Chunk | null {
    const chunk = this.#parts.cache.take(BLOCK_SIZE, ChunkState.TAIL);
    if (chunk === null) return null;
    chunk.segment = segment;
    chunk.windowStart = segment.sizeBytes - lead;
    chunk.start = segment.sizeBytes;
    chunk.end = segment.sizeBytes;
    segment.tail = chunk;
    return chunk;
  }

  #segmentOf(log: PartitionLog, record: JournalRecord): Segment {
    const last = log.segmentList[log.segmentList.length - 1];
    const { firstIndex, generation } = record.batch;
    if (last !== undefined && last.generation === generation) return last;
    if (last !== undefined) log.closeSegment(last);
    const key = landingKey(log.groupId, log.incarnation, generation);
    const landings = this.#landings.get(key) ?? null;
    let segment = log.newSegment(log.endOffset, firstIndex, record.term, generation);
    if (landings !== null && this.#parts.context.disk.size(segment.file.path) < 0) {
      segment = this.#fileOf(log, generation) ?? segment;
    }
    segment.landings = landings;
    log.chain.add(segment);
    return segment;
  }

  /**
   * The segment with this generation by another name, which large batches lie in: older versions named it when it
   * was prepared, and an entry without a batch might come before its first one.
   */
  #fileOf(log: PartitionLog, generation: number): Segment | null {
    for (const name of namesIn(this.#parts.context.disk, log.directory)) {
      const fields = parseSegmentName(name);
      if (fields?.[3] !== generation || fields[0] !== log.endOffset) continue;
      return log.newSegment(...fields);
    }
    return null;
  }

  #meta(log: PartitionLog, record: JournalRecord): void {
    const from = record.payloadAddress;
    const { kind, index, nextOffset } = record.meta;
    log.restoreMeta({
      kind,
      index,
      term: record.term,
      offset: nextOffset,
      payload: record.bytes.slice(from, from + record.payloadLength),
    });
  }

  /**
   * Entries are written before they are cut: they may carry the bytes before them, in a block that a power cut
   * has torn. The record's bytes are gone once that is written.
   */
  *#truncate(log: PartitionLog, record: JournalRecord): Task<number> {
    const { lastIndex, endOffset, position } = record.cut;
    const flushed = yield* this.#flush(this.applied);
    if (flushed < 0) return flushed;
    this.#cut(log, lastIndex, endOffset, position);
    return 0;
  }

  /** Cuts everything after `lastIndex`; the log ends at `offset`, and at `position` of its last segment. */
  #cut(log: PartitionLog, lastIndex: number, offset: number, position: number): void {
    this.#doubtful = this.#doubtful.filter((each) =>
      each.log !== log || each.firstIndex <= lastIndex
    );
    const cutsRecords = offset < log.endOffset;
    log.producers.truncate(lastIndex);
    log.cutEntries(lastIndex, offset);
    if (!cutsRecords) return;
    this.#forget(log.dropSegments((segment) => segment.baseOffset >= offset));
    const segment = log.segmentList[log.segmentList.length - 1];
    if (segment === undefined || segment.endOffset <= offset) return;
    if (!segment.indexLoaded) this.rebuildLater(segment);
    const index = segment.index;
    let first = 0;
    while (first < index.count && index.positions[first]! + index.lengths[first]! <= position) {
      first++;
    }
    const chunk = index.chunks[first] ?? null;
    if (chunk !== null && index.positions[first]! < position) {
      cutSegment(log, segment, chunk, position, offset);
      return;
    }
    // Not in memory, and its extent's checksum covers what is cut: rebuilt once everything is written.
    this.#parts.writer.forgetFrom(segment, first);
    log.chain.shorten(segment, position, offset);
    segment.writtenPosition = Math.min(segment.writtenPosition, position);
    segment.paddedEnd = Math.min(segment.paddedEnd, position);
    this.rebuild.add(segment);
  }
}

/**
 * Whether a large batch of a later record continues in the segment: it was in progress when the log
 * start was moved up to it, and the log has kept the segment.
 */
function goesOn(segment: Segment, sequence: number): boolean {
  return segment.landings?.some((landing) => landing.sequence > sequence) ?? false;
}

/** Whether the bytes before the segment's end, in its last block, are in memory. */
function holdsEnd(segment: Segment): boolean {
  return segment.tail !== null ||
    segment.index.chunks[segment.index.count - 1]?.end === segment.sizeBytes;
}

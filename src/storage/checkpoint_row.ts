/**
 * A group's checkpoint row: everything that is true of it without its batches (docs/formats/checkpoint_row.md).
 *
 * Taken when the log's tail has been closed, so that the index entries in it end where the log does. The
 * row counts the journal records that it reflects; replay continues after them. A CREATE record carries a row too.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import type { LargeAppend } from "./large_append.ts";
import { packEntries, unpackEntries } from "./index_file.ts";
import type { SegmentLimits } from "./log.ts";
import { encodeProducers } from "./log_producers.ts";
import type { LogParts } from "./log_parts.ts";
import { isMetaKind } from "./meta_table.ts";
import { PartitionLog } from "./partition_log.ts";
import { RowReader, RowWriter } from "./row_bytes.ts";
import type { Segment } from "./segment.ts";

/**
 * Rows of version 1 have no lost extents; version 2 knows nothing of compaction, and is what a log is written in that never
 * was compacted. Raised together with the manifest's.
 */
export const ROW_VERSION = 3;
const WITHOUT_COMPACTION = 2;
const ROW_VERSION_MIN = 1;
const FLAG_SUSPECT = 1;
const SEGMENT_CLOSED = 1;
const SEGMENT_HAS_LOST = 2;
const SEGMENT_COMPACTED = 4;
/** Largest count of anything in a row that is believed. */
const COUNT_MAX = 1 << 24;

/** Serialises a log, without a large batch whose record is still to come. */
export function encodeRow(log: PartitionLog, sequence = log.sequence): Uint8Array<ArrayBuffer> {
  const unrecorded = log.unrecorded;
  const lastIndex = unrecorded === null ? log.lastIndex : unrecorded.firstIndex - 1;
  const row = new RowWriter();
  const isCompacted = log.chain.isCompacted;
  row.uint32(isCompacted ? ROW_VERSION : WITHOUT_COMPACTION);
  row.int64(log.groupId);
  row.uint32(log.incarnation);
  row.text(log.directory);
  row.int64(log.segmentLimits.segmentBytes);
  row.int64(log.segmentLimits.segmentMs);
  row.uint32(log.suspect ? FLAG_SUSPECT : 0);
  row.int64(sequence);
  row.int64(log.startIndex);
  row.int64(log.startTerm);
  row.int64(log.startOffset);
  row.int64(lastIndex);
  row.int64(log.lastTerm);
  row.int64(unrecorded === null ? log.endOffset : unrecorded.baseOffset);
  row.int64(Math.min(log.committedIndex, lastIndex));
  row.int64(log.hardTerm);
  row.int64(log.hardVote);
  row.int64(log.chain.generationNext);
  if (isCompacted) row.int64(log.chain.cleanOffset);
  row.uint32(log.metas.entries.length);
  for (const entry of log.metas.entries) {
    row.uint32(entry.kind);
    row.int64(entry.index);
    row.int64(entry.term);
    row.int64(entry.offset);
    row.bytes(entry.payload);
  }
  row.uint32(log.segmentList.length);
  for (const segment of log.segmentList) {
    encodeSegment(row, segment, unrecorded?.segment === segment ? unrecorded : null);
  }
  row.bytes(encodeProducers(log));
  return row.finish();
}

function encodeSegment(row: RowWriter, segment: Segment, without: LargeAppend | null): void {
  assert(segment.tail === null || segment.tail.extent < 0, "row of a log with an open extent");
  row.int64(segment.baseOffset);
  row.int64(segment.baseIndex);
  row.int64(segment.term);
  row.int64(segment.generation);
  const hasLost = segment.lost !== null;
  const flags = (segment.closed ? SEGMENT_CLOSED : 0) | (hasLost ? SEGMENT_HAS_LOST : 0);
  row.uint32(flags | (segment.compacted ? SEGMENT_COMPACTED : 0));
  row.int64(without?.baseOffset ?? segment.endOffset);
  row.int64(without?.position ?? segment.sizeBytes);
  row.int64(without?.maxTimestampMsBefore ?? segment.maxTimestampMs);
  row.int64(without?.maxTimestampOffsetBefore ?? segment.maxTimestampOffset);
  row.int64(without?.createdMsBefore ?? segment.createdMs);
  row.uint32(segment.entryCount - segment.unrecordedEntries);
  row.uint32(segment.index.filedCount);
  const unfiled = segment.indexLoaded
    ? packEntries(
      segment.index,
      segment.index.filedCount,
      segment.index.count - segment.unrecordedEntries,
    )
    : segment.unfiledEntries ?? new Float64Array(0);
  row.uint32(unfiled.length);
  for (const cell of unfiled) row.int64(cell);
  if (segment.lost === null) return;
  row.uint32(segment.lost.length);
  for (const { baseOffset, endOffset, position, endPosition } of segment.lost) {
    row.int64(baseOffset);
    row.int64(endOffset);
    row.int64(position);
    row.int64(endPosition);
  }
}

/** Makes a log from a row; null when the row cannot be read. */
export function decodeRow(parts: LogParts, bytes: Uint8Array<ArrayBuffer>): PartitionLog | null {
  const row = new RowReader(bytes);
  const version = row.uint32();
  if (version < ROW_VERSION_MIN || version > ROW_VERSION) return null;
  const groupId = row.int64();
  const incarnation = row.uint32();
  const directory = row.text();
  const limits: SegmentLimits = { segmentBytes: row.int64(), segmentMs: row.int64() };
  const log = new PartitionLog(parts, { groupId, incarnation, directory }, limits);
  if ((row.uint32() & FLAG_SUSPECT) !== 0) log.markSuspect();
  log.restoreSequence(row.int64());
  const startIndex = row.int64();
  const startTerm = row.int64();
  const startOffset = row.int64();
  log.metas.reset(startIndex, startTerm, startOffset, []);
  log.positions.restore(row.int64(), row.int64(), row.int64(), row.int64());
  log.hard.restore(row.int64(), row.int64());
  log.chain.noteGeneration(row.int64() - 1);
  if (version > WITHOUT_COMPACTION) log.chain.cleanOffset = row.int64();
  const metas = row.uint32();
  for (let i = 0; i < metas && i < COUNT_MAX && !row.bad; i++) {
    const kind = row.uint32();
    const index = row.int64();
    const term = row.int64();
    const offset = row.int64();
    const payload = row.bytes();
    if (index <= (log.metas.entries.at(-1)?.index ?? -1)) return null;
    if (!isMetaKind(kind)) return null;
    log.metas.push({ kind, index, term, offset, payload });
  }
  const segments = row.uint32();
  for (let i = 0; i < segments && i < COUNT_MAX && !row.bad; i++) decodeSegment(row, log);
  const producers = row.bytes();
  if (row.bad || producers.length === 0) return null;
  if (log.producers.decode(new DataView(producers.buffer), 0) < 0) return null;
  return isPlausible(log) ? log : null;
}

/** Whether what a row says of a log holds together: its bounds, and its segments, which follow each other. */
function isPlausible(log: PartitionLog): boolean {
  if (log.startOffset > log.endOffset || log.startIndex > log.lastIndex) return false;
  if (log.startTerm > log.lastTerm || !areTermsAscending(log)) return false;
  let end = -1;
  for (const { baseOffset, endOffset, sizeBytes } of log.segmentList) {
    if (baseOffset < end || endOffset < baseOffset || sizeBytes < 0) return false;
    end = endOffset;
  }
  return end <= log.endOffset;
}

function areTermsAscending({ metas: { entries }, lastTerm }: PartitionLog): boolean {
  return entries.every(({ term }, i) => term <= (entries[i + 1]?.term ?? lastTerm));
}

function decodeSegment(row: RowReader, log: PartitionLog): void {
  const baseOffset = row.int64();
  const baseIndex = row.int64();
  const term = row.int64();
  const segment = log.newSegment(baseOffset, baseIndex, term, row.int64());
  const flags = row.uint32();
  segment.closed = (flags & SEGMENT_CLOSED) !== 0;
  segment.compacted = (flags & SEGMENT_COMPACTED) !== 0;
  segment.endOffset = row.int64();
  segment.sizeBytes = row.int64();
  segment.maxTimestampMs = row.int64();
  segment.maxTimestampOffset = row.int64();
  segment.createdMs = row.int64();
  segment.entryCount = row.uint32();
  segment.index.filedCount = row.uint32();
  const unfiled = new Float64Array(Math.min(row.uint32(), COUNT_MAX));
  for (let i = 0; i < unfiled.length && !row.bad; i++) unfiled[i] = row.int64();
  if ((flags & SEGMENT_HAS_LOST) !== 0) decodeLost(row, segment);
  segment.writtenPosition = segment.sizeBytes;
  segment.created = true;
  const { index } = segment;
  if (index.filedCount === 0) unpackEntries(index, unfiled);
  const isUntold = index.filedCount === 0 && segment.endsUntold;
  if (isUntold) index.cut(0);
  if (index.filedCount > 0 || isUntold) {
    segment.unfiledEntries = unfiled;
    segment.indexLoaded = false;
  }
  log.chain.add(segment);
}

function decodeLost(row: RowReader, segment: Segment): void {
  const count = row.uint32();
  segment.lost = [];
  for (let i = 0; i < count && i < COUNT_MAX && !row.bad; i++) {
    segment.lost.push({
      baseOffset: row.int64(),
      endOffset: row.int64(),
      position: row.int64(),
      endPosition: row.int64(),
    });
  }
}

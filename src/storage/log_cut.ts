/**
 * Everything that takes entries off a log: truncation of its end, trimming of its front, reset.
 *
 * Truncation has to be careful about the order, because the cut is overwritten later:
 *
 *     0  a large batch in progress lands first
 *     1  appends are refused; the place of the cut is found (its extent is loaded)
 *     2  writing to the segments stops, writes in flight end
 *     3  at once: TRUNCATE is recorded, entries, extents, chunks and producer state beyond it go
 *     4  TRUNCATE is durable; only now may files lose bytes
 *     5  the extent that was cut is written (padded) unless it was before, appends are accepted
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import { BLOCK_SIZE } from "../io/disk.ts";
import type { Task } from "../io/task.ts";
import { batchEndOffset, batchMaxTimestamp, batchSize } from "../wire/record_batch.ts";
import { type Chunk, ChunkState } from "./chunk_cache.ts";
import { encodeRow } from "./checkpoint_row.ts";
import { INDEX_BLOCK_ENTRIES } from "./index_file.ts";
import { awaitLarge } from "./large_append.ts";
import { LOG_BUSY, LOG_FAILED, type SnapshotPoint } from "./log.ts";
import type { PartitionLog } from "./partition_log.ts";
import { fittedProducers } from "./producer_snapshot.ts";
import type { Segment } from "./segment.ts";
import { extentSeed } from "./write_behind.ts";

/** Bounds of the bytes of a row without segments, and of a meta entry in it. */
const ROW_BYTES_MIN = 4096;
const META_ROW_BYTES = 64;

/** See {@linkcode Log.truncate}. */
export function* truncateLog(log: PartitionLog, index: number): Task<number> {
  assert(index >= log.committedIndex, "cut below commit");
  assert(index >= log.startIndex, "cut below the log start");
  if (log.gate.refusal !== 0) return log.gate.refusal;
  if (index >= log.lastIndex) return 0;
  log.gate.hold();
  yield* awaitLarge(log);
  const result = log.deleted ? LOG_FAILED : yield* cut(log, index);
  log.gate.release();
  log.parts.wantWritable(log);
  return result;
}

function* cut(log: PartitionLog, index: number): Task<number> {
  const journal = log.parts.journal!;
  const offset = log.metas.offsetAt(index + 1);
  const segment = log.endOffset > offset ? log.reader.segmentOf(offset) : null;
  let chunk: Chunk | null = null;
  if (segment !== null && offset > segment.baseOffset) {
    chunk = yield* loadCut(log, segment, offset);
    if (chunk === null) return LOG_FAILED;
  }
  yield* freeze(log, offset, () => journal.hasReservedRoom());
  // Where damage was mended meanwhile, what was in memory has been forgotten.
  while (segment !== null && chunk !== null && chunk.segment !== segment && !log.deleted) {
    chunk.unpin();
    chunk = yield* loadCut(log, segment, offset);
    if (chunk === null) {
      for (const each of log.segmentList) each.frozen = false;
      return LOG_FAILED;
    }
    yield* freeze(log, offset, () => journal.hasReservedRoom());
  }
  // What follows a deletion in the journal would bring the log back.
  if (log.deleted) {
    chunk?.unpin();
    return LOG_FAILED;
  }

  let position = 0;
  let generation = 0;
  if (segment !== null && chunk !== null) {
    position = cutPosition(log, chunk, offset);
    generation = segment.generation;
  }
  log.producers.truncate(index);
  log.cutEntries(index, offset);
  log.carryNeeded = true;
  if (segment === null) {
    const last = log.segmentList[log.segmentList.length - 1];
    generation = last?.generation ?? 0;
    position = last?.sizeBytes ?? 0;
  }
  const lsn = journal.truncate(log, position, generation);
  const dropped = log.dropSegments((each) => segment !== null && each.baseOffset >= offset);
  if (segment !== null && chunk !== null) {
    cutSegment(log, segment, chunk, position, offset);
    chunk.unpin();
  }
  yield* journal.durable(lsn);
  for (const each of dropped) log.parts.retire(each, 0);
  if (segment !== null) segment.frozen = false;
  return 0;
}

/** Stops writing beyond `offset`, with room for the record of the cut. */
function* freeze(log: PartitionLog, offset: number, hasRoom: () => boolean): Task<void> {
  const { parts } = log;
  const beyond = log.segmentList.filter((each) => each.endOffset > offset);
  for (const each of beyond) parts.writer.closeTail(each, false);
  for (;;) {
    for (const each of beyond) each.frozen = true;
    while (beyond.some((each) => each.writesInFlight > 0)) yield* parts.nextTurn();
    if (hasRoom()) return;
    // The checkpoint that would make room may be waiting for these segments.
    for (const each of beyond) each.frozen = false;
    yield* parts.nextTurn();
  }
}

function* loadCut(log: PartitionLog, segment: Segment, offset: number): Task<Chunk | null> {
  const { loader } = log.parts;
  if ((yield* loader.loadIndex(segment)) < 0) return null;
  // The extent whose end is cut; one that begins at the cut goes whole, and the one before stays whole.
  return yield* loader.load(segment, segment.index.findOffset(offset - 1));
}

/** File position where the batch at `offset` begins, within an extent that holds `offset - 1`. */
function cutPosition(log: PartitionLog, chunk: Chunk, offset: number): number {
  const view = log.parts.context.memory.view;
  let position = chunk.start;
  while (position < chunk.end) {
    const at = chunk.addressOf(position);
    if (batchEndOffset(view, at) > offset) break;
    position += batchSize(view, at);
    if (batchEndOffset(view, at) === offset) return position;
  }
  assert(false, "cut inside a batch");
}

/** Takes the extents beyond `position` off a segment, whose writes are frozen. */
export function cutSegment(
  log: PartitionLog,
  segment: Segment,
  kept: Chunk,
  position: number,
  offset: number,
): void {
  const { context, writer } = log.parts;
  const index = segment.index;
  const extent = kept.extent;
  writer.forgetFrom(segment, extent + 1);
  log.chain.shorten(segment, position, offset);
  segment.settled = false;
  segment.capturedBytes = Math.min(segment.capturedBytes, position);
  // It is cut off, too.
  if (position <= segment.damagedFrom) segment.damagedFrom = Infinity;
  // Its blocks are not written again then: nothing would bring them back from a torn write.
  const isWritten = segment.writtenPosition >= position;
  segment.writtenPosition = Math.min(segment.writtenPosition, position);
  kept.end = position;
  const length = position - kept.start;
  index.lengths[extent] = length;
  index.checksums[extent] = context.crc32c(
    kept.addressOf(kept.start),
    length,
    extentSeed(segment.groupId, kept.start),
  );
  recountTimestamps(log, segment, kept);
  // Filed entries beyond or at the cut are filed again with their present values.
  index.filedCount = Math.min(index.filedCount, extent);
  index.filedCount -= index.filedCount % INDEX_BLOCK_ENTRIES;
  if (kept.state === ChunkState.DIRTY && isWritten) {
    segment.shiftDirty();
    log.parts.cache.markClean(kept);
  }
  if (kept.state !== ChunkState.DIRTY) {
    segment.paddedEnd = Math.min(segment.paddedEnd, position);
    return;
  }
  kept.padded = position % BLOCK_SIZE !== 0;
  segment.paddedEnd = kept.padded ? position : Math.min(segment.paddedEnd, position);
  writer.enqueue(kept);
}

function recountTimestamps(log: PartitionLog, segment: Segment, kept: Chunk): void {
  const index = segment.index;
  const view = log.parts.context.memory.view;
  let latest = -1;
  for (let position = kept.start; position < kept.end;) {
    const at = kept.addressOf(position);
    latest = Math.max(latest, batchMaxTimestamp(view, at));
    position += batchSize(view, at);
  }
  index.maxTimestamps[kept.extent] = latest;
  segment.recountTimestamps();
}

/** See {@linkcode Log.trimPrefix}. */
export function trimLog(log: PartitionLog, offset: number): number {
  if (log.suspect || log.deleted) return LOG_FAILED;
  if (log.gate.refusal !== 0) return log.gate.refusal;
  assert(offset <= log.endOffset, "log start beyond the end");
  if (offset <= log.startOffset) return 0;
  const journal = log.parts.journal!;
  // A record that empties the segment must not precede that of a batch that continues in it.
  if (offset >= (log.unrecorded?.baseOffset ?? Infinity) || !journal.hasReservedRoom()) {
    log.parts.wantWritable(log);
    return LOG_BUSY;
  }
  moveStart(log, offset);
  const lsn = journal.prefix(log);
  for (const segment of log.dropSegments((each) => each.endOffset <= offset)) {
    log.parts.retire(segment, lsn);
  }
  return 0;
}

/**
 * Moves the start of the log's arithmetic; the segments are the caller's. Meta entries directly before `offset` go too,
 * as far as they are committed: others may still be cut off.
 */
export function moveStart(log: PartitionLog, offset: number): void {
  let startIndex = log.metas.indexAt(offset) - 1;
  while (startIndex > log.committedIndex && log.metas.from(startIndex)?.index === startIndex) {
    startIndex--;
  }
  log.metas.trim(startIndex, log.metas.termAt(startIndex), offset);
  log.producers.trim(offset);
}

/** The snapshot with as much state of producers as one record of the journal holds with the rest. */
function withProducersOf(point: SnapshotPoint, bytesMax: number): SnapshotPoint {
  if (point.producers === null) return point;
  return { ...point, producers: fittedProducers(point.producers, bytesMax) };
}

/** See {@linkcode Log.reset}. */
export function* resetLog(log: PartitionLog, point: SnapshotPoint): Task<number> {
  if (log.gate.refusal === LOG_BUSY) return LOG_BUSY;
  const journal = log.parts.journal!;
  log.gate.mend();
  log.gate.hold();
  yield* awaitLarge(log);
  if (log.deleted) return LOG_FAILED;
  let rowBytes = ROW_BYTES_MIN;
  for (const meta of point.metas) rowBytes += META_ROW_BYTES + meta.payload.length;
  const begun = withProducersOf(point, journal.payloadMax / 2 - rowBytes);
  rowBytes += begun.producers?.length ?? 0;
  yield* freeze(
    log,
    -1,
    () => journal.hasFreeingRoom(rowBytes) && log.parts.cache.reclaim(rowBytes),
  );
  if (log.deleted) return LOG_FAILED;
  const dropped = log.dropSegments(() => true);
  log.beginAfter(begun);
  const row = encodeRow(log, log.sequence + 1);
  assert(row.length <= rowBytes && journal.createAnew(log, row), "no room for a new beginning");
  yield* journal.durable(journal.recordedLsn);
  for (const segment of dropped) log.parts.retire(segment, 0);
  log.gate.release();
  log.parts.wantWritable(log);
  return 0;
}

/**
 * Large batches are written directly to their segment, and only a reference to them goes through the journal.
 *
 * A batch that fills a journal write by itself would be written twice, and the records of all other logs would
 * wait for it. So it is copied into one chunk, written from there in durable pieces, and when the last
 * piece is durable a REF record (its position, its checksum, its header) makes it part of the log:
 *
 *     accepted ──pieces durable──► REF recorded ──REF durable──► landed (an ordinary dirty chunk)
 *        └────────── appends to the same log are refused with LOG_BUSY ──────────┘
 *
 * The pieces do not touch the block that the batch shares with the bytes before it: a torn write of it
 * could take bytes that were acknowledged. The REF record carries that block whole (the bytes before, the
 * batch's first ones); it is written to the file after the record, like everything that the journal holds.
 *
 *     file   |....AAAA|BBBB....|
 *                 ▲ bytes before   carried in REF: the block "AABB"
 *            | block A|B | B | B 0|   pieces: the whole blocks after it, the last one padded with zeros
 *
 * Until REF is recorded, rows, notices and index blocks leave the batch out ({@linkcode LargeAppend.recorded}).
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import { setInt64 } from "../bytes/int64.ts";
import { BLOCK_SIZE } from "../io/disk.ts";
import { EIO } from "../io/errno.ts";
import { io, runTask, type Task } from "../io/task.ts";
import { LEADER_EPOCH_OFFSET } from "../wire/record_batch.ts";
import { type Chunk, ChunkState } from "./chunk_cache.ts";
import { REF_BLOCK_OFFSET } from "./journal_format.ts";
import { LOG_BUSY, LOG_NO_SPACE } from "./log.ts";
import type { PartitionLog } from "./partition_log.ts";
import type { Segment } from "./segment.ts";
import { extentSeed, roundUp } from "./write_behind.ts";

/** Batches from this size on take the straight way (bytes); smaller where a journal write is small. */
export const LARGE_APPEND_BYTES = 1024 * 1024;
/** Bytes of one durable write, and such writes in flight per shard: the journal's go in between. */
const PIECE_BYTES = 1024 * 1024;
const PIECES_IN_FLIGHT_MAX = 2;

/** A batch in progress, and the state of its segment before it. */
export class LargeAppend {
  readonly segment: Segment;
  readonly chunk: Chunk;
  readonly position: number;
  readonly length: number;
  readonly firstIndex: number;
  readonly baseOffset: number;
  readonly createdMsBefore: number;
  readonly maxTimestampMsBefore: number;
  readonly maxTimestampOffsetBefore: number;
  /** Its REF record is in the journal, perhaps not durable yet. */
  recorded = false;

  /** Made before the segment and the log take note of the batch. */
  constructor(log: PartitionLog, segment: Segment, chunk: Chunk, length: number) {
    this.segment = segment;
    this.chunk = chunk;
    this.position = segment.sizeBytes;
    this.length = length;
    this.firstIndex = log.lastIndex + 1;
    this.baseOffset = log.endOffset;
    this.createdMsBefore = segment.createdMs;
    this.maxTimestampMsBefore = segment.maxTimestampMs;
    this.maxTimestampOffsetBefore = segment.maxTimestampOffset;
  }

  /** Bytes before it in its first block. */
  get lead(): number {
    return this.position % BLOCK_SIZE;
  }
}

/**
 * Takes a large batch into a segment that is ready for it, and starts its writes.
 *
 * @returns its base offset; LOG_BUSY when memory or the journal is short, LOG_NO_SPACE when it stays full
 */
export function acceptLarge(
  log: PartitionLog,
  segment: Segment,
  address: number,
  length: number,
  term: number,
  nowMs: number,
): number {
  const { cache, context, dirtyBytesMax, writer } = log.parts;
  const { bytes, view } = context.memory;
  const position = segment.sizeBytes;
  const lead = position % BLOCK_SIZE;
  if (!log.parts.journal!.hasRoom(REF_BLOCK_OFFSET + BLOCK_SIZE)) {
    return log.parts.ringStuck ? LOG_NO_SPACE : LOG_BUSY;
  }
  if (cache.dirtyBytes + lead + length > dirtyBytesMax) return LOG_BUSY;
  const index = segment.index;
  const previous = lead === 0 ? null : segment.tail ?? index.chunks[index.count - 1] ?? null;
  // Evicted since the segment was found ready, for the journal's buffer.
  if (lead > 0 && previous === null) return LOG_BUSY;
  previous?.pin();
  const chunk = cache.take(lead + length, ChunkState.TAIL);
  if (chunk === null) {
    previous?.unpin();
    return LOG_BUSY;
  }
  if (previous !== null) {
    const from = previous.addressOf(position - lead);
    bytes.copyWithin(chunk.address, from, from + lead);
  }
  log.enter(segment);
  writer.closeTail(segment, true);
  previous?.unpin();
  const at = chunk.address + lead;
  bytes.copyWithin(at, address, address + length);
  const baseOffset = log.endOffset;
  setInt64(view, at, baseOffset);
  view.setInt32(at + LEADER_EPOCH_OFFSET, term, false);
  const large = new LargeAppend(log, segment, chunk, length);
  const extent = index.add(baseOffset, position);
  index.chunks[extent] = chunk;
  chunk.state = ChunkState.DIRTY;
  chunk.segment = segment;
  chunk.extent = extent;
  chunk.windowStart = position - lead;
  chunk.start = position;
  chunk.end = position + length;
  chunk.submitted = true;
  segment.entryCount = index.count;
  segment.unrecordedEntries = 1;
  log.large = large;
  log.admitBatch(segment, extent, at, length, nowMs);
  // The batch's own end is not in the journal either.
  log.carryNeeded = true;
  runTask(writeLarge(log, large), () => {});
  return baseOffset;
}

/** Writes the batch and its record; the log's `large` is free again when this ends well. */
function* writeLarge(log: PartitionLog, large: LargeAppend): Task<void> {
  const { parts } = log;
  const { segment, chunk } = large;
  const journal = parts.journal!;
  chunk.pin();
  segment.writesInFlight++;
  const handle = yield* parts.loader.open(segment, false, false);
  let result = handle < 0 ? handle : yield* writePieces(log, large, handle);
  if (result >= 0 && !log.deleted) result = yield* syncNames(log, segment);
  if (handle >= 0) parts.files.release(segment.file);
  segment.writesInFlight--;
  if (result < 0 && !log.deleted) {
    parts.context.onFatal(result, `Cannot write segment ${segment.file.path}: errno ${-result}`);
  }
  let lsn = -1;
  while (result >= 0 && !log.deleted) {
    lsn = journal.reference(log, large);
    if (lsn >= 0) break;
    yield* parts.nextTurn();
  }
  if (lsn >= 0) {
    log.noteRecorded(large);
    yield* journal.durable(lsn);
    if (!log.deleted) {
      log.large = null;
      parts.writer.land(segment, chunk, roundUp(large.position));
    }
  }
  // Deleted meanwhile: nobody waits for it, and its bytes are dropped.
  if (log.deleted) log.large = null;
  chunk.unpin();
}

/** Waits until no batch of the log is in progress; no new one may be admitted meanwhile. */
export function* awaitLarge(log: PartitionLog): Task<void> {
  while (log.large !== null && !log.deleted) yield* log.parts.nextTurn();
}

/** Makes the names of the segment's file and its directory durable, because no record recreates them. */
function* syncNames(log: PartitionLog, segment: Segment): Task<number> {
  const { disk } = log.parts.context;
  if (!segment.nameSynced) {
    const synced = yield* io((done) => disk.syncDirectory(log.directory, done));
    if (synced < 0) return synced;
    segment.nameSynced = true;
  }
  // Its directory's name is made durable when the log is created.
  while (!log.directorySynced && !log.deleted) yield* log.parts.nextTurn();
  return 0;
}

function* writePieces(log: PartitionLog, large: LargeAppend, handle: number): Task<number> {
  const { context, writer } = log.parts;
  const { segment, chunk, position } = large;
  const end = position + large.length;
  const paddedEnd = roundUp(end);
  context.memory.bytes.fill(0, chunk.addressOf(end), chunk.addressOf(paddedEnd));
  let from = roundUp(position);
  assert(from < end, "a batch that is not large");
  let checksum = context.crc32c(
    chunk.addressOf(position),
    from - position,
    extentSeed(segment.groupId, position),
  );
  while (from < paddedEnd) {
    while (writer.piecesInFlight >= PIECES_IN_FLIGHT_MAX) yield* log.parts.nextTurn();
    if (log.deleted) return 0;
    const at = from;
    const length = Math.min(PIECE_BYTES, paddedEnd - at);
    writer.piecesInFlight++;
    const written = yield* io((done) => {
      context.disk.write(handle, at, chunk.addressOf(at), length, true, done);
      // Beside the write: reading the bytes does not disturb it.
      checksum = context.crc32c(chunk.addressOf(at), Math.min(length, end - at), checksum);
    });
    writer.piecesInFlight--;
    if (written !== length) return written < 0 ? written : -EIO;
    from = at + length;
  }
  if (!log.deleted) segment.index.checksums[chunk.extent] = checksum;
  return 0;
}

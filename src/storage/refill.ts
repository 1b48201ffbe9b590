/**
 * Writes a damaged extent anew, with records that another node has.
 *
 * Replicas of a log have the same batches, byte for byte, and an entry of a term at an index is the same entry on every
 * node that has one there (Raft's log matching). So what has come is right when it matches the checksum that the index
 * has of the extent; or when its batches are whole, and have the offsets, the terms and the size that this log knows
 * of its own. Of a segment that compaction has written only the checksum tells.
 *
 * ```text
 *   settle    nothing in memory is still to be written to these blocks; the segment is closed where that takes it
 *   fetch     whole batches, checked one by one
 *   overlay   what else is in the first and the last block, from its neighbours, as far as they can be read; those that cannot,
 *             because the disk does not give back a block that they share, are fetched and written together with it
 *   write     durable, in place
 *   read      from the disk again, with its checksum: only then the extent is mended
 * ```
 *
 * A crash on the way leaves the extent damaged, or right: its neighbours get the bytes that they have. The next read that
 * meets it begins again. Where an index is lost, too, and a batch with it, all that follows is one extent without known
 * batches ({@linkcode Segment.damagedFrom}): it is written piece by piece, and the index is made anew from the batches.
 *
 * @module
 */

import { BLOCK_SIZE } from "../io/disk.ts";
import { ENOENT } from "../io/errno.ts";
import { io, type Task } from "../io/task.ts";
import {
  ATTRIBUTES_OFFSET,
  BATCH_HEADER_SIZE,
  BATCH_MAGIC,
  batchBaseOffset,
  batchCrc,
  batchEndOffset,
  batchLeaderEpoch,
  batchMagic,
  batchSize,
} from "../wire/record_batch.ts";
import { ChunkState } from "./chunk_cache.ts";
import { extentEnd } from "./extent_index.ts";
import { INDEX_BLOCK_ENTRIES } from "./index_file.ts";
import type { LogParts } from "./log_parts.ts";
import type { PartitionLog } from "./partition_log.ts";
import type { Segment } from "./segment.ts";
import type { MemoryLack } from "./segment_loader.ts";
import { extentSeed, roundDown, roundUp } from "./write_behind.ts";

/** Turns that writes to the extent's blocks may take to end. */
const SETTLE_TURNS_MAX = 1_000;
/** A piece of an extent without known batches, unless one batch is larger (bytes). */
const PIECE_BYTES = 256 * 1024;
/** So many times as many of them are written before the index is made anew once more. */
const PIECES_FACTOR = 8;

/** How an attempt ended. */
export const Refilled = {
  /** The extent can be read, or nobody needs it any more. */
  MENDED: 0,
  /** No memory, or the segment is being changed: to be tried again soon. */
  BUSY: 1,
  /** Not every other node could be asked: to be tried again later. */
  UNANSWERED: 2,
  /** All were asked, and none has the records. */
  ABSENT: 3,
  /** This node's disk does not take them, or does not give them back. */
  FAILED: 4,
  /** The disk does not give back what shares a block with the extent: to be tried again, and then without it. */
  EDGE: 5,
} as const;
export type Refilled = typeof Refilled[keyof typeof Refilled];

/** Records of a group that are to be had from another node. */
export interface WantedRecords {
  readonly groupId: number;
  /** Of the first batch; batches that end beyond `endOffset` are of no use. */
  readonly offset: number;
  readonly endOffset: number;
  /** Where they are to be copied to. */
  readonly address: number;
  /** Bytes of memory there. */
  readonly room: number;
}

/** Where records come from. */
export interface RecordSource {
  /**
   * Has whole batches copied to memory: as many as fit, from the first one on.
   *
   * @param accepts whether the bytes that have come (so many) are right; where they are not, another node is asked
   * @returns the bytes that were accepted, or the negative of {@linkcode Refilled.UNANSWERED} or ABSENT
   */
  fetch(wanted: WantedRecords, accepts: (bytes: number) => boolean): Task<number>;
}

/**
 * Mends the extent that holds the byte at `position`.
 *
 * @param position in the segment's file; of an extent that a read has reported
 * @param mayBlank whether what shares a block with it, and cannot be read, may be written over with zeros: it is lost with
 * that block, or the disk did not answer for a moment
 */
export function* refillExtent(
  parts: LogParts,
  log: PartitionLog,
  segment: Segment,
  position: number,
  source: RecordSource,
  mayBlank: boolean,
): Task<Refilled> {
  if ((yield* parts.loader.loadIndex(segment)) < 0) {
    return segment.dropped ? Refilled.MENDED : Refilled.FAILED;
  }
  const extent = extentAt(segment, position);
  if (extent < 0) return Refilled.MENDED;
  return yield* new Refill(parts, log, segment, extent, source, mayBlank).run();
}

/** Number of the extent that holds the byte at `position`, or -1. */
function extentAt(segment: Segment, position: number): number {
  const { count, positions, lengths } = segment.index;
  for (let extent = 0; extent < count; extent++) {
    const from = positions[extent]!;
    if (from <= position && position < from + lengths[extent]!) return extent;
  }
  return -1;
}

class Refill implements MemoryLack {
  lacksMemory = false;
  readonly #parts: LogParts;
  readonly #log: PartitionLog;
  readonly #segment: Segment;
  #extent: number;
  /** Those that are written together: mostly this one alone. */
  #first: number;
  #last: number;
  readonly #source: RecordSource;
  readonly #mayBlank: boolean;
  /** Of the first and the last block; and of the extents that share them. */
  #isEdgeUnread = false;
  #isNeighbourUnread = false;
  /** Of the index, when this began: another number means other extents. */
  #cuts: number;
  /** Memory for the blocks that are written, and one more; -1: none yet. */
  #buffer = -1;
  #bufferBytes = 0;
  /** Offset after the batches that have come, and whether this log knows the terms of all of them. */
  #nextOffset: number;
  #areTermsKnown = true;

  constructor(
    parts: LogParts,
    log: PartitionLog,
    segment: Segment,
    extent: number,
    source: RecordSource,
    mayBlank: boolean,
  ) {
    this.#parts = parts;
    this.#log = log;
    this.#segment = segment;
    this.#extent = this.#first = this.#last = extent;
    this.#source = source;
    this.#mayBlank = mayBlank;
    this.#cuts = segment.index.cuts;
    this.#nextOffset = segment.index.baseOffsets[extent]!;
  }

  *run(): Task<Refilled> {
    const segment = this.#segment;
    const chunk = yield* this.#parts.loader.load(segment, this.#extent, this);
    chunk?.unpin();
    if (chunk !== null || segment.dropped) return Refilled.MENDED;
    if (this.lacksMemory || this.#hasChanged) return Refilled.BUSY;
    if (extentEnd(segment, this.#extent) <= this.#log.startOffset) {
      // Nobody reads what is before the log start, and the others may not have it any more.
      segment.lose(this.#extent, this.#extent);
      segment.settled = false;
      return Refilled.MENDED;
    }
    const isUntold = segment.index.positions[this.#extent] === segment.damagedFrom;
    const result = isUntold ? yield* this.#writeRest() : yield* this.#writeExtent();
    this.#release();
    return result;
  }

  get #hasChanged(): boolean {
    return this.#segment.index.cuts !== this.#cuts;
  }

  *#writeExtent(): Task<Refilled> {
    const { index, groupId } = this.#segment;
    const extent = this.#extent;
    const position = index.positions[extent]!;
    const length = index.lengths[extent]!;
    const endOffset = extentEnd(this.#segment, extent);
    if (!(yield* this.#settle(position + length)) || !this.#reserve(position, length)) {
      return Refilled.BUSY;
    }
    const from = this.#buffer + (position - roundDown(position));
    let got = 0;
    while (this.#nextOffset < endOffset) {
      const bytes = yield* this.#fetch(endOffset, from + got, length - got);
      if (bytes < 0) return -bytes as Refilled;
      got += bytes;
    }
    if (this.#hasChanged) return Refilled.BUSY;
    const checksum = this.#parts.context.crc32c(from, length, extentSeed(groupId, position));
    const isKnown = checksum === index.checksums[extent];
    // What compaction has written need not be what others have, though it looks alike.
    const isAlike = this.#areTermsKnown && !this.#segment.compacted;
    if (got !== length || (!isKnown && !isAlike)) return Refilled.ABSENT;
    let written = yield* this.#write(position, length);
    if (written === Refilled.EDGE) written = yield* this.#writeRun();
    if (written !== Refilled.MENDED) return written;
    if (!isKnown) this.#correct(checksum);
    const chunk = yield* this.#parts.loader.load(this.#segment, extent);
    chunk?.unpin();
    return chunk !== null || this.#segment.dropped ? Refilled.MENDED : Refilled.FAILED;
  }

  /**
   * The extents that share blocks which the disk does not give back, all of them at once: then nothing is written over that
   * is not known.
   */
  *#writeRun(): Task<Refilled> {
    const segment = this.#segment;
    const { index, groupId } = segment;
    const { positions, lengths, checksums } = index;
    this.#first = yield* this.#unreadTo(-1);
    this.#last = yield* this.#unreadTo(1);
    const position = positions[this.#first]!;
    const length = positions[this.#last]! + lengths[this.#last]! - position;
    const endOffset = extentEnd(segment, this.#last);
    if (this.#first === this.#last || length > PIECE_BYTES) return Refilled.EDGE;
    if (!(yield* this.#settle(position + length)) || !this.#reserve(position, length)) {
      return Refilled.BUSY;
    }
    const from = this.#buffer + (position - roundDown(position));
    this.#nextOffset = index.baseOffsets[this.#first]!;
    let got = 0;
    while (this.#nextOffset < endOffset) {
      const bytes = yield* this.#fetch(endOffset, from + got, length - got);
      if (bytes < 0) return Refilled.EDGE;
      got += bytes;
    }
    if (this.#hasChanged) return Refilled.BUSY;
    for (let extent = this.#first; extent <= this.#last; extent++) {
      const at = positions[extent]!;
      const seed = extentSeed(groupId, at);
      const checksum = this.#parts.context.crc32c(from + at - position, lengths[extent]!, seed);
      if (got !== length || checksum !== checksums[extent]) return Refilled.EDGE;
    }
    return yield* this.#write(position, length);
  }

  /** The last extent in a direction that shares a block with the one before it, and cannot be read either. */
  *#unreadTo(direction: 1 | -1): Task<number> {
    const segment = this.#segment;
    const { index: { positions, lengths, count } } = segment;
    let extent = this.#extent;
    for (;;) {
      const next = extent + direction;
      if (next < 0 || next >= count || positions[next] === segment.damagedFrom) return extent;
      const upper = Math.max(extent, next);
      const lower = Math.min(extent, next);
      const isShared = roundDown(positions[upper]!) < positions[lower]! + lengths[lower]!;
      if (!isShared || extentEnd(segment, next) <= this.#log.startOffset) return extent;
      const chunk = yield* this.#parts.loader.load(segment, next, this);
      chunk?.unpin();
      if (chunk !== null || this.lacksMemory || this.#hasChanged) return extent;
      extent = next;
    }
  }

  /**
   * What follows the last batch that the segment's index knows. It may be most of the segment, and nearly all of that may be
   * sound: pieces are written, ever more of them at once, and then the index is made anew.
   */
  *#writeRest(): Task<Refilled> {
    const segment = this.#segment;
    const damagedFrom = segment.damagedFrom;
    // What was given up has another size elsewhere: nothing would be in its place behind it.
    if (segment.lost?.some(({ endPosition }) => endPosition > damagedFrom)) return Refilled.ABSENT;
    if (segment.compacted) return Refilled.ABSENT;
    if (!(yield* this.#settle(Infinity))) return Refilled.BUSY;
    for (let pieces = 1;; pieces *= PIECES_FACTOR) {
      let result: Refilled = Refilled.MENDED;
      let position = segment.damagedFrom;
      for (let i = 0; i < pieces && position < segment.sizeBytes; i++) {
        const bytes = yield* this.#writePiece(position);
        if (bytes < 0) result = -bytes as Refilled;
        if (bytes <= 0) break;
        position += bytes;
      }
      const wasAt = segment.damagedFrom;
      if (segment.dropped) return Refilled.MENDED;
      if (this.#hasChanged || !this.#isWritten(Infinity)) return Refilled.BUSY;
      if (position > wasAt && !(yield* this.#reindex())) return Refilled.FAILED;
      if (segment.damagedFrom > wasAt) this.#parts.loader.noteMended(segment, wasAt);
      if (segment.damagedFrom === Infinity) return Refilled.MENDED;
      if (result !== Refilled.MENDED && segment.damagedFrom <= position) {
        // What was asked for is there; the rest is another damage.
        return segment.damagedFrom > damagedFrom ? Refilled.MENDED : result;
      }
      if (segment.damagedFrom === wasAt) return Refilled.FAILED;
    }
  }

  /** Makes the index anew; false: the file cannot be read at all. */
  *#reindex(): Task<boolean> {
    const segment = this.#segment;
    this.#parts.writer.forgetFrom(segment, 0);
    segment.damagedFrom = Infinity;
    segment.indexLoaded = false;
    segment.settled = false;
    if ((yield* this.#parts.loader.loadIndex(segment)) < 0) return segment.dropped;
    const { index } = segment;
    this.#cuts = index.cuts;
    this.#extent = this.#first = this.#last = index.count - 1;
    this.#nextOffset = index.baseOffsets[this.#extent]!;
    this.#areTermsKnown = true;
    if (segment.damagedFrom < Infinity) {
      this.#parts.loader.onUnreadable(segment, segment.damagedFrom);
    }
    return true;
  }

  /** Bytes that are written at `position`, or the negative of why not. */
  *#writePiece(position: number): Task<number> {
    const segment = this.#segment;
    const left = segment.sizeBytes - position;
    if (this.#nextOffset >= segment.endOffset) return -Refilled.ABSENT;
    let bytes = yield* this.#fetchPiece(position, Math.min(PIECE_BYTES, left));
    if (bytes === -Refilled.ABSENT && PIECE_BYTES < left) {
      // A batch may be as large as a block of memory.
      bytes = yield* this.#fetchPiece(position, Math.min(this.#parts.appendBytesMax, left));
    }
    if (bytes < 0) return bytes;
    if (this.#hasChanged) return -Refilled.BUSY;
    const written = yield* this.#write(position, bytes);
    return written === Refilled.MENDED ? bytes : -written;
  }

  *#fetchPiece(position: number, room: number): Task<number> {
    if (!this.#reserve(position, room)) return -Refilled.BUSY;
    const address = this.#buffer + (position - roundDown(position));
    return yield* this.#fetch(this.#segment.endOffset, address, room);
  }

  *#fetch(endOffset: number, address: number, room: number): Task<number> {
    const wanted = {
      groupId: this.#segment.groupId,
      offset: this.#nextOffset,
      endOffset,
      address,
      room,
    };
    return yield* this.#source.fetch(wanted, (bytes) => this.#accepts(wanted, bytes));
  }

  /** Whether these are the log's next batches; then they are counted. */
  #accepts({ offset, endOffset, address, room }: WantedRecords, bytes: number): boolean {
    const { memory: { view }, crc32c } = this.#parts.context;
    if (bytes <= 0 || bytes > room) return false;
    const end = address + bytes;
    let next = offset;
    let areTermsKnown = this.#areTermsKnown;
    for (let at = address; at < end;) {
      const left = end - at;
      const size = left < BATCH_HEADER_SIZE ? 0 : batchSize(view, at);
      if (size < BATCH_HEADER_SIZE || size > left) return false;
      if (batchMagic(view, at) !== BATCH_MAGIC || batchBaseOffset(view, at) !== next) return false;
      if (crc32c(at + ATTRIBUTES_OFFSET, size - ATTRIBUTES_OFFSET, 0) !== batchCrc(view, at)) {
        return false;
      }
      const last = batchEndOffset(view, at) - 1;
      if (last < next || last >= endOffset) return false;
      if (last < this.#log.startOffset) areTermsKnown = false;
      else if (this.#log.termAt(this.#log.indexAt(last)) !== batchLeaderEpoch(view, at)) {
        return false;
      }
      next = last + 1;
      at += size;
    }
    this.#nextOffset = next;
    this.#areTermsKnown = areTermsKnown;
    return true;
  }

  /** Waits until all that is in memory of the blocks before `end` is in the file; false: not now. */
  *#settle(end: number): Task<boolean> {
    const { parts, segment } = { parts: this.#parts, segment: this.#segment };
    for (let turn = 0; turn < SETTLE_TURNS_MAX; turn++) {
      if (segment.dropped || this.#hasChanged) return false;
      if (this.#isWritten(end)) return true;
      const log = this.#log;
      if (log.active === segment && log.large === null && !segment.preparing && !segment.frozen) {
        log.closeSegment(segment);
      }
      if (segment.closed && !segment.frozen) parts.writer.padEnd(segment);
      yield* parts.nextTurn();
    }
    return false;
  }

  /** Nothing writes to the blocks before `end`, now or later. */
  #isWritten(end: number): boolean {
    const { dirtyHead, tail, frozen, closed, sizeBytes, writesInFlight } = this.#segment;
    if (frozen) return false;
    if (closed) return dirtyHead === null && tail === null && writesInFlight === 0;
    const from = dirtyHead?.windowStart ?? tail?.windowStart ?? roundDown(sizeBytes);
    return roundUp(end) <= from;
  }

  /** Memory for the blocks of so many bytes; false: there is none now. */
  #reserve(position: number, bytes: number): boolean {
    const size = roundUp(position + bytes) - roundDown(position) + BLOCK_SIZE;
    if (this.#buffer >= 0 && this.#bufferBytes >= size) return true;
    this.#release();
    this.#buffer = this.#parts.cache.arena.allocate(size);
    this.#bufferBytes = size;
    return this.#buffer >= 0;
  }

  #release(): void {
    if (this.#buffer >= 0) this.#parts.cache.arena.release(this.#buffer);
    this.#buffer = -1;
  }

  /** Writes the bytes in the buffer to their place. */
  *#write(position: number, bytes: number): Task<Refilled> {
    const segment = this.#segment;
    const { loader, files, context: { disk } } = this.#parts;
    const from = roundDown(position);
    const to = roundUp(position + bytes);
    let handle = yield* loader.open(segment, false, false);
    const isGone = handle === -ENOENT;
    // One that was dropped meanwhile must not come back.
    if (isGone && !segment.dropped) handle = yield* loader.open(segment, false, true);
    if (handle < 0) return segment.dropped ? Refilled.MENDED : Refilled.FAILED;
    this.#isNeighbourUnread = false;
    yield* this.#readEdges(handle, position, bytes);
    const isOverlaid = yield* this.#overlay(from, to);
    const wouldBlank = this.#isEdgeUnread && this.#isNeighbourUnread && !this.#mayBlank;
    let result: Refilled = isOverlaid && wouldBlank ? Refilled.EDGE : Refilled.BUSY;
    if (isOverlaid && !wouldBlank && !segment.dropped && !this.#hasChanged && this.#isWritten(to)) {
      // A cut of the log, and the removal of the file, wait for it.
      segment.writesInFlight++;
      const written = yield* io((done) =>
        disk.write(handle, from, this.#buffer, to - from, true, done)
      );
      segment.writesInFlight--;
      result = written === to - from ? Refilled.MENDED : Refilled.FAILED;
      this.#forget(from, to);
    }
    files.release(segment.file);
    if (!isGone || result !== Refilled.MENDED) return result;
    const synced = yield* io((done) => disk.syncDirectory(this.#log.directory, done));
    return synced < 0 ? Refilled.FAILED : result;
  }

  /** What shares the first and the last block with the bytes, as the disk has it: zeros where it does not give it back. */
  *#readEdges(handle: number, position: number, bytes: number): Task<void> {
    const { disk, memory } = this.#parts.context;
    const from = roundDown(position);
    const end = position + bytes;
    const spare = this.#buffer + this.#bufferBytes - BLOCK_SIZE;
    const lead = position - from;
    const rest = roundUp(end) - end;
    this.#isEdgeUnread = false;
    if (lead > 0) {
      const read = yield* io((done) => disk.read(handle, from, spare, BLOCK_SIZE, done));
      if (read < 0) this.#isEdgeUnread = true;
      memory.bytes.fill(0, spare + Math.max(0, read), spare + BLOCK_SIZE);
      memory.bytes.copyWithin(this.#buffer, spare, spare + lead);
    }
    if (rest > 0) {
      const at = roundDown(end);
      const read = yield* io((done) => disk.read(handle, at, spare, BLOCK_SIZE, done));
      if (read < 0) this.#isEdgeUnread = true;
      memory.bytes.fill(0, spare + Math.max(0, read), spare + BLOCK_SIZE);
      const behind = spare + BLOCK_SIZE - rest;
      memory.bytes.copyWithin(this.#buffer + (end - from), behind, spare + BLOCK_SIZE);
    }
  }

  /**
   * Copies what the neighbours have in the blocks from `from` to `to`, as far as they can be read: what cannot is to be
   * mended by itself. False: there is no memory for that now.
   */
  *#overlay(from: number, to: number): Task<boolean> {
    const { index } = this.#segment;
    for (let extent = this.#first - 1; extent >= 0; extent--) {
      if (index.positions[extent]! + index.lengths[extent]! <= from) break;
      if (!(yield* this.#copy(extent, from, to))) return false;
    }
    for (let extent = this.#last + 1; extent < index.count; extent++) {
      if (index.positions[extent]! >= to) break;
      if (!(yield* this.#copy(extent, from, to))) return false;
    }
    return true;
  }

  *#copy(extent: number, from: number, to: number): Task<boolean> {
    const segment = this.#segment;
    const position = segment.index.positions[extent]!;
    // It is read as something else than what the file has.
    if (segment.lostAt(position) !== null) return true;
    this.lacksMemory = false;
    const chunk = yield* this.#parts.loader.load(segment, extent, this);
    if (chunk === null) {
      this.#isNeighbourUnread = true;
      return !this.lacksMemory && !this.#hasChanged;
    }
    const start = Math.max(chunk.start, from);
    const end = Math.min(chunk.end, to);
    const at = chunk.addressOf(start);
    this.#parts.context.memory.bytes.copyWithin(
      this.#buffer + (start - from),
      at,
      at + (end - start),
    );
    chunk.unpin();
    return true;
  }

  /** Chunks of these blocks were read beside what was damaged. */
  #forget(from: number, to: number): void {
    const { chunks, positions, lengths, count } = this.#segment.index;
    for (let extent = 0; extent < count; extent++) {
      const chunk = chunks[extent] ?? null;
      if (chunk === null || chunk.state !== ChunkState.CLEAN) continue;
      if (positions[extent]! >= to || positions[extent]! + lengths[extent]! <= from) continue;
      this.#segment.forgetChunk(chunk);
      this.#parts.cache.drop(chunk);
    }
  }

  /** The entry of the index is wrong: the batches say so by themselves. */
  #correct(checksum: number): void {
    const { index } = this.#segment;
    index.checksums[this.#extent] = checksum;
    index.filedCount = Math.min(index.filedCount, this.#extent);
    index.filedCount -= index.filedCount % INDEX_BLOCK_ENTRIES;
    // A block of the index that is being written has the former entry.
    index.cuts++;
    this.#segment.settled = false;
  }
}

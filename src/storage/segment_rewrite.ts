/**
 * Writes a segment anew with what another node has of it, where a damaged extent cannot be refilled in place.
 *
 * Replicas compact their logs at different times, so another node may have other bytes for the same offsets: batches that are
 * gone here, or one batch without records for many. All of them are right, each in itself, as long as tombstones and markers stay
 * in logs with several replicas. Sound extents are copied, and batches of another node take the place of the others; a batch
 * without records that covers more is cut to what is missing. The new segment is swapped in as one that was compacted.
 *
 * @module
 */

import { EIO, ENOMEM } from "../io/errno.ts";
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
import { isSettled } from "./compaction.ts";
import type { Compactions } from "./compactions.ts";
import { extentEnd } from "./extent_index.ts";
import { isFiller, writeFiller } from "./lost_extent.ts";
import type { LogParts } from "./log_parts.ts";
import type { PartitionLog } from "./partition_log.ts";
import { type RecordSource, Refilled, refillExtent } from "./refill.ts";
import type { Segment } from "./segment.ts";
import { SegmentWriter } from "./segment_writer.ts";
import { extentSeed, roundDown, roundUp } from "./write_behind.ts";

/** Memory for what another node sends at once, unless one batch is larger (bytes). */
const PIECE_BYTES = 256 * 1024;

/** See {@linkcode refillExtent}; where nobody has these bytes, the segment is written anew. */
export function* refillOrRewrite(
  parts: LogParts & { readonly compactions: Compactions },
  log: PartitionLog,
  segment: Segment,
  position: number,
  source: RecordSource,
  mayBlank: boolean,
): Task<Refilled> {
  const result = yield* refillExtent(parts, log, segment, position, source, mayBlank);
  const isLast = log.segmentList.at(-1) === segment;
  if (result !== Refilled.ABSENT || isLast || !isSettled(segment, true)) return result;
  const rewrite = new Rewrite(parts, log, segment, source);
  const rewritten = yield* rewrite.run();
  rewrite.release();
  const { writer } = rewrite;
  if (rewritten === Refilled.MENDED && rewrite.isStill) {
    parts.compactions.swap(log, [segment], writer.segment);
    return Refilled.MENDED;
  }
  writer.abandon();
  return rewritten === Refilled.MENDED ? Refilled.BUSY : rewritten;
}

class Rewrite {
  readonly writer: SegmentWriter;
  readonly #parts: LogParts;
  readonly #log: PartitionLog;
  readonly #segment: Segment;
  readonly #source: RecordSource;
  readonly #cuts: number;
  #buffer = -1;
  #bufferBytes = 0;
  /** Of the batches that another node has sent: what is still missing begins here. */
  #nextOffset = 0;

  constructor(parts: LogParts, log: PartitionLog, segment: Segment, source: RecordSource) {
    this.#parts = parts;
    this.#log = log;
    this.#segment = segment;
    this.#source = source;
    this.#cuts = segment.index.cuts;
    this.writer = new SegmentWriter(log, segment);
  }

  /** The log has the segment, as it was. */
  get isStill(): boolean {
    const segment = this.#segment;
    return !this.#log.deleted && this.#log.segmentList.includes(segment) &&
      segment.index.cuts === this.#cuts && isSettled(segment, true);
  }

  *run(): Task<Refilled> {
    const segment = this.#segment;
    const { index } = segment;
    for (let extent = 0; extent < index.count; extent++) {
      const read = yield* this.#read(extent);
      if (!this.isStill || read === -ENOMEM) return Refilled.BUSY;
      const result = read < 0 ? yield* this.#fetch(extent) : yield* this.#copy(extent);
      if (result !== Refilled.MENDED) return result;
      if (!this.isStill) return Refilled.BUSY;
    }
    const finished = yield* this.writer.finish();
    return finished < 0 ? Refilled.FAILED : Refilled.MENDED;
  }

  release(): void {
    this.writer.release();
    if (this.#buffer >= 0) this.#parts.context.arena.release(this.#buffer);
    this.#buffer = -1;
  }

  #reserve(bytes: number): boolean {
    const { arena } = this.#parts.context;
    if (bytes <= this.#bufferBytes) return true;
    if (this.#buffer >= 0) arena.release(this.#buffer);
    this.#buffer = arena.allocate(bytes);
    this.#bufferBytes = this.#buffer < 0 ? 0 : arena.blockSize(this.#buffer);
    return this.#buffer >= 0;
  }

  /** Reads an extent into the buffer; negative: it cannot be had from this disk. */
  *#read(extent: number): Task<number> {
    const segment = this.#segment;
    const { context: { crc32c, disk }, files, loader } = this.#parts;
    const { positions, lengths, checksums } = segment.index;
    const position = positions[extent]!;
    const length = lengths[extent]!;
    // Where batches are not known, nobody can tell.
    if (position === segment.damagedFrom) return -EIO;
    const from = roundDown(position);
    const bytes = roundUp(position + length) - from;
    if (!this.#reserve(bytes)) return -ENOMEM;
    const handle = yield* loader.open(segment, false, false);
    if (handle < 0) return handle;
    const read = yield* io((done) => disk.read(handle, from, this.#buffer, bytes, done));
    files.release(segment.file);
    if (read < position + length - from) return -EIO;
    const at = this.#buffer + (position - from);
    const checksum = crc32c(at, length, extentSeed(segment.groupId, position));
    return checksum === checksums[extent] ? length : -EIO;
  }

  *#copy(extent: number): Task<Refilled> {
    const { positions, lengths } = this.#segment.index;
    const { view } = this.#parts.context.memory;
    const position = positions[extent]!;
    const start = this.#buffer + (position - roundDown(position));
    for (let at = start; at < start + lengths[extent]!; at += batchSize(view, at)) {
      if (!(yield* this.#add(at, batchSize(view, at)))) return Refilled.BUSY;
    }
    return Refilled.MENDED;
  }

  *#add(at: number, size: number): Task<boolean> {
    if ((yield* this.writer.reserve(size)) < 0) return false;
    this.#parts.context.memory.bytes.copyWithin(this.writer.address, at, at + size);
    this.writer.add(size);
    return true;
  }

  /** Has another node send the batches of an extent, and writes them. */
  *#fetch(extent: number): Task<Refilled> {
    const { groupId, index } = this.#segment;
    const end = extentEnd(this.#segment, extent);
    this.#nextOffset = index.baseOffsets[extent]!;
    let room = PIECE_BYTES;
    while (this.#nextOffset < end) {
      if (!this.#reserve(room)) return Refilled.BUSY;
      const offset = this.#nextOffset;
      const wanted = {
        groupId,
        offset,
        // A batch without records may cover more than what is missing.
        endOffset: this.#log.endOffset,
        address: this.#buffer,
        room: this.#bufferBytes,
      };
      const bytes = yield* this.#source.fetch(wanted, (bytes) => this.#accepts(bytes, end));
      if (bytes === -Refilled.ABSENT && room < this.#parts.appendBytesMax) {
        // A batch may be as large as a block of memory.
        room = this.#parts.appendBytesMax;
        continue;
      }
      if (bytes < 0) return -bytes as Refilled;
      if (!(yield* this.#take(bytes, end))) return Refilled.BUSY;
      if (this.#nextOffset === offset) return Refilled.ABSENT;
    }
    return Refilled.MENDED;
  }

  /** Whether these are the log's next batches, as far as they are wanted. */
  #accepts(bytes: number, end: number): boolean {
    const { memory: { view }, crc32c } = this.#parts.context;
    const until = this.#buffer + bytes;
    let next = this.#nextOffset;
    for (let at = this.#buffer; at < until && next < end; at += batchSize(view, at)) {
      const left = until - at;
      const size = left < BATCH_HEADER_SIZE ? 0 : batchSize(view, at);
      if (size < BATCH_HEADER_SIZE || size > left) return false;
      if (batchMagic(view, at) !== BATCH_MAGIC) return false;
      if (crc32c(at + ATTRIBUTES_OFFSET, size - ATTRIBUTES_OFFSET, 0) !== batchCrc(view, at)) {
        return false;
      }
      const base = batchBaseOffset(view, at);
      const behind = batchEndOffset(view, at);
      const fits = isFiller(view, at)
        ? base <= next && behind > next
        : base === next && behind > next && behind <= end;
      if (!fits || !this.#hasItsTerm(view, at, Math.min(behind, end) - 1)) return false;
      next = behind;
    }
    return next > this.#nextOffset;
  }

  #hasItsTerm(view: DataView, at: number, offset: number): boolean {
    const log = this.#log;
    return offset < log.startOffset ||
      log.termAt(log.indexAt(offset)) === batchLeaderEpoch(view, at);
  }

  /** Writes what was accepted. */
  *#take(bytes: number, end: number): Task<boolean> {
    const { context } = this.#parts;
    const { view } = context.memory;
    for (let at = this.#buffer; at < this.#buffer + bytes && this.#nextOffset < end;) {
      const size = batchSize(view, at);
      const behind = Math.min(end, batchEndOffset(view, at));
      if (isFiller(view, at)) {
        if ((yield* this.writer.reserve(BATCH_HEADER_SIZE)) < 0) return false;
        const offsets = behind - this.#nextOffset;
        const term = batchLeaderEpoch(view, at);
        writeFiller(context, this.writer.address, this.#nextOffset, offsets, term);
        this.writer.add(BATCH_HEADER_SIZE);
      } else if (!(yield* this.#add(at, size))) return false;
      this.#nextOffset = behind;
      at += size;
    }
    return true;
  }
}

/**
 * Writes a segment that takes the place of others, from front to back, beside the log that it will belong to.
 *
 * Nothing names the file until it is whole. Its first block is written last, when everything behind it is on the disk: a
 * file that was left unfinished holds no batch at its front, so that a salvage ({@link file://./salvage.ts}) passes it by and
 * takes the files that it would have replaced.
 *
 * ```text
 *   file     [first block: last][ written           ]
 *   memory                                          [ whole blocks, end ]     one buffer
 * ```
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import { BLOCK_SIZE } from "../io/disk.ts";
import { EIO, ENOMEM } from "../io/errno.ts";
import { io, type Task } from "../io/task.ts";
import { batchEndOffset, batchMaxTimestamp } from "../wire/record_batch.ts";
import { fileIndex } from "./checkpoint.ts";
import { EXTENT_WINDOW_MAX, type LogParts } from "./log_parts.ts";
import type { PartitionLog } from "./partition_log.ts";
import type { Segment } from "./segment.ts";
import { extentSeed, roundDown, roundUp } from "./write_behind.ts";

/** Memory for batches that are not written yet, unless one is larger (bytes). */
const BUFFER_BYTES = 128 * 1024;

export class SegmentWriter {
  readonly segment: Segment;
  readonly #parts: LogParts;
  /** The first block, once it has left the buffer; -1: no memory was asked for yet. */
  #first = -1;
  #buffer = -1;
  #bufferBytes = 0;
  /** Position in the file of the buffer's first byte, a whole block. */
  #windowStart = 0;

  /** @param first the oldest of the segments to be replaced */
  constructor(log: PartitionLog, first: Segment) {
    const { baseOffset, baseIndex, term } = first;
    this.#parts = log.parts;
    this.segment = log.newSegment(baseOffset, baseIndex, term, log.chain.takeGeneration());
    this.segment.compacted = true;
    this.segment.createdMs = first.createdMs;
  }

  /** Where the next batch goes, once {@linkcode SegmentWriter.reserve} has made room for it. */
  get address(): number {
    return this.#buffer + this.segment.sizeBytes - this.#windowStart;
  }

  /** Bytes of room at {@linkcode SegmentWriter.address}. */
  get room(): number {
    return this.#buffer < 0 ? 0 : this.#bufferBytes - (this.segment.sizeBytes - this.#windowStart);
  }

  /** Makes room for a batch; 0 or a negative errno (ENOMEM: not now, or never). */
  *reserve(length: number): Task<number> {
    const { arena } = this.#parts.context;
    if (this.#first < 0) this.#first = arena.allocate(BLOCK_SIZE);
    if (this.#first < 0) return -ENOMEM;
    if (this.room >= length) return 0;
    const flushed = this.#buffer < 0 ? 0 : yield* this.#flush();
    if (flushed < 0 || this.room >= length) return flushed;
    const held = this.segment.sizeBytes - this.#windowStart;
    const larger = arena.allocate(Math.max(BUFFER_BYTES, roundUp(held + length)));
    if (larger < 0) return -ENOMEM;
    if (this.#buffer >= 0) {
      this.#parts.context.memory.bytes.copyWithin(larger, this.#buffer, this.#buffer + held);
      arena.release(this.#buffer);
    }
    this.#buffer = larger;
    this.#bufferBytes = arena.blockSize(larger);
    return 0;
  }

  /** The batch of `length` bytes at {@linkcode SegmentWriter.address} is the segment's last one. */
  add(length: number): void {
    const { segment } = this;
    const { crc32c, memory: { view } } = this.#parts.context;
    const { index } = segment;
    const at = this.address;
    assert(length <= this.room, "a batch without room");
    const position = segment.sizeBytes;
    let extent = index.count - 1;
    const joins = extent >= 0 &&
      position + length - roundDown(index.positions[extent]!) <= EXTENT_WINDOW_MAX;
    if (!joins) {
      extent = index.add(segment.endOffset, position);
      index.checksums[extent] = extentSeed(segment.groupId, position);
    }
    index.lengths[extent] = position + length - index.positions[extent]!;
    index.checksums[extent] = crc32c(at, length, index.checksums[extent]!);
    const timestamp = batchMaxTimestamp(view, at);
    if (timestamp > index.maxTimestamps[extent]!) index.maxTimestamps[extent] = timestamp;
    if (timestamp > segment.maxTimestampMs) {
      segment.maxTimestampMs = timestamp;
      segment.maxTimestampOffset = segment.endOffset;
    }
    segment.sizeBytes += length;
    segment.endOffset = batchEndOffset(view, at);
  }

  /** Writes the rest, and the index; the segment is whole and on the disk then. 0 or a negative errno. */
  *finish(): Task<number> {
    const { segment } = this;
    const { context: { disk, memory }, files, loader } = this.#parts;
    const end = this.address;
    memory.bytes.fill(0, end, this.#buffer + roundUp(end - this.#buffer));
    const flushed = yield* this.#flush(true);
    if (flushed < 0) return flushed;
    const handle = yield* loader.open(segment, false, true);
    if (handle < 0) return handle;
    let result = yield* io((done) => disk.sync(handle, done));
    if (result >= 0) {
      result = yield* io((done) => disk.write(handle, 0, this.#first, BLOCK_SIZE, true, done));
      if (result >= 0 && result !== BLOCK_SIZE) result = -EIO;
    }
    files.release(segment.file);
    if (result < 0) return result;
    segment.closed = true;
    segment.writtenPosition = segment.sizeBytes;
    segment.reservedEnd = roundUp(segment.sizeBytes);
    segment.entryCount = segment.index.count;
    const filed = yield* fileIndex(this.#parts, segment);
    // What could not be filed is in the row, and the next checkpoint's to file.
    segment.settled = segment.index.filedCount === segment.index.count;
    return Math.min(0, filed);
  }

  /** Gives the memory back. */
  release(): void {
    const { arena } = this.#parts.context;
    if (this.#buffer >= 0) arena.release(this.#buffer);
    if (this.#first >= 0) arena.release(this.#first);
    this.#buffer = -1;
    this.#first = -1;
  }

  /** Removes what was written: nothing has named it. */
  abandon(): void {
    this.#parts.retire(this.segment, 0);
  }

  /** Writes whole blocks, or all of them, and keeps the rest at the buffer's front. */
  *#flush(isLast = false): Task<number> {
    const { segment } = this;
    const { context: { disk, memory }, files, loader } = this.#parts;
    const end = segment.sizeBytes - this.#windowStart;
    const bytes = isLast ? roundUp(end) : roundDown(end);
    if (bytes === 0) return 0;
    const handle = yield* loader.open(segment, false, true);
    if (handle < 0) return handle;
    segment.created = true;
    let skipped = 0;
    if (this.#windowStart === 0) {
      memory.bytes.copyWithin(this.#first, this.#buffer, this.#buffer + BLOCK_SIZE);
      skipped = BLOCK_SIZE;
    }
    let result = 0;
    if (bytes > skipped) {
      const from = this.#windowStart + skipped;
      const length = bytes - skipped;
      result = yield* io((done) =>
        disk.write(handle, from, this.#buffer + skipped, length, false, done)
      );
      if (result >= 0) result = result === length ? 0 : -EIO;
    }
    files.release(segment.file);
    if (result < 0 || isLast) return result;
    memory.bytes.copyWithin(this.#buffer, this.#buffer + bytes, this.#buffer + end);
    this.#windowStart += bytes;
    return 0;
  }
}

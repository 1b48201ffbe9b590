/**
 * Reading a log: from cached chunks at once, from the disk after a wait.
 *
 * A read walks batch headers only in the first and the last extent that it touches; extents between go
 * as they are. A miss loads what the read asks for, all extents at once; a reader that continues where the
 * last miss ended is sequential, and the next extents are loaded before it asks (each *mark* that it
 * reaches asks for more).
 *
 * Nobody waits for memory with pinned extents in his hands: two readers would each hold what the other lacks. A read
 * waits for its first extent alone, and takes of the others those that there is memory for. One that belongs to a
 * fetch does not wait at all, because the fetch may hold what was read of other logs (`src/kafka/fetch_operation.ts`);
 * neither for an index that is made anew, which goes on without it.
 *
 * @module
 */

import { all, runTask, type Task } from "../io/task.ts";
import { batchEndOffset, batchSize } from "../wire/record_batch.ts";
import { type Chunk, ChunkState } from "./chunk_cache.ts";
import { extentEnd } from "./extent_index.ts";
import { ReadError } from "./log.ts";
import type { LogRead } from "./log_read.ts";
import type { PartitionLog } from "./partition_log.ts";
import type { Segment } from "./segment.ts";
import { INDEX_READ_BYTES, type MemoryLack } from "./segment_loader.ts";

/** Extents that one read loads at most, and that are read ahead of a sequential reader. */
const LOAD_EXTENTS_MAX = 16;
const READ_AHEAD_EXTENTS = 8;
/** Ends of recent misses that are remembered, per log. */
const RECENT_MISSES = 4;
/** Of extents that a read can do without. */
const unneeded: MemoryLack = { lacksMemory: false };

export class LogReader {
  readonly #log: PartitionLog;
  /** Where the last misses ended; created on the first one. */
  #missEnds: Float64Array | null = null;
  #missNext = 0;

  constructor(log: PartitionLog) {
    this.#log = log;
  }

  /** See {@linkcode Log.read}. */
  read(read: LogRead): boolean {
    read.begin();
    if (this.#collect(read)) return true;
    read.waiting = true;
    let inStart = true;
    let served = false;
    runTask(this.#serveCold(read), () => {
      read.waiting = false;
      served = true;
      if (!inStart) read.done.complete(read.bytesTotal, 0);
    });
    inStart = false;
    return served;
  }

  /** The segment that holds `offset`, which is within the log. */
  segmentOf(offset: number): Segment | null {
    const segments = this.#log.segmentList;
    let low = 0;
    let high = segments.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (segments[middle]!.baseOffset <= offset) low = middle + 1;
      else high = middle;
    }
    return segments[low - 1] ?? null;
  }

  /** See {@linkcode Log.readableFrom}. */
  readableFrom(offset: number): number {
    const segment = this.segmentOf(offset);
    if (segment === null) return this.#log.segmentList[0]?.baseOffset ?? this.#log.endOffset;
    if (!segment.indexLoaded) return segment.endOffset;
    return extentEnd(segment, segment.index.findOffset(offset));
  }

  #firstOffset(read: LogRead): number {
    const { startOffset, segmentList } = this.#log;
    if (!read.beforeStart) return startOffset;
    return Math.min(startOffset, segmentList[0]?.baseOffset ?? startOffset);
  }

  /** Fills `read` from memory; false when the first extent is not in memory. */
  #collect(read: LogRead): boolean {
    const log = this.#log;
    const offset = read.offset;
    if (offset < this.#firstOffset(read) || offset > log.endOffset) {
      read.error = ReadError.OFFSET_OUT_OF_RANGE;
      return true;
    }
    const limit = Math.min(read.limitOffset, log.endOffset);
    if (offset >= limit) return true;
    const segments = log.segmentList;
    let segment = this.segmentOf(offset);
    if (segment === null) {
      read.error = ReadError.STORAGE;
      return true;
    }
    if (!segment.indexLoaded) return false;
    let extent = segment.index.findOffset(offset);
    let segmentAt = -1;
    let from = offset;
    while (from < limit) {
      const chunk = segment.index.chunks[extent];
      if (chunk === null || chunk === undefined || chunk.state === ChunkState.LOADING) {
        return read.extentCount > 0;
      }
      if (read.beforeStart && segment.lostAt(chunk.start) !== null) {
        // What is read in its place is nothing that another replica has.
        if (read.extentCount === 0) read.error = ReadError.DAMAGED;
        break;
      }
      log.parts.cache.hits++;
      const marked = chunk.readAheadMark;
      chunk.readAheadMark = false;
      const taken = this.#take(read, segment, extent, chunk, from, limit);
      // Only now, when the chunk is pinned: loading more may evict any that is not.
      if (marked) this.#readAhead(segment, extent + 1);
      if (taken <= from) break;
      from = taken;
      read.nextOffset = taken;
      if (taken < extentEnd(segment, extent) || read.bytesTotal >= read.maxBytes) break;
      extent++;
      if (extent < segment.index.count) continue;
      if (segmentAt < 0) segmentAt = segments.indexOf(segment);
      const following = segments[++segmentAt];
      if (following === undefined || !following.indexLoaded) break;
      segment = following;
      extent = 0;
    }
    return true;
  }

  /** Adds what fits of one extent, from the batch that holds `offset`; returns the offset after it. */
  #take(
    read: LogRead,
    segment: Segment,
    extent: number,
    chunk: Chunk,
    offset: number,
    limit: number,
  ): number {
    const view = this.#log.parts.context.memory.view;
    let at = chunk.addressOf(chunk.start);
    const end = chunk.addressOf(chunk.end);
    const budget = read.maxBytes - read.bytesTotal;
    const wholeEnd = extentEnd(segment, extent);
    if (segment.index.baseOffsets[extent] === offset && wholeEnd <= limit && end - at <= budget) {
      read.add(chunk, at, end - at);
      return wholeEnd;
    }
    while (at < end && batchEndOffset(view, at) <= offset) at += batchSize(view, at);
    const first = at;
    let next = offset;
    while (at < end) {
      const behind = batchEndOffset(view, at);
      if (behind > limit) break;
      const size = batchSize(view, at);
      if (at + size - first > budget) {
        const force = read.minOneBatch && read.bytesTotal === 0 && at === first;
        if (!force) break;
      }
      at += size;
      next = behind;
      if (at - first >= budget) break;
    }
    if (at > first) read.add(chunk, first, at - first);
    return next;
  }

  *#serveCold(read: LogRead): Task<number> {
    const { loader, cache } = this.#log.parts;
    for (;;) {
      const segment = this.segmentOf(read.offset);
      if (segment !== null && !segment.indexLoaded) {
        if (!read.waitsForMemory && !cache.reclaim(INDEX_READ_BYTES)) {
          read.lacksMemory = true;
          return 0;
        }
        const loaded = yield* loader.loadIndex(segment, read.waitsForMemory ? null : read);
        if (read.lacksMemory) return 0;
        if (loaded < 0 && !segment.dropped) return this.#fail(read, segment);
      }
      if (segment === null || read.offset < this.#firstOffset(read)) {
        if (this.#collect(read)) return 0;
        return this.#fail(read, segment);
      }
      const first = segment.index.findOffset(read.offset);
      const last = this.#lastWanted(segment, first, read);
      const loads = [loader.load(segment, first, read)];
      for (let extent = first + 1; extent <= last; extent++) {
        loads.push(this.#loadMore(segment, extent, read));
      }
      let chunks = yield* all(loads, LOAD_EXTENTS_MAX);
      if (read.lacksMemory && read.waitsForMemory) {
        for (const chunk of chunks) chunk?.unpin();
        read.lacksMemory = false;
        chunks = [yield* loader.load(segment, first)];
      }
      const done = this.#collect(read);
      for (const chunk of chunks) chunk?.unpin();
      if (read.lacksMemory && !done) return 0;
      if (done) {
        read.lacksMemory = false;
        this.#noteMiss(read, segment, last);
        return 0;
      }
      if (chunks[0] === null && !segment.dropped) return this.#fail(read, segment);
    }
  }

  /** Behind a first extent for which there is no memory, nothing is of use. */
  *#loadMore(segment: Segment, extent: number, read: LogRead): Task<Chunk | null> {
    return read.lacksMemory ? null : yield* this.#log.parts.loader.load(segment, extent, unneeded);
  }

  /** Number of the last extent that a read wants, from `first` on. */
  #lastWanted(segment: Segment, first: number, read: LogRead): number {
    const index = segment.index;
    let bytes = index.lengths[first]!;
    let last = first;
    while (
      last + 1 < index.count && last + 1 - first < LOAD_EXTENTS_MAX && bytes < read.maxBytes &&
      index.baseOffsets[last + 1]! < read.limitOffset
    ) {
      last++;
      bytes += index.lengths[last]!;
    }
    return last;
  }

  #noteMiss(read: LogRead, segment: Segment, last: number): void {
    const ends = this.#missEnds ??= new Float64Array(RECENT_MISSES).fill(-1);
    const sequential = ends.includes(read.offset);
    ends[this.#missNext] = read.nextOffset;
    this.#missNext = (this.#missNext + 1) % RECENT_MISSES;
    if (sequential) this.#readAhead(segment, last + 1);
  }

  /** Loads the extents from number `from` on, unless memory is short; marks the first one. */
  #readAhead(segment: Segment, from: number): void {
    const { loader, cache } = this.#log.parts;
    const end = Math.min(segment.index.count, from + READ_AHEAD_EXTENTS);
    for (let extent = from; extent < end; extent++) {
      if (segment.index.chunks[extent] !== null) continue;
      if (cache.arena.freeBytes + cache.cachedBytes < cache.arena.size / 8) return;
      const mark = extent === from;
      runTask(loader.load(segment, extent, unneeded), (chunk) => {
        if (chunk === null) return;
        if (mark) chunk.readAheadMark = true;
        chunk.unpin();
      });
    }
  }

  #fail(read: LogRead, segment: Segment | null): number {
    const { loader } = this.#log.parts;
    if (segment !== null && loader.mends(segment.groupId)) read.error = ReadError.MENDING;
    else read.error = segment?.damaged === true ? ReadError.DAMAGED : ReadError.STORAGE;
    return 0;
  }
}

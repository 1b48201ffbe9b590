/**
 * Cold reads: brings extents and indexes of segments into memory, and checks them.
 *
 * An extent is read whole with the blocks it touches, straight from the device, and its checksum (seeded
 * with group and position) is compared before anybody sees a byte. A reader of an extent that is
 * already being read waits for that read. When memory is short, loads wait until some is freed, unless whoever
 * asks holds some himself: those who wait with memory in their hands would wait for one another. A missing
 * or damaged index is rebuilt from the batches themselves (`index_rebuild.ts`).
 *
 * @module
 */

import { BLOCK_SIZE } from "../io/disk.ts";
import { EIO, ENOENT, ENOMEM } from "../io/errno.ts";
import type { Completion } from "../io/completion.ts";
import { io, runTask, type Task } from "../io/task.ts";
import { Slot } from "../metrics/catalog.ts";
import { BATCH_HEADER_SIZE } from "../wire/record_batch.ts";
import { type Chunk, type ChunkCache, ChunkState } from "./chunk_cache.ts";
import { extentEnd } from "./extent_index.ts";
import type { FileTable } from "./file_table.ts";
import { decodeIndexBlock, INDEX_BLOCK_ENTRIES, unpackEntries } from "./index_file.ts";
import { rebuildIndex } from "./index_rebuild.ts";
import { fillLost } from "./lost_extent.ts";
import type { LostExtent, Segment } from "./segment.ts";
import type { StorageContext } from "./shard_storage.ts";
import { extentSeed, roundDown, roundUp } from "./write_behind.ts";

/** Index blocks read at once. */
const INDEX_BLOCKS_PER_READ = 16;
/** Memory that reading an index takes meanwhile (bytes). */
export const INDEX_READ_BYTES = INDEX_BLOCKS_PER_READ * BLOCK_SIZE;

/** Notes that there was no memory, where nobody waits for it. */
export interface MemoryLack {
  lacksMemory: boolean;
}

/** A load of an index that came to nothing, because there was no memory. */
const LACKED = 1;

function noted(lack: MemoryLack): typeof LACKED {
  lack.lacksMemory = true;
  return LACKED;
}

export class SegmentLoader {
  readonly context: StorageContext;
  readonly cache: ChunkCache;
  readonly files: FileTable;
  #loading = new Map<Chunk, Completion[]>();
  #indexLoads = new Map<Segment, Completion[]>();
  /** Of rebuilds for which nobody waited; told to whoever asks next. */
  readonly #rebuildFailures = new WeakMap<Segment, number>();
  #memoryWaiters: Completion[] = [];
  #reported = new Set<string>();
  /** What turns out to be damaged is given up, and read as an empty batch from then on. */
  acceptLoss = false;
  /** Of a group that other nodes hold, too, nothing is given up. */
  mayGiveUp: (groupId: number) => boolean = () => true;
  /** Other nodes are asked for what cannot be read of a group. */
  mends: (groupId: number) => boolean = () => false;
  /** Called each time a read meets an extent that cannot be read. */
  onUnreadable: (segment: Segment, position: number) => void = () => {};
  /** Term of the last record of an extent. */
  termOf: (segment: Segment, extent: number) => number = (segment) => segment.term;
  /** Term of a record, as the log says by itself; -1: it does not know it (any more). */
  knownTermOf: (segment: Segment, offset: number) => number = () => -1;
  /** Called with lost extents, up to the extent `last`. */
  onLost: (segment: Segment, lost: LostExtent, last: number) => void = () => {};

  constructor(context: StorageContext, cache: ChunkCache, files: FileTable) {
    this.context = context;
    this.cache = cache;
    this.files = files;
  }

  /** Lets loads that wait for memory try again; called once a turn. */
  retry(): void {
    if (this.#memoryWaiters.length === 0) return;
    const waiters = this.#memoryWaiters;
    this.#memoryWaiters = [];
    for (const waiter of waiters) waiter.complete(0, 0);
  }

  /** A block of the arena, waiting for one if need be; -1 when it can never be had. */
  *allocate(size: number): Task<number> {
    if (size > this.cache.arena.blockSizeMax) return -1;
    for (;;) {
      const address = this.cache.arena.allocate(size);
      if (address >= 0) return address;
      yield* io((done) => this.#memoryWaiters.push(done));
    }
  }

  /** Opens and holds a file. */
  *open(segment: Segment, index: boolean, create: boolean): Task<number> {
    const slot = index ? segment.indexFile : segment.file;
    return yield* io((done) => this.files.open(slot, create, done));
  }

  /**
   * Makes sure that an extent is in memory, and pins its chunk.
   *
   * @param lack where it is given, a lack of memory is noted in it, and nobody waits
   * @returns the chunk, or null when the extent is damaged, unreadable, or gone, or a lack was noted
   */
  *load(segment: Segment, extent: number, lack: MemoryLack | null = null): Task<Chunk | null> {
    for (;;) {
      if (segment.dropped || extent >= segment.index.count) return null;
      const present = segment.index.chunks[extent]!;
      if (present === null) {
        if (
          segment.index.positions[extent]! === segment.damagedFrom &&
          !this.#mayPass(segment, extent)
        ) {
          this.onUnreadable(segment, segment.damagedFrom);
          return null;
        }
        return yield* this.#read(segment, extent, lack);
      }
      if (present.state !== ChunkState.LOADING) {
        present.pin();
        return present;
      }
      const result = yield* io((done) => this.#loading.get(present)!.push(done));
      if (result < 0) return null;
    }
  }

  *#read(segment: Segment, extent: number, lack: MemoryLack | null): Task<Chunk | null> {
    const position = segment.index.positions[extent]!;
    const isLost = segment.lostAt(position) !== null;
    const length = isLost ? BATCH_HEADER_SIZE : segment.index.lengths[extent]!;
    const windowStart = roundDown(position);
    const windowLength = roundUp(position + length) - windowStart;
    let chunk = this.cache.take(windowLength, ChunkState.LOADING);
    if (chunk === null) {
      if (lack !== null && windowLength <= this.cache.arena.blockSizeMax) {
        lack.lacksMemory = true;
        return null;
      }
      const address = yield* this.allocate(windowLength);
      if (address < 0) return null;
      this.cache.arena.release(address);
      if (segment.index.chunks[extent] !== null) return yield* this.load(segment, extent);
      chunk = this.cache.take(windowLength, ChunkState.LOADING);
      if (chunk === null) return null;
    }
    this.cache.misses++;
    chunk.segment = segment;
    chunk.extent = extent;
    chunk.windowStart = windowStart;
    chunk.start = position;
    chunk.end = position + length;
    chunk.pin();
    segment.index.chunks[extent] = chunk;
    this.#loading.set(chunk, []);
    let result = 0;
    if (isLost) this.#fillLost(segment, chunk);
    else result = yield* this.#fill(segment, chunk, windowLength);
    const waiters = this.#loading.get(chunk)!;
    this.#loading.delete(chunk);
    if (result >= 0 && chunk.state === ChunkState.LOADING) this.cache.markClean(chunk);
    else {
      if (segment.index.chunks[extent] === chunk) segment.index.chunks[extent] = null;
      if (chunk.state === ChunkState.LOADING) this.cache.drop(chunk);
      chunk.unpin();
      chunk = null;
    }
    for (const waiter of waiters) waiter.complete(chunk === null ? -EIO : 0, 0);
    return chunk;
  }

  *#fill(segment: Segment, chunk: Chunk, windowLength: number): Task<number> {
    const handle = yield* this.open(segment, false, false);
    if (handle < 0) {
      if (segment.dropped) return handle;
      if (handle !== -ENOENT) {
        this.#report(segment, chunk, `cannot be opened: errno ${-handle}`);
        return handle;
      }
      this.#noteUnreadable(segment, handle);
      this.onUnreadable(segment, chunk.start);
      if (this.acceptsLossOf(segment)) this.#loseFile(segment);
      return this.#passOver(segment, chunk);
    }
    const { disk, crc32c, recorder } = this.context;
    const startedMs = recorder?.clockMs() ?? 0;
    const read = yield* io((done) =>
      disk.read(handle, chunk.windowStart, chunk.address, windowLength, done)
    );
    recorder?.observe(Slot.READ_TIME, recorder.nowMs - startedMs);
    this.files.release(segment.file);
    if (segment.dropped || chunk.state !== ChunkState.LOADING) return -EIO;
    const length = chunk.end - chunk.start;
    if (read < chunk.end - chunk.windowStart) {
      const isCut = read >= 0 && disk.size(segment.file.path) < chunk.end;
      const what = read < 0 ? `cannot be read: errno ${-read}` : "cannot be read whole";
      this.#report(segment, chunk, isCut ? "is cut short" : what);
      // A device that fails now may answer later: only bytes that it has returned are given up.
      return isCut ? this.#passOver(segment, chunk) : -EIO;
    }
    const seed = extentSeed(segment.groupId, chunk.start);
    const checksum = crc32c(chunk.addressOf(chunk.start), length, seed);
    if (checksum === segment.index.checksums[chunk.extent]!) {
      if (this.#reported.size > 0) this.#noteReadable(segment, chunk);
      return 0;
    }
    this.#report(segment, chunk, "does not match its checksum");
    return this.#passOver(segment, chunk);
  }

  /**
   * Gives up the extent that holds the byte at `position`, unless it turns out to be sound now.
   *
   * @param position in the file; -1: of every extent
   */
  *giveUp(segment: Segment, position: number): Task<void> {
    if ((yield* this.loadIndex(segment)) < 0) return;
    const { index } = segment;
    for (let extent = 0; extent < index.count; extent++) {
      const from = index.positions[extent]!;
      if (position >= 0 && (position < from || position >= from + index.lengths[extent]!)) continue;
      if (segment.lostAt(from) !== null) continue;
      const chunk = yield* this.load(segment, extent);
      if (chunk !== null) chunk.unpin();
      else if (!segment.dropped && segment.lostAt(from) === null) this.#mayPass(segment, extent);
    }
  }

  /** Has an empty batch read in the place of a damaged extent, where loss is accepted; else -EIO. */
  #passOver(segment: Segment, chunk: Chunk): number {
    segment.damaged = true;
    if (!this.#mayPass(segment, chunk.extent) || chunk.state !== ChunkState.LOADING) return -EIO;
    this.#fillLost(segment, chunk);
    return 0;
  }

  #fillLost(segment: Segment, chunk: Chunk): void {
    fillLost(this.context, segment, chunk, this.termOf(segment, chunk.extent));
  }

  /** Whether an extent was given up, or is now. */
  #mayPass(segment: Segment, extent: number): boolean {
    if (segment.lostAt(segment.index.positions[extent]!) !== null) return true;
    if (!this.acceptsLossOf(segment)) return false;
    this.onLost(segment, segment.lose(extent, extent), extent);
    return true;
  }

  /** Whether damage of a segment is given up as it is met. */
  acceptsLossOf({ groupId }: Segment): boolean {
    return this.acceptLoss && this.mayGiveUp(groupId);
  }

  /** Gives up all that was in a segment's file, which is gone. */
  #loseFile(segment: Segment): void {
    const { chunks, count } = segment.index;
    let last = count - 1;
    while (last >= 0 && isUnwritten(chunks[last] ?? null)) last--;
    if (last < 0) return;
    segment.lost = null;
    this.onLost(segment, segment.lose(0, last), last);
  }

  #report(segment: Segment, chunk: Chunk, what: string): void {
    this.onUnreadable(segment, chunk.start);
    const key = `${segment.file.path}:${chunk.start}`;
    if (this.#reported.has(key)) return;
    this.#reported.add(key);
    this.context.onDamage({
      file: segment.file.path,
      position: chunk.start,
      lost: `Extent of ${chunk.end - chunk.start} bytes ${what}: offsets ` +
        `${segment.index.baseOffsets[chunk.extent]!} to ${extentEnd(segment, chunk.extent) - 1}`,
      groupId: segment.groupId,
      endOffset: extentEnd(segment, chunk.extent),
    });
  }

  /** An extent that could not be read for a while is no damage. */
  #noteReadable(segment: Segment, chunk: Chunk): void {
    if (!this.#reported.delete(`${segment.file.path}:${chunk.start}`)) return;
    this.noteMended(segment, chunk.start);
  }

  /** What begins at `position` can be read again. */
  noteMended(segment: Segment, position: number): void {
    const { groupId, file: { path } } = segment;
    this.#reported.delete(`${path}:${position}`);
    // A file that was gone was reported as a whole.
    if (position === 0) this.#reported.delete(path);
    // The next read that fails says so again.
    segment.damaged = segment.damagedFrom < Infinity;
    this.context.onReadable?.({ groupId, file: path, position });
  }

  /**
   * Makes sure that a segment's index is in memory.
   *
   * @param lack where it is given, nobody waits for memory, nor for somebody who does: that is noted in it
   * @returns a negative errno when it cannot be had
   */
  *loadIndex(segment: Segment, lack: MemoryLack | null = null): Task<number> {
    for (;;) {
      if (segment.indexLoaded) return 0;
      const waiting = this.#indexLoads.get(segment);
      if (waiting === undefined) break;
      if (lack !== null) return noted(lack);
      const result = yield* io((done) => waiting.push(done));
      if (result !== LACKED) return result;
    }
    const failure = this.#rebuildFailures.get(segment) ?? 0;
    this.#rebuildFailures.delete(segment);
    if (failure < 0 && lack !== null) return failure;
    this.#indexLoads.set(segment, []);
    const result = yield* this.readIndex(segment, lack);
    if (lack?.lacksMemory === true) return this.#endIndexLoad(segment, LACKED);
    if (result >= 0 || segment.dropped) return this.#endIndexLoad(segment, result);
    if (lack === null) return yield* this.#rebuild(segment, result);
    runTask(this.#rebuild(segment, result), (rebuilt) => {
      if (rebuilt < 0) this.#rebuildFailures.set(segment, rebuilt);
    });
    return noted(lack);
  }

  /** @param found why the index cannot be read */
  *#rebuild(segment: Segment, found: number): Task<number> {
    const result = yield* rebuildIndex(this, segment);
    if (result >= 0) this.#noteRebuilt(segment, found);
    else if (!segment.dropped) this.#noteUnreadable(segment, result);
    return this.#endIndexLoad(segment, result);
  }

  #endIndexLoad(segment: Segment, result: number): number {
    if (result >= 0 && result !== LACKED) {
      segment.indexLoaded = true;
      segment.unfiledEntries = null;
      segment.entryCount = segment.index.count;
    }
    const waiters = this.#indexLoads.get(segment)!;
    this.#indexLoads.delete(segment);
    for (const waiter of waiters) waiter.complete(result, 0);
    return result;
  }

  #noteUnreadable(segment: Segment, errno: number): void {
    if (errno === -ENOENT) segment.damaged = true;
    if (errno === -ENOMEM || this.#reported.has(segment.file.path)) return;
    this.#reported.add(segment.file.path);
    this.context.onDamage({
      file: segment.file.path,
      position: 0,
      lost:
        `${
          errno === -ENOENT ? "The segment is gone" : `Segment cannot be read: errno ${-errno}`
        }: ` +
        `offsets ${segment.baseOffset} to ${segment.endOffset - 1}`,
      groupId: segment.groupId,
      endOffset: segment.endOffset,
    });
  }

  /** The next checkpoint files the new index; the old one's damage is reported, although nothing is lost. */
  #noteRebuilt(segment: Segment, errno: number): void {
    segment.settled = false;
    if (errno !== -EIO && errno !== -ENOENT) return;
    this.context.onDamage({
      file: segment.indexFile.path,
      position: 0,
      lost: "Nothing: the index was rebuilt from its segment",
      groupId: segment.groupId,
      harmless: true,
    });
  }

  /** Fills a segment's index from its file and its row; a negative errno when they do not fit. */
  *readIndex(segment: Segment, lack: MemoryLack | null = null): Task<number> {
    const index = segment.index;
    const filed = index.filedCount;
    index.cut(0);
    index.filedCount = filed;
    if (filed > 0) {
      const handle = yield* this.open(segment, true, false);
      if (handle < 0) return handle;
      const result = yield* this.#readIndexBlocks(segment, handle, filed, lack);
      this.files.release(segment.indexFile);
      if (result < 0) return result;
    }
    if (segment.unfiledEntries !== null) unpackEntries(index, segment.unfiledEntries);
    const isWhole = index.count === segment.entryCount && coversSegment(segment);
    return isWhole && !segment.endsUntold ? 0 : -EIO;
  }

  *#readIndexBlocks(
    segment: Segment,
    handle: number,
    filed: number,
    lack: MemoryLack | null,
  ): Task<number> {
    const { disk, memory, crc32c } = this.context;
    const blocks = Math.ceil(filed / INDEX_BLOCK_ENTRIES);
    let address = this.cache.arena.allocate(INDEX_READ_BYTES);
    if (address < 0 && lack !== null) return noted(lack);
    if (address < 0) address = yield* this.allocate(INDEX_READ_BYTES);
    if (address < 0) return -ENOMEM;
    let result = 0;
    for (let block = 0; block < blocks && result >= 0; block += INDEX_BLOCKS_PER_READ) {
      const count = Math.min(INDEX_BLOCKS_PER_READ, blocks - block);
      const read = yield* io((done) =>
        disk.read(handle, block * BLOCK_SIZE, address, count * BLOCK_SIZE, done)
      );
      if (read < count * BLOCK_SIZE) {
        result = read < 0 ? read : -EIO;
        break;
      }
      for (let i = 0; i < count; i++) {
        const entries = Math.min(INDEX_BLOCK_ENTRIES, filed - (block + i) * INDEX_BLOCK_ENTRIES);
        const at = address + i * BLOCK_SIZE;
        if (decodeIndexBlock(memory, crc32c, at, segment, block + i, entries)) continue;
        result = -EIO;
        break;
      }
    }
    this.cache.arena.release(address);
    return result;
  }
}

function isUnwritten(chunk: Chunk | null): boolean {
  return chunk !== null && (chunk.state === ChunkState.TAIL || chunk.state === ChunkState.DIRTY);
}

/** Whether the extents follow each other from the segment's beginning to its end: a stale block leaves a hole. */
function coversSegment(segment: Segment): boolean {
  const { count, positions, lengths } = segment.index;
  let end = 0;
  for (let i = 0; i < count; i++) {
    if (positions[i] !== end) return false;
    end += lengths[i]!;
  }
  return end === segment.sizeBytes;
}

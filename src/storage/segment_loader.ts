/**
 * Cold reads: brings extents and indexes of segments into memory, and checks them.
 *
 * An extent is read whole with the blocks it touches, straight from the device, and its checksum (seeded
 * with group and position) is compared before anybody sees a byte. Whoever wants an extent that is being
 * read already waits for that read. When memory is short, loads wait until some is given back. A missing
 * or damaged index is rebuilt from the batches themselves (`index_rebuild.ts`).
 *
 * @module
 */

import { BLOCK_SIZE } from "../io/disk.ts";
import { EIO, ENOENT, ENOMEM } from "../io/errno.ts";
import type { Completion } from "../io/completion.ts";
import { io, type Task } from "../io/task.ts";
import { type Chunk, type ChunkCache, ChunkState } from "./chunk_cache.ts";
import type { FileTable } from "./file_table.ts";
import { decodeIndexBlock, INDEX_BLOCK_ENTRIES, unpackEntries } from "./index_file.ts";
import { rebuildIndex } from "./index_rebuild.ts";
import type { Segment } from "./segment.ts";
import type { StorageContext } from "./shard_storage.ts";
import { extentSeed, roundDown, roundUp } from "./write_behind.ts";

/** Index blocks read at once. */
const INDEX_BLOCKS_PER_READ = 16;

export class SegmentLoader {
  readonly context: StorageContext;
  readonly cache: ChunkCache;
  readonly files: FileTable;
  #loading = new Map<Chunk, Completion[]>();
  #indexLoads = new Map<Segment, Completion[]>();
  #memoryWaiters: Completion[] = [];
  #reported = new Set<string>();

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
   * @returns the chunk, or null when the extent is damaged, unreadable, or gone
   */
  *load(segment: Segment, extent: number): Task<Chunk | null> {
    for (;;) {
      if (segment.dropped || extent >= segment.index.count) return null;
      const present = segment.index.chunks[extent]!;
      if (present === null) {
        if (segment.index.positions[extent]! === segment.damagedFrom) return null;
        return yield* this.#read(segment, extent);
      }
      if (present.state !== ChunkState.LOADING) {
        present.pin();
        return present;
      }
      const result = yield* io((done) => this.#loading.get(present)!.push(done));
      if (result < 0) return null;
    }
  }

  *#read(segment: Segment, extent: number): Task<Chunk | null> {
    const position = segment.index.positions[extent]!;
    const length = segment.index.lengths[extent]!;
    const windowStart = roundDown(position);
    const windowLength = roundUp(position + length) - windowStart;
    let chunk = this.cache.take(windowLength, ChunkState.LOADING);
    if (chunk === null) {
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
    const result = yield* this.#fill(segment, chunk, windowLength);
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
      if (!segment.dropped) this.#report(segment, chunk, `cannot be opened: errno ${-handle}`);
      return handle;
    }
    const { disk, crc32c } = this.context;
    const read = yield* io((done) =>
      disk.read(handle, chunk.windowStart, chunk.address, windowLength, done)
    );
    this.files.release(segment.file);
    if (segment.dropped || chunk.state !== ChunkState.LOADING) return -EIO;
    const length = chunk.end - chunk.start;
    if (read < chunk.end - chunk.windowStart) {
      this.#report(segment, chunk, read < 0 ? `cannot be read: errno ${-read}` : "is cut short");
      return -EIO;
    }
    const seed = extentSeed(segment.groupId, chunk.start);
    const checksum = crc32c(chunk.addressOf(chunk.start), length, seed);
    if (checksum === segment.index.checksums[chunk.extent]!) return 0;
    this.#report(segment, chunk, "does not match its checksum");
    return -EIO;
  }

  #report(segment: Segment, chunk: Chunk, what: string): void {
    const key = `${segment.file.path}:${chunk.start}`;
    if (this.#reported.has(key)) return;
    this.#reported.add(key);
    this.context.onDamage({
      file: segment.file.path,
      position: chunk.start,
      lost: `Extent of ${chunk.end - chunk.start} bytes ${what}: ` +
        `offsets from ${segment.index.baseOffsets[chunk.extent]!} on`,
      groupId: segment.groupId,
    });
  }

  /** Makes sure that a segment's index is in memory; a negative errno when that cannot be. */
  *loadIndex(segment: Segment): Task<number> {
    if (segment.indexLoaded) return 0;
    const waiting = this.#indexLoads.get(segment);
    if (waiting !== undefined) return yield* io((done) => waiting.push(done));
    this.#indexLoads.set(segment, []);
    let result = yield* this.readIndex(segment);
    if (result < 0 && !segment.dropped) {
      const found = result;
      result = yield* rebuildIndex(this, segment);
      if (result >= 0) this.#noteRebuilt(segment, found);
      else if (!segment.dropped) this.#noteUnreadable(segment, result);
    }
    if (result >= 0) {
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
    if (errno === -ENOMEM || this.#reported.has(segment.file.path)) return;
    this.#reported.add(segment.file.path);
    this.context.onDamage({
      file: segment.file.path,
      position: 0,
      lost: `Segment cannot be read: errno ${-errno}: offsets ${segment.baseOffset} to ` +
        `${segment.endOffset - 1}`,
      groupId: segment.groupId,
    });
  }

  /** The next checkpoint files the new index; that the old one was damaged is said, since nothing is lost. */
  #noteRebuilt(segment: Segment, errno: number): void {
    segment.settled = false;
    if (errno !== -EIO && errno !== -ENOENT) return;
    this.context.onDamage({
      file: segment.indexFile.path,
      position: 0,
      lost: "Nothing: the index was made anew from its segment",
      groupId: segment.groupId,
    });
  }

  /** Fills a segment's index from its file and its row; a negative errno when they do not fit. */
  *readIndex(segment: Segment): Task<number> {
    const index = segment.index;
    const filed = index.filedCount;
    index.cut(0);
    index.filedCount = filed;
    if (filed > 0) {
      const handle = yield* this.open(segment, true, false);
      if (handle < 0) return handle;
      const result = yield* this.#readIndexBlocks(segment, handle, filed);
      this.files.release(segment.indexFile);
      if (result < 0) return result;
    }
    if (segment.unfiledEntries !== null) unpackEntries(index, segment.unfiledEntries);
    return index.count === segment.entryCount && coversSegment(segment) ? 0 : -EIO;
  }

  *#readIndexBlocks(segment: Segment, handle: number, filed: number): Task<number> {
    const { disk, memory, crc32c } = this.context;
    const blocks = Math.ceil(filed / INDEX_BLOCK_ENTRIES);
    const address = yield* this.allocate(INDEX_BLOCKS_PER_READ * BLOCK_SIZE);
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

/**
 * Batch memory: the chunks that hold extents of segments, and which of them may go.
 *
 * A chunk is one block of the shard's arena that covers an aligned window of a segment file:
 *
 *     window start (4 KiB aligned)          end of the block
 *     | lead | batches of this extent | room |
 *            ^ start                  ^ end
 *
 * The lead repeats the end of the extent before, which shares the first file block: the chunk that writes a block
 * has all of its bytes. States of a chunk:
 *
 *     FREE -> TAIL (being appended to) -> DIRTY (closed, not on disk) -> CLEAN (cache) -> FREE
 *     FREE -> LOADING (cold read) -> CLEAN
 *     TAIL, DIRTY, LOADING -> ORPHAN (grown or cut away while in use) -> FREE
 *
 * Clean unpinned chunks form an LRU list, and are given up when the arena is short: free memory is cache.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import type { Arena } from "../bytes/arena.ts";
import type { Segment } from "./segment.ts";

export const ChunkState = {
  FREE: 0,
  TAIL: 1,
  DIRTY: 2,
  CLEAN: 3,
  LOADING: 4,
  ORPHAN: 5,
} as const;
export type ChunkState = typeof ChunkState[keyof typeof ChunkState];

export class Chunk {
  readonly cache: ChunkCache;
  state: ChunkState = ChunkState.FREE;
  /** Block of the arena, and its size. */
  address = 0;
  blockSize = 0;
  /** File position of the block's first byte; multiple of 4 KiB. */
  windowStart = 0;
  /** File positions of the extent. */
  start = 0;
  end = 0;
  segment: Segment | null = null;
  /** Number of the extent in the segment's index. */
  extent = -1;
  pins = 0;
  /** Next younger dirty chunk of the segment. */
  nextDirty: Chunk | null = null;
  /** A write from it has been handed to the disk; it has completed. */
  submitted = false;
  written = false;
  /** Its last block is written too, with zeros after `end`. */
  padded = false;
  /** Its first block was, or will be, written padded up to here: that write must be over first. */
  waitsFor = 0;
  /** The bytes from this file position on were written before (large batches); -1: none. */
  landedFrom = -1;
  /** Journal write with the record of its last batch: that one must be durable first. */
  recordLsn = 0;
  /** Brought in ahead of its reader: touching it brings in more. */
  readAheadMark = false;
  older: Chunk | null = null;
  younger: Chunk | null = null;

  constructor(cache: ChunkCache) {
    this.cache = cache;
  }

  /** Address of the byte at a file position inside the window. */
  addressOf(position: number): number {
    return this.address + (position - this.windowStart);
  }

  pin(): void {
    if (this.pins++ > 0) return;
    this.cache.pinnedBytes += this.blockSize;
    if (this.state === ChunkState.CLEAN) this.cache.unlink(this);
  }

  unpin(): void {
    assert(this.pins > 0, "chunk unpinned more often than pinned");
    if (--this.pins > 0) return;
    this.cache.pinnedBytes -= this.blockSize;
    if (this.state === ChunkState.CLEAN) this.cache.link(this);
    else if (this.state === ChunkState.ORPHAN) this.cache.free(this);
  }
}

export class ChunkCache {
  readonly arena: Arena;
  /** Bytes of blocks whose content is not on disk (tails included). */
  dirtyBytes = 0;
  /** Bytes of clean blocks, pinned or not. */
  cachedBytes = 0;
  /** Bytes of blocks that somebody reads or sends, each counted once. */
  pinnedBytes = 0;
  hits = 0;
  misses = 0;
  #oldest: Chunk | null = null;
  #youngest: Chunk | null = null;
  #pool: Chunk[] = [];

  constructor(arena: Arena) {
    this.arena = arena;
    arena.onShortage = () => this.#evictOldest();
  }

  /** A chunk with a block of at least `size` bytes, or null when memory is short. */
  take(size: number, state: ChunkState): Chunk | null {
    const address = this.arena.allocate(size);
    if (address < 0) return null;
    const chunk = this.#pool.pop() ?? new Chunk(this);
    chunk.address = address;
    chunk.blockSize = this.arena.blockSize(address);
    chunk.state = state;
    if (state === ChunkState.TAIL) this.dirtyBytes += chunk.blockSize;
    return chunk;
  }

  /** A chunk's bytes are on disk (or were read from it): it is cache now. */
  markClean(chunk: Chunk): void {
    if (chunk.state === ChunkState.DIRTY || chunk.state === ChunkState.TAIL) {
      this.dirtyBytes -= chunk.blockSize;
    }
    chunk.state = ChunkState.CLEAN;
    this.cachedBytes += chunk.blockSize;
    if (chunk.pins === 0) this.link(chunk);
  }

  /** Takes a chunk out of its segment; its memory goes once nobody uses it. */
  drop(chunk: Chunk): void {
    if (chunk.state === ChunkState.CLEAN) {
      this.cachedBytes -= chunk.blockSize;
      if (chunk.pins === 0) this.unlink(chunk);
    } else if (chunk.state === ChunkState.TAIL || chunk.state === ChunkState.DIRTY) {
      this.dirtyBytes -= chunk.blockSize;
    }
    chunk.state = ChunkState.ORPHAN;
    chunk.segment = null;
    chunk.extent = -1;
    if (chunk.pins === 0) this.free(chunk);
  }

  /** Moves a chunk that was just used to the young end. */
  touch(chunk: Chunk): void {
    if (chunk.state !== ChunkState.CLEAN || chunk.pins > 0 || this.#youngest === chunk) return;
    this.unlink(chunk);
    this.link(chunk);
  }

  /** Gives up clean chunks until `bytes` could be allocated. */
  reclaim(bytes: number): boolean {
    const address = this.arena.allocate(bytes);
    if (address < 0) return false;
    this.arena.release(address);
    return true;
  }

  /** @internal Called by chunks. */
  link(chunk: Chunk): void {
    chunk.older = this.#youngest;
    chunk.younger = null;
    if (this.#youngest === null) this.#oldest = chunk;
    else this.#youngest.younger = chunk;
    this.#youngest = chunk;
  }

  /** @internal Called by chunks. */
  unlink(chunk: Chunk): void {
    if (chunk.older === null) this.#oldest = chunk.younger;
    else chunk.older.younger = chunk.younger;
    if (chunk.younger === null) this.#youngest = chunk.older;
    else chunk.younger.older = chunk.older;
    chunk.older = null;
    chunk.younger = null;
  }

  /** @internal Called by chunks. */
  free(chunk: Chunk): void {
    this.arena.release(chunk.address);
    chunk.state = ChunkState.FREE;
    chunk.segment = null;
    chunk.extent = -1;
    chunk.nextDirty = null;
    chunk.submitted = false;
    chunk.written = false;
    chunk.padded = false;
    chunk.waitsFor = 0;
    chunk.landedFrom = -1;
    chunk.recordLsn = 0;
    chunk.readAheadMark = false;
    this.#pool.push(chunk);
  }

  #evictOldest(): boolean {
    const chunk = this.#oldest;
    if (chunk === null) return false;
    chunk.segment!.forgetChunk(chunk);
    this.drop(chunk);
    return true;
  }
}

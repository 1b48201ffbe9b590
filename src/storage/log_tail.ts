/**
 * The chunk at a log's end, into which batches are copied: where it begins, and how it grows.
 *
 * An extent ends where the next batch would make it larger than {@linkcode EXTENT_WINDOW_MAX}. Logs that
 * get little keep small chunks: 4, 16, then 64 KiB, or a larger batch's own size.
 *
 * @module
 */

import { BLOCK_SIZE } from "../io/disk.ts";
import { type Chunk, ChunkState } from "./chunk_cache.ts";
import { EXTENT_WINDOW_MAX, type LogParts } from "./log_parts.ts";
import type { Segment } from "./segment.ts";

/** Sizes through which a tail chunk grows, before {@linkcode EXTENT_WINDOW_MAX} (bytes). */
const CHUNK_SMALL = 4 * 1024;
const CHUNK_MIDDLE = 16 * 1024;

/** The chunk with room for `length` bytes at the segment's end, or null when memory is short. */
export function tailFor(parts: LogParts, segment: Segment, length: number): Chunk | null {
  const tail = segment.tail;
  const position = segment.sizeBytes;
  if (tail !== null) {
    const joins = fits(tail, position, length);
    if (joins && position + length <= tail.windowStart + tail.blockSize) return tail;
    if (joins) return grow(parts, segment, tail, length);
  }
  return begin(parts, segment, length);
}

function begin(parts: LogParts, segment: Segment, length: number): Chunk | null {
  const { cache, context, writer } = parts;
  const position = segment.sizeBytes;
  const lead = position % BLOCK_SIZE;
  const size = tailBlockSize(lead + length);
  if (cache.dirtyBytes + size > parts.dirtyBytesMax) return null;
  const previous = lead === 0 ? null : segment.index.chunks[segment.index.count - 1] ?? null;
  // It was there when the segment was found ready; the journal's buffer may have grown into its memory since.
  if (lead > 0 && previous === null) return null;
  previous?.pin();
  const chunk = cache.take(size, ChunkState.TAIL);
  if (chunk !== null) {
    chunk.segment = segment;
    chunk.windowStart = position - lead;
    chunk.start = position;
    chunk.end = position;
    if (previous !== null) {
      const from = previous.addressOf(position - lead);
      context.memory.bytes.copyWithin(chunk.address, from, from + lead);
    }
    writer.closeTail(segment, false);
    segment.tail = chunk;
  }
  previous?.unpin();
  return chunk;
}

/** Moves the tail into a larger block; readers of the old one keep it until they are done. */
function grow(parts: LogParts, segment: Segment, tail: Chunk, length: number): Chunk | null {
  const { cache, context } = parts;
  const used = tail.end - tail.windowStart;
  const size = tailBlockSize(used + length);
  if (cache.dirtyBytes + size > parts.dirtyBytesMax) return null;
  const chunk = cache.take(size, ChunkState.TAIL);
  if (chunk === null) return null;
  context.memory.bytes.copyWithin(chunk.address, tail.address, tail.address + used);
  chunk.segment = segment;
  chunk.windowStart = tail.windowStart;
  chunk.start = tail.start;
  chunk.end = tail.end;
  chunk.extent = tail.extent;
  chunk.recordLsn = tail.recordLsn;
  segment.tail = chunk;
  if (chunk.extent >= 0) segment.index.chunks[chunk.extent] = chunk;
  cache.drop(tail);
  return chunk;
}

/** Whether a batch may join the extent that the tail holds; one without an extent takes any. */
function fits(tail: Chunk, position: number, length: number): boolean {
  return tail.extent < 0 || position + length <= tail.windowStart + EXTENT_WINDOW_MAX;
}

/** Size of a chunk's block for this many bytes: 4, 16 or 64 KiB, or the batch's own. */
function tailBlockSize(bytes: number): number {
  if (bytes <= CHUNK_SMALL) return CHUNK_SMALL;
  if (bytes <= CHUNK_MIDDLE) return CHUNK_MIDDLE;
  return Math.max(bytes, EXTENT_WINDOW_MAX);
}

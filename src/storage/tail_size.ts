/**
 * How large the chunk at a log's end is, and when its extent is full.
 *
 * @module
 */

import type { Chunk } from "./chunk_cache.ts";
import { EXTENT_WINDOW_MAX } from "./log_parts.ts";

/** Sizes through which a tail chunk grows, before {@linkcode EXTENT_WINDOW_MAX} (bytes). */
const CHUNK_SMALL = 4 * 1024;
const CHUNK_MIDDLE = 16 * 1024;

/** Whether a batch may join the extent that the tail holds. */
export function fits(tail: Chunk, position: number, length: number): boolean {
  return tail.extent < 0 || position + length <= tail.windowStart + EXTENT_WINDOW_MAX;
}

/** Size of a chunk's block for so many bytes: 4, 16 or 64 KiB, or the batch's own. */
export function tailBlockSize(bytes: number): number {
  if (bytes <= CHUNK_SMALL) return CHUNK_SMALL;
  if (bytes <= CHUNK_MIDDLE) return CHUNK_MIDDLE;
  return Math.max(bytes, EXTENT_WINDOW_MAX);
}

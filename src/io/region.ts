/**
 * The process's memory region, mapped by the shim (see `src/bytes/memory.ts` for what it is).
 *
 * The main thread maps it once; every shard then wraps the same bytes. A view of it must never be
 * transferred or detached, and the region is never unmapped.
 *
 * @module
 */

import { type Memory, wrapMemory } from "../bytes/memory.ts";
import { EEXIST } from "./errno.ts";
import type { Shim } from "./shim.ts";

/** What {@linkcode mapRegion} asks of the kernel. */
export interface RegionOptions {
  /** Keep the pages in memory: never swapped, never faulted in again. */
  lock?: boolean;
  /** Touch all pages now. */
  populate?: boolean;
  /** Ask for huge pages. */
  huge?: boolean;
}

const LOCK = 1;
const POPULATE = 2;
const HUGE = 4;

/**
 * Maps the region; in a process that has one of at least `sizeBytes`, that one serves.
 *
 * @param sizeBytes a multiple of 4096
 * @returns 0, or a negative errno: -EEXIST (a smaller one is mapped), -ENOMEM or -EPERM (may not lock
 * that much), -EINVAL
 */
export function mapRegion(shim: Shim, sizeBytes: number, options: RegionOptions = {}): number {
  const flags = (options.lock ? LOCK : 0) | (options.populate ? POPULATE : 0) |
    (options.huge ? HUGE : 0);
  const result = shim.gregor_region_map(sizeBytes, flags);
  if (result === -EEXIST && shim.gregor_region_size() >= sizeBytes) return 0;
  return result;
}

/** Wraps the mapped region for this thread; call it once a thread. */
export function wrapRegion(shim: Shim): Memory {
  const pointer = shim.gregor_region_pointer();
  if (pointer === null) throw new TypeError("Cannot wrap the memory region: it is not mapped");
  const sizeBytes = shim.gregor_region_size();
  return wrapMemory(Deno.UnsafePointerView.getArrayBuffer(pointer, sizeBytes));
}

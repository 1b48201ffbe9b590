/**
 * The bytes of an index file (docs/formats/index.md): blocks of entries, each valid by itself.
 *
 *     block (4096 bytes, little-endian)             entry (32 bytes)
 *      0 u32 CRC-32C of bytes 4..4095                0 i64 base offset
 *      4 u32 magic "GIX1"                            8 i64 largest timestamp
 *      8 u32 number of the block                    16 u32 position
 *     12 u32 entries in it                          20 u32 length
 *     16 i64 group id                               24 u32 checksum of the extent
 *     24 i64 generation of the segment              28 u32 zero
 *     32 entries (127 at most)
 *
 * Only full blocks are written while a segment grows (the entries after them are in the checkpoint row),
 * and the last one when it is closed: no block is ever rewritten with other entries before it.
 *
 * @module
 */

import { getInt64Le, setInt64Le } from "../bytes/int64.ts";
import type { Crc32c } from "../bytes/crc32c.ts";
import type { Memory } from "../bytes/memory.ts";
import { BLOCK_SIZE } from "../io/disk.ts";
import type { ExtentIndex } from "./extent_index.ts";
import type { Segment } from "./segment.ts";

const MAGIC = 0x31584947;
const HEADER_SIZE = 32;
const ENTRY_SIZE = 32;
/** Entries of a full block. */
export const INDEX_BLOCK_ENTRIES = (BLOCK_SIZE - HEADER_SIZE) / ENTRY_SIZE;

/** Numbers of one entry outside of a block; see {@linkcode packEntries}. */
export const PACKED_ENTRY_CELLS = 5;

/** Fills the block at `address` with `count` entries from number `first` on; returns `count`. */
export function encodeIndexBlock(
  memory: Memory,
  crc32c: Crc32c,
  address: number,
  segment: Segment,
  first: number,
  count: number,
): number {
  const { view, bytes } = memory;
  const index = segment.index;
  bytes.fill(0, address, address + BLOCK_SIZE);
  view.setUint32(address + 4, MAGIC, true);
  view.setUint32(address + 8, first / INDEX_BLOCK_ENTRIES, true);
  view.setUint32(address + 12, count, true);
  setInt64Le(view, address + 16, segment.groupId);
  setInt64Le(view, address + 24, segment.generation);
  for (let i = 0; i < count; i++) {
    const at = address + HEADER_SIZE + i * ENTRY_SIZE;
    setInt64Le(view, at, index.baseOffsets[first + i]!);
    setInt64Le(view, at + 8, index.maxTimestamps[first + i]!);
    view.setUint32(at + 16, index.positions[first + i]!, true);
    view.setUint32(at + 20, index.lengths[first + i]!, true);
    view.setUint32(at + 24, index.checksums[first + i]!, true);
  }
  view.setUint32(address, crc32c(address + 4, BLOCK_SIZE - 4, 0), true);
  return count;
}

/**
 * Adds the entries of the block at `address` to the segment's index.
 *
 * @returns false when the block is not what it should be: number `block` of this segment, `count` entries
 */
export function decodeIndexBlock(
  memory: Memory,
  crc32c: Crc32c,
  address: number,
  segment: Segment,
  block: number,
  count: number,
): boolean {
  const { view } = memory;
  if (view.getUint32(address, true) !== crc32c(address + 4, BLOCK_SIZE - 4, 0)) return false;
  if (view.getUint32(address + 4, true) !== MAGIC) return false;
  if (view.getUint32(address + 8, true) !== block) return false;
  if (view.getUint32(address + 12, true) < count) return false;
  if (getInt64Le(view, address + 16) !== segment.groupId) return false;
  if (getInt64Le(view, address + 24) !== segment.generation) return false;
  for (let i = 0; i < count; i++) {
    const at = address + HEADER_SIZE + i * ENTRY_SIZE;
    const entry = segment.index.add(getInt64Le(view, at), view.getUint32(at + 16, true));
    segment.index.maxTimestamps[entry] = getInt64Le(view, at + 8);
    segment.index.lengths[entry] = view.getUint32(at + 20, true);
    segment.index.checksums[entry] = view.getUint32(at + 24, true);
  }
  return true;
}

/** Entries from number `first` on as plain numbers, for a checkpoint row. */
export function packEntries(
  index: ExtentIndex,
  first: number,
  end: number,
): Float64Array<ArrayBuffer> {
  const count = end - first;
  const cells = new Float64Array(count * PACKED_ENTRY_CELLS);
  for (let i = 0; i < count; i++) {
    const at = i * PACKED_ENTRY_CELLS;
    cells[at] = index.baseOffsets[first + i]!;
    cells[at + 1] = index.maxTimestamps[first + i]!;
    cells[at + 2] = index.positions[first + i]!;
    cells[at + 3] = index.lengths[first + i]!;
    cells[at + 4] = index.checksums[first + i]!;
  }
  return cells;
}

/** Adds packed entries to an index. */
export function unpackEntries(index: ExtentIndex, cells: Float64Array): void {
  for (let at = 0; at < cells.length; at += PACKED_ENTRY_CELLS) {
    const entry = index.add(cells[at]!, cells[at + 2]!);
    index.maxTimestamps[entry] = cells[at + 1]!;
    index.lengths[entry] = cells[at + 3]!;
    index.checksums[entry] = cells[at + 4]!;
  }
}

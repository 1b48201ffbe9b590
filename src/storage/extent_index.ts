/**
 * The index of one segment, in memory: its extents in order.
 *
 * An extent is a run of whole batches, at most 64 KiB with what shares its first block (or one larger
 * batch): the unit of cold reads, and of the checksum that covers what Kafka's own does not (length,
 * offset, epoch, and that the bytes belong to this group and position). Columns are typed arrays,
 * because there is an entry per 64 KiB of data. The last entry grows while it is open; its checksum is
 * set when it is closed. File format: docs/formats/index.md.
 *
 * @module
 */

import type { Chunk } from "./chunk_cache.ts";
import type { Segment } from "./segment.ts";

const ENTRIES_AT_START = 4;

export class ExtentIndex {
  count = 0;
  /** Leading entries that the index file holds, in whole blocks. */
  filedCount = 0;
  /** Counts calls of {@linkcode ExtentIndex.cut}: entries written before one are not to be trusted. */
  cuts = 0;
  /** Offset of the extent's first record. */
  baseOffsets = new Float64Array(ENTRIES_AT_START);
  maxTimestamps = new Float64Array(ENTRIES_AT_START);
  /** File position of the extent's first byte. */
  positions = new Float64Array(ENTRIES_AT_START);
  lengths = new Float64Array(ENTRIES_AT_START);
  checksums = new Uint32Array(ENTRIES_AT_START);
  /** The chunk that holds each extent, or null. */
  readonly chunks: (Chunk | null)[] = [];

  /** Adds an extent; returns its number. */
  add(baseOffset: number, position: number): number {
    const at = this.count++;
    if (at === this.baseOffsets.length) this.#grow();
    this.baseOffsets[at] = baseOffset;
    this.maxTimestamps[at] = -1;
    this.positions[at] = position;
    this.lengths[at] = 0;
    this.checksums[at] = 0;
    this.chunks[at] = null;
    return at;
  }

  /** Number of the extent that holds `offset`: the last one that begins at or before it, or -1. */
  findOffset(offset: number): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.baseOffsets[middle]! <= offset) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** Forgets entries from number `count` on. */
  cut(count: number): void {
    this.cuts++;
    this.count = count;
    this.chunks.length = count;
    if (this.filedCount > count) this.filedCount = count;
  }

  #grow(): void {
    const size = this.baseOffsets.length * 2;
    this.baseOffsets = grown(this.baseOffsets, size);
    this.maxTimestamps = grown(this.maxTimestamps, size);
    this.positions = grown(this.positions, size);
    this.lengths = grown(this.lengths, size);
    const checksums = new Uint32Array(size);
    checksums.set(this.checksums);
    this.checksums = checksums;
  }
}

function grown(column: Float64Array<ArrayBuffer>, size: number): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(size);
  larger.set(column);
  return larger;
}

/** Offset after the last record of an extent. */
export function extentEnd(segment: Segment, extent: number): number {
  const index = segment.index;
  return extent + 1 < index.count ? index.baseOffsets[extent + 1]! : segment.endOffset;
}

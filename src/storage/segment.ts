/**
 * One segment file of a log, in memory: where it begins and ends, which part of it is on disk, its chunks.
 *
 * A segment holds Kafka batches verbatim, back to back from position 0 (docs/formats/segment.md). Its
 * authority is the checkpoint row and the journal: bytes in the file beyond `sizeBytes` are garbage.
 *
 *     0            writtenPosition        sizeBytes       reservedEnd
 *     | on disk    | closed, dirty | tail | room reserved |
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import type { Chunk } from "./chunk_cache.ts";
import { ExtentIndex } from "./extent_index.ts";
import type { FileSlot } from "./file_table.ts";

/** Blocks that hold a large batch, and the number of its record in the group. */
export interface Landing {
  readonly sequence: number;
  readonly from: number;
  readonly to: number;
}

/** One extent or several that damage took, and that somebody has given up: reads go past them. */
export interface LostExtent {
  /** Its offsets, the second one exclusive. */
  readonly baseOffset: number;
  readonly endOffset: number;
  /** Its place in the file, the second one exclusive. */
  readonly position: number;
  readonly endPosition: number;
}

export class Segment {
  readonly groupId: number;
  readonly baseOffset: number;
  /** Index of the first entry that it holds. */
  readonly baseIndex: number;
  readonly term: number;
  /** Counts the files of a log: no name is ever used twice. */
  readonly generation: number;
  /** The data file and the index file, through the descriptor table. */
  readonly file: FileSlot;
  readonly indexFile: FileSlot;

  endOffset: number;
  sizeBytes = 0;
  maxTimestampMs = -1;
  /** Base offset of the batch with the largest timestamp. */
  maxTimestampOffset = -1;
  /** Wall clock of the first append; 0 while empty. */
  createdMs = 0;
  /** No more appends: a younger segment follows. */
  closed = false;
  /** The file was created, or is known to exist. */
  created = false;
  /** The name is known to be durable; only large batches depend on it. */
  nameSynced = false;
  /** File space up to here is reserved and cannot meet ENOSPC. */
  reservedEnd = 0;
  /** Every byte before it has been written (not necessarily synced). */
  writtenPosition = 0;
  /** What the checkpoint under way waits for; a cut lowers it. */
  capturedBytes = 0;
  /** Cut or retired: pending readers and writers stop caring. */
  dropped = false;

  /** Extents; columns of a segment found at start are filled on first use. */
  readonly index = new ExtentIndex();
  indexLoaded = true;
  /** Entries that the index has, also while it is not loaded. */
  entryCount = 0;
  /** Entries after the filed ones, as the checkpoint row has them, until the index is loaded. */
  unfiledEntries: Float64Array<ArrayBuffer> | null = null;
  /** A preparation for appends is under way. */
  preparing = false;
  /** Written by compaction: other replicas may have other bytes for the same offsets. */
  compacted = false;
  /** Closed, written, indexed, and part of a checkpoint since: nothing is left to do. */
  settled = false;

  /** The open extent, and the oldest of the chunks that are not on disk. */
  tail: Chunk | null = null;
  dirtyHead: Chunk | null = null;
  dirtyTail: Chunk | null = null;
  writesInFlight = 0;
  /** Where the last extent ends whose last block is written padded. */
  paddedEnd = 0;
  /** Last entries of the index whose batch is not recorded yet (0 or 1). */
  unrecordedEntries = 0;
  /** While a journal is replayed: where large batches lie whose records are still to come, or null. */
  landings: Landing[] | null = null;
  /** From this file position on, batch boundaries are unknown, and the extent that begins there is damage. */
  damagedFrom = Infinity;
  /** Some of its bytes were found to be wrong, or its file to be gone. */
  damaged = false;
  /** Nothing may be written to the file: a cut is being made durable. */
  frozen = false;
  /** Lost extents, in the order in which they were given up; null: none. */
  lost: LostExtent[] | null = null;

  constructor(
    groupId: number,
    baseOffset: number,
    baseIndex: number,
    term: number,
    generation: number,
    file: FileSlot,
    indexFile: FileSlot,
  ) {
    this.groupId = groupId;
    this.baseOffset = baseOffset;
    this.baseIndex = baseIndex;
    this.term = term;
    this.generation = generation;
    this.file = file;
    this.indexFile = indexFile;
    this.endOffset = baseOffset;
  }

  /** Gives up extents `from` to `to`; they are part of the row from the next checkpoint on. */
  lose(from: number, to: number): LostExtent {
    const { baseOffsets, positions, lengths, count } = this.index;
    const lost = {
      baseOffset: baseOffsets[from]!,
      endOffset: to + 1 < count ? baseOffsets[to + 1]! : this.endOffset,
      position: positions[from]!,
      endPosition: positions[to]! + lengths[to]!,
    };
    this.lost ??= [];
    this.lost.push(lost);
    return lost;
  }

  /** The lost extent that holds the byte at `position`, or null. */
  lostAt(position: number): LostExtent | null {
    const { lost } = this;
    if (lost === null) return null;
    return lost.find((one) => one.position <= position && position < one.endPosition) ?? null;
  }

  /**
   * Whether the last extent is what an earlier life could not tell apart, and nobody gave up: it has no checksum. A
   * device that did not answer then may answer now.
   */
  get endsUntold(): boolean {
    const { checksums, count, positions } = this.index;
    return count > 0 && checksums[count - 1] === 0 && this.lostAt(positions[count - 1]!) === null;
  }

  /** Called when a cached chunk is given up. */
  forgetChunk(chunk: Chunk): void {
    assert(this.index.chunks[chunk.extent] === chunk, "evicted chunk is not in its index");
    this.index.chunks[chunk.extent] = null;
  }

  /** Takes the largest timestamp from the index again, which must be loaded. */
  recountTimestamps(): void {
    const { baseOffsets, count, maxTimestamps } = this.index;
    this.maxTimestampMs = -1;
    this.maxTimestampOffset = -1;
    for (let i = 0; i < count; i++) {
      if (maxTimestamps[i]! <= this.maxTimestampMs) continue;
      this.maxTimestampMs = maxTimestamps[i]!;
      this.maxTimestampOffset = baseOffsets[i]!;
    }
  }

  /** Appends a closed chunk to the list of chunks to write. */
  pushDirty(chunk: Chunk): void {
    chunk.nextDirty = null;
    if (this.dirtyTail === null) this.dirtyHead = chunk;
    else this.dirtyTail.nextDirty = chunk;
    this.dirtyTail = chunk;
  }

  /** Takes the oldest dirty chunk off the list. */
  shiftDirty(): void {
    const chunk = this.dirtyHead!;
    this.dirtyHead = chunk.nextDirty;
    if (this.dirtyHead === null) this.dirtyTail = null;
    chunk.nextDirty = null;
  }
}

/** Name of a segment's data file in the log's directory. */
export function segmentFileName(
  baseOffset: number,
  baseIndex: number,
  term: number,
  generation: number,
): string {
  return `${String(baseOffset).padStart(20, "0")}-${baseIndex}-${term}-${generation}.log`;
}

/** Name of the index file beside a data file. */
export function indexPathOf(segmentPath: string): string {
  return segmentPath.slice(0, -".log".length) + ".index";
}

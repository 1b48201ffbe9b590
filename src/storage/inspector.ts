/**
 * Reads extents that nobody asks for, one at a time, to find damage while other nodes have the records.
 *
 * Where nobody reads old records, damage would be met when the last good copy is gone. What is in memory is passed by: it was
 * checked when it was read, or is not on the disk yet. What is read here leaves nothing behind: neither the extent,
 * nor the index of a segment that was not in memory before, which is read into a copy of the segment. Where that index turns
 * out to be damaged, the segment itself gets the one that is made anew, and the next checkpoint writes it.
 *
 * @module
 */

import type { Task } from "../io/task.ts";
import { ChunkState } from "./chunk_cache.ts";
import type { LogParts } from "./log_parts.ts";
import type { PartitionLog } from "./partition_log.ts";
import { Segment } from "./segment.ts";
import { INDEX_READ_BYTES, type MemoryLack } from "./segment_loader.ts";

/** Extents in memory, and logs without any to read, that are passed by at once. */
const PASSED_MAX = 64;

/** A segment whose index is not in memory, and the copy that is read in its place. */
interface Copied {
  readonly segment: Segment;
  readonly cuts: number;
  readonly copy: Segment;
}

export class Inspector {
  readonly #parts: LogParts;
  readonly #logs: ReadonlyMap<number, PartitionLog>;
  /** Groups of this round that are still to be read, the last one first; its next offset. */
  readonly #groups: number[] = [];
  #offset = 0;
  /** How often another group has come first. */
  #rounds = 0;
  #copied: Copied | null = null;

  constructor(parts: LogParts, logs: ReadonlyMap<number, PartitionLog>) {
    this.#parts = parts;
    this.#logs = logs;
  }

  /** Begins with the first extent of the first of these groups. */
  begin(groups: Iterable<number>): void {
    this.#groups.length = 0;
    for (const groupId of groups) this.#groups.push(groupId);
    this.#offset = 0;
  }

  /** Goes on with this group, from its first extent on, and with the others when it has been read. */
  first(groupId: number): void {
    const at = this.#groups.indexOf(groupId);
    if (at >= 0) this.#groups.splice(at, 1);
    this.#groups.push(groupId);
    this.#offset = 0;
    this.#rounds++;
  }

  /** The group that is being read; -1: none. */
  get groupId(): number {
    return this.#groups.at(-1) ?? -1;
  }

  /**
   * Reads the next extent. Damage is reported as by any other read.
   *
   * @returns the bytes that were read, 0: none yet; -1: all groups have been read
   */
  *next(): Task<number> {
    for (let passed = 0; passed < PASSED_MAX; passed++) {
      const groupId = this.#groups.at(-1);
      if (groupId === undefined) return -1;
      const log = this.#logs.get(groupId);
      const from = Math.max(this.#offset, log?.startOffset ?? 0);
      const segment = log === undefined || from >= log.endOffset
        ? null
        : log.reader.segmentOf(from);
      if (segment === null || from >= segment.endOffset) {
        this.#groups.pop();
        this.#offset = 0;
        continue;
      }
      const bytes = yield* this.#read(segment, from);
      if (bytes !== 0) return Math.max(0, bytes);
    }
    return 0;
  }

  /** Bytes of the extent that holds `from`; 0: it was passed by; negative: there is no memory now. */
  *#read(segment: Segment, from: number): Task<number> {
    const { cache, loader } = this.#parts;
    const source = segment.indexLoaded ? segment : this.#copyOf(segment);
    if (!source.indexLoaded && !cache.reclaim(INDEX_READ_BYTES)) return -1;
    const round = this.#rounds;
    if ((yield* loader.loadIndex(source)) < 0) {
      this.#goOn(round, segment.endOffset);
      return 0;
    }
    // Its file may be on its way out.
    if (segment.dropped) return 0;
    if (source !== segment && source.index.filedCount < segment.index.filedCount) {
      // The copy's was made anew. This reads the segment once more, but not in each round.
      const loaded = yield* loader.loadIndex(segment);
      this.#endCopy();
      if (loaded < 0) this.#goOn(round, segment.endOffset);
      return 0;
    }
    const { index } = source;
    const extent = index.findOffset(from);
    if (extent < 0) {
      this.#goOn(round, segment.endOffset);
      return 0;
    }
    const nextOffset = extent + 1 < index.count
      ? index.baseOffsets[extent + 1]!
      : segment.endOffset;
    let bytes = 0;
    if ((index.chunks[extent] ?? null) === null) {
      const lack: MemoryLack = { lacksMemory: false };
      const chunk = yield* loader.load(source, extent, lack);
      if (lack.lacksMemory) return -1;
      bytes = index.lengths[extent] ?? 0;
      chunk?.unpin();
      // Unless somebody else has asked for it meanwhile.
      if (chunk?.state === ChunkState.CLEAN && chunk.pins === 0) {
        source.forgetChunk(chunk);
        cache.drop(chunk);
      }
    }
    this.#goOn(round, Math.max(nextOffset, from + 1));
    if (nextOffset >= segment.endOffset) this.#endCopy();
    return bytes;
  }

  /** Goes on at `offset`, unless another group has come first meanwhile. */
  #goOn(round: number, offset: number): void {
    if (round === this.#rounds) this.#offset = offset;
  }

  #copyOf(segment: Segment): Segment {
    const { cuts } = segment.index;
    const copied = this.#copied;
    const isSame = copied?.segment === segment && copied.cuts === cuts &&
      copied.copy.sizeBytes === segment.sizeBytes;
    if (isSame) return copied.copy;
    this.#endCopy();
    const { groupId, baseOffset, baseIndex, term, generation, file, indexFile } = segment;
    const copy = new Segment(groupId, baseOffset, baseIndex, term, generation, file, indexFile);
    copy.endOffset = segment.endOffset;
    copy.sizeBytes = segment.sizeBytes;
    copy.maxTimestampMs = segment.maxTimestampMs;
    copy.lost = segment.lost;
    copy.closed = true;
    copy.indexLoaded = false;
    copy.entryCount = segment.entryCount;
    copy.index.filedCount = segment.index.filedCount;
    copy.unfiledEntries = segment.unfiledEntries;
    this.#copied = { segment, cuts, copy };
    return copy;
  }

  #endCopy(): void {
    if (this.#copied !== null) this.#parts.writer.forget(this.#copied.copy);
    this.#copied = null;
  }
}

/**
 * Where the journal's writes lie, and which blocks may be overwritten.
 *
 * The extents form one ring of blocks. Positions count up for ever (`head`, `tail`); modulo the ring's
 * size they are places. A write lies within one extent: where it does not fit into what is left of the
 * current one, the rest is skipped (readers go by LSN, not by place, so nothing marks the gap).
 *
 * ```
 *   extent 0          extent 1          extent 2
 *   ├──────────────┬──┼──────────────┬──┼─────────────────┤
 *      free  tail ▲  writes ...   skip  writes ▲ head  free
 * ```
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import { BLOCK_SIZE } from "../io/disk.ts";

/** A prewritten file of the ring, open. */
export interface JournalExtent {
  readonly handle: number;
  /** For messages. */
  readonly path: string;
  /** A multiple of the block (bytes). */
  readonly sizeBytes: number;
}

/** One block in this many is not for what clients append (5 %); the last half of that is for what must not wait. */
const RESERVED_BLOCK_RATIO = 20;
/** But never fewer than these. */
const RESERVED_BLOCKS_MIN = 2;

/** How far into the ring a record may go when no checkpoint can make room, because the disk is full. */
export const JournalRoom = {
  /** What clients append. */
  ORDINARY: 0,
  /**
   * What a full disk is freed by: entries of the broker's own, as a move of the log start is one, and what may come before
   * it in a log; a log that begins anew; the reference to a large batch, behind which they wait.
   */
  FREEING: 1,
  /** What must not wait: HARD, TRUNCATE, PREFIX, DELETE, SEAL. */
  URGENT: 2,
} as const;
export type JournalRoom = typeof JournalRoom[keyof typeof JournalRoom];

export class JournalRing {
  readonly extents: readonly JournalExtent[];
  /** Blocks of the whole ring. */
  readonly blockCount: number;
  /** Blocks of the smallest extent: no write may have more. */
  readonly writeBlocksMax: number;
  /** Blocks at the end that are not for ordinary records, and those of them that are for urgent ones only. */
  readonly reservedBlocks: number;
  readonly urgentBlocks: number;
  /** First LSN that is not released. */
  oldestLsn: number;
  /** LSN of the next write. */
  nextLsn: number;
  #head = 0;
  #tail = 0;
  #headExtent = 0;
  #headInExtent = 0;
  // Position after each live write, by LSN modulo its length: a live write has at least one block.
  #ends: Float64Array;

  constructor(extents: readonly JournalExtent[], firstLsn: number) {
    assert(extents.length > 0, "a journal needs an extent");
    let blocks = 0;
    let smallest = Infinity;
    for (const extent of extents) {
      assert(extent.sizeBytes > 0 && extent.sizeBytes % BLOCK_SIZE === 0, "extent is not aligned");
      blocks += extent.sizeBytes / BLOCK_SIZE;
      smallest = Math.min(smallest, extent.sizeBytes / BLOCK_SIZE);
    }
    this.extents = extents;
    this.blockCount = blocks;
    this.writeBlocksMax = smallest;
    this.reservedBlocks = Math.max(RESERVED_BLOCKS_MIN, Math.ceil(blocks / RESERVED_BLOCK_RATIO));
    this.urgentBlocks = Math.floor(this.reservedBlocks / 2);
    assert(this.reservedBlocks < blocks, "journal is too small");
    this.oldestLsn = firstLsn;
    this.nextLsn = firstLsn;
    this.#ends = new Float64Array(blocks);
  }

  /** Blocks between the oldest write that is not released and the newest, with skipped ones. */
  get usedBlocks(): number {
    return this.#head - this.#tail;
  }

  /** Whether a write of `blockCount` would fit into what such records may use. */
  fits(blockCount: number, room: JournalRoom): boolean {
    if (blockCount > this.writeBlocksMax) return false;
    const end = this.#head + this.#skipFor(blockCount) + blockCount;
    let kept = 0;
    if (room === JournalRoom.ORDINARY) kept = this.reservedBlocks;
    else if (room === JournalRoom.FREEING) kept = this.urgentBlocks;
    return end - this.#tail <= this.blockCount - kept;
  }

  /** Takes the blocks of the next write, and returns the place of its first in the ring. */
  take(blockCount: number): number {
    assert(this.fits(blockCount, JournalRoom.URGENT), "journal write does not fit into the ring");
    const start = this.#head + this.#skipFor(blockCount);
    if (blockCount > this.#blocksLeft()) this.#enterNextExtent();
    this.#head = start + blockCount;
    this.#headInExtent += blockCount;
    this.#ends[this.nextLsn % this.#ends.length] = this.#head;
    this.nextLsn++;
    return start % this.blockCount;
  }

  /** Extent of the write taken last. */
  get lastExtent(): JournalExtent {
    return this.extents[this.#headExtent]!;
  }

  /** Where in its extent the write taken last starts (bytes), given its blocks. */
  lastPosition(blockCount: number): number {
    return (this.#headInExtent - blockCount) * BLOCK_SIZE;
  }

  /** Frees the blocks of every write up to `lsn`. */
  release(lsn: number): void {
    if (lsn < this.oldestLsn) return;
    assert(lsn < this.nextLsn, "released a write that was never made");
    this.#tail = this.#ends[lsn % this.#ends.length]!;
    this.oldestLsn = lsn + 1;
  }

  /** Blocks written after `lsn`. */
  blocksSince(lsn: number): number {
    if (lsn < this.oldestLsn) return this.usedBlocks;
    if (lsn >= this.nextLsn) return 0;
    return this.#head - this.#ends[lsn % this.#ends.length]!;
  }

  /** The newest LSN that lies whole within the oldest `blocks` in use; `oldestLsn - 1` if none does. */
  lsnWithinOldest(blocks: number): number {
    const limit = this.#tail + blocks;
    let low = this.oldestLsn - 1;
    let high = this.nextLsn - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.#ends[middle % this.#ends.length]! <= limit) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #skipFor(blockCount: number): number {
    const left = this.#blocksLeft();
    return blockCount <= left ? 0 : left;
  }

  /** Blocks left in the current extent; a write that fills it leaves zero until the next one. */
  #blocksLeft(): number {
    return this.extents[this.#headExtent]!.sizeBytes / BLOCK_SIZE - this.#headInExtent;
  }

  #enterNextExtent(): void {
    this.#headExtent = (this.#headExtent + 1) % this.extents.length;
    this.#headInExtent = 0;
  }
}

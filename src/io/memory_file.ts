/**
 * One file of the simulator's disk: its durable contents, and those that only the cache has.
 *
 * ```
 *   write ──► current ──(sync, or a durable write)──► durable
 *                │
 *                └── pending: every change since, in order; a crash keeps, loses or tears each
 * ```
 *
 * A crash decides for each pending write: kept whole, lost whole, torn (each 512-byte sector is kept or
 * lost by itself, in rare cases cut in its middle), or one of these for each of its blocks. A pending
 * change of size, and space that was reserved since the last sync, is kept or lost. A *rough* crash leaves
 * garbage in sectors of torn blocks, and some of these blocks cannot be read until they are written again.
 *
 * @module
 */

import type { Random } from "../base/prng.ts";
import { BLOCK_SIZE } from "./disk.ts";
import { EIO } from "./errno.ts";

/** Unit in which a disk writes atomically, as a rule (bytes). */
export const SECTOR_SIZE = 512;
const SECTORS_PER_BLOCK = BLOCK_SIZE / SECTOR_SIZE;
/** One torn sector in this many is cut in its middle. */
const CUT_SECTOR_ODDS = 16;
/** In a rough crash one torn block in this many has a sector of garbage, or cannot be read. */
const GARBAGE_ODDS = 2;
const UNREADABLE_ODDS = 6;
const RESIZE = -1;
/** What a crash does to a write; by block: one of the other fates for each block of it. */
const FATE_KEPT = 0;
const FATE_TORN = 2;
const FATE_BY_BLOCK = 3;
const FATES = 4;

/** What a power cut may do besides keeping, losing and tearing. */
export interface Roughness {
  /** Sectors of torn blocks hold bytes that nobody wrote. */
  readonly garbage?: boolean;
  /** Torn blocks fail to be read. */
  readonly unreadable?: boolean;
  /** The device's sectors are as large as blocks: a torn one holds nothing but garbage. */
  readonly wholeBlocks?: boolean;
}

/** Space that was reserved and that no sync has covered. */
interface PendingSpace {
  readonly blocks: readonly number[];
  readonly stamp: number;
}

/** A block that the last power cut lost: a device may have written it to another place. */
export interface StrayBlock {
  readonly block: number;
  readonly bytes: Uint8Array;
}

/** A change that no sync has covered: one block's new bytes, or (block -1) a new size. */
interface PendingChange {
  block: number;
  bytes: Uint8Array;
  /** The file's size after the change, or what a resize sets. */
  size: number;
  stamp: number;
  /** Blocks of one write share a fate at a crash. */
  write: number;
}

export class MemoryFile {
  /** Tells files apart in a trace. */
  readonly id: number;
  size = 0;
  #durableSize = 0;
  #current = new Map<number, Uint8Array>();
  #durable = new Map<number, Uint8Array>();
  #pending: PendingChange[] = [];
  #reserved = new Set<number>();
  #pendingSpace: PendingSpace[] = [];
  #unreadable = new Set<number>();
  #strays: readonly StrayBlock[] = [];
  #writes = 0;

  constructor(id: number) {
    this.id = id;
  }

  /** Blocks that take space: written or reserved. */
  get blockCount(): number {
    return this.#reserved.size;
  }

  /** How many more blocks the range needs. */
  missingBlocks(position: number, length: number): number {
    let missing = 0;
    const end = Math.ceil((position + length) / BLOCK_SIZE);
    for (let block = Math.floor(position / BLOCK_SIZE); block < end; block++) {
      if (!this.#reserved.has(block)) missing++;
    }
    return missing;
  }

  /** Reserves the range's blocks; `stamp` orders it against syncs. */
  reserve(position: number, length: number, stamp: number): void {
    const end = Math.ceil((position + length) / BLOCK_SIZE);
    const blocks: number[] = [];
    for (let block = Math.floor(position / BLOCK_SIZE); block < end; block++) {
      if (this.#reserved.has(block)) continue;
      this.#reserved.add(block);
      blocks.push(block);
    }
    if (blocks.length > 0) this.#pendingSpace.push({ blocks, stamp });
  }

  /**
   * Copies to `target`; returns the bytes read, fewer than `length` at the end of the file, or -EIO when one
   * of the blocks cannot be read.
   */
  read(position: number, target: Uint8Array, address: number, length: number): number {
    const available = Math.max(0, Math.min(length, this.size - position));
    if (this.#unreadable.size > 0) {
      for (let done = 0; done < available; done += BLOCK_SIZE) {
        if (this.#unreadable.has((position + done) / BLOCK_SIZE)) return -EIO;
      }
    }
    for (let done = 0; done < available; done += BLOCK_SIZE) {
      const count = Math.min(BLOCK_SIZE, available - done);
      const block = this.#current.get((position + done) / BLOCK_SIZE);
      if (block === undefined) target.fill(0, address + done, address + done + count);
      else target.set(block.subarray(0, count), address + done);
    }
    return available;
  }

  /** Writes whole blocks; `stamp` orders the write against syncs. */
  write(
    position: number,
    source: Uint8Array,
    address: number,
    length: number,
    durable: boolean,
    stamp: number,
  ): void {
    const write = ++this.#writes;
    this.reserve(position, length, stamp);
    this.size = Math.max(this.size, position + length);
    // Metadata reaches the disk in order: a durable write takes earlier changes of size with it.
    if (durable) this.#settleResizes();
    const copy = source.slice(address, address + length);
    for (let done = 0; done < length; done += BLOCK_SIZE) {
      const block = (position + done) / BLOCK_SIZE;
      const bytes = copy.subarray(done, done + BLOCK_SIZE);
      this.#current.set(block, bytes);
      this.#unreadable.delete(block);
      if (durable) {
        this.#pending = this.#pending.filter((change) => change.block !== block);
        this.#durable.set(block, bytes);
      } else {
        this.#pending.push({ block, bytes, size: position + length, stamp, write });
      }
    }
    if (durable) this.#durableSize = Math.max(this.#durableSize, position + length);
  }

  resize(size: number, stamp: number): void {
    this.size = size;
    cutBlocks(this.#current, size);
    for (const block of this.#reserved) {
      if (block * BLOCK_SIZE >= size) this.#reserved.delete(block);
    }
    const bytes = new Uint8Array(0);
    this.#pending.push({ block: RESIZE, bytes, size, stamp, write: ++this.#writes });
  }

  /** Makes every change up to `stamp` durable. */
  sync(stamp: number): void {
    const rest: PendingChange[] = [];
    for (const change of this.#pending) {
      if (change.stamp <= stamp) this.#settle(change);
      else rest.push(change);
    }
    this.#pending = rest;
    this.#pendingSpace = this.#pendingSpace.filter((space) => space.stamp > stamp);
  }

  /** A power cut: what was pending is kept, lost or torn; a later run reads the rest. */
  crash(random: Random, roughness: Roughness = {}): void {
    let write = 0;
    let fate = 0;
    const strays: StrayBlock[] = [];
    for (const change of this.#pending) {
      if (change.write !== write) {
        write = change.write;
        fate = random.nextBelow(FATES);
      }
      const ownFate = fate === FATE_BY_BLOCK ? random.nextBelow(FATE_BY_BLOCK) : fate;
      if (ownFate === FATE_KEPT) this.#settle(change);
      else if (ownFate === FATE_TORN && change.block !== RESIZE) {
        this.#tear(change, random, roughness);
      } else if (change.block !== RESIZE) strays.push(change);
    }
    this.#strays = strays;
    this.#pending = [];
    this.#loseSpace(random);
    this.size = this.#durableSize;
    this.#current = new Map(this.#durable);
  }

  /** A new file with the contents that survived a crash of this one. */
  copy(): MemoryFile {
    const file = new MemoryFile(this.id);
    file.size = this.size;
    file.#durableSize = this.#durableSize;
    // Blocks are replaced, never changed where they are.
    file.#current = new Map(this.#current);
    file.#durable = new Map(this.#durable);
    file.#reserved = new Set(this.#reserved);
    file.#unreadable = new Set(this.#unreadable);
    return file;
  }

  /** Damage: the file ends at `size`, for good. */
  cut(size: number): void {
    this.size = size;
    this.#durableSize = size;
    for (const blocks of [this.#current, this.#durable]) cutBlocks(blocks, size);
  }

  /** What a block holds, not to be changed; null where nothing was ever written. */
  blockAt(block: number): Uint8Array | null {
    return this.#current.get(block) ?? null;
  }

  /** Damage: reads that touch the block fail from now on, until it is written. */
  loseBlock(block: number): void {
    this.#unreadable.add(block);
  }

  /** Reads of blocks that were lost succeed again, with what the blocks held: of all of them, or of one. */
  giveBack(block?: number): void {
    if (block === undefined) this.#unreadable.clear();
    else this.#unreadable.delete(block);
  }

  /** Whether reads of the block fail. */
  isLost(block: number): boolean {
    return this.#unreadable.has(block);
  }

  /** What the last power cut lost of writes that no sync had covered. */
  get strays(): readonly StrayBlock[] {
    return this.#strays;
  }

  /** Damage: a block's bytes become others where they lie; null: as if it had never been written. */
  replaceBlock(block: number, bytes: Uint8Array | null): void {
    for (const blocks of [this.#current, this.#durable]) {
      if (bytes === null) blocks.delete(block);
      else blocks.set(block, bytes);
    }
  }

  /** Bit rot: flips one bit in place, wherever the byte's current copy is. */
  flipBit(position: number, bit: number): void {
    const block = Math.floor(position / BLOCK_SIZE);
    const at = position % BLOCK_SIZE;
    const rotten = this.blockAt(block)?.slice() ?? new Uint8Array(BLOCK_SIZE);
    rotten[at] = rotten[at]! ^ (1 << bit);
    this.replaceBlock(block, rotten);
  }

  #settleResizes(): void {
    let last = -1;
    for (let i = 0; i < this.#pending.length; i++) if (this.#pending[i]!.block === RESIZE) last = i;
    for (let i = 0; i <= last; i++) this.#settle(this.#pending[i]!);
    this.#pending = this.#pending.slice(last + 1);
  }

  #settle(change: PendingChange): void {
    if (change.block === RESIZE) {
      cutBlocks(this.#durable, change.size);
      this.#durableSize = change.size;
    } else {
      this.#durable.set(change.block, change.bytes);
      this.#durableSize = Math.max(this.#durableSize, change.size);
    }
  }

  #loseSpace(random: Random): void {
    for (const { blocks } of this.#pendingSpace) {
      if (random.nextBelow(2) === 0) continue;
      for (const block of blocks) if (!this.#durable.has(block)) this.#reserved.delete(block);
    }
    this.#pendingSpace = [];
  }

  #tear(change: PendingChange, random: Random, roughness: Roughness): void {
    const torn = this.#durable.get(change.block)?.slice() ?? new Uint8Array(BLOCK_SIZE);
    const fates = random.nextUint32();
    for (let sector = 0; sector < SECTORS_PER_BLOCK; sector++) {
      if ((fates & (1 << sector)) === 0) continue;
      const start = sector * SECTOR_SIZE;
      const cut = random.nextBelow(CUT_SECTOR_ODDS) === 0;
      const kept = cut ? random.nextBelow(SECTOR_SIZE) : SECTOR_SIZE;
      torn.set(change.bytes.subarray(start, start + kept), start);
    }
    if (roughness.wholeBlocks) {
      for (let at = 0; at < BLOCK_SIZE; at++) torn[at] = random.nextBelow(256);
    } else if (roughness.garbage && random.nextBelow(GARBAGE_ODDS) === 0) {
      const start = random.nextBelow(SECTORS_PER_BLOCK) * SECTOR_SIZE;
      for (let at = start; at < start + SECTOR_SIZE; at++) torn[at] = random.nextBelow(256);
    }
    if (roughness.unreadable && random.nextBelow(UNREADABLE_ODDS) === 0) {
      this.#unreadable.add(change.block);
    }
    this.#durable.set(change.block, torn);
    // A torn write may have extended the file.
    if (fates >>> 31 === 1) this.#durableSize = Math.max(this.#durableSize, change.size);
  }
}

/** Drops the bytes beyond `size`, and zeroes the rest of its last block. */
function cutBlocks(blocks: Map<number, Uint8Array>, size: number): void {
  const last = Math.floor(size / BLOCK_SIZE);
  for (const block of blocks.keys()) if (block * BLOCK_SIZE >= size) blocks.delete(block);
  const partial = blocks.get(last);
  if (partial !== undefined) {
    const kept = new Uint8Array(BLOCK_SIZE);
    kept.set(partial.subarray(0, size % BLOCK_SIZE));
    blocks.set(last, kept);
  }
}

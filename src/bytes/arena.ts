/**
 * A shard's allocator over its slice of the region: a binary buddy system.
 *
 * Blocks are powers of two from 4 KiB (so that every block can be the buffer of an O_DIRECT transfer)
 * up to an eighth of the slice, rounded down. Splitting and merging keep large frames possible after
 * any history of small ones. All state is in typed arrays: allocating makes no garbage.
 *
 * @module
 */

import { assert } from "../base/assert.ts";

/** Smallest block (bytes). */
export const ARENA_BLOCK_MIN = 4096;
const NONE = -1;
const STATE_FREE = 0x40;
const STATE_USED = 0x80;
const ORDER_MASK = 0x3f;
/** How often one allocation asks for cached memory; more often for a large block. */
const GIFTS_MIN = 64;
const GIFTS_PER_UNIT = 2;

/** The largest block of an arena of `size` bytes: an eighth, rounded down to a power of two. */
export function arenaBlockSizeMax(size: number): number {
  return ARENA_BLOCK_MIN * 2 ** maxOrderOf(size / ARENA_BLOCK_MIN);
}

function maxOrderOf(units: number): number {
  return Math.max(0, Math.floor(Math.log2(Math.max(1, units / 8))));
}

export class Arena {
  /** First address of the slice. */
  readonly base: number;
  /** Bytes of the slice, a multiple of {@linkcode ARENA_BLOCK_MIN}. */
  readonly size: number;
  /** The largest block this arena ever gives (bytes). */
  readonly blockSizeMax: number;
  /**
   * Gives something back that was only kept because there was room (cached batches); false when there is
   * nothing left. Asked, a bounded number of times, before an allocation fails.
   */
  onShortage: () => boolean = () => false;
  #maxOrder: number;
  // Per minimum-size unit: state and order of the block that starts there; links of the free lists.
  #state: Uint8Array;
  #next: Int32Array;
  #previous: Int32Array;
  #heads: Int32Array;
  #freeBytes = 0;

  constructor(base: number, size: number) {
    assert(base % ARENA_BLOCK_MIN === 0 && size % ARENA_BLOCK_MIN === 0, "arena is not aligned");
    this.base = base;
    this.size = size;
    const units = size / ARENA_BLOCK_MIN;
    this.#maxOrder = maxOrderOf(units);
    this.blockSizeMax = arenaBlockSizeMax(size);
    this.#state = new Uint8Array(units);
    this.#next = new Int32Array(units).fill(NONE);
    this.#previous = new Int32Array(units).fill(NONE);
    this.#heads = new Int32Array(this.#maxOrder + 1).fill(NONE);
    let unit = 0;
    while (unit < units) {
      let order = this.#maxOrder;
      while (unit + 2 ** order > units || (unit & (2 ** order - 1)) !== 0) order--;
      this.#pushFree(unit, order);
      unit += 2 ** order;
    }
  }

  /** Bytes not handed out. */
  get freeBytes(): number {
    return this.#freeBytes;
  }

  /**
   * Takes a block of at least `size` bytes, aligned to its own size relative to the slice.
   *
   * @returns its address, or -1 when there is none (back-pressure, not an error)
   */
  allocate(size: number): number {
    const order = this.#orderOf(size);
    if (order > this.#maxOrder) return -1;
    let from = this.#freeOrder(order);
    let gifts = GIFTS_MIN + GIFTS_PER_UNIT * 2 ** order;
    while (from < 0) {
      if (gifts-- === 0 || !this.onShortage()) return -1;
      from = this.#freeOrder(order);
    }
    const unit = this.#heads[from]!;
    this.#removeFree(unit, from);
    while (from > order) {
      from--;
      this.#pushFree(unit + (1 << from), from);
    }
    this.#state[unit] = STATE_USED | order;
    return this.base + unit * ARENA_BLOCK_MIN;
  }

  /** Bytes of the block at `address`, as {@linkcode allocate} gave it. */
  blockSize(address: number): number {
    return ARENA_BLOCK_MIN * 2 ** (this.#state[this.#unitOf(address)]! & ORDER_MASK);
  }

  /** Gives back a block; exactly once. */
  release(address: number): void {
    let unit = this.#unitOf(address);
    const state = this.#state[unit]!;
    assert((state & STATE_USED) !== 0, "released a block that is not in use");
    let order = state & ORDER_MASK;
    this.#state[unit] = 0;
    const units = this.#state.length;
    while (order < this.#maxOrder) {
      const buddy = unit ^ (1 << order);
      if (buddy + (1 << order) > units || this.#state[buddy] !== (STATE_FREE | order)) break;
      this.#removeFree(buddy, order);
      if (buddy < unit) unit = buddy;
      order++;
    }
    this.#pushFree(unit, order);
  }

  /** The smallest order from `order` on that has a free block, or -1. */
  #freeOrder(order: number): number {
    let from = order;
    while (from <= this.#maxOrder && this.#heads[from] === NONE) from++;
    return from > this.#maxOrder ? -1 : from;
  }

  #unitOf(address: number): number {
    const unit = (address - this.base) / ARENA_BLOCK_MIN;
    assert(
      Number.isInteger(unit) && unit >= 0 && unit < this.#state.length,
      "address is not a block of this arena",
    );
    return unit;
  }

  #orderOf(size: number): number {
    const units = Math.ceil(size / ARENA_BLOCK_MIN);
    return units <= 1 ? 0 : 32 - Math.clz32(units - 1);
  }

  #pushFree(unit: number, order: number): void {
    const head = this.#heads[order]!;
    this.#state[unit] = STATE_FREE | order;
    this.#next[unit] = head;
    this.#previous[unit] = NONE;
    if (head !== NONE) this.#previous[head] = unit;
    this.#heads[order] = unit;
    this.#freeBytes += ARENA_BLOCK_MIN * 2 ** order;
  }

  #removeFree(unit: number, order: number): void {
    const next = this.#next[unit]!;
    const previous = this.#previous[unit]!;
    if (previous === NONE) this.#heads[order] = next;
    else this.#next[previous] = next;
    if (next !== NONE) this.#previous[next] = previous;
    this.#state[unit] = 0;
    this.#freeBytes -= ARENA_BLOCK_MIN * 2 ** order;
  }
}

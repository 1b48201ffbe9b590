/**
 * Finds a topic by the bytes of its name or of its id, without making a string.
 *
 * A produce or fetch request names topics as bytes in the data region. This table turns them into a
 * *handle*: a small integer that indexes the shard's arrays. Handles are private to the shard that
 * made them and are never used twice, so that a stale one finds nothing instead of another topic.
 *
 * Two open-addressed tables (linear probing, at most half full) hold handles; the bytes they stand
 * for lie in two flat arrays:
 *
 * ```
 * #nameSlots  [ -1 | 7 | -1 | 2 | ... ]      handle per slot
 * #names      [ ...orders...payments... ]    nameStart[handle], nameLength[handle]
 * #ids        [ 16 bytes per handle ... ]    at 16 * handle
 * ```
 *
 * Removing shifts the rest of the run back, so that there are no tombstones to collect; the bytes of
 * removed names are dropped when the name array is next grown.
 *
 * @module
 */

import { assert } from "../base/assert.ts";

const NONE = -1;
const SLOTS_MIN = 64;
const ID_BYTES = 16;

/** FNV-1a over `length` bytes, with a final mix so that the low bits depend on all. */
function hashBytes(bytes: Uint8Array, at: number, length: number): number {
  let hash = 0x811c9dc5;
  const end = at + length;
  for (let i = at; i < end; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
  hash ^= hash >>> 15;
  hash = Math.imul(hash, 0x2c1b3c6d);
  return (hash ^ (hash >>> 13)) >>> 0;
}

function equalBytes(
  a: Uint8Array,
  aAt: number,
  b: Uint8Array,
  bAt: number,
  length: number,
): boolean {
  for (let i = 0; i < length; i++) if (a[aAt + i] !== b[bAt + i]) return false;
  return true;
}

export class TopicLookup {
  #nameSlots = new Int32Array(SLOTS_MIN).fill(NONE);
  #idSlots = new Int32Array(SLOTS_MIN).fill(NONE);
  #names = new Uint8Array(4096);
  #namesEnd = 0;
  #ids = new Uint8Array(64 * ID_BYTES);
  #nameStart = new Int32Array(64).fill(NONE);
  #nameLength = new Int32Array(64);
  #count = 0;

  /** Topics in the table. */
  get count(): number {
    return this.#count;
  }

  /** The handle of the topic whose name is the `length` bytes at `at`, or -1. */
  findName(bytes: Uint8Array, at: number, length: number): number {
    const mask = this.#nameSlots.length - 1;
    let slot = hashBytes(bytes, at, length) & mask;
    for (;;) {
      const handle = this.#nameSlots[slot]!;
      if (handle === NONE) return NONE;
      if (
        this.#nameLength[handle] === length &&
        equalBytes(this.#names, this.#nameStart[handle]!, bytes, at, length)
      ) {
        return handle;
      }
      slot = (slot + 1) & mask;
    }
  }

  /** The handle of the topic whose id is the 16 bytes at `at`, or -1. */
  findId(bytes: Uint8Array, at: number): number {
    const mask = this.#idSlots.length - 1;
    let slot = hashBytes(bytes, at, ID_BYTES) & mask;
    for (;;) {
      const handle = this.#idSlots[slot]!;
      if (handle === NONE) return NONE;
      if (equalBytes(this.#ids, handle * ID_BYTES, bytes, at, ID_BYTES)) return handle;
      slot = (slot + 1) & mask;
    }
  }

  /** Adds a topic under `handle`, which was never used before. */
  add(handle: number, name: Uint8Array, id: Uint8Array): void {
    assert(id.length === ID_BYTES, "a topic id has 16 bytes");
    assert(this.findName(name, 0, name.length) === NONE, "topic name is in the lookup already");
    assert(this.findId(id, 0) === NONE, "topic id is in the lookup already");
    this.#reserveHandle(handle);
    assert(this.#nameStart[handle] === NONE, "topic handle is in use");
    this.#reserveNameBytes(name.length);
    this.#names.set(name, this.#namesEnd);
    this.#nameStart[handle] = this.#namesEnd;
    this.#nameLength[handle] = name.length;
    this.#namesEnd += name.length;
    this.#ids.set(id, handle * ID_BYTES);
    this.#count++;
    if (this.#count * 2 > this.#nameSlots.length) this.#rehash(this.#nameSlots.length * 2);
    else this.#place(handle);
  }

  /** Removes the topic of `handle`. */
  remove(handle: number): void {
    assert((this.#nameStart[handle] ?? NONE) !== NONE, "topic handle is not in the lookup");
    this.#erase(this.#nameSlots, handle, (other) => this.#nameHash(other));
    this.#erase(this.#idSlots, handle, (other) => this.#idHash(other));
    this.#nameStart[handle] = NONE;
    this.#nameLength[handle] = 0;
    this.#count--;
  }

  #nameHash(handle: number): number {
    return hashBytes(this.#names, this.#nameStart[handle]!, this.#nameLength[handle]!);
  }

  #idHash(handle: number): number {
    return hashBytes(this.#ids, handle * ID_BYTES, ID_BYTES);
  }

  #place(handle: number): void {
    const mask = this.#nameSlots.length - 1;
    let slot = this.#nameHash(handle) & mask;
    while (this.#nameSlots[slot] !== NONE) slot = (slot + 1) & mask;
    this.#nameSlots[slot] = handle;
    slot = this.#idHash(handle) & mask;
    while (this.#idSlots[slot] !== NONE) slot = (slot + 1) & mask;
    this.#idSlots[slot] = handle;
  }

  #erase(slots: Int32Array, handle: number, hashOf: (handle: number) => number): void {
    const mask = slots.length - 1;
    let hole = hashOf(handle) & mask;
    while (slots[hole] !== handle) hole = (hole + 1) & mask;
    // Close the hole: move back every later entry of the run whose home slot is not after the hole.
    for (let next = (hole + 1) & mask; slots[next] !== NONE; next = (next + 1) & mask) {
      const home = hashOf(slots[next]!) & mask;
      if (((next - home) & mask) < ((next - hole) & mask)) continue;
      slots[hole] = slots[next]!;
      hole = next;
    }
    slots[hole] = NONE;
  }

  #rehash(slotCount: number): void {
    this.#nameSlots = new Int32Array(slotCount).fill(NONE);
    this.#idSlots = new Int32Array(slotCount).fill(NONE);
    for (let handle = 0; handle < this.#nameStart.length; handle++) {
      if (this.#nameStart[handle] !== NONE) this.#place(handle);
    }
  }

  #reserveHandle(handle: number): void {
    if (handle < this.#nameStart.length) return;
    let capacity = this.#nameStart.length;
    while (handle >= capacity) capacity *= 2;
    const starts = new Int32Array(capacity).fill(NONE);
    starts.set(this.#nameStart);
    const lengths = new Int32Array(capacity);
    lengths.set(this.#nameLength);
    const ids = new Uint8Array(capacity * ID_BYTES);
    ids.set(this.#ids);
    this.#nameStart = starts;
    this.#nameLength = lengths;
    this.#ids = ids;
  }

  #reserveNameBytes(length: number): void {
    if (this.#namesEnd + length <= this.#names.length) return;
    let live = length;
    for (let i = 0; i < this.#nameLength.length; i++) live += this.#nameLength[i]!;
    let capacity = this.#names.length;
    while (capacity < live * 2) capacity *= 2;
    const names = new Uint8Array(capacity);
    let end = 0;
    for (let handle = 0; handle < this.#nameStart.length; handle++) {
      const start = this.#nameStart[handle]!;
      if (start === NONE) continue;
      const nameLength = this.#nameLength[handle]!;
      names.set(this.#names.subarray(start, start + nameLength), end);
      this.#nameStart[handle] = end;
      end += nameLength;
    }
    this.#names = names;
    this.#namesEnd = end;
  }
}

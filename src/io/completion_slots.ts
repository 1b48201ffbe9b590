/**
 * Completions in numbered slots, so that an operation in flight is
 * one 32-bit number and costs no allocation.
 *
 * ```text
 * id of an operation:  generation (10 bits) | slot (20 bits)
 * ```
 *
 * The generation distinguishes a slot's operations, so that a late cancel of one cannot hit the next.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import type { Completion } from "./completion.ts";

const SLOT_BITS = 20;
const SLOTS_MAX = 1 << SLOT_BITS;
const SLOT_MASK = SLOTS_MAX - 1;
const GENERATION_MASK = 0x3ff;
const CAPACITY_AT_FIRST = 1024;
const END = -1;

export class CompletionSlots {
  /** Slots taken. */
  count = 0;
  #waiting: (Completion | null)[] = [];
  #generations = new Uint16Array(CAPACITY_AT_FIRST);
  // The free slots are a list: each names the next one.
  #nextFree = new Int32Array(CAPACITY_AT_FIRST);
  #firstFree = END;

  /** Takes a slot for `done`; returns the operation's id. */
  take(done: Completion): number {
    let slot = this.#firstFree;
    if (slot === END) slot = this.#addSlot();
    else this.#firstFree = this.#nextFree[slot]!;
    this.#waiting[slot] = done;
    this.count++;
    return this.#generations[slot]! << SLOT_BITS | slot;
  }

  /** The completion of operation `id`; asserts that it is in flight. */
  find(id: number): Completion {
    const slot = id & SLOT_MASK;
    const done = this.#waiting[slot];
    const inFlight = done !== null && done !== undefined &&
      this.#generations[slot] === id >>> SLOT_BITS;
    assert(inFlight, "completion of an operation that is not in flight");
    return done;
  }

  /** Frees the slot of operation `id`, which has ended. */
  free(id: number): void {
    const slot = id & SLOT_MASK;
    this.#waiting[slot] = null;
    this.#generations[slot] = (this.#generations[slot]! + 1) & GENERATION_MASK;
    this.#nextFree[slot] = this.#firstFree;
    this.#firstFree = slot;
    this.count--;
  }

  #addSlot(): number {
    const slot = this.#waiting.length;
    assert(slot < SLOTS_MAX, "more operations in flight than there are slots");
    if (slot === this.#generations.length) {
      const generations = new Uint16Array(slot * 2);
      generations.set(this.#generations);
      this.#generations = generations;
      const nextFree = new Int32Array(slot * 2);
      nextFree.set(this.#nextFree);
      this.#nextFree = nextFree;
    }
    this.#waiting.push(null);
    return slot;
  }
}

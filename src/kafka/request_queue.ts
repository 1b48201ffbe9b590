/**
 * The open requests of one connection, oldest first: which may run concurrently, and in which order
 * their responses are sent.
 *
 * As in Kafka, a request starts when the one before has been answered; only Produce requests may follow
 * one another while they wait for their commit. The slots are a ring, created when they are first needed and
 * reused.
 *
 * @module
 */

import { REQUESTS_PER_CONNECTION_MAX } from "../base/limits.ts";
import type { RequestHeap } from "./request_heap.ts";
import { ResponseSlot } from "./response.ts";

const PRODUCE_KEY = 0;
const RING_MASK = REQUESTS_PER_CONNECTION_MAX - 1;

export class RequestQueue {
  readonly #heap: RequestHeap;
  readonly #slots: ResponseSlot[] = [];
  #head = 0;
  #count = 0;
  /** Open requests that are not Produce. */
  #others = 0;

  constructor(heap: RequestHeap) {
    this.#heap = heap;
  }

  /** Requests that have been started and whose response has not been taken to be sent. */
  get length(): number {
    return this.#count;
  }

  /** Whether a request of this API may start beside those that are open. */
  admits(apiKey: number): boolean {
    if (this.#count === 0) return true;
    return apiKey === PRODUCE_KEY && this.#others === 0 &&
      this.#count < REQUESTS_PER_CONNECTION_MAX;
  }

  /** The request at `index`, from the oldest on. */
  at(index: number): ResponseSlot {
    return this.#slots[(this.#head + index) & RING_MASK]!;
  }

  /** Opens the next request. */
  open(apiKey: number, version: number, correlationId: number): ResponseSlot {
    const index = (this.#head + this.#count) & RING_MASK;
    while (this.#slots.length <= index) this.#slots.push(new ResponseSlot());
    const slot = this.#slots[index]!;
    slot.reset(apiKey, version, correlationId);
    this.#count++;
    if (apiKey !== PRODUCE_KEY) this.#others++;
    return slot;
  }

  /** Forgets the `count` oldest: their responses are being sent. */
  drop(count: number): void {
    for (let i = 0; i < count; i++) {
      const slot = this.at(i);
      if (slot.apiKey !== PRODUCE_KEY) this.#others--;
      slot.charge(this.#heap, slot.heapLane, 0);
      slot.encoded = null;
      slot.streamed = null;
    }
    this.#head = (this.#head + count) & RING_MASK;
    this.#count -= count;
  }
}

/**
 * Producers whose batches wait for their transaction's coordinator: what they send next to the same partition stays behind
 * those, and nobody else's batches do. A coordinator that is slow, or a transaction whose last markers are not written, would
 * stop a partition for all its producers otherwise.
 *
 * @module
 */

import type { Memory } from "../bytes/memory.ts";
import { BATCH_HEADER_SIZE, batchProducerId } from "../wire/record_batch.ts";

export class HeldProducers {
  readonly #memory: Memory;
  readonly #held = new Set<string>();

  constructor(memory: Memory) {
    this.#memory = memory;
  }

  /** A batch of a producer waits at a group. */
  add(groupId: number, producerId: number): void {
    this.#held.add(`${groupId}/${producerId}`);
  }

  /** Whether an earlier batch of the same producer waits at a group. */
  holds(groupId: number, address: number, length: number): boolean {
    if (this.#held.size === 0 || length < BATCH_HEADER_SIZE) return false;
    return this.#held.has(`${groupId}/${batchProducerId(this.#memory.view, address)}`);
  }

  clear(): void {
    this.#held.clear();
  }
}

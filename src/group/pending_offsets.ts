/**
 * Offsets that were committed in transactions which have not ended: they count when their transaction is committed.
 *
 * A commit outside of any transaction, or a deletion, that comes after such an offset is newer: the offset is
 * forgotten, and the end of its transaction does not bring it back.
 *
 * @module
 */

import type { CommittedOffset } from "./records.ts";

/** One offset of a transaction. */
export interface PendingOffset {
  readonly groupId: string;
  readonly topic: string;
  readonly partition: number;
  readonly value: CommittedOffset;
}

/** Where an offset belongs. */
type Place = Omit<PendingOffset, "value">;

export class PendingOffsets {
  /** By producer id, then by place. */
  readonly #producers = new Map<number, Map<string, PendingOffset>>();

  /** Notes an offset of a producer's transaction. */
  add(producerId: number, offset: PendingOffset): void {
    let offsets = this.#producers.get(producerId);
    if (offsets === undefined) this.#producers.set(producerId, offsets = new Map());
    offsets.set(keyOf(offset), offset);
  }

  /** An offset outside of transactions was committed, or deleted. */
  supersede(place: Place): void {
    if (this.#producers.size === 0) return;
    const key = keyOf(place);
    for (const [producerId, offsets] of this.#producers) {
      if (offsets.delete(key) && offsets.size === 0) this.#producers.delete(producerId);
    }
  }

  /** Takes what is pending of a producer. */
  take(producerId: number): PendingOffset[] {
    const offsets = this.#producers.get(producerId);
    if (offsets === undefined) return [];
    this.#producers.delete(producerId);
    return [...offsets.values()];
  }

  /** Some transaction has an offset for this place. */
  has(place: Place): boolean {
    if (this.#producers.size === 0) return false;
    const key = keyOf(place);
    for (const offsets of this.#producers.values()) if (offsets.has(key)) return true;
    return false;
  }

  /** Everything as it is now, with the producers' ids. */
  all(): [producerId: number, offset: PendingOffset][] {
    return [...this.#producers].flatMap(([producerId, offsets]) =>
      [...offsets.values()].map((offset): [number, PendingOffset] => [producerId, offset])
    );
  }
}

/** Topic names have no slashes. */
function keyOf({ groupId, topic, partition }: Place): string {
  return `${topic}/${partition}/${groupId}`;
}

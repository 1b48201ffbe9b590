/**
 * Offsets that were committed in transactions which have not ended: they count when their transaction is committed.
 *
 * A commit outside of any transaction, or a deletion, that comes after such an offset is newer: the offset is
 * forgotten, and the end of its transaction does not bring it back. So is a later offset of another transaction that is
 * committed first.
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

/** An offset with its place in the order of all. */
interface Stamped extends PendingOffset {
  readonly stamp: number;
}

/** Where an offset belongs. */
type Place = Omit<PendingOffset, "value">;

export class PendingOffsets {
  /** By producer id, then by place. */
  readonly #producers = new Map<number, Map<string, Stamped>>();
  #nextStamp = 0;
  #size = 0;

  /** Offsets that are pending. */
  get size(): number {
    return this.#size;
  }

  /** Notes an offset of a producer's transaction. */
  add(producerId: number, offset: PendingOffset): void {
    let offsets = this.#producers.get(producerId);
    if (offsets === undefined) this.#producers.set(producerId, offsets = new Map());
    const key = keyOf(offset);
    if (!offsets.has(key)) this.#size++;
    offsets.set(key, { ...offset, stamp: this.#nextStamp++ });
  }

  /**
   * An offset was committed, or deleted.
   *
   * @param stamp of a transaction's offset: what came before it is older; Infinity: everything is
   */
  supersede(place: Place, stamp = Infinity): void {
    if (this.#producers.size === 0) return;
    const key = keyOf(place);
    for (const [producerId, offsets] of this.#producers) {
      const known = offsets.get(key);
      if (known === undefined || known.stamp >= stamp) continue;
      offsets.delete(key);
      this.#size--;
      if (offsets.size === 0) this.#producers.delete(producerId);
    }
  }

  /** Takes what is pending of a producer. */
  take(producerId: number): Stamped[] {
    const offsets = this.#producers.get(producerId);
    if (offsets === undefined) return [];
    this.#producers.delete(producerId);
    this.#size -= offsets.size;
    return [...offsets.values()];
  }

  /** Some transaction has an offset for this place. */
  has(place: Place): boolean {
    if (this.#producers.size === 0) return false;
    const key = keyOf(place);
    for (const offsets of this.#producers.values()) if (offsets.has(key)) return true;
    return false;
  }

  /** Where there are offsets in transactions, each place once. */
  places(isWanted: (place: Place) => boolean): Place[] {
    const places = new Map<string, Place>();
    for (const offsets of this.#producers.values()) {
      for (const [key, offset] of offsets) if (isWanted(offset)) places.set(key, offset);
    }
    return [...places.values()];
  }

  /** Everything as it is now, with the producers' ids, the oldest first. */
  all(): [producerId: number, offset: PendingOffset][] {
    const all = [...this.#producers].flatMap(([producerId, offsets]) =>
      [...offsets.values()].map((offset): [number, Stamped] => [producerId, offset])
    );
    return all.sort(([, a], [, b]) => a.stamp - b.stamp);
  }
}

/** Topic names have no slashes. */
function keyOf({ groupId, topic, partition }: Place): string {
  return `${topic}/${partition}/${groupId}`;
}

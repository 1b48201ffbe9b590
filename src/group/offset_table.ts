/**
 * The committed offsets of one group, by topic and partition, and the commits on their way.
 *
 * A commit that is appended but not yet committed is not visible to readers, yet a deletion must
 * include it: it comes after the commit in the log, and offsets that it does not name would stay.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import type { CommittedOffset } from "./records.ts";

export class OffsetTable {
  #topics = new Map<string, Map<number, CommittedOffset>>();
  #size = 0;
  #inFlight = new Map<string, Map<number, number>>();

  /** Partitions with an offset. */
  get size(): number {
    return this.#size;
  }

  get(topic: string, partition: number): CommittedOffset | null {
    return this.#topics.get(topic)?.get(partition) ?? null;
  }

  /** Replays a commit, or a tombstone for null. */
  replay(topic: string, partition: number, value: CommittedOffset | null): void {
    let partitions = this.#topics.get(topic);
    if (value === null) {
      if (partitions?.delete(partition)) this.#size--;
      if (partitions?.size === 0) this.#topics.delete(topic);
      return;
    }
    if (partitions === undefined) {
      partitions = new Map();
      this.#topics.set(topic, partitions);
    }
    if (!partitions.has(partition)) this.#size++;
    partitions.set(partition, value);
  }

  topics(): ReadonlyMap<string, ReadonlyMap<number, CommittedOffset>> {
    return this.#topics;
  }

  /** A commit is being appended. */
  begin(topic: string, partition: number): void {
    let partitions = this.#inFlight.get(topic);
    if (partitions === undefined) {
      partitions = new Map();
      this.#inFlight.set(topic, partitions);
    }
    partitions.set(partition, (partitions.get(partition) ?? 0) + 1);
  }

  /** The append is answered. */
  end(topic: string, partition: number): void {
    const partitions = this.#inFlight.get(topic);
    const count = partitions?.get(partition);
    assert(partitions !== undefined && count !== undefined, "a commit ended that never began");
    if (count > 1) {
      partitions.set(partition, count - 1);
      return;
    }
    partitions.delete(partition);
    if (partitions.size === 0) this.#inFlight.delete(topic);
  }

  /** Has an offset, or is about to. */
  isKnown(topic: string, partition: number): boolean {
    return this.get(topic, partition) !== null ||
      (this.#inFlight.get(topic)?.has(partition) ?? false);
  }

  hasInFlight(topic: string, partition: number): boolean {
    return this.#inFlight.get(topic)?.has(partition) ?? false;
  }

  /** Partitions of `topic` (of all topics for null) that are known, those in flight too. */
  known(topic: string | null): { topic: string; partition: number }[] {
    const result: { topic: string; partition: number }[] = [];
    for (const [name, partitions] of this.#topics) {
      if (topic !== null && name !== topic) continue;
      for (const partition of partitions.keys()) result.push({ topic: name, partition });
    }
    for (const [name, partitions] of this.#inFlight) {
      if (topic !== null && name !== topic) continue;
      for (const partition of partitions.keys()) {
        if (this.get(name, partition) === null) result.push({ topic: name, partition });
      }
    }
    return result;
  }
}

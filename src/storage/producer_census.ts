/**
 * How many producers a shard remembers, and which it forgets when there are more.
 *
 * Anybody may send any producer id: a producer restored from another cluster's state, a test that makes one
 * for each record. Kafka remembers all of them until they were silent for a day. Here their number has a limit,
 * and when it is reached those that were silent for the longest go first, a share of them at once: what a
 * producer loses with its state is that a batch sent again is known for a duplicate, and its next batch is
 * taken wherever it begins.
 *
 * Those to go are found by when they were last heard of, in a histogram: two passes over all of them for
 * several thousand that go.
 *
 * @module
 */

import type { ProducerTable } from "./producer_table.ts";

/** Share of the limit that is forgotten at once. */
const FORGET_SHARE = 1 / 16;
const BUCKETS = 1024;

export class ProducerCensus {
  /** Producers that may be remembered: one that writes to several logs counts in each. */
  limit: number;
  /** Remembered now, and forgotten for want of room so far. */
  count = 0;
  forgotten = 0;
  readonly #tables = new Set<ProducerTable>();

  constructor(limit: number) {
    this.limit = limit;
  }

  /** A table has its first producer, or none any more. */
  enter(table: ProducerTable): void {
    this.#tables.add(table);
  }
  leave(table: ProducerTable): void {
    this.#tables.delete(table);
  }

  /** Makes room for one more. */
  makeRoom(): void {
    if (this.count < this.limit) return;
    const goal = Math.max(1, Math.floor(this.limit * FORGET_SHARE), this.count - this.limit);
    let oldestMs = Infinity;
    let newestMs = -Infinity;
    for (const table of this.#tables) {
      table.visitHeard((heardMs) => {
        if (heardMs < oldestMs) oldestMs = heardMs;
        if (heardMs > newestMs) newestMs = heardMs;
      });
    }
    const widthMs = Math.max(1, (newestMs - oldestMs + 1) / BUCKETS);
    const buckets = new Float64Array(BUCKETS + 1);
    const bucketOf = (heardMs: number): number => Math.floor((heardMs - oldestMs) / widthMs);
    for (const table of this.#tables) table.visitHeard((heardMs) => buckets[bucketOf(heardMs)]!++);
    let last = 0;
    for (let sum = buckets[0]!; sum < goal && last < BUCKETS; sum += buckets[++last]!);
    const untilMs = oldestMs + (last + 1) * widthMs;
    let left = goal;
    for (const table of [...this.#tables]) {
      if (left === 0) break;
      left -= table.forgetHeardBefore(untilMs, left);
    }
    this.forgotten += goal - left;
  }
}

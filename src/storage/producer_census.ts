/**
 * How many producers a shard remembers, and which it forgets when there are more.
 *
 * Clients may send any producer id: a producer restored from another cluster's state, a test that uses a new one
 * for each record. Kafka remembers all of them for a day. Here their number has a limit; when it is reached, a
 * share of them is forgotten at once, those that were silent for the longest first. For a forgotten producer, a
 * repeated batch is no longer recognised as a duplicate, and its next batch is accepted with any sequence.
 *
 * The time at which a producer from a replayed journal was last heard of is unknown: it is later than that of all
 * others, because its record is after the checkpoint that has them.
 *
 * @module
 */

import type { ProducerTable } from "./producer_table.ts";

/** Share of the limit that is forgotten at once. */
const FORGET_SHARE = 1 / 16;

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

  /** A table has got its first producer, or lost its last. */
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
    const times = new Float64Array(this.count);
    let known = 0;
    for (const table of this.#tables) {
      table.visitHeard((heardMs) => times[known++] = heardMs === 0 ? Infinity : heardMs);
    }
    if (known === 0) return;
    // Exactly: among times that are far apart (a clock was wrong once), shares of their range are useless.
    const untilMs = times.subarray(0, known).sort()[Math.min(goal, known) - 1]!;
    let left = goal;
    for (const table of [...this.#tables]) {
      if (left === 0) break;
      left -= table.forgetHeardUntil(untilMs, left);
    }
    this.forgotten += goal - left;
  }
}

/**
 * What goes in and out of each topic on one shard.
 *
 * A topic has a row while it exists: the image's topic holds its number, so that counting looks nothing up. Row 0 is of
 * all topics for which there is no other.
 *
 * @module
 */

import { TRAFFIC_TOPICS_MAX } from "./limits.ts";

/** Columns of a row. */
export const TrafficKind = {
  PRODUCED_BYTES: 0,
  PRODUCED_RECORDS: 1,
  FETCHED_BYTES: 2,
  FETCHED_RECORDS: 3,
  /** Partitions that this node began to lead. */
  LEADERSHIPS: 4,
} as const;
export type TrafficKind = typeof TrafficKind[keyof typeof TrafficKind];

export const TRAFFIC_KINDS = 5;
/** Of topics without a row of their own. */
export const OTHERS_ROW = 0;
const ROWS_AT_START = 16;

export class Traffic {
  #values = new Float64Array(ROWS_AT_START * TRAFFIC_KINDS);
  /** Rows that were given out, the common one included. */
  #rows = 1;
  readonly #free: number[] = [];

  /** Gives a topic a row; the common one when there are too many. */
  open(): number {
    const row = this.#free.pop();
    if (row !== undefined) return row;
    if (this.#rows > TRAFFIC_TOPICS_MAX) return OTHERS_ROW;
    if (this.#rows * TRAFFIC_KINDS === this.#values.length) {
      const larger = new Float64Array(this.#values.length * 2);
      larger.set(this.#values);
      this.#values = larger;
    }
    return this.#rows++;
  }

  /** The topic is gone. */
  close(row: number): void {
    if (row === OTHERS_ROW) return;
    this.#values.fill(0, row * TRAFFIC_KINDS, (row + 1) * TRAFFIC_KINDS);
    this.#free.push(row);
  }

  add(row: number, kind: TrafficKind, amount: number): void {
    this.#values[row * TRAFFIC_KINDS + kind]! += amount;
  }

  get(row: number, kind: TrafficKind): number {
    return this.#values[row * TRAFFIC_KINDS + kind]!;
  }
}

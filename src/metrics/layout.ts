/**
 * Gives the series that shards record their places in the array of `recorder.ts`.
 *
 * @module
 */

import { HISTOGRAM_SIZE } from "./histogram_buckets.ts";
import type { LabelValues, Metric } from "./metric.ts";

/** One series of each shard, and where it is. */
export interface RecordedSeries {
  readonly metric: Metric;
  readonly labels: LabelValues;
  /** The slot of the number, or of the histogram's first bucket. */
  readonly at: number;
}

export class Layout {
  readonly series: RecordedSeries[] = [];
  #size = 0;

  /** Numbers that a shard's array has. */
  get size(): number {
    return this.#size;
  }

  /** A place for a series; returns its slot. */
  place(metric: Metric, ...labels: LabelValues): number {
    const at = this.take(metric.type === "histogram" ? HISTOGRAM_SIZE : 1);
    this.series.push({ metric, labels, at });
    return at;
  }

  /** Room for what has no series of its own here. */
  take(size: number): number {
    const at = this.#size;
    this.#size += size;
    return at;
  }
}

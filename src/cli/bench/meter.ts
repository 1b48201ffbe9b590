/**
 * The measurements of a load run: counts and latencies, in total and since the last report.
 *
 * @module
 */

import { Histogram } from "../../base/histogram.ts";

/** One stretch of a run. */
export interface Reading {
  readonly seconds: number;
  readonly records: number;
  readonly bytes: number;
  readonly errors: number;
  /** Microseconds. */
  readonly latency: Histogram;
}

/** The percentiles that reports show, with their names. */
export const PERCENTILES: readonly (readonly [string, number])[] = [
  ["p50", 0.5],
  ["p90", 0.9],
  ["p99", 0.99],
  ["p99.9", 0.999],
];

export class Meter {
  readonly #total = new Histogram();
  readonly #recent = new Histogram();
  /** By name. */
  readonly errors = new Map<string, number>();
  #records = 0;
  #bytes = 0;
  #errorCount = 0;
  #startedAt = 0;
  #seenRecords = 0;
  #seenBytes = 0;
  #seenErrors = 0;
  #seenAt = 0;

  /** Begins to count; what was recorded before (the warm-up) is forgotten. */
  start(nowMs: number): void {
    this.#total.clear();
    this.#recent.clear();
    this.errors.clear();
    this.#records = this.#bytes = this.#errorCount = 0;
    this.#seenRecords = this.#seenBytes = this.#seenErrors = 0;
    this.#startedAt = this.#seenAt = nowMs;
  }

  /** One request that succeeded. */
  succeed(latencyMs: number, records: number, bytes: number): void {
    this.#total.record(latencyMs * 1000);
    this.#recent.record(latencyMs * 1000);
    this.#records += records;
    this.#bytes += bytes;
  }

  /** One request that did not. */
  fail(name: string): void {
    this.#errorCount++;
    this.errors.set(name, (this.errors.get(name) ?? 0) + 1);
  }

  /** Since the last call, or the start. */
  takeRecent(nowMs: number): Reading {
    const reading = {
      seconds: (nowMs - this.#seenAt) / 1000,
      records: this.#records - this.#seenRecords,
      bytes: this.#bytes - this.#seenBytes,
      errors: this.#errorCount - this.#seenErrors,
      latency: copyOf(this.#recent),
    };
    this.#recent.clear();
    this.#seenRecords = this.#records;
    this.#seenBytes = this.#bytes;
    this.#seenErrors = this.#errorCount;
    this.#seenAt = nowMs;
    return reading;
  }

  /** Since the start. */
  total(nowMs: number): Reading {
    return {
      seconds: (nowMs - this.#startedAt) / 1000,
      records: this.#records,
      bytes: this.#bytes,
      errors: this.#errorCount,
      latency: copyOf(this.#total),
    };
  }
}

function copyOf(histogram: Histogram): Histogram {
  const copy = new Histogram();
  copy.add(histogram);
  return copy;
}

/**
 * Where a shard records: one flat array of numbers, which the shard alone writes and the control thread reads.
 *
 * Recording allocates nothing and asks no clock: the loop sets {@linkcode ShardRecorder.nowMs} once a turn, and once more
 * before answers are sent. The reader may see a value of a moment ago, never half of one: the processors that Gregor runs on
 * read and write aligned 64-bit words whole.
 *
 * Lives on its shard; the array may be shared memory.
 *
 * @module
 */

import { API_KEYS_MAX, API_LATENCY, RECORDED_SIZE } from "./catalog.ts";
import { bucketOf, HISTOGRAM_SIZE, LONGEST_US, SUM_AT } from "./histogram_buckets.ts";
import { Traffic } from "./traffic.ts";

/** Bytes that a shard's array takes. */
export const RECORDER_BYTES = RECORDED_SIZE * Float64Array.BYTES_PER_ELEMENT;

export class ShardRecorder {
  /** By slot; see `catalog.ts`. */
  readonly values: Float64Array;
  /** What goes in and out of topics. */
  readonly traffic = new Traffic();
  /** The time that requests are measured by (monotonic ms). */
  nowMs = 0;
  /** Asks the clock; where nobody has set it, time is what {@linkcode nowMs} was set to. */
  clockMs: () => number = () => this.nowMs;

  /** @param buffer {@linkcode RECORDER_BYTES} zeros; memory of its own when absent */
  constructor(buffer: ArrayBufferLike = new ArrayBuffer(RECORDER_BYTES)) {
    this.values = new Float64Array(buffer, 0, RECORDED_SIZE);
  }

  /** Adds to a counter. */
  add(slot: number, amount: number): void {
    this.values[slot]! += amount;
  }

  /** Sets a gauge, or a counter that somebody else keeps. */
  set(slot: number, value: number): void {
    this.values[slot] = value;
  }

  /** Records a time in the histogram at `slot`. */
  observe(slot: number, ms: number): void {
    const us = ms <= 0 ? 0 : Math.min(LONGEST_US, ms * 1000) | 0;
    const { values } = this;
    values[slot + bucketOf(us)]! += 1;
    values[slot + SUM_AT]! += us;
  }

  /** Time has passed: once a turn. */
  noteTime(): void {
    this.nowMs = this.clockMs();
  }

  /** A request has its answer. */
  noteAnswered(apiKey: number, startedMs: number): void {
    if (apiKey < 0 || apiKey >= API_KEYS_MAX) return;
    this.observe(API_LATENCY + apiKey * HISTOGRAM_SIZE, this.nowMs - startedMs);
  }
}

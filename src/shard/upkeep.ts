/**
 * What a shard does for its logs now and then: retention, producers that are not heard of any more, compaction.
 *
 * @module
 */

import type { Settings } from "../base/settings.ts";
import type { Task } from "../io/task.ts";
import { Timer, type Timers } from "../io/timers.ts";
import type { LogCompaction } from "./log_compaction.ts";
import type { PartitionTable } from "./partition_table.ts";

/** Between two slices of a round that expires silent producers. */
const EXPIRE_SLICE_PAUSE_MS = 10;

export interface UpkeepOptions {
  readonly partitions: PartitionTable;
  readonly compaction: LogCompaction;
  readonly settings: Settings;
  readonly timers: Timers;
  readonly nowMs: () => number;
  readonly wallMs: () => number;
}

export class Upkeep {
  readonly #options: UpkeepOptions;
  readonly #retention: Timer;
  readonly #expiration: Timer;

  constructor(options: UpkeepOptions) {
    this.#options = options;
    this.#retention = new Timer(() => this.#applyRetention());
    this.#expiration = new Timer(() => this.#expireProducers());
    this.#after(this.#retention, this.#ms("log.retention.check.interval.ms"));
    this.#after(this.#expiration, this.#ms("producer.id.expiration.check.interval.ms"));
  }

  /** The first look at producers, soon: of those of whom it is not known, time runs from there. */
  begin(): void {
    this.#after(this.#expiration, EXPIRE_SLICE_PAUSE_MS);
  }

  *stop(): Task<void> {
    this.#options.timers.cancel(this.#retention);
    this.#options.timers.cancel(this.#expiration);
    yield* this.#options.compaction.stop();
  }

  #applyRetention(): void {
    this.#options.partitions.applyRetention(this.#options.wallMs());
    this.#after(this.#retention, this.#ms("log.retention.check.interval.ms"));
  }

  /** Drops silent producers of the next logs; pauses after each round through all of them. */
  #expireProducers(): void {
    const { partitions, wallMs } = this.#options;
    const again = partitions.expireProducers(wallMs(), this.#ms("producer.id.expiration.ms"));
    const pauseMs = again
      ? EXPIRE_SLICE_PAUSE_MS
      : this.#ms("producer.id.expiration.check.interval.ms");
    this.#after(this.#expiration, pauseMs);
  }

  #ms(setting: Parameters<Settings["number"]>[0]): number {
    return this.#options.settings.number(setting);
  }

  #after(timer: Timer, ms: number): void {
    const { timers, nowMs } = this.#options;
    timers.schedule(timer, nowMs() + ms);
  }
}

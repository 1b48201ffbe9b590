/**
 * Looks after the partitions of a shard that have several replicas, from time to time: tells everybody when others
 * of them keep up than before, and ends the waits of producers that nothing else ends.
 *
 * @module
 */

import { Timer, type Timers } from "../io/timers.ts";
import type { Partition } from "../kafka/partition.ts";
import type { LedGroup } from "./leader_feed.ts";
import { inSyncBits, ledGroup } from "./partition_table.ts";

/** Between two looks (ms): by how much a wait may exceed its deadline. */
const LOOK_MS = 100;

export interface ReplicaWatchOptions {
  readonly timers: Timers;
  readonly nowMs: () => number;
  readonly partitions: () => Iterable<Partition>;
  /** A group that is led here has other replicas in sync than before. */
  readonly tell: (led: LedGroup) => void;
  /** After each look. */
  readonly onLooked: () => void;
}

export class ReplicaWatch {
  readonly #options: ReplicaWatchOptions;
  readonly #timer = new Timer(() => this.#look());
  /** By group: what was told last, with its term. */
  #told = new Map<number, LedGroup>();

  constructor(options: ReplicaWatchOptions) {
    this.#options = options;
    this.#schedule();
  }

  /** Rows that one node is told: where others were told something else, all hear what is so with the next look. */
  *telling(rows: Iterable<LedGroup>): Iterable<LedGroup> {
    for (const led of rows) {
      if (this.#told.get(led.groupId)?.inSync !== led.inSync) this.#told.delete(led.groupId);
      yield led;
    }
  }

  stop(): void {
    this.#options.timers.cancel(this.#timer);
  }

  #schedule(): void {
    const { timers, nowMs } = this.#options;
    timers.schedule(this.#timer, nowMs() + LOOK_MS);
  }

  #look(): void {
    const { nowMs, partitions, tell, onLooked } = this.#options;
    const now = nowMs();
    let led = 0;
    for (const partition of partitions()) {
      if (partition.opening) partition.checkWaits(now);
      if (!partition.leading || partition.replica.isAlone) continue;
      led++;
      partition.checkWaits(now);
      const before = this.#told.get(partition.image.groupId);
      const isTold = before?.epoch === partition.leaderEpoch &&
        before.inSync === inSyncBits(partition);
      if (isTold) continue;
      const group = ledGroup(partition);
      this.#told.set(group.groupId, group);
      tell(group);
    }
    if (this.#told.size > led) this.#forget();
    onLooked();
    this.#schedule();
  }

  /** What was told of groups that are led elsewhere now, or gone. */
  #forget(): void {
    const told = new Map<number, LedGroup>();
    for (const { leading, replica, image: { groupId } } of this.#options.partitions()) {
      const group = this.#told.get(groupId);
      const isWatched = leading && !replica.isAlone;
      if (isWatched && group !== undefined) told.set(groupId, group);
    }
    this.#told = told;
  }
}

/**
 * Notices that this shard did not run when it should have: its thread had no processor, or the machine stood still.
 *
 * Its replicas must not take their own sleep for the silence of others. Timers show it: a shard with other nodes has one
 * for its signs of life that is due ten times in a second, and a loop that waits for it wakes up for it.
 *
 * @module
 */

import { SLEPT_MS } from "../base/limits.ts";
import type { Timers } from "../io/timers.ts";
import type { ShardReplication } from "./shard_replication.ts";

type SleepingReplication = Pick<ShardReplication, "isAlone" | "replicas" | "nowMs">;

export class SleepWatch {
  readonly #timers: Timers;
  readonly #replication: SleepingReplication;

  constructor(timers: Timers, replication: SleepingReplication) {
    this.#timers = timers;
    this.#replication = replication;
  }

  /** A turn begins, and its timers have not run yet. */
  look(): void {
    const replication = this.#replication;
    if (replication.isAlone) return;
    const nowMs = replication.nowMs();
    if (nowMs - this.#timers.nextDeadlineMs() <= SLEPT_MS) return;
    for (const { raft } of replication.replicas) raft.slept(nowMs);
  }
}

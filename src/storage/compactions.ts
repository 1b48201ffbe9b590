/**
 * Compaction of a shard's logs, one at a time, and the files that it has replaced.
 *
 * A replaced file stays until both slots of the checkpoint have rows that were taken after its replacement: whichever of them
 * a start has to use, the files that its rows name are there. While there are such files, checkpoints are made though the
 * journal needs none.
 *
 * @module
 */

import type { Task } from "../io/task.ts";
import {
  type CompactionOrder,
  type CompactionResult,
  CompactionRound,
  planOf,
} from "./compaction.ts";
import type { CompactionPlan, CompactionPolicy } from "./compaction_plan.ts";
import type { LogParts } from "./log_parts.ts";
import type { PartitionLog } from "./partition_log.ts";
import type { Segment } from "./segment.ts";

/** Checkpoints that are begun and end after a replacement before its files go: one for each slot. */
const CHECKPOINTS = 2;
/** Such a checkpoint is begun so long after the one before (ms). */
const CHECKPOINT_PAUSE_MS = 10_000;

interface Replaced {
  readonly segment: Segment;
  /** Checkpoints that are still to come. */
  left: number;
}

export class Compactions {
  readonly #parts: LogParts;
  readonly #logs: ReadonlyMap<number, PartitionLog>;
  #replaced: Replaced[] = [];
  /** The log that a round is under way in. */
  #log: PartitionLog | null = null;
  #isCheckpointing = false;
  #checkpointMs = -Infinity;

  constructor(parts: LogParts, logs: ReadonlyMap<number, PartitionLog>) {
    this.#parts = parts;
    this.#logs = logs;
  }

  /** Bytes of replaced files that are still there. */
  get replacedBytes(): number {
    return this.#replaced.reduce((sum, { segment }) => sum + segment.reservedEnd, 0);
  }

  /** What a round would do with a log now; null: nothing. */
  plan(groupId: number, policy: CompactionPolicy, nowMs: number): CompactionPlan | null {
    const log = this.#logs.get(groupId);
    return log === undefined || log === this.#log ? null : planOf(log, policy, nowMs);
  }

  /** Compacts a log, if a plan for it is due; null: there is none, or another round is under way. */
  *compact(groupId: number, order: CompactionOrder): Task<CompactionResult | null> {
    const log = this.#logs.get(groupId);
    if (log === undefined || this.#log !== null) return null;
    const plan = planOf(log, order.policy, order.nowMs);
    if (plan === null || !plan.isDue) return null;
    this.#log = log;
    const round = new CompactionRound(this.#parts, log, order, plan, (group, by) => {
      this.swap(log, group, by);
    });
    const result = yield* round.run();
    this.#log = null;
    return result;
  }

  /** Waits for the end of a round in a log that was deleted: its file must not be made after the directory went. */
  *leave(log: PartitionLog): Task<void> {
    while (this.#log === log) yield* this.#parts.nextTurn();
  }

  /** Whether a checkpoint is wanted for the sake of replaced files. */
  wantsCheckpoint(nowMs: number): boolean {
    return this.#replaced.length > 0 && nowMs - this.#checkpointMs >= CHECKPOINT_PAUSE_MS;
  }

  checkpointBegins(nowMs: number): void {
    this.#isCheckpointing = true;
    this.#checkpointMs = nowMs;
  }

  checkpointEnds(isWritten: boolean): void {
    this.#isCheckpointing = false;
    if (!isWritten || this.#replaced.length === 0) return;
    for (const each of this.#replaced) each.left--;
    for (const { segment, left } of this.#replaced) if (left === 0) this.#parts.retire(segment, 0);
    this.#replaced = this.#replaced.filter(({ left }) => left > 0);
  }

  /** Puts a segment in the place of others in a log; their files stay until no slot names them. */
  swap(log: PartitionLog, group: readonly Segment[], by: Segment): void {
    log.chain.replace(group, by);
    // The rows of a checkpoint under way may have been taken before.
    const left = CHECKPOINTS + (this.#isCheckpointing ? 1 : 0);
    for (const segment of group) {
      this.#parts.writer.forget(segment);
      this.#replaced.push({ segment, left });
    }
  }
}

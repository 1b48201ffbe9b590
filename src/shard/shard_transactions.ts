/**
 * What a shard has of transactions: coordinators, the way to the partitions of transactions, and the guard before those that this
 * shard owns.
 *
 * @module
 */

import type { PartitionImage } from "../cluster/image.ts";
import type { Task } from "../io/task.ts";
import { controllerIdOf, reachableLeader } from "../kafka/topic_views.ts";
import { TransactionGuard } from "../kafka/transaction_guard.ts";
import { transactionConfigOf } from "../txn/config.ts";
import { MarkerAppends } from "./marker_appends.ts";
import { ShardMarkerSender } from "./marker_sender.ts";
import { askNode } from "./node_requests.ts";
import type { Shard } from "./shard.ts";
import { COORDINATOR_SNAPSHOTS } from "./shard_options.ts";
import { coordinatorQuestions } from "./transaction_questions.ts";
import { TransactionRuntime } from "./transaction_runtime.ts";

/** How long a partition's leader may take to write a transaction's markers, before it is asked again (ms). */
const MARKERS_WAIT_MS = 5_000;

export class ShardTransactions {
  readonly guard: TransactionGuard;
  readonly markers: MarkerAppends;
  readonly coordinators: TransactionRuntime;

  /** @param onAnswer produced batches that wait may be tried again */
  constructor(shard: Shard, onAnswer: () => void) {
    const { options, image, leaders, live, settings, partitions } = shard;
    const { memory, blocks, mailboxes, nodeId, timers, nowMs, clock } = options;
    const wallMs = (): number => clock.wallMs();
    this.guard = new TransactionGuard(coordinatorQuestions(shard), onAnswer);
    this.markers = new MarkerAppends(
      memory,
      blocks,
      wallMs,
      (partition) => shard.groups.appenderOf(partition),
      (groupId, producerId) => this.guard.forget(groupId, producerId),
    );
    this.coordinators = new TransactionRuntime({
      ...options,
      clockMs: () => clock.monotonicMs(),
      config: transactionConfigOf(settings),
      image,
      shardCount: mailboxes.shardCount,
      wallMs,
      snapshots: options.snapshots ?? COORDINATOR_SNAPSHOTS,
      markers: new ShardMarkerSender({
        image,
        timers,
        nowMs,
        leaderOf: (partition: PartitionImage) =>
          reachableLeader({ nodeId, leaders, live }, partition),
        isCurrent: () => partitions.isCurrent && controllerIdOf({ nodeId, leaders, live }) >= 0,
        ask: (...question) => askNode(shard, ...question, MARKERS_WAIT_MS),
      }),
    });
    partitions.listen(this.coordinators);
    partitions.listen(this.markers);
  }

  /** Appends may be tried again. */
  retry(): void {
    this.coordinators.retry();
    this.markers.retry();
  }

  stop(): Task<void> {
    return this.coordinators.stop();
  }
}

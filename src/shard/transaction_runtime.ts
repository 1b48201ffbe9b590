/**
 * The transaction coordinators of a shard: one for each partition of `__transaction_state` that it owns.
 *
 * As with the groups' (`group_runtime.ts`): a coordinator is created when its partition begins to lead, replays the
 * partition's records, and serves until this node ceases to lead.
 *
 * @module
 */

import { LogLevel } from "../base/logger.ts";
import type { ClusterImage } from "../cluster/image.ts";
import { TRANSACTIONS_TOPIC } from "../cluster/topic_names.ts";
import { groupPartition } from "../group/group_partition.ts";
import { runTask, type Task } from "../io/task.ts";
import { Timer } from "../io/timers.ts";
import { AppliedLog, type AppliedLogOptions, type StateMachine } from "../kafka/applied_log.ts";
import type { Partition, PartitionObserver } from "../kafka/partition.ts";
import type { TransactionConfig } from "../txn/config.ts";
import {
  type MarkerOrder,
  TransactionCoordinator,
  type TransactionLog,
} from "../txn/coordinator.ts";
import type { TransactionDirectory } from "../txn/directory.ts";
import type { TransactionRecord } from "../txn/records.ts";
import { appendErrorOf } from "./group_runtime.ts";
import { DAMAGE_REMEDY } from "./node_health.ts";
import { type OwnershipListener, shardOfGroupId } from "./partition_table.ts";

/** How often coordinators are asked whether something is due (ms). */
const TICK_MS = 100;

/** Writes a transaction's markers, whoever leads its partitions. */
export interface MarkerSender {
  /**
   * @param coordinatorEpoch of who asks: a later one counts more
   * @param isWanted asked before each attempt
   * @param done whether all partitions have their marker
   */
  write(
    order: MarkerOrder,
    coordinatorEpoch: number,
    isWanted: () => boolean,
    done: (isWritten: boolean) => void,
  ): void;
}

export interface TransactionRuntimeOptions extends AppliedLogOptions {
  readonly config: TransactionConfig;
  readonly image: ClusterImage;
  readonly shardCount: number;
  readonly markers: MarkerSender;
}

/** One partition of the topic, and its coordinator while this node leads it. */
class CoordinatedPartition implements TransactionLog, PartitionObserver, StateMachine {
  readonly log: AppliedLog;
  /** Loading until it is known who leads; null while another node does. */
  coordinator: TransactionCoordinator | null;
  readonly #options: TransactionRuntimeOptions;
  readonly #partition: Partition;

  constructor(partition: Partition, options: TransactionRuntimeOptions) {
    this.#options = options;
    this.#partition = partition;
    this.log = new AppliedLog(partition, this, options);
    this.coordinator = this.#newCoordinator();
    partition.observer = this;
    if (partition.leading) this.onLeading();
    else if (partition.replica.readOnly) this.#takeOffline(partition);
  }

  apply(key: Uint8Array | null, value: Uint8Array | null): string | null {
    return key === null ? "it has no key" : this.coordinator!.replay(key, value);
  }

  snapshot(): Iterable<TransactionRecord> {
    return this.coordinator!.snapshotRecords();
  }

  append(records: readonly TransactionRecord[], done: (errorCode: number) => void): void {
    this.log.append(records, (result) => done(appendErrorOf(result)));
  }

  onLeading(): void {
    const coordinator = this.coordinator ??= this.#newCoordinator();
    const { nowMs, wallMs } = this.#options;
    runTask(this.log.load(), (loaded) => {
      if (loaded !== null) coordinator.loaded(nowMs(), wallMs());
    });
  }

  onFollowing(): void {
    this.log.unload();
    this.coordinator?.unload();
    this.coordinator = null;
  }

  onCommit(): void {
    this.log.onCommit();
  }

  #takeOffline({ log, image }: Partition): void {
    this.coordinator!.takeOffline();
    this.#options.logger.log(
      LogLevel.ERROR,
      "Transactions have no coordinator: the partition that keeps them is damaged, so nothing can be written to it",
      {
        partition: `${image.topic.name}-${image.index}`,
        directory: log.directory,
        remedy: DAMAGE_REMEDY,
      },
    );
  }

  #newCoordinator(): TransactionCoordinator {
    const { config, markers } = this.#options;
    const coordinator: TransactionCoordinator = new TransactionCoordinator({
      config,
      log: this,
      writeMarkers: (order, done) => {
        const { leaderEpoch } = this.#partition;
        markers.write(order, leaderEpoch, () => coordinator.active, done);
      },
    });
    return coordinator;
  }
}

export class TransactionRuntime implements OwnershipListener, TransactionDirectory {
  readonly #options: TransactionRuntimeOptions;
  readonly #coordinated = new Map<number, CoordinatedPartition>();
  readonly #timer: Timer;

  constructor(options: TransactionRuntimeOptions) {
    this.#options = options;
    this.#timer = new Timer(() => this.#tick());
    options.timers.schedule(this.#timer, options.nowMs() + TICK_MS);
  }

  coordinatorFor(transactionalId: string): TransactionCoordinator | null {
    return this.#coordinated.get(this.#partitionOf(transactionalId))?.coordinator ?? null;
  }

  shardOfTransaction(transactionalId: string): number {
    const topic = this.#options.image.topicByName(TRANSACTIONS_TOPIC);
    const partition = topic?.partitions[this.#partitionOf(transactionalId)];
    if (partition === undefined) return 0;
    return shardOfGroupId(partition.groupId, this.#options.shardCount);
  }

  *all(): Iterable<TransactionCoordinator> {
    for (const { coordinator } of this.#coordinated.values()) {
      if (coordinator !== null) yield coordinator;
    }
  }

  partitionOpened(partition: Partition): void {
    if (partition.image.topic.name !== TRANSACTIONS_TOPIC) return;
    const coordinated = new CoordinatedPartition(partition, this.#options);
    this.#coordinated.set(partition.image.index, coordinated);
  }

  partitionClosed(partition: Partition): void {
    if (partition.image.topic.name !== TRANSACTIONS_TOPIC) return;
    this.#coordinated.get(partition.image.index)?.onFollowing();
    this.#coordinated.delete(partition.image.index);
  }

  /** Appends may be tried again. */
  retry(): void {
    for (const { log } of this.#coordinated.values()) log.retry();
  }

  /** Writes snapshots of small states; coordinators get no more requests. */
  *stop(): Task<void> {
    this.#options.timers.cancel(this.#timer);
    for (const { log } of this.#coordinated.values()) yield* log.stop();
  }

  #partitionOf(transactionalId: string): number {
    const topic = this.#options.image.topicByName(TRANSACTIONS_TOPIC);
    if (topic === undefined || topic.partitions.length === 0) return -1;
    return groupPartition(transactionalId, topic.partitions.length);
  }

  #tick(): void {
    const nowMs = this.#options.nowMs();
    const wallMs = this.#options.wallMs();
    for (const { coordinator, log } of this.#coordinated.values()) {
      if (coordinator === null) continue;
      if (coordinator.nextDeadlineMs() <= nowMs) coordinator.tick({ nowMs, wallMs });
      log.retry();
    }
    this.#options.timers.schedule(this.#timer, nowMs + TICK_MS);
  }
}

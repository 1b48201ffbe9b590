/**
 * The group coordinators of a shard: one for each partition of `__consumer_offsets` that it owns.
 *
 * A coordinator is created when its partition begins to lead, replays the partition's records, and serves
 * until this node ceases to lead. Its appended records come back to its `replay` after the commit, in order. One
 * timer of the shard drives it.
 *
 * @module
 */

import { LogLevel } from "../base/logger.ts";
import type { Random } from "../base/prng.ts";
import type { EventLog } from "../base/event_log.ts";
import { ResourceType } from "../cluster/config_table.ts";
import type { ClusterImage } from "../cluster/image.ts";
import { OFFSETS_TOPIC } from "../cluster/topic_names.ts";
import type { GroupConfig } from "../group/config.ts";
import { consumerConfigOf, type GroupWorld } from "../group/consumer/config.ts";
import { GroupCoordinator } from "../group/coordinator.ts";
import { groupPartition } from "../group/group_partition.ts";
import type { CoordinatorLog, RecordsProducer } from "../group/group_table.ts";
import type { GroupRecord } from "../group/records.ts";
import { EIO, ENOSPC } from "../io/errno.ts";
import type { RegexEngine } from "../io/regexes.ts";
import { runTask, type Task } from "../io/task.ts";
import { Timer } from "../io/timers.ts";
import { AppliedLog, type AppliedLogOptions, type StateMachine } from "../kafka/applied_log.ts";
import type { Partition, PartitionObserver } from "../kafka/partition.ts";
import type { RecordAppender } from "../kafka/record_appender.ts";
import { ErrorCode } from "../wire/errors.ts";
import { DAMAGE_REMEDY } from "./node_health.ts";
import { ImageTopics } from "./group_topics.ts";
import { type OwnershipListener, shardOfGroupId } from "./partition_table.ts";

/** How often coordinators are asked whether something is due (ms). */
const TICK_MS = 20;

export interface GroupRuntimeOptions extends AppliedLogOptions {
  readonly config: GroupConfig;
  readonly random: Random;
  readonly image: ClusterImage;
  readonly regexes: RegexEngine;
  readonly events: EventLog;
  readonly shardCount: number;
}

/** One partition of the offsets topic, and its coordinator while this node leads it. */
class CoordinatedPartition implements CoordinatorLog, PartitionObserver, StateMachine {
  readonly log: AppliedLog;
  /** Loading until it is known who leads; null while another node does. */
  coordinator: GroupCoordinator | null;
  readonly #options: GroupRuntimeOptions;
  readonly #world: GroupWorld;
  readonly #partition: Partition;

  constructor(partition: Partition, options: GroupRuntimeOptions, world: GroupWorld) {
    this.#options = options;
    this.#world = world;
    this.#partition = partition;
    this.log = new AppliedLog(partition, this, options);
    this.coordinator = this.#newCoordinator();
    partition.observer = this;
    if (partition.leading) this.onLeading();
    else if (partition.replica.readOnly) this.#takeOffline(partition);
  }

  get isInTouch(): boolean {
    return this.#partition.isInTouch;
  }

  apply(key: Uint8Array | null, value: Uint8Array | null): string | null {
    return key === null ? "it has no key" : this.coordinator!.replay(key, value);
  }

  applyPending(
    producerId: number,
    key: Uint8Array | null,
    value: Uint8Array | null,
  ): string | null {
    return key === null ? "it has no key" : this.coordinator!.replayPending(producerId, key, value);
  }

  endTransaction(producerId: number, isCommit: boolean): void {
    this.coordinator!.endTransaction(producerId, isCommit);
  }

  snapshot(): Iterable<GroupRecord> {
    return this.coordinator!.table.snapshotRecords();
  }

  append(
    records: readonly GroupRecord[],
    done: (errorCode: number) => void,
    producer: RecordsProducer | null = null,
  ): void {
    this.log.append(records, (result) => done(appendErrorOf(result)), producer);
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
      "Groups have no coordinator: the partition that keeps them is damaged, so nothing can be written to it",
      {
        partition: `${image.topic.name}-${image.index}`,
        directory: log.directory,
        remedy: DAMAGE_REMEDY,
      },
    );
  }

  #newCoordinator(): GroupCoordinator {
    const { config, random, events } = this.#options;
    return new GroupCoordinator({
      config,
      random,
      log: this,
      world: this.#world,
      onGroup: (message, fields) => events.note(message, fields),
    });
  }
}

/** What the refusal of an append says of the coordinator. */
export function appendErrorOf(result: number): ErrorCode {
  switch (result) {
    case 0:
      return ErrorCode.NONE;
    case -ENOSPC:
      return ErrorCode.KAFKA_STORAGE_ERROR;
    case -EIO:
      return ErrorCode.COORDINATOR_NOT_AVAILABLE;
    default:
      return ErrorCode.NOT_COORDINATOR;
  }
}

export class GroupRuntime implements OwnershipListener {
  readonly #options: GroupRuntimeOptions;
  readonly #world: GroupWorld;
  readonly #coordinated = new Map<number, CoordinatedPartition>();
  readonly #timer: Timer;

  constructor(options: GroupRuntimeOptions) {
    this.#options = options;
    const { image, regexes } = options;
    this.#world = {
      topics: new ImageTopics(image),
      regexes,
      configOf: (groupId) =>
        consumerConfigOf(image.settings, image.configs.get(ResourceType.GROUP, groupId)),
    };
    this.#timer = new Timer(() => this.#tick());
    options.timers.schedule(this.#timer, options.nowMs() + TICK_MS);
    options.image.listen({
      topicRemoved: ({ name }) => {
        for (const coordinator of this.all()) coordinator.topicsDeleted([name]);
      },
    });
  }

  /** The coordinator of a group, if its partition is this shard's. */
  coordinatorFor(groupId: string): GroupCoordinator | null {
    return this.coordinatorOf(this.#partitionOf(groupId));
  }

  isInTouch(groupId: string): boolean {
    return this.#coordinated.get(this.#partitionOf(groupId))?.isInTouch === true;
  }

  /** The coordinator of the groups in partition `index` of the offsets topic, if it is this shard's. */
  coordinatorOf(index: number): GroupCoordinator | null {
    return this.#coordinated.get(index)?.coordinator ?? null;
  }

  /** The shard that owns a group's partition; this one's own number while there is no such topic. */
  shardOfGroup(groupId: string): number {
    const topic = this.#options.image.topicByName(OFFSETS_TOPIC);
    const partition = topic?.partitions[this.#partitionOf(groupId)];
    if (partition === undefined) return 0;
    return shardOfGroupId(partition.groupId, this.#options.shardCount);
  }

  *all(): Iterable<GroupCoordinator> {
    for (const { coordinator } of this.#coordinated.values()) {
      if (coordinator !== null) yield coordinator;
    }
  }

  partitionOpened(partition: Partition): void {
    if (partition.image.topic.name !== OFFSETS_TOPIC) return;
    const coordinated = new CoordinatedPartition(partition, this.#options, this.#world);
    this.#coordinated.set(partition.image.index, coordinated);
  }

  partitionClosed(partition: Partition): void {
    if (partition.image.topic.name !== OFFSETS_TOPIC) return;
    const coordinated = this.#coordinated.get(partition.image.index);
    coordinated?.onFollowing();
    this.#coordinated.delete(partition.image.index);
  }

  /** Who appends to a partition of groups: markers stand in one line with the offsets of their transactions. */
  appenderOf({ image }: Partition): RecordAppender | null {
    if (image.topic.name !== OFFSETS_TOPIC) return null;
    return this.#coordinated.get(image.index)?.log.appender ?? null;
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

  #partitionOf(groupId: string): number {
    const topic = this.#options.image.topicByName(OFFSETS_TOPIC);
    if (topic === undefined || topic.partitions.length === 0) return -1;
    return groupPartition(groupId, topic.partitions.length);
  }

  #tick(): void {
    const nowMs = this.#options.nowMs();
    const wallMs = this.#options.wallMs();
    for (const { coordinator, log } of this.#coordinated.values()) {
      if (coordinator === null) continue;
      if (coordinator.nextDeadlineMs() <= nowMs) coordinator.tick(nowMs, wallMs);
      log.retry();
    }
    this.#options.timers.schedule(this.#timer, nowMs + TICK_MS);
  }
}

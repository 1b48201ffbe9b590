/**
 * The partitions that a shard owns, according to its image of the cluster.
 *
 * A group belongs to shard `groupId % shardCount`: nothing on disk depends on it, and another number of
 * cores spreads the groups differently. When the image gains a partition of this shard, its log is
 * taken from storage or created; when it loses one, the log is deleted.
 *
 * The image may be older than the logs: a start replays what it knows to be committed, and learns the rest from others.
 * So a log is created, or deleted because this node should not hold it, and a replica goes on without the others, only
 * when the image is not older than this start ({@linkcode PartitionTable.noteCurrent}): a replica that is made again after
 * it was removed has forgotten its votes, and one that is deleted may have been wanted again. Whose log it is says its incarnation
 * (`cluster/partition_image.ts`).
 *
 * Leader epochs. A topic that reuses a name must be distinguishable from its predecessor by its epochs, or a
 * consumer of the old topic continues at its position and misses the records before it: clients ask where "their" epoch
 * ends (OffsetForLeaderEpoch) and read on from there. So a new partition begins above everything that
 * any older one had. On a node alone the controller's term grows with every start, which is all by which other epochs
 * grow, and group ids grow with every partition: their sum is above all sums before it. In a cluster epochs also grow by
 * elections of the groups themselves: the record of a topic's removal says how far they had got, and the records of later
 * partitions say so, too (`epochFloor`).
 *
 * @module
 */

import type { ImageListener, PartitionImage, TopicImage } from "../cluster/image.ts";
import { IN_SYNC_BITS } from "../cluster/leaders.ts";
import { runTask } from "../io/task.ts";
import { Partition, type PartitionDirectory, type PartitionOwner } from "../kafka/partition.ts";
import { PartitionLimits } from "../kafka/partition_limits.ts";
import type { MakeReplica } from "../replication/replica.ts";
import { CONTROLLER_GROUP_ID, EPOCH_FLOOR_MAX } from "../cluster/records.ts";
import type { WatchedReplica } from "./replica_health.ts";
import { LOG_BUSY } from "../storage/log.ts";
import type { ShardStorage } from "../storage/shard_storage.ts";
import { ErrorCode } from "../wire/errors.ts";
import type { LedGroup } from "./leader_feed.ts";

/** Logs looked at by one call of {@linkcode PartitionTable.expireProducers}. */
const EXPIRE_SLICE_LOGS = 256;

/** The shard that owns a group. */
export function shardOfGroupId(groupId: number, shardCount: number): number {
  return groupId % shardCount;
}

/** Incarnation of the log of a replica. */
function incarnationOfLog(since: number): number {
  return 1 + since;
}

/** Told of partitions that this shard begins or ceases to own. */
export interface OwnershipListener {
  partitionOpened(partition: Partition): void;
  partitionClosed(partition: Partition): void;
}

/** Who else may have a copy of the metadata. */
export interface MetadataHolders {
  /** Null: that was not noted. */
  readonly notedKeepers: readonly unknown[] | null;
  /** They may still be given up, so that the loss of this node's log would be accepted. */
  readonly isLossUndecided: boolean;
}

/** What a table is told, and needs from its shard. */
export interface PartitionTableOptions extends PartitionOwner {
  readonly nodeId: number;
  /** Which life of the node this is (`memberIncarnation`). */
  readonly life: number;
  readonly shardCount: number;
  readonly makeReplica: MakeReplica;
  /** The loss of a log that damage has cut was accepted, or is not because other nodes have the log, too. */
  readonly onDamaged: (partition: Partition, isAccepted: boolean) => void;
  /** Told when the image is not older than this start. */
  readonly onCurrent: () => void;
  /** Above the leader epochs that a partition may have had which begins again; 0 when absent. */
  readonly epochFloor?: () => number;
  /** Who else has the metadata; absent: that was not noted. */
  readonly metadata?: () => MetadataHolders;
  /** The image's partition of this group. */
  readonly imageOf: (groupId: number) => PartitionImage | undefined;
}

/** The replicas in sync of a partition that this node leads, a bit each. Often asked: it allocates nothing. */
export function inSyncBits({ image: { replicas }, replica }: Partition): number {
  let bits = 0;
  for (let at = 0; at < replicas.length && at < IN_SYNC_BITS; at++) {
    if (replica.inSyncOffset(replicas[at]!) >= 0) bits |= 1 << at;
  }
  return bits;
}

/** A partition that this node leads, as other nodes are told of it. */
export function ledGroup(partition: Partition): LedGroup {
  const { image: { groupId }, leaderEpoch } = partition;
  return { groupId, epoch: leaderEpoch, inSync: inSyncBits(partition) };
}

export class PartitionTable implements PartitionDirectory, ImageListener {
  readonly #storage: ShardStorage;
  readonly #options: PartitionTableOptions;
  readonly #owner: PartitionOwner;
  readonly #partitions = new Map<number, Partition>();
  readonly #listeners: OwnershipListener[] = [];
  /** The controller's term of this start; known before the first partition is added. */
  controllerTerm = 0;
  /** `--accept-loss`: logs that damage has cut are written again, unless other nodes have them. */
  acceptsLoss = false;
  /** Not started: the image may not know yet who else has them, and the journal takes a limited number of such logs at once. */
  #accepting: Partition[] = [];
  #isFrozen = false;
  #isCurrent = false;
  /** Partitions that have no log, and get none as long as it is so. */
  readonly #withoutLog = new Set<PartitionImage>();
  /** Groups whose log is being deleted, and what is to follow. */
  readonly #deleting = new Map<number, PartitionImage | null>();
  /** The position of the round of {@linkcode expireProducers}. */
  #expiring: MapIterator<Partition> | null = null;
  /** Opened, and its leader not known yet, oldest first, with the number of its opening. */
  readonly #opening = new Map<Partition, number>();
  #openings = 0;
  /** Waiters for all openings up to a number; oldest first. */
  #settledWaiters: { readonly upTo: number; readonly done: () => void }[] = [];

  constructor(storage: ShardStorage, options: PartitionTableOptions) {
    this.#storage = storage;
    this.#options = options;
    this.#owner = {
      onWritable: options.onWritable,
      onLeading: (partition) => {
        this.#settle(partition);
        options.onLeading(partition);
      },
      onFollowing: (partition) => {
        if (partition.replica.leaderId >= 0) this.#settle(partition);
        options.onFollowing(partition);
      },
    };
  }

  /**
   * The metadata may lack commands, so that a topic may be deleted or have other settings: no log is created, and no
   * record is removed because of its age or the log's size.
   */
  freeze(): void {
    this.#isFrozen = true;
  }

  /** The metadata is complete. */
  thaw(): void {
    this.#isFrozen = false;
    this.#openWaiting();
  }

  /** The image knows everything that was committed before this start. */
  noteCurrent(): void {
    if (this.#isCurrent) return;
    this.#isCurrent = true;
    if (this.#isFrozen) return;
    // The start before may have been cut short.
    for (const partition of this.#partitions.values()) this.#forceIfSaid(partition);
    for (const groupId of [...this.#storage.logs.keys()]) {
      const image = this.#options.imageOf(groupId);
      if (image !== undefined && !this.#partitions.has(groupId)) this.#reconsider(image);
    }
    this.#openWaiting();
    this.#options.onCurrent();
  }

  get isCurrent(): boolean {
    return this.#isCurrent;
  }

  /** Logs may be created, and deleted where others hold the partition now. */
  get mayChangeLogs(): boolean {
    return this.#isCurrent && !this.#isFrozen;
  }

  /**
   * Whether an extent of a group's log that cannot be read may be given up: nobody can send it. What a log that is not suspect
   * says of its members is true; others that are only on their way to it do not have the extent.
   */
  mayGiveUp(groupId: number): boolean {
    const partition = this.#partitions.get(groupId);
    if (partition === undefined) return false;
    if (!partition.log.suspect) return partition.replica.voterCount === 1;
    return this.#isWhoElseKnown(partition) && this.#hasNoOther(partition);
  }

  /** An older image does not know who has got a log since. */
  #isWhoElseKnown({ image: { groupId } }: Partition): boolean {
    return this.mayChangeLogs || groupId === CONTROLLER_GROUP_ID;
  }

  /**
   * Whether no other node has the log. What a damaged log says of its members may lack the last ones, or that others have
   * left: what the metadata has of a partition counts more. Of the metadata's own log nobody else may be known, because the
   * manifest is lost.
   */
  #hasNoOther({ image: { holders, groupId }, replica: { voterCount } }: Partition): boolean {
    if (groupId !== CONTROLLER_GROUP_ID) return holders.length === 1;
    const keepers = this.#options.metadata?.().notedKeepers ?? null;
    return keepers === null ? holders.length <= 1 && voterCount === 1 : keepers.length === 0;
  }

  /** Its log is damaged, and whether that can be accepted is not known yet. */
  isUndecided(partition: Partition): boolean {
    return this.#accepting.includes(partition);
  }

  #openWaiting(): void {
    if (!this.mayChangeLogs) return;
    const waiting = [...this.#withoutLog];
    this.#withoutLog.clear();
    for (const image of waiting) this.partitionAdded(image);
  }

  listen(listener: OwnershipListener): void {
    this.#listeners.push(listener);
  }

  byGroup(groupId: number): Partition | undefined {
    return this.#partitions.get(groupId);
  }

  absenceOf(groupId: number): ErrorCode {
    return this.#options.imageOf(groupId) !== undefined
      ? ErrorCode.NOT_LEADER_OR_FOLLOWER
      : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
  }

  all(): Iterable<Partition> {
    return this.#partitions.values();
  }

  get count(): number {
    return this.#partitions.size;
  }

  /** The groups that this node leads, with their terms and the replicas that keep up. */
  *led(): Iterable<LedGroup> {
    for (const partition of this.#partitions.values()) {
      if (partition.leading) yield ledGroup(partition);
    }
  }

  /** The replicas of topics' partitions, by name. */
  *watched(): Iterable<WatchedReplica> {
    for (const { image, replica } of this.#partitions.values()) {
      const { topic, index, groupId, replicas, removing } = image;
      if (groupId === CONTROLLER_GROUP_ID) continue;
      const wanted = replicas.length - removing.length;
      yield { name: `${topic.name}/${index}`, wanted, replica };
    }
  }

  partitionAdded(image: PartitionImage): void {
    if (shardOfGroupId(image.groupId, this.#options.shardCount) !== this.#storage.shard) return;
    this.#reconsider(image);
  }

  partitionChanged(image: PartitionImage): void {
    const { groupId } = image;
    if (shardOfGroupId(groupId, this.#options.shardCount) !== this.#storage.shard) return;
    const partition = this.#partitions.get(groupId);
    const isHeld = partition !== undefined && this.#isOwnLog(image, partition.log.incarnation);
    if (partition !== undefined && !isHeld) this.#close(partition);
    if (!isHeld) this.#reconsider(image);
    else this.#forceIfSaid(partition);
  }

  /** Whether a log of this incarnation is that of the replica which this node should hold. */
  #isOwnLog(image: PartitionImage, incarnation: number): boolean {
    const { nodeId, life } = this.#options;
    const holder = image.incarnationOf(nodeId, life) === null ? null : image.holderOf(nodeId);
    return holder !== null && incarnation === incarnationOfLog(holder.since);
  }

  /** Opens a partition that this node should hold, or deletes a log that it should not; what cannot be done yet waits. */
  #reconsider(image: PartitionImage): void {
    const { groupId } = image;
    const { nodeId, life } = this.#options;
    if (this.#deleting.has(groupId)) {
      this.#deleting.set(groupId, image);
      return;
    }
    const log = this.#storage.logs.get(groupId);
    const incarnation = image.incarnationOf(nodeId, life);
    if (log !== undefined && !this.#isOwnLog(image, log.incarnation)) {
      this.#withoutLog.add(image);
      // The image may not know yet whose log that is.
      const last = image.holderOf(nodeId)?.since ?? image.change;
      if (!this.mayChangeLogs || log.incarnation > incarnationOfLog(last)) return;
      return this.#deleteLog(groupId, image);
    }
    if (incarnation === null) return;
    if (log === undefined && !this.mayChangeLogs) {
      this.#withoutLog.add(image);
      return;
    }
    this.#withoutLog.delete(image);
    const partition = this.open(image, new PartitionLimits(image.topic.config), incarnation);
    if (!this.#accepting.includes(partition)) this.#tellOpened(partition);
    this.#forceIfSaid(partition);
  }

  /**
   * The replica goes on alone if the metadata says so now. An older image may say it of a partition that has other
   * replicas again, which have elected one of them since.
   */
  #forceIfSaid({ image, replica }: Partition): void {
    if (image.isForced && this.mayChangeLogs) replica.force();
  }

  #deleteLog(groupId: number, next: PartitionImage | null): void {
    this.#deleting.set(groupId, next);
    runTask(this.#storage.deleteLog(groupId), () => {
      const image = this.#deleting.get(groupId);
      this.#deleting.delete(groupId);
      if (image === null || image === undefined) return;
      this.#withoutLog.delete(image);
      this.#reconsider(image);
    });
  }

  #close(partition: Partition): void {
    const { groupId } = partition.image;
    this.#partitions.delete(groupId);
    this.#settle(partition);
    partition.close();
    for (const listener of this.#listeners) listener.partitionClosed(partition);
  }

  topicRemoved(topic: TopicImage): void {
    for (const image of topic.partitions) {
      const { groupId } = image;
      this.#withoutLog.delete(image);
      const partition = this.#partitions.get(groupId);
      if (partition !== undefined) this.#close(partition);
      if (this.#deleting.has(groupId)) this.#deleting.set(groupId, null);
      else if (this.#storage.logs.has(groupId)) this.#deleteLog(groupId, null);
    }
  }

  topicConfigChanged(topic: TopicImage): void {
    for (const { groupId } of topic.partitions) {
      this.#partitions.get(groupId)?.configure(new PartitionLimits(topic.config));
    }
  }

  /**
   * Takes over or creates the log of a group.
   *
   * @param incarnation of this node as a member of it; null: as the first configuration says
   */
  open(image: PartitionImage, limits: PartitionLimits, incarnation: number | null): Partition {
    const { groupId } = image;
    const log = this.#storage.logs.get(groupId) ?? this.#storage.createLog({
      groupId,
      incarnation: incarnationOfLog(image.holderOf(this.#options.nodeId)?.since ?? 0),
      name: `${image.topic.name}-${image.index}`,
      segmentLimits: limits.segments,
      listener: null,
    });
    const sum = this.controllerTerm === 0 ? 0 : this.controllerTerm + groupId;
    const floor = Math.max(sum, image.epochFloor, this.#options.epochFloor?.() ?? 0);
    const termFloor = Math.min(EPOCH_FLOOR_MAX, floor);
    const voters = image.beginners;
    const self = incarnation === null ? {} : { incarnation };
    const isActedUpon = groupId === CONTROLLER_GROUP_ID;
    const group = { groupId, voters, termFloor, isActedUpon, ...self };
    const replica = this.#options.makeReplica(log, group);
    const partition = new Partition(image, replica, this.#owner);
    partition.configure(limits);
    this.#partitions.set(groupId, partition);
    const isCut = log.suspect;
    const isReady = !isCut || !this.acceptsLoss || this.#acceptLoss(partition);
    if (!replica.readOnly || !isReady) this.#opening.set(partition, ++this.#openings);
    if (isReady) this.#start(partition, isCut);
    else this.#accepting.push(partition);
    return partition;
  }

  /** Goes on with the logs whose loss could not be accepted yet; once a turn. */
  acceptMore(): void {
    while (this.#accepting.length > 0) {
      const partition = this.#accepting[0]!;
      if (!partition.gone && !this.#acceptLoss(partition)) return;
      this.#accepting.shift();
      if (partition.gone) continue;
      this.#start(partition, true);
      if (partition.image.groupId !== CONTROLLER_GROUP_ID) this.#tellOpened(partition);
    }
  }

  /** @param wasCut its log was damaged, and may not be any more */
  #start({ log, replica }: Partition, wasCut: boolean): void {
    replica.start();
    // What says that the others have left was lost as well.
    if (wasCut && !log.suspect && replica.voterCount > 1) replica.force();
  }

  /** The replica is started: it is known whether its log can be written. */
  #tellOpened(partition: Partition): void {
    for (const listener of this.#listeners) listener.partitionOpened(partition);
  }

  /** False: not yet, because the log is busy, or the image may not know of other replicas. */
  #acceptLoss(partition: Partition): boolean {
    if (!this.#isWhoElseKnown(partition)) return false;
    const isAlone = this.#hasNoOther(partition);
    const isMetadata = partition.image.groupId === CONTROLLER_GROUP_ID;
    if (!isAlone && isMetadata && this.#options.metadata?.().isLossUndecided === true) return false;
    if (isAlone && partition.log.acceptLoss() === LOG_BUSY) return false;
    this.#options.onDamaged(partition, isAlone);
    return true;
  }

  /**
   * Calls `done` once every partition opened so far has a leader or is gone: a client that learns of a topic
   * finds it ready. Those opened later are not waited for, or a stream of them would never let it end.
   */
  whenSettled(done: () => void): void {
    if (this.#opening.size === 0) done();
    else this.#settledWaiters.push({ upTo: this.#openings, done });
  }

  #settle(partition: Partition): void {
    if (!this.#opening.delete(partition)) return;
    const oldest = this.#opening.values().next().value ?? Infinity;
    while (this.#settledWaiters.length > 0 && this.#settledWaiters[0]!.upTo < oldest) {
      this.#settledWaiters.shift()!.done();
    }
  }

  /**
   * Deletes logs of `removed` groups: a topic's deletion that a stop interrupted.
   *
   * @returns how many there were, and the directories of logs that are neither removed nor a partition's
   */
  deleteOrphans(removed: ReadonlySet<number>): { deleted: number; unowned: string[] } {
    let deleted = 0;
    const unowned: string[] = [];
    for (const [groupId, log] of [...this.#storage.logs]) {
      if (this.#partitions.has(groupId)) continue;
      if (removed.has(groupId)) {
        deleted++;
        runTask(this.#storage.deleteLog(groupId), () => {});
      } else if (this.#options.imageOf(groupId) === undefined) unowned.push(log.directory);
    }
    return { deleted, unowned };
  }

  /**
   * Drops producers silent for `expirationMs` from the next few logs (`producer.id.expiration.ms`).
   *
   * @returns whether the round through all logs continues with the next call
   */
  expireProducers(wallMs: number, expirationMs: number): boolean {
    const round = this.#expiring ??= this.#partitions.values();
    for (let i = 0; i < EXPIRE_SLICE_LOGS; i++) {
      const { value, done } = round.next();
      if (done === true) {
        this.#expiring = null;
        return false;
      }
      value.log.producers.expire(wallMs, expirationMs);
    }
    return true;
  }

  /** Applies `retention.ms` and `retention.bytes` to every partition. */
  applyRetention(wallMs: number): void {
    if (this.#isFrozen) return;
    for (const partition of this.#partitions.values()) {
      const { retentionMs, retentionBytes } = partition.limits;
      if (retentionMs < 0 && retentionBytes < 0) continue;
      if (!partition.leading && !partition.opening) continue;
      const { log, replica } = partition;
      const limits = { retentionMs, retentionBytes, limitOffset: partition.highWatermark };
      if (replica.isAlone) log.applyRetention(wallMs, limits);
      else {
        // Through the log, so that it moves on every replica, those that do not vote yet included.
        const offset = log.retentionOffset(wallMs, limits);
        if (offset > log.startOffset) replica.proposeTrim(offset);
      }
    }
  }
}

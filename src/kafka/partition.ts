/**
 * A partition as Kafka's APIs see it: a log, its replica on this node, and its waiters.
 *
 * Two kinds wait: produce requests for what they appended, in order, and fetches for any new data. Both are
 * notified in the turn in which a journal write completes, or in which this node ceases to lead.
 *
 * Lives on the shard that owns the group, from the topic's creation (or start-up) to its deletion.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import type { PartitionImage } from "../cluster/image.ts";
import {
  type MemberStatus,
  NOT_LEADER,
  type Replica,
  type ReplicaListener,
} from "../replication/replica.ts";
import { type Task, until } from "../io/task.ts";
import { type Log, LOG_BUSY, LOG_FAILED, LOG_TOO_LARGE } from "../storage/log.ts";
import { ErrorCode } from "../wire/errors.ts";
import { type AppendWaiter, AppendWaits, Loss } from "./append_waits.ts";
import type { PartitionLimits } from "./partition_limits.ts";

/** A produce request's acks that wait for the commit; 1 (and 0) wait until this node's disk has the records. */
export const ACKS_ALL = -1;

/** Waits for new data in any of several partitions. */
export interface DataWaiter {
  /** Changes each time the waiter stops waiting; older registrations are then void. */
  readonly waitEpoch: number;
  onData(): void;
}

/** Follows a partition for its shard's own sake (coordinators, the controller). */
export interface PartitionObserver {
  /** This node leads; everything that earlier leaders committed is below the high watermark. */
  onLeading(): void;
  /** It does not, or no longer. */
  onFollowing(): void;
  /** The high watermark advanced. */
  onCommit(): void;
}

/** What a partition reports to its shard. */
export interface PartitionOwner {
  /** Refused appends may be tried again. */
  readonly onWritable: () => void;
  /** The partition may be served from now on. */
  readonly onLeading: (partition: Partition) => void;
  /** It is led elsewhere, or by nobody (`replica.leaderId`); appends that wait for room will be refused. */
  readonly onFollowing: (partition: Partition) => void;
}

interface Trim {
  readonly index: number;
  readonly offset: number;
  readonly done: (result: number) => void;
}

export class Partition implements ReplicaListener {
  readonly image: PartitionImage;
  readonly log: Log;
  readonly replica: Replica;
  observer: PartitionObserver | null = null;
  #limits: PartitionLimits | null = null;
  readonly #owner: PartitionOwner;
  #gone = false;

  /** Waits of this leadership: for the commit, for more copies than that takes, and for this node's disk. */
  readonly #commitWaits = new AppendWaits();
  readonly #copiesWaits = new AppendWaits();
  readonly #durableWaits = new AppendWaits();
  /** Trims that are not committed or have not taken effect yet, oldest first. */
  readonly #trims: Trim[] = [];

  #dataWaiters: DataWaiter[] = [];
  #dataEpochs: number[] = [];
  #dataPurgeAt = 16;

  /** @param replica not started yet: whoever makes the partition starts it */
  constructor(image: PartitionImage, replica: Replica, owner: PartitionOwner) {
    this.image = image;
    this.log = replica.log;
    this.replica = replica;
    this.#owner = owner;
    replica.listener = this;
  }

  /** The topic's present configuration. */
  get limits(): PartitionLimits {
    assert(this.#limits !== null, "a partition is configured when it is opened");
    return this.#limits;
  }

  configure(limits: PartitionLimits): void {
    this.#limits = limits;
    this.log.segmentLimits = limits.segments;
  }

  get gone(): boolean {
    return this.#gone;
  }

  /** May be written by clients. */
  get leading(): boolean {
    return this.replica.leading && !this.#gone;
  }

  /** It has connections to a majority of the voters (of each set, while they change). */
  get isInTouch(): boolean {
    const { members } = this.replica.status();
    const isMajority = (voters: readonly MemberStatus[]): boolean =>
      2 * voters.filter(({ isUp }) => isUp).length > voters.length || voters.length === 0;
    return isMajority(members.filter(({ part }) => part === "voter")) &&
      isMajority(members.filter(({ wasVoter }) => wasVoter));
  }

  /** May be read by clients. */
  get readable(): boolean {
    return (this.replica.leading || this.replica.readOnly) && !this.#gone;
  }

  /** May be written by clients, who are answered when this node leads. */
  get opening(): boolean {
    return this.replica.opening && !this.#gone;
  }

  /** Nobody leads yet, and that is over in a moment: appends wait. */
  get undecided(): boolean {
    return this.replica.undecided && !this.#gone;
  }

  /** Any append would get LOG_BUSY now: cheap to ask before a batch is checked. */
  get busy(): boolean {
    return this.replica.handingOver || this.log.busy;
  }

  /** May be read by clients that want a replica near them: it follows a leader, and serves what it knows to be committed. */
  get followable(): boolean {
    const { leaderId, leading, overruled } = this.replica;
    return leaderId >= 0 && !leading && !this.log.suspect && !overruled && !this.#gone;
  }

  /**
   * The leader: which of some replicas a client at `offset` should read from.
   *
   * @param wanted a bit each, in the order of the replicas
   * @returns -1: this one, because it is one of them, or none of them keeps up and has what is asked for
   */
  preferredReplica(wanted: number, offset: number): number {
    const { image: { replicas }, replica } = this;
    let preferred = -1;
    let furthest = offset - 1;
    for (let at = 0; at < replicas.length; at++) {
      if ((wanted >> at & 1) === 0) continue;
      const node = replicas[at]!;
      if (node === replica.leaderId) return -1;
      const has = replica.inSyncOffset(node);
      if (has <= furthest) continue;
      furthest = has;
      preferred = node;
    }
    return preferred;
  }

  get leaderEpoch(): number {
    return this.replica.term;
  }

  get startOffset(): number {
    return this.log.startOffset;
  }

  get highWatermark(): number {
    return Math.max(this.replica.commitOffset, this.log.startOffset);
  }

  /** First offset that a read-committed consumer may not read: of the oldest transaction whose end is not committed. */
  get lastStableOffset(): number {
    const { highWatermark } = this;
    const unstable = this.log.producers.firstUnstable();
    if (unstable < 0 || unstable >= highWatermark) return highWatermark;
    return Math.max(unstable, this.log.startOffset);
  }

  /** Appends a checked batch as the leader; see {@linkcode Log.append}. */
  append(address: number, length: number, nowMs: number): number {
    if (this.replica.handingOver) return LOG_BUSY;
    if (length > this.replica.batchBytesMax) return LOG_TOO_LARGE;
    const offset = this.log.append(address, length, this.replica.term, nowMs);
    if (offset >= 0) this.replica.appended();
    return offset;
  }

  /** As many replicas must have a record on their disks before acks=all is answered; a majority in any case. */
  get #copiesMin(): number {
    return Math.min(this.#limits?.insyncReplicasMin ?? 1, this.replica.voterCount);
  }

  /** That is more than a commit takes. */
  get #asksBeyondCommit(): boolean {
    return this.#copiesMin > (this.replica.voterCount >>> 1) + 1;
  }

  /** Fewer replicas keep up than acks=all asks for. */
  get lacksReplicas(): boolean {
    const copies = this.#copiesMin;
    return copies > 1 && copies > this.replica.inSyncCount;
  }

  /** Whether what `acks` asks for is so already for everything below `offset`. */
  hasReached(offset: number, acks: number): boolean {
    if (acks !== ACKS_ALL) return offset <= this.log.durableEndOffset;
    if (offset > this.highWatermark) return false;
    return !this.#asksBeyondCommit || offset <= this.#safeOffset;
  }

  get #safeOffset(): number {
    return Math.max(this.replica.safeOffset(this.#copiesMin), this.log.startOffset);
  }

  /**
   * Notifies `waiter` once that is so, or when it never will be; never from inside this call. `offset` is that of
   * an append of the present leadership, or of one before it.
   *
   * @param deadlineMs where there are other replicas, the wait for them ends then
   */
  awaitAppend(
    offset: number,
    acks: number,
    waiter: AppendWaiter,
    token: number,
    deadlineMs = Infinity,
  ): void {
    const { leading, opening } = this.replica;
    assert(leading || opening, "an append is awaited within its leadership");
    if (acks !== ACKS_ALL) this.#durableWaits.add(offset, waiter, token);
    else if (this.#asksBeyondCommit) this.#copiesWaits.add(offset, waiter, token, deadlineMs);
    else this.#commitWaits.add(offset, waiter, token, deadlineMs);
  }

  /** The same for the commit alone, whatever `min.insync.replicas` says: of records of the broker's own. */
  awaitCommit(offset: number, waiter: AppendWaiter, token: number): void {
    assert(this.replica.leading, "an append is awaited within its leadership");
    this.#commitWaits.add(offset, waiter, token);
  }

  /**
   * Ends waits that nothing else ends: those whose time is over, and those for replicas that do not keep up, once the
   * record is committed. Only where there are other replicas.
   */
  checkWaits(nowMs: number): void {
    if (this.#commitWaits.count > 0) this.#commitWaits.expire(nowMs);
    if (this.#copiesWaits.count === 0) return;
    this.#copiesWaits.expire(nowMs);
    if (this.lacksReplicas) this.#copiesWaits.lose(Loss.TOO_FEW, this.replica.commitOffset);
  }

  /** Registers `waiter` until its `waitEpoch` changes. */
  awaitData(waiter: DataWaiter): void {
    if (this.#dataWaiters.length >= this.#dataPurgeAt) this.#purgeDataWaiters();
    this.#dataWaiters.push(waiter);
    this.#dataEpochs.push(waiter.waitEpoch);
  }

  /**
   * DeleteRecords: moves the log start to `offset` through the log itself, so that it stays moved.
   *
   * @param offset at most the high watermark
   * @returns 0 once it is committed and done; NOT_LEADER, or the log's refusal: LOG_FAILED also where the log was
   * damaged meanwhile, and did not move its start
   */
  *trimTo(offset: number): Task<number> {
    if (offset <= this.log.startOffset) return 0;
    const index = this.replica.proposeTrim(offset);
    if (index < 0) return index;
    return yield* until<number>((done) => this.#trims.push({ index, offset, done }));
  }

  onDurable(): void {
    this.#durableWaits.reach(this.log.durableEndOffset);
  }

  onLeading(): void {
    this.#owner.onLeading(this);
    this.observer?.onLeading();
  }

  onCommitted(): void {
    while (this.#trims.length > 0 && this.#trims[0]!.index <= this.replica.trimmedIndex) {
      const { offset, done } = this.#trims.shift()!;
      done(offset <= this.log.startOffset ? 0 : LOG_FAILED);
    }
    this.#commitWaits.reach(this.replica.commitOffset);
    this.onReplicated();
    this.observer?.onCommit();
    this.#notifyData();
  }

  onReplicated(): void {
    if (this.#copiesWaits.count > 0) this.#copiesWaits.reach(this.#safeOffset);
  }

  onFollowing(): void {
    this.#owner.onFollowing(this);
    this.#endLeadership();
    this.observer?.onFollowing();
    this.#notifyData();
  }

  onCut(): void {
    this.#endLeadership();
  }

  onWritable(): void {
    this.#owner.onWritable();
  }

  /** The partition is being deleted: all waiters are notified. */
  close(): void {
    this.#gone = true;
    this.replica.close();
    for (const { done } of this.#trims.splice(0)) done(LOG_FAILED);
    this.#durableWaits.lose(Loss.GONE);
    this.#commitWaits.lose(Loss.GONE);
    this.#copiesWaits.lose(Loss.GONE);
    this.#notifyData();
  }

  /** Whoever waits for an append of a leadership that has ended would mistake the next leader's for it. */
  #endLeadership(): void {
    for (const { done } of this.#trims.splice(0)) done(NOT_LEADER);
    this.#durableWaits.lose(Loss.NOT_LEADER);
    this.#commitWaits.lose(Loss.NOT_LEADER);
    this.#copiesWaits.lose(Loss.NOT_LEADER);
  }

  #notifyData(): void {
    const count = this.#dataWaiters.length;
    for (let i = 0; i < count; i++) {
      const waiter = this.#dataWaiters[i]!;
      if (waiter.waitEpoch === this.#dataEpochs[i]) waiter.onData();
    }
    assert(this.#dataWaiters.length === count, "a waiter registered while being told");
    this.#dataWaiters.length = 0;
    this.#dataEpochs.length = 0;
  }

  #purgeDataWaiters(): void {
    let kept = 0;
    for (let i = 0; i < this.#dataWaiters.length; i++) {
      const waiter = this.#dataWaiters[i]!;
      if (waiter.waitEpoch !== this.#dataEpochs[i]) continue;
      this.#dataWaiters[kept] = waiter;
      this.#dataEpochs[kept] = this.#dataEpochs[i]!;
      kept++;
    }
    this.#dataWaiters.length = kept;
    this.#dataEpochs.length = kept;
    this.#dataPurgeAt = Math.max(16, 2 * kept);
  }
}

/**
 * Why a client may not read `partition`, or NONE. The epoch is looked at first, as in Kafka.
 *
 * @param currentLeaderEpoch the epoch that the client believes in, -1 for none
 */
export function refusalOf(
  { leaderEpoch, readable }: Pick<Partition, "leaderEpoch" | "readable">,
  currentLeaderEpoch: number,
): ErrorCode {
  if (currentLeaderEpoch !== -1 && currentLeaderEpoch !== leaderEpoch) {
    return currentLeaderEpoch < leaderEpoch
      ? ErrorCode.FENCED_LEADER_EPOCH
      : ErrorCode.UNKNOWN_LEADER_EPOCH;
  }
  return readable ? ErrorCode.NONE : ErrorCode.NOT_LEADER_OR_FOLLOWER;
}

/**
 * Whether a reader that saw a partition up to `highWatermark` would find something new, or that it is gone.
 *
 * @param mayFollow the reader takes a follower
 */
export function hasNews(
  partition: Partition | undefined,
  highWatermark: number,
  mayFollow = false,
): boolean {
  if (partition === undefined || partition.highWatermark > highWatermark) return true;
  return !partition.readable && !(mayFollow && partition.followable);
}

/** The partitions that a shard owns. */
export interface PartitionDirectory {
  /** The partition of a Raft group, if this shard owns it. */
  byGroup(groupId: number): Partition | undefined;
  /** Why there is none: another node has it, or nobody. */
  absenceOf(groupId: number): ErrorCode;
  all(): Iterable<Partition>;
}

/**
 * A partition as Kafka's APIs see it: a log, its replica, and its waiters.
 *
 * Two kinds wait: produce requests for the commit of their records, in order, and fetches for any
 * new data. Both are notified in the turn in which a journal write completes.
 *
 * Lives on the shard that owns the group, from the topic's creation (or start-up) to its deletion.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import type { PartitionImage } from "../cluster/image.ts";
import type { PartitionLimits } from "./partition_limits.ts";
import { SoleReplica } from "../raft/sole_replica.ts";
import { type Task, until } from "../io/task.ts";
import { type Log, LOG_FAILED, type LogListener } from "../storage/log.ts";

/** Waits for commits; `token` identifies a wait. */
export interface CommitWaiter {
  /** Everything below the offset waited for is committed. */
  onCommitted(token: number): void;
  /** It never will be: the partition is gone or its disk failed. */
  onLost(token: number): void;
}

/** Waits for new data in any of several partitions. */
export interface DataWaiter {
  /** Changes each time the waiter stops waiting; older registrations are then void. */
  readonly waitEpoch: number;
  onData(): void;
}

/** Told of a partition's commits for its shard's own sake (coordinators, the controller). */
export interface CommitListener {
  onCommit(partition: Partition): void;
}

/** What a partition reports to its shard. */
export interface PartitionOwner {
  readonly nodeId: number;
  /** Refused appends may be tried again. */
  readonly onWritable: () => void;
  /** The partition may be served from now on. */
  readonly onLeading: (partition: Partition) => void;
}

export class Partition implements LogListener {
  readonly image: PartitionImage;
  readonly log: Log;
  readonly replica: SoleReplica;
  commitListener: CommitListener | null = null;
  #limits: PartitionLimits | null = null;
  readonly #onWritable: () => void;
  readonly #onLeading: (partition: Partition) => void;
  #gone = false;

  // Commit waiters, oldest first: a growing ring.
  #waitOffsets = new Float64Array(8);
  #waitTokens = new Int32Array(8);
  #waiters: (CommitWaiter | null)[] = new Array<CommitWaiter | null>(8).fill(null);
  #waitHead = 0;
  #waitCount = 0;

  /** Trims that are not committed or not applied yet, oldest first. */
  readonly #trims: { readonly index: number; readonly done: () => void }[] = [];
  /** A committed trim found no room in the log. */
  #trimHeld = false;

  #dataWaiters: DataWaiter[] = [];
  #dataEpochs: number[] = [];
  #dataPurgeAt = 16;

  /** @param epochFloor the first leader epoch of a new partition is above it */
  constructor(image: PartitionImage, log: Log, owner: PartitionOwner, epochFloor = 0) {
    this.image = image;
    this.log = log;
    this.replica = new SoleReplica(log, owner.nodeId, epochFloor);
    this.#onWritable = owner.onWritable;
    this.#onLeading = owner.onLeading;
    log.listener = this;
    this.replica.begin();
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

  /** May be read by clients. */
  get readable(): boolean {
    return (this.replica.leading || this.replica.readOnly) && !this.#gone;
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

  /** First offset that a read-committed consumer may not read. */
  get lastStableOffset(): number {
    return this.highWatermark;
  }

  /** Calls `waiter` back once everything below `offset` is committed; never from inside this call. */
  awaitCommit(offset: number, waiter: CommitWaiter, token: number): void {
    const capacity = this.#waitOffsets.length;
    if (this.#waitCount === capacity) this.#growWaiters();
    const at = (this.#waitHead + this.#waitCount) & (this.#waitOffsets.length - 1);
    this.#waitOffsets[at] = offset;
    this.#waitTokens[at] = token;
    this.#waiters[at] = waiter;
    this.#waitCount++;
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
   * @returns 0 once it is committed and done, or the log's refusal
   */
  *trimTo(offset: number): Task<number> {
    if (offset <= this.log.startOffset) return 0;
    const index = this.replica.proposeTrim(offset);
    if (index < 0) return index;
    yield* until<void>((done) => this.#trims.push({ index, done }));
    return this.#gone ? LOG_FAILED : 0;
  }

  onDurable(): void {
    const led = this.replica.leading;
    if (!this.replica.onDurable()) return;
    if (!led) this.#onLeading(this);
    if (!led || this.#trims.length > 0) this.#applyTrims();
    const commit = this.replica.commitOffset;
    while (this.#waitCount > 0 && this.#waitOffsets[this.#waitHead]! <= commit) {
      const token = this.#waitTokens[this.#waitHead]!;
      this.#takeWaiter().onCommitted(token);
    }
    this.commitListener?.onCommit(this);
    this.#notifyData();
  }

  onWritable(): void {
    if (!this.replica.opened && !this.replica.readOnly) this.replica.begin();
    if (this.#trimHeld) this.#applyTrims();
    this.#onWritable();
  }

  /** The partition is being deleted, or its disk is lost: all waiters are notified. */
  close(): void {
    this.#gone = true;
    for (const { done } of this.#trims.splice(0)) done();
    while (this.#waitCount > 0) {
      const token = this.#waitTokens[this.#waitHead]!;
      this.#takeWaiter().onLost(token);
    }
    this.#notifyData();
  }

  #applyTrims(): void {
    this.#trimHeld = !this.replica.applyTrims();
    if (this.#trimHeld) return;
    while (this.#trims.length > 0 && this.#trims[0]!.index <= this.replica.commitIndex) {
      this.#trims.shift()!.done();
    }
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

  /** Takes the oldest waiter out; its reaction to the notification may make the ring larger. */
  #takeWaiter(): CommitWaiter {
    const at = this.#waitHead;
    const waiter = this.#waiters[at]!;
    this.#waiters[at] = null;
    this.#waitHead = (at + 1) & (this.#waitOffsets.length - 1);
    this.#waitCount--;
    return waiter;
  }

  #growWaiters(): void {
    const old = this.#waitOffsets.length;
    const offsets = new Float64Array(old * 2);
    const tokens = new Int32Array(old * 2);
    const waiters = new Array<CommitWaiter | null>(old * 2).fill(null);
    for (let i = 0; i < this.#waitCount; i++) {
      const from = (this.#waitHead + i) & (old - 1);
      offsets[i] = this.#waitOffsets[from]!;
      tokens[i] = this.#waitTokens[from]!;
      waiters[i] = this.#waiters[from]!;
    }
    this.#waitOffsets = offsets;
    this.#waitTokens = tokens;
    this.#waiters = waiters;
    this.#waitHead = 0;
  }
}

/** Whether a reader that saw a partition up to `highWatermark` would find something new, or that it is gone. */
export function hasNews(partition: Partition | undefined, highWatermark: number): boolean {
  return partition === undefined || !partition.readable || partition.highWatermark > highWatermark;
}

/** The partitions that a shard owns. */
export interface PartitionDirectory {
  /** The partition of a Raft group, if this shard owns it. */
  byGroup(groupId: number): Partition | undefined;
  all(): Iterable<Partition>;
}

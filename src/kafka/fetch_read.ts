/**
 * One partition's part of a fetch, read on the shard that owns the partition.
 *
 * The same code serves a fetch of this shard's connections (`fetch.ts`) and of another shard's
 * (`fetch_remote.ts`): set the question, call {@linkcode FetchRead.start}, read the answer when it is
 * there, and {@linkcode FetchRead.release} what was pinned.
 *
 * @module
 */

import type { Completion } from "../io/completion.ts";
import { type EpochEnd, ReadError } from "../storage/log.ts";
import { LogRead } from "../storage/log_read.ts";
import { ErrorCode } from "../wire/errors.ts";
import { type Partition, type PartitionDirectory, refusalOf } from "./partition.ts";

/** Told that a read that had to wait for the disk has its answer. */
export interface FetchReadOwner {
  onFetchRead(read: FetchRead): void;
}

/** A consumer that may read uncommitted transactions, and one that may not. */
export const READ_UNCOMMITTED = 0;
export const READ_COMMITTED = 1;

/** Of a reader that asks leaders only. */
export const NO_RACK = -1;

/** No transaction was aborted. */
export const NONE_ABORTED: readonly number[] = [];

const epochEnd: EpochEnd = { term: -1, endOffset: -1 };

export class FetchRead implements Completion {
  // The question.
  fetchOffset = 0;
  maxBytes = 0;
  /** Give a first batch however large it is. */
  minOneBatch = false;
  isolation = READ_UNCOMMITTED;
  currentLeaderEpoch = -1;
  lastFetchedEpoch = -1;
  /** The replicas that are near the reader, a bit each; {@linkcode NO_RACK}: it has not said where it is. */
  near = NO_RACK;

  // The answer.
  error = 0;
  highWatermark = -1;
  lastStableOffset = -1;
  startOffset = -1;
  /** The epoch and offset where the reader's log parts from this one; -1 when it does not. */
  divergingEpoch = -1;
  divergingEndOffset = -1;
  /** The replica that the reader should ask instead; -1: this one. */
  preferredReplica = -1;
  /** Of the aborted transactions with records in the answer: producer id and first offset, one after the other. */
  aborted: readonly number[] = NONE_ABORTED;
  readonly log = new LogRead(this);

  #owner: FetchReadOwner | null = null;
  #partition: Partition | null = null;
  #pinned = false;

  /**
   * Reads from a group's partition.
   *
   * @returns true when the answer is there; false when `owner` will be notified
   */
  start(partitions: PartitionDirectory, groupId: number, owner: FetchReadOwner): boolean {
    this.#clearAnswer();
    const partition = partitions.byGroup(groupId);
    if (partition === undefined) {
      this.error = partitions.absenceOf(groupId);
      return true;
    }
    this.error = refusalOf(partition, Math.max(-1, this.currentLeaderEpoch));
    const follows = this.error === ErrorCode.NOT_LEADER_OR_FOLLOWER && this.near !== NO_RACK &&
      partition.followable;
    if (follows) this.error = ErrorCode.NONE;
    if (this.error !== ErrorCode.NONE) return true;
    if (this.lastFetchedEpoch >= 0 && this.#diverges(partition)) return true;
    const { startOffset, highWatermark } = partition;
    if (this.fetchOffset < startOffset || this.fetchOffset > partition.log.endOffset) {
      this.error = ErrorCode.OFFSET_OUT_OF_RANGE;
      return true;
    }
    if (follows && this.fetchOffset > highWatermark) {
      // It may be committed: this replica will hear of it.
      this.error = ErrorCode.OFFSET_NOT_AVAILABLE;
      return true;
    }
    this.#noteOffsets(partition);
    if (this.near > 0 && !follows) {
      this.preferredReplica = partition.preferredReplica(this.near, this.fetchOffset);
      if (this.preferredReplica >= 0) return true;
    }
    const limit = this.#limit;
    if (this.fetchOffset >= limit || (this.maxBytes === 0 && !this.minOneBatch)) return true;
    return this.#read(partition, limit, owner);
  }

  /** First offset that the reader may not have. */
  get #limit(): number {
    return this.isolation === READ_COMMITTED ? this.lastStableOffset : this.highWatermark;
  }

  /** Bytes of records in the answer. */
  get bytes(): number {
    return this.log.bytesTotal;
  }

  /** There are records that the answer does not hold, and no error. */
  get hasMore(): boolean {
    return this.error === ErrorCode.NONE && this.divergingEpoch < 0 && this.bytes === 0 &&
      this.preferredReplica < 0 && this.fetchOffset < this.#limit;
  }

  /** There are records, and there was no memory to read them. */
  get lacksMemory(): boolean {
    return this.log.lacksMemory;
  }

  release(): void {
    if (!this.#pinned) return;
    this.#pinned = false;
    this.log.release();
  }

  /** The log's answer to a read that waited. */
  complete(): void {
    this.#takeError();
    const owner = this.#owner!;
    this.#owner = null;
    owner.onFetchRead(this);
  }

  #read(partition: Partition, limit: number, owner: FetchReadOwner): boolean {
    const read = this.log;
    read.offset = this.fetchOffset;
    read.maxBytes = this.maxBytes;
    read.limitOffset = limit;
    read.minOneBatch = this.minOneBatch;
    // The request that it belongs to may hold what was read of other partitions.
    read.waitsForMemory = false;
    const { producers } = partition.log;
    if (this.isolation === READ_COMMITTED && producers.hasAborted) {
      // Now, because retention may forget them while the records are read.
      const aborted: number[] = [];
      producers.collectAborted(this.fetchOffset, limit, aborted);
      this.aborted = aborted;
    }
    this.#pinned = true;
    this.#owner = owner;
    this.#partition = partition;
    if (!partition.log.read(read)) return false;
    this.#owner = null;
    this.#takeError();
    return true;
  }

  #takeError(): void {
    const { gone } = this.#partition!;
    this.#partition = null;
    if (this.aborted.length > 0) this.aborted = abortedBefore(this.aborted, this.log.nextOffset);
    if (this.log.error === ReadError.NONE) return;
    if (gone) {
      // Deleted while it was read: there is nothing wrong with the disk.
      this.error = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
      return;
    }
    this.error = errorOf(this.log.error);
  }

  #noteOffsets(partition: Partition): void {
    this.highWatermark = partition.highWatermark;
    this.lastStableOffset = partition.lastStableOffset;
    this.startOffset = partition.startOffset;
  }

  /** KIP-595: does the reader's last epoch end here before the offset it asks for? */
  #diverges(partition: Partition): boolean {
    partition.log.endOffsetForEpoch(this.lastFetchedEpoch, epochEnd);
    if (epochEnd.term < 0) {
      this.error = ErrorCode.OFFSET_OUT_OF_RANGE;
      return true;
    }
    if (epochEnd.term === this.lastFetchedEpoch && epochEnd.endOffset >= this.fetchOffset) {
      return false;
    }
    this.divergingEpoch = epochEnd.term;
    this.divergingEndOffset = epochEnd.endOffset;
    this.#noteOffsets(partition);
    return true;
  }

  #clearAnswer(): void {
    this.error = ErrorCode.NONE;
    this.highWatermark = -1;
    this.lastStableOffset = -1;
    this.startOffset = -1;
    this.divergingEpoch = -1;
    this.divergingEndOffset = -1;
    this.preferredReplica = -1;
    this.aborted = NONE_ABORTED;
  }
}

/** Of aborted transactions those that have records before an offset. */
function abortedBefore(aborted: readonly number[], offset: number): readonly number[] {
  return aborted.filter((_, at) => aborted[at | 1]! < offset);
}

/**
 * A consumer retries KAFKA_STORAGE_ERROR for ever; it passes CORRUPT_MESSAGE to the application, with
 * the offset, so that damage is noticed.
 */
function errorOf(error: ReadError): ErrorCode {
  switch (error) {
    case ReadError.OFFSET_OUT_OF_RANGE:
      return ErrorCode.OFFSET_OUT_OF_RANGE;
    case ReadError.DAMAGED:
      return ErrorCode.CORRUPT_MESSAGE;
    default:
      return ErrorCode.KAFKA_STORAGE_ERROR;
  }
}

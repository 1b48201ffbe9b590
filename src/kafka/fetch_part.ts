/**
 * One partition of a fetch request: its position, its limits, and its answer.
 *
 * @module
 */

import { ErrorCode } from "../wire/errors.ts";
import { FetchRead, NO_RACK, NONE_ABORTED } from "./fetch_read.ts";
import type { FetchPartition } from "./fetch_session.ts";

/** What another shard answered about one partition. */
export interface RemoteFetchResult {
  /** No records were read: there was no credit, or no memory for the question or for them. */
  unread: boolean;
  /** A credit was missing; one returns soon, because a request is answered as soon as it is read. */
  lacksCredit: boolean;
  error: number;
  highWatermark: number;
  lastStableOffset: number;
  startOffset: number;
  divergingEpoch: number;
  divergingEndOffset: number;
  preferredReplica: number;
  bytes: number;
  /** Offset after the last batch. */
  nextOffset: number;
  readonly addresses: number[];
  readonly lengths: number[];
  /** As `FetchRead.aborted`. */
  aborted: readonly number[];
}

/** One partition of the operation. */
export class FetchPart {
  /** As the client asked; owned by the session, or by this request. */
  asked!: FetchPartition;
  groupId = -1;
  shard = -1;
  /** As `FetchRead.near`. */
  near = NO_RACK;
  /** Known before anything is read (unknown topic). */
  knownError = 0;
  isRemote = false;
  /** Part of the response. */
  answered = false;
  // Made when first used: a request may name any number of partitions that nobody has.
  #read: FetchRead | null = null;
  #remote: RemoteFetchResult | null = null;

  /** The place of the answer when the partition is this shard's. */
  get read(): FetchRead {
    return this.#read ??= new FetchRead();
  }

  /** Its place when the partition is another shard's. */
  get remote(): RemoteFetchResult {
    return this.#remote ??= newRemoteResult();
  }

  /** Nobody knows its topic or partition: there is nothing to read, and nothing to wait for. */
  get unknown(): boolean {
    return this.groupId < 0;
  }

  get error(): number {
    if (this.knownError !== ErrorCode.NONE) return this.knownError;
    return this.isRemote ? this.remote.error : this.read.error;
  }

  get bytes(): number {
    if (this.knownError !== ErrorCode.NONE) return 0;
    return this.isRemote ? this.remote.bytes : this.read.bytes;
  }

  /** Of the aborted transactions with records in the answer: producer id and first offset, one after the other. */
  get aborted(): readonly number[] {
    if (this.bytes === 0) return NONE_ABORTED;
    return this.isRemote ? this.remote.aborted : this.read.aborted;
  }

  /** Offset after the records of the answer, which holds some. */
  get nextOffset(): number {
    return this.isRemote ? this.remote.nextOffset : this.read.log.nextOffset;
  }

  get highWatermark(): number {
    return this.isRemote ? this.remote.highWatermark : this.read.highWatermark;
  }

  get startOffset(): number {
    return this.isRemote ? this.remote.startOffset : this.read.startOffset;
  }

  /** The replica that the client should ask instead; -1: none. */
  get preferredReplica(): number {
    if (this.knownError !== ErrorCode.NONE) return -1;
    return this.isRemote ? this.remote.preferredReplica : this.read.preferredReplica;
  }

  get diverges(): boolean {
    return (this.isRemote ? this.remote.divergingEpoch : this.read.divergingEpoch) >= 0;
  }

  /** Drops records that the response has no room for. */
  dropRecords(): void {
    if (this.isRemote) {
      this.remote.bytes = 0;
      this.remote.addresses.length = 0;
      this.remote.lengths.length = 0;
    } else {
      this.releaseRead();
    }
  }

  /** Unpins what was read on this shard. */
  releaseRead(): void {
    this.#read?.release();
  }
}

function newRemoteResult(): RemoteFetchResult {
  return {
    unread: false,
    lacksCredit: false,
    error: 0,
    highWatermark: -1,
    lastStableOffset: -1,
    startOffset: -1,
    divergingEpoch: -1,
    divergingEndOffset: -1,
    preferredReplica: -1,
    bytes: 0,
    nextOffset: -1,
    addresses: [],
    lengths: [],
    aborted: NONE_ABORTED,
  };
}

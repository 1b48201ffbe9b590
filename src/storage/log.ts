/**
 * The log of one Raft group, as its users see it.
 *
 * One group is one partition. Its log is a sequence of *entries*, each with an index and a term: record
 * batches (one index and one Kafka offset per record) and *meta entries* (no-op, configuration, prefix
 * truncation: an index, no offset), so that `index = offset + delta` between two meta entries. Appending
 * returns at once; durability is reported later through {@linkcode LogListener.onDurable}, once per
 * journal write. The implementation is `partition_log.ts`; users of a log depend on this file
 * alone. Everything here lives on the shard that owns the group.
 *
 * @module
 */

import type { Task } from "../io/task.ts";
import type { LogRead } from "./log_read.ts";
import type { ProducerTable } from "./producer_table.ts";

/** Kinds of meta entries; the payload is Raft's own and opaque here. */
export const MetaKind = {
  /** Opens a term. It carries a payload where the group went on by force (`raft/forced.ts`). */
  NO_OP: 1,
  /** The voters and learners of the group. */
  CONFIGURATION: 2,
  /** A replicated move of the log start (DeleteRecords, retention). */
  PREFIX: 3,
} as const;
export type MetaKind = typeof MetaKind[keyof typeof MetaKind];

/** Payload of a {@linkcode MetaKind.PREFIX} entry: the offset (int64). */
export const TRIM_PAYLOAD_SIZE = 8;

/** An entry that takes an index and no offset. */
export interface MetaEntry {
  readonly kind: MetaKind;
  readonly index: number;
  readonly term: number;
  /** Offset of the first record after it. */
  readonly offset: number;
  readonly payload: Uint8Array<ArrayBuffer>;
}

/** What a log reports to its owner; calls come from the loop, never from inside a call on the log. */
export interface LogListener {
  /** `durableIndex`, `durableEndOffset` or `durableHardVersion` advanced. At most once per journal write. */
  onDurable(log: Log): void;
  /** After a refusal with {@linkcode LOG_BUSY}: appending may be tried again. */
  onWritable(log: Log): void;
}

/** Refusal: no room in the journal, in memory, or in space reserved so far; retry at `onWritable`. */
export const LOG_BUSY = -11;
/** Refusal: the disk is full; KAFKA_STORAGE_ERROR, later appends may succeed. */
export const LOG_NO_SPACE = -28;
/** Refusal: the log is suspect or its disk failed; KAFKA_STORAGE_ERROR until an operator acts. */
export const LOG_FAILED = -5;

/** Refusal: the batch is larger than {@linkcode ShardStorage.appendBytesMax}; MESSAGE_TOO_LARGE. */
export const LOG_TOO_LARGE = -90;

/** Outcome of a read: the Kafka error that it maps to. */
export const ReadError = {
  NONE: 0,
  OFFSET_OUT_OF_RANGE: 1,
  /** The device could not read the extent, or memory did not suffice: KAFKA_STORAGE_ERROR. */
  STORAGE: 2,
  /** The bytes do not match their checksum, or the file is missing: CORRUPT_MESSAGE. */
  DAMAGED: 3,
  /** The extent cannot be read, and is being had from another node: KAFKA_STORAGE_ERROR, which clients try again. */
  MENDING: 4,
} as const;
export type ReadError = typeof ReadError[keyof typeof ReadError];

/** Answer to a search by time; `offset` is -1 when no record is that young. */
export interface TimestampMatch {
  readonly offset: number;
  readonly timestampMs: number;
  readonly term: number;
}

/** One segment, for size, retention and administration. */
export interface SegmentSummary {
  readonly baseOffset: number;
  /** Next offset after it. */
  readonly endOffset: number;
  readonly sizeBytes: number;
  readonly maxTimestampMs: number;
}

/** Limits of retention; -1 switches a limit off. */
export interface RetentionLimits {
  readonly retentionMs: number;
  readonly retentionBytes: number;
  /** Nothing at or beyond this offset is dropped (commit, high watermark). */
  readonly limitOffset: number;
}

/** When a segment is closed and the next one begun (`segment.bytes`, `segment.ms`). */
export interface SegmentLimits {
  readonly segmentBytes: number;
  readonly segmentMs: number;
}

export interface Log {
  /** Never reused, unlike topic names and partition numbers. */
  readonly groupId: number;
  /** Grows when a replica of the group starts over on this node. */
  readonly incarnation: number;
  /** Directory below the data directory. */
  readonly directory: string;

  /** First offset that may be read. */
  readonly startOffset: number;
  /** Index of the entry before the first one kept (the snapshot point); its term. */
  readonly startIndex: number;
  readonly startTerm: number;
  /** Next offset to be given. */
  readonly endOffset: number;
  readonly lastIndex: number;
  readonly lastTerm: number;
  /** Entries up to here would survive a power cut. */
  readonly durableIndex: number;
  readonly durableEndOffset: number;

  /** Raft's hard state; the version counts its changes. */
  readonly hardTerm: number;
  readonly hardVote: number;
  readonly hardVersion: number;
  /** The latest hard state that would survive a power cut. */
  readonly durableHardVersion: number;

  /** Bytes of batches kept, in all segments. */
  readonly sizeBytes: number;
  /** Largest record timestamp kept, and the base offset of the batch that holds it; -1 when empty. */
  readonly maxTimestampMs: number;
  readonly maxTimestampOffset: number;
  /** Damaged: appends and hard states are refused until {@linkcode acceptLoss}. */
  readonly suspect: boolean;
  /** Idempotence state as of `endOffset`. */
  readonly producers: ProducerTable;
  listener: LogListener | null;
  segmentLimits: SegmentLimits;

  /**
   * Appends one validated record batch (v2) whose bytes lie in the region.
   *
   * The batch is copied; base offset and leader epoch are set in the copy. Producer state is updated; the
   * caller has asked `producers.check` before.
   *
   * @param term leader epoch; `lastTerm`, because a term opens with a no-op
   * @param nowMs wall clock, for rolling by time
   * A large batch takes a while; until it is durable, further appends get LOG_BUSY.
   *
   * @returns the base offset given, or {@linkcode LOG_BUSY}, LOG_NO_SPACE, LOG_FAILED, LOG_TOO_LARGE
   */
  append(address: number, length: number, term: number, nowMs: number): number;
  /** The largest batch that {@linkcode append} ever takes (bytes). */
  readonly appendBytesMax: number;
  /** Whether any append would get LOG_BUSY now: cheap to ask before a batch is checked. */
  readonly busy: boolean;
  /** Appends a meta entry; returns its index or a refusal. The payload is copied. */
  appendMeta(kind: MetaKind, term: number, payload: Uint8Array<ArrayBuffer>): number;
  /** Sets term and vote; returns the new `hardVersion` or a refusal. Never refused for space. */
  setHardState(term: number, vote: number): number;
  /** Everything up to `index` is committed: producer undo state at or below it is dropped. Not persisted. */
  setCommitted(index: number): void;
  /** Cuts every entry beyond `index`; finishes when the cut is durable and appending may continue. */
  truncate(index: number): Task<number>;
  /** Moves the log start forward; whole segments below it go. Returns 0 or a refusal. */
  trimPrefix(offset: number): number;
  /** Replaces the whole log by an empty one that follows a snapshot point; finishes when that is durable. */
  reset(point: SnapshotPoint): Task<number>;

  /**
   * Serves `read`; see {@linkcode LogRead}.
   *
   * @returns true when the result is already there, false when `read.done` will be completed
   */
  read(read: LogRead): boolean;
  /**
   * Where a reader continues when `offset`, which is within the log, cannot be read: after its extent, or, when
   * the index is lost too, after its segment.
   */
  readableFrom(offset: number): number;
  /** First record at or after `timestampMs`, below `limitOffset`; null when storage failed. */
  offsetForTimestamp(timestampMs: number, limitOffset: number): Task<TimestampMatch | null>;
  /** KIP-320: the largest term at or below `term`, with the offset where it ends; -1 each if none. */
  endOffsetForEpoch(term: number, result: EpochEnd): void;

  /** Term of the entry at `index`, or -1 when it is not in the log (nor the snapshot point). */
  termAt(index: number): number;
  /** Number of offsets given before the entry at `index` (its own base offset, if a record). */
  offsetAt(index: number): number;
  /** Index of the record at `offset` (up to `endOffset`, which gives the next record's index). */
  indexAt(offset: number): number;
  /** The first meta entry at or after `index`, or null. */
  metaFrom(index: number): MetaEntry | null;
  /** The last meta entry of a kind at or below `index`, also when before the log start. */
  lastMeta(kind: MetaKind, index: number): MetaEntry | null;

  segments(): SegmentSummary[];
  /** The log start that the limits ask for; at least `startOffset`. */
  retentionOffset(nowMs: number, limits: RetentionLimits): number;
  /** {@linkcode retentionOffset} and {@linkcode trimPrefix} in one; returns the start offset. */
  applyRetention(nowMs: number, limits: RetentionLimits): number;
  /** An operator accepts what damage took: the log may be written again. */
  acceptLoss(): number;
}

/** Filled by {@linkcode Log.endOffsetForEpoch}. */
export interface EpochEnd {
  term: number;
  endOffset: number;
}

/** Where a log begins that starts from a snapshot. */
export interface SnapshotPoint {
  /** Last entry that the snapshot covers. */
  readonly index: number;
  readonly term: number;
  /** First offset after it. */
  readonly offset: number;
  /** Meta entries at or below `index` to keep (the latest configuration). */
  readonly metas: readonly MetaEntry[];
  /** Serialised producer table (`ProducerTable.encode`), or null. */
  readonly producers: Uint8Array<ArrayBuffer> | null;
}

/**
 * What every log of a shard shares; the engine makes it, recovery makes another one for itself.
 *
 * @module
 */

import type { Task } from "../io/task.ts";
import type { ChunkCache } from "./chunk_cache.ts";
import type { FileTable } from "./file_table.ts";
import type { GroupJournal } from "./group_journal.ts";
import type { ProducerCensus } from "./producer_census.ts";
import type { PartitionLog } from "./partition_log.ts";
import type { Segment } from "./segment.ts";
import type { SegmentLoader } from "./segment_loader.ts";
import type { StorageContext } from "./shard_storage.ts";
import type { WriteBehind } from "./write_behind.ts";

/** Largest extent with the bytes that share its first block, unless one batch is larger (bytes). */
export const EXTENT_WINDOW_MAX = 64 * 1024;

export interface LogParts {
  readonly context: StorageContext;
  readonly cache: ChunkCache;
  readonly files: FileTable;
  readonly writer: WriteBehind;
  readonly loader: SegmentLoader;
  /** Producers that the logs remember. */
  readonly census: ProducerCensus;
  /** Null while recovery replays: appends then were journaled in an earlier run. */
  readonly journal: GroupJournal | null;
  /** Bytes of batches that were appended. */
  appendedBytes: number;
  /** Bytes that may be in memory and not on disk. */
  readonly dirtyBytesMax: number;

  /** The largest batch that can be appended (bytes). */
  readonly appendBytesMax: number;
  /** Batches from this size on are written straight to their segment (bytes). */
  readonly largeBytesMin: number;

  /** The disk has no room for a checkpoint, so that the journal cannot be freed. */
  readonly ringStuck: boolean;

  /** Makes room for `length` more bytes in the segment's file and its tail ready; once at a time. */
  prepare(log: PartitionLog, segment: Segment, length: number): void;
  /** An append was refused: notify the log's listener when it may be tried again. */
  wantWritable(log: PartitionLog): void;
  /** Waits for the end of the next turn. */
  nextTurn(): Task<number>;
  /** Removes a dropped segment's files once nobody uses them and `afterLsn` is durable. */
  retire(segment: Segment, afterLsn: number): void;
}

/**
 * The storage of one shard, as the rest of the shard sees it: its logs, and the turn's end.
 *
 * The implementation is `engine.ts`; `open_shard.ts` makes it.
 *
 * @module
 */

import type { Arena } from "../bytes/arena.ts";
import type { Crc32c } from "../bytes/crc32c.ts";
import type { Memory } from "../bytes/memory.ts";
import type { Disk } from "../io/disk.ts";
import type { Task } from "../io/task.ts";
import type { ShardRecorder } from "../metrics/recorder.ts";
import type { Compactions } from "./compactions.ts";
import type { JournalStats } from "./journal.ts";
import type { Log, LogListener, SegmentLimits } from "./log.ts";
import type { Inspector } from "./inspector.ts";
import type { RecordSource, Refilled } from "./refill.ts";

/** What storage runs on. */
export interface StorageContext {
  readonly disk: Disk;
  readonly memory: Memory;
  readonly arena: Arena;
  readonly crc32c: Crc32c;
  /** Told once of an I/O error that makes the process exit (EIO on write or flush, lost journal). */
  readonly onFatal: (errno: number, message: string) => void;
  /** Called with damaged bytes that were read while running: the file, the position, the loss. */
  readonly onDamage: (damage: Damage) => void;
  /** Told of damage that is given up, once for each extent; `lost` names its offsets. */
  readonly onGivenUp?: (damage: Damage) => void;
  /** Segments and indexes to keep open, `OPEN_FILES_MAX_DEFAULT` when absent. */
  readonly openFilesMax?: number;
  /** Reports that damage from {@linkcode StorageContext.onDamage} can be read after all. */
  readonly onReadable?: (damage: Pick<Damage, "groupId" | "file" | "position">) => void;
  /** Told whether an operation that needs room on the disk found it. */
  readonly onRoom?: (found: boolean) => void;
  /** Told of a directory of a deleted log that cannot be removed: something is in it that is not ours. */
  readonly onStray?: (directory: string, errno: number) => void;
  /** Producers to remember, `PRODUCERS_PER_SHARD_MAX` when absent. */
  readonly producersMax?: number;
  /** Counts and measures for metrics; where absent, nobody reads them. */
  readonly recorder?: ShardRecorder;
}

/** Damaged bytes, and the resulting loss. */
export interface Damage {
  readonly file: string;
  readonly position: number;
  readonly lost: string;
  /** The group it belongs to, or -1. */
  readonly groupId: number;
  /** First offset after the loss, where it is known. */
  readonly endOffset?: number;
  /** The damaged part has been rebuilt: nothing is lost. */
  readonly harmless?: boolean;
}

/** An extent: the byte of a segment's file at which it begins. */
export type ExtentPlace = Pick<Damage, "groupId" | "file" | "position">;

/** A group that a shard begins to hold. */
export interface LogCreation {
  readonly groupId: number;
  readonly incarnation: number;
  /** A name for people, such as `orders-3`; made unique with the group id. */
  readonly name: string;
  readonly segmentLimits: SegmentLimits;
  readonly listener: LogListener | null;
}

export interface StorageStats {
  readonly logCount: number;
  readonly dirtyBytes: number;
  readonly cachedBytes: number;
  /** Bytes of memory that reads and sends hold. */
  readonly pinnedBytes: number;
  /** Memory of the journal's buffers. */
  readonly journalBufferBytes: number;
  /** Memory kept for checkpoints. */
  readonly checkpointBufferBytes: number;
  readonly journalUsedBytes: number;
  readonly journalSizeBytes: number;
  readonly writesInFlight: number;
  readonly openFiles: number;
  readonly checkpoints: number;
  readonly cacheHits: number;
  readonly cacheMisses: number;
  readonly journal: JournalStats;
}

export interface ShardStorage {
  readonly shard: number;
  /** Logs by group id. */
  readonly logs: ReadonlyMap<number, Log>;
  /** The largest batch that can be appended (bytes): with what shares its first block, it fits one block of memory. */
  readonly appendBytesMax: number;
  /** Makes an empty log at once; its files follow, and the first appends may be refused with LOG_BUSY. */
  createLog(creation: LogCreation): Log;
  /** Deletes a log; finishes when that is durable. Its files go afterwards, paced. */
  deleteLog(groupId: number): Task<number>;
  /**
   * False: appends of `bytes` would be refused now; stop reading from connections. Never false for ever: what
   * exceeds the budgets is asked for as far as they go.
   */
  canAppend(bytes: number): boolean;
  /** Says whether damage of a group may be given up; of each when nothing was set. */
  set mayGiveUp(mayGiveUp: (groupId: number) => boolean);
  /** Says of which groups other nodes are asked for what cannot be read; of none when nothing was set. */
  set mends(mends: (groupId: number) => boolean);
  /** Told of an extent each time a read finds that it cannot be read. */
  set onUnreadable(onUnreadable: (place: ExtentPlace) => void);
  /** Mends an extent with records of another node; see `refill.ts`. */
  refill(place: ExtentPlace, source: RecordSource, mayBlank: boolean): Task<Refilled>;
  /** Reads what nobody asks for, to find damage early. */
  readonly inspector: Inspector;
  /** Rewrites logs whose topics are compacted. */
  readonly compactions: Compactions;
  /** Bytes of records that clients' reads may pin in addition; not above 0: none now. */
  readonly pinRoom: number;
  /** Bytes of batches that have been appended to its logs so far. */
  readonly appendedBytes: number;
  /** Ends a turn of the loop: journal flush, write-behind, checkpoint slices, notices. */
  turnEnd(nowMs: number): void;
  /** How long the journal's present write has been under way (ms); 0: there is none. */
  flushWaitMs(nowMs: number): number;
  /** Writes everything out: clean checkpoint, SEAL. No append may follow. */
  stop(): Task<number>;
  stats(): StorageStats;
}

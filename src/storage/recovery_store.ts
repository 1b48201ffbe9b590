/**
 * The environment of logs while a node recovers: the same chunks and write-behind, no journal, no turns.
 *
 * @module
 */

import { PRODUCERS_PER_SHARD_MAX } from "../base/limits.ts";
import type { Completion } from "../io/completion.ts";
import { EEXIST } from "../io/errno.ts";
import { io, type Task } from "../io/task.ts";
import { ChunkCache } from "./chunk_cache.ts";
import { FileTable, OPEN_FILES_MAX_DEFAULT } from "./file_table.ts";
import type { LogParts } from "./log_parts.ts";
import type { PartitionLog } from "./partition_log.ts";
import { ProducerCensus } from "./producer_census.ts";
import type { Segment } from "./segment.ts";
import { SegmentLoader } from "./segment_loader.ts";
import type { StorageContext } from "./shard_storage.ts";
import { WriteBehind } from "./write_behind.ts";

export class RecoveryStore implements LogParts {
  readonly context: StorageContext;
  readonly cache: ChunkCache;
  readonly files: FileTable;
  readonly writer: WriteBehind;
  readonly loader: SegmentLoader;
  readonly journal = null;
  readonly census: ProducerCensus;
  readonly dirtyBytesMax = Infinity;
  appendedBytes = 0;
  readonly appendBytesMax = Infinity;
  readonly largeBytesMin = Infinity;
  readonly ringStuck = false;
  #waiters: Completion[] = [];
  #failure = 0;
  readonly #made = new Set<Segment>();

  /** @param context its `onFatal` is not used: failures are results here */
  constructor(context: StorageContext) {
    this.context = {
      ...context,
      onFatal: (errno) => {
        this.#failure = errno;
        this.#wake();
      },
    };
    this.cache = new ChunkCache(context.arena);
    this.census = new ProducerCensus(context.producersMax ?? PRODUCERS_PER_SHARD_MAX);
    this.files = new FileTable(context.disk, context.openFilesMax ?? OPEN_FILES_MAX_DEFAULT);
    this.writer = new WriteBehind(this.context, this.cache, this.files);
    this.writer.paced = false;
    this.writer.onProgress = () => this.#wake();
    this.loader = new SegmentLoader(this.context, this.cache, this.files);
  }

  prepare(): void {}
  wantWritable(): void {}
  retire(): void {}

  *nextTurn(): Task<number> {
    this.writer.pump(0);
    // Logs without dirty chunks are done already, and nobody would wake this task.
    if (this.writer.idle) return 0;
    return yield* io((done) => this.#waiters.push(done));
  }

  /**
   * Makes the files of segments that replay began or writes to. One that a row names may be gone too: dropped
   * by a record that is still to come.
   */
  *makeFiles(logs: Iterable<PartitionLog>): Task<number> {
    for (const log of logs) {
      const last = log.segmentList[log.segmentList.length - 1];
      for (const segment of log.segmentList) {
        const written = segment.tail !== null || segment.dirtyHead !== null || segment === last;
        if (this.#made.has(segment) || (segment.created && !written)) continue;
        if (!log.directoryMade) {
          const { disk } = this.context;
          const made = yield* io((done) => disk.makeDirectory(log.directory, done));
          if (made < 0 && made !== -EEXIST) return made;
          log.directoryMade = true;
        }
        const handle = yield* this.loader.open(segment, false, true);
        if (handle < 0) return handle;
        this.files.release(segment.file);
        segment.created = true;
        this.#made.add(segment);
      }
    }
    return 0;
  }

  /** Writes every tail and dirty chunk out, padded; 0 or a negative errno. */
  *flush(logs: Iterable<PartitionLog>): Task<number> {
    for (const log of logs) {
      for (const segment of log.segmentList) {
        if (segment.settled) continue;
        this.writer.closeTail(segment, true);
        while (segment.writtenPosition < segment.sizeBytes) {
          if (this.#failure < 0) return this.#failure;
          this.writer.padEnd(segment);
          if (segment.writtenPosition < segment.sizeBytes) yield* this.nextTurn();
        }
      }
    }
    while (!this.writer.idle) {
      if (this.#failure < 0) return this.#failure;
      this.writer.pump(0);
      if (!this.writer.idle) yield* this.nextTurn();
    }
    return this.#failure;
  }

  /** Closes every file and gives all memory back. */
  close(logs: Iterable<PartitionLog>): void {
    for (const log of logs) for (const segment of log.segmentList) this.closeSegment(segment);
  }

  /** Closes a segment's files and gives its memory back. */
  closeSegment(segment: Segment): void {
    this.writer.forgetFrom(segment, 0);
    for (const slot of [segment.file, segment.indexFile]) {
      if (slot.users === 0 && !slot.opening) this.files.forget(slot);
    }
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.complete(0, 0);
  }
}

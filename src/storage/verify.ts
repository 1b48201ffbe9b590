/**
 * Reads every extent and every batch of every segment of a recovered node, past any cache.
 *
 * Of an extent its checksum is compared, which covers what Kafka's does not (length, offset, epoch, and that
 * the bytes belong to this group and place); of every batch its own CRC, its place in the order of offsets,
 * and its leader epoch. Segments must follow each other without a gap, up to the end of their log. What is
 * wrong is reported to the context, and reading continues.
 *
 * `gregor check` does this on a disk that keeps its writes to itself, a start after a disk error on the
 * real one. Reads run ahead of the checks by a fixed amount of memory; checked memory is freed segment by
 * segment, so memory depends on neither the size of a log nor that of the data.
 *
 * @module
 */

import { getInt64 } from "../bytes/int64.ts";
import { EIO } from "../io/errno.ts";
import { runTask, type Task } from "../io/task.ts";
import {
  ATTRIBUTES_OFFSET,
  BATCH_HEADER_SIZE,
  BATCH_MAGIC,
  batchEndOffset,
  batchSize,
  CRC_OFFSET,
  LEADER_EPOCH_OFFSET,
  MAGIC_OFFSET,
} from "../wire/record_batch.ts";
import { decodeRow } from "./checkpoint_row.ts";
import { closeSlots, openSlots, readSlots } from "./checkpoint_slots.ts";
import type { Chunk } from "./chunk_cache.ts";
import type { Manifest } from "./manifest.ts";
import type { PartitionLog } from "./partition_log.ts";
import { RecoveryStore } from "./recovery_store.ts";
import type { Segment } from "./segment.ts";
import type { StorageContext } from "./shard_storage.ts";
import { roundDown, roundUp } from "./write_behind.ts";

/** Extents on the way or waiting for their check (bytes); one larger than that is read by itself. */
const READ_AHEAD_BYTES = 1024 * 1024;

/** How much was read. */
export interface Verified {
  readonly logs: number;
  readonly segments: number;
  readonly batches: number;
  readonly bytes: number;
}

/**
 * Verifies the result of a recovery; runs before any shard opens, and nothing else runs meanwhile.
 *
 * @param context its arena is used while it runs, and whole again afterwards; `onDamage` gets each damage
 * @param manifest as recovery left it
 * @param onProgress called at each whole percent, with a share from 0 to 1
 * @returns a negative errno when the rows cannot be read
 */
export function* verifyLogs(
  context: StorageContext,
  manifest: Manifest,
  onProgress: (done: number) => void,
): Task<Verified | number> {
  return yield* new Verifier(context, onProgress).run(manifest);
}

class Verifier {
  readonly #context: StorageContext;
  readonly #store: RecoveryStore;
  readonly #onProgress: (done: number) => void;
  #segments = 0;
  #batches = 0;
  #bytes = 0;
  #totalBytes = 0;
  #passedBytes = 0;
  #toldPercent = -1;

  constructor(context: StorageContext, onProgress: (done: number) => void) {
    this.#context = context;
    this.#store = new RecoveryStore(context);
    this.#onProgress = onProgress;
  }

  *run(manifest: Manifest): Task<Verified | number> {
    const logs: PartitionLog[] = [];
    for (const shard of manifest.shards) {
      const handles = yield* openSlots(this.#context, shard, false);
      let areRead = true;
      const read = yield* readSlots(this.#context, handles, shard.journalId, (row) => {
        const log = decodeRow(this.#store, row);
        if (log === null) areRead = false;
        else logs.push(log);
      });
      yield* closeSlots(this.#context, handles);
      // Recovery wrote them, and the disk does not give them back.
      if (read.newest < 0 || !areRead) return -EIO;
    }
    for (const log of logs) this.#totalBytes += log.sizeBytes;
    for (const log of logs) yield* this.#readLog(log);
    return {
      logs: logs.length,
      segments: this.#segments,
      batches: this.#batches,
      bytes: this.#bytes,
    };
  }

  *#readLog(log: PartitionLog): Task<void> {
    let expected = -1;
    // Taken off the log one by one: indexes of segments that were read must not pile up.
    const segments = log.chain.drop(() => true);
    const end = segments.at(-1);
    for (let segment = segments.shift(); segment !== undefined; segment = segments.shift()) {
      this.#segments++;
      if (expected >= 0 && segment.baseOffset !== expected) {
        this.#note(segment, 0, `Offsets ${expected} to ${segment.baseOffset - 1}: no segment`);
      }
      const loaded = yield* this.#store.loader.loadIndex(segment);
      // The loader has noted the damage.
      if (loaded >= 0) yield* this.#readSegment(log, segment);
      else this.#pass(segment.sizeBytes);
      expected = segment.endOffset;
      this.#store.closeSegment(segment);
    }
    if (end !== undefined && expected !== log.endOffset) {
      this.#note(end, end.sizeBytes, `Offsets ${expected} to ${log.endOffset - 1}: no batches`);
    }
  }

  *#readSegment(log: PartitionLog, segment: Segment): Task<void> {
    const { loader } = this.#store;
    const { count, baseOffsets, lengths } = segment.index;
    let offset = segment.baseOffset;
    let asked = 0;
    let askedBytes = 0;
    for (let extent = 0; extent < count; extent++) {
      while (
        asked < count && (asked <= extent || askedBytes + lengths[asked]! <= READ_AHEAD_BYTES)
      ) {
        askedBytes += lengths[asked]!;
        this.#readAhead(segment, asked++);
      }
      const chunk = yield* loader.load(segment, extent);
      askedBytes -= lengths[extent]!;
      if (chunk === null) {
        this.#noteIfTooLarge(segment, extent);
        offset = extent + 1 < count ? baseOffsets[extent + 1]! : segment.endOffset;
      } else {
        offset = this.#readExtent(log, segment, chunk, offset);
        chunk.unpin();
      }
      this.#pass(lengths[extent]!);
    }
    if (offset !== segment.endOffset) {
      const lost = `Batches end at offset ${offset}, the segment at ${segment.endOffset}`;
      this.#note(segment, segment.sizeBytes, lost);
    }
  }

  /** Starts the read of an extent; its turn waits for it, and reads it again if its memory was reclaimed. */
  #readAhead(segment: Segment, extent: number): void {
    const { loader } = this.#store;
    runTask(loader.load(segment, extent), (chunk) => {
      chunk?.unpin();
      // Somebody may wait for that memory, and no shard's turn notifies them.
      loader.retry();
    });
  }

  /** The last run had more memory; the loader has noted everything else that stops a read. */
  #noteIfTooLarge(segment: Segment, extent: number): void {
    const position = segment.index.positions[extent]!;
    const end = position + segment.index.lengths[extent]!;
    if (roundUp(end) - roundDown(position) <= this.#context.arena.blockSizeMax) return;
    const lost = `Extent of ${end - position} bytes is too large for this memory: not verified`;
    this.#note(segment, position, lost);
  }

  /** Checks the batches of an extent; returns the offset after them. */
  #readExtent(log: PartitionLog, segment: Segment, chunk: Chunk, from: number): number {
    const { memory, crc32c } = this.#context;
    const { view } = memory;
    let offset = from;
    let position = chunk.start;
    while (position < chunk.end) {
      const at = chunk.addressOf(position);
      const left = chunk.end - position;
      const size = left < BATCH_HEADER_SIZE ? 0 : batchSize(view, at);
      if (size < BATCH_HEADER_SIZE || size > left) {
        this.#note(segment, position, `A batch whose size cannot be: offsets from ${offset} on`);
        return offset;
      }
      const covered = size - ATTRIBUTES_OFFSET;
      const crc = crc32c(at + ATTRIBUTES_OFFSET, covered, 0);
      if (crc !== view.getUint32(at + CRC_OFFSET, false)) {
        this.#note(segment, position, `A batch with a wrong CRC at offset ${offset}`);
      } else if (view.getInt8(at + MAGIC_OFFSET) !== BATCH_MAGIC) {
        this.#note(segment, position, `A batch of another format at offset ${offset}`);
      } else if (getInt64(view, at) !== offset) {
        this.#note(segment, position, `A batch of offset ${getInt64(view, at)} at ${offset}`);
      } else if (view.getInt32(at + LEADER_EPOCH_OFFSET, false) > log.lastTerm) {
        this.#note(segment, position, `A batch of a later term than its log, at offset ${offset}`);
      }
      offset = batchEndOffset(view, at);
      position += size;
      this.#batches++;
      this.#bytes += size;
    }
    return offset;
  }

  #note(segment: Segment, position: number, lost: string): void {
    const { groupId } = segment;
    this.#context.onDamage({ file: segment.file.path, position, lost, groupId });
  }

  #pass(bytes: number): void {
    this.#passedBytes += bytes;
    const percent = Math.floor(100 * this.#passedBytes / Math.max(1, this.#totalBytes));
    if (percent === this.#toldPercent) return;
    this.#toldPercent = percent;
    this.#onProgress(Math.min(1, percent / 100));
  }
}

/**
 * Verifies a stopped data directory: every checksum, and what must hold between files.
 *
 * Nothing is changed. Checked are the manifest, every journal, both checkpoint slots, and per group every
 * segment: its extents against the index, its batches by their own CRC, offsets without gaps. What the
 * journals still hold (after an unclean stop) is counted, not replayed.
 *
 * @module
 */

import { getInt64 } from "../bytes/int64.ts";
import { EIO } from "../io/errno.ts";
import { io, type Task } from "../io/task.ts";
import {
  ATTRIBUTES_OFFSET,
  BATCH_HEADER_SIZE,
  batchEndOffset,
  batchSize,
  CRC_OFFSET,
} from "./batch_header.ts";
import type { Chunk } from "./chunk_cache.ts";
import { decodeRow } from "./checkpoint_row.ts";
import { openSlots, readSlots } from "./checkpoint_slots.ts";
import { JOURNAL_WRITE_BYTES_MAX } from "./journal.ts";
import { JournalRecordType } from "./journal_format.ts";
import { scanJournal } from "./journal_scan.ts";
import { type Manifest, readManifest, type ShardManifest } from "./manifest.ts";
import type { PartitionLog } from "./partition_log.ts";
import { openExtents } from "./recovery.ts";
import { RecoveryStore } from "./recovery_store.ts";
import type { Segment } from "./segment.ts";
import type { Damage, StorageContext } from "./shard_storage.ts";

export interface CheckReport {
  readonly damages: readonly Damage[];
  readonly manifest: Manifest | null;
  readonly logCount: number;
  readonly segmentCount: number;
  /** Bytes of batches that were read and found good. */
  readonly checkedBytes: number;
  /** Journal records that a start would look at. */
  readonly journalRecords: number;
}

export interface CheckOptions {
  readonly context: StorageContext;
  readonly onProgress?: (stage: string, done: number) => void;
}

/** Checks the data directory that the context's disk stands for. */
export function* checkDirectory(options: CheckOptions): Task<CheckReport> {
  return yield* new Check(options).run();
}

class Check {
  readonly #options: CheckOptions;
  readonly #context: StorageContext;
  readonly #store: RecoveryStore;
  readonly #damages: Damage[] = [];
  readonly #logs = new Map<number, PartitionLog>();
  #manifest: Manifest | null = null;
  #segmentCount = 0;
  #checkedBytes = 0;
  #journalRecords = 0;

  constructor(options: CheckOptions) {
    this.#options = options;
    this.#context = {
      ...options.context,
      onDamage: (damage) => this.#damages.push(damage),
    };
    this.#store = new RecoveryStore(this.#context);
  }

  *run(): Task<CheckReport> {
    yield* this.#checkShards();
    let done = 0;
    for (const log of this.#logs.values()) {
      this.#options.onProgress?.("checking logs", done++ / this.#logs.size);
      yield* this.#checkLog(log);
      this.#store.close([log]);
    }
    return {
      damages: this.#damages,
      manifest: this.#manifest,
      logCount: this.#logs.size,
      segmentCount: this.#segmentCount,
      checkedBytes: this.#checkedBytes,
      journalRecords: this.#journalRecords,
    };
  }

  #damage(file: string, position: number, lost: string, groupId = -1): void {
    this.#damages.push({ file, position, lost, groupId });
  }

  *#checkShards(): Task<void> {
    const { disk, memory, arena } = this.#context;
    const bufferBytes = Math.min(JOURNAL_WRITE_BYTES_MAX, arena.blockSizeMax);
    const bufferAddress = arena.allocate(bufferBytes);
    const found = yield* readManifest({ disk, memory, bufferAddress, bufferBytes });
    if (found.kind === "found") {
      this.#manifest = found.manifest;
      for (const shard of found.manifest.shards) {
        yield* this.#checkShard(found.manifest, shard, bufferAddress, bufferBytes);
      }
    } else this.#damage("manifest", 0, `Everything: ${describe(found)}`);
    arena.release(bufferAddress);
  }

  *#checkShard(
    manifest: Manifest,
    shard: ShardManifest,
    bufferAddress: number,
    bufferBytes: number,
  ): Task<void> {
    const { disk, memory, crc32c } = this.#context;
    let fromLsn = 0;
    const handles = yield* openSlots(this.#context, shard, false);
    if (typeof handles === "number") {
      this.#damage(shard.checkpoints[0], 0, `Checkpoint slots: errno ${-handles}`);
    } else {
      const read = yield* readSlots(this.#context, handles, shard.journalId, (row) => {
        const log = decodeRow(this.#store, row);
        if (log === null) this.#damage(shard.checkpoints[0], 0, "A row that cannot be read");
        else this.#logs.set(log.groupId, log);
      });
      for (let slot = 0; slot < 2; slot++) {
        if (read.error === 0 && read.slots[slot]!.state === "valid") continue;
        const lost = read.newest >= 0
          ? "Nothing: the other checkpoint slot is whole"
          : "The state of every group of this shard";
        this.#damage(shard.checkpoints[slot]!, 0, lost);
      }
      if (read.newest >= 0) fromLsn = read.slots[read.newest]!.lsn + 1;
      for (const handle of handles) yield* io((done) => disk.close(handle, done));
    }
    const extents = yield* openExtents(this.#context, shard);
    if (typeof extents === "number") {
      this.#damage(shard.extents[0]!, 0, `Journal: errno ${-extents}`);
      return;
    }
    const scan = yield* scanJournal({
      disk,
      memory,
      crc32c,
      extents,
      journalId: shard.journalId,
      mountEpoch: manifest.mountEpoch,
      fromLsn,
      bufferAddress,
      bufferBytes,
    }, {
      record: (record) => {
        if (record.type !== JournalRecordType.SEAL) this.#journalRecords++;
      },
      damage: (damage) => {
        const lost = `Journal writes ${damage.firstLsn} to ${damage.lastLsn}`;
        this.#damage(damage.path, damage.position, lost);
      },
    });
    if (scan.error < 0) this.#damage(shard.extents[0]!, 0, `Journal: errno ${-scan.error}`);
    for (const extent of extents) yield* io((done) => disk.close(extent.handle, done));
  }

  *#checkLog(log: PartitionLog): Task<void> {
    let offset = log.segmentList[0]?.baseOffset ?? log.endOffset;
    if (offset > log.startOffset) {
      this.#damage(log.directory, 0, `Offsets ${log.startOffset} to ${offset}`, log.groupId);
    }
    for (const segment of log.segmentList) {
      this.#segmentCount++;
      if (segment.baseOffset !== offset) {
        const lost = `Offsets ${offset} to ${segment.baseOffset}`;
        this.#damage(segment.file.path, 0, lost, log.groupId);
      }
      offset = segment.endOffset;
      yield* this.#checkSegment(segment);
    }
    if (offset !== log.endOffset) {
      this.#damage(log.directory, 0, `Offsets ${offset} to ${log.endOffset}`, log.groupId);
    }
  }

  *#checkSegment(segment: Segment): Task<void> {
    const loaded = yield* this.#store.loader.loadIndex(segment);
    if (loaded < 0) return;
    let offset = segment.baseOffset;
    for (let extent = 0; extent < segment.index.count; extent++) {
      const chunk = yield* this.#store.loader.load(segment, extent);
      if (chunk === null) {
        offset = -1;
        continue;
      }
      if (offset < 0) offset = segment.index.baseOffsets[extent]!;
      offset = this.#checkBatches(segment, chunk, offset);
      chunk.unpin();
    }
    if (offset >= 0 && offset !== segment.endOffset) {
      const lost = `Offsets ${offset} to ${segment.endOffset}`;
      this.#damage(segment.file.path, segment.sizeBytes, lost, segment.groupId);
    }
  }

  /** Checks the batches of an extent; returns the offset behind them. */
  #checkBatches(segment: Segment, chunk: Chunk, offset: number): number {
    const { view } = this.#context.memory;
    let position = chunk.start;
    while (position < chunk.end) {
      const at = chunk.addressOf(position);
      const size = position + BATCH_HEADER_SIZE <= chunk.end ? batchSize(view, at) : -EIO;
      const covered = size - ATTRIBUTES_OFFSET;
      const good = size >= BATCH_HEADER_SIZE && position + size <= chunk.end &&
        getInt64(view, at) === offset &&
        this.#context.crc32c(at + ATTRIBUTES_OFFSET, covered, 0) ===
          view.getUint32(at + CRC_OFFSET, false);
      if (!good) {
        const lost = `Batch at offset ${offset}, and the rest of its extent`;
        this.#damage(segment.file.path, position, lost, segment.groupId);
        return -1;
      }
      offset = batchEndOffset(view, at);
      position += size;
      this.#checkedBytes += size;
    }
    return offset;
  }
}

function describe(found: { kind: string; reason?: string; errno?: number }): string {
  if (found.kind === "none") return "there is no manifest";
  if (found.kind === "newer") return "it is of a newer version of the program";
  return found.reason ?? `it cannot be read: errno ${found.errno}`;
}

/**
 * Verifies everything that a stopped node has on disk.
 *
 * The truth about a log is its checkpoint row plus later journal records, so the check does what a start
 * does: it recovers the node, and then reads every extent and every batch of every segment. It must be
 * given a disk whose writes go nowhere (`src/cli/overlay_disk.ts`): nothing of the real one is changed.
 *
 * What is checked: the manifest, both checkpoint slots of every shard, the journal's chain, the index of
 * every segment, the checksum of every extent (which covers what Kafka's does not), and of every batch
 * its own CRC, its place in the order of offsets, and its leader epoch.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import { getInt64 } from "../bytes/int64.ts";
import { io, type Task } from "../io/task.ts";
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
import { openSlots, readSlots } from "./checkpoint_slots.ts";
import type { Chunk } from "./chunk_cache.ts";
import { type Manifest, readManifest } from "./manifest.ts";
import type { PartitionLog } from "./partition_log.ts";
import { recoverNode } from "./recovery.ts";
import { RecoveryStore } from "./recovery_store.ts";
import type { Segment } from "./segment.ts";
import type { Damage, StorageContext } from "./shard_storage.ts";

/** What was found. */
export interface CheckReport {
  /** "checked", or why nothing could be checked. */
  readonly outcome: "checked" | "empty" | "newer" | "damaged" | "memory" | "error";
  /** For people: what stood in the way. Empty when checked. */
  readonly reason: string;
  readonly errno: number;
  readonly nodeId: number;
  readonly shards: number;
  readonly logs: number;
  readonly segments: number;
  readonly batches: number;
  readonly bytes: number;
  readonly replayedRecords: number;
  readonly damages: readonly Damage[];
  readonly suspectGroups: readonly number[];
}

/** Told now and then what is being read, with a share from 0 to 1. */
export type CheckProgress = (stage: string, done: number) => void;

/** Checks a node; `context.disk` keeps its writes to itself. */
export function* checkNode(context: StorageContext, onProgress: CheckProgress): Task<CheckReport> {
  return yield* new Check(context, onProgress).run();
}

class Check {
  readonly #context: StorageContext;
  readonly #onProgress: CheckProgress;
  readonly #damages: Damage[] = [];
  #suspects: readonly number[] = [];
  #manifest: Manifest | null = null;
  #replayed = 0;
  #logs = 0;
  #segments = 0;
  #batches = 0;
  #bytes = 0;

  constructor(context: StorageContext, onProgress: CheckProgress) {
    this.#context = { ...context, onDamage: (damage) => this.#damages.push(damage) };
    this.#onProgress = onProgress;
  }

  *run(): Task<CheckReport> {
    const found = yield* this.#readManifest();
    switch (found.kind) {
      case "none":
        return this.#report("empty", "There is no manifest: nothing was ever stored here", 0);
      case "newer":
        return this.#report("newer", `The data directory has format ${found.formatVersion}`, 0);
      case "damaged":
        return this.#report("damaged", `Manifest: ${found.reason}`, 0);
      case "error":
        return this.#report("error", "Cannot read the manifest", found.errno);
    }
    const { manifest } = found;
    const shard = manifest.shards[0]!;
    const recovered = yield* recoverNode({
      context: this.#context,
      shardCount: manifest.shards.length,
      nodeId: manifest.nodeId,
      clusterId: manifest.clusterId,
      journalBytes: shard.extents.length * shard.extentBytes,
      extentBytes: shard.extentBytes,
      onProgress: this.#onProgress,
    });
    this.#manifest = recovered.manifest ?? manifest;
    this.#suspects = recovered.suspectGroups;
    this.#replayed = recovered.replayedRecords;
    if (recovered.outcome !== "ready") {
      return this.#report(recovered.outcome, recovered.reason, recovered.errno);
    }
    const result = yield* this.#readLogs();
    if (result < 0) return this.#report("error", "Cannot read the recovered logs", -result);
    return this.#report("checked", "", 0);
  }

  *#readManifest(): ReturnType<typeof readManifest> {
    const { disk, memory, arena } = this.#context;
    const bufferBytes = arena.blockSizeMax;
    const bufferAddress = arena.allocate(bufferBytes);
    assert(bufferAddress >= 0, "no memory to read the manifest");
    const found = yield* readManifest({ disk, memory, bufferAddress, bufferBytes });
    arena.release(bufferAddress);
    return found;
  }

  /** Reads the logs that the recovery has left, from their rows. */
  *#readLogs(): Task<number> {
    const { disk } = this.#context;
    const manifest = this.#manifest!;
    const store = new RecoveryStore(this.#context);
    const logs: PartitionLog[] = [];
    for (const shard of manifest.shards) {
      const handles = yield* openSlots(this.#context, shard, false);
      if (typeof handles === "number") return handles;
      const read = yield* readSlots(this.#context, handles, shard.journalId, (row) => {
        const log = decodeRow(store, row);
        assert(log !== null, "a recovered row cannot be read");
        logs.push(log);
      });
      for (const handle of handles) yield* io((done) => disk.close(handle, done));
      if (read.error < 0) return read.error;
    }
    this.#logs = logs.length;
    for (const [at, log] of logs.entries()) {
      this.#onProgress("reading logs", at / logs.length);
      yield* this.#readLog(store, log);
    }
    store.close(logs);
    return 0;
  }

  *#readLog(store: RecoveryStore, log: PartitionLog): Task<void> {
    let expected = -1;
    for (const segment of log.segmentList) {
      this.#segments++;
      if (expected >= 0 && segment.baseOffset !== expected) {
        this.#note(segment, 0, `Offsets ${expected} to ${segment.baseOffset - 1}: no segment`);
      }
      const loaded = yield* store.loader.loadIndex(segment);
      // What is wrong has been noted by the loader.
      if (loaded >= 0) yield* this.#readSegment(store, log, segment);
      expected = segment.endOffset;
    }
    if (expected >= 0 && expected !== log.endOffset) {
      const last = log.segmentList.at(-1)!;
      this.#note(last, last.sizeBytes, `Offsets ${expected} to ${log.endOffset - 1}: no batches`);
    }
  }

  *#readSegment(store: RecoveryStore, log: PartitionLog, segment: Segment): Task<void> {
    let offset = segment.baseOffset;
    for (let extent = 0; extent < segment.index.count; extent++) {
      const chunk = yield* store.loader.load(segment, extent);
      if (chunk === null) {
        const next = segment.index.baseOffsets[extent + 1];
        offset = extent + 1 < segment.index.count ? next! : segment.endOffset;
        continue;
      }
      offset = this.#readExtent(log, segment, chunk, offset);
      chunk.unpin();
    }
    if (offset !== segment.endOffset) {
      const lost = `Batches end at offset ${offset}, the segment at ${segment.endOffset}`;
      this.#note(segment, segment.sizeBytes, lost);
    }
  }

  /** Checks the batches of an extent; returns the offset behind them. */
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
    this.#damages.push({ file: segment.file.path, position, lost, groupId: segment.groupId });
  }

  #report(outcome: CheckReport["outcome"], reason: string, errno: number): CheckReport {
    return {
      outcome,
      reason,
      errno,
      nodeId: this.#manifest?.nodeId ?? -1,
      shards: this.#manifest?.shards.length ?? 0,
      logs: this.#logs,
      segments: this.#segments,
      batches: this.#batches,
      bytes: this.#bytes,
      replayedRecords: this.#replayed,
      damages: this.#damages,
      suspectGroups: this.#suspects,
    };
  }
}

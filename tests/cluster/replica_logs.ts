/**
 * Reads the logs in the data directories of stopped nodes, and compares the replicas of each group byte by byte.
 *
 * A directory is recovered as a start would, on a disk that keeps its writes to itself (`src/cli/overlay_disk.ts`); then
 * every batch of every segment is read. Segments may begin elsewhere on another node, batches may not.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { OverlayDisk } from "../../src/cli/overlay_disk.ts";
import { Arena } from "../../src/bytes/arena.ts";
import { softwareCrc32c } from "../../src/bytes/crc32c.ts";
import { wrapMemory } from "../../src/bytes/memory.ts";
import type { Task } from "../../src/io/task.ts";
import { decodeRow } from "../../src/storage/checkpoint_row.ts";
import { closeSlots, openSlots, readSlots } from "../../src/storage/checkpoint_slots.ts";
import { findManifest, type Manifest } from "../../src/storage/manifest.ts";
import type { PartitionLog } from "../../src/storage/partition_log.ts";
import { recoverNode } from "../../src/storage/recovery.ts";
import { RecoveryStore } from "../../src/storage/recovery_store.ts";
import type { StorageContext } from "../../src/storage/shard_storage.ts";
import { batchEndOffset, batchSize } from "../../src/wire/record_batch.ts";

const MEMORY_BYTES = 256 * 2 ** 20;

/** A batch, or an entry without one. */
export interface StoredEntry {
  /** Base offset; of an entry without a batch the next one. */
  readonly offset: number;
  readonly endOffset: number;
  /** Of all bytes of a batch; of kind, index, term and payload. */
  readonly hash: string;
}

export interface StoredLog {
  readonly groupId: number;
  /** `TOPIC-PARTITION`, as its directory is called. */
  readonly name: string;
  readonly startOffset: number;
  readonly endOffset: number;
  /** In order, from the first batch that is kept on. */
  readonly batches: readonly StoredEntry[];
  readonly metas: readonly StoredEntry[];
}

/** All logs in a data directory, by group. */
export function readLogs(dataDir: string): Map<number, StoredLog> {
  const memory = wrapMemory(new ArrayBuffer(MEMORY_BYTES));
  const disk = new OverlayDisk(dataDir, memory);
  const fail = (what: string): never => {
    throw new Error(`${dataDir}: ${what}`);
  };
  try {
    const logs = disk.finish(readNode({
      disk,
      memory,
      arena: new Arena(4096, MEMORY_BYTES - 4096),
      crc32c: softwareCrc32c(memory),
      onFatal: (errno, message) => fail(`${message} (errno ${errno})`),
      onDamage: ({ file, lost }) => fail(`${file}: ${lost}`),
    }));
    return new Map(logs.map((log) => [log.groupId, log]));
  } finally {
    disk.dispose();
  }
}

function* readNode(context: StorageContext): Task<StoredLog[]> {
  const manifest = yield* recovered(context);
  const store = new RecoveryStore(context);
  const found: PartitionLog[] = [];
  for (const shard of manifest.shards) {
    const handles = yield* openSlots(context, shard, false);
    yield* readSlots(context, handles, shard.journalId, (row) => {
      const log = decodeRow(store, row);
      if (log === null) throw new Error("A row cannot be read");
      found.push(log);
    });
    yield* closeSlots(context, handles);
  }
  const logs: StoredLog[] = [];
  for (const log of found) logs.push(yield* readLog(store, log));
  return logs;
}

function* recovered(context: StorageContext): Task<Manifest> {
  const { disk, memory, arena } = context;
  const bufferBytes = arena.blockSizeMax;
  const bufferAddress = arena.allocate(bufferBytes);
  const { read } = yield* findManifest({ disk, memory, bufferAddress, bufferBytes });
  arena.release(bufferAddress);
  if (read.kind !== "found") throw new Error(`The manifest is ${read.kind}`);
  const { manifest } = read;
  const shard = manifest.shards[0]!;
  const result = yield* recoverNode({
    context,
    shardCount: manifest.shards.length,
    nodeId: manifest.nodeId,
    journalBytes: shard.extents.length * shard.extentBytes,
    extentBytes: shard.extentBytes,
    looksOnly: true,
    onProgress: () => {},
  });
  if (result.outcome !== "ready") throw new Error(`No recovery: ${result.reason}`);
  return result.manifest ?? manifest;
}

function* readLog(store: RecoveryStore, log: PartitionLog): Task<StoredLog> {
  const { bytes, view } = store.context.memory;
  const batches: StoredEntry[] = [];
  for (const segment of [...log.segmentList]) {
    if (!segment.indexLoaded) yield* store.loader.loadIndex(segment);
    for (let extent = 0; extent < segment.index.count; extent++) {
      const chunk = yield* store.loader.load(segment, extent);
      if (chunk === null) throw new Error(`${log.directory}: an extent cannot be read`);
      for (let position = chunk.start; position < chunk.end;) {
        const at = chunk.addressOf(position);
        const size = batchSize(view, at);
        const hash = hashOf(bytes.subarray(at, at + size));
        const offset = Number(view.getBigInt64(at, false));
        batches.push({ offset, endOffset: batchEndOffset(view, at), hash });
        position += size;
      }
      chunk.unpin();
    }
    store.closeSegment(segment);
  }
  const metas: StoredEntry[] = [];
  let meta = log.metaFrom(log.startIndex + 1);
  while (meta !== null) {
    const { index, term, kind, offset, payload } = meta;
    const hash = `${kind} at ${index} in term ${term}: ${hashOf(payload)}`;
    metas.push({ offset, endOffset: offset, hash });
    meta = log.metaFrom(index + 1);
  }
  return {
    groupId: log.groupId,
    name: log.directory.replace(/^logs\//, "").replace(/\.\d+\.\d+$/, ""),
    startOffset: log.startOffset,
    endOffset: log.endOffset,
    batches,
    metas,
  };
}

function hashOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("base64");
}

/**
 * What differs between the replicas of each group, for people; empty: nothing.
 *
 * @param nodes the logs of each node
 * @param committed by name of a log, up to where its records are committed; what lies behind may differ. Of a log that is
 *   not named, as much as all replicas have.
 */
export function compareReplicas(
  nodes: readonly ReadonlyMap<number, StoredLog>[],
  committed: ReadonlyMap<string, number>,
): string[] {
  const problems: string[] = [];
  const groups = new Set(nodes.flatMap((logs) => [...logs.keys()]));
  for (const group of [...groups].sort((a, b) => a - b)) {
    const replicas = nodes.map((logs) => logs.get(group));
    const name = `${replicas.find((log) => log !== undefined)!.name} (group ${group})`;
    if (replicas.some((log) => log === undefined)) {
      problems.push(`${name}: only on nodes ${present(replicas)}`);
      continue;
    }
    problems.push(...differences(name, replicas as StoredLog[], committed));
  }
  return problems;
}

function present(replicas: readonly (StoredLog | undefined)[]): string {
  return replicas.flatMap((log, node) => log === undefined ? [] : [node]).join(", ");
}

function differences(
  name: string,
  replicas: readonly StoredLog[],
  committed: ReadonlyMap<string, number>,
): string[] {
  const shortest = Math.min(...replicas.map(({ endOffset }) => endOffset));
  const end = committed.get(replicas[0]!.name) ?? shortest;
  if (end > shortest) {
    const ends = replicas.map(({ endOffset }) => endOffset).join(", ");
    return [`${name}: committed up to ${end}, and the replicas end at ${ends}`];
  }
  const start = Math.max(...replicas.map(({ startOffset }) => startOffset));
  const lists = replicas.map(({ batches, metas }) => [
    ...batches.filter((batch) => batch.offset >= start && batch.endOffset <= end),
    // One at the end may not be committed, one at the start may be gone.
    ...metas.filter(({ offset }) => offset > start && offset < end),
  ]);
  const problems: string[] = [];
  lists.forEach((list, node) => {
    if (node === 0) return;
    const [first] = lists;
    const length = Math.max(first!.length, list.length);
    for (let i = 0; i < length; i++) {
      if (first![i]?.hash === list[i]?.hash && first![i]?.offset === list[i]?.offset) continue;
      problems.push(
        `${name}: entry ${i} is ${said(first![i])} on node 0, and ${said(list[i])} on node ${node}`,
      );
      return;
    }
  });
  return problems;
}

function said(entry: StoredEntry | undefined): string {
  if (entry === undefined) return "missing";
  return `${entry.offset} to ${entry.endOffset} (${entry.hash.slice(0, 12)})`;
}

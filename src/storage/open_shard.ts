/**
 * Opens the storage of one shard, after a recovery of the node: its journal, its logs from their rows.
 *
 * No segment is opened: files come with the first append or cold read, so that ten thousand partitions
 * start as fast as their rows can be read.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import { EIO } from "../io/errno.ts";
import type { Task } from "../io/task.ts";
import { CheckpointSlots, openSlots, readSlots } from "./checkpoint_slots.ts";
import { decodeRow } from "./checkpoint_row.ts";
import { Engine } from "./engine.ts";
import type { Manifest } from "./manifest.ts";
import { openExtents } from "./recovery_files.ts";
import type { StorageContext } from "./shard_storage.ts";

export interface OpenShardOptions {
  readonly context: StorageContext;
  readonly shard: number;
  /** As recovery left it. */
  readonly manifest: Manifest;
  /** Damage is given up as it is met. */
  readonly acceptLoss?: boolean;
}

/** The storage of a shard, or a negative errno. */
export function* openShard(options: OpenShardOptions): Task<Engine | number> {
  const { context, shard, manifest } = options;
  const mine = manifest.shards[shard];
  assert(mine !== undefined, "the manifest has no such shard");
  const extents = yield* openExtents(context, mine);
  const handles = yield* openSlots(context, mine, false);
  const problem = Math.min(...handles, ...extents.map(({ handle }) => handle));
  if (problem < 0) return problem;
  const rows: Uint8Array<ArrayBuffer>[] = [];
  const read = yield* readSlots(context, handles, mine.journalId, (row) => rows.push(row));
  // Recovery wrote it, and the disk does not give it back.
  if (read.newest < 0) return -EIO;
  const target = new CheckpointSlots({
    context,
    handles,
    journalId: mine.journalId,
    mountEpoch: manifest.mountEpoch,
    older: read.older,
    sequence: read.slots[read.newest]!.sequence,
  });
  target.reserveMemory();
  const engine = new Engine({
    shard,
    context,
    target,
    journal: {
      extents,
      journalId: mine.journalId,
      mountEpoch: manifest.mountEpoch,
      firstLsn: mine.firstLsn,
    },
    acceptLoss: options.acceptLoss ?? false,
  });
  for (const row of rows) {
    const log = decodeRow(engine, row);
    if (log === null) return -EIO;
    engine.adopt(log);
  }
  return engine;
}

/**
 * Files that a start must find: which are missing, and what that means.
 *
 * @module
 */

import { type Disk, namesIn } from "../io/disk.ts";
import { EIO, ENOENT, ENOTDIR } from "../io/errno.ts";
import { io, type Task } from "../io/task.ts";
import { LOGS_DIRECTORY } from "./engine.ts";
import type { JournalExtent } from "./journal_ring.ts";
import type { JournalScan } from "./journal_scan.ts";
import {
  type Manifest,
  MANIFEST_COPY_PATH,
  MANIFEST_PATH,
  type ManifestRead,
  type ShardManifest,
} from "./manifest.ts";
import { SHARDS_DIRECTORY } from "./recovery_rings.ts";
import type { Damage, StorageContext } from "./shard_storage.ts";

/** Why a directory whose manifest cannot be read is no new one, or null when it is one. */
export function lostManifest(disk: Disk, found: ManifestRead): string | null {
  if (found.kind === "damaged") {
    return `The manifest is damaged (${found.reason}), and so is its copy`;
  }
  const listed = disk.list(LOGS_DIRECTORY);
  if (typeof listed === "number" && listed !== -ENOENT && listed !== -ENOTDIR) {
    return `The manifest and its copy are missing, and it is unknown whether there are partitions: ` +
      `${LOGS_DIRECTORY} cannot be listed (errno ${-listed})`;
  }
  const logs = namesIn(disk, LOGS_DIRECTORY).length;
  if (logs === 0) return null;
  return `The manifest and its copy are missing, but there are files of ${logs} ` +
    `partition${logs === 1 ? "" : "s"}`;
}

/**
 * Why the journals and checkpoints of a manifest seem to be elsewhere, or null: not one of them is there. One that is
 * lost costs what it held. When all are missing, a file system is usually not mounted, and a start with new ones
 * would forget the old files.
 */
export function shardsElsewhere(disk: Disk, { shards }: Manifest): string | null {
  const present = new Set(
    namesIn(disk, SHARDS_DIRECTORY).map((name) => `${SHARDS_DIRECTORY}/${name}`),
  );
  const named = shards.flatMap(({ extents, checkpoints }) => [...extents, ...checkpoints]);
  if (named.length === 0 || named.some((path) => present.has(path))) return null;
  return `None of the ${named.length} journals and checkpoints that the manifest names is in ` +
    `${SHARDS_DIRECTORY}: if it is a file system of its own, mount it`;
}

/** The manifest cannot be read, and its copy was. */
export function copyServes(because: string): Damage {
  return {
    file: MANIFEST_PATH,
    position: 0,
    lost: `Nothing: its copy (${MANIFEST_COPY_PATH}) serves; ${because}`,
    groupId: -1,
    harmless: true,
  };
}

/** Loss of the manifest was accepted. */
export function manifestLost(problem: string): Damage {
  return {
    file: MANIFEST_PATH,
    position: 0,
    lost: `${problem}. Records that were only in the journals are lost`,
    groupId: -1,
  };
}

/** Opens a journal's extents; the handle of one that cannot be opened is a negative errno. */
export function* openExtents(
  context: StorageContext,
  shard: ShardManifest,
): Task<JournalExtent[]> {
  const extents: JournalExtent[] = [];
  for (const path of shard.extents) {
    const handle = yield* io((done) => context.disk.open(path, false, done));
    extents.push({ handle, path, sizeBytes: shard.extentBytes });
  }
  return extents;
}

/** The result of a journal's scan when another step failed. */
export function failedScan(error: number): JournalScan {
  return {
    error: error < 0 ? error : -EIO,
    bufferBytesNeeded: 0,
    mountEpoch: 0,
    newestEpoch: 0,
    newestLsn: 0,
    replayedLsn: 0,
    stableLsn: 0,
    oldestLsn: 0,
    tornTail: false,
    recordCount: 0,
    damages: [],
    unreadable: [],
  };
}

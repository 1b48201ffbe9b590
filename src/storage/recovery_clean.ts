/**
 * Removes files that nothing names: those of unfinished starts, and those that the last run left.
 * A failure only leaves files in place.
 *
 * Only files whose names have our own form are ever removed. Other files in the data directory are left alone
 * and reported ({@linkcode findStrays}): somebody put it there, and it may be the only copy of something.
 *
 * @module
 */

import { type Disk, namesIn } from "../io/disk.ts";
import { ENOTDIR } from "../io/errno.ts";
import { io, type Task } from "../io/task.ts";
import { BALLAST_PATH } from "./ballast.ts";
import { LOGS_DIRECTORY } from "./engine.ts";
import { DISK_ERROR_PATH } from "./disk_error_mark.ts";
import { filesOf, type Manifest, MANIFEST_PATHS } from "./manifest.ts";
import type { PartitionLog } from "./partition_log.ts";
import { SHARDS_DIRECTORY } from "./recovery_rings.ts";
import { SNAPSHOTS_DIRECTORY } from "./state_snapshot.ts";
import { parseLogDirectory, parseSegmentName } from "./salvage.ts";

/** The other names in a data directory, next to logs and shards; `lost+found` is the file system's own. */
const ROOT_NAMES: ReadonlySet<string> = new Set([
  ...MANIFEST_PATHS,
  BALLAST_PATH,
  DISK_ERROR_PATH,
  LOGS_DIRECTORY,
  SHARDS_DIRECTORY,
  SNAPSHOTS_DIRECTORY,
  "gregor.lock",
  "lost+found",
]);
const SHARD_FILE = /^(?:journal-\d+-\d+|checkpoint-\d+-\d+-[ab])$/;
const SNAPSHOT_FILE = /^\d+\.\d+(?:\.new)?$/;
const INDEX_SUFFIX = ".index";

/** Removes journals and checkpoints that the manifest does not name. */
export function* cleanShards(disk: Disk, manifest: Manifest): Task<void> {
  const kept = new Set(filesOf(manifest));
  for (const name of namesIn(disk, SHARDS_DIRECTORY)) {
    const path = `${SHARDS_DIRECTORY}/${name}`;
    if (SHARD_FILE.test(name) && !kept.has(path)) yield* io((done) => disk.unlink(path, done));
  }
}

/**
 * Removes segments and directories that no log has; returns the directories. Other files in the directory of a log
 * that may have lost something stays until the loss is accepted: the log may have ended before it, or passed it by.
 */
export function* cleanLogs(disk: Disk, logs: Iterable<PartitionLog>): Task<string[]> {
  const removed: string[] = [];
  const known = new Map<string, Set<string>>();
  const identities = new Set<string>();
  const suspects = new Set<string>();
  for (const log of logs) {
    if (log.suspect) suspects.add(log.directory);
    const names = new Set<string>();
    for (const segment of log.segmentList) {
      names.add(segment.file.path).add(segment.indexFile.path);
    }
    known.set(log.directory, names);
    identities.add(`${log.groupId}.${log.incarnation}`);
  }
  for (const name of namesIn(disk, LOGS_DIRECTORY)) {
    const directory = `${LOGS_DIRECTORY}/${name}`;
    const names = known.get(directory);
    if (suspects.has(directory)) continue;
    if (names === undefined && !isLeftover(name, identities)) continue;
    for (const file of namesIn(disk, directory)) {
      const path = `${directory}/${file}`;
      if (isSegmentFile(file) && names?.has(path) !== true) {
        yield* io((done) => disk.unlink(path, done));
      }
    }
    if (names !== undefined) continue;
    // Refused where something is left in it.
    const result = yield* io((done) => disk.removeDirectory(directory, done));
    if (result === 0) removed.push(directory);
  }
  return removed;
}

/** Paths of files in the data directory that are not ours; of a directory, only its own path. */
export function findStrays(disk: Disk, logs: Iterable<PartitionLog>): string[] {
  const strays = namesIn(disk, "").filter((name) => !ROOT_NAMES.has(name));
  for (const name of namesIn(disk, SHARDS_DIRECTORY)) {
    if (!SHARD_FILE.test(name)) strays.push(`${SHARDS_DIRECTORY}/${name}`);
  }
  for (const name of namesIn(disk, SNAPSHOTS_DIRECTORY)) {
    if (!SNAPSHOT_FILE.test(name)) strays.push(`${SNAPSHOTS_DIRECTORY}/${name}`);
  }
  const known = new Set<string>();
  for (const { directory } of logs) known.add(directory);
  for (const name of namesIn(disk, LOGS_DIRECTORY)) {
    const directory = `${LOGS_DIRECTORY}/${name}`;
    if (!known.has(directory)) strays.push(directory);
    else {
      for (const file of namesIn(disk, directory)) {
        if (!isSegmentFile(file)) strays.push(`${directory}/${file}`);
      }
    }
  }
  return strays;
}

/** Why a name that should be a directory's is none; null: it is, or nothing has it yet. */
export function notDirectory(disk: Disk): string | null {
  for (const path of [LOGS_DIRECTORY, SHARDS_DIRECTORY, SNAPSHOTS_DIRECTORY]) {
    if (disk.list(path) === -ENOTDIR) return `${path} is not a directory: move it away`;
  }
  return null;
}

/** A directory with the form of a log's that is no copy of one that there is. */
function isLeftover(name: string, identities: ReadonlySet<string>): boolean {
  const identity = parseLogDirectory(name);
  return identity !== null && !identities.has(`${identity.groupId}.${identity.incarnation}`);
}

function isSegmentFile(name: string): boolean {
  const isIndex = name.endsWith(INDEX_SUFFIX);
  return parseSegmentName(isIndex ? `${name.slice(0, -INDEX_SUFFIX.length)}.log` : name) !== null;
}

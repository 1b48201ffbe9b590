/**
 * Removes files that nothing names: what earlier starts began and did not finish, what the last life left.
 * Failures only leave files behind.
 *
 * @module
 */

import { type Disk, namesIn } from "../io/disk.ts";
import { io, type Task } from "../io/task.ts";
import { LOGS_DIRECTORY } from "./engine.ts";
import type { Manifest } from "./manifest.ts";
import type { PartitionLog } from "./partition_log.ts";
import { SHARDS_DIRECTORY } from "./recovery_rings.ts";

/** Removes journals and checkpoints that the manifest does not name. */
export function* cleanShards(disk: Disk, manifest: Manifest): Task<void> {
  const kept = new Set(
    manifest.shards.flatMap((shard) => [...shard.extents, ...shard.checkpoints]),
  );
  for (const name of namesIn(disk, SHARDS_DIRECTORY)) {
    const path = `${SHARDS_DIRECTORY}/${name}`;
    if (!kept.has(path)) yield* io((done) => disk.unlink(path, done));
  }
}

/** Removes segments and directories that no log has. */
export function* cleanLogs(disk: Disk, logs: Iterable<PartitionLog>): Task<void> {
  const named = new Map<string, Set<string>>();
  for (const log of logs) {
    const names = new Set<string>();
    for (const segment of log.segmentList) {
      names.add(segment.file.path).add(segment.indexFile.path);
    }
    named.set(log.directory, names);
  }
  for (const name of namesIn(disk, LOGS_DIRECTORY)) {
    const directory = `${LOGS_DIRECTORY}/${name}`;
    const names = named.get(directory);
    for (const file of namesIn(disk, directory)) {
      const path = `${directory}/${file}`;
      if (names?.has(path) !== true) yield* io((done) => disk.unlink(path, done));
    }
    if (names === undefined) yield* io((done) => disk.removeDirectory(directory, done));
  }
}

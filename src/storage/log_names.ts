/**
 * Creates the directories of new logs, durably.
 *
 * No record of a log is reported as durable before its directory's name is. When damage takes a group's row, or
 * its first records, only the directory shows that the group existed (`salvage.ts`), and that an empty log in its
 * place would be wrong.
 *
 * @module
 */

import type { Disk } from "../io/disk.ts";
import { EEXIST } from "../io/errno.ts";
import { io, type Task } from "../io/task.ts";
import type { PartitionLog } from "./partition_log.ts";

/** Bytes of a log's name in its directory's name: two numbers follow, and a file system allows 255 bytes. */
const NAME_LENGTH_MAX = 200;

/** Logs whose first segment is made in one turn, before there are records. */
const OPEN_AHEAD_LOGS = 4;

/** Group id and incarnation identify the log; the name before them is for people. */
export function logDirectoryName(
  log: { readonly name: string; readonly groupId: number; readonly incarnation: number },
): string {
  return `${log.name.slice(0, NAME_LENGTH_MAX)}.${log.groupId}.${log.incarnation}`;
}

/** `orders-3` of `logs/orders-3.17.1/...`: what people call the log that a path belongs to. */
export function partitionOfPath(path: string): string {
  const directory = path.split("/")[1] ?? path;
  return directory.replace(/\.\d+\.\d+$/, "");
}

/** The records of a log that the journal made durable before its directory's name was. */
export class UnnamedProgress {
  index = 0;
  endOffset = 0;
  hardVersion = 0;
  noted = false;

  note(index: number, endOffset: number, hardVersion: number): void {
    this.noted = true;
    this.index = Math.max(this.index, index);
    this.endOffset = Math.max(this.endOffset, endOffset);
    this.hardVersion = Math.max(this.hardVersion, hardVersion);
  }

  /** Entries beyond `index` were cut off: the entries in their place are not the noted ones. */
  cut(index: number, endOffset: number): void {
    this.index = Math.min(this.index, index);
    this.endOffset = Math.min(this.endOffset, endOffset);
  }
}

/** Creates the missing directories of `logs`; 0 or a negative errno. */
export function* makeDirectories(disk: Disk, logs: Iterable<PartitionLog>): Task<number> {
  for (const log of logs) {
    if (log.deleted || log.directoryMade) continue;
    const made = yield* io((done) => disk.makeDirectory(log.directory, done));
    if (made < 0 && made !== -EEXIST) return made;
    log.directoryMade = true;
  }
  return 0;
}

/**
 * The same in `parent`, whose names are then durable: those logs are notified ({@linkcode PartitionLog.reachNamed}).
 *
 * @returns 0, or a negative errno; on a full disk (-ENOSPC) some may be named anyway
 */
export function* nameDirectories(
  disk: Disk,
  parent: string,
  logs: readonly PartitionLog[],
): Task<number> {
  const result = yield* makeDirectories(disk, logs);
  // As of now: a directory that is created during the flush may not be part of it.
  const made = logs.filter((log) => log.directoryMade || log.deleted);
  const synced = yield* io((done) => disk.syncDirectory(parent, done));
  if (synced < 0) return synced;
  for (const log of made) log.reachNamed();
  return result;
}

/**
 * Takes some logs off the list, and has their first segment made: a few in each turn, so that the creation of thousands of
 * partitions does not hold up existing ones.
 */
export function openAhead(unopened: PartitionLog[]): void {
  for (let i = 0; i < OPEN_AHEAD_LOGS && unopened.length > 0; i++) unopened.pop()!.openAhead();
}

/**
 * The mark that a disk error leaves in the data directory (docs/formats/disk_error.md): as long as it is
 * there, a start reads everything back from the disk before it serves.
 *
 *     gregor disk-error
 *     when 2026-11-23T22:41:22.161Z
 *     what Cannot write the journal: errno 5
 *
 * Only the file's existence counts; its text is for people, and may be cut short by the error that it reports.
 * The thread that ends the process writes it (`src/shard/leave_mark.ts`), without the rings and memory of the failed
 * shard.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import { BLOCK_SIZE, type Disk } from "../io/disk.ts";
import { io, type Task } from "../io/task.ts";
import type { Manifest } from "./manifest.ts";
import type { StorageContext } from "./shard_storage.ts";
import { type Verified, verifyLogs } from "./verify.ts";

export const DISK_ERROR_PATH = "disk-error";

/** The mark's text. */
export function encodeDiskError(when: string, what: string): Uint8Array<ArrayBuffer> {
  const line = what.replaceAll(/\s+/g, " ").slice(0, BLOCK_SIZE / 8);
  return new TextEncoder().encode(`gregor disk-error\nwhen ${when}\nwhat ${line}\n`);
}

/** The disk error of the last run, as far as it can be read ("" if not at all); null: there was none. */
export function* readDiskError(context: StorageContext): Task<string | null> {
  const { disk, memory, arena } = context;
  if (disk.size(DISK_ERROR_PATH) < 0) return null;
  const handle = yield* io((done) => disk.open(DISK_ERROR_PATH, false, done));
  if (handle < 0) return "";
  const address = arena.allocate(BLOCK_SIZE);
  assert(address >= 0, "no memory to read the mark of a disk error");
  const read = yield* io((done) => disk.read(handle, 0, address, BLOCK_SIZE, done));
  yield* io((done) => disk.close(handle, done));
  const text = new TextDecoder().decode(memory.bytes.slice(address, address + Math.max(0, read)));
  arena.release(address);
  const when = /^when (.*)$/m.exec(text)?.[1] ?? "";
  const what = /^what (.*)$/m.exec(text)?.[1] ?? "";
  return `${when} ${what}`.trim();
}

/**
 * Reads everything back that a recovery has left, and then removes the mark, durably: cut short by whatever,
 * the next start finds it again.
 *
 * @returns a negative errno when the rows cannot be read, or the mark not be removed
 */
export function* verifyNode(
  context: StorageContext,
  manifest: Manifest,
  onProgress: (done: number) => void,
): Task<Verified | number> {
  const verified = yield* verifyLogs(context, manifest, onProgress);
  if (typeof verified === "number") return verified;
  const removed = yield* removeDiskError(context.disk);
  return removed < 0 ? removed : verified;
}

function* removeDiskError(disk: Disk): Task<number> {
  if (disk.size(DISK_ERROR_PATH) < 0) return 0;
  const removed = yield* io((done) => disk.unlink(DISK_ERROR_PATH, done));
  if (removed < 0) return removed;
  return yield* io((done) => disk.syncDirectory("", done));
}

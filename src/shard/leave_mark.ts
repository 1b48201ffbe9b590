/**
 * Leaves the mark of a disk error in the data directory, while the process that met it ends.
 *
 * It goes through the runtime's own file calls on a thread of their own: not through the ring, nor the
 * memory, of the shard that failed. A disk that does not answer keeps the process for a bounded time.
 *
 * @module
 */

import { DISK_ERROR_PATH, encodeDiskError } from "../storage/disk_error_mark.ts";

/** Longer than any disk that still works takes (ms). */
const MARK_MS = 3_000;

/** Resolves with null once the mark is durable, or with why it is not; never rejects. */
export async function leaveMark(dataDir: string, what: string): Promise<string | null> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve(`the disk took longer than ${MARK_MS} ms`), MARK_MS);
  });
  try {
    return await Promise.race([writeMark(dataDir, what), late]);
  } finally {
    clearTimeout(timer);
  }
}

async function writeMark(dataDir: string, what: string): Promise<string | null> {
  try {
    using file = await Deno.open(`${dataDir}/${DISK_ERROR_PATH}`, {
      write: true,
      create: true,
      truncate: true,
    });
    const text = encodeDiskError(new Date().toISOString(), what);
    // A mark without its text is a mark: a full disk may still have room for the name.
    await file.write(text).then(() => file.sync()).catch(() => {});
    using directory = await Deno.open(dataDir, { read: true });
    await directory.sync();
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

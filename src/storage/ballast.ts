/**
 * A file that reserves disk space for the next start (docs/formats/ballast.md).
 *
 * A start needs room for new checkpoints and a manifest before it may give up the old ones, and for the
 * metadata log's next records; on a full disk it would have none. So a broker that serves holds that much
 * in a file, and a start gives it up when it needs the room: the space is free again after the switch,
 * and is held again before any client can connect.
 *
 * @module
 */

import { BLOCK_SIZE, type Disk } from "../io/disk.ts";
import { ENOENT, ENOSPC } from "../io/errno.ts";
import { io, type Task } from "../io/task.ts";

export const BALLAST_PATH = "ballast";
/** Besides checkpoints: manifest, metadata log, index blocks, what the file system itself needs (bytes). */
const BALLAST_REST_BYTES = 512 * 1024;
/** A smaller piece of a nearly full disk is left alone (bytes). */
const BALLAST_STEP_MIN = 4 * BLOCK_SIZE;

/** How much to hold. @param checkpointBytes what a start reserves for the checkpoints of all shards */
export function ballastBytesFor(checkpointBytes: number): number {
  return checkpointBytes + BALLAST_REST_BYTES;
}

/** Gives the space up, before a start needs it; zero or a negative errno. */
export function* dropBallast(disk: Disk): Task<number> {
  const result = yield* io((done) => disk.unlink(BALLAST_PATH, done));
  return result === -ENOENT ? 0 : result;
}

/**
 * Holds `wantedBytes`, or as much of it as there is: left alone, a rest would go to the next append.
 *
 * @returns what is held now (bytes), or a negative errno
 */
export function* keepBallast(disk: Disk, wantedBytes: number): Task<number> {
  let held = Math.max(0, disk.size(BALLAST_PATH));
  if (held >= wantedBytes) return held;
  const handle = yield* io((done) => disk.open(BALLAST_PATH, true, done));
  if (handle === -ENOSPC) return held;
  if (handle < 0) return handle;
  let step = Math.ceil((wantedBytes - held) / BLOCK_SIZE) * BLOCK_SIZE;
  let result = 0;
  while (held < wantedBytes && step >= Math.min(BALLAST_STEP_MIN, wantedBytes - held)) {
    const from = held;
    const length = step;
    result = yield* io((done) => disk.allocate(handle, from, length, done));
    // The size says what is held, also to the next life.
    if (result >= 0) result = yield* io((done) => disk.truncate(handle, from + length, done));
    if (result >= 0) held = from + length;
    else if (result !== -ENOSPC) break;
    step = Math.ceil(Math.min(step / 2, wantedBytes - held) / BLOCK_SIZE) * BLOCK_SIZE;
  }
  yield* io((done) => disk.close(handle, done));
  return result < 0 && result !== -ENOSPC ? result : held;
}

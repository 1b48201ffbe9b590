/**
 * Makes files whose every block was written once, so that a later durable overwrite changes no
 * metadata: on the machine measured, a 4 KiB durable write takes 216 us into a fallocated file and 94 us
 * into a prewritten one.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import type { Memory } from "../bytes/memory.ts";
import { BLOCK_SIZE, type Disk } from "../io/disk.ts";
import { EIO } from "../io/errno.ts";
import { io, type Task } from "../io/task.ts";

export interface PrewriteOptions {
  readonly disk: Disk;
  readonly memory: Memory;
  readonly path: string;
  /** A multiple of the block (bytes). */
  readonly sizeBytes: number;
  /** A buffer in the region, aligned to the block; it is filled with zeros. */
  readonly bufferAddress: number;
  readonly bufferBytes: number;
  /** Told after each piece how much of the file is written (bytes). */
  readonly onProgress: ((writtenBytes: number) => void) | null;
}

/**
 * Creates (or overwrites) a file of zeros and syncs it; the caller syncs the directory.
 *
 * A file that does not fit on the disk is removed again.
 *
 * @returns the open handle, or a negative errno
 */
export function* prewriteFile(options: PrewriteOptions): Task<number> {
  const { disk, path, sizeBytes } = options;
  assert(sizeBytes > 0 && sizeBytes % BLOCK_SIZE === 0, "size of a prewritten file is not aligned");
  const handle = yield* io((done) => disk.open(path, true, done));
  if (handle < 0) return handle;
  const error = yield* writeZeros(options, handle);
  if (error === 0) return handle;
  yield* io((done) => disk.close(handle, done));
  yield* io((done) => disk.unlink(path, done));
  return error;
}

function* writeZeros(options: PrewriteOptions, handle: number): Task<number> {
  const { disk, memory, sizeBytes, bufferAddress, bufferBytes, onProgress } = options;
  let result = yield* io((done) => disk.truncate(handle, 0, done));
  if (result < 0) return result;
  // All the space at once: better extents, and a full disk is found out before the work.
  result = yield* io((done) => disk.allocate(handle, 0, sizeBytes, done));
  if (result < 0) return result;
  memory.bytes.fill(0, bufferAddress, bufferAddress + bufferBytes);
  for (let position = 0; position < sizeBytes; position += bufferBytes) {
    const length = Math.min(bufferBytes, sizeBytes - position);
    result = yield* io((done) => {
      disk.write(handle, position, bufferAddress, length, false, done);
    });
    if (result < 0) return result;
    if (result !== length) return -EIO;
    onProgress?.(position + length);
  }
  return yield* io((done) => disk.sync(handle, done));
}

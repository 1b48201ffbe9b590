/**
 * The disk seam: every byte that Gregor stores goes through this interface.
 *
 * Production implements it on io_uring (`src/io/uring_disk.ts`), the simulator in memory with a seed
 * and faults (`src/io/memory_disk.ts`); both pass the same behaviour suite (`disk_suite.ts`).
 *
 * Rules of every implementation:
 * - Paths are relative to the data directory, with `/` between parts; handles are small integers.
 * - Files are opened O_DIRECT: `position`, `address` and `length` of reads and writes are multiples of
 *   {@linkcode BLOCK_SIZE}. A read beyond the end of the file returns fewer bytes.
 * - An operation returns at once and completes later through its {@linkcode Completion}, never from
 *   inside the call. Operations in flight are unordered among each other.
 * - The memory of a read or write stays untouched by its owner until completion, except that bytes
 *   of a partly filled last block beyond what the caller counts as written may still change.
 * - `durable` (RWF_DSYNC) means: complete only when the bytes and the metadata needed to read them
 *   would survive a power cut. Everything else is volatile until `sync` or `syncFileSystem` completes.
 *   A new, renamed or removed name is volatile until `syncDirectory` of its parent.
 * - A negative errno is an outcome, not an exception.
 *
 * @module
 */

import type { Completion } from "./completion.ts";

/** Unit of every transfer, and the alignment of positions and addresses (bytes). */
export const BLOCK_SIZE = 4096;

export interface Disk {
  /** Opens (with `create`, makes) a file for reading and writing; completes with its handle. */
  open(path: string, create: boolean, done: Completion): void;
  close(handle: number, done: Completion): void;
  /**
   * Reads into the region at `address`; completes with the bytes read: fewer at the end of the file, or
   * where the kernel stopped (`PatientDisk` reads on then).
   */
  read(
    handle: number,
    position: number,
    address: number,
    length: number,
    done: Completion,
  ): void;
  /**
   * Writes from the region; completes with the bytes written: fewer where the kernel stopped (`PatientDisk`
   * continues then; other users of a disk treat it as EIO).
   */
  write(
    handle: number,
    position: number,
    address: number,
    length: number,
    durable: boolean,
    done: Completion,
  ): void;
  /**
   * A durable write of blocks that validate by themselves: the CRC-32C of bytes 4 to 4095 of each
   * 4 KiB block is stored in its bytes 0 to 3 (little-endian), in the region too, and then written.
   */
  writeSealed(
    handle: number,
    position: number,
    address: number,
    length: number,
    done: Completion,
  ): void;
  /** fdatasync of one file. */
  sync(handle: number, done: Completion): void;
  /** syncfs of the data directory's file system; runs beside the shard, not on it. */
  syncFileSystem(done: Completion): void;
  /** Makes names created, renamed or removed in `path` durable. */
  syncDirectory(path: string, done: Completion): void;
  /** Reserves space, so that later writes in the range cannot meet ENOSPC; does not change the size read. */
  allocate(handle: number, position: number, length: number, done: Completion): void;
  /** Cuts or extends the file to `size` bytes. */
  truncate(handle: number, size: number, done: Completion): void;
  rename(from: string, to: string, done: Completion): void;
  unlink(path: string, done: Completion): void;
  makeDirectory(path: string, done: Completion): void;
  removeDirectory(path: string, done: Completion): void;

  /**
   * Names in a directory, sorted, or a negative errno: -ENOENT when there is none, -ENOTDIR when it is something
   * else. Synchronous: start-up and checks only.
   */
  list(path: string): string[] | number;
  /** Size of a file in bytes, or a negative errno. Synchronous: start-up and checks only. */
  size(path: string): number;
  /** Bytes free for the broker, and in all. One cheap call (statfs). */
  freeBytes(): number;
  totalBytes(): number;
}

/** Names in a directory, sorted; none where there is no directory, or it cannot be read. */
export function namesIn(disk: Disk, path: string): string[] {
  const names = disk.list(path);
  return typeof names === "number" ? [] : names;
}

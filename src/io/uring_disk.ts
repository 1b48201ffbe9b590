/**
 * The disk seam on io_uring: files of the data directory, opened O_DIRECT.
 *
 * Handles are file descriptors. Everything is started on the shard's ring and completes in its turns;
 * the few synchronous questions go to the shim at once.
 *
 * @module
 */

import type { Completion } from "./completion.ts";
import type { Disk } from "./disk.ts";
import { errnoOf } from "./errno.ts";
import { encodeText, type Shim } from "./shim.ts";
import type { Uring } from "./uring.ts";
import {
  Op,
  OPEN_CREATE,
  OPEN_DIRECTORY,
  SYNC_METADATA,
  WRITE_DURABLE,
  WRITE_SEAL_BLOCKS,
} from "./uring_ops.ts";

/**
 * Makes `path` the process's data directory; it must exist.
 *
 * @returns 0 or a negative errno
 */
export function setDataDirectory(shim: Shim, path: string): number {
  const bytes = encodeText(path);
  return shim.gregor_set_root(bytes, bytes.length);
}

export class UringDisk implements Disk {
  readonly #uring: Uring;
  readonly #shim: Shim;
  readonly #root: string;
  /** Operations since the start. */
  reads = 0;
  writes = 0;
  /** Of the journal. */
  sealedWrites = 0;

  /** @param root the data directory, set by {@linkcode setDataDirectory} */
  constructor(uring: Uring, root: string) {
    this.#uring = uring;
    this.#shim = uring.shim;
    this.#root = root;
  }

  open(path: string, create: boolean, done: Completion): void {
    this.#uring.startOnName(Op.Open, create ? OPEN_CREATE : 0, encodeText(path), null, done);
  }

  close(handle: number, done: Completion): void {
    this.#uring.start(Op.Close, 0, 0, handle, 0, 0, 0, done);
  }

  read(
    handle: number,
    position: number,
    address: number,
    length: number,
    done: Completion,
  ): void {
    this.reads++;
    this.#uring.start(Op.Read, 0, 0, handle, length, address, position, done);
  }

  write(
    handle: number,
    position: number,
    address: number,
    length: number,
    durable: boolean,
    done: Completion,
  ): void {
    this.writes++;
    const flags = durable ? WRITE_DURABLE : 0;
    this.#uring.start(Op.Write, flags, 0, handle, length, address, position, done);
  }

  writeSealed(
    handle: number,
    position: number,
    address: number,
    length: number,
    done: Completion,
  ): void {
    this.sealedWrites++;
    const flags = WRITE_DURABLE | WRITE_SEAL_BLOCKS;
    this.#uring.start(Op.Write, flags, 0, handle, length, address, position, done);
  }

  sync(handle: number, done: Completion): void {
    this.#uring.start(Op.Sync, 0, 0, handle, 0, 0, 0, done);
  }

  syncFileSystem(done: Completion): void {
    this.#uring.start(Op.SyncFileSystem, 0, 0, -1, 0, 0, 0, done);
  }

  syncDirectory(path: string, done: Completion): void {
    const name = encodeText(path === "" ? "." : path);
    const uring = this.#uring;
    uring.startOnName(Op.Open, OPEN_DIRECTORY, name, null, {
      complete(fd) {
        if (fd < 0) return done.complete(fd, 0);
        uring.start(Op.Sync, SYNC_METADATA, 0, fd, 0, 0, 0, {
          complete(synced) {
            uring.start(Op.Close, 0, 0, fd, 0, 0, 0, {
              complete: () => done.complete(synced, 0),
            });
          },
        });
      },
    });
  }

  allocate(handle: number, position: number, length: number, done: Completion): void {
    this.#uring.start(Op.Allocate, 0, 0, handle, 0, 0, position, done);
    this.#uring.setSecondSize(length);
  }

  truncate(handle: number, size: number, done: Completion): void {
    this.#uring.start(Op.Truncate, 0, 0, handle, 0, 0, size, done);
  }

  rename(from: string, to: string, done: Completion): void {
    this.#uring.startOnName(Op.Rename, 0, encodeText(from), encodeText(to), done);
  }

  unlink(path: string, done: Completion): void {
    this.#uring.startOnName(Op.Unlink, 0, encodeText(path), null, done);
  }

  makeDirectory(path: string, done: Completion): void {
    this.#uring.startOnName(Op.MakeDirectory, 0, encodeText(path), null, done);
  }

  removeDirectory(path: string, done: Completion): void {
    this.#uring.startOnName(Op.RemoveDirectory, 0, encodeText(path), null, done);
  }

  list(path: string): string[] | number {
    try {
      const names = [];
      for (const entry of Deno.readDirSync(`${this.#root}/${path}`)) names.push(entry.name);
      return names.sort();
    } catch (error) {
      return errnoOf(error);
    }
  }

  size(path: string): number {
    const bytes = encodeText(path === "" ? "." : path);
    return this.#shim.gregor_file_size(bytes, bytes.length);
  }

  freeBytes(): number {
    return this.#shim.gregor_free_bytes();
  }

  totalBytes(): number {
    return this.#shim.gregor_total_bytes();
  }
}

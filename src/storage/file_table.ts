/**
 * Open files of one shard: descriptors in an LRU, opened on first use.
 *
 * Ten thousand partitions have more files than a process may hold open. A {@linkcode FileSlot} names a
 * file for as long as its segment lives; its handle comes and goes. Between {@linkcode FileTable.use} and
 * {@linkcode FileTable.release} a handle stays open.
 *
 *     CLOSED -> OPENING -> OPEN (in use, or in the LRU) -> CLOSED
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import type { Completion } from "../io/completion.ts";
import type { Disk } from "../io/disk.ts";

/** Descriptors of segments and indexes that a shard keeps open (more only while all are in use). */
export const OPEN_FILES_MAX_DEFAULT = 1024;

export class FileSlot {
  readonly path: string;
  /** Open handle, or -1. */
  handle = -1;
  users = 0;
  opening = false;
  waiters: Completion[] | null = null;
  older: FileSlot | null = null;
  younger: FileSlot | null = null;

  constructor(path: string) {
    this.path = path;
  }
}

const IGNORED: Completion = { complete() {} };

export class FileTable {
  readonly #disk: Disk;
  readonly #openMax: number;
  #oldest: FileSlot | null = null;
  #youngest: FileSlot | null = null;
  openCount = 0;

  constructor(disk: Disk, openMax: number) {
    this.#disk = disk;
    this.#openMax = openMax;
  }

  /**
   * Holds the file open, if it is open already.
   *
   * @returns the handle, or -1 when it must be opened first ({@linkcode FileTable.open})
   */
  use(slot: FileSlot): number {
    if (slot.handle < 0) return -1;
    if (slot.users++ === 0) this.#unlink(slot);
    return slot.handle;
  }

  /** Opens and holds a file; completes with the handle or a negative errno, perhaps at once. */
  open(slot: FileSlot, create: boolean, done: Completion): void {
    const handle = this.use(slot);
    if (handle >= 0) {
      done.complete(handle, 0);
      return;
    }
    (slot.waiters ??= []).push(done);
    if (slot.opening) return;
    slot.opening = true;
    this.#disk.open(slot.path, create, {
      complete: (result) => this.#opened(slot, result),
    });
  }

  /** Lets go of a file held by `use` or `open`. */
  release(slot: FileSlot): void {
    assert(slot.users > 0, "file released more often than used");
    if (--slot.users === 0) {
      this.#link(slot);
      this.#closeExcess();
    }
  }

  /** Closes a file that nobody holds any more, because it is to be removed. */
  forget(slot: FileSlot): void {
    assert(slot.users === 0 && !slot.opening, "file is still in use");
    if (slot.handle < 0) return;
    this.#unlink(slot);
    this.#close(slot);
  }

  #opened(slot: FileSlot, result: number): void {
    slot.opening = false;
    const waiters = slot.waiters!;
    slot.waiters = null;
    if (result >= 0) {
      slot.handle = result;
      slot.users = waiters.length;
      this.openCount++;
      this.#closeExcess();
    }
    for (const waiter of waiters) waiter.complete(result, 0);
  }

  #closeExcess(): void {
    while (this.openCount > this.#openMax && this.#oldest !== null) {
      const slot = this.#oldest;
      this.#unlink(slot);
      this.#close(slot);
    }
  }

  #close(slot: FileSlot): void {
    this.#disk.close(slot.handle, IGNORED);
    slot.handle = -1;
    this.openCount--;
  }

  #link(slot: FileSlot): void {
    slot.older = this.#youngest;
    slot.younger = null;
    if (this.#youngest === null) this.#oldest = slot;
    else this.#youngest.younger = slot;
    this.#youngest = slot;
  }

  #unlink(slot: FileSlot): void {
    if (slot.older === null) this.#oldest = slot.younger;
    else slot.older.younger = slot.younger;
    if (slot.younger === null) this.#youngest = slot.older;
    else slot.younger.older = slot.older;
    slot.older = null;
    slot.younger = null;
  }
}

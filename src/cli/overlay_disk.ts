/**
 * A disk that reads a data directory and keeps every change to itself, in memory.
 *
 * `gregor check` recovers a node on it, as a start would, and reads the result; the files stay as they
 * are. Blocks that were written lie over those of the file; a block of zeros costs nothing.
 *
 * @module
 */

import { crc32cOfBytes } from "../bytes/crc32c.ts";
import type { Memory } from "../bytes/memory.ts";
import type { Completion } from "../io/completion.ts";
import { BLOCK_SIZE, type Disk } from "../io/disk.ts";
import { EBADF, EEXIST, EIO, EISDIR, ENOENT, errnoOf } from "../io/errno.ts";
import { runTask, type Task } from "../io/task.ts";

const ZEROS = new Uint8Array(BLOCK_SIZE);

interface OverlayFile {
  /** The real file below, or null for one that only exists here. */
  readonly below: Deno.FsFile | null;
  /** Bytes of the real file that still show through. */
  belowSize: number;
  sizeBytes: number;
  readonly blocks: Map<number, Uint8Array>;
}

export class OverlayDisk implements Disk {
  readonly #root: string;
  readonly #memory: Memory;
  /** By path; null: removed here. */
  readonly #files = new Map<string, OverlayFile | null>();
  readonly #directories = new Set<string>();
  readonly #handles = new Map<number, OverlayFile>();
  #nextHandle = 1;
  #due: (() => void)[] = [];

  constructor(root: string, memory: Memory) {
    this.#root = root;
    this.#memory = memory;
  }

  /** Runs a task that waits for nothing but this disk. */
  finish<T>(task: Task<T>): T {
    const results: T[] = [];
    runTask(task, (value) => results.push(value));
    while (results.length === 0) {
      const due = this.#due;
      if (due.length === 0) throw new Error("Cannot finish: the task waits for something else");
      this.#due = [];
      for (const complete of due) complete();
    }
    return results[0]!;
  }

  /** Closes the real files; the disk must not be used afterwards. */
  dispose(): void {
    for (const file of this.#files.values()) file?.below?.close();
    this.#files.clear();
  }

  open(path: string, create: boolean, done: Completion): void {
    let file = this.#find(path);
    if (file === -ENOENT && create) {
      file = { below: null, belowSize: 0, sizeBytes: 0, blocks: new Map() };
      this.#files.set(path, file);
    }
    if (typeof file === "number") return this.#complete(done, file);
    const handle = this.#nextHandle++;
    this.#handles.set(handle, file);
    this.#complete(done, handle);
  }

  close(handle: number, done: Completion): void {
    this.#complete(done, this.#handles.delete(handle) ? 0 : -EBADF);
  }

  read(handle: number, position: number, address: number, length: number, done: Completion): void {
    const file = this.#handles.get(handle);
    if (file === undefined) return this.#complete(done, -EBADF);
    const count = Math.max(0, Math.min(length, file.sizeBytes - position));
    const target = this.#memory.bytes.subarray(address, address + count);
    target.fill(0);
    const shown = Math.max(0, Math.min(count, file.belowSize - position));
    if (shown > 0) {
      const problem = readBelow(file.below!, position, target.subarray(0, shown));
      if (problem < 0) return this.#complete(done, problem);
    }
    const lastBlock = Math.ceil((position + count) / BLOCK_SIZE);
    for (let block = position / BLOCK_SIZE; block < lastBlock; block++) {
      const written = file.blocks.get(block);
      if (written === undefined) continue;
      const at = block * BLOCK_SIZE - position;
      target.set(written.subarray(0, Math.min(BLOCK_SIZE, count - at)), at);
    }
    this.#complete(done, count);
  }

  write(
    handle: number,
    position: number,
    address: number,
    length: number,
    _durable: boolean,
    done: Completion,
  ): void {
    const file = this.#handles.get(handle);
    if (file === undefined) return this.#complete(done, -EBADF);
    for (let at = 0; at < length; at += BLOCK_SIZE) {
      const bytes = this.#memory.bytes.subarray(address + at, address + at + BLOCK_SIZE);
      const isZero = bytes.every((byte) => byte === 0);
      file.blocks.set((position + at) / BLOCK_SIZE, isZero ? ZEROS : bytes.slice());
    }
    file.sizeBytes = Math.max(file.sizeBytes, position + length);
    this.#complete(done, length);
  }

  writeSealed(
    handle: number,
    position: number,
    address: number,
    length: number,
    done: Completion,
  ): void {
    for (let at = address; at < address + length; at += BLOCK_SIZE) {
      const crc = crc32cOfBytes(this.#memory.bytes, at + 4, at + BLOCK_SIZE, 0);
      this.#memory.view.setUint32(at, crc, true);
    }
    this.write(handle, position, address, length, true, done);
  }

  allocate(handle: number, _position: number, _length: number, done: Completion): void {
    this.#complete(done, this.#handles.has(handle) ? 0 : -EBADF);
  }

  truncate(handle: number, size: number, done: Completion): void {
    const file = this.#handles.get(handle);
    if (file === undefined) return this.#complete(done, -EBADF);
    file.sizeBytes = size;
    file.belowSize = Math.min(file.belowSize, size);
    for (const block of file.blocks.keys()) {
      if (block * BLOCK_SIZE >= size) file.blocks.delete(block);
    }
    this.#complete(done, 0);
  }

  rename(from: string, to: string, done: Completion): void {
    const file = this.#find(from);
    if (typeof file === "number") return this.#complete(done, file);
    this.#files.set(to, file);
    this.#files.set(from, null);
    this.#complete(done, 0);
  }

  unlink(path: string, done: Completion): void {
    const file = this.#find(path);
    if (typeof file === "number") return this.#complete(done, file);
    this.#files.set(path, null);
    this.#complete(done, 0);
  }

  makeDirectory(path: string, done: Completion): void {
    if (typeof this.list(path) !== "number") return this.#complete(done, -EEXIST);
    this.#directories.add(path);
    this.#complete(done, 0);
  }

  removeDirectory(path: string, done: Completion): void {
    this.#directories.delete(path);
    this.#complete(done, 0);
  }

  sync(_handle: number, done: Completion): void {
    this.#complete(done, 0);
  }

  syncFileSystem(done: Completion): void {
    this.#complete(done, 0);
  }

  syncDirectory(_path: string, done: Completion): void {
    this.#complete(done, 0);
  }

  list(path: string): string[] | number {
    const names = new Set<string>();
    let problem = path === "" || this.#directories.has(path) ? 0 : -ENOENT;
    try {
      for (const entry of Deno.readDirSync(`${this.#root}/${path}`)) names.add(entry.name);
      problem = 0;
    } catch (error) {
      const errno = errnoOf(error);
      if (problem < 0 || errno !== -ENOENT) problem = errno;
    }
    const prefix = path === "" ? "" : `${path}/`;
    for (const [name, file] of this.#files) {
      if (!name.startsWith(prefix) || name.slice(prefix.length).includes("/")) continue;
      if (file === null) names.delete(name.slice(prefix.length));
      else names.add(name.slice(prefix.length));
    }
    return problem < 0 ? problem : [...names].sort();
  }

  size(path: string): number {
    const file = this.#find(path);
    return typeof file === "number" ? file : file.sizeBytes;
  }

  freeBytes(): number {
    return Number.MAX_SAFE_INTEGER;
  }

  totalBytes(): number {
    return Number.MAX_SAFE_INTEGER;
  }

  /** A file, or a negative errno. */
  #find(path: string): OverlayFile | number {
    const known = this.#files.get(path);
    if (known !== undefined) return known ?? -ENOENT;
    let below: Deno.FsFile;
    try {
      below = Deno.openSync(`${this.#root}/${path}`, { read: true });
    } catch (error) {
      return errnoOf(error);
    }
    const { size, isFile } = below.statSync();
    if (!isFile) {
      below.close();
      return -EISDIR;
    }
    const file = { below, belowSize: size, sizeBytes: size, blocks: new Map() };
    this.#files.set(path, file);
    return file;
  }

  #complete(done: Completion, result: number): void {
    this.#due.push(() => done.complete(result, 0));
  }
}

/** Zero, or a negative errno. */
function readBelow(file: Deno.FsFile, position: number, target: Uint8Array): number {
  try {
    file.seekSync(position, Deno.SeekMode.Start);
    let at = 0;
    while (at < target.length) {
      const count = file.readSync(target.subarray(at));
      if (count === null) return -EIO;
      at += count;
    }
    return 0;
  } catch (error) {
    return errnoOf(error);
  }
}

/**
 * The simulator's disk: files in memory, completions in a seeded order, and faults on demand.
 *
 * Nothing happens inside a call. Each operation waits in flight until {@linkcode MemoryDisk.step} (or
 * `run`, or `advance` with virtual time) picks one at random, carries it out and completes it. A write
 * takes its bytes from the region at that moment, not when it was submitted, so that a caller that
 * touches a buffer in flight is detected.
 *
 * ```
 *   run 1:   new MemoryDisk ─ operations ─ crash()   handles dead, completions never fire
 *   run 2:                                  └─ restart() ─ operations ...   on what survived
 * ```
 *
 * What a crash does to bytes is described in `memory_file.ts`, to names in `memory_names.ts`. Operations in
 * flight at the crash may have happened, not happened, or (writes) happened in part.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import type { Random } from "../base/prng.ts";
import { crc32cOfBytes } from "../bytes/crc32c.ts";
import type { Memory } from "../bytes/memory.ts";
import type { Completion } from "./completion.ts";
import { BLOCK_SIZE, type Disk } from "./disk.ts";
import { EBADF, EINVAL, EIO, EISDIR, ENOENT, ENOSPC } from "./errno.ts";
import { MemoryFile, type Roughness, type StrayBlock } from "./memory_file.ts";
import { MemoryNames, type MemoryNode } from "./memory_names.ts";

/** The operations that a fault can be tied to. */
export type DiskOperation =
  | "open"
  | "close"
  | "read"
  | "write"
  | "sync"
  | "syncFileSystem"
  | "syncDirectory"
  | "allocate"
  | "truncate"
  | "rename"
  | "unlink"
  | "makeDirectory"
  | "removeDirectory";

/** What happens to the operation that a fault hits. */
export type DiskFault =
  | { readonly kind: "error"; readonly errno: number }
  /** Moves only this many bytes, and reports that. */
  | { readonly kind: "short"; readonly bytes: number }
  /** Says that it was done, and does nothing. */
  | { readonly kind: "lost" }
  /** Writes this many bytes further on (a multiple of the block), and reports success. */
  | { readonly kind: "misdirected"; readonly shiftBytes: number }
  /** Takes this long (virtual ms) besides the usual latency. */
  | { readonly kind: "slow"; readonly delayMs: number };

/** A fault, armed by {@linkcode MemoryDisk.inject}. */
export interface FaultPlan {
  readonly operation: DiskOperation;
  /** The first matching operation that it hits, counted from 1 at the time of arming. */
  readonly nth: number;
  /** How many it hits, from that one on; one when absent. */
  readonly count?: number;
  /** Of these it hits one in this many, at random; each when absent. */
  readonly odds?: number;
  /** Only operations on this path, or on paths that match; any when absent. */
  readonly path?: string | RegExp;
  readonly fault: DiskFault;
}

export interface MemoryDiskOptions {
  readonly memory: Memory;
  readonly random: Random;
  /** Size of the disk (bytes); unlimited when absent. */
  readonly capacityBytes?: number;
  /** Virtual time an operation takes; none when absent. */
  readonly latencyMs?: { readonly min: number; readonly max: number };
  /** What a power cut may do besides keeping, losing and tearing; nothing when absent. */
  readonly roughness?: Roughness;
  /** One operation in this many lets nearly all later ones go first; none when absent. */
  readonly lazyOdds?: number;
}

interface InFlight {
  readonly operation: DiskOperation;
  readonly path: string;
  /** Carries it out; `interrupted` by a crash, a durable write is not durable. */
  readonly execute: (interrupted: boolean) => number;
  readonly done: Completion;
  readonly dueMs: number;
  readonly detail: number;
  /** {@linkcode MemoryDisk.step} picks it only now and then, while there is anything else. */
  readonly lazy: boolean;
}

interface OpenFile {
  readonly file: MemoryFile;
  readonly path: string;
}

const UNLIMITED_BYTES = 2 ** 50;
/** A lazy operation is carried out at one of this many picks. */
const LAZY_TURNS = 24;
/** One word of this many bytes of a write goes into the trace's hash. */
const TRACE_SAMPLE_BYTES = 124;

export class MemoryDisk implements Disk {
  readonly #options: MemoryDiskOptions;
  readonly #memory: Memory;
  readonly #random: Random;
  readonly #names: MemoryNames;
  #handles = new Map<number, OpenFile>();
  #nextHandle = 3;
  #inFlight: InFlight[] = [];
  #plans: { plan: FaultPlan; seen: number }[] = [];
  #nowMs = 0;
  #stamp = 0;
  #fileIds: { next: number };
  #operations = 0;
  #crashAt = Infinity;
  #crashed = false;
  #capacityBytes: number;
  #traceHash = 0x811c9dc5;

  constructor(
    options: MemoryDiskOptions,
    survivors: { names: MemoryNames; fileIds: { next: number } } | null = null,
  ) {
    this.#options = options;
    this.#memory = options.memory;
    this.#random = options.random;
    this.#capacityBytes = options.capacityBytes ?? UNLIMITED_BYTES;
    this.#names = survivors?.names ?? new MemoryNames();
    this.#fileIds = survivors?.fileIds ?? { next: 1 };
  }

  /** Operations carried out in this life. */
  get operations(): number {
    return this.#operations;
  }
  /** Operations submitted and not carried out. */
  get inFlight(): number {
    return this.#inFlight.length;
  }
  get crashed(): boolean {
    return this.#crashed;
  }
  /** Folds every operation carried out, its result and a sample of its bytes: equal for equal runs. */
  get traceHash(): number {
    return this.#traceHash;
  }

  // ---- The scheduler ----

  /** Carries out one operation in flight, any of them; false when there is none. */
  step(): boolean {
    const inFlight = this.#inFlight;
    if (this.#crashed || inFlight.length === 0) return false;
    let at = this.#random.nextBelow(inFlight.length);
    if (inFlight[at]!.lazy && this.#random.nextBelow(LAZY_TURNS) > 0) {
      const eager = inFlight.findIndex((each) => !each.lazy);
      if (eager >= 0) at = eager;
    }
    this.#finish(at);
    return !this.#crashed;
  }

  /** Steps until nothing is in flight (or a planned crash). */
  run(): void {
    while (this.step());
  }

  /** Sets the virtual time, and carries out all that is due by then, in order of time. */
  advance(nowMs: number): void {
    for (;;) {
      let first = -1;
      for (let i = 0; i < this.#inFlight.length; i++) {
        const dueMs = this.#inFlight[i]!.dueMs;
        if (dueMs <= nowMs && (first < 0 || dueMs < this.#inFlight[first]!.dueMs)) first = i;
      }
      if (first < 0 || this.#crashed) break;
      this.#nowMs = Math.max(this.#nowMs, this.#inFlight[first]!.dueMs);
      this.#finish(first);
    }
    this.#nowMs = Math.max(this.#nowMs, nowMs);
  }

  /** When the next operation is due (virtual ms); Infinity when none is in flight. */
  nextDueMs(): number {
    let next = Infinity;
    for (const operation of this.#inFlight) next = Math.min(next, operation.dueMs);
    return next;
  }

  // ---- Faults ----

  inject(plan: FaultPlan): void {
    this.#plans.push({ plan, seen: 0 });
  }

  /** Disarms every fault that was injected. */
  clearFaults(): void {
    this.#plans = [];
  }

  /** Others take space of the disk, or give it back: its size for its own files from now on (bytes). */
  resize(capacityBytes: number = UNLIMITED_BYTES): void {
    this.#capacityBytes = capacityBytes;
  }

  /** What its files take (bytes). */
  usedBytes(): number {
    return this.#usedBlocks() * BLOCK_SIZE;
  }

  /** Crashes in place of carrying out the operation after the next `count`. */
  crashAfterOps(count: number): void {
    this.#crashAt = this.#operations + count;
  }

  /** Flips one bit of a file in place. */
  flipBit(path: string, position: number, bit: number): void {
    this.#fileAt(path).flipBit(position, bit);
  }

  /** Paths of all files, sorted; of a crashed disk: of those that survived. */
  paths(): string[] {
    return this.#names.paths();
  }

  /** Names in a directory, also of a crashed disk; none when there is no such directory. */
  namesIn(path: string): string[] {
    const names = this.#names.list(path);
    return typeof names === "number" ? [] : names;
  }

  /** What a block of a file holds, not to be changed; null where nothing was ever written. */
  blockAt(path: string, block: number): Uint8Array | null {
    return this.#fileAt(path).blockAt(block);
  }

  /** Damages a block in place: its bytes change, or (null) it was never written. */
  replaceBlock(path: string, block: number, bytes: Uint8Array | null): void {
    this.#fileAt(path).replaceBlock(block, bytes);
  }

  /** Damages a block in place: reading it fails with EIO, until it is written again. */
  loseBlock(path: string, block: number): void {
    this.#fileAt(path).loseBlock(block);
  }

  /** The device gives back what {@linkcode loseBlock} took of a file, or one block of it. */
  giveBack(path: string, block?: number): void {
    this.#fileAt(path).giveBack(block);
  }

  /** Whether reading a block fails. */
  isLost(path: string, block: number): boolean {
    return this.#fileAt(path).isLost(block);
  }

  /** Blocks of a file that the last power cut lost, because no sync had covered them. */
  straysOf(path: string): readonly StrayBlock[] {
    return this.#fileAt(path).strays;
  }

  /** Damage: a file is removed. */
  loseFile(path: string): void {
    this.#names.lose(path);
  }

  /** Damage: a file ends at `size`. */
  cutFile(path: string, size: number): void {
    this.#fileAt(path).cut(size);
  }

  /** A crashed disk with the same bytes, which may be damaged without this one being touched. */
  fork(): MemoryDisk {
    assert(this.#crashed, "fork before the crash");
    const survivors = { names: this.#names.copy(), fileIds: { ...this.#fileIds } };
    const disk = new MemoryDisk(this.#options, survivors);
    disk.#crashed = true;
    return disk;
  }

  /** A power cut: this disk is dead from here on; {@linkcode restart} continues with the surviving state. */
  crash(): void {
    if (this.#crashed) return;
    while (this.#inFlight.length > 0) {
      const operation = this.#take(this.#random.nextBelow(this.#inFlight.length));
      if (this.#random.nextBelow(2) === 0) operation.execute(true);
    }
    this.#crashed = true;
    const files = new Set(this.#names.files());
    for (const open of this.#handles.values()) files.add(open.file);
    this.#names.crash(this.#random);
    for (const file of this.#names.files()) files.add(file);
    for (const file of files) file.crash(this.#random, this.#options.roughness);
    this.#handles.clear();
  }

  /** The disk of the next life, over the bytes that survived; by default with the same options. */
  restart(options: MemoryDiskOptions = this.#options): MemoryDisk {
    assert(this.#crashed, "restart before the crash");
    return new MemoryDisk(options, { names: this.#names, fileIds: this.#fileIds });
  }

  // ---- The seam ----

  open(path: string, create: boolean, done: Completion): void {
    this.#submit("open", path, 0, done, () => {
      let node = this.#names.get(path);
      if (node === "directory") return -EISDIR;
      if (node === undefined) {
        const refused = create ? this.#names.checkNew(path) : -ENOENT;
        if (refused < 0) return refused;
        node = new MemoryFile(this.#fileIds.next++);
        this.#names.create(path, node, ++this.#stamp);
      }
      const handle = this.#nextHandle++;
      this.#handles.set(handle, { file: node, path });
      return handle;
    });
  }

  close(handle: number, done: Completion): void {
    this.#submit("close", this.#pathOf(handle), handle, done, () => {
      const open = this.#handles.get(handle);
      if (open === undefined) return -EBADF;
      this.#handles.delete(handle);
      return 0;
    });
  }

  read(
    handle: number,
    position: number,
    address: number,
    length: number,
    done: Completion,
  ): void {
    this.#submit("read", this.#pathOf(handle), position, done, (_interrupted, fault) => {
      const file = this.#handles.get(handle)?.file;
      if (file === undefined) return -EBADF;
      if (!aligned(position, address, length)) return -EINVAL;
      const count = fault?.kind === "short" ? Math.min(fault.bytes, length) : length;
      return file.read(position, this.#memory.bytes, address, count);
    });
  }

  write(
    handle: number,
    position: number,
    address: number,
    length: number,
    durable: boolean,
    done: Completion,
  ): void {
    this.#submit("write", this.#pathOf(handle), position, done, (interrupted, fault) => {
      const file = this.#handles.get(handle)?.file;
      if (file === undefined) return -EBADF;
      if (!aligned(position, address, length)) return -EINVAL;
      if (fault?.kind === "lost") return length;
      const at = fault?.kind === "misdirected" ? position + fault.shiftBytes : position;
      const moved = fault?.kind === "short" ? Math.min(fault.bytes, length) : length;
      const count = moved - (moved % BLOCK_SIZE);
      if (!this.#hasSpace(file.missingBlocks(at, count))) return -ENOSPC;
      const lasting = durable && !interrupted;
      file.write(at, this.#memory.bytes, address, count, lasting, ++this.#stamp);
      this.#traceBytes(address, count);
      return moved;
    });
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

  sync(handle: number, done: Completion): void {
    // Only what had completed when the sync was submitted is sure to be covered.
    const covered = this.#stamp;
    this.#submit("sync", this.#pathOf(handle), handle, done, () => {
      const file = this.#handles.get(handle)?.file;
      if (file === undefined) return -EBADF;
      file.sync(covered);
      return 0;
    });
  }

  syncFileSystem(done: Completion): void {
    const covered = this.#stamp;
    this.#submit("syncFileSystem", "", 0, done, () => {
      for (const file of this.#names.files()) file.sync(covered);
      for (const open of this.#handles.values()) open.file.sync(covered);
      this.#names.sync(null, covered);
      return 0;
    });
  }

  syncDirectory(path: string, done: Completion): void {
    const covered = this.#stamp;
    this.#submit("syncDirectory", path, 0, done, () => {
      if (this.#names.get(path) !== "directory") return -ENOENT;
      this.#names.sync(path, covered);
      return 0;
    });
  }

  allocate(handle: number, position: number, length: number, done: Completion): void {
    this.#submit("allocate", this.#pathOf(handle), position, done, () => {
      const file = this.#handles.get(handle)?.file;
      if (file === undefined) return -EBADF;
      if (!this.#hasSpace(file.missingBlocks(position, length))) return -ENOSPC;
      file.reserve(position, length, ++this.#stamp);
      return 0;
    });
  }

  truncate(handle: number, size: number, done: Completion): void {
    this.#submit("truncate", this.#pathOf(handle), size, done, () => {
      const file = this.#handles.get(handle)?.file;
      if (file === undefined) return -EBADF;
      file.resize(size, ++this.#stamp);
      return 0;
    });
  }

  rename(from: string, to: string, done: Completion): void {
    this.#submit("rename", from, 0, done, () => {
      return this.#names.rename(from, to, ++this.#stamp);
    });
  }

  unlink(path: string, done: Completion): void {
    this.#submit("unlink", path, 0, done, () => {
      return this.#names.unlink(path, ++this.#stamp);
    });
  }

  makeDirectory(path: string, done: Completion): void {
    this.#submit("makeDirectory", path, 0, done, () => {
      const refused = this.#names.checkNew(path);
      if (refused === 0) this.#names.create(path, "directory", ++this.#stamp);
      return refused;
    });
  }

  removeDirectory(path: string, done: Completion): void {
    this.#submit("removeDirectory", path, 0, done, () => {
      return this.#names.removeDirectory(path, ++this.#stamp);
    });
  }

  list(path: string): string[] | number {
    return this.#crashed ? -EIO : this.#names.list(path);
  }

  size(path: string): number {
    const node: MemoryNode | undefined = this.#names.get(path);
    if (node === undefined) return -ENOENT;
    return node === "directory" ? -EISDIR : node.size;
  }

  freeBytes(): number {
    return Math.max(0, this.totalBytes() - this.usedBytes());
  }

  totalBytes(): number {
    return this.#capacityBytes;
  }

  // ---- Inside ----

  #fileAt(path: string): MemoryFile {
    const node = this.#names.get(path);
    assert(node !== undefined && node !== "directory", "no such file to look into");
    return node;
  }

  #submit(
    operation: DiskOperation,
    path: string,
    detail: number,
    done: Completion,
    execute: (interrupted: boolean, fault: DiskFault | null) => number,
  ): void {
    if (this.#crashed) return;
    const fault = this.#faultFor(operation, path);
    const latency = this.#options.latencyMs;
    let dueMs = this.#nowMs + (fault?.kind === "slow" ? fault.delayMs : 0);
    if (latency !== undefined) {
      dueMs += latency.min + this.#random.nextBelow(1024) * (latency.max - latency.min) / 1024;
    }
    const lazyOdds = this.#options.lazyOdds;
    this.#inFlight.push({
      lazy: lazyOdds !== undefined && this.#random.nextBelow(lazyOdds) === 0,
      operation,
      path,
      detail,
      done,
      dueMs,
      execute: (interrupted) => {
        if (fault?.kind !== "error") return execute(interrupted, fault);
        // A failed write may still have reached the platter.
        if (operation === "write" && this.#random.nextBelow(2) === 0) execute(true, null);
        return -fault.errno;
      },
    });
  }

  #faultFor(operation: DiskOperation, path: string): DiskFault | null {
    let fault: DiskFault | null = null;
    this.#plans = this.#plans.filter((armed) => {
      const plan = armed.plan;
      if (plan.operation !== operation || !isMeant(plan.path, path)) return true;
      if (++armed.seen < plan.nth) return true;
      if (plan.odds === undefined || this.#random.nextBelow(plan.odds) === 0) fault = plan.fault;
      return armed.seen - plan.nth + 1 < (plan.count ?? 1);
    });
    return fault;
  }

  #finish(index: number): void {
    if (this.#operations >= this.#crashAt) {
      this.crash();
      return;
    }
    const operation = this.#take(index);
    this.#operations++;
    const result = operation.execute(false);
    this.#trace(operation, result);
    operation.done.complete(result, 0);
  }

  #take(index: number): InFlight {
    const operation = this.#inFlight[index]!;
    const last = this.#inFlight.pop()!;
    if (index < this.#inFlight.length) this.#inFlight[index] = last;
    return operation;
  }

  #trace(operation: InFlight, result: number): void {
    let hash = this.#traceHash;
    const name = operation.operation + operation.path;
    for (let i = 0; i < name.length; i++) {
      hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
    }
    hash = Math.imul(hash ^ (operation.detail / BLOCK_SIZE), 0x01000193);
    this.#traceHash = Math.imul(hash ^ result, 0x01000193) >>> 0;
  }

  /** Folds a sample of what is written: enough to distinguish runs whose padding differs. */
  #traceBytes(address: number, length: number): void {
    let hash = this.#traceHash;
    for (let at = address; at < address + length; at += TRACE_SAMPLE_BYTES) {
      hash = Math.imul(hash ^ this.#memory.view.getUint32(at, true), 0x01000193);
    }
    this.#traceHash = hash >>> 0;
  }

  #pathOf(handle: number): string {
    return this.#handles.get(handle)?.path ?? "";
  }

  #usedBlocks(): number {
    const files = new Set(this.#names.files());
    for (const open of this.#handles.values()) files.add(open.file);
    let blocks = 0;
    for (const file of files) blocks += file.blockCount;
    return blocks;
  }

  #hasSpace(missingBlocks: number): boolean {
    if (this.#capacityBytes === UNLIMITED_BYTES || missingBlocks === 0) return true;
    return this.usedBytes() + missingBlocks * BLOCK_SIZE <= this.#capacityBytes;
  }
}

function isMeant(wanted: string | RegExp | undefined, path: string): boolean {
  if (wanted === undefined || typeof wanted === "string") return (wanted ?? path) === path;
  return wanted.test(path);
}

function aligned(position: number, address: number, length: number): boolean {
  return position % BLOCK_SIZE === 0 && address % BLOCK_SIZE === 0 && length % BLOCK_SIZE === 0 &&
    position >= 0 && length > 0;
}

/**
 * A disk that hides temporary failures: an operation that fails for a temporary reason (no descriptor, no
 * kernel memory, an interrupted call) is repeated until it succeeds or fails for another reason, and a read
 * or write that ends short is continued until it is whole.
 *
 * Without it each of the many users of a disk would have to distinguish a host that is short of descriptors
 * from a disk that lost something. Only `errno.ts` defines the meaning of each errno.
 *
 * ```
 *   caller ── open ──► PatientDisk ── open ──► disk      EMFILE
 *                          │  5 ms, 10 ms, ... 500 ms    EMFILE   reported once: "wait"
 *   caller ◄── handle ─────┴── open ──► disk             7        reported once: "continue"
 * ```
 *
 * A failed operation had no effect, or its effect may be repeated: opens, reads, writes of the same bytes,
 * flushes. The caller of a waiting operation leaves its memory alone, as before any completion. A full quota
 * is answered as a full disk, so that callers have one case.
 *
 * A short transfer continues from the last whole block, because O_DIRECT takes no other position. A read that
 * makes no progress has reached the end of the file; a write that makes no progress is an EIO.
 *
 * @module
 */

import type { Completion } from "./completion.ts";
import { BLOCK_SIZE, type Disk } from "./disk.ts";
import {
  DiskTrouble,
  diskTroubleOf,
  EDQUOT,
  EINTR,
  EIO,
  EMFILE,
  ENFILE,
  ENOMEM,
  ENOSPC,
} from "./errno.ts";

/** The first pause before an operation is tried again, and the longest (ms). */
const PAUSE_MS_MIN = 5;
const PAUSE_MS_MAX = 500;
/** How often in a row a transfer may end within its first block. */
const IDLE_TRANSFERS_MAX = 8;
/** Hiccups are reported at most this often (ms). */
const TELL_PERIOD_MS = 10_000;

/** The report of a hiccup. */
export interface DiskHiccup {
  /** What is missing, in words. */
  readonly reason: string;
  /** The operation and the file that met it first. */
  readonly operation: string;
  readonly file: string;
  /** Positive. */
  readonly errno: number;
}

export interface PatientDiskOptions {
  /** Calls `again` in `delayMs`. */
  readonly later: (delayMs: number, again: () => void) => void;
  readonly nowMs: () => number;
  /** The first operation of the shard waits; others are reported only after {@linkcode TELL_PERIOD_MS}. */
  readonly onHiccup: (hiccup: DiskHiccup) => void;
  /** No operation waits any more; called only after a reported hiccup. */
  readonly onOver: (tookMs: number, retries: number) => void;
}

export class PatientDisk implements Disk {
  readonly #disk: Disk;
  readonly #options: PatientDiskOptions;
  readonly #pool: Attempt[] = [];
  #waiting = 0;
  #retries = 0;
  #sinceMs = 0;
  #told = false;
  #toldMs = -Infinity;

  constructor(disk: Disk, options: PatientDiskOptions) {
    this.#disk = disk;
    this.#options = options;
  }

  /** Operations that wait to be tried again. */
  get waitingCount(): number {
    return this.#waiting;
  }

  open(path: string, create: boolean, done: Completion): void {
    this.#onPath(create ? CREATE : OPEN, path, "", done);
  }

  /** Not repeated: a descriptor is closed whatever the call says. */
  close(handle: number, done: Completion): void {
    this.#disk.close(handle, done);
  }

  read(
    handle: number,
    position: number,
    address: number,
    length: number,
    done: Completion,
  ): void {
    this.#onFile(READ, handle, position, address, length, done);
  }

  write(
    handle: number,
    position: number,
    address: number,
    length: number,
    durable: boolean,
    done: Completion,
  ): void {
    this.#onFile(durable ? WRITE_DURABLE : WRITE, handle, position, address, length, done);
  }

  writeSealed(
    handle: number,
    position: number,
    address: number,
    length: number,
    done: Completion,
  ): void {
    this.#onFile(WRITE_SEALED, handle, position, address, length, done);
  }

  sync(handle: number, done: Completion): void {
    this.#onFile(SYNC, handle, 0, 0, 0, done);
  }

  syncFileSystem(done: Completion): void {
    this.#onFile(SYNC_ALL, -1, 0, 0, 0, done);
  }

  syncDirectory(path: string, done: Completion): void {
    this.#onPath(SYNC_NAMES, path, "", done);
  }

  allocate(handle: number, position: number, length: number, done: Completion): void {
    this.#onFile(ALLOCATE, handle, position, 0, length, done);
  }

  truncate(handle: number, size: number, done: Completion): void {
    this.#onFile(TRUNCATE, handle, 0, 0, size, done);
  }

  rename(from: string, to: string, done: Completion): void {
    this.#onPath(RENAME, from, to, done);
  }

  unlink(path: string, done: Completion): void {
    this.#onPath(UNLINK, path, "", done);
  }

  makeDirectory(path: string, done: Completion): void {
    this.#onPath(MAKE_DIRECTORY, path, "", done);
  }

  removeDirectory(path: string, done: Completion): void {
    this.#onPath(REMOVE_DIRECTORY, path, "", done);
  }

  list(path: string): string[] | number {
    return this.#disk.list(path);
  }

  size(path: string): number {
    return this.#disk.size(path);
  }

  freeBytes(): number {
    return this.#disk.freeBytes();
  }

  totalBytes(): number {
    return this.#disk.totalBytes();
  }

  /** @internal Hands an attempt to the disk, for the first time or again. */
  start(attempt: Attempt): void {
    attempt.operation.start(this.#disk, attempt);
  }

  /** @internal */
  onResult(attempt: Attempt, result: number, flags: number): void {
    if (result < 0) {
      if (diskTroubleOf(result) === DiskTrouble.TRANSIENT) return this.#wait(attempt, -result);
      if (result === -EDQUOT) result = -ENOSPC;
    } else if (attempt.operation.moves === Moves.IN) {
      const isEnd = result === 0;
      result += attempt.moved;
      if (result < attempt.length && !isEnd && this.#readsOn(attempt, result)) return;
      result = Math.max(result, attempt.total);
    } else if (attempt.operation.moves === Moves.OUT) {
      result += attempt.moved;
      if (result < attempt.length) {
        if (this.#writesOn(attempt, result)) return;
        result = -EIO;
      }
    }
    if (attempt.pauseMs > 0) this.#goOn();
    const done = attempt.done!;
    attempt.done = null;
    this.#pool.push(attempt);
    done.complete(result, flags);
  }

  /** Reads what follows the `reached` bytes that have been read; false when it does not get on. */
  #readsOn(attempt: Attempt, reached: number): boolean {
    // It begins at a whole block, and may be cut at the same byte again, or before. A file that ends within a
    // block looks alike: only repeated attempts distinguish them.
    attempt.idle = reached > attempt.total ? 0 : attempt.idle + 1;
    if (attempt.idle > IDLE_TRANSFERS_MAX) return false;
    attempt.total = Math.max(attempt.total, reached);
    attempt.moved = attempt.total - attempt.total % BLOCK_SIZE;
    this.start(attempt);
    return true;
  }

  /** Writes what follows the `total` bytes that have been written; false when it does not get on. */
  #writesOn(attempt: Attempt, total: number): boolean {
    const moved = total - total % BLOCK_SIZE;
    attempt.idle = moved > attempt.moved ? 0 : attempt.idle + 1;
    if (attempt.idle > IDLE_TRANSFERS_MAX) return false;
    attempt.moved = moved;
    this.start(attempt);
    return true;
  }

  #onPath(operation: Operation, path: string, second: string, done: Completion): void {
    const attempt = this.#take(operation, done);
    attempt.path = path;
    attempt.second = second;
    this.start(attempt);
  }

  #onFile(
    operation: Operation,
    handle: number,
    position: number,
    address: number,
    length: number,
    done: Completion,
  ): void {
    const attempt = this.#take(operation, done);
    attempt.handle = handle;
    attempt.position = position;
    attempt.address = address;
    attempt.length = length;
    this.start(attempt);
  }

  #take(operation: Operation, done: Completion): Attempt {
    const attempt = this.#pool.pop() ?? new Attempt(this);
    attempt.operation = operation;
    attempt.done = done;
    attempt.pauseMs = 0;
    attempt.moved = 0;
    attempt.total = 0;
    attempt.idle = 0;
    return attempt;
  }

  #wait(attempt: Attempt, errno: number): void {
    if (attempt.pauseMs === 0) {
      if (this.#waiting++ === 0) {
        this.#sinceMs = this.#options.nowMs();
        this.#retries = 0;
      }
      this.#tell(attempt, errno);
    }
    attempt.pauseMs = Math.min(PAUSE_MS_MAX, Math.max(PAUSE_MS_MIN, attempt.pauseMs * 2));
    this.#retries++;
    this.#options.later(attempt.pauseMs, attempt.again);
  }

  #goOn(): void {
    if (--this.#waiting > 0 || !this.#told) return;
    this.#told = false;
    this.#options.onOver(this.#options.nowMs() - this.#sinceMs, this.#retries);
  }

  #tell(attempt: Attempt, errno: number): void {
    const nowMs = this.#options.nowMs();
    if (this.#told || nowMs < this.#toldMs + TELL_PERIOD_MS) return;
    this.#told = true;
    this.#toldMs = nowMs;
    const reason = describeHiccup(errno);
    this.#options.onHiccup({
      reason,
      operation: attempt.operation.name,
      file: attempt.path,
      errno,
    });
  }
}

/** What the host lacks, and what to do about it. */
function describeHiccup(errno: number): string {
  switch (errno) {
    case EMFILE:
      return "This process is out of file descriptors: raise ulimit -n (LimitNOFILE= in the systemd unit)";
    case ENFILE:
      return "This host is out of file descriptors: raise the sysctl fs.file-max";
    case ENOMEM:
      return "The kernel has no memory: free some, or raise the container's limit";
    case EINTR:
      return "The kernel cut a call off";
    default:
      return "The kernel could not start an operation: it may be short of threads (ulimit -u, pids.max)";
  }
}

/** Which way an operation moves bytes, some of which may be left over. */
const Moves = { NOTHING: 0, IN: 1, OUT: 2 } as const;
type Moves = typeof Moves[keyof typeof Moves];

/** What can be attempted. */
interface Operation {
  /** For people. */
  readonly name: string;
  readonly moves: Moves;
  /** Hands what is left of an attempt to a disk. */
  readonly start: (disk: Disk, attempt: Attempt) => void;
}

function operation(
  name: string,
  start: Operation["start"],
  moves: Moves = Moves.NOTHING,
): Operation {
  return { name, moves, start };
}

const { IN, OUT } = Moves;
const OPEN = operation("open", (disk, a) => disk.open(a.path, false, a));
const CREATE = operation("open", (disk, a) => disk.open(a.path, true, a));
const READ = operation("read", (disk, a) => disk.read(a.handle, a.at, a.from, a.left, a), IN);
const WRITE = operation(
  "write",
  (disk, a) => disk.write(a.handle, a.at, a.from, a.left, false, a),
  OUT,
);
const WRITE_DURABLE = operation(
  "durable write",
  (disk, a) => disk.write(a.handle, a.at, a.from, a.left, true, a),
  OUT,
);
const WRITE_SEALED = operation(
  "durable write",
  (disk, a) => disk.writeSealed(a.handle, a.at, a.from, a.left, a),
  OUT,
);
const SYNC = operation("sync", (disk, a) => disk.sync(a.handle, a));
const SYNC_ALL = operation("sync of the file system", (disk, a) => disk.syncFileSystem(a));
const SYNC_NAMES = operation("sync of a directory", (disk, a) => disk.syncDirectory(a.path, a));
const ALLOCATE = operation(
  "allocation",
  (disk, a) => disk.allocate(a.handle, a.position, a.length, a),
);
const TRUNCATE = operation("truncation", (disk, a) => disk.truncate(a.handle, a.length, a));
const RENAME = operation("rename", (disk, a) => disk.rename(a.path, a.second, a));
const UNLINK = operation("removal", (disk, a) => disk.unlink(a.path, a));
const MAKE_DIRECTORY = operation("making a directory", (disk, a) => disk.makeDirectory(a.path, a));
const REMOVE_DIRECTORY = operation(
  "removing a directory",
  (disk, a) => disk.removeDirectory(a.path, a),
);

/** One operation, from its start to its end; pooled. */
class Attempt implements Completion {
  operation: Operation = OPEN;
  done: Completion | null = null;
  path = "";
  second = "";
  handle = -1;
  position = 0;
  address = 0;
  length = 0;
  /** Bytes of whole blocks that have been moved: where a transfer continues. */
  moved = 0;
  /** Bytes that have been read. */
  total = 0;
  /** Writes in a row that did not complete a block. */
  idle = 0;
  /** The last pause (ms); 0 before the first. */
  pauseMs = 0;
  readonly again: () => void;
  readonly #owner: PatientDisk;

  /** Where a transfer continues in the file and in memory, and what is left of it. */
  get at(): number {
    return this.position + this.moved;
  }
  get from(): number {
    return this.address + this.moved;
  }
  get left(): number {
    return this.length - this.moved;
  }

  constructor(owner: PatientDisk) {
    this.#owner = owner;
    this.again = () => owner.start(this);
  }

  complete(result: number, flags: number): void {
    this.#owner.onResult(this, result, flags);
  }
}

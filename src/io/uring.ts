/**
 * One shard's io_uring, as TypeScript sees it.
 *
 * Operations are written as descriptors into a table in native memory; {@linkcode Uring.turn} hands
 * all of them to the kernel with one call, waits, and gives each completion to its
 * {@linkcode Completion}. Nothing is allocated per operation. Disk operations are started by
 * {@linkcode UringDisk}; what concerns sockets and other rings is here.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import type { Completion } from "./completion.ts";
import { CompletionSlots } from "./completion_slots.ts";
import { describeUringError } from "./host_problem.ts";
import { encodeText, type Shim } from "./shim.ts";
import {
  CANCEL_FD,
  CLOSE_CANCEL_FIRST,
  DONE_SIZE,
  DOORBELL_FAILED,
  FLAG_MORE,
  NAMES_SIZE,
  Op,
  OP_SIZE,
  POLL_FIRST,
  UNWANTED,
} from "./uring_ops.ts";

/** The ring could not be opened, or the kernel refuses to work; `errno` is positive. */
export class UringFailure extends Error {
  override name = "UringFailure";
  readonly errno: number;

  constructor(message: string, errno: number) {
    super(message);
    this.errno = errno;
  }
}

/** Sizes of a ring, powers of two from 8 to 65536. */
export interface UringOptions {
  /** Entries of the submission queue. */
  submissions?: number;
  /** Entries of the completion queue. */
  completions?: number;
  /** Descriptors that are gathered before they must be submitted. */
  ops?: number;
  /** Completions delivered per turn; more wait for the next one. */
  dones?: number;
}

/** "Sender" of a wake-up. */
const WOKEN = -1;

/** Ends the present or next wait of ring `index`, from any thread; its owner sees `takeWake()`. */
export function wakeRing(shim: Shim, index: number): void {
  // A ring that is not open has nobody to wake.
  shim.gregor_ring_wake(index);
}

export class Uring {
  /** Index of the ring in the process: its shard. */
  readonly index: number;
  readonly shim: Shim;
  /** Doorbells of other rings that the last turn brought. */
  doorbells = 0;
  /** Doorbells that could not be delivered since the start: the other ring was closed. */
  doorbellsFailed = 0;
  /** Called when a wait has ended, before completions are delivered. */
  onAwake: () => void = () => {};

  readonly #turn: Shim["gregor_turn"];
  readonly #submit: Shim["gregor_submit"];
  readonly #opCapacity: number;
  // The mapping, in the shapes that its fields need.
  readonly #names: Uint8Array;
  readonly #opWords: Uint32Array;
  readonly #opDoubles: Float64Array;
  readonly #doneWords: Int32Array;
  #prepared = 0;
  #namesUsed = 0;
  readonly #slots = new CompletionSlots();
  #woken = false;

  /**
   * Opens ring `index` for the calling thread, which alone may use it from then on.
   *
   * @throws {UringFailure} with what to do when the host cannot
   */
  constructor(shim: Shim, index: number, options: UringOptions = {}) {
    const submissions = options.submissions ?? 1024;
    const completions = options.completions ?? 16384;
    const ops = options.ops ?? 1024;
    const dones = options.dones ?? 4096;
    const opened = shim.gregor_ring_open(index, submissions, completions, ops, dones);
    if (opened < 0) {
      const { message, hint } = describeUringError(-opened);
      throw new UringFailure(`Cannot open the ring of shard ${index}. ${message} ${hint}`, -opened);
    }
    const pointer = shim.gregor_ring_mapping(index);
    assert(pointer !== null, "an open ring has a mapping");
    const donesAt = NAMES_SIZE + ops * OP_SIZE;
    const mapping = Deno.UnsafePointerView.getArrayBuffer(pointer, donesAt + dones * DONE_SIZE);
    this.index = index;
    this.shim = shim;
    this.#turn = shim.gregor_turn;
    this.#submit = shim.gregor_submit;
    this.#opCapacity = ops;
    this.#names = new Uint8Array(mapping, 0, NAMES_SIZE);
    this.#opWords = new Uint32Array(mapping, NAMES_SIZE, ops * OP_SIZE / 4);
    this.#opDoubles = new Float64Array(mapping, NAMES_SIZE, ops * OP_SIZE / 8);
    this.#doneWords = new Int32Array(mapping, donesAt, dones * DONE_SIZE / 4);
  }

  /** Operations started and not yet completed (an accept counts until it ends). */
  get pending(): number {
    return this.#slots.count;
  }

  /** Operations prepared and not yet handed to the kernel. */
  get prepared(): number {
    return this.#prepared;
  }

  /**
   * Hands over what is prepared, waits for a completion, and dispatches those that are there.
   *
   * @param timeoutUs how long to wait at most; 0 = only collect
   * @param pollUs how much of that to poll before sleeping
   * @returns operations completed (a doorbell or wake-up ends the wait without counting); a negative
   * errno when the ring itself is broken: the process cannot go on
   */
  turn(timeoutUs: number, pollUs: number): number {
    const prepared = this.#prepared;
    this.#prepared = 0;
    this.#namesUsed = 0;
    this.doorbells = 0;
    const count = this.#turn(this.index, prepared, 1, timeoutUs, pollUs);
    this.onAwake();
    return count < 0 ? count : this.#dispatch(count);
  }

  /** Whether another thread has called {@linkcode wakeRing} since this was last asked. */
  takeWake(): boolean {
    const woken = this.#woken;
    this.#woken = false;
    return woken;
  }

  #dispatch(count: number): number {
    const words = this.#doneWords;
    let dispatched = 0;
    for (let at = 0; at < count; at++) {
      const base = at << 2;
      const userData = words[base]! >>> 0;
      if (userData >= DOORBELL_FAILED) {
        this.#onSignal(userData, words[base + 1]!);
        continue;
      }
      const result = words[base + 1]!;
      const flags = words[base + 2]! >>> 0;
      const done = this.#slots.find(userData);
      if ((flags & FLAG_MORE) === 0) this.#slots.free(userData);
      dispatched++;
      done.complete(result, flags);
    }
    return dispatched;
  }

  #onSignal(userData: number, from: number): void {
    if (userData === DOORBELL_FAILED) this.doorbellsFailed++;
    else if (from === WOKEN) this.#woken = true;
    else this.doorbells++;
  }

  /** Submits what is prepared without waiting or dispatching. */
  flush(): void {
    const prepared = this.#prepared;
    this.#prepared = 0;
    this.#namesUsed = 0;
    const result = this.#submit(this.index, prepared);
    if (result < 0) throw new UringFailure(`The io_uring ${this.index} is broken`, -result);
  }

  /** Closes the ring; nothing may be in flight that matters, and the object is dead after it. */
  dispose(): void {
    this.shim.gregor_ring_close(this.index);
  }

  // Sockets.

  /** Accepts connections until cancelled: completes with a descriptor each, with {@linkcode FLAG_MORE} while it goes on. */
  accept(fd: number, done: Completion): number {
    return this.start(Op.Accept, 0, 0, fd, 0, 0, 0, done);
  }

  /**
   * Receives once, into a provided buffer of `group` that the kernel picks when bytes are there.
   *
   * Completes with the bytes received (0 = end) and the buffer's id in the flags' upper 16 bits;
   * -ENOBUFS when no buffer was left (no bytes are lost). No buffer is used when the result is <= 0.
   *
   * @param pollFirst wait for readiness before trying, when the socket is known to be empty
   */
  recv(fd: number, group: number, pollFirst: boolean, done: Completion): number {
    return this.start(Op.Recv, pollFirst ? POLL_FIRST : 0, group, fd, 0, 0, 0, done);
  }

  /** Receives up to `length` bytes to `address`, what has come when there is something (0 = end). */
  recvInto(
    fd: number,
    address: number,
    length: number,
    pollFirst: boolean,
    done: Completion,
  ): number {
    return this.start(Op.RecvInto, pollFirst ? POLL_FIRST : 0, 0, fd, length, address, 0, done);
  }

  /**
   * Sends up to `length` bytes from `address`: as many as the socket's buffer takes at once.
   *
   * @param pollFirst wait for room before trying, when the buffer is known to be full
   */
  send(
    fd: number,
    address: number,
    length: number,
    pollFirst: boolean,
    done: Completion,
  ): number {
    return this.start(Op.Send, pollFirst ? POLL_FIRST : 0, 0, fd, length, address, 0, done);
  }

  /**
   * Sends `count` (1 to 1024) ranges, listed at `tableAddress` as pairs of little-endian float64:
   * address, length. Like {@linkcode send}, it may send fewer bytes. The table may be reused after the
   * next {@linkcode turn} or {@linkcode flush}.
   */
  sendVector(
    fd: number,
    tableAddress: number,
    count: number,
    pollFirst: boolean,
    done: Completion,
  ): number {
    const flags = pollFirst ? POLL_FIRST : 0;
    return this.start(Op.SendVector, flags, 0, fd, count, tableAddress, 0, done);
  }

  /** Ends both directions of a connection, at once. */
  shutdown(fd: number): void {
    // ENOTCONN: the peer was faster.
    this.shim.gregor_shutdown(fd);
  }

  /**
   * Connects to a numeric address (`1.2.3.4:5`, `[::1]:5`); completes with the descriptor.
   *
   * The kernel gives up after minutes; a caller with a shorter deadline cancels it. A failed attempt leaves no descriptor.
   *
   * @returns its id, or a negative errno when no socket could be made (`done` is not called then)
   */
  connect(address: string, done: Completion): number {
    const bytes = encodeText(address);
    const fd = this.shim.gregor_socket_for(bytes, bytes.length);
    if (fd < 0) return fd;
    const connected: Completion = {
      complete: (result) => {
        if (result < 0) this.shim.gregor_close_fd(fd);
        done.complete(result < 0 ? result : fd, 0);
      },
    };
    const nameAt = this.putName(bytes);
    const at = this.prepare(Op.Connect, 0, 0, fd, bytes.length, connected);
    this.#opDoubles[at * 6 + 2] = nameAt;
    return this.#opWords[at * 12 + 3]!;
  }

  /** Closes a descriptor, after cancelling what is in flight on it (completes with -ECANCELED). */
  close(fd: number, done: Completion | null): void {
    this.prepare(Op.Close, CLOSE_CANCEL_FIRST, 0, fd, 0, done);
  }

  /** Cancels everything in flight on `fd`; what is cancelled completes with -ECANCELED. */
  cancelAll(fd: number): void {
    this.prepare(Op.Cancel, CANCEL_FD, 0, fd, 0, null);
  }

  /** Cancels one operation by the id that starting it returned; too late is no error. */
  cancel(id: number): void {
    const at = this.prepare(Op.Cancel, 0, 0, -1, 0, null);
    this.#opWords[at * 12 + 8] = id;
  }

  /** Registers group `group` (0 to 3) of up to `count` (a power of two) provided buffers; empty at first. */
  addBufferGroup(group: number, count: number): void {
    const result = this.shim.gregor_ring_add_group(this.index, group, count);
    if (result < 0) throw new UringFailure(`Cannot register buffer group ${group}`, -result);
  }

  /** Gives the kernel (back) buffer `id` of `group`: `length` bytes at `address`. */
  provide(group: number, id: number, address: number, length: number): void {
    const at = this.prepare(Op.Provide, 0, group, -1, length, null);
    this.#opDoubles[at * 6 + 2] = address;
    this.#opWords[at * 12 + 8] = id;
  }

  /** Ends another ring's wait; it is rung when this ring's operations are next handed over. */
  doorbell(ring: number): void {
    this.prepare(Op.Doorbell, 0, 0, ring, 0, null);
  }

  /**
   * Makes waits look at the 32-bit word at `address`: 0 = awake, 1 = asleep, 2 = polling.
   *
   * The owner stores 2 before a turn that may wait, after a last look at its mailboxes; the shim makes
   * it 1 before it sleeps. A shard with a message exchanges it for 0 after publishing: the wait ends at
   * once if it was 2, and needs a {@linkcode doorbell} only if it was 1.
   */
  watch(address: number): void {
    const result = this.shim.gregor_ring_watch(this.index, address);
    assert(result === 0, "the watched word is an aligned word of the region");
  }

  // What UringDisk is made of.

  /**
   * Starts an operation with the usual fields.
   *
   * @returns its id, for {@linkcode cancel}
   */
  start(
    opcode: number,
    flags: number,
    group: number,
    fd: number,
    length: number,
    address: number,
    position: number,
    done: Completion | null,
  ): number {
    const at = this.prepare(opcode, flags, group, fd, length, done);
    this.#opDoubles[at * 6 + 2] = address;
    this.#opDoubles[at * 6 + 3] = position;
    return this.#opWords[at * 12 + 3]!;
  }

  /** Starts an operation on one name, or on two (rename). */
  startOnName(
    opcode: number,
    flags: number,
    name: Uint8Array,
    second: Uint8Array | null,
    done: Completion,
  ): void {
    if (this.#namesUsed + name.length + (second?.length ?? 0) + 2 > NAMES_SIZE) this.flush();
    if (this.#prepared === this.#opCapacity) this.flush();
    const nameAt = this.putName(name);
    const secondAt = second === null ? 0 : this.putName(second);
    const at = this.prepare(opcode, flags, 0, -1, name.length, done);
    this.#opDoubles[at * 6 + 2] = nameAt;
    this.#opDoubles[at * 6 + 5] = secondAt;
    this.#opWords[at * 12 + 8] = second === null ? 0 : second.length;
  }

  /** Sets the second size field (allocate's length) of the operation started last. */
  setSecondSize(size: number): void {
    this.#opDoubles[(this.#prepared - 1) * 6 + 5] = size;
  }

  /** Copies a name with a closing NUL; returns its offset, good until the next hand-over. */
  putName(name: Uint8Array): number {
    assert(name.length + 1 <= NAMES_SIZE, "a name is longer than the names area");
    if (this.#namesUsed + name.length + 1 > NAMES_SIZE) this.flush();
    if (this.#prepared === this.#opCapacity) this.flush();
    const at = this.#namesUsed;
    this.#names.set(name, at);
    this.#names[at + name.length] = 0;
    this.#namesUsed = at + name.length + 1;
    return at;
  }

  /** Takes the next descriptor and a slot for `done`; returns the descriptor's index. */
  prepare(
    opcode: number,
    flags: number,
    group: number,
    fd: number,
    length: number,
    done: Completion | null,
  ): number {
    if (this.#prepared === this.#opCapacity) this.flush();
    const at = this.#prepared++;
    const words = this.#opWords;
    const base = at * 12;
    words[base] = opcode | flags << 8 | group << 16;
    words[base + 1] = fd;
    words[base + 2] = length;
    words[base + 3] = done === null ? UNWANTED : this.#slots.take(done);
    return at;
  }
}

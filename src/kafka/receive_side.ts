/**
 * A connection's bytes on their way in: from receives to whole frames.
 *
 * Bytes arrive in a buffer of the shared group. Frames that lie in it whole are served in place. A frame
 * that continues beyond it gets a block of its exact size, and the rest is received straight into that: what is
 * there at first, then in steps that the kernel gathers.
 * Only one window of bytes is open at a time, and the next receive is started only when it is used up: a
 * connection that cannot be served is not read, and TCP tells its client.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import { FRAME_DEADLINE_MS, RECEIVE_STEP_BYTES_MAX } from "../base/limits.ts";
import type { Memory } from "../bytes/memory.ts";
import type { Completion } from "../io/completion.ts";
import { ENOBUFS } from "../io/errno.ts";
import { SOCKET_HAS_MORE } from "../io/sockets.ts";
import type { ConnectionHost } from "./connection_host.ts";

/** The shortest request: api key, version, correlation id. */
const FRAME_SIZE_MIN = 8;
const NO_BUFFER = -1;

/** What the receiving half asks of its connection. */
export interface ReceiveOwner {
  readonly closing: boolean;
  shutdown(): void;
  awaitMemory(): void;
  violation(what: string): void;
  /** Bytes have come. */
  onProgress(): void;
  /** An operation ended although the connection is closing. */
  onReceiveOver(): void;
  /** May the frame at `address` be started now? If not, {@linkcode ReceiveSide.pump} comes later. */
  mayStart(address: number, size: number): boolean;
  /** Starts a frame; its bytes stay until {@linkcode ReceiveSide.frameDone}. */
  startFrame(address: number, size: number): void;
}

export class ReceiveSide {
  readonly #host: ConnectionHost;
  readonly #memory: Memory;
  readonly #socket: number;
  readonly #owner: ReceiveOwner;

  // The open window: received bytes not yet taken as requests.
  #windowBuffer = NO_BUFFER;
  #windowAt = 0;
  #windowEnd = 0;
  // Requests whose frame lies in the window and is still needed.
  #framesHeld = 0;
  // The size prefix as far as it has come.
  #prefix = 0;
  #prefixBytes = 0;
  // A frame in a block of its own.
  #blockAddress = -1;
  #blockLength = 0;
  #blockReceived = 0;
  /** A receive into the block did not complete the frame: its sender is slower than we are. */
  #blockLags = false;
  /** The last receive left nothing in the socket. */
  #socketEmpty = false;
  #frameStartedMs = 0;
  #receiving = false;
  #pumping = false;
  readonly #onReceived: Completion;
  readonly #onReceivedInto: Completion;

  constructor(host: ConnectionHost, socket: number, owner: ReceiveOwner) {
    this.#host = host;
    this.#memory = host.memory;
    this.#socket = socket;
    this.#owner = owner;
    this.#onReceived = { complete: (result, flags) => this.#received(result, flags) };
    this.#onReceivedInto = { complete: (result, flags) => this.#receivedInto(result, flags) };
  }

  /** No operation is in flight and no frame is needed any more: what is held may be given back. */
  get isIdle(): boolean {
    return !this.#receiving && this.#framesHeld === 0;
  }

  /** A frame was begun and has had its time. */
  isOverdue(nowMs: number): boolean {
    const isBegun = this.#blockAddress >= 0 && this.#blockReceived < this.#blockLength ||
      this.#prefixBytes > 0;
    return isBegun && nowMs - this.#frameStartedMs > FRAME_DEADLINE_MS;
  }

  /** Lets bytes that have come be seen, though they are fewer than were waited for. */
  hurry(): void {
    if (this.#receiving && this.#blockLags) this.#host.sockets.hurry(this.#socket);
  }

  /** Takes requests from the window until it is used up or something is missing. */
  pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    while (!this.#owner.closing && !this.#receiving) {
      if (!this.#takeFrame()) break;
    }
    this.#pumping = false;
  }

  /** A request's bytes are not needed any more (appended, decoded, or handed on by copy). */
  frameDone(): void {
    assert(this.#framesHeld > 0, "a frame was given back twice");
    this.#framesHeld--;
    if (this.#framesHeld === 0 && this.#windowAt === this.#windowEnd) this.pump();
  }

  /** Gives back all memory; the connection is closed. */
  release(): void {
    this.#releaseWindow();
    if (this.#blockAddress >= 0) this.#host.blocks.releaseFrame(this.#blockAddress);
    this.#blockAddress = -1;
  }

  #received(result: number, flags: number): void {
    this.#receiving = false;
    if (this.#owner.closing) {
      if (result > 0) this.#host.sockets.recycle(flags >>> 16);
      this.#owner.onReceiveOver();
      return;
    }
    if (result === -ENOBUFS) {
      this.#owner.awaitMemory();
      return;
    }
    if (result <= 0) {
      this.#owner.shutdown();
      return;
    }
    this.#owner.onProgress();
    this.#socketEmpty = (flags & SOCKET_HAS_MORE) === 0;
    this.#windowBuffer = flags >>> 16;
    this.#windowAt = this.#host.sockets.bufferAddress(this.#windowBuffer);
    this.#windowEnd = this.#windowAt + result;
    this.pump();
  }

  #receivedInto(result: number, flags: number): void {
    this.#receiving = false;
    if (this.#owner.closing || result <= 0) {
      this.#owner.shutdown();
      this.#owner.onReceiveOver();
      return;
    }
    this.#owner.onProgress();
    this.#socketEmpty = (flags & SOCKET_HAS_MORE) === 0;
    this.#blockReceived += result;
    this.#blockLags = this.#blockReceived < this.#blockLength;
    this.pump();
  }

  /** One step; false when there is nothing more to do now. */
  #takeFrame(): boolean {
    if (this.#blockAddress >= 0) return this.#takeBlockFrame();
    if (this.#windowAt === this.#windowEnd) return this.#nextWindow();
    if (this.#prefixBytes < 4) {
      if (this.#prefixBytes === 0) this.#frameStartedMs = this.#host.nowMs();
      while (this.#prefixBytes < 4 && this.#windowAt < this.#windowEnd) {
        this.#prefix = (this.#prefix << 8) | this.#memory.bytes[this.#windowAt++]!;
        this.#prefixBytes++;
      }
      if (this.#prefixBytes < 4) return true;
      const size = this.#prefix;
      if (size < FRAME_SIZE_MIN || size > this.#host.blocks.frameSizeMax) {
        this.#owner.violation(`it announced a frame of ${size} bytes`);
        return false;
      }
    }
    const size = this.#prefix;
    const available = this.#windowEnd - this.#windowAt;
    if (available < size) return this.#moveToBlock(size, available);
    if (!this.#owner.mayStart(this.#windowAt, size)) return false;
    const at = this.#windowAt;
    this.#windowAt += size;
    this.#startFrame(at, size);
    return true;
  }

  #takeBlockFrame(): boolean {
    const missing = this.#blockLength - this.#blockReceived;
    if (missing > 0) {
      this.#receiving = true;
      this.#host.sockets.receiveInto(
        this.#socket,
        this.#blockAddress + this.#blockReceived,
        missing,
        this.#blockLags ? Math.min(missing, RECEIVE_STEP_BYTES_MAX) : 1,
        this.#socketEmpty,
        this.#onReceivedInto,
      );
      return false;
    }
    if (this.#prefixBytes === 4) {
      if (!this.#owner.mayStart(this.#blockAddress, this.#blockLength)) return false;
      this.#startFrame(this.#blockAddress, this.#blockLength);
    }
    if (this.#framesHeld > 0) return false;
    this.#host.blocks.releaseFrame(this.#blockAddress);
    this.#blockAddress = -1;
    return true;
  }

  #nextWindow(): boolean {
    if (this.#framesHeld > 0) return false;
    this.#releaseWindow();
    this.#receiving = true;
    this.#host.sockets.receive(this.#socket, this.#socketEmpty, this.#onReceived);
    return false;
  }

  #releaseWindow(): void {
    if (this.#windowBuffer === NO_BUFFER) return;
    this.#host.sockets.recycle(this.#windowBuffer);
    this.#windowBuffer = NO_BUFFER;
  }

  #moveToBlock(size: number, available: number): boolean {
    // The window is given back first: frames before this one must have let go of it.
    if (this.#framesHeld > 0) return false;
    const block = this.#host.blocks.allocateFrame(size);
    if (block < 0) {
      this.#owner.awaitMemory();
      return false;
    }
    this.#memory.bytes.copyWithin(block, this.#windowAt, this.#windowEnd);
    this.#windowAt = this.#windowEnd;
    this.#releaseWindow();
    this.#blockAddress = block;
    this.#blockLength = size;
    this.#blockReceived = available;
    this.#blockLags = false;
    return true;
  }

  #startFrame(address: number, length: number): void {
    this.#prefixBytes = 0;
    this.#prefix = 0;
    this.#framesHeld++;
    this.#owner.startFrame(address, length);
  }
}

/**
 * A connection's bytes on their way in: from receives to whole frames.
 *
 * Bytes arrive in a buffer of the shared group. Frames that are whole in it are served in place. A frame
 * that continues beyond it gets a block of its exact size, and the rest is received directly into that block:
 * first the bytes that are there, then in steps that the kernel gathers. Only one window of bytes is open at a
 * time, and the next receive starts only when the window is used up: a connection that cannot be served is not
 * read, and TCP's flow control stops its client.
 *
 * Memory is allocated for received bytes, not for announced ones: a frame of which little has arrived occupies a
 * small block until more arrives. A shared buffer is also not kept for a request that waits for an earlier poll
 * of its connection, for a short request that waits for room, or for the beginning of a frame that waits for a
 * block: the rest of the window moves to a smaller block.
 *
 * ```text
 *   window (a shared buffer, or a block while the next request waits its turn)
 *     | frames served | next frame ...      | of which the window holds only the beginning:
 *                                             first block (4 KiB) → block of the frame's size
 * ```
 *
 * A connection that waits for a block holds none of the same kind, so connections cannot wait for one another:
 * windows, first blocks and blocks of a frame's size have budgets of their own, and are waited for in this order.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import {
  FRAME_DEADLINE_MS,
  FRAME_RATE_MIN,
  FRAME_START_SIZE,
  RECEIVE_STEP_BYTES_MAX,
  RECLAIM_IN_TURN_MS,
  RECLAIM_RATE_MIN,
} from "../base/limits.ts";
import type { Memory } from "../bytes/memory.ts";
import type { Completion } from "../io/completion.ts";
import { ENOBUFS } from "../io/errno.ts";
import { SOCKET_HAS_MORE } from "../io/sockets.ts";
import { Slot } from "../metrics/catalog.ts";
import { Admission, type ConnectionHost } from "./connection_host.ts";
import { strangerWords } from "./strangers.ts";

/** The shortest request: api key, version, correlation id. */
const FRAME_SIZE_MIN = 8;
const NO_BUFFER = -1;

/** What the receiving half asks of its connection. */
export interface ReceiveOwner {
  readonly closing: boolean;
  shutdown(): void;
  awaitReceiveMemory(): void;
  violation(what: string): void;
  /** Bytes have come. */
  onProgress(): void;
  /** An operation ended although the connection is closing. */
  onReceiveOver(): void;
  /** May the frame at `address` be started now? If not, {@linkcode ReceiveSide.pump} comes later. */
  admit(address: number, size: number): Admission;
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
  #windowBlock = -1;
  #windowAt = 0;
  #windowEnd = 0;
  // Requests whose frame lies in the window and is still needed.
  #framesHeld = 0;
  // The size prefix as far as it has come.
  #prefix = 0;
  #prefixBytes = 0;
  // A frame, or its beginning, in a block of its own.
  #blockAddress = -1;
  #blockLength = 0;
  #blockReceived = 0;
  /** A receive into the block did not complete the frame: its sender is slower than we are. */
  #blockLags = false;
  /** The last receive left nothing in the socket. */
  #socketEmpty = false;
  #receiving = false;
  // Time that the peer had for the frame that has begun: in receives that are over, and since when in this one.
  #spentMs = 0;
  #askedMs = 0;
  /** Since when the next frame, which is whole, waits for an earlier request; 0: it does not. */
  #inTurnSinceMs = 0;
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

  /** No operation is in flight and no frame is needed any more: its memory may be freed. */
  get isIdle(): boolean {
    return !this.#receiving && this.#framesHeld === 0;
  }

  /** A frame was begun, and its peer exceeded its time to continue. */
  isOverdue(nowMs: number): boolean {
    if (!this.#receiving || !this.#isBegun) return false;
    const now = nowMs - this.#askedMs;
    const slowMs = this.#spentMs + now - this.#blockReceived / FRAME_RATE_MIN;
    return now > FRAME_DEADLINE_MS || slowMs > FRAME_DEADLINE_MS;
  }

  /** For how long memory has been held here because the peer does not continue (ms); at most 0: it is not. */
  stalledMs(nowMs: number): number {
    if (this.#inTurnSinceMs > 0) return nowMs - this.#inTurnSinceMs - RECLAIM_IN_TURN_MS;
    if (!this.#receiving || this.#blockAddress < 0) return 0;
    const now = nowMs - this.#askedMs;
    return Math.max(now, this.#spentMs + now - this.#blockReceived / RECLAIM_RATE_MIN);
  }

  /** Lets bytes that have come be seen, though they are fewer than were waited for. */
  hurry(): void {
    if (this.#receiving && this.#blockLags) this.#host.sockets.hurry(this.#socket);
  }

  /** The next frame is whole and waits for an earlier request. */
  get waitsInTurn(): boolean {
    return this.#inTurnSinceMs > 0;
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
      this.#owner.awaitReceiveMemory();
      return;
    }
    if (result <= 0) {
      this.#owner.shutdown();
      return;
    }
    this.#noteReceived(result, flags);
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
    this.#noteReceived(result, flags);
    this.#blockReceived += result;
    this.#blockLags = this.#blockReceived < this.#blockLength;
    this.pump();
  }

  get #isBegun(): boolean {
    return this.#prefixBytes > 0;
  }

  #noteReceived(bytes: number, flags: number): void {
    this.#host.recorder.add(Slot.KAFKA_RECEIVED, bytes);
    this.#owner.onProgress();
    this.#socketEmpty = (flags & SOCKET_HAS_MORE) === 0;
    if (this.#isBegun) this.#spentMs += this.#host.nowMs() - this.#askedMs;
  }

  /** One step; false when there is nothing more to do now. */
  #takeFrame(): boolean {
    if (this.#blockAddress >= 0) return this.#takeBlockFrame();
    if (this.#windowAt === this.#windowEnd) return this.#nextWindow();
    if (this.#prefixBytes < 4) {
      if (this.#prefixBytes === 0) {
        this.#spentMs = 0;
        this.#blockReceived = 0;
      }
      while (this.#prefixBytes < 4 && this.#windowAt < this.#windowEnd) {
        this.#prefix = (this.#prefix << 8) | this.#memory.bytes[this.#windowAt++]!;
        this.#prefixBytes++;
      }
      if (this.#prefixBytes < 4) return true;
      const size = this.#prefix;
      const { frameSizeMax, frameSizeRaise } = this.#host.blocks;
      if (size < FRAME_SIZE_MIN) {
        this.#owner.violation(`it announced a frame of ${size} bytes`);
        return false;
      }
      if (size > frameSizeMax) {
        this.#owner.violation(
          strangerWords(size) ??
            `it announced a request of ${size} bytes, and ${frameSizeMax} are taken at most: ` +
              `raise ${frameSizeRaise}`,
        );
        return false;
      }
    }
    const size = this.#prefix;
    const available = this.#windowEnd - this.#windowAt;
    if (available < size) return this.#moveToBlock(size, available);
    if (!this.#admits(this.#windowAt, size)) {
      const isShort = this.#windowEnd - this.#windowAt <= FRAME_START_SIZE;
      if (isShort || this.#inTurnSinceMs > 0) this.#parkWindow();
      return false;
    }
    const at = this.#windowAt;
    this.#windowAt += size;
    this.#startFrame(at, size);
    return true;
  }

  #takeBlockFrame(): boolean {
    const missing = this.#blockLength - this.#blockReceived;
    if (missing > 0) {
      this.#receiving = true;
      this.#askedMs = this.#host.nowMs();
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
      if (this.#blockLength < this.#prefix) return this.#moveToLargerBlock();
      if (!this.#admits(this.#blockAddress, this.#blockLength)) return false;
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
    this.#askedMs = this.#host.nowMs();
    this.#host.sockets.receive(this.#socket, this.#socketEmpty, this.#onReceived);
    return false;
  }

  #releaseWindow(): void {
    if (this.#windowBuffer !== NO_BUFFER) this.#host.sockets.recycle(this.#windowBuffer);
    if (this.#windowBlock >= 0) this.#host.blocks.releaseWindow(this.#windowBlock);
    this.#windowBuffer = NO_BUFFER;
    this.#windowBlock = -1;
  }

  /** Gives the shared buffer back although the window is not used up; keeps it where there is no block. */
  #parkWindow(): void {
    if (this.#windowBuffer === NO_BUFFER || this.#framesHeld > 0) return;
    const size = this.#windowEnd - this.#windowAt;
    const block = this.#host.blocks.allocateWindow(size);
    if (block < 0) return;
    this.#memory.bytes.copyWithin(block, this.#windowAt, this.#windowEnd);
    this.#releaseWindow();
    this.#windowBlock = block;
    this.#windowAt = block;
    this.#windowEnd = block + size;
  }

  #moveToBlock(size: number, available: number): boolean {
    // The window is given back first: frames before this one must have let go of it.
    if (this.#framesHeld > 0) return false;
    const length = available < FRAME_START_SIZE ? Math.min(size, FRAME_START_SIZE) : size;
    const block = this.#host.blocks.allocateFrame(length);
    if (block < 0) {
      this.#parkWindow();
      this.#owner.awaitReceiveMemory();
      return false;
    }
    this.#memory.bytes.copyWithin(block, this.#windowAt, this.#windowEnd);
    this.#windowAt = this.#windowEnd;
    this.#releaseWindow();
    this.#blockAddress = block;
    this.#blockLength = length;
    this.#blockReceived = available;
    this.#blockLags = false;
    return true;
  }

  /** The first block is full: the frame continues in one of its size. */
  #moveToLargerBlock(): boolean {
    const block = this.#host.blocks.allocateFrame(this.#prefix);
    if (block < 0) {
      this.#owner.awaitReceiveMemory();
      return false;
    }
    const from = this.#blockAddress;
    this.#memory.bytes.copyWithin(block, from, from + this.#blockReceived);
    this.#host.blocks.releaseFrame(from);
    this.#blockAddress = block;
    this.#blockLength = this.#prefix;
    this.#blockLags = false;
    return true;
  }

  #admits(address: number, size: number): boolean {
    const admission = this.#owner.admit(address, size);
    if (admission !== Admission.IN_TURN) this.#inTurnSinceMs = 0;
    else if (this.#inTurnSinceMs === 0) this.#inTurnSinceMs = this.#host.nowMs();
    return admission === Admission.NOW;
  }

  #startFrame(address: number, length: number): void {
    this.#prefixBytes = 0;
    this.#prefix = 0;
    this.#framesHeld++;
    this.#owner.startFrame(address, length);
  }
}

/**
 * One client connection: bytes to frames, requests in order, responses in order.
 *
 * Receiving. Bytes arrive in a buffer of the shared group. Frames that lie in it whole are served in
 * place. A frame that continues beyond it gets a block of its exact size, and the rest is received
 * straight into that. Only one window of bytes is open at a time, and the next receive is started only
 * when it is used up: a connection that cannot be served is not read, and TCP tells its client.
 *
 * Order. As in Kafka, a request starts when the one before has been answered; Produce requests alone
 * may follow one another while they wait for their commit. Responses leave in request order.
 *
 * Lifecycle: open → (shutdown: nothing new starts, operations in flight end) → closed. The descriptor
 * is closed after the last operation on it.
 *
 * Lives on one shard, from accept to close.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import {
  FRAME_DEADLINE_MS,
  REQUESTS_PER_CONNECTION_MAX,
  SEND_DEADLINE_MS,
} from "../base/limits.ts";
import type { Memory } from "../bytes/memory.ts";
import type { Completion } from "../io/completion.ts";
import { ENOBUFS } from "../io/errno.ts";
import { SEND_VECTOR_MAX, type Sockets } from "../io/sockets.ts";
import { RangeList, ResponseSlot } from "./response.ts";

const PRODUCE_KEY = 0;
/** The shortest request: api key, version, correlation id. */
const FRAME_SIZE_MIN = 8;
/** Inline bytes of responses that are sent together, unless one alone writes more in place. */
const SEND_BATCH_SIZE = 64 * 1024;
const NO_BUFFER = -1;

/** Memory for frames and responses, each kind with its own budget. */
export interface ConnectionMemory {
  /** A block for a frame of `size` bytes; -1: not now, `onMemory` of the connection comes later. */
  allocateFrame(size: number): number;
  allocateResponse(size: number): number;
  releaseFrame(address: number): void;
  releaseResponse(address: number): void;
  /** The largest frame that can ever be taken (bytes). */
  readonly frameSizeMax: number;
  /** The largest response block that can ever be had (bytes). */
  readonly responseSizeMax: number;
}

/** What a connection asks of its shard. */
export interface ConnectionHost {
  readonly memory: Memory;
  readonly blocks: ConnectionMemory;
  readonly sockets: Sockets;
  /** Monotonic ms of this turn. */
  nowMs(): number;
  /** May a request of this key and size start now? If not, the host calls `resume` later. */
  mayStart(connection: Connection, apiKey: number, size: number): boolean;
  /**
   * Starts a request; the frame's bytes stay until {@linkcode Connection.frameDone}. The host answers
   * by `connection.answer(slot)`, perhaps before it returns.
   */
  start(connection: Connection, slot: ResponseSlot, address: number, length: number): void;
  /** `flush` wants to be called at the end of this turn. */
  markDirty(connection: Connection): void;
  /** Neither a receive buffer nor a block was to be had: call `resume` when there is one. */
  awaitMemory(connection: Connection): void;
  onClosed(connection: Connection): void;
  /** Something the peer did wrong, for the log. */
  onViolation(connection: Connection, what: string): void;
}

export class Connection {
  readonly socket: number;
  /** Kafka's form of the peer: `/127.0.0.1`. */
  readonly clientHost: string;
  readonly #host: ConnectionHost;
  readonly #memory: Memory;

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
  #frameStartedMs = 0;

  #receiving = false;
  #sending = false;
  #sendStartedMs = 0;
  #closing = false;
  #closed = false;
  #pumping = false;

  // Open requests, oldest first; a ring of reused slots.
  readonly #slots: ResponseSlot[] = [];
  #slotHead = 0;
  #slotCount = 0;
  #openOthers = 0;

  // The send in flight.
  #sendBlock = -1;
  readonly #sendRanges = new RangeList(16);
  #sendNext = 0;
  #sendTable = -1;
  // An encoded response that is larger than one send: it goes out piece by piece.
  #sendLarge: Uint8Array | null = null;
  #sendLargeAt = 0;
  readonly #sendStreams: (ResponseSlot["streamed"])[] = [];
  lastActivityMs: number;
  /** In the host's list of connections to flush. */
  dirty = false;

  readonly #onReceived: Completion;
  readonly #onReceivedInto: Completion;
  readonly #onSent: Completion;

  constructor(host: ConnectionHost, socket: number, clientHost: string) {
    this.#host = host;
    this.#memory = host.memory;
    this.socket = socket;
    this.clientHost = clientHost;
    this.lastActivityMs = host.nowMs();
    this.#onReceived = { complete: (result, flags) => this.#received(result, flags) };
    this.#onReceivedInto = { complete: (result) => this.#receivedInto(result) };
    this.#onSent = { complete: (result) => this.#sent(result) };
  }

  get closing(): boolean {
    return this.#closing;
  }

  /** Requests that have been started and not yet answered. */
  get openRequests(): number {
    return this.#slotCount;
  }

  /** Starts reading; call once. */
  open(): void {
    this.#receive();
  }

  /** Goes on where memory, a slot or the host was missing. */
  resume(): void {
    this.#pump();
  }

  /** A request's bytes are not needed any more (appended, decoded, or handed on by copy). */
  frameDone(): void {
    assert(this.#framesHeld > 0, "a frame was given back twice");
    this.#framesHeld--;
    if (this.#framesHeld === 0 && this.#windowAt === this.#windowEnd) this.#pump();
  }

  /** The response of `slot` is complete: it leaves as soon as those before it have. */
  answer(slot: ResponseSlot): void {
    assert(!slot.ready, "a request was answered twice");
    slot.ready = true;
    if (this.#closed) slot.streamed?.onSent();
    else this.#host.markDirty(this);
  }

  /** Ends the connection: nothing more is read or answered. */
  shutdown(): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#host.sockets.shutdown(this.socket);
    this.#host.markDirty(this);
  }

  /** Closes what is stuck or idle; called every few seconds. */
  checkDeadlines(nowMs: number, idleMaxMs: number): void {
    if (this.#closing) return;
    if (this.#sending && nowMs - this.#sendStartedMs > SEND_DEADLINE_MS) {
      this.#violation("its peer takes no response");
    } else if (
      (this.#blockAddress >= 0 && this.#blockReceived < this.#blockLength ||
        this.#prefixBytes > 0) && nowMs - this.#frameStartedMs > FRAME_DEADLINE_MS
    ) {
      this.#violation("a frame was begun and not finished");
    } else if (nowMs - this.lastActivityMs > idleMaxMs) {
      // Also with a request open, as in Kafka: it may wait for a peer that vanished without a word.
      this.shutdown();
    }
  }

  /** Sends what is ready; called at the end of a turn in which the connection was marked dirty. */
  flush(): void {
    if (this.#closing) {
      this.#finishClosing();
      return;
    }
    if (this.#sending) return;
    let inlineSize = 0;
    let count = 0;
    while (count < this.#slotCount) {
      const slot = this.#slot(count);
      if (!slot.ready) break;
      const size = responseSizeMax(slot);
      if (count > 0 && inlineSize + size > SEND_BATCH_SIZE) break;
      inlineSize += size;
      count++;
    }
    if (count === 0) return;
    const first = this.#slot(0);
    if (first.encoded !== null && inlineSize > SEND_BATCH_SIZE) {
      this.#flushLarge(first.encoded);
      return;
    }
    if (inlineSize > this.#host.blocks.responseSizeMax) {
      this.#violation("it asked for an answer that is larger than the memory for answers");
      return;
    }
    if (inlineSize > 0) {
      this.#sendBlock = this.#host.blocks.allocateResponse(inlineSize);
      if (this.#sendBlock < 0) {
        this.#host.awaitMemory(this);
        return;
      }
      this.#collect(count);
    }
    this.#dropSlots(count);
    if (inlineSize > 0) this.#sendRest();
    this.#pump();
  }

  #flushLarge(encoded: Uint8Array): void {
    this.#sendBlock = this.#host.blocks.allocateResponse(SEND_BATCH_SIZE);
    if (this.#sendBlock < 0) {
      this.#host.awaitMemory(this);
      return;
    }
    this.#memory.view.setUint32(this.#sendBlock, encoded.length, false);
    this.#sendLarge = encoded;
    this.#sendLargeAt = 0;
    this.#dropSlots(1);
    this.#sendPiece(4);
    this.#pump();
  }

  /** Sends the next piece of a large response, behind `used` bytes that stand in the block already. */
  #sendPiece(used: number): void {
    const encoded = this.#sendLarge!;
    const at = this.#sendLargeAt;
    const length = Math.min(encoded.length - at, SEND_BATCH_SIZE - used);
    this.#memory.bytes.set(encoded.subarray(at, at + length), this.#sendBlock + used);
    this.#sendLargeAt = at + length;
    if (this.#sendLargeAt === encoded.length) this.#sendLarge = null;
    this.#sendRanges.clear();
    this.#sendRanges.push(this.#sendBlock, used + length);
    this.#sendNext = 0;
    this.#sendRest();
  }

  #slot(index: number): ResponseSlot {
    return this.#slots[(this.#slotHead + index) & (REQUESTS_PER_CONNECTION_MAX - 1)]!;
  }

  #dropSlots(count: number): void {
    for (let i = 0; i < count; i++) {
      const slot = this.#slot(i);
      if (slot.apiKey !== PRODUCE_KEY) this.#openOthers--;
      slot.encoded = null;
      slot.streamed = null;
    }
    this.#slotHead = (this.#slotHead + count) & (REQUESTS_PER_CONNECTION_MAX - 1);
    this.#slotCount -= count;
  }

  #collect(count: number): void {
    const ranges = this.#sendRanges;
    ranges.clear();
    let at = this.#sendBlock;
    for (let i = 0; i < count; i++) {
      const slot = this.#slot(i);
      if (slot.streamed !== null) {
        at += slot.streamed.write(at, slot.correlationId, ranges);
        this.#sendStreams.push(slot.streamed);
      } else if (slot.encoded !== null) {
        this.#memory.view.setUint32(at, slot.encoded.length, false);
        this.#memory.bytes.set(slot.encoded, at + 4);
        ranges.push(at, slot.encoded.length + 4);
        at += slot.encoded.length + 4;
      }
    }
    this.#sendNext = 0;
  }

  #sendRest(): void {
    const ranges = this.#sendRanges;
    const left = ranges.count - this.#sendNext;
    this.#sending = true;
    this.#sendStartedMs = this.#host.nowMs();
    if (left === 1) {
      const next = this.#sendNext++;
      this.#host.sockets.send(
        this.socket,
        ranges.address(next),
        ranges.length(next),
        this.#onSent,
      );
      return;
    }
    const count = Math.min(left, SEND_VECTOR_MAX);
    if (this.#sendTable < 0) {
      this.#sendTable = this.#host.blocks.allocateResponse(count * 16);
      if (this.#sendTable < 0) {
        // No room for the table: one range at a time needs none.
        const next = this.#sendNext++;
        this.#host.sockets.send(
          this.socket,
          ranges.address(next),
          ranges.length(next),
          this.#onSent,
        );
        return;
      }
    }
    const view = this.#memory.view;
    for (let i = 0; i < count; i++) {
      const at = this.#sendTable + i * 16;
      view.setFloat64(at, ranges.address(this.#sendNext + i), true);
      view.setFloat64(at + 8, ranges.length(this.#sendNext + i), true);
    }
    this.#sendNext += count;
    this.#host.sockets.sendVector(this.socket, this.#sendTable, count, this.#onSent);
  }

  #sent(result: number): void {
    this.#sending = false;
    this.lastActivityMs = this.#host.nowMs();
    if (result < 0) {
      this.shutdown();
    } else if (!this.#closing && this.#sendNext < this.#sendRanges.count) {
      this.#sendRest();
      return;
    } else if (!this.#closing && this.#sendLarge !== null) {
      this.#sendPiece(0);
      return;
    }
    this.#releaseSend();
    this.#host.markDirty(this);
  }

  #releaseSend(): void {
    if (this.#sendBlock >= 0) this.#host.blocks.releaseResponse(this.#sendBlock);
    if (this.#sendTable >= 0) this.#host.blocks.releaseResponse(this.#sendTable);
    this.#sendBlock = -1;
    this.#sendTable = -1;
    this.#sendLarge = null;
    for (let i = 0; i < this.#sendStreams.length; i++) this.#sendStreams[i]!.onSent();
    this.#sendStreams.length = 0;
  }

  #receive(): void {
    if (this.#receiving || this.#closing) return;
    this.#receiving = true;
    this.#host.sockets.receive(this.socket, this.#onReceived);
  }

  #received(result: number, flags: number): void {
    this.#receiving = false;
    if (this.#closing) {
      if (result > 0) this.#host.sockets.recycle(flags >>> 16);
      this.#host.markDirty(this);
      return;
    }
    if (result === -ENOBUFS) {
      this.#host.awaitMemory(this);
      return;
    }
    if (result <= 0) {
      this.shutdown();
      return;
    }
    this.lastActivityMs = this.#host.nowMs();
    this.#windowBuffer = flags >>> 16;
    this.#windowAt = this.#host.sockets.bufferAddress(this.#windowBuffer);
    this.#windowEnd = this.#windowAt + result;
    this.#pump();
  }

  #receivedInto(result: number): void {
    this.#receiving = false;
    if (this.#closing || result <= 0) {
      this.shutdown();
      this.#host.markDirty(this);
      return;
    }
    this.lastActivityMs = this.#host.nowMs();
    this.#blockReceived += result;
    this.#pump();
  }

  /** Takes requests from the window until it is used up or something is missing. */
  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    while (!this.#closing && !this.#receiving) {
      if (!this.#takeFrame()) break;
    }
    this.#pumping = false;
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
        this.#violation(`it announced a frame of ${size} bytes`);
        return false;
      }
    }
    const size = this.#prefix;
    const available = this.#windowEnd - this.#windowAt;
    if (available < size) return this.#moveToBlock(size, available);
    if (!this.#mayStart(this.#windowAt, size)) return false;
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
        this.socket,
        this.#blockAddress + this.#blockReceived,
        missing,
        this.#onReceivedInto,
      );
      return false;
    }
    if (this.#prefixBytes === 4) {
      if (!this.#mayStart(this.#blockAddress, this.#blockLength)) return false;
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
    this.#receive();
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
      this.#host.awaitMemory(this);
      return false;
    }
    this.#memory.bytes.copyWithin(block, this.#windowAt, this.#windowEnd);
    this.#windowAt = this.#windowEnd;
    this.#releaseWindow();
    this.#blockAddress = block;
    this.#blockLength = size;
    this.#blockReceived = available;
    return true;
  }

  #mayStart(address: number, size: number): boolean {
    if (this.#slotCount === REQUESTS_PER_CONNECTION_MAX) return false;
    const apiKey = this.#memory.view.getInt16(address, false);
    const alone = apiKey !== PRODUCE_KEY || this.#openOthers > 0;
    if (alone && this.#slotCount > 0) return false;
    return this.#host.mayStart(this, apiKey, size);
  }

  #startFrame(address: number, length: number): void {
    this.#prefixBytes = 0;
    this.#prefix = 0;
    this.#framesHeld++;
    const view = this.#memory.view;
    const index = (this.#slotHead + this.#slotCount) & (REQUESTS_PER_CONNECTION_MAX - 1);
    while (this.#slots.length <= index) this.#slots.push(new ResponseSlot());
    const slot = this.#slots[index]!;
    const apiKey = view.getInt16(address, false);
    slot.reset(apiKey, view.getInt16(address + 2, false), view.getInt32(address + 4, false));
    this.#slotCount++;
    if (apiKey !== PRODUCE_KEY) this.#openOthers++;
    this.#host.start(this, slot, address, length);
  }

  #violation(what: string): void {
    this.#host.onViolation(this, what);
    this.shutdown();
  }

  /** Closes the descriptor when nothing is in flight; requests still open are answered to nobody. */
  #finishClosing(): void {
    if (this.#closed || this.#receiving || this.#sending || this.#framesHeld > 0) return;
    this.#closed = true;
    for (let i = 0; i < this.#slotCount; i++) {
      const slot = this.#slot(i);
      if (slot.ready) slot.streamed?.onSent();
    }
    this.#releaseWindow();
    if (this.#blockAddress >= 0) this.#host.blocks.releaseFrame(this.#blockAddress);
    this.#blockAddress = -1;
    this.#host.sockets.close(this.socket);
    this.#host.onClosed(this);
  }
}

function responseSizeMax(slot: ResponseSlot): number {
  if (slot.streamed !== null) return slot.streamed.inlineSizeMax();
  return slot.encoded === null ? 0 : slot.encoded.length + 4;
}

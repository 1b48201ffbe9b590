/**
 * One connection of the minimal loop: produce frames in, their batches checked and logged, responses out
 * once they are durable.
 *
 * Knows exactly the requests that the load generator sends (Produce v7, one topic, one partition). Frames
 * are received as the broker receives them: into a shared group of buffers, and a frame that continues
 * beyond one straight into a block of its own.
 *
 * Responses lie in a ring of bytes per connection, in three parts:
 *
 *     sent ──► leaving ──► durable ──► awaiting their write ──► filled
 *
 * @module
 */

import { RECEIVE_STEP_BYTES_MAX } from "../../src/base/limits.ts";
import type { Memory } from "../../src/bytes/memory.ts";
import type { Completion } from "../../src/io/completion.ts";
import type { Sockets } from "../../src/io/sockets.ts";
import type { Shim } from "../../src/io/shim.ts";
import type { MinimalLog } from "./minimal_log.ts";

/** Bytes of the ring of responses: more than a generator keeps in flight. */
export const RESPONSES_SIZE = 256 * 1024;
const RESPONSE_SIZE_MAX = 512;
const CRC_OFFSET = 17;
const ATTRIBUTES_OFFSET = 21;

/** A batch whose bytes do not have the CRC-32C that it states. */
export class Crc32cMismatch extends Error {
  override name = "Crc32cMismatch";
}

export interface MinimalShared {
  readonly memory: Memory;
  readonly shim: Shim;
  readonly sockets: Sockets;
  readonly log: MinimalLog;
  /** The connection has responses in the filling write. */
  readonly onLogged: (connection: MinimalConnection) => void;
  /** The connection has ended, and the kernel reads its blocks no more: they may be given to another. */
  readonly onGone: (connection: MinimalConnection) => void;
}

export class MinimalConnection {
  readonly #shared: MinimalShared;
  readonly #socket: number;
  readonly #frame: number;
  readonly #frameSizeMax: number;
  readonly #responses: number;
  readonly #onReceived: Completion;
  readonly #onReceivedInto: Completion;
  readonly #onSent: Completion;
  /** Has responses in the filling write. */
  logged = false;

  // A frame that continues beyond a receive buffer: bytes of it (with its size) in the block.
  #frameBytes = 0;
  #frameWanted = 0;
  // Frames that found the log full, and the buffer they lie in.
  #heldBuffer = -1;
  #heldAt = 0;
  #heldEnd = 0;

  #sent = 0;
  #durable = 0;
  #filled = 0;
  /** Where the part before the start of the ring ends, while responses lie on both sides. */
  #wrapAt = -1;
  #sending = 0;
  #nextOffset = 0;
  #closed = false;

  /** @param frame a block of `frameSizeMax` bytes; `responses` one of {@linkcode RESPONSES_SIZE} */
  constructor(
    shared: MinimalShared,
    socket: number,
    blocks: { frame: number; frameSizeMax: number; responses: number },
  ) {
    this.#shared = shared;
    this.#socket = socket;
    this.#frame = blocks.frame;
    this.#frameSizeMax = blocks.frameSizeMax;
    this.#responses = blocks.responses;
    this.#onReceived = { complete: (result, flags) => this.#received(result, flags) };
    this.#onReceivedInto = { complete: (result) => this.#receivedInto(result) };
    this.#onSent = { complete: (result) => this.#wasSent(result) };
    shared.sockets.receive(socket, false, this.#onReceived);
  }

  /** The write that was filling is in flight: what is filled now becomes durable with it. */
  markFlushed(): number {
    this.logged = false;
    return this.#filled;
  }

  /** Responses up to `mark` may leave. */
  release(mark: number): void {
    this.#durable = mark;
    if (this.#sending === 0 && !this.#closed) this.#send();
  }

  /** The log has room again. */
  resume(): void {
    if (this.#closed) return;
    if (this.#heldBuffer >= 0) this.#take(this.#heldBuffer, this.#heldAt, this.#heldEnd);
    else if (this.#frameWanted > 0 && this.#frameBytes === this.#frameWanted) this.#takeBlock();
  }

  #received(result: number, flags: number): void {
    if (result <= 0) return this.#close();
    const buffer = flags >>> 16;
    const at = this.#shared.sockets.bufferAddress(buffer);
    this.#take(buffer, at, at + result);
  }

  /** Takes the frames in a receive buffer; the rest of the last one goes to the block. */
  #take(buffer: number, from: number, end: number): void {
    const { memory, sockets } = this.#shared;
    let at = from;
    this.#heldBuffer = -1;
    while (end - at >= 4) {
      const size = memory.view.getUint32(at, false);
      if (end - at - 4 < size) break;
      if (!this.#request(at + 4)) {
        this.#heldBuffer = buffer;
        this.#heldAt = at;
        this.#heldEnd = end;
        return;
      }
      at += 4 + size;
    }
    const rest = end - at;
    memory.bytes.copyWithin(this.#frame, at, end);
    sockets.recycle(buffer);
    if (rest === 0) return sockets.receive(this.#socket, false, this.#onReceived);
    this.#frameBytes = rest;
    this.#receiveRest(1);
  }

  /** Receives what the frame lacks; waits for at most `wantedMax` bytes at a time. */
  #receiveRest(wantedMax: number): void {
    const { memory, sockets } = this.#shared;
    const sized = this.#frameBytes >= 4;
    this.#frameWanted = sized ? 4 + memory.view.getUint32(this.#frame, false) : 4;
    if (this.#frameWanted > this.#frameSizeMax) return this.#close();
    const missing = this.#frameWanted - this.#frameBytes;
    const at = this.#frame + this.#frameBytes;
    const wanted = Math.min(missing, wantedMax);
    sockets.receiveInto(this.#socket, at, missing, wanted, false, this.#onReceivedInto);
  }

  #receivedInto(result: number): void {
    if (result <= 0) return this.#close();
    this.#frameBytes += result;
    if (this.#frameBytes < this.#frameWanted || this.#frameWanted === 4) {
      this.#receiveRest(RECEIVE_STEP_BYTES_MAX);
    } else {
      this.#takeBlock();
    }
  }

  #takeBlock(): void {
    if (!this.#request(this.#frame + 4)) return;
    this.#frameBytes = 0;
    this.#frameWanted = 0;
    this.#shared.sockets.receive(this.#socket, false, this.#onReceived);
  }

  /** Takes one request (without its size); false when the log has no room for it now. */
  #request(address: number): boolean {
    const { memory, shim, log } = this.#shared;
    const view = memory.view;
    // Key, version, correlation id, client id; transactional id, acks, timeout, one topic.
    let at = address + 8;
    at += 2 + view.getInt16(at, false);
    at += 2 + 2 + 4 + 4;
    const name = at;
    const nameLength = view.getInt16(at, false);
    at += 2 + nameLength + 4;
    const partition = view.getInt32(at, false);
    const length = view.getInt32(at + 4, false);
    const batch = at + 8;
    const sum = shim.gregor_crc32c(0, batch + ATTRIBUTES_OFFSET, length - ATTRIBUTES_OFFSET);
    if (sum !== view.getUint32(batch + CRC_OFFSET, false)) throw new Crc32cMismatch();
    if (!log.add(batch, length)) return false;
    this.#respond(view.getInt32(address + 4, false), name, nameLength, partition);
    if (!this.logged) {
      this.logged = true;
      this.#shared.onLogged(this);
    }
    return true;
  }

  #respond(correlation: number, name: number, nameLength: number, partition: number): void {
    const { view, bytes } = this.#shared.memory;
    if (this.#filled + RESPONSE_SIZE_MAX > RESPONSES_SIZE) {
      this.#wrapAt = this.#filled;
      this.#filled = 0;
    }
    const start = this.#responses + this.#filled;
    let at = start + 4;
    view.setInt32(at, correlation, false);
    view.setInt32(at + 4, 1, false);
    bytes.copyWithin(at + 8, name, name + 2 + nameLength);
    at += 10 + nameLength;
    view.setInt32(at, 1, false);
    view.setInt32(at + 4, partition, false);
    view.setInt16(at + 8, 0, false);
    // Base offset, log append time, log start offset; then the throttle time.
    view.setInt32(at + 10, 0, false);
    view.setInt32(at + 14, this.#nextOffset++, false);
    view.setInt32(at + 18, -1, false);
    view.setInt32(at + 22, -1, false);
    view.setInt32(at + 26, 0, false);
    view.setInt32(at + 30, 0, false);
    view.setInt32(at + 34, 0, false);
    at += 38;
    view.setInt32(start, at - start - 4, false);
    this.#filled += at - start;
  }

  #send(): void {
    if (this.#sent === this.#wrapAt && this.#durable < this.#sent) {
      this.#sent = 0;
      this.#wrapAt = -1;
    }
    const end = this.#durable < this.#sent ? this.#wrapAt : this.#durable;
    this.#sending = end - this.#sent;
    if (this.#sending === 0) return;
    const at = this.#responses + this.#sent;
    this.#shared.sockets.send(this.#socket, at, this.#sending, false, this.#onSent);
  }

  #wasSent(result: number): void {
    // A peer that is gone shows as the end of receiving.
    if (result > 0) this.#sent += result;
    this.#sending = 0;
    if (this.#closed) this.#shared.onGone(this);
    else if (result >= 0) this.#send();
  }

  #close(): void {
    this.#closed = true;
    this.#shared.sockets.close(this.#socket);
    if (this.#sending === 0) this.#shared.onGone(this);
  }
}

/**
 * A connection's outgoing responses: collected into a block, sent, and released.
 *
 * Responses that are ready go out together, up to {@linkcode SEND_BATCH_SIZE} of inline bytes; records
 * of a fetch are sent from the cache. A larger encoded response is sent piece by piece, so that it needs no
 * block of its size.
 *
 * One send takes as many bytes as the socket has room for; the rest follows when there is room again.
 *
 * @module
 */

import { RECLAIM_RATE_MIN, SEND_DEADLINE_MS } from "../base/limits.ts";
import type { Memory } from "../bytes/memory.ts";
import type { Completion } from "../io/completion.ts";
import { RANGE_ENTRY_SIZE, RangeCursor } from "../io/range_cursor.ts";
import { Slot } from "../metrics/catalog.ts";
import type { ConnectionHost } from "./connection_host.ts";
import { HeapLane } from "./request_heap.ts";
import type { RequestQueue } from "./request_queue.ts";
import type { ResponseSlot } from "./response.ts";

/** Inline bytes of responses that are sent together, unless one alone writes more in place. */
const SEND_BATCH_SIZE = 64 * 1024;

/** What the sending half asks of its connection. */
export interface SendOwner {
  readonly closing: boolean;
  shutdown(): void;
  /** Bytes have left. */
  onProgress(): void;
  /** Something was missing to send: {@linkcode SendSide.flush} is to be called again later. */
  awaitSendMemory(): void;
  /** The peer asked for something that cannot be sent. */
  violation(what: string): void;
  /** Everything that was being sent has left, or failed. */
  onSendOver(): void;
}

export class SendSide {
  readonly #host: ConnectionHost;
  readonly #memory: Memory;
  readonly #socket: number;
  readonly #owner: SendOwner;
  readonly #queue: RequestQueue;
  #sending = false;
  /** When the operation in flight began, and the first one of these responses; bytes that have left since. */
  #startedMs = 0;
  #begunMs = 0;
  #sentBytes = 0;
  // The send in flight.
  #block = -1;
  readonly #cursor: RangeCursor;
  #table = -1;
  // An encoded response that is larger than one send: it goes out piece by piece.
  #large: Uint8Array | null = null;
  #largeAt = 0;
  #largeHeap = 0;
  readonly #streams: (ResponseSlot["streamed"])[] = [];
  readonly #onSent: Completion;

  constructor(host: ConnectionHost, socket: number, owner: SendOwner, queue: RequestQueue) {
    this.#host = host;
    this.#memory = host.memory;
    this.#socket = socket;
    this.#owner = owner;
    this.#queue = queue;
    this.#cursor = new RangeCursor(host.memory);
    this.#onSent = { complete: (result) => this.#sent(result) };
  }

  /** An operation on the socket is in flight. */
  get sending(): boolean {
    return this.#sending;
  }

  /** The peer takes nothing and has had its time. */
  isOverdue(nowMs: number): boolean {
    return this.#sending && nowMs - this.#startedMs > SEND_DEADLINE_MS;
  }

  /** How long the peer has not taken the bytes being sent (ms); at most 0: it has taken them. */
  stalledMs(nowMs: number): number {
    if (!this.#sending) return 0;
    const slowMs = nowMs - this.#begunMs - this.#sentBytes / RECLAIM_RATE_MIN;
    return Math.max(nowMs - this.#startedMs, slowMs);
  }

  /** Sends what is ready; true when requests have left the queue. */
  flush(): boolean {
    if (this.#sending) return false;
    const queue = this.#queue;
    let inlineSize = 0;
    let count = 0;
    while (count < queue.length) {
      const slot = queue.at(count);
      if (!slot.ready) break;
      const size = responseSizeMax(slot);
      if (count > 0 && inlineSize + size > SEND_BATCH_SIZE) break;
      inlineSize += size;
      count++;
    }
    if (count === 0) return false;
    this.#begunMs = this.#host.nowMs();
    this.#sentBytes = 0;
    const first = queue.at(0);
    if (first.encoded !== null && inlineSize > SEND_BATCH_SIZE) {
      return this.#flushLarge(first.encoded);
    }
    if (inlineSize > this.#host.blocks.responseSizeMax) {
      this.#owner.violation("it asked for an answer that is larger than the memory for answers");
      return false;
    }
    if (inlineSize > 0) {
      this.#block = this.#host.blocks.allocateResponse(inlineSize);
      if (this.#block < 0) {
        this.#owner.awaitSendMemory();
        return false;
      }
      this.#collect(count);
    }
    this.#noteAnswered(count);
    queue.drop(count);
    if (inlineSize > 0) this.#sendRest(false);
    return true;
  }

  #flushLarge(encoded: Uint8Array): boolean {
    this.#block = this.#host.blocks.allocateResponse(SEND_BATCH_SIZE);
    if (this.#block < 0) {
      this.#owner.awaitSendMemory();
      return false;
    }
    this.#memory.view.setUint32(this.#block, encoded.length, false);
    this.#large = encoded;
    this.#largeAt = 0;
    const slot = this.#queue.at(0);
    this.#largeHeap = slot.heapBytes;
    slot.heapBytes = 0;
    this.#noteAnswered(1);
    this.#queue.drop(1);
    this.#sendPiece(4);
    return true;
  }

  /** Sends the next piece of a large response, after `used` bytes that are already in the block. */
  #sendPiece(used: number): void {
    const encoded = this.#large!;
    const at = this.#largeAt;
    const length = Math.min(encoded.length - at, SEND_BATCH_SIZE - used);
    this.#memory.bytes.set(encoded.subarray(at, at + length), this.#block + used);
    this.#largeAt = at + length;
    if (this.#largeAt === encoded.length) this.#large = null;
    const { ranges } = this.#cursor;
    ranges.clear();
    ranges.push(this.#block, used + length);
    this.#cursor.rewind();
    this.#sendRest(false);
  }

  #collect(count: number): void {
    const { ranges } = this.#cursor;
    ranges.clear();
    let at = this.#block;
    for (let i = 0; i < count; i++) {
      const slot = this.#queue.at(i);
      if (slot.streamed !== null) {
        at += slot.streamed.write(at, slot.correlationId, ranges);
        this.#streams.push(slot.streamed);
      } else if (slot.encoded !== null) {
        this.#memory.view.setUint32(at, slot.encoded.length, false);
        this.#memory.bytes.set(slot.encoded, at + 4);
        ranges.push(at, slot.encoded.length + 4);
        at += slot.encoded.length + 4;
      }
    }
    this.#cursor.rewind();
  }

  /** Sends what is left of the ranges; `full` when the socket has just refused some of it. */
  #sendRest(full: boolean): void {
    const { sockets, blocks } = this.#host;
    const cursor = this.#cursor;
    const count = cursor.left;
    this.#sending = true;
    this.#startedMs = this.#host.nowMs();
    // Without room for the table: one range at a time needs none.
    if (count > 1 && this.#table < 0) {
      this.#table = blocks.allocateResponse(count * RANGE_ENTRY_SIZE);
    }
    cursor.send(sockets, this.#socket, this.#table, count, full, this.#onSent);
  }

  #sent(result: number): void {
    this.#sending = false;
    this.#owner.onProgress();
    if (result <= 0) {
      this.#owner.shutdown();
    } else if (!this.#owner.closing) {
      this.#host.recorder.add(Slot.KAFKA_SENT, result);
      this.#sentBytes += result;
      const short = this.#cursor.advance(result);
      if (!this.#cursor.over) {
        this.#sendRest(short);
        return;
      }
      if (this.#large !== null) {
        this.#sendPiece(0);
        return;
      }
    }
    this.#release();
    this.#owner.onSendOver();
  }

  /** The answers of the oldest requests leave. */
  #noteAnswered(count: number): void {
    const { recorder } = this.#host;
    for (let i = 0; i < count; i++) {
      const slot = this.#queue.at(i);
      recorder.noteAnswered(slot.apiKey, slot.startedMs);
    }
  }

  #release(): void {
    if (this.#block >= 0) this.#host.blocks.releaseResponse(this.#block);
    if (this.#table >= 0) this.#host.blocks.releaseResponse(this.#table);
    this.#block = -1;
    this.#table = -1;
    this.#large = null;
    this.#host.heap.give(HeapLane.RESPONSES, this.#largeHeap);
    this.#largeHeap = 0;
    for (let i = 0; i < this.#streams.length; i++) this.#streams[i]!.onSent();
    this.#streams.length = 0;
  }
}

function responseSizeMax(slot: ResponseSlot): number {
  if (slot.streamed !== null) return slot.streamed.inlineSizeMax();
  return slot.encoded === null ? 0 : slot.encoded.length + 4;
}

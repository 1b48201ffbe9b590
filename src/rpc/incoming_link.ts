/**
 * A link from one shard of another node: answers its preamble, then receives frames, checks them, and hands them over.
 *
 * The link owns the memory that it receives into, so that messages between nodes never wait for what clients occupy. A
 * frame that is larger than this block gets one of its size, once the block is full of it: memory is taken for what came,
 * not for what was announced.
 *
 * ```text
 *   block:  | taken | frame | frame | beginning of a frame ... | free |
 *                   ^ start                                    ^ end
 * ```
 *
 * A frame that its receiver cannot take now stays where it is, and nothing more is received: TCP's flow control stops the
 * sender, and this link alone waits.
 *
 * @module
 */

import {
  RECEIVE_STEP_BYTES_MAX,
  RECEIVE_STEP_MS_MAX,
  RPC_CONTROL_RECEIVE_SIZE,
  RPC_DATA_RECEIVE_SIZE,
  RPC_RATE_MIN,
  RPC_STALL_MS,
} from "../base/limits.ts";
import type { Completion } from "../io/completion.ts";
import { SOCKET_HAS_MORE } from "../io/sockets.ts";
import {
  checkFrameHeader,
  describeFault,
  FRAME_HEADER_SIZE,
  FrameFault,
  frameLength,
  frameMaxOf,
  frameType,
  payloadMatches,
} from "./frame.ts";
import { FrameVerdict, type IncomingHost } from "./link_host.ts";
import { ANSWER_SIZE, GreetingStatus, Lane, writeAnswer } from "./preamble.ts";

/** What the preamble said of the other end. */
export interface IncomingPeer {
  readonly node: number;
  readonly incarnation: string;
  readonly process: number;
  readonly fromShard: number;
  readonly shardCount: number;
  readonly logicalVersion: number;
  readonly lane: Lane;
}

/** The block of a link of this lane (bytes). */
export function receiveBlockSize(lane: Lane): number {
  return lane === Lane.CONTROL ? RPC_CONTROL_RECEIVE_SIZE : RPC_DATA_RECEIVE_SIZE;
}

export class IncomingLink {
  readonly peer: IncomingPeer;
  readonly #host: IncomingHost;
  readonly #socket: number;
  readonly #block: number;
  readonly #blockSize: number;
  /** Largest payload (bytes). */
  readonly #frameMax: number;
  // Received and not yet taken.
  #start = 0;
  #end = 0;
  #sequence = 0;
  // What is known of the frame at the start.
  #headerSeen = false;
  #payloadSeen = false;
  // A frame in a block of its own, and the bytes of it that have come.
  #large = -1;
  #largeSize = 0;
  #largeReceived = 0;
  #lags = false;
  #socketEmpty = true;
  #receiving = false;
  #answering = false;
  #answered = 0;
  /** Its receiver does not take the next frame now, or there is no memory for it. */
  #held = false;
  #pumping = false;
  #closing = false;
  #closed = false;
  /** When the present receive began, and when the frame that has begun did. */
  #askedMs = 0;
  #begunMs = -1;
  readonly #onAnswered: Completion;
  readonly #onReceived: Completion;

  /** @param block of {@linkcode receiveBlockSize} bytes, given back by `onClosed` */
  constructor(host: IncomingHost, socket: number, peer: IncomingPeer, block: number) {
    this.#host = host;
    this.#socket = socket;
    this.peer = peer;
    this.#block = block;
    this.#blockSize = receiveBlockSize(peer.lane);
    this.#frameMax = frameMaxOf(peer.lane, host.blocks.peerFrameMax);
    this.#onAnswered = { complete: (result) => this.#answerSent(result) };
    this.#onReceived = { complete: (result, flags) => this.#received(result, flags) };
  }

  get closing(): boolean {
    return this.#closing;
  }

  /** Its next frame waits for its receiver, or for memory. */
  get held(): boolean {
    return this.#held;
  }

  /** Accepts: sends the answer, then receives; call once. */
  open(): void {
    const { memory, crc32c, identity } = this.#host;
    const answer = { ...identity(), status: GreetingStatus.OK, frameSizeMax: this.#frameMax };
    writeAnswer(memory, this.#block, answer, crc32c);
    this.#sendAnswer(false);
  }

  /** Offers again what was held. */
  resume(): void {
    if (!this.#held || this.#closing) return;
    this.#held = false;
    // The time that it waited for us is not its own.
    if (this.#begunMs >= 0) this.#begunMs = this.#host.nowMs();
    this.#pump();
  }

  /** Ends the link. */
  shutdown(): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#host.sockets.shutdown(this.#socket);
    this.#finishClosing();
  }

  /** Ends a link whose peer does not go on with a frame, or takes no answer; called now and then. */
  checkDeadlines(nowMs: number): void {
    if (this.#closing) return;
    if (this.#receiving && this.#lags && nowMs - this.#askedMs > RECEIVE_STEP_MS_MAX) {
      this.#host.sockets.hurry(this.#socket);
    }
    if (this.#answering && nowMs - this.#askedMs > RPC_STALL_MS) {
      this.#violation("it takes no answer");
    } else if (this.#receiving && this.#begunMs >= 0) {
      const slowMs = nowMs - this.#begunMs - this.#pending / RPC_RATE_MIN;
      if (nowMs - this.#askedMs > RPC_STALL_MS || slowMs > RPC_STALL_MS) {
        this.#violation("a frame was begun and not finished");
      }
    }
  }

  #sendAnswer(full: boolean): void {
    this.#answering = true;
    this.#askedMs = this.#host.nowMs();
    const at = this.#block + this.#answered;
    const length = ANSWER_SIZE - this.#answered;
    this.#host.sockets.send(this.#socket, at, length, full, this.#onAnswered);
  }

  #answerSent(result: number): void {
    this.#answering = false;
    if (this.#closing || result <= 0) {
      this.#broken();
      return;
    }
    this.#answered += result;
    if (this.#answered < ANSWER_SIZE) this.#sendAnswer(true);
    else this.#pump();
  }

  #received(result: number, flags: number): void {
    this.#receiving = false;
    if (this.#closing || result <= 0) {
      this.#broken();
      return;
    }
    this.#host.receivedBytes += result;
    this.#socketEmpty = (flags & SOCKET_HAS_MORE) === 0;
    if (this.#begunMs < 0) this.#begunMs = this.#host.nowMs();
    if (this.#large >= 0) {
      this.#largeReceived += result;
      this.#lags = this.#largeReceived < this.#largeSize;
    } else {
      this.#end += result;
    }
    this.#pump();
  }

  /** The peer is gone, or this end is closing. */
  #broken(): void {
    if (!this.#closing) {
      this.#closing = true;
      this.#host.sockets.shutdown(this.#socket);
    }
    this.#finishClosing();
  }

  /** Bytes of a frame that is not whole. */
  get #pending(): number {
    return this.#large >= 0 ? this.#largeReceived : this.#end - this.#start;
  }

  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    while (!this.#closing && !this.#receiving && !this.#held && this.#takeFrame());
    this.#pumping = false;
    // A frame's receiver may have ended the link.
    if (this.#closing) this.#finishClosing();
  }

  /** One step; false when it has to wait. */
  #takeFrame(): boolean {
    if (this.#large >= 0) return this.#takeLarge();
    const at = this.#block + this.#start;
    const there = this.#end - this.#start;
    if (there < FRAME_HEADER_SIZE) return this.#receive(FRAME_HEADER_SIZE);
    if (!this.#headerSeen && !this.#checkHeader(at)) return false;
    const size = FRAME_HEADER_SIZE + frameLength(this.#host.memory.view, at);
    if (size > this.#blockSize) {
      return there < this.#blockSize ? this.#receive(this.#blockSize) : this.#moveToLarge(size);
    }
    if (there < size) return this.#receive(size);
    if (!this.#deliver(at)) return false;
    this.#start += size;
    if (this.#start === this.#end) {
      this.#start = 0;
      this.#end = 0;
    }
    this.#nextFrame();
    return true;
  }

  #takeLarge(): boolean {
    const missing = this.#largeSize - this.#largeReceived;
    if (missing > 0) {
      this.#ask(
        this.#large + this.#largeReceived,
        missing,
        this.#lags ? Math.min(missing, RECEIVE_STEP_BYTES_MAX) : 1,
      );
      return false;
    }
    if (!this.#deliver(this.#large)) return false;
    this.#host.blocks.releasePeerFrame(this.#large);
    this.#large = -1;
    this.#lags = false;
    this.#nextFrame();
    return true;
  }

  #nextFrame(): void {
    this.#sequence = (this.#sequence + 1) >>> 0;
    this.#headerSeen = false;
    this.#payloadSeen = false;
    this.#begunMs = this.#start < this.#end ? this.#host.nowMs() : -1;
  }

  /** Receives until `size` bytes from the start on are there. */
  #receive(size: number): false {
    if (this.#start + size > this.#blockSize) {
      const from = this.#block + this.#start;
      this.#host.memory.bytes.copyWithin(this.#block, from, this.#block + this.#end);
      this.#end -= this.#start;
      this.#start = 0;
    }
    this.#ask(this.#block + this.#end, this.#blockSize - this.#end, 1);
    return false;
  }

  #ask(address: number, length: number, wanted: number): void {
    this.#receiving = true;
    this.#askedMs = this.#host.nowMs();
    this.#host.sockets.receiveInto(
      this.#socket,
      address,
      length,
      wanted,
      this.#socketEmpty,
      this.#onReceived,
    );
  }

  #moveToLarge(size: number): boolean {
    const { blocks, memory } = this.#host;
    const large = blocks.allocatePeerFrame(size);
    if (large < 0) {
      this.#held = true;
      blocks.afterRelease(() => this.resume());
      return false;
    }
    memory.bytes.copyWithin(large, this.#block, this.#block + this.#end);
    this.#large = large;
    this.#largeSize = size;
    this.#largeReceived = this.#end;
    this.#start = 0;
    this.#end = 0;
    return true;
  }

  #checkHeader(at: number): boolean {
    const { memory, crc32c } = this.#host;
    const fault = checkFrameHeader(memory.view, at, this.#sequence, this.#frameMax, crc32c);
    if (fault === FrameFault.NONE) {
      this.#headerSeen = true;
      return true;
    }
    this.#violation(describeFault(fault));
    return false;
  }

  /** Hands over the frame at `at`, which is whole; false: it was not taken. */
  #deliver(at: number): boolean {
    const { memory, crc32c } = this.#host;
    const { view } = memory;
    if (!this.#payloadSeen) {
      if (!payloadMatches(view, at, crc32c)) {
        this.#violation(describeFault(FrameFault.PAYLOAD));
        return false;
      }
      this.#payloadSeen = true;
    }
    const type = frameType(view, at);
    const verdict = this.#host.deliver(this, type, at + FRAME_HEADER_SIZE, frameLength(view, at));
    if (verdict === FrameVerdict.TAKEN) return true;
    if (verdict === FrameVerdict.HELD) this.#held = true;
    else this.#violation(`a frame of type ${type} makes no sense`);
    return false;
  }

  #violation(why: string): void {
    if (!this.#closing) this.#host.onViolation(this, why);
    this.shutdown();
  }

  #finishClosing(): void {
    if (this.#closed || this.#receiving || this.#answering || this.#pumping) return;
    this.#closed = true;
    const { blocks, sockets } = this.#host;
    if (this.#large >= 0) blocks.releasePeerFrame(this.#large);
    this.#large = -1;
    sockets.close(this.#socket);
    this.#host.onClosed(this, this.#block);
  }
}

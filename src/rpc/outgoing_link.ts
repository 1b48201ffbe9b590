/**
 * A link to one shard of another node, for one lane: a connection that is made when it is first wanted, and made again when
 * it breaks. Frames go one way; nothing but the answer to the preamble comes back.
 *
 * ```text
 *   IDLE ── open ──→ RESOLVING ──→ CONNECTING ──→ GREETING ──→ UP
 *                        │              │             │         │ broken
 *                        └── failed ────┴─────────────┴──→ CLOSING (operations in flight end)
 *                                                              │
 *     open: a timer, or the peer has come to us ← WAITING ←────┘
 * ```
 *
 * While a connection is being made, frames wait; where one has failed or is broken, they are refused, because whoever sends
 * them has to know. Frames that had not left when a connection broke are over: none is sent twice.
 *
 * A receive is always in flight, so that the end of the connection is seen at once, without anything to send.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import {
  RPC_GREETING_MS,
  RPC_LINK_BLOCK_SIZE,
  RPC_RETRY_MS_MIN,
  RPC_SEND_BYTES_MAX,
  RPC_STALL_MS,
  RPC_STEADY_MS,
} from "../base/limits.ts";
import type { RangeList } from "../bytes/range_list.ts";
import type { Completion } from "../io/completion.ts";
import { ECONNREFUSED } from "../io/errno.ts";
import { RANGE_ENTRY_SIZE, RangeCursor } from "../io/range_cursor.ts";
import { Timer } from "../io/timers.ts";
import { retryDelayMs } from "./backoff.ts";
import { frameMaxOf } from "./frame.ts";
import { type FrameOwner, FrameQueue } from "./frame_queue.ts";
import type { OutgoingHost } from "./link_host.ts";
import {
  type Answer,
  ANSWER_SIZE,
  describeStatus,
  GreetingStatus,
  judgeAnswer,
  Lane,
  PREAMBLE_SIZE,
  readAnswer,
  writePreamble,
} from "./preamble.ts";

export const LinkState = {
  IDLE: 0,
  RESOLVING: 1,
  CONNECTING: 2,
  GREETING: 3,
  UP: 4,
  CLOSING: 5,
  WAITING: 6,
  STOPPED: 7,
} as const;
export type LinkState = typeof LinkState[keyof typeof LinkState];

/** What became of a frame that was to be sent. */
export const SendOutcome = {
  QUEUED: 0,
  /** The queue is full; the listener's `onRoom` comes. */
  FULL: 1,
  /** There is no connection, and none is being made at the moment. */
  DOWN: 2,
  /** The peer does not take frames of this size. */
  TOO_LARGE: 3,
} as const;
export type SendOutcome = typeof SendOutcome[keyof typeof SendOutcome];

// The link's block: greeting | table of ranges | ring of the queue.
const GREETING_SIZE = 256;
const RANGES_MAX = 256;
const TABLE_AT = GREETING_SIZE;
const RING_AT = TABLE_AT + RANGES_MAX * RANGE_ENTRY_SIZE;
const ANSWER_AT = PREAMBLE_SIZE;

/** For people: what listens there may be something else than a node. */
const NO_NODE = "; is that the --rpc-addr of a node?";

/** Node ids below this are placeholders: whoever answers at the address. */
export const ANY_NODE = -1;

export class OutgoingLink {
  /** Below {@linkcode ANY_NODE}: a placeholder. */
  readonly node: number;
  /** Of the other node. */
  readonly shard: number;
  readonly lane: Lane;
  /** In the host's list of links to flush. */
  dirty = false;
  readonly #host: OutgoingHost;
  readonly #cursor: RangeCursor;
  readonly #timer: Timer;
  #state: LinkState = LinkState.IDLE;
  #block = -1;
  #queue: FrameQueue | null = null;
  #attempt = -1;
  #socket = -1;
  #sending = false;
  #receiving = false;
  #sendStartedMs = 0;
  /** Bytes of the answer that have come. */
  #answered = 0;
  #socketEmpty = true;
  #upSinceMs = 0;
  #openedMs = -Infinity;
  #failures = 0;
  /** A frame found no room. */
  #wasFull = false;
  /** Largest payload that this node has memory for and that the peer takes, as it last said. */
  #frameMax: number;
  /** Distinguishes this attempt's name resolution from an earlier one's. */
  #resolution = 0;
  readonly #onConnected: Completion;
  readonly #onSent: Completion;
  readonly #onReceived: Completion;

  constructor(host: OutgoingHost, node: number, shard: number, lane: Lane) {
    this.#host = host;
    this.node = node;
    this.shard = shard;
    this.lane = lane;
    this.#cursor = new RangeCursor(host.memory);
    this.#timer = new Timer(() => this.#onTimer());
    this.#frameMax = frameMaxOf(lane, host.blocks.peerFrameMax);
    this.#onConnected = { complete: (result) => this.#connected(result) };
    this.#onSent = { complete: (result) => this.#sent(result) };
    this.#onReceived = { complete: (result) => this.#received(result) };
  }

  get state(): LinkState {
    return this.#state;
  }

  get isUp(): boolean {
    return this.#state === LinkState.UP;
  }

  /** Frames that have not left. */
  get queuedFrames(): number {
    return this.#queue?.length ?? 0;
  }

  /** Makes the connection, if nobody has begun to. */
  open(): void {
    if (this.#state === LinkState.IDLE) this.#open();
  }

  /** The other node is there: an attempt is worth while now. */
  retrySoon(): void {
    if (this.#state !== LinkState.WAITING) return;
    const { timers, nowMs } = this.#host;
    const soonMs = Math.max(nowMs(), this.#openedMs + RPC_RETRY_MS_MIN);
    if (soonMs < this.#timer.deadlineMs) timers.schedule(this.#timer, soonMs);
  }

  /** The address of the node has changed: a connection to the old one is given up, and what was on its way over it is lost. */
  readdress(): void {
    this.#failures = 0;
    if (this.#state === LinkState.WAITING) {
      this.#host.timers.schedule(this.#timer, this.#host.nowMs());
    } else if (this.#state !== LinkState.IDLE) {
      this.#end("its address has changed", true, null, false);
    }
  }

  /**
   * Queues a frame: `headLength` bytes at `head`, which are copied, then `ranges`, which are sent in place.
   *
   * @param owner told when the ranges are not needed any more, if the frame was queued
   */
  send(
    type: number,
    head: number,
    headLength: number,
    ranges: RangeList | null,
    owner: FrameOwner | null,
  ): SendOutcome {
    if (this.#state === LinkState.IDLE) this.#open();
    if (this.#state === LinkState.CLOSING || this.#state >= LinkState.WAITING) {
      return SendOutcome.DOWN;
    }
    const length = headLength + (ranges === null ? 0 : ranges.bytes);
    const queue = this.#queue!;
    if (length > this.#frameMax || headLength > queue.headMax) return SendOutcome.TOO_LARGE;
    if (!queue.put(type, head, headLength, ranges, owner)) {
      this.#wasFull = true;
      return SendOutcome.FULL;
    }
    if (this.#state === LinkState.UP) this.#host.markDirty(this);
    return SendOutcome.QUEUED;
  }

  /** Sends what is queued; called at the end of a turn in which the link was marked dirty. */
  flush(): void {
    if (this.#state !== LinkState.UP || this.#sending) return;
    const { ranges } = this.#cursor;
    ranges.clear();
    if (this.#queue!.take(ranges, RPC_SEND_BYTES_MAX, RANGES_MAX) === 0) return;
    this.#cursor.rewind();
    this.#sendRest(false);
  }

  /** Ends a connection whose peer takes nothing; called now and then. */
  checkDeadlines(nowMs: number): void {
    if (this.#state !== LinkState.UP || !this.#sending) return;
    if (nowMs - this.#sendStartedMs > RPC_STALL_MS) this.#end("it takes nothing", true);
  }

  /** Ends the link for good; its memory is given back when nothing is in flight. */
  stop(): void {
    if (this.#state === LinkState.STOPPED) return;
    const before = this.#state;
    this.#state = LinkState.STOPPED;
    this.#host.timers.cancel(this.#timer);
    if (before === LinkState.CONNECTING) this.#host.sockets.cancelConnect(this.#attempt);
    if (this.#socket >= 0 && before !== LinkState.CLOSING) {
      this.#host.sockets.shutdown(this.#socket);
    }
    this.#finishClosing();
  }

  /** Nothing is in flight, and no memory is held. */
  get isOver(): boolean {
    return this.#state === LinkState.STOPPED && this.#block < 0;
  }

  #open(): void {
    const { blocks } = this.#host;
    const address = this.#host.addressOf(this.node);
    this.#openedMs = this.#host.nowMs();
    if (this.#block < 0) this.#block = blocks.allocateLink(RPC_LINK_BLOCK_SIZE);
    if (address === null || this.#block < 0) {
      // No news: it says nothing about the node.
      if (address !== null) this.#host.onStarved(this);
      this.#failures++;
      this.#wait();
      return;
    }
    this.#queue ??= new FrameQueue(
      this.#host.memory,
      this.#host.crc32c,
      this.#block + RING_AT,
      RPC_LINK_BLOCK_SIZE - RING_AT,
      blocks.peerQueueMax,
    );
    this.#host.timers.schedule(this.#timer, this.#openedMs + RPC_GREETING_MS);
    if (isNumeric(address.host)) {
      this.#connect(address.host, address.port);
      return;
    }
    this.#state = LinkState.RESOLVING;
    const resolution = ++this.#resolution;
    this.#host.resolve(address.host, (found) => {
      if (this.#state !== LinkState.RESOLVING || resolution !== this.#resolution) return;
      if (found === null) this.#fail(`its name ${address.host} has no address`);
      else this.#connect(found, address.port);
    });
  }

  #connect(host: string, port: number): void {
    this.#state = LinkState.CONNECTING;
    this.#attempt = this.#host.sockets.connect(host, port, this.#onConnected);
    // Failing here would tell the news from inside whoever sends: the timer does it.
    if (this.#attempt < 0) this.#host.timers.schedule(this.#timer, this.#openedMs);
  }

  #connected(result: number): void {
    this.#attempt = -1;
    if (result >= 0) this.#socket = result;
    if (this.#state !== LinkState.CONNECTING) {
      // It was given up meanwhile.
      if (result >= 0) this.#host.sockets.shutdown(result);
      this.#finishClosing();
      return;
    }
    if (result < 0) {
      this.#fail(result === -ECONNREFUSED ? "nobody listens there" : `errno ${-result}`);
      return;
    }
    this.#state = LinkState.GREETING;
    this.#answered = 0;
    this.#socketEmpty = true;
    const { memory, shard, crc32c } = this.#host;
    const identity = this.#host.identity();
    writePreamble(memory, this.#block, {
      ...identity,
      lane: this.lane,
      fromShard: shard,
      targetShard: this.shard,
      targetNode: Math.max(ANY_NODE, this.node),
    }, crc32c);
    const { ranges } = this.#cursor;
    ranges.clear();
    ranges.push(this.#block, PREAMBLE_SIZE);
    this.#cursor.rewind();
    this.#sendRest(false);
    this.#receive();
  }

  #sendRest(full: boolean): void {
    const cursor = this.#cursor;
    this.#sending = true;
    this.#sendStartedMs = this.#host.nowMs();
    const count = Math.min(cursor.left, RANGES_MAX);
    const table = this.#block + TABLE_AT;
    cursor.send(this.#host.sockets, this.#socket, table, count, full, this.#onSent);
  }

  #sent(result: number): void {
    this.#sending = false;
    if (this.#state !== LinkState.UP && this.#state !== LinkState.GREETING) {
      this.#finishClosing();
      return;
    }
    if (result <= 0) {
      this.#end(`sending failed (errno ${-result})`, true);
      return;
    }
    this.#host.sentBytes += result;
    const short = this.#cursor.advance(result);
    if (!this.#cursor.over) {
      this.#sendRest(short);
      return;
    }
    if (this.#state === LinkState.GREETING) return;
    const queue = this.#queue!;
    queue.release();
    // Owners may have ended the link.
    if (this.#state !== LinkState.UP) return;
    if (this.#wasFull) {
      this.#wasFull = false;
      this.#host.onRoom(this);
    }
    this.flush();
  }

  #receive(): void {
    this.#receiving = true;
    const missing = ANSWER_SIZE - this.#answered;
    // After the answer one byte is asked for, which never comes.
    this.#host.sockets.receiveInto(
      this.#socket,
      this.#block + ANSWER_AT + this.#answered,
      Math.max(1, missing),
      1,
      this.#socketEmpty,
      this.#onReceived,
    );
  }

  #received(result: number): void {
    this.#receiving = false;
    if (this.#state !== LinkState.UP && this.#state !== LinkState.GREETING) {
      this.#finishClosing();
      return;
    }
    if (result <= 0) {
      this.#end(result === 0 ? this.#closedWords : `errno ${-result}`, true);
      return;
    }
    if (this.#state === LinkState.UP) {
      this.#end("it sent bytes on a link that is ours", true);
      return;
    }
    this.#answered += result;
    if (this.#answered < ANSWER_SIZE) this.#receive();
    else this.#judge();
  }

  get #closedWords(): string {
    const isKnown = this.#state === LinkState.UP;
    return `it closed the connection${isKnown ? "" : ` without an answer${NO_NODE}`}`;
  }

  #judge(): void {
    const { memory, crc32c, nowMs, timers } = this.#host;
    const answer = readAnswer(memory, this.#block + ANSWER_AT, crc32c);
    if (answer === null || answer === "version") {
      this.#end(
        answer === null
          ? `its answer makes no sense${NO_NODE}`
          : describeStatus(GreetingStatus.VERSION),
        true,
      );
      return;
    }
    const targetNode = Math.max(ANY_NODE, this.node);
    const status = judgeAnswer(answer, targetNode, this.#host.identity());
    if (status !== GreetingStatus.OK) {
      this.#end(describeStatus(status), true, { ...answer, status });
      return;
    }
    this.#state = LinkState.UP;
    this.#upSinceMs = nowMs();
    this.#frameMax = Math.min(
      frameMaxOf(this.lane, this.#host.blocks.peerFrameMax),
      answer.frameSizeMax,
    );
    timers.cancel(this.#timer);
    this.#receive();
    this.#host.onUp(this, answer);
    if (!this.#sending && this.queuedFrames > 0) this.#host.markDirty(this);
  }

  #onTimer(): void {
    switch (this.#state) {
      case LinkState.WAITING:
        this.#open();
        return;
      case LinkState.RESOLVING:
        return this.#fail("its name was not resolved in time");
      case LinkState.CONNECTING:
        if (this.#attempt < 0) {
          return this.#fail(`no attempt was possible (errno ${-this.#attempt})`);
        }
        return this.#end("it does not answer", true);
      case LinkState.GREETING:
        return this.#end("it does not answer", true);
    }
  }

  /** An attempt has failed that holds no socket. */
  #fail(why: string): void {
    this.#attempt = -1;
    this.#failures++;
    this.#state = LinkState.CLOSING;
    this.#host.onDown(this, true, why);
    this.#finishClosing();
  }

  /** Ends the connection, or the attempt; it is made again. */
  /** @param refused an attempt has failed; where absent, if the link was not up */
  #end(
    why: string,
    news: boolean,
    refusal: Answer | null = null,
    refused = this.#state !== LinkState.UP,
  ): void {
    const { sockets, nowMs } = this.#host;
    const before = this.#state;
    if (before === LinkState.CLOSING || before === LinkState.STOPPED) return;
    this.#state = LinkState.CLOSING;
    const wasUp = before === LinkState.UP;
    this.#failures = wasUp && nowMs() - this.#upSinceMs >= RPC_STEADY_MS ? 0 : this.#failures + 1;
    if (before === LinkState.CONNECTING) sockets.cancelConnect(this.#attempt);
    if (this.#socket >= 0) sockets.shutdown(this.#socket);
    if (refusal !== null) this.#host.onRefused(this, refusal, why);
    else if (news) this.#host.onDown(this, refused, why);
    this.#finishClosing();
  }

  /** Goes on when nothing is in flight: the kernel may read a frame's ranges until then. */
  #finishClosing(): void {
    if (this.#sending || this.#receiving || this.#attempt >= 0) return;
    if (this.#socket >= 0) this.#host.sockets.close(this.#socket);
    this.#socket = -1;
    const stopped = this.#state === LinkState.STOPPED;
    if (!stopped) assert(this.#state === LinkState.CLOSING, "a link that serves was closed");
    this.#queue?.clear();
    if (stopped) {
      if (this.#block >= 0) this.#host.blocks.releaseLink(this.#block);
      this.#block = -1;
      this.#queue = null;
    } else if (this.#state === LinkState.CLOSING) {
      this.#wait();
    }
  }

  #wait(): void {
    const { timers, nowMs, random } = this.#host;
    this.#state = LinkState.WAITING;
    const delayMs = this.#failures === 0 ? 0 : retryDelayMs(this.#failures, random);
    timers.schedule(this.#timer, nowMs() + delayMs);
  }
}

/** Whether a host is an address already; a name has a letter beyond f, or no colon and no final digit. */
function isNumeric(host: string): boolean {
  return /^\d+\.\d+\.\d+\.\d+$/.test(host) || host.includes(":");
}

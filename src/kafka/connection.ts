/**
 * One client connection: bytes to frames, requests in order, responses in order.
 *
 * ```text
 *   socket → receive_side.ts → frames → request_queue.ts → the shard
 *   socket ← send_side.ts    ← responses, in the order of their requests
 * ```
 *
 * Lifecycle: open → (shutdown: nothing new starts, operations in flight end) → closed. The descriptor
 * is closed after the last operation on it.
 *
 * Lives on one shard, from accept to close.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import { RECEIVE_STEP_MS_MAX, RECLAIM_CHECK_MS, RECLAIM_STALLED_MS } from "../base/limits.ts";
import { Admission, type ConnectionHost, Lack } from "./connection_host.ts";
import { type ReceiveOwner, ReceiveSide } from "./receive_side.ts";
import { RequestQueue } from "./request_queue.ts";
import type { ResponseSlot } from "./response.ts";
import { type SendOwner, SendSide } from "./send_side.ts";

/** A request that waits for something to happen, and may be made to stop waiting. */
export interface ParkedRequest {
  endWait(): void;
}

export class Connection implements ReceiveOwner, SendOwner {
  readonly socket: number;
  /** The peer's address and port: `127.0.0.1:4711`. */
  readonly peer: string;
  /** Kafka's form of the peer: `/127.0.0.1`. */
  readonly clientHost: string;
  /** As the peer last called itself in a request that is not hot; null: not yet, or not at all. */
  clientId: string | null = null;
  /** Of the last request that was started, -1: none was. */
  lastApiKey = -1;
  readonly #host: ConnectionHost;
  readonly #queue: RequestQueue;
  readonly #receiver: ReceiveSide;
  readonly #sender: SendSide;
  #closing = false;
  #closed = false;
  /** The open request that waits, if one does. */
  parked: ParkedRequest | null = null;
  /** When bytes last went either way (monotonic ms). */
  lastActivityMs: number;
  /** In the host's list of connections to flush. */
  dirty = false;

  constructor(host: ConnectionHost, socket: number, peer: string) {
    this.#host = host;
    this.socket = socket;
    this.peer = peer;
    this.clientHost = kafkaHost(peer);
    this.lastActivityMs = host.nowMs();
    this.#queue = new RequestQueue(host.heap);
    this.#receiver = new ReceiveSide(host, socket, this);
    this.#sender = new SendSide(host, socket, this, this.#queue);
  }

  get closing(): boolean {
    return this.#closing;
  }

  /** Requests that have been started and not yet answered. */
  get openRequests(): number {
    return this.#queue.length;
  }

  /** Starts reading; call once. */
  open(): void {
    this.#receiver.pump();
  }

  /** Goes on where memory, a slot or the host was missing. */
  resume(): void {
    this.#receiver.pump();
  }

  /** A request's bytes are not needed any more (appended, decoded, or handed on by copy). */
  frameDone(): void {
    this.#receiver.frameDone();
  }

  /** The response of `slot` is complete: it leaves as soon as those before it have. */
  answer(slot: ResponseSlot): void {
    assert(!slot.ready, "a request was answered twice");
    slot.ready = true;
    if (this.#closed) this.#forget(slot);
    else this.#host.markDirty(this);
  }

  /** Ends the connection: nothing more is read or answered. */
  shutdown(): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#host.sockets.shutdown(this.socket);
    this.#host.markDirty(this);
    // Nobody is there to be answered.
    this.parked?.endWait();
  }

  /** Closes what is stuck or idle; called every few seconds. */
  checkDeadlines(nowMs: number, idleMaxMs: number): void {
    if (this.#closing) return;
    if (nowMs - this.lastActivityMs > RECEIVE_STEP_MS_MAX) this.#receiver.hurry();
    if (this.#sender.isOverdue(nowMs)) {
      this.violation("its peer takes no response");
    } else if (this.#receiver.isOverdue(nowMs)) {
      this.violation("a frame was begun and not finished");
    } else if (nowMs - this.lastActivityMs > idleMaxMs) {
      // Also with a request open, as in Kafka: it may wait for a peer that vanished without a word.
      this.shutdown();
    }
  }

  /** For how long its peer has kept memory for receiving from others (ms); at most 0: it has not. */
  receiveStalledMs(nowMs: number): number {
    if (this.#closing) return 0;
    const stalledMs = this.#receiver.stalledMs(nowMs);
    // Whether it stalls is known at the next look.
    if (stalledMs >= RECLAIM_STALLED_MS - 2 * RECLAIM_CHECK_MS) this.#receiver.hurry();
    if (!this.#receiver.waitsInTurn) return stalledMs;
    // What it waits for may be an answer that the peer does not take.
    return Math.max(stalledMs, this.#sender.stalledMs(nowMs));
  }

  /** As {@linkcode receiveStalledMs}, for the send in flight. */
  sendStalledMs(nowMs: number): number {
    return this.#closing ? 0 : this.#sender.stalledMs(nowMs);
  }

  /**
   * Answers the open poll, if there is one, so that its resources are freed.
   *
   * @param onlyBefore only if another request waits for it
   * @returns whether there was one
   */
  endPoll(onlyBefore: boolean): boolean {
    if (this.parked === null || (onlyBefore && !this.#receiver.waitsInTurn)) return false;
    this.parked.endWait();
    return true;
  }

  /** Sends what is ready; called at the end of a turn in which the connection was marked dirty. */
  flush(): void {
    if (this.#closing) this.#finishClosing();
    else if (this.#sender.flush()) this.#receiver.pump();
  }

  /** For its two halves: something the peer did wrong ends the connection. */
  violation(what: string): void {
    this.#host.onViolation(this, what);
    this.shutdown();
  }

  /** For the receiving half: it continues when there is memory. */
  awaitReceiveMemory(): void {
    this.#host.awaitMemory(this, Lack.RECEIVE);
  }

  /** For the sending half, likewise. */
  awaitSendMemory(): void {
    this.#host.awaitMemory(this, Lack.SEND);
  }

  /** For its two halves: bytes went either way. */
  onProgress(): void {
    this.lastActivityMs = this.#host.nowMs();
  }

  /** For the receiving half. */
  onReceiveOver(): void {
    this.#host.markDirty(this);
  }

  /** For the sending half. */
  onSendOver(): void {
    this.#host.markDirty(this);
  }

  /** For the receiving half: order first, then the shard. */
  admit(address: number, size: number): Admission {
    const apiKey = this.#host.memory.view.getInt16(address, false);
    if (!this.#queue.admits(apiKey)) return Admission.IN_TURN;
    return this.#host.mayStart(this, apiKey, size) ? Admission.NOW : Admission.WITH_ROOM;
  }

  /** For the receiving half. */
  startFrame(address: number, length: number): void {
    const { view } = this.#host.memory;
    const slot = this.#queue.open(
      view.getInt16(address, false),
      view.getInt16(address + 2, false),
      view.getInt32(address + 4, false),
    );
    slot.startedMs = this.#host.recorder.nowMs;
    this.#host.start(this, slot, address, length);
  }

  /** An answer that nobody takes. */
  #forget(slot: ResponseSlot): void {
    slot.streamed?.onSent();
    slot.encoded = null;
    slot.charge(this.#host.heap, slot.heapLane, 0);
  }

  /** Closes the descriptor when nothing is in flight; requests still open are answered to nobody. */
  #finishClosing(): void {
    if (this.#closed || this.#sender.sending || !this.#receiver.isIdle) return;
    this.#closed = true;
    for (let i = 0; i < this.#queue.length; i++) {
      const slot = this.#queue.at(i);
      if (slot.ready) this.#forget(slot);
    }
    this.#receiver.release();
    this.#host.sockets.close(this.socket);
    this.#host.onClosed(this);
  }
}

/** `127.0.0.1:4711` as Kafka shows it: `/127.0.0.1`. */
function kafkaHost(peer: string): string {
  return `/${peer.slice(0, Math.max(0, peer.lastIndexOf(":")))}`;
}

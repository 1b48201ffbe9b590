/**
 * Requests between nodes: a node that is asked for what only the controller can do asks the controller's node, and
 * passes the answer on.
 *
 * ```
 * CALL       := call:uint32 waitMs:uint32 apiKey:int16 version:int16 clientIdSize:int32 (-1: none) clientId
 *               hostSize:int32 host body
 * CALL_REPLY := call:uint32 status:uint8 (0 answered, 1 not) body          little-endian; bodies as Kafka's
 * ```
 *
 * A call ends once: with the answer, or with null when its time is over, the connection broke, or there are too many.
 * Null says nothing about whether the request was carried out. Answers to calls that have ended are dropped.
 *
 * @module
 */

import { NODE_CALLS_MAX, NODE_CALLS_SERVED_MAX } from "../base/limits.ts";
import type { Random } from "../base/prng.ts";
import { type Task, until } from "../io/task.ts";
import { Timer, type Timers } from "../io/timers.ts";
import type { Caller } from "../kafka/router.ts";
import { Lane, SendOutcome } from "../rpc/peer_links.ts";
import { PeerFrame, type PeerSender } from "./peer_sender.ts";

const CALL_HEAD_SIZE = 12;
const REPLY_HEAD_SIZE = 5;
const NO_TEXT = -1;
const ANSWERED = 0;
const NOT_ANSWERED = 1;
/** The longest that a caller may make this node wait (ms). */
const WAIT_MAX_MS = 60_000;

/** A request of another node. */
export interface NodeRequest {
  readonly apiKey: number;
  readonly version: number;
  readonly caller: Caller;
  readonly body: Uint8Array;
}

/** Serves a request of another node; null: it cannot be answered. `to`: who is sent the answer, if not who asked. */
export type ServeNode = (
  request: NodeRequest,
  done: (response: Uint8Array | null, to?: number) => void,
) => void;

export interface NodeCallsOptions {
  readonly sender: PeerSender;
  readonly serve: ServeNode;
  readonly timers: Timers;
  readonly nowMs: () => number;
  readonly random: Random;
}

interface OpenCall {
  readonly node: number;
  readonly done: (response: Uint8Array | null) => void;
  readonly timer: Timer;
}

export class NodeCalls {
  readonly #options: NodeCallsOptions;
  readonly #open = new Map<number, OpenCall>();
  #nextCall: number;
  #served = 0;
  readonly #encoder = new TextEncoder();
  readonly #decoder = new TextDecoder();

  constructor(options: NodeCallsOptions) {
    this.#options = options;
    // A late answer to a call of the last process is not taken for one of this process.
    this.#nextCall = options.random.nextUint32();
  }

  /** Calls that wait for their answers. */
  get openCount(): number {
    return this.#open.size;
  }

  /** Asks a shard of a node. Null: there is no answer. */
  *call(node: number, shard: number, request: NodeRequest, waitMs: number): Task<
    Uint8Array | null
  > {
    if (this.#open.size >= NODE_CALLS_MAX) return null;
    return yield* until<Uint8Array | null>((done) =>
      this.#start(node, shard, request, waitMs, done)
    );
  }

  #start(
    node: number,
    shard: number,
    request: NodeRequest,
    waitMs: number,
    done: (response: Uint8Array | null) => void,
  ): void {
    const { sender, timers, nowMs } = this.#options;
    const call = this.#nextCall;
    this.#nextCall = (call + 1) >>> 0;
    const payload = this.#encodeCall(call, request, waitMs);
    const outcome = sender.send(node, shard, Lane.DATA, PeerFrame.CALL, payload);
    if (outcome !== SendOutcome.QUEUED) return done(null);
    const timer = new Timer(() => this.#end(call, null));
    this.#open.set(call, { node, done, timer });
    timers.schedule(timer, nowMs() + waitMs);
  }

  /** A CALL frame came; false when it makes no sense. */
  onCall(node: number, fromShard: number, payload: Uint8Array): boolean {
    const view = viewOf(payload);
    if (payload.length < CALL_HEAD_SIZE) return false;
    const call = view.getUint32(0, true);
    const waitMs = Math.min(WAIT_MAX_MS, view.getUint32(4, true));
    const clientId = this.#text(payload, CALL_HEAD_SIZE);
    const host = clientId === null ? null : this.#text(payload, clientId.end);
    if (host === null || clientId === null) return false;
    if (this.#served >= NODE_CALLS_SERVED_MAX) {
      this.#reply(node, fromShard, call, null);
      return true;
    }
    this.#served++;
    const untilMs = this.#options.nowMs() + waitMs;
    const request = {
      apiKey: view.getInt16(8, true),
      version: view.getInt16(10, true),
      caller: { clientId: clientId.text, clientHost: host.text ?? "" },
      body: payload.slice(host.end),
    };
    this.#options.serve(request, (response, to = node) => {
      this.#served--;
      // Nobody waits for it any more.
      if (this.#options.nowMs() <= untilMs) this.#reply(to, fromShard, call, response);
    });
    return true;
  }

  /** A CALL_REPLY frame came; false when it makes no sense. */
  onReply(node: number, payload: Uint8Array): boolean {
    if (payload.length < REPLY_HEAD_SIZE) return false;
    const call = viewOf(payload).getUint32(0, true);
    const open = this.#open.get(call);
    if (open === undefined || open.node !== node) return true;
    this.#end(call, payload[4] === ANSWERED ? payload.slice(REPLY_HEAD_SIZE) : null);
    return true;
  }

  /** Questions to the node, or its answers, may be lost. */
  onDown(node: number): void {
    for (const [call, open] of [...this.#open]) if (open.node === node) this.#end(call, null);
  }

  /** Ends all calls. */
  stop(): void {
    for (const call of [...this.#open.keys()]) this.#end(call, null);
  }

  #end(call: number, response: Uint8Array | null): void {
    const open = this.#open.get(call);
    if (open === undefined) return;
    this.#open.delete(call);
    this.#options.timers.cancel(open.timer);
    open.done(response);
  }

  #reply(node: number, shard: number, call: number, response: Uint8Array | null): void {
    const payload = new Uint8Array(REPLY_HEAD_SIZE + (response?.length ?? 0));
    viewOf(payload).setUint32(0, call, true);
    payload[4] = response === null ? NOT_ANSWERED : ANSWERED;
    if (response !== null) payload.set(response, REPLY_HEAD_SIZE);
    // If it cannot be sent, the caller's time runs out.
    this.#options.sender.send(node, shard, Lane.DATA, PeerFrame.CALL_REPLY, payload);
  }

  #encodeCall(call: number, request: NodeRequest, waitMs: number): Uint8Array {
    const { apiKey, version, caller, body } = request;
    const clientId = caller.clientId === null ? null : this.#encoder.encode(caller.clientId);
    const host = this.#encoder.encode(caller.clientHost);
    const idSize = clientId?.length ?? 0;
    const payload = new Uint8Array(CALL_HEAD_SIZE + 8 + idSize + host.length + body.length);
    const view = viewOf(payload);
    view.setUint32(0, call, true);
    view.setUint32(4, waitMs, true);
    view.setInt16(8, apiKey, true);
    view.setInt16(10, version, true);
    view.setInt32(CALL_HEAD_SIZE, clientId === null ? NO_TEXT : idSize, true);
    let at = CALL_HEAD_SIZE + 4;
    if (clientId !== null) payload.set(clientId, at);
    at += idSize;
    view.setInt32(at, host.length, true);
    payload.set(host, at + 4);
    payload.set(body, at + 4 + host.length);
    return payload;
  }

  /** The text at `at`; null: it does not fit. */
  #text(
    payload: Uint8Array,
    at: number,
  ): { readonly text: string | null; readonly end: number } | null {
    if (at + 4 > payload.length) return null;
    const size = viewOf(payload).getInt32(at, true);
    const start = at + 4;
    if (size === NO_TEXT) return { text: null, end: start };
    if (size < 0 || size > payload.length - start) return null;
    return { text: this.#decoder.decode(payload.slice(start, start + size)), end: start + size };
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

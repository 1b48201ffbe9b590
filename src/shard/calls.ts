/**
 * Calls a shard has open at other shards, and the credits that bound them.
 *
 * A call is a small number that its reply carries back; its object defines what happens then.
 * Without a credit no call is opened: the caller registers for a notification, and in the meantime the
 * connection that asked is simply not read.
 *
 * A credit must be returned soon, because other requests need it. A call that the other shard answers only when
 * others have acted (a member that joins a group) gives its credit back when it is taken up
 * ({@linkcode Calls.taken}); its answer travels without one.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import { CALLS_PER_PAIR_MAX, type Mailboxes } from "./mailbox.ts";

/** Receives the reply to a call. */
export interface OpenCall {
  /** The other shard has read the question, and will answer in its own time. */
  onTaken?(): void;
  /** A part of the answer came, and more follows. */
  onPart?(fromShard: number, view: DataView, at: number): void;
  onReply(fromShard: number, view: DataView, at: number): void;
}

export class Calls {
  readonly mailboxes: Mailboxes;
  #open: (OpenCall | null)[] = [];
  /** By call: it holds a credit. */
  #holds: boolean[] = [];
  #free: number[] = [];
  #perShard: Int32Array;
  #waiting: (() => void)[] = [];

  constructor(mailboxes: Mailboxes) {
    this.mailboxes = mailboxes;
    this.#perShard = new Int32Array(mailboxes.shardCount);
  }

  /** Whether a call to `shard` may be opened now. */
  hasCredit(shard: number): boolean {
    return this.#perShard[shard]! < CALLS_PER_PAIR_MAX;
  }

  /** Calls `again` once when a credit comes back, to any shard. */
  awaitCredit(again: () => void): void {
    this.#waiting.push(again);
  }

  /** Opens a call; there must be a credit. Returns its number. */
  open(shard: number, call: OpenCall): number {
    assert(this.hasCredit(shard), "a call was opened without a credit");
    this.#perShard[shard]!++;
    const id = this.#free.pop() ?? this.#open.length;
    this.#open[id] = call;
    this.#holds[id] = true;
    return id;
  }

  /** The open call with a number. */
  find(id: number): OpenCall {
    const call = this.#open[id];
    assert(call !== null && call !== undefined, "a message about a call that is not open");
    return call;
  }

  /** The other shard has read the question and answers later: the credit is free, the call stays open. */
  taken(fromShard: number, id: number): void {
    const call = this.find(id);
    assert(this.#holds[id] === true, "a call was taken twice");
    this.#holds[id] = false;
    call.onTaken?.();
    this.#perShard[fromShard]!--;
    this.#tellWaiting();
  }

  /** A reply came: closes the call and hands it on. */
  reply(fromShard: number, id: number, view: DataView, at: number): void {
    const call = this.#open[id];
    assert(call !== null && call !== undefined, "a reply to a call that is not open");
    this.#open[id] = null;
    this.#free.push(id);
    const held = this.#holds[id]!;
    if (held) this.#perShard[fromShard]!--;
    call.onReply(fromShard, view, at);
    if (held) this.#tellWaiting();
  }

  #tellWaiting(): void {
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const again of waiting) again();
  }
}

/**
 * Mailboxes: how shards talk.
 *
 * For every ordered pair of shards there is one bounded single-producer, single-consumer ring of
 * 64-byte messages in the shared region. Whatever is longer travels by address: the sender owns the
 * bytes until the receiver says otherwise, and addresses mean the same on every shard.
 *
 * ```text
 *   control block (per shard, 64 bytes):   u32 waiting | u32 connections
 *   ring (per pair):  u32 tail | pad to 64 | u32 head | pad to 64 | SLOTS x 64 bytes
 *
 *   message:   0  u32 type        4  u32 call        8..63  seven f64 arguments
 * ```
 *
 * The order that makes it safe (each word by `Atomics`; plain accesses were seen reordered): the
 * producer writes messages, stores the tail once per turn, and exchanges the consumer's `waiting` for 0;
 * if it was 1 (asleep) it must ring. The consumer drains, stores `waiting` = 2, looks at every tail
 * again, and only then waits: while it polls, the shim watches the word and ends the wait when it is
 * exchanged; before it sleeps, the shim makes it 1.
 *
 * Sending never blocks and never fails: credits (`calls.ts`) bound what is outstanding, so that the
 * slots of a reply are reserved with its request. A pair has at most {@linkcode CALLS_PER_PAIR_MAX}
 * calls with a credit in each direction; a call puts a request into one ring, a notice that its
 * bytes were taken and a reply into the other. Messages without a credit - the release of a
 * reply's memory, the answer to a call that returned its credit - go into a ring that is less than
 * half full, or waits (`outbox.ts`). Notices, which belong to no call, are sent only into a ring that is
 * nearly empty.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import type { Memory } from "../bytes/memory.ts";

/** Calls a shard may have open at one other shard. */
export const CALLS_PER_PAIR_MAX = 256;
/** Messages a ring holds; see the header for the factor. */
export const MAILBOX_SLOTS = 8 * CALLS_PER_PAIR_MAX;
/** Messages without a credit are sent only while a ring holds fewer messages than this. */
const UNCREDITED_MAX = MAILBOX_SLOTS / 2;
/** Notices are sent only while a ring holds fewer messages than this. */
const NOTICES_MAX = CALLS_PER_PAIR_MAX / 2;
const SLOT_SIZE = 64;
const RING_HEADER_SIZE = 128;
const RING_SIZE = RING_HEADER_SIZE + MAILBOX_SLOTS * SLOT_SIZE;
const CONTROL_SIZE = 64;
const ARGUMENTS_AT = 8;

const AWAKE = 0;
const ASLEEP = 1;
const ABOUT_TO_WAIT = 2;

/** Index of a shard's `waiting` word. */
function waitingWord(shard: number): number {
  return (shard * CONTROL_SIZE) >> 2;
}

/** Bytes of the region that the mailboxes of `shardCount` shards take. */
export function mailboxesSize(shardCount: number): number {
  const size = shardCount * CONTROL_SIZE + shardCount * shardCount * RING_SIZE;
  return Math.ceil(size / 4096) * 4096;
}

/** Receives each message; arguments are read from `view` at `at + 8 * i` (little-endian f64). */
export interface MailboxReceiver {
  onMessage(fromShard: number, type: number, call: number, view: DataView, at: number): void;
}

/** Reads argument `index` of the message whose slot starts at `at`. */
export function messageArgument(view: DataView, at: number, index: number): number {
  return view.getFloat64(at + ARGUMENTS_AT + 8 * index, true);
}

/** All mailboxes as one shard sees them. */
export class Mailboxes {
  readonly shard: number;
  readonly shardCount: number;
  #words: Int32Array<ArrayBuffer>;
  #view: DataView<ArrayBuffer>;
  #base: number;
  // Producer side, per target: own copy of the tail, and whether it was published.
  #tails: Int32Array;
  #unpublished: Uint8Array;
  #anyUnpublished = false;
  // Consumer side, per source.
  #heads: Int32Array;

  /** @param base address in the region of {@linkcode mailboxesSize} zeroed bytes */
  constructor(memory: Memory, base: number, shard: number, shardCount: number) {
    assert(base % 64 === 0, "mailboxes must be aligned to a cache line");
    this.shard = shard;
    this.shardCount = shardCount;
    this.#words = new Int32Array(memory.view.buffer, base, mailboxesSize(shardCount) / 4);
    this.#view = memory.view;
    this.#base = base;
    this.#tails = new Int32Array(shardCount);
    this.#heads = new Int32Array(shardCount);
    this.#unpublished = new Uint8Array(shardCount);
  }

  /**
   * Writes a message to another shard; it becomes visible with {@linkcode publish}. Unused arguments
   * are zero.
   */
  send(
    toShard: number,
    type: number,
    call: number,
    a = 0,
    b = 0,
    c = 0,
    d = 0,
    e = 0,
    f = 0,
    g = 0,
  ): void {
    const ring = this.#ringOffset(this.shard, toShard);
    const tail = this.#tails[toShard]!;
    const head = Atomics.load(this.#words, (ring + 64) >> 2);
    assert(((tail - head) | 0) < MAILBOX_SLOTS, "a mailbox overflowed: credits were not kept");
    const at = this.#base + ring + RING_HEADER_SIZE + (tail & (MAILBOX_SLOTS - 1)) * SLOT_SIZE;
    const view = this.#view;
    view.setUint32(at, type, true);
    view.setUint32(at + 4, call, true);
    view.setFloat64(at + 8, a, true);
    view.setFloat64(at + 16, b, true);
    view.setFloat64(at + 24, c, true);
    view.setFloat64(at + 32, d, true);
    view.setFloat64(at + 40, e, true);
    view.setFloat64(at + 48, f, true);
    view.setFloat64(at + 56, g, true);
    this.#tails[toShard] = (tail + 1) | 0;
    this.#unpublished[toShard] = 1;
    this.#anyUnpublished = true;
  }

  /** How many messages that are no part of a call may be sent to a shard now. */
  roomForNotices(toShard: number): number {
    return Math.max(0, NOTICES_MAX - this.#held(toShard));
  }

  /** How many messages for which nobody holds a credit may be sent to a shard now. */
  roomForUncredited(toShard: number): number {
    return Math.max(0, UNCREDITED_MAX - this.#held(toShard));
  }

  /**
   * Makes the messages of this turn visible.
   *
   * @param wake called for each shard that is asleep; it must ring that shard's doorbell
   */
  publish(wake: (shard: number) => void): void {
    if (!this.#anyUnpublished) return;
    this.#anyUnpublished = false;
    for (let to = 0; to < this.shardCount; to++) {
      if (this.#unpublished[to] === 0) continue;
      this.#unpublished[to] = 0;
      Atomics.store(this.#words, this.#ringOffset(this.shard, to) >> 2, this.#tails[to]!);
      if (Atomics.exchange(this.#words, waitingWord(to), AWAKE) === ASLEEP) wake(to);
    }
  }

  /** Hands every visible message to `receiver`; returns how many there were. */
  drain(receiver: MailboxReceiver): number {
    let count = 0;
    for (let from = 0; from < this.shardCount; from++) {
      if (from === this.shard) continue;
      const ring = this.#ringOffset(from, this.shard);
      const tail = Atomics.load(this.#words, ring >> 2);
      let head = this.#heads[from]!;
      if (head === tail) continue;
      while (head !== tail) {
        const at = this.#base + ring + RING_HEADER_SIZE + (head & (MAILBOX_SLOTS - 1)) * SLOT_SIZE;
        const view = this.#view;
        receiver.onMessage(from, view.getUint32(at, true), view.getUint32(at + 4, true), view, at);
        head = (head + 1) | 0;
        count++;
      }
      this.#heads[from] = head;
      Atomics.store(this.#words, (ring + 64) >> 2, head);
    }
    return count;
  }

  /**
   * Says that this shard is about to sleep.
   *
   * @returns false when a message came meanwhile: drain again instead of sleeping
   */
  prepareToSleep(): boolean {
    const waiting = waitingWord(this.shard);
    Atomics.store(this.#words, waiting, ABOUT_TO_WAIT);
    for (let from = 0; from < this.shardCount; from++) {
      if (from === this.shard) continue;
      const tail = Atomics.load(this.#words, this.#ringOffset(from, this.shard) >> 2);
      if (tail !== this.#heads[from]) {
        Atomics.store(this.#words, waiting, AWAKE);
        return false;
      }
    }
    return true;
  }

  /** Says that this shard is awake again. */
  awake(): void {
    Atomics.store(this.#words, waitingWord(this.shard), AWAKE);
  }

  /** Address of the word that the shim watches for this shard. */
  get watchedAddress(): number {
    return this.#base + this.shard * CONTROL_SIZE;
  }

  /** A connection was given to a shard (1), or ended there (-1). */
  noteConnections(shard: number, change: number): void {
    Atomics.add(this.#words, waitingWord(shard) + 1, change);
  }

  /** Connections that a shard holds, with those on their way to it. */
  connectionsOf(shard: number): number {
    return Atomics.load(this.#words, waitingWord(shard) + 1);
  }

  /** Messages that a ring holds, with those not yet published. */
  #held(toShard: number): number {
    const head = Atomics.load(this.#words, (this.#ringOffset(this.shard, toShard) + 64) >> 2);
    return (this.#tails[toShard]! - head) | 0;
  }

  #ringOffset(from: number, to: number): number {
    return this.shardCount * CONTROL_SIZE + (from * this.shardCount + to) * RING_SIZE;
  }
}

/**
 * Counts and limits the JavaScript objects of open requests.
 *
 * Frames and records lie in the arena, where budgets hold. A request's objects outside the arena can
 * be many times its bytes, so they are counted here: when a request is accepted, and again when its response is
 * encoded, until the response has been sent. A full lane is back-pressure like an empty budget of the arena: the
 * next request of its kind is not started. A request is counted when its size is known, so a lane is
 * exceeded by at most one request.
 *
 * The figures are estimates of V8's objects, too high rather than too low.
 *
 * @module
 */

import {
  REQUEST_HEAP_SHARE,
  REQUEST_HEAP_SIZE_MAX,
  REQUEST_HEAP_SIZE_MIN,
} from "../base/limits.ts";
import { MEMBER_PROTOCOLS_SIZE_MAX } from "../group/limits.ts";

/** Kinds of requests whose objects are counted apart, so that none can starve another. */
export const HeapLane = {
  PRODUCE: 0,
  FETCH: 1,
  /** Decoded requests, up to {@linkcode LARGE_REQUEST_SIZE}. */
  REQUESTS: 2,
  LARGE_REQUESTS: 3,
  /** Encoded responses of decoded requests. */
  RESPONSES: 4,
  /** Requests of group members, which wait for other members: a group that forms must not hold up the rest. */
  GROUPS: 5,
} as const;
export type HeapLane = typeof HeapLane[keyof typeof HeapLane];

/** Frames from this size on are large requests (bytes). */
export const LARGE_REQUEST_SIZE = 64 * 1024;

/** One partition of a produce request: its place in the operation's arrays (bytes). */
export const PRODUCE_PART_HEAP = 48;
/** One partition of a fetch: its request, its place, and a read (bytes). */
export const FETCH_PART_HEAP = 800;
/** The same of a partition that nobody has. */
export const UNKNOWN_PART_HEAP = 400;
/**
 * A JoinGroup that waits for other members and has at most this many bytes is not counted: the group's limits bound
 * its members, and if they were counted, the last members might never be admitted.
 */
export const WAITING_JOIN_SIZE_MAX = MEMBER_PROTOCOLS_SIZE_MAX + 64 * 1024;

/** What an answer that takes several turns is counted as until it is encoded (bytes). */
export const LONG_ANSWER_HEAP = 128 * 1024;

/** One element of an array of a decoded request, with its object (bytes). */
export const ELEMENT_HEAP = 200;

export class RequestHeap {
  /** Of each lane (bytes). */
  readonly limit: number;
  readonly #used = new Float64Array(Object.keys(HeapLane).length);
  /** Something came free since this was last taken. */
  #released = false;

  /** @param memorySize of the shard (bytes) */
  constructor(memorySize: number) {
    const share = Math.floor(memorySize * REQUEST_HEAP_SHARE);
    this.limit = Math.min(REQUEST_HEAP_SIZE_MAX, Math.max(REQUEST_HEAP_SIZE_MIN, share));
  }

  used(lane: HeapLane): number {
    return this.#used[lane]!;
  }

  /** Whether a request of this kind may start. */
  hasRoom(lane: HeapLane): boolean {
    return this.#used[lane]! < this.limit;
  }

  take(lane: HeapLane, bytes: number): void {
    this.#used[lane]! += bytes;
  }

  give(lane: HeapLane, bytes: number): void {
    if (bytes === 0) return;
    this.#used[lane]! -= bytes;
    this.#released = true;
  }

  /** Whether something came free since the last call. */
  takeReleased(): boolean {
    const released = this.#released;
    this.#released = false;
    return released;
  }
}

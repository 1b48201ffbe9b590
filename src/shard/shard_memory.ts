/**
 * The budgets of a shard's memory.
 *
 * Frames and responses draw from budgets of their own, so that neither can starve the other, and
 * small frames have a lane beside the large ones, and so have frames of which little has arrived, and requests
 * that wait their turn. What no budget holds is batch cache, and is given back when a budget needs it. An empty budget is back-pressure: the connection that asked
 * is put in a queue and resumed, in order, when something was released.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import {
  BEGUN_FRAMES_SHARE,
  FRAME_START_SIZE,
  LARGE_FRAMES_SHARE,
  RESPONSES_SHARE,
  RPC_DATA_FRAME_MAX,
  RPC_FRAMES_SHARE,
  RPC_LINKS_SHARE,
  RPC_QUEUE_BYTES_MAX,
  RPC_QUEUE_SHARE,
  SMALL_FRAME_SIZE,
  WAITING_WINDOWS_SHARE,
} from "../base/limits.ts";
import type { Arena } from "../bytes/arena.ts";
import { type ConnectionMemory, Lack } from "../kafka/connection_host.ts";
import type { LinkMemory } from "../rpc/link_host.ts";

/** Waiters are retried this often although nothing was released (ms). */
const RETRY_INTERVAL_MS = 5;

/** A named budget, and the part of it that is taken (bytes). */
export class Budget {
  readonly name: string;
  readonly limit: number;
  used = 0;
  /** The most that was ever taken. */
  usedMax = 0;

  constructor(name: string, limit: number) {
    this.name = name;
    this.limit = limit;
  }

  fits(size: number): boolean {
    return this.used + size <= this.limit;
  }

  take(size: number): void {
    this.used += size;
    if (this.used > this.usedMax) this.usedMax = this.used;
  }

  give(size: number): void {
    this.used -= size;
    assert(this.used >= 0, "a budget was given more than was taken");
  }
}

export class ShardMemory implements ConnectionMemory, LinkMemory {
  readonly arena: Arena;
  /** Received bytes whose first request waits its turn. */
  readonly waitingWindows: Budget;
  /** Beginnings of frames. */
  readonly begunFrames: Budget;
  readonly smallFrames: Budget;
  readonly largeFrames: Budget;
  readonly responses: Budget;
  /** Links to and from other nodes. */
  readonly links: Budget;
  /** Frames of other nodes that are larger than a link's own block. */
  readonly peerFrames: Budget;
  readonly peerFrameMax: number;
  readonly peerQueueMax: number;
  readonly frameSizeMax: number;
  readonly frameSizeRaise: string;
  readonly responseSizeMax: number;
  #waiting: (() => void)[] = [];
  #released = false;
  #retryAtMs = 0;
  #lacks = 0;

  /** @param frameSizeMax `socket.request.max.bytes`; the arena may allow less */
  constructor(arena: Arena, frameSizeMax: number) {
    this.arena = arena;
    const large = Math.floor(arena.size * LARGE_FRAMES_SHARE);
    this.largeFrames = new Budget("large frames", large);
    this.waitingWindows = new Budget(
      "waiting windows",
      Math.floor(arena.size * WAITING_WINDOWS_SHARE),
    );
    this.begunFrames = new Budget("begun frames", Math.floor(arena.size * BEGUN_FRAMES_SHARE));
    this.smallFrames = new Budget("small frames", Math.floor(large / 2));
    this.responses = new Budget("responses", Math.floor(arena.size * RESPONSES_SHARE));
    this.responseSizeMax = Math.min(largestBlock(this.responses.limit), arena.blockSizeMax);
    this.links = new Budget("links", Math.floor(arena.size * RPC_LINKS_SHARE));
    this.peerFrames = new Budget("frames of nodes", Math.floor(arena.size * RPC_FRAMES_SHARE));
    this.peerFrameMax = Math.min(
      RPC_DATA_FRAME_MAX,
      largestBlock(this.peerFrames.limit),
      arena.blockSizeMax,
    );
    this.peerQueueMax = Math.min(RPC_QUEUE_BYTES_MAX, Math.floor(arena.size * RPC_QUEUE_SHARE));
    this.frameSizeMax = Math.min(frameSizeMax, arena.blockSizeMax);
    this.frameSizeRaise = frameSizeMax < arena.blockSizeMax
      ? "socket.request.max.bytes"
      : "--memory";
  }

  allocateFrame(size: number): number {
    return this.#take(this.#frameBudget(size), size);
  }

  releaseFrame(address: number): void {
    const size = this.arena.blockSize(address);
    this.#frameBudget(size).give(size);
    this.#release(address);
  }

  allocateWindow(size: number): number {
    return this.#take(this.waitingWindows, size);
  }

  releaseWindow(address: number): void {
    this.waitingWindows.give(this.arena.blockSize(address));
    this.#release(address);
  }

  allocateResponse(size: number): number {
    return this.#take(this.responses, size);
  }

  releaseResponse(address: number): void {
    this.responses.give(this.arena.blockSize(address));
    this.#release(address);
  }

  allocateLink(size: number): number {
    return this.#take(this.links, size);
  }

  releaseLink(address: number): void {
    this.links.give(this.arena.blockSize(address));
    this.#release(address);
  }

  allocatePeerFrame(size: number): number {
    return this.#take(this.peerFrames, size);
  }

  releasePeerFrame(address: number): void {
    this.peerFrames.give(this.arena.blockSize(address));
    this.#release(address);
  }

  /** Calls `again` once, after something was released; in order. */
  whenReleased(again: () => void, lack: Lack = Lack.SEND): void {
    this.#lacks |= lack;
    this.#waiting.push(again);
  }

  /** The same for other nodes' frames: no client has to lose anything for them. */
  afterRelease(again: () => void): void {
    this.#waiting.push(again);
  }

  /** What somebody has waited for since this was last asked: a sum of {@linkcode Lack}. */
  takeLacks(): number {
    const lacks = this.#lacks;
    this.#lacks = 0;
    return lacks;
  }

  /** Something outside (a receive buffer) came back. */
  noteReleased(): void {
    this.#released = true;
  }

  /**
   * Resumes who waited: when something was released, and now and then because cached batches may have
   * become reclaimable. Once a turn.
   */
  resumeWaiting(nowMs: number): void {
    if (this.#waiting.length === 0) return;
    if (!this.#released && nowMs < this.#retryAtMs) return;
    this.#released = false;
    this.#retryAtMs = nowMs + RETRY_INTERVAL_MS;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const again of waiting) again();
  }

  get waitingCount(): number {
    return this.#waiting.length;
  }

  #take(budget: Budget, size: number): number {
    let blockSize = 4096;
    while (blockSize < size) blockSize *= 2;
    if (!budget.fits(blockSize)) return -1;
    const address = this.arena.allocate(blockSize);
    if (address >= 0) budget.take(blockSize);
    // The budget allows it, but the arena is full: any holder of memory may free some.
    else this.#lacks |= Lack.RECEIVE | Lack.SEND;
    return address;
  }

  #frameBudget(size: number): Budget {
    if (size <= FRAME_START_SIZE) return this.begunFrames;
    return size <= SMALL_FRAME_SIZE ? this.smallFrames : this.largeFrames;
  }

  #release(address: number): void {
    this.arena.release(address);
    this.#released = true;
  }
}

/** The largest block, a power of two, that a budget of `limit` bytes holds. */
function largestBlock(limit: number): number {
  return 2 ** Math.floor(Math.log2(Math.max(1, limit)));
}

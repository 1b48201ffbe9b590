/**
 * Frames of one outgoing link that have not left, in order.
 *
 * A frame's header and the bytes that its sender wrote (the head) are copied into a ring buffer of the link. Records follow
 * as ranges of the cache, which are sent as they lie; the frame's owner keeps them pinned until it is told that the frame
 * is over. Everything is bounded: the ring, the number of frames, and the bytes of ranges.
 *
 * ```text
 *   ring:    | free | head of frame 4 | head of frame 5 | ... | free |
 *   frames:  4 (in flight) 5 (in flight) 6 7 ...
 *   ranges:  each frame's own
 * ```
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import { RPC_QUEUE_FRAMES_MAX } from "../base/limits.ts";
import type { Crc32c } from "../bytes/crc32c.ts";
import type { Memory } from "../bytes/memory.ts";
import { RangeList } from "../bytes/range_list.ts";
import { FRAME_HEADER_SIZE, writeFrameHeader } from "./frame.ts";

const FRAMES_AT_FIRST = 16;

/** Who has pinned the ranges of a frame. */
export interface FrameOwner {
  /**
   * Nothing reads the frame's ranges any more. Called exactly once for each frame that was queued, never from inside the
   * call that queued it.
   *
   * @param sent every byte was given to the kernel (the peer may still not have it); false: the connection is gone
   */
  onFrameOver(sent: boolean): void;
}

class QueuedFrame {
  headAt = 0;
  headLength = 0;
  /** Bytes of the ranges. */
  bytes = 0;
  owner: FrameOwner | null = null;
  readonly ranges = new RangeList(4);
}

export class FrameQueue {
  readonly #memory: Memory;
  readonly #crc32c: Crc32c;
  readonly #ring: number;
  readonly #ringSize: number;
  readonly #bytesMax: number;
  // Where the oldest head begins, and where the next one goes.
  #read = 0;
  #write = 0;
  /** A circle of frames, as long as a power of two. */
  #frames: QueuedFrame[] = [];
  #first = 0;
  #sequence = 0;
  /** Frames, and how many of them were taken to be sent. */
  length = 0;
  #taken = 0;
  /** Bytes of ranges. */
  bytes = 0;

  /**
   * @param ring address of `ringSize` bytes for heads
   * @param bytesMax of ranges that may wait; one frame alone may have more
   */
  constructor(memory: Memory, crc32c: Crc32c, ring: number, ringSize: number, bytesMax: number) {
    this.#memory = memory;
    this.#crc32c = crc32c;
    this.#ring = ring;
    this.#ringSize = ringSize;
    this.#bytesMax = bytesMax;
  }

  /** The longest head that a frame may have (bytes). */
  get headMax(): number {
    return this.#ringSize - FRAME_HEADER_SIZE;
  }

  /**
   * Queues a frame whose payload is `headLength` bytes at `head`, which are copied, and then `ranges`.
   *
   * @returns false when there is no room: nothing was changed
   */
  put(
    type: number,
    head: number,
    headLength: number,
    ranges: RangeList | null,
    owner: FrameOwner | null,
  ): boolean {
    const rangeBytes = ranges === null ? 0 : ranges.bytes;
    if (this.length === RPC_QUEUE_FRAMES_MAX) return false;
    if (this.length > 0 && rangeBytes > 0 && this.bytes + rangeBytes > this.#bytesMax) return false;
    const at = this.#claim(FRAME_HEADER_SIZE + headLength);
    if (at < 0) return false;
    const address = this.#ring + at;
    this.#memory.bytes.copyWithin(address + FRAME_HEADER_SIZE, head, head + headLength);
    const frame = this.#add();
    frame.headAt = at;
    frame.headLength = FRAME_HEADER_SIZE + headLength;
    frame.bytes = rangeBytes;
    frame.owner = owner;
    frame.ranges.clear();
    let crc = this.#crc32c(head, headLength, 0);
    if (ranges !== null) {
      for (let i = 0; i < ranges.count; i++) {
        frame.ranges.push(ranges.address(i), ranges.length(i));
        crc = this.#crc32c(ranges.address(i), ranges.length(i), crc);
      }
    }
    const length = headLength + rangeBytes;
    writeFrameHeader(
      this.#memory.view,
      address,
      type,
      length,
      this.#sequence++,
      crc,
      this.#crc32c,
    );
    this.bytes += rangeBytes;
    return true;
  }

  /**
   * Appends the next frames to `ranges`, at least one if there is any; they stay until {@linkcode release}.
   *
   * @returns how many frames were taken
   */
  take(ranges: RangeList, bytesMax: number, rangesMax: number): number {
    assert(this.#taken === 0, "frames are in flight already");
    while (this.#taken < this.length) {
      const frame = this.#at(this.#taken);
      if (this.#taken > 0) {
        if (ranges.bytes + frame.headLength + frame.bytes > bytesMax) break;
        if (ranges.count + 1 + frame.ranges.count > rangesMax) break;
      }
      ranges.push(this.#ring + frame.headAt, frame.headLength);
      for (let i = 0; i < frame.ranges.count; i++) {
        ranges.push(frame.ranges.address(i), frame.ranges.length(i));
      }
      this.#taken++;
    }
    return this.#taken;
  }

  /** The frames that were taken have left. */
  release(): void {
    let left = this.#taken;
    this.#taken = 0;
    while (left-- > 0 && this.length > 0) this.#drop(true);
  }

  /** Drops every frame; the next one is the first of another connection. Nothing is in flight. */
  clear(): void {
    this.#taken = 0;
    this.#sequence = 0;
    // What owners queue meanwhile, if they may, is not dropped.
    let left = this.length;
    while (left-- > 0 && this.length > 0) this.#drop(false);
  }

  #drop(sent: boolean): void {
    const frame = this.#at(0);
    const { owner } = frame;
    frame.owner = null;
    this.#first = (this.#first + 1) & (this.#frames.length - 1);
    this.length--;
    this.bytes -= frame.bytes;
    this.#read = frame.headAt + frame.headLength;
    // Last: it may queue the next one.
    owner?.onFrameOver(sent);
  }

  #at(index: number): QueuedFrame {
    return this.#frames[(this.#first + index) & (this.#frames.length - 1)]!;
  }

  #add(): QueuedFrame {
    if (this.length === this.#frames.length) {
      const old = this.#frames;
      const size = Math.max(FRAMES_AT_FIRST, 2 * old.length);
      this.#frames = Array.from(
        { length: size },
        (_, i) => i < old.length ? old[(this.#first + i) & (old.length - 1)]! : new QueuedFrame(),
      );
      this.#first = 0;
    }
    return this.#at(this.length++);
  }

  /** Room for `size` bytes in the ring, in one piece; -1: there is none. */
  #claim(size: number): number {
    if (this.length === 0) {
      this.#read = 0;
      this.#write = 0;
    }
    let at = this.#write;
    if (at >= this.#read) {
      if (this.#ringSize - at < size) {
        // Strictly: a full ring would look like an empty one.
        if (this.#read <= size) return -1;
        at = 0;
      }
    } else if (this.#read - at <= size) {
      return -1;
    }
    this.#write = at + size;
    return at;
  }
}

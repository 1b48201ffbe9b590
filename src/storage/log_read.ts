/**
 * One read of a log: pooled, reused, filled in place.
 *
 * The owner sets the request fields, calls `log.read(read)`, sends the extents while they are pinned, and
 * calls {@linkcode LogRead.release} exactly once per served read (an empty or failed one too). States:
 *
 *     idle -> log.read() true  -> served -> release() -> idle
 *     idle -> log.read() false -> waiting -> done.complete(bytesTotal, 0) -> served -> ...
 *
 * The request fields must not change while it waits; the result fields are valid while served.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import type { Completion } from "../io/completion.ts";
import type { Chunk } from "./chunk_cache.ts";
import { ReadError } from "./log.ts";

/** Room for extents when the first one comes: most reads of a large request give none. */
const EXTENTS_AT_START = 16;
const NO_EXTENTS = new Float64Array(0);

export class LogRead {
  // Request.
  /** First offset wanted; the batch that contains it comes whole. */
  offset = 0;
  maxBytes = 0;
  /** Exclusive bound, at a batch boundary: high watermark, last stable offset, or log end. */
  limitOffset = 0;
  /** Give the first batch even when it exceeds `maxBytes`. */
  minOneBatch = true;
  /** Without memory for its first extent it waits until there is some; otherwise it ends with {@linkcode lacksMemory}. */
  waitsForMemory = true;
  /**
   * For another replica: gives what segments still have before the log start, too, and nothing in the place of what was given
   * up.
   */
  beforeStart = false;
  /** Told when a read that had to wait is served; the result is `bytesTotal`. */
  readonly done: Completion;

  // Result.
  error: ReadError = ReadError.NONE;
  /** Extents filled in `addresses` and `lengths`. */
  extentCount = 0;
  addresses = NO_EXTENTS;
  lengths = NO_EXTENTS;
  bytesTotal = 0;
  /** Nothing is given, because there was no memory for it. */
  lacksMemory = false;
  /** Offset after the last batch given; a sequential reader continues there. */
  nextOffset = 0;

  /** Chunks pinned for this read; filled by the log. */
  readonly pinned: Chunk[] = [];
  waiting = false;

  constructor(done: Completion) {
    this.done = done;
  }

  /** Unpins the served extents. */
  release(): void {
    assert(!this.waiting, "released a read that still waits");
    for (let i = 0; i < this.pinned.length; i++) this.pinned[i]!.unpin();
    this.pinned.length = 0;
    this.extentCount = 0;
    this.bytesTotal = 0;
    this.lacksMemory = false;
  }

  /** Forgets the previous result; called by the log. */
  begin(): void {
    assert(this.pinned.length === 0, "a read must be released before its reuse");
    this.error = ReadError.NONE;
    this.lacksMemory = false;
    this.extentCount = 0;
    this.bytesTotal = 0;
    this.nextOffset = this.offset;
  }

  /** Adds one extent and pins its chunk; called by the log. */
  add(chunk: Chunk, address: number, length: number): void {
    const at = this.extentCount++;
    if (at === this.addresses.length) this.#grow();
    this.addresses[at] = address;
    this.lengths[at] = length;
    this.bytesTotal += length;
    chunk.pin();
    this.pinned.push(chunk);
  }

  #grow(): void {
    const room = Math.max(EXTENTS_AT_START, this.addresses.length * 2);
    const addresses = new Float64Array(room);
    const lengths = new Float64Array(room);
    addresses.set(this.addresses);
    lengths.set(this.lengths);
    this.addresses = addresses;
    this.lengths = lengths;
  }
}

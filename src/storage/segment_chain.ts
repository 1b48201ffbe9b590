/**
 * The segments of a log, oldest first: the last one is written to, unless it is closed.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import type { Segment } from "./segment.ts";

export class SegmentChain {
  #list: Segment[] = [];
  #sizeBytes = 0;
  #generationNext = 1;
  /** Rounds of compaction have covered everything before this offset. */
  cleanOffset = 0;

  get list(): readonly Segment[] {
    return this.#list;
  }

  /** Bytes of batches in all of them. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Above the generations of all segments that there were. */
  get generationNext(): number {
    return this.#generationNext;
  }

  /** The segment that is written to, if there is one. */
  get active(): Segment | null {
    const last = this.#list[this.#list.length - 1];
    return last === undefined || last.closed ? null : last;
  }

  get maxTimestampMs(): number {
    let latest = -1;
    for (const segment of this.#list) latest = Math.max(latest, segment.maxTimestampMs);
    return latest;
  }

  /** Base offset of the batch with that timestamp; -1 when there is none. */
  get maxTimestampOffset(): number {
    let latest = -1;
    let offset = -1;
    for (const segment of this.#list) {
      if (segment.maxTimestampMs <= latest) continue;
      latest = segment.maxTimestampMs;
      offset = segment.maxTimestampOffset;
    }
    return offset;
  }

  /** Compaction has looked at it, or written a part of it. */
  get isCompacted(): boolean {
    return this.cleanOffset > 0 || this.#list.some(({ compacted }) => compacted);
  }

  /** A generation that no segment has. */
  takeGeneration(): number {
    return this.#generationNext++;
  }

  /** A segment with this generation exists. */
  noteGeneration(generation: number): void {
    this.#generationNext = Math.max(this.#generationNext, generation + 1);
  }

  /** A segment that follows the others. */
  add(segment: Segment): void {
    this.#list.push(segment);
    this.#sizeBytes += segment.sizeBytes;
    this.noteGeneration(segment.generation);
  }

  /** Puts a segment in the place of some that follow each other. */
  replace(old: readonly Segment[], by: Segment): void {
    const from = this.#list.indexOf(old[0]!);
    assert(from >= 0 && old.every((each, i) => this.#list[from + i] === each), "not in the log");
    assert(by.endOffset === old[old.length - 1]!.endOffset, "other offsets than those before");
    this.#list = [...this.#list.slice(0, from), by, ...this.#list.slice(from + old.length)];
    for (const each of old) this.#sizeBytes -= each.sizeBytes;
    this.#sizeBytes += by.sizeBytes;
    this.noteGeneration(by.generation);
  }

  /** A batch of `length` bytes that ends before `endOffset` is at the end of a segment. */
  extend(segment: Segment, length: number, endOffset: number): void {
    segment.sizeBytes += length;
    segment.endOffset = endOffset;
    this.#sizeBytes += length;
  }

  /** A segment ends earlier: at `position`, before `endOffset`. */
  shorten(segment: Segment, position: number, endOffset: number): void {
    assert(position <= segment.sizeBytes, "a segment is made longer by its batches alone");
    this.#sizeBytes -= segment.sizeBytes - position;
    segment.sizeBytes = position;
    segment.endOffset = endOffset;
    segment.closed = false;
  }

  /** Takes out those that are chosen. */
  drop(chosen: (segment: Segment) => boolean): Segment[] {
    const dropped = this.#list.filter(chosen);
    if (dropped.length === 0) return dropped;
    this.#list = this.#list.filter((segment) => !dropped.includes(segment));
    for (const segment of dropped) this.#sizeBytes -= segment.sizeBytes;
    // What comes next may be the same offsets once more, as another replica has them.
    if (this.#list.length === 0) this.cleanOffset = 0;
    return dropped;
  }
}

/**
 * A list of ranges on its way out of a socket, however the sends are cut.
 *
 * No send moves all bytes by itself. The cursor knows which byte comes next, starts the next send there, and counts what
 * has left.
 *
 * @module
 */

import { RangeList } from "../bytes/range_list.ts";
import type { Memory } from "../bytes/memory.ts";
import type { Completion } from "./completion.ts";
import { SEND_VECTOR_MAX, type Sockets } from "./sockets.ts";

/** Bytes of the table of a vectored send, for each range. */
export const RANGE_ENTRY_SIZE = 16;

export class RangeCursor {
  /** Filled by the owner before {@linkcode rewind}; unchanged until {@linkcode over}. */
  readonly ranges = new RangeList(16);
  readonly #memory: Memory;
  /** The first range that has not left whole, and the bytes of it that have. */
  #next = 0;
  #nextSent = 0;
  /** Bytes of the send in flight. */
  #asked = 0;

  constructor(memory: Memory) {
    this.#memory = memory;
  }

  /** Starts at the first range: the list was filled. */
  rewind(): void {
    this.#next = 0;
    this.#nextSent = 0;
  }

  /** Every byte has left. */
  get over(): boolean {
    return this.#next === this.ranges.count;
  }

  /** Ranges that one send could name now. */
  get left(): number {
    return Math.min(this.ranges.count - this.#next, SEND_VECTOR_MAX);
  }

  /**
   * Sends from the next byte on.
   *
   * @param table room for `count` entries of {@linkcode RANGE_ENTRY_SIZE}; -1: there is none, so one range is sent
   * @param count of ranges, at most {@linkcode left}
   * @param full the last send was cut short
   */
  send(
    sockets: Sockets,
    socket: number,
    table: number,
    count: number,
    full: boolean,
    done: Completion,
  ): void {
    const { ranges } = this;
    const next = this.#next;
    const first = ranges.address(next) + this.#nextSent;
    this.#asked = ranges.length(next) - this.#nextSent;
    if (count === 1 || table < 0) {
      sockets.send(socket, first, this.#asked, full, done);
      return;
    }
    const { view } = this.#memory;
    view.setFloat64(table, first, true);
    view.setFloat64(table + 8, this.#asked, true);
    for (let i = 1; i < count; i++) {
      const at = table + i * RANGE_ENTRY_SIZE;
      const length = ranges.length(next + i);
      view.setFloat64(at, ranges.address(next + i), true);
      view.setFloat64(at + 8, length, true);
      this.#asked += length;
    }
    sockets.sendVector(socket, table, count, full, done);
  }

  /** Counts the bytes that a send has moved; returns whether it was cut short. */
  advance(bytes: number): boolean {
    const { ranges } = this;
    let left = bytes + this.#nextSent;
    while (this.#next < ranges.count && left >= ranges.length(this.#next)) {
      left -= ranges.length(this.#next++);
    }
    this.#nextSent = left;
    return bytes < this.#asked;
  }
}

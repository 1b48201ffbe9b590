/**
 * The transactions of one partition: which are open, and which were aborted.
 *
 * A transaction of a partition begins with a producer's first transactional batch, and ends with a marker. Readers of
 * committed records get no record of an open one, and are told of those that were aborted:
 *
 * ```
 *   offset   10   11   12   13   14            open until 14: producer 7, first offset 10
 *            p7   p9   p7   p9   abort p7      aborted: producer 7, 10 to 14
 * ```
 *
 * Part of the state of a log's producers (`producer_table.ts`): it is cut, kept and sent with it.
 *
 * @module
 */

import { getInt64Le, setInt64Le } from "../bytes/int64.ts";

/**
 * Aborted transactions that a partition remembers. With more of them among its records it takes no transactional batch of
 * a client, because a reader could not tell their records from committed ones. Where there are more all the same, the oldest
 * ones are forgotten: in `__consumer_offsets`, whose coordinators go by the markers themselves; and on a follower that has
 * not moved its log start yet, as its leader had before it took more.
 */
export const ABORTED_TRANSACTIONS_MAX = 16_384;

/** An aborted transaction's cells: producer id, first offset, offset and log index of its marker. */
const CELLS = 4;
const FIRST = 1;
const LAST = 2;
const INDEX = 3;
/** Bytes of one, encoded. */
export const ABORTED_SIZE = 8 * CELLS;

export class TransactionIndex {
  /** First offset of each open transaction, by producer id. */
  readonly #open = new Map<number, number>();
  /** In the order of their markers. */
  #aborted: number[] = [];

  get openCount(): number {
    return this.#open.size;
  }

  get abortedCount(): number {
    return this.#aborted.length / CELLS;
  }

  /** No more transactions can be told from committed ones. */
  get isFull(): boolean {
    return this.abortedCount + this.#open.size >= ABORTED_TRANSACTIONS_MAX;
  }

  /** @param firstOffset of the producer's open transaction; -1: it has none */
  setOpen(producerId: number, firstOffset: number): void {
    if (firstOffset < 0) this.#open.delete(producerId);
    else this.#open.set(producerId, firstOffset);
  }

  /** First offset of the oldest open transaction; Infinity: there is none. */
  firstOpen(): number {
    let first = Infinity;
    for (const offset of this.#open.values()) if (offset < first) first = offset;
    return first;
  }

  /** Notes an abort marker at `lastOffset`. What is known already is not noted again. */
  abort(producerId: number, firstOffset: number, lastOffset: number, index: number): void {
    const { length } = this.#aborted;
    if (length > 0 && this.#aborted[length - CELLS + LAST]! >= lastOffset) return;
    this.#aborted.push(producerId, firstOffset, lastOffset, index);
    this.#forgetExcess();
  }

  /** The entry with this log index is cut off. */
  cut(index: number): void {
    const aborted = this.#aborted;
    while (aborted.length > 0 && aborted[aborted.length - CELLS + INDEX] === index) {
      aborted.length -= CELLS;
    }
  }

  /** Forgets transactions that ended before the log start. */
  trim(startOffset: number): void {
    const from = this.#firstEndingAt(startOffset);
    if (from > 0) this.#aborted = this.#aborted.slice(from);
  }

  /** Adds the aborted transactions with records in a range of offsets: of each the producer's id and the first offset. */
  collectAborted(fromOffset: number, untilOffset: number, into: number[]): void {
    const aborted = this.#aborted;
    for (let at = this.#firstEndingAt(fromOffset); at < aborted.length; at += CELLS) {
      const firstOffset = aborted[at + FIRST]!;
      if (firstOffset < untilOffset) into.push(aborted[at]!, firstOffset);
    }
  }

  /** Some aborted transactions may have been forgotten: those that ended before the first one that is known. */
  get mayHaveForgotten(): boolean {
    return this.abortedCount >= ABORTED_TRANSACTIONS_MAX;
  }

  /** Adds all aborted transactions, oldest first: of each the producer's id, the first offset and that of its marker. */
  listAborted(into: number[]): void {
    const aborted = this.#aborted;
    for (let at = 0; at < aborted.length; at += CELLS) {
      into.push(aborted[at]!, aborted[at + FIRST]!, aborted[at + LAST]!);
    }
  }

  /** Forgets aborted transactions by their markers: a reader would look for these in vain. */
  forget(markers: ReadonlySet<number>): void {
    if (markers.size === 0) return;
    const kept: number[] = [];
    for (let at = 0; at < this.#aborted.length; at += CELLS) {
      if (markers.has(this.#aborted[at + LAST]!)) continue;
      for (let cell = 0; cell < CELLS; cell++) kept.push(this.#aborted[at + cell]!);
    }
    this.#aborted = kept;
  }

  clear(): void {
    this.#open.clear();
    this.#aborted = [];
  }

  /** Writes the aborted transactions; returns the end. */
  encode(view: DataView, at: number): number {
    for (const cell of this.#aborted) {
      setInt64Le(view, at, cell);
      at += 8;
    }
    return at;
  }

  /** Reads `count` aborted transactions; returns the end, or -1 when they cannot be read. */
  decode(view: DataView, at: number, count: number): number {
    if (at + count * ABORTED_SIZE > view.byteLength) return -1;
    let last = -1;
    for (let i = 0; i < count; i++) {
      for (let cell = 0; cell < CELLS; cell++) this.#aborted.push(getInt64Le(view, at + 8 * cell));
      const ended = this.#aborted[this.#aborted.length - CELLS + LAST]!;
      if (ended <= last) return -1;
      last = ended;
      at += ABORTED_SIZE;
    }
    this.#forgetExcess();
    return at;
  }

  #forgetExcess(): void {
    const excess = this.abortedCount - ABORTED_TRANSACTIONS_MAX;
    if (excess > 0) this.#aborted.splice(0, excess * CELLS);
  }

  /** Place of the first one that ended at an offset or later. */
  #firstEndingAt(offset: number): number {
    let low = 0;
    let high = this.abortedCount;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#aborted[middle * CELLS + LAST]! < offset) low = middle + 1;
      else high = middle;
    }
    return low * CELLS;
  }
}

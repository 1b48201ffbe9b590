/**
 * Where a log ends, in entries and in offsets, and how far that is durable and committed.
 *
 * ```text
 *   start ......... durable ........ last          durable <= last,  committed <= last
 *           committed                              both ends count the same entries
 * ```
 *
 * The numbers change together, in the methods of this class and nowhere else, and each change is checked. The
 * commit may be ahead of what is durable here: other nodes of the group may have an entry before this one's disk
 * has it.
 *
 * @module
 */

import { assert } from "../base/assert.ts";

export class LogPositions {
  #endOffset = 0;
  #lastIndex = 0;
  #lastTerm = 0;
  #durableIndex = 0;
  #durableEndOffset = 0;
  #committedIndex = 0;

  /** Next offset to be given. */
  get endOffset(): number {
    return this.#endOffset;
  }
  get lastIndex(): number {
    return this.#lastIndex;
  }
  get lastTerm(): number {
    return this.#lastTerm;
  }
  /** Entries up to here would survive a power cut; and the first offset that would not. */
  get durableIndex(): number {
    return this.#durableIndex;
  }
  get durableEndOffset(): number {
    return this.#durableEndOffset;
  }
  get committedIndex(): number {
    return this.#committedIndex;
  }

  /** A batch of `count` records is at the end. */
  addRecords(count: number): void {
    assert(count > 0, "a batch without records");
    this.#lastIndex += count;
    this.#endOffset += count;
  }

  /** An entry without an offset is at the end. */
  addMeta(index: number, term: number): void {
    assert(index > this.#lastIndex && term >= this.#lastTerm, "entries and terms never go back");
    this.#lastIndex = index;
    this.#lastTerm = term;
  }

  /** The last entry that was added is not there: the journal had no room for it. */
  takeBackMeta(term: number): void {
    this.#lastIndex--;
    this.#lastTerm = term;
    this.#check();
  }

  /** Recovery: the term of the batch that is added next. */
  enterTerm(term: number): void {
    this.#lastTerm = term;
  }

  /** What is in the log up to here is durable. */
  reachDurable(index: number, endOffset: number): void {
    this.#durableIndex = Math.max(this.#durableIndex, index);
    this.#durableEndOffset = Math.max(this.#durableEndOffset, endOffset);
    this.#check();
  }

  commit(index: number): void {
    assert(index >= this.#committedIndex, "the commit never goes back");
    this.#committedIndex = index;
    this.#check();
  }

  /** The log ends after `index`, durably or not. */
  cut(index: number, term: number, endOffset: number): void {
    assert(index <= this.#lastIndex && endOffset <= this.#endOffset, "a cut takes entries away");
    this.#lastIndex = index;
    this.#lastTerm = term;
    this.#endOffset = endOffset;
    this.#durableIndex = Math.min(this.#durableIndex, index);
    this.#durableEndOffset = Math.min(this.#durableEndOffset, endOffset);
    this.#check();
  }

  /** The log is empty, and follows a snapshot point, which is committed. */
  reset(index: number, term: number, endOffset: number): void {
    this.#lastIndex = index;
    this.#lastTerm = term;
    this.#endOffset = endOffset;
    this.#durableIndex = Math.min(this.#durableIndex, index);
    this.#durableEndOffset = Math.min(this.#durableEndOffset, endOffset);
    this.#committedIndex = index;
    this.#check();
  }

  /** As a checkpoint row says: all of it is durable. Rows are input: see `isPlausible`. */
  restore(index: number, term: number, endOffset: number, committedIndex: number): void {
    this.#lastIndex = index;
    this.#lastTerm = term;
    this.#endOffset = endOffset;
    this.#durableIndex = index;
    this.#durableEndOffset = endOffset;
    this.#committedIndex = Math.min(committedIndex, index);
  }

  #check(): void {
    assert(this.#durableIndex <= this.#lastIndex, "durable beyond the end of the log");
    assert(this.#durableEndOffset <= this.#endOffset, "durable beyond the end of the log");
    assert(this.#committedIndex <= this.#lastIndex, "committed beyond the end of the log");
  }
}

/**
 * The meta entries of one log, and with them the arithmetic between indexes and offsets.
 *
 * Meta entries take an index and no offset, so between two of them `index - offset` is constant. Each term
 * opens with one, so the table is the term table as well. Behind the *start* (the last entry that is not
 * kept any more) only the last entry of each kind stays: the configuration in force, the term.
 *
 *     index   ..5 | 6=no-op  7  8  9  10=configuration  11  12
 *     offset      |   (4)    4  5  6       (7)          7   8      start: index 5, offset 4
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import { type EpochEnd, type MetaEntry, MetaKind } from "./log.ts";

/** Whether a kind that the disk gave is one. What an entry's payload says is for those to judge who use it. */
export function isMetaKind(kind: number): kind is MetaKind {
  return kind >= MetaKind.NO_OP && kind <= MetaKind.PREFIX;
}

export class MetaTable {
  /** The entry before the first one kept; its term; the first offset kept. */
  startIndex = 0;
  startTerm = 0;
  startOffset = 0;
  #entries: MetaEntry[] = [];

  get entries(): readonly MetaEntry[] {
    return this.#entries;
  }

  push(entry: MetaEntry): void {
    const last = this.#entries[this.#entries.length - 1];
    assert(last === undefined || last.index < entry.index, "meta entries out of order");
    this.#entries.push(entry);
  }

  /** Number in the table of the last entry at or below `index`, or -1. */
  #findIndex(index: number): number {
    const entries = this.#entries;
    let low = 0;
    let high = entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (entries[middle]!.index <= index) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** Term of the entry at `index`, which the caller knows to be within the log. */
  termAt(index: number): number {
    if (index <= this.startIndex) return index === this.startIndex ? this.startTerm : -1;
    const at = this.#findIndex(index);
    if (at < 0) return this.startTerm;
    const entry = this.#entries[at]!;
    return entry.index <= this.startIndex ? this.startTerm : entry.term;
  }

  /** Offsets given before the entry at `index`. */
  offsetAt(index: number): number {
    const at = this.#findIndex(index);
    if (at >= 0) {
      const entry = this.#entries[at]!;
      if (entry.index === index) return entry.offset;
      if (entry.index > this.startIndex) return entry.offset + (index - entry.index - 1);
    }
    return this.startOffset + (index - this.startIndex - 1);
  }

  /** Index of the record at `offset`. */
  indexAt(offset: number): number {
    const entries = this.#entries;
    let low = 0;
    let high = entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (entries[middle]!.offset <= offset) low = middle + 1;
      else high = middle;
    }
    const entry = entries[low - 1];
    if (entry !== undefined && entry.index > this.startIndex) {
      return entry.index + 1 + (offset - entry.offset);
    }
    return this.startIndex + 1 + (offset - this.startOffset);
  }

  /** The first entry at or after `index`, or null. */
  from(index: number): MetaEntry | null {
    return this.#entries[this.#findIndex(index - 1) + 1] ?? null;
  }

  /** The last entry of `kind` at or below `index`, or null. */
  last(kind: MetaKind, index: number): MetaEntry | null {
    for (let at = this.#findIndex(index); at >= 0; at--) {
      const entry = this.#entries[at]!;
      if (entry.kind === kind) return entry;
    }
    return null;
  }

  /**
   * Kafka's OffsetForLeaderEpoch (KIP-320): where the largest term at or below `term` ends.
   *
   * A term above the latest is unknown (-1), and so is -1; one below the first kept ends where that one
   * begins.
   */
  endOffsetForEpoch(term: number, lastTerm: number, endOffset: number, result: EpochEnd): void {
    result.term = -1;
    result.endOffset = -1;
    if (term === -1 || term > lastTerm) return;
    result.term = term;
    result.endOffset = endOffset;
    if (term === lastTerm) return;
    // Walk the terms from the youngest: `endOffset` is where the term looked at ends.
    let end = endOffset;
    for (let at = this.#entries.length - 1; at >= 0; at--) {
      const entry = this.#entries[at]!;
      if (entry.index <= this.startIndex) break;
      if (entry.kind !== MetaKind.NO_OP) continue;
      if (entry.term <= term) {
        result.term = entry.term;
        result.endOffset = end;
        return;
      }
      end = Math.max(entry.offset, this.startOffset);
    }
    if (this.startTerm > term) end = this.startOffset;
    else if (this.startTerm > 0) result.term = this.startTerm;
    result.endOffset = end;
  }

  /** Forgets entries beyond `index`. */
  truncate(index: number): void {
    this.#entries.length = this.#findIndex(index) + 1;
  }

  /** Moves the start; entries at or below it go, but for the last of each kind. */
  trim(startIndex: number, startTerm: number, startOffset: number): void {
    const kept: MetaEntry[] = [];
    const seen = new Set<number>();
    for (let at = this.#entries.length - 1; at >= 0; at--) {
      const entry = this.#entries[at]!;
      if (entry.index <= startIndex) {
        if (seen.has(entry.kind)) continue;
        seen.add(entry.kind);
      }
      kept.push(entry);
    }
    this.#entries = kept.reverse();
    this.startIndex = startIndex;
    this.startTerm = startTerm;
    this.startOffset = startOffset;
  }

  /** Empties the table; entries follow a snapshot point from here on. */
  reset(
    startIndex: number,
    startTerm: number,
    startOffset: number,
    entries: readonly MetaEntry[],
  ): void {
    this.#entries = entries.slice();
    this.startIndex = startIndex;
    this.startTerm = startTerm;
    this.startOffset = startOffset;
  }
}

/**
 * A log as its Raft group sees it.
 *
 * A log may begin in the middle of a batch (DeleteRecords). Batches are replicated whole, so for the group such a log
 * begins before that batch, all of which the segment still has. Where that is, is known once the batch's header has been
 * read ({@linkcode LogView.noteBoundary}); until then the group takes the log start for it.
 *
 * @module
 */

import type { RaftLog, StoredConfiguration } from "../raft/raft_log.ts";
import { type Log, MetaKind } from "../storage/log.ts";

export class LogView implements RaftLog {
  readonly #log: Log;
  /** The entry before the batch that holds the log start, while the log starts after `#boundaryOf`. */
  #boundary = 0;
  #boundaryOf = -1;

  constructor(log: Log) {
    this.#log = log;
  }

  /** The log starts after the entry `startIndex`, in a batch that follows the entry `index`, or before one. */
  noteBoundary(startIndex: number, index: number): void {
    this.#boundaryOf = startIndex;
    this.#boundary = index;
  }

  get lastIndex(): number {
    return this.#log.lastIndex;
  }
  get lastTerm(): number {
    return this.#log.lastTerm;
  }
  get startIndex(): number {
    const { startIndex } = this.#log;
    return startIndex === this.#boundaryOf ? this.#boundary : startIndex;
  }
  /** Each term opens with an entry of its own, so the entry before a batch has the batch's term. */
  get startTerm(): number {
    return this.#log.startTerm;
  }
  get durableIndex(): number {
    return this.#log.durableIndex;
  }
  get hardTerm(): number {
    return this.#log.hardTerm;
  }
  get hardVote(): number {
    return this.#log.hardVote;
  }
  get hardVersion(): number {
    return this.#log.hardVersion;
  }
  get durableHardVersion(): number {
    return this.#log.durableHardVersion;
  }
  get forcedIndex(): number {
    const log = this.#log;
    let noOp = log.lastMeta(MetaKind.NO_OP, log.lastIndex);
    while (noOp !== null && noOp.payload.length === 0) {
      noOp = log.lastMeta(MetaKind.NO_OP, noOp.index - 1);
    }
    return noOp?.index ?? 0;
  }
  get suspect(): boolean {
    return this.#log.suspect;
  }

  termAt(index: number): number {
    const isInBatch = index < this.#log.startIndex && index >= this.startIndex;
    return isInBatch ? this.#log.startTerm : this.#log.termAt(index);
  }

  configurationAt(index: number): StoredConfiguration | null {
    return this.#log.lastMeta(MetaKind.CONFIGURATION, index);
  }
}

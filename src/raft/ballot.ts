/**
 * Term and vote of a group, and whether they are durable: Raft's hard state.
 *
 * The term in memory may be ahead of the log's while the log is busy. That is harmless as long as nobody is told
 * anything that depends on it: votes and acknowledgements wait for {@linkcode Ballot.isDurable}, requests for votes until it is not
 * owed.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import type { RaftEffects, RaftLog } from "./raft_log.ts";

/** Nobody. */
export const NO_NODE = -1;

export class Ballot {
  readonly #log: RaftLog;
  readonly #effects: RaftEffects;
  #term: number;
  #vote: number;
  /** The log's version of term and vote as they are now; meaningless while they are owed. */
  #version: number;
  #isOwed = false;
  /** The last refusal of the log, until it takes something again. */
  refusal = 0;

  constructor(log: RaftLog, effects: RaftEffects) {
    this.#log = log;
    this.#effects = effects;
    const isKnown = log.hardTerm >= log.lastTerm;
    this.#term = isKnown ? log.hardTerm : log.lastTerm;
    this.#vote = isKnown ? log.hardVote : NO_NODE;
    this.#version = log.hardVersion;
    this.#isOwed = !isKnown;
  }

  get term(): number {
    return this.#term;
  }

  get vote(): number {
    return this.#vote;
  }

  /** Not in the log yet: nothing may be appended before it. */
  get isOwed(): boolean {
    return this.#isOwed;
  }

  get isDurable(): boolean {
    return !this.#isOwed && this.#log.durableHardVersion >= this.#version;
  }

  /** Enters a later term, without a vote. */
  adopt(term: number): void {
    assert(term > this.#term, "the term never goes back");
    this.#term = term;
    this.#vote = NO_NODE;
    this.#isOwed = true;
  }

  cast(node: number): void {
    assert(this.#vote === NO_NODE || this.#vote === node, "one vote in a term");
    if (this.#vote === node) return;
    this.#vote = node;
    this.#isOwed = true;
  }

  /** Writes what is owed; returns whether the log has it now. */
  save(): boolean {
    if (!this.#isOwed) return true;
    const version = this.#effects.setHardState(this.#term, this.#vote);
    if (version < 0) {
      this.refusal = version;
      return false;
    }
    this.#version = version;
    this.#isOwed = false;
    return true;
  }
}

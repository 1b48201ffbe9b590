/**
 * Term and vote of a group, and whether they are durable: Raft's hard state.
 *
 * The term in memory may be ahead of the log's while the log is busy. That is harmless as long as nobody is told
 * anything that depends on it: votes and acknowledgements wait for {@linkcode Ballot.isDurable}, requests for votes until it is not
 * owed.
 *
 * A vote of the next term may be written *ahead*, while this one goes on: its leader wants to hand over. Nobody is told of it, so it
 * binds nobody until the term is entered, and then it is durable already. After a restart it counts as given, in a term that was
 * entered: nothing is acknowledged to the leader of the term before from then on.
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
  /** The vote that is written ahead: its term (0: there is none), for whom, and the log's version of it. */
  #aheadTerm = 0;
  #aheadVote = NO_NODE;
  #aheadVersion = 0;
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

  /** The first term in which this node may vote for whomever it wants. */
  get freeTerm(): number {
    return Math.max(this.#term, this.#aheadTerm) + 1;
  }

  /** Whether the node may have this one's vote in the present term. */
  isFreeFor(node: number): boolean {
    if (this.#vote === node) return true;
    // What is written of a later term is not taken back.
    return this.#vote === NO_NODE && this.#aheadTerm <= this.#term;
  }

  /** Enters a later term, without a vote, unless that was written ahead. */
  adopt(term: number): void {
    assert(term > this.#term, "the term never goes back");
    const isWritten = term === this.#aheadTerm;
    this.#term = term;
    this.#vote = isWritten ? this.#aheadVote : NO_NODE;
    this.#isOwed = !isWritten;
    if (isWritten) this.#version = this.#aheadVersion;
  }

  /**
   * Writes a vote of the next term ahead, once.
   *
   * @returns whether it is written, durable or not
   */
  writeAhead(node: number): boolean {
    if (this.#aheadTerm > this.#term) return this.#aheadVote === node;
    if (this.#isOwed) return false;
    const version = this.#effects.setHardState(this.#term + 1, node);
    if (version < 0) return false;
    this.#aheadTerm = this.#term + 1;
    this.#aheadVote = node;
    this.#aheadVersion = version;
    return true;
  }

  /** The vote of the next term is written ahead, for the node. */
  isAheadFor(node: number): boolean {
    return this.#aheadTerm > this.#term && this.#aheadVote === node;
  }

  /** And it is durable. */
  isDurableFor(node: number): boolean {
    return this.isAheadFor(node) && this.#log.durableHardVersion >= this.#aheadVersion;
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

/**
 * Linearizable reads: a leader may answer from its committed state when a majority has confirmed, after the read was
 * asked for, that it still leads.
 *
 * Reads that are asked for while a round is under way share the next one. A round is a number that heartbeats
 * carry and replies return; numbers are never used twice, so a late reply confirms nothing.
 *
 * @module
 */

import type { GroupState } from "./group_state.ts";
import type { Peer } from "./peer.ts";

export class Reads {
  readonly #state: GroupState;
  #asked = 0;
  /** The round that heartbeats carry; it confirms all tickets up to its number. */
  #round = 0;
  #confirmed = 0;

  constructor(state: GroupState) {
    this.#state = state;
  }

  /** A term begins or ends: what was asked for before is void. */
  begin(): void {
    this.#round = this.#asked;
    this.#confirmed = this.#asked;
  }

  get round(): number {
    return this.#round;
  }

  get #isRunning(): boolean {
    return this.#round > this.#confirmed;
  }

  /** A round waits for an answer of the peer. */
  isAsked(peer: Peer): boolean {
    return this.#isRunning && peer.readToken < this.#round;
  }

  ask(): number {
    return ++this.#asked;
  }

  /** Begins a round if none is under way; returns whether heartbeats are needed. */
  start(): boolean {
    if (this.#isRunning || this.#asked === this.#confirmed) return false;
    this.#round = this.#asked;
    return !this.#isDone();
  }

  /** Counts the answers; returns whether the next round needs heartbeats. */
  check(): boolean {
    return this.#isRunning && this.#isDone() && this.start();
  }

  #isDone(): boolean {
    if (!this.#state.membership.hasConfirmed(this.#round)) return false;
    this.#confirmed = this.#round;
    this.#state.tellRead(this.#round);
    return true;
  }
}

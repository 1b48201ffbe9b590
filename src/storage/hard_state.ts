/**
 * Raft's hard state of a log's group: term and vote, and how far their changes are durable.
 *
 * @module
 */

import { assert } from "../base/assert.ts";

export class HardState {
  #term = 0;
  #vote = -1;
  #version = 0;
  #durableVersion = 0;

  get term(): number {
    return this.#term;
  }
  /** -1: nobody. */
  get vote(): number {
    return this.#vote;
  }
  /** Counts the changes of this life. */
  get version(): number {
    return this.#version;
  }
  /** The latest one that would survive a power cut. */
  get durableVersion(): number {
    return this.#durableVersion;
  }

  set(term: number, vote: number): void {
    assert(term >= this.#term, "the term never goes back");
    this.#term = term;
    this.#vote = vote;
    this.#version++;
  }

  reachDurable(version: number): void {
    assert(version <= this.#version, "a hard state that was never set is durable");
    this.#durableVersion = Math.max(this.#durableVersion, version);
  }

  /** Recovery: as a row or a record says. */
  restore(term: number, vote: number): void {
    this.#term = term;
    this.#vote = vote;
  }
}

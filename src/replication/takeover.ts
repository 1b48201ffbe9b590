/**
 * A replica that is to go on without the others (`RaftGroup.force`): asked for again until its log says so.
 *
 * @module
 */

import type { RaftGroup } from "../raft/raft_group.ts";

export class Takeover {
  readonly #raft: RaftGroup;
  #isWanted = false;

  constructor(raft: RaftGroup) {
    this.#raft = raft;
  }

  want(nodeId: number, nowMs: number): void {
    this.#isWanted = true;
    this.tick(nodeId, nowMs);
  }

  /** Tries again, if a log that took nothing then was in the way. */
  tick(nodeId: number, nowMs: number): void {
    if (!this.#isWanted) return;
    const { voters, outgoing } = this.#raft.configuration;
    const isAlone = outgoing.length === 0 && voters.length === 1 && voters[0]!.node === nodeId;
    if (isAlone) this.#isWanted = false;
    else this.#raft.force(nowMs);
  }
}

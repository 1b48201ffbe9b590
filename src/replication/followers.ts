/**
 * What a leader knows of the other replicas of its group, in terms of Kafka: which are in sync, and what they have.
 *
 * In sync is a voter that can be reached, and that had every record of its leader within `replica.lag.time.max.ms`.
 *
 * @module
 */

import type { Peer } from "../raft/peer.ts";
import type { RaftGroup } from "../raft/raft_group.ts";
import type { Log } from "../storage/log.ts";

const NOBODY = -1;

export interface FollowersOptions {
  readonly nodeId: number;
  /** `replica.lag.time.max.ms`. */
  readonly inSyncMs: number;
  nowMs(): number;
}

export class Followers {
  readonly #raft: RaftGroup;
  readonly #log: Log;
  readonly #options: FollowersOptions;

  constructor(raft: RaftGroup, log: Log, options: FollowersOptions) {
    this.#raft = raft;
    this.#log = log;
    this.#options = options;
  }

  /** Whether an append from there on was asked for, for the node, and not sent yet. */
  waitsFor(node: number, fromIndex: number): boolean {
    const { peers } = this.#raft;
    for (let at = 0; at < peers.length; at++) {
      const peer = peers[at]!;
      if (peer.node === node) return peer.isReading && peer.readFrom === fromIndex;
    }
    return false;
  }

  get #sinceMs(): number {
    return this.#options.nowMs() - this.#options.inSyncMs;
  }

  /** Voters in sync, the leader included. */
  get inSyncCount(): number {
    const { peers } = this.#raft;
    const sinceMs = this.#sinceMs;
    let count = 1;
    for (let at = 0; at < peers.length; at++) {
      if (peers[at]!.isVoter && peers[at]!.isInSync(sinceMs)) count++;
    }
    return count;
  }

  /** The first offset that is not known to be durable on a node in sync; -1 of others. */
  inSyncOffset(node: number): number {
    if (node === this.#options.nodeId) return this.#log.durableEndOffset;
    const { peers } = this.#raft;
    for (let at = 0; at < peers.length; at++) {
      const peer = peers[at]!;
      if (peer.node !== node) continue;
      return peer.isVoter && peer.isInSync(this.#sinceMs) ? this.#offsetBehind(peer.match) : -1;
    }
    return -1;
  }

  /** Records below it are durable on `copies` voters, or on all where there are fewer. */
  durableOffset(copies: number): number {
    return this.#offsetBehind(this.#raft.matchOfVoters(copies));
  }

  /** Of the voters in sync that `may` picks, the one that has most; -1: there is none. */
  furthest(may: (node: number) => boolean): number {
    const sinceMs = this.#sinceMs;
    let best: Peer | null = null;
    for (const peer of this.#raft.peers) {
      if (!peer.isVoter || !peer.isInSync(sinceMs) || !may(peer.node)) continue;
      if (best === null || peer.match > best.match) best = peer;
    }
    return best?.node ?? NOBODY;
  }

  #offsetBehind(index: number): number {
    const log = this.#log;
    return index <= log.startIndex ? log.startOffset : log.offsetAt(index + 1);
  }
}

/**
 * The configuration in force, the peers that it names, and every count of a majority.
 *
 * In a joint configuration each count is made twice, and both must agree. Learners are never counted.
 *
 * @module
 */

import { type Configuration, isJoint, type Member, memberOf } from "./configuration.ts";
import { VOTERS_MAX } from "./limits.ts";
import { Peer } from "./peer.ts";

export class Membership {
  readonly #node: number;
  readonly #incarnation: number;
  #configuration: Configuration;
  #index: number;
  #peers: Peer[] = [];
  #isVoter = false;
  #isOutgoing = false;
  #isLearner = false;
  #wasVoter = false;
  readonly #matches = new Float64Array(VOTERS_MAX);

  constructor(self: Member, configuration: Configuration) {
    this.#node = self.node;
    this.#incarnation = self.incarnation;
    this.#configuration = configuration;
    this.#index = 0;
  }

  get configuration(): Configuration {
    return this.#configuration;
  }

  /** The entry that holds it, or 0: it came with the group. */
  get index(): number {
    return this.#index;
  }

  get isJoint(): boolean {
    return isJoint(this.#configuration);
  }

  /** All other members, learners too. */
  get peers(): readonly Peer[] {
    return this.#peers;
  }

  /** This replica elects and commits, in one set of voters at least. */
  get isVoter(): boolean {
    return this.#isVoter || this.#isOutgoing;
  }

  /** The same by the configuration before. */
  get wasVoter(): boolean {
    return this.#wasVoter;
  }

  /** This replica belongs to the group, with or without a vote. */
  get isMember(): boolean {
    return this.isVoter || this.#isLearner;
  }

  /** Nobody else is a member. */
  get isAlone(): boolean {
    return this.#peers.length === 0 && this.isVoter;
  }

  /** Nobody else elects or commits. */
  get isSole(): boolean {
    return this.#isVoter && this.#configuration.voters.length === 1 && !this.isJoint;
  }

  /** Puts in force that this node is the only member; the entry that says so follows. */
  takeOver(): void {
    const self = { node: this.#node, incarnation: this.#incarnation };
    const alone = { voters: [self], outgoing: [], learners: [] };
    this.activate(alone, this.#index, alone);
  }

  peerOf(node: number): Peer | null {
    const peers = this.#peers;
    for (let at = 0; at < peers.length; at++) {
      if (peers[at]!.node === node) return peers[at]!;
    }
    return null;
  }

  /** This replica's place among the voters: 0 should lead. `without`: a node that does not count. */
  rank(without: number): number {
    const { voters } = this.#configuration;
    let rank = 0;
    for (const { node } of voters) {
      if (node === this.#node) return rank;
      if (node !== without) rank++;
    }
    return rank;
  }

  /** Puts a configuration in force, after another one; what is known of those who stay is kept. */
  activate(configuration: Configuration, index: number, before: Configuration): void {
    const { voters, outgoing, learners } = configuration;
    this.#configuration = configuration;
    this.#index = index;
    const peers: Peer[] = [];
    for (const member of [...voters, ...outgoing, ...learners]) {
      if (member.node === this.#node || peers.some(({ node }) => node === member.node)) continue;
      const known = this.peerOf(member.node);
      const isSame = known !== null && known.incarnation === member.incarnation;
      const peer = isSame ? known : new Peer(member.node, member.incarnation);
      peer.isVoter = memberOf(voters, member.node) !== null;
      peer.isOutgoing = memberOf(outgoing, member.node) !== null;
      peer.isLearner = !peer.isVoter && !peer.isOutgoing;
      peers.push(peer);
    }
    this.#peers = peers;
    this.#isVoter = this.#isSelfIn(voters);
    this.#isOutgoing = this.#isSelfIn(outgoing);
    this.#isLearner = this.#isSelfIn(learners);
    this.#wasVoter = this.#isSelfIn(before.voters) || this.#isSelfIn(before.outgoing);
  }

  #isSelfIn(members: readonly Member[]): boolean {
    return memberOf(members, this.#node)?.incarnation === this.#incarnation;
  }

  /**
   * The last index that a majority (of each set) has, by what they acknowledged.
   *
   * @param own what this node's own disk has
   */
  matchOfMajority(own: number): number {
    const index = this.#matchIn(false, own);
    return this.isJoint ? Math.min(index, this.#matchIn(true, own)) : index;
  }

  /** The last index that `copies` voters have, or all where there are fewer; the lower one of both sets. */
  matchOfVoters(copies: number, own: number): number {
    const index = this.#matchIn(false, own, copies);
    return this.isJoint ? Math.min(index, this.#matchIn(true, own, copies)) : index;
  }

  /** @param copies as many have it; 0: a majority */
  #matchIn(isOutgoing: boolean, own: number, copies = 0): number {
    const matches = this.#matches;
    let count = 0;
    if (isOutgoing ? this.#isOutgoing : this.#isVoter) matches[count++] = own;
    for (let at = 0; at < this.#peers.length; at++) {
      const peer = this.#peers[at]!;
      if (!(isOutgoing ? peer.isOutgoing : peer.isVoter)) continue;
      // Sorted, the largest first.
      let to = count++;
      for (; to > 0 && matches[to - 1]! < peer.match; to--) matches[to] = matches[to - 1]!;
      matches[to] = peer.match;
    }
    if (count === 0) return 0;
    return matches[copies === 0 ? count >>> 1 : Math.min(copies, count) - 1]!;
  }

  /** A majority (of each set) granted its vote. This node grants its own. */
  get isElected(): boolean {
    return this.#isMajority(grants, 0);
  }

  /** A majority (of each set) has written its vote ahead. This node is taken to have done so. */
  get hasWrittenAhead(): boolean {
    return this.#isMajority(wroteAhead, 0);
  }

  /** So many refused their vote, or are not connected, that no majority is left. */
  get isRefused(): boolean {
    return !this.#isMajority(mayGrant, 0);
  }

  /** The node is before this one among the voters: it should rather lead. */
  isPreferred(node: number): boolean {
    for (const voter of this.#configuration.voters) {
      if (voter.node === node) return true;
      if (voter.node === this.#node) return false;
    }
    return false;
  }

  /** A majority was heard since, this node included. */
  isHeardSince(sinceMs: number): boolean {
    return this.#isMajority(wasHeard, sinceMs);
  }

  /** A majority keeps up, this node included. */
  keepsUp(nowMs: number): boolean {
    return this.#isMajority(keepsUp, nowMs);
  }

  /** Nobody who can be reached is spoken to. */
  get isQuiet(): boolean {
    return this.#peers.every((peer) => peer.isQuiet || !peer.isUp);
  }

  /** Nobody waits for what the node lacks: it does not vote, or it is behind and a majority is not. */
  isSpare(node: number, nowMs: number): boolean {
    const peer = this.peerOf(node);
    if (peer === null) return false;
    return peer.isLearner || (!peer.keepsUp(nowMs) && this.keepsUp(nowMs));
  }

  /** A majority answered a round of reads, this node included. */
  hasConfirmed(token: number): boolean {
    return this.#isMajority(answered, token);
  }

  #isMajority(counts: (peer: Peer, argument: number) => boolean, argument: number): boolean {
    return this.#isMajorityIn(false, counts, argument) &&
      (!this.isJoint || this.#isMajorityIn(true, counts, argument));
  }

  #isMajorityIn(
    isOutgoing: boolean,
    counts: (peer: Peer, argument: number) => boolean,
    argument: number,
  ): boolean {
    const isSelf = isOutgoing ? this.#isOutgoing : this.#isVoter;
    let voters = isSelf ? 1 : 0;
    let yes = voters;
    for (let at = 0; at < this.#peers.length; at++) {
      const peer = this.#peers[at]!;
      if (!(isOutgoing ? peer.isOutgoing : peer.isVoter)) continue;
      voters++;
      if (counts(peer, argument)) yes++;
    }
    return yes > voters >>> 1;
  }
}

function grants(peer: Peer): boolean {
  return peer.hasGranted;
}

function wroteAhead(peer: Peer): boolean {
  return peer.hasWrittenAhead;
}

function mayGrant(peer: Peer): boolean {
  return peer.hasGranted || (peer.isUp && !peer.hasRefused);
}

/** A quiet peer whose connection stands has nothing to say. */
function wasHeard(peer: Peer, sinceMs: number): boolean {
  return peer.isQuiet ? peer.isUp : peer.heardMs >= sinceMs;
}

function keepsUp(peer: Peer, nowMs: number): boolean {
  return peer.keepsUp(nowMs);
}

function answered(peer: Peer, token: number): boolean {
  return peer.readToken >= token;
}

/**
 * Changes of a group's members, by joint consensus.
 *
 *     propose(voters, learners)   same voters: one entry      other voters: a joint entry
 *     the joint entry commits     the entry that leaves it follows, by whoever leads then
 *     cancel()                    instead of leaving: a joint entry the other way round
 *
 * One change at a time, and none before the leader's own term has committed an entry. A voter is added only when it
 * is a learner that has caught up, so that no change waits for a log to be copied.
 *
 * @module
 */

import {
  type Configuration,
  encodeConfiguration,
  isValid,
  type Member,
  memberOf,
} from "./configuration.ts";
import { Refusal } from "./refusal.ts";
import type { GroupState } from "./group_state.ts";
import { RaftMeta } from "./raft_log.ts";

export class ConfigurationChange {
  readonly #state: GroupState;
  /** Where the log ended, at two moments about an election timeout apart. */
  #lastIndexBefore = Infinity;
  #lastIndexNow = Infinity;

  constructor(state: GroupState) {
    this.#state = state;
  }

  begin(): void {
    this.#lastIndexBefore = Infinity;
    this.#lastIndexNow = Infinity;
  }

  /** Called now and then: what a peer lacks of the entries before the last two calls, it lacks for long. */
  noteProgress(): void {
    this.#lastIndexBefore = this.#lastIndexNow;
    this.#lastIndexNow = this.#state.log.lastIndex;
  }

  /** A configuration is not committed, or is joint. */
  get isUnderWay(): boolean {
    const { membership, commitIndex } = this.#state;
    return membership.isJoint || membership.index > commitIndex;
  }

  /** A joint configuration is committed and must be left. */
  get isToProceed(): boolean {
    const { membership, commitIndex } = this.#state;
    return membership.isJoint && membership.index <= commitIndex;
  }

  /** The leader is no voter any more, by a committed configuration. */
  get mustLeave(): boolean {
    const { membership, commitIndex } = this.#state;
    return !membership.isVoter && membership.index <= commitIndex;
  }

  /** Leaves a committed joint configuration; returns whether an entry was appended. */
  proceed(): boolean {
    if (!this.isToProceed) return false;
    const { voters, learners } = this.#state.membership.configuration;
    return this.#append({ voters, outgoing: [], learners }) >= 0;
  }

  /** See `RaftGroup.proposeConfiguration`; the group leads, and its term has committed an entry. */
  propose(voters: readonly Member[], learners: readonly Member[]): number {
    const { membership } = this.#state;
    if (this.isUnderWay) return Refusal.IN_PROGRESS;
    const before = membership.configuration.voters;
    const isSame = before.length === voters.length &&
      before.every(({ node }) => memberOf(voters, node) !== null);
    const next = { voters, outgoing: isSame ? [] : before, learners };
    if (!isValid(next) || !this.#keepsIncarnations(next)) return Refusal.INVALID;
    for (const { node } of voters) {
      if (memberOf(before, node) === null && !this.isCaughtUp(node)) return Refusal.NOT_CAUGHT_UP;
    }
    return this.#append(next);
  }

  /** Writes down that this node is the only member; returns whether the log took it. */
  force(): boolean {
    const { node, incarnation } = this.#state;
    return this.#append({ voters: [{ node, incarnation }], outgoing: [], learners: [] }) >= 0;
  }

  /** Goes back to the voters before a joint configuration. */
  cancel(): number {
    const { configuration, isJoint } = this.#state.membership;
    if (!isJoint) return Refusal.NOTHING_TO_CANCEL;
    const { voters, outgoing, learners } = configuration;
    const rest = [...voters, ...learners].filter(({ node }) => memberOf(outgoing, node) === null);
    return this.#append({ voters: outgoing, outgoing: voters, learners: rest });
  }

  /** A member keeps its incarnation; whoever lost its disk is removed first, and added as another. */
  #keepsIncarnations({ voters, learners }: Configuration): boolean {
    const { configuration } = this.#state.membership;
    const known = [...configuration.voters, ...configuration.learners];
    return [...voters, ...learners].every(({ node, incarnation }) =>
      (memberOf(known, node)?.incarnation ?? incarnation) === incarnation
    );
  }

  /** The peer has what the log had about an election timeout ago. */
  isCaughtUp(node: number): boolean {
    const state = this.#state;
    const peer = state.membership.peerOf(node);
    if (peer === null) return node === state.node;
    return peer.match >= Math.min(this.#lastIndexBefore, state.log.lastIndex);
  }

  #append(configuration: Configuration): number {
    const state = this.#state;
    const payload = encodeConfiguration(configuration);
    const index = state.effects.appendMeta(RaftMeta.CONFIGURATION, state.term, payload);
    if (index < 0) state.noteRefusal(index);
    else state.loadConfiguration();
    return index;
  }
}

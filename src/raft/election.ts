/**
 * Campaigns and votes.
 *
 * A campaign has two rounds. The first asks whether the voters would vote (`pre`): it changes no term anywhere, so a
 * node that was cut off disturbs nobody. The second is Raft's own: a new term and the own vote are made durable,
 * then votes are asked for. A voter says no in both as long as it hears a leader (or is quiet, and connected to it),
 * unless that leader asked for the campaign itself.
 *
 * A vote is answered when it is durable, and the candidate counts its own when that is durable. Requests leave sooner,
 * as soon as the candidate's log is durable: a candidate that forgets its term may ask again in the same one, and be
 * given the votes of before. It must not have a shorter log then.
 *
 * Where the leader hands over, the votes have been written ahead (`ballot.ts`): nothing has to be waited for.
 *
 * @module
 */

import { NO_NODE } from "./ballot.ts";
import { forcedTerm } from "./forced.ts";
import { type GroupState, Role } from "./group_state.ts";
import { CAMPAIGN_BACKOFF_MAX, FIRST_ROUNDS_MAX, TERM_MAX } from "./limits.ts";
import { MessageKind, type RaftMessage } from "./message.ts";
import type { Peer } from "./peer.ts";

export class Election {
  readonly #state: GroupState;
  /** A vote that is answered when it is durable. */
  #voteOwedTo = NO_NODE;
  #isTransfer = false;
  #hasAsked = false;

  constructor(state: GroupState) {
    this.#state = state;
  }

  /** Its leader asked this node to campaign. */
  get isTransfer(): boolean {
    return this.#isTransfer;
  }

  get #mayCampaign(): boolean {
    const state = this.#state;
    return state.isEligible && state.isAble && !state.isCutting &&
      state.ballot.freeTerm <= TERM_MAX;
  }

  /** The time for an election has come. */
  tick(nowMs: number): void {
    const state = this.#state;
    if (state.role === Role.LEADER || nowMs < state.electionAtMs) return;
    // A candidate whose own disk is slow gains nothing by another term.
    const isWriting = state.role === Role.CANDIDATE && !state.ballot.isDurable;
    if (!state.isEligible) state.electionAtMs = Infinity;
    else if (!this.#mayCampaign || isWriting) {
      state.scheduleElection(nowMs, state.timing.electionMs);
      if (!state.isAble && state.leaderId === NO_NODE) this.#disclaim();
    } else if (state.membership.isAlone) this.campaign(nowMs, false);
    else this.#preCampaign(nowMs);
  }

  /** Quiet peers may believe that this node leads: one that campaigns, as it were, does not. */
  #disclaim(): void {
    const { lastIndex, lastTerm } = this.#state.log;
    this.#ask(lastIndex, lastTerm, true);
  }

  #preCampaign(nowMs: number): void {
    const state = this.#state;
    const { log, membership, timing } = state;
    const rounds = Math.min(2 ** Math.min(state.failedCampaigns, 10), CAMPAIGN_BACKOFF_MAX);
    state.failedCampaigns++;
    state.isQuiet = false;
    state.setLeader(NO_NODE);
    state.heirId = NO_NODE;
    state.role = Role.PRE_CANDIDATE;
    // Asking again soon harms nobody: it is for voters that learn of the leader's end a moment later. Then ever more
    // rarely, and by chance: two that ask at the same time do not do so again. Of a group that has just been made others hear a
    // little later.
    const waitMs = rounds === 1 || (state.isNew && state.failedCampaigns <= FIRST_ROUNDS_MAX)
      ? timing.heartbeatMs
      : (timing.electionMs * rounds) / 4 + state.random.nextBelow((timing.electionMs * rounds) / 4);
    state.scheduleElection(nowMs, waitMs);
    this.#forgetGrants();
    this.#ask(log.lastIndex, log.lastTerm, true);
    if (membership.isElected) this.campaign(nowMs, false);
  }

  /**
   * Begins a term with this node as candidate.
   *
   * @param isTransfer the leader asked for it: voters need not have lost it
   * @param isForced the group goes on with this member alone
   */
  campaign(nowMs: number, isTransfer: boolean, isForced = false): void {
    const state = this.#state;
    if (!this.#mayCampaign) return;
    const { ballot } = state;
    // A vote that is written ahead for this node is what the term begins with; one for another node is not taken back.
    const next = ballot.isAheadFor(state.node) ? ballot.term + 1 : ballot.freeTerm;
    const first = ballot.term === 0 ? Math.max(next, state.termFloor + 1) : next;
    state.enterTerm(isForced ? forcedTerm(first - 1, state.node) : first);
    ballot.cast(state.node);
    state.role = Role.CANDIDATE;
    state.heirId = NO_NODE;
    state.scheduleElection(nowMs, state.timing.electionMs);
    this.#voteOwedTo = NO_NODE;
    this.#isTransfer = isTransfer;
    this.#hasAsked = false;
    this.#forgetGrants();
  }

  #forgetGrants(): void {
    for (const peer of this.#state.membership.peers) {
      peer.hasGranted = false;
      peer.hasRefused = false;
    }
  }

  #ask(lastIndex: number, lastTerm: number, pre: boolean): void {
    const state = this.#state;
    for (const peer of state.membership.peers) {
      if (peer.isLearner) continue;
      const request = state.message(MessageKind.VOTE_REQUEST);
      if (pre) request.term++;
      request.index = lastIndex;
      request.indexTerm = lastTerm;
      request.pre = pre;
      request.transfer = this.#isTransfer && !pre;
      state.send(peer.node);
    }
  }

  /**
   * Does what waited for the hard state.
   *
   * @returns whether this node is elected
   */
  proceed(): boolean {
    const state = this.#state;
    const { ballot, membership, log } = state;
    if (this.#voteOwedTo !== NO_NODE && ballot.isDurable) {
      const node = this.#voteOwedTo;
      this.#voteOwedTo = NO_NODE;
      this.#reply(node, true, false, ballot.term);
    }
    if (state.role !== Role.CANDIDATE) return false;
    // Nobody else is told of the term: that its record precedes all others is enough.
    if (membership.isAlone) return !ballot.isOwed;
    const isLogDurable = !ballot.isOwed && log.durableIndex >= log.lastIndex;
    if (!this.#hasAsked && (isLogDurable || ballot.isDurable)) {
      this.#hasAsked = true;
      this.#ask(log.lastIndex, log.lastTerm, false);
    }
    return ballot.isDurable && membership.isElected;
  }

  /** A role or a term ended. */
  forget(): void {
    this.#voteOwedTo = NO_NODE;
    this.#hasAsked = false;
    this.#isTransfer = false;
  }

  /** Somebody campaigns. That nobody else leads any more is also said by a leader that campaigns itself. */
  onRequest(request: RaftMessage, nowMs: number): void {
    const state = this.#state;
    const { ballot } = state;
    const { from, term, pre } = request;
    // Who does not remember what it did before must not vote at all.
    if (!state.isAble) return;
    if (from === state.leaderId) {
      state.setLeader(NO_NODE);
      state.isQuiet = false;
      state.heardMs = -Infinity;
      if (state.role === Role.FOLLOWER) state.scheduleElection(nowMs, state.timing.electionMs);
    }
    if (term < ballot.term) return this.#reply(from, false, pre, ballot.term);
    if (!request.transfer && state.isLeaderFresh(nowMs)) {
      return this.#reply(from, false, pre, ballot.term);
    }
    if (!pre && term > ballot.term) {
      this.forget();
      state.role = Role.FOLLOWER;
      state.enterTerm(term);
      state.scheduleElection(nowMs, state.timing.electionMs);
    }
    const isFree = term > ballot.term || ballot.isFreeFor(from);
    const isGranted = isFree && this.#isUpToDate(request);
    if (pre && isGranted) this.#yieldTo(from, nowMs);
    if (pre) return this.#reply(from, isGranted, true, isGranted ? term : ballot.term);
    if (!isGranted) return this.#reply(from, false, false, ballot.term);
    state.role = Role.FOLLOWER;
    ballot.cast(from);
    this.#voteOwedTo = from;
    state.scheduleElection(nowMs, state.timing.electionMs);
  }

  /** Of two that ask at the same time only the preferred one goes on: they would share the votes. */
  #yieldTo(node: number, nowMs: number): void {
    const state = this.#state;
    if (state.role !== Role.PRE_CANDIDATE || !state.membership.isPreferred(node)) return;
    state.role = Role.FOLLOWER;
    state.scheduleElection(nowMs, state.timing.heartbeatMs);
  }

  /** The candidate's log is at least as far as ours. */
  #isUpToDate(request: RaftMessage): boolean {
    const { lastTerm, lastIndex } = this.#state.log;
    return request.indexTerm > lastTerm ||
      (request.indexTerm === lastTerm && request.index >= lastIndex);
  }

  #reply(node: number, granted: boolean, pre: boolean, term: number): void {
    const state = this.#state;
    const reply = state.message(MessageKind.VOTE_REPLY);
    reply.term = term;
    reply.granted = granted;
    reply.pre = pre;
    state.send(node);
  }

  /** Votes were shared, or somebody else is elected: who cannot win any more asks again soon, in the order of ranks. */
  #onRefusal(peer: Peer, reply: RaftMessage, nowMs: number): void {
    const state = this.#state;
    if (reply.pre || state.role !== Role.CANDIDATE || peer.hasRefused) return;
    peer.hasRefused = true;
    if (state.membership.isRefused) state.scheduleElection(nowMs, 0);
  }

  /**
   * An answer to a request of ours; refusals of a later term have been dealt with.
   *
   * @returns whether this node is elected
   */
  onReply(reply: RaftMessage, nowMs: number): boolean {
    const state = this.#state;
    const { membership, ballot } = state;
    const peer = membership.peerOf(reply.from);
    if (peer === null || peer.incarnation !== reply.incarnation) return false;
    if (!reply.granted) {
      this.#onRefusal(peer, reply, nowMs);
      return false;
    }
    if (reply.pre) {
      if (state.role !== Role.PRE_CANDIDATE || reply.term !== ballot.term + 1) return false;
      peer.hasGranted = true;
      if (membership.isElected) this.campaign(nowMs, false);
      return false;
    }
    if (state.role !== Role.CANDIDATE || reply.term !== ballot.term) return false;
    peer.hasGranted = true;
    return ballot.isDurable && this.#hasAsked && membership.isElected;
  }
}

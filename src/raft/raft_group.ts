/**
 * One Raft group on one node: it decides, and does nothing itself.
 *
 * No clock, no socket, no disk, no chance: time comes in as a number (ms, of a clock that never goes back), the log
 * is looked at through {@linkcode RaftLog}, everything else goes out through {@linkcode RaftEffects}. The same inputs
 * give the same outputs. The protocol is in `docs/replication.md`.
 *
 *     raft_group.ts      the inputs; entering terms and changing roles
 *     election.ts        campaigns and votes            ballot.ts      term and vote, and whether they are durable
 *     following.ts       taking entries                 membership.ts  members, majorities
 *     leadership.ts      replicating and committing     peer.ts        how far one member is
 *     reads.ts, transfer.ts, configuration_change.ts    parts of leading
 *
 * **What a driver must do**
 *
 * 1. Once: `start`.
 * 2. Storage. After each change of `durableIndex` or `durableHardVersion`: `durable`. After a refusal, when the log
 *    takes something again: `writable`. After `RaftEffects.truncate`: `truncated` when the cut is durable; `failed`
 *    when the log fails, or an entry cannot be brought to the disk. While the disk is overdue: `stalled`.
 * 3. Leading. While {@linkcode RaftGroup.accepts} (which may be before `onLeading`), append to the log with {@linkcode RaftGroup.term} and call
 *    `appended` afterwards (once for many appends). Each call of `replicate` is answered by `sent` or `unsent`, now
 *    or later; each `sendSnapshot` by `snapshotSent` or `unsent`.
 * 4. Following. An APPEND frame is validated (its batches are whole and sound, its configurations can be decoded),
 *    its entries are listed in {@linkcode AppendRuns}, and `stepAppend` returns the first entry to append, or
 *    {@linkcode NOTHING}. Then: append from there on (a batch boundary) until the end or a refusal, and call
 *    `received` at once. A frame that is not taken whole is dropped, and the leader sends again what is missing; or the
 *    driver keeps it, says so, and hands it to `stepAppend` again before any other of its leader.
 *    A SNAPSHOT goes to `stepSnapshot`; if that returns true, the log is reset, and then: `truncated`.
 * 5. Other messages go to `step`. A message belongs to a group; `from` and `incarnation` are those of the connection
 *    that it came over.
 * 6. Connections. `peerDown` when the connection *to* a node breaks or cannot be made, and when the node's sign of
 *    life is overdue; `peerUp` when it is there (again). Peers count as connected until then. A quiet follower relies
 *    on it: it has no other way to learn that its leader is gone. Nothing is sent to a peer that is down, except
 *    requests for votes; so the driver makes the connection again by itself.
 * 7. Time. `slept` before other inputs when the node did not run. `tick` at `deadlineMs` (not needed earlier, harmless at any time). `onDeadline` says that it moved forward;
 *    after a tick it may have moved back. A group without work has no deadline.
 *
 * Every input may call any effect. Nothing is allocated on the way of an append: `appended`, `durable`, `sent`,
 * `stepAppend`, `received` and replies to them.
 *
 * **What may be told to clients**: entries up to {@linkcode RaftGroup.commitIndex}. On a leader the commit may be
 * ahead of its own disk, when others were faster.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import type { AppendRuns } from "./append_runs.ts";
import { NO_NODE } from "./ballot.ts";
import type { Configuration, Member } from "./configuration.ts";
import { ConfigurationChange } from "./configuration_change.ts";
import { Election } from "./election.ts";
import { Following, NOTHING } from "./following.ts";
import { GroupState, type RaftGroupOptions, Role } from "./group_state.ts";
import { Leadership } from "./leadership.ts";
import { MessageKind, RaftMessage } from "./message.ts";
import type { Peer } from "./peer.ts";
import { Refusal } from "./refusal.ts";

export class RaftGroup {
  readonly #state: GroupState;
  readonly #election: Election;
  readonly #following: Following;
  readonly #leadership: Leadership;
  readonly #change: ConfigurationChange;
  readonly #header = new RaftMessage();

  constructor(options: RaftGroupOptions) {
    const state = new GroupState(options);
    this.#state = state;
    this.#election = new Election(state);
    this.#following = new Following(state);
    this.#change = new ConfigurationChange(state);
    this.#leadership = new Leadership(state, this.#change);
  }

  // What is known.

  get term(): number {
    return this.#state.term;
  }

  get role(): Role {
    return this.#state.role;
  }

  /** Who leads the term, as far as known: this node, another one, or -1. */
  get leaderId(): number {
    return this.#state.leaderId;
  }

  get commitIndex(): number {
    return this.#state.commitIndex;
  }

  /** Elected, and an entry of its own term is committed: clients may be served once that is applied. */
  get isLeading(): boolean {
    return this.#leadership.isCommitted;
  }

  /**
   * Elected, and the own entry of the term is in the log. What is appended from now on is committed with it; before that, nothing may
   * be told to clients.
   */
  get isOpen(): boolean {
    return this.#leadership.isOpen;
  }

  /** The driver may append: {@linkcode RaftGroup.isOpen}, and leadership is not being handed over. */
  get accepts(): boolean {
    return this.#leadership.isOpen && !this.#leadership.transfer.isClosing;
  }

  /** The node to which this one has handed leadership over, if it does not know yet who leads; -1: there is none. */
  get heirId(): number {
    return this.#state.leaderId === NO_NODE ? this.#state.heirId : NO_NODE;
  }

  /** The term that {@linkcode RaftGroup.heirId} is to begin. */
  get heirTerm(): number {
    return this.#state.heirTerm;
  }

  /** Leadership is about to be handed to this node. */
  get isHeir(): boolean {
    return this.#state.ballot.isAheadFor(this.#state.node);
  }

  /** When this node was elected, if no entry of its own term is committed yet; else -Infinity (ms). */
  get openingSinceMs(): number {
    return this.#leadership.openingSinceMs;
  }

  /** Leadership is being handed over; afterwards another one leads, or it failed. */
  get isTransferring(): boolean {
    return this.#leadership.transfer.isUnderWay;
  }

  /** The configuration in force, committed or not. */
  get configuration(): Configuration {
    return this.#state.membership.configuration;
  }

  /**
   * The group went on by force ({@linkcode RaftGroup.force}) elsewhere, without entries that were committed here: this log
   * is not the group's any more. The replica neither votes nor acknowledges, and does not come back: it has to be replaced.
   */
  get isOverruled(): boolean {
    return this.#state.isOverruled;
  }

  /** This replica belongs to the group, in the life in which the configuration names its node. */
  get isMember(): boolean {
    return this.#state.membership.isMember;
  }

  /** No change of the configuration is under way. */
  get isConfigurationSettled(): boolean {
    return !this.#change.isUnderWay;
  }

  /** When {@linkcode RaftGroup.tick} is needed next (ms); Infinity when nothing is due. */
  get deadlineMs(): number {
    return this.#state.deadlineMs;
  }

  /** Without work: no heartbeats are sent or expected. */
  get isQuiet(): boolean {
    const { role, isQuiet, membership } = this.#state;
    return role === Role.LEADER ? membership.isQuiet : isQuiet;
  }

  /** A leader's knowledge of its peers, to be read only. */
  get peers(): readonly Peer[] {
    return this.#state.membership.peers;
  }

  /** A leader: the last entry that is durable on `copies` voters, this node's own disk included. */
  matchOfVoters(copies: number): number {
    const { ballot, log, membership } = this.#state;
    return membership.matchOfVoters(copies, ballot.isDurable ? log.durableIndex : 0);
  }

  /** A leader: nobody waits for what the node lacks. It does not vote, or it is behind and a majority is not. */
  isSpare(node: number, nowMs: number): boolean {
    return this.#state.membership.isSpare(node, nowMs);
  }

  /** A leader: whether the node could become a voter now. */
  isCaughtUp(node: number): boolean {
    return this.#leadership.isActive && this.#change.isCaughtUp(node);
  }

  /**
   * The header of an APPEND whose first entry follows `prevIndex`, which is in the log or its start. The object is
   * used again.
   */
  appendHeader(prevIndex: number): RaftMessage {
    const { log, commitIndex } = this.#state;
    return this.#fillHeader(MessageKind.APPEND, prevIndex, log.termAt(prevIndex), commitIndex);
  }

  /** The same of a SNAPSHOT whose last entry is `index`, of `indexTerm`. */
  snapshotHeader(index: number, indexTerm: number): RaftMessage {
    return this.#fillHeader(MessageKind.SNAPSHOT, index, indexTerm, 0);
  }

  #fillHeader(kind: MessageKind, index: number, indexTerm: number, commit: number): RaftMessage {
    const { node, incarnation, term, forcedIndex } = this.#state;
    const header = this.#header;
    header.clear(kind);
    header.from = node;
    header.incarnation = incarnation;
    header.term = term;
    header.index = index;
    header.indexTerm = indexTerm;
    header.commit = commit;
    header.forcedIndex = forcedIndex;
    return header;
  }

  // Inputs: time and storage.

  /**
   * Begins. Who needs nobody else's vote campaigns at once. In a group that has never had a leader nobody is to be waited for, and the
   * preferred one asks first, however much later than others it began.
   */
  start(nowMs: number): void {
    const state = this.#state;
    const isFirst = state.isNew && state.membership.rank(NO_NODE) === 0;
    state.scheduleElection(nowMs, isFirst ? 0 : state.timing.electionMs);
    if (state.membership.isElected) {
      state.electionAtMs = nowMs;
      this.#election.tick(nowMs);
    }
    this.#settle(nowMs);
  }

  tick(nowMs: number): void {
    const state = this.#state;
    if (nowMs < state.deadlineMs) return;
    state.deadlineMs = Infinity;
    if (state.role === Role.LEADER) this.#leadership.tick(nowMs);
    else this.#election.tick(nowMs);
    this.#settle(nowMs);
    if (state.role !== Role.LEADER) state.schedule(state.electionAtMs);
    // What the log refused is tried again even if no notice comes.
    if (state.ballot.isOwed) state.schedule(nowMs + state.timing.heartbeatMs);
  }

  /** This node did not run for a while: what others said meanwhile waits to be read, and nobody was asked anything. */
  slept(nowMs: number): void {
    if (this.#state.role === Role.LEADER) this.#leadership.slept(nowMs);
    else this.#state.slept(nowMs);
  }

  /** More of the log, or of the hard state, is durable. */
  durable(nowMs: number): void {
    if (this.#state.role === Role.LEADER) this.#leadership.durable(nowMs);
    else this.#following.durable();
    this.#settle(nowMs);
  }

  /** The log takes something again. */
  writable(nowMs: number): void {
    const state = this.#state;
    const hadFailed = state.isFailed;
    state.isFailed = false;
    this.#settle(nowMs);
    if (state.role === Role.LEADER) this.#leadership.open(nowMs);
    else if (hadFailed) this.#following.waitForHeartbeat();
    else if (state.leaderId >= 0) this.#following.goOn();
    this.#settle(nowMs);
  }

  /** The cut or reset that was asked for is durable. */
  truncated(nowMs: number): void {
    const state = this.#state;
    assert(state.isCutting, "nothing was to be cut");
    state.isCutting = false;
    state.loadConfiguration();
    if (state.role !== Role.LEADER && state.log.startIndex > state.commitIndex) {
      this.#following.onReset();
    }
    if (state.leaderId >= 0) this.#following.goOn();
    this.#settle(nowMs);
  }

  /**
   * The log failed, or a cut or reset of it: this replica does not vote, lead or acknowledge until `writable`. What
   * was to be cut is compared again then.
   */
  failed(nowMs: number): void {
    this.#state.isFailed = true;
    this.#state.isCutting = false;
    if (this.#state.role === Role.LEADER) this.#leadership.handOver(nowMs);
    this.#settle(nowMs);
  }

  /** The disk is overdue (true) or works again: meanwhile this replica neither votes nor leads. */
  stalled(isStalled: boolean, nowMs: number): void {
    this.#state.isStalled = isStalled;
    if (isStalled && this.#state.role === Role.LEADER) this.#leadership.handOver(nowMs);
    this.#settle(nowMs);
  }

  // Inputs: leading.

  /** The driver appended to the log, which it may do while {@linkcode RaftGroup.accepts}. */
  appended(nowMs: number): void {
    assert(this.#leadership.isOpen, "only a leader appends, after its own entry");
    this.#leadership.appended(nowMs);
  }

  /**
   * The answer to `replicate`: an append was sent.
   *
   * @param term that of its header
   * @param fromIndex as it was asked for; the append may begin earlier
   * @param lastIndex its last entry, at least `fromIndex`
   * @param bytes its size
   */
  sent(node: number, term: number, fromIndex: number, lastIndex: number, bytes: number): void {
    if (this.#leads(term)) this.#leadership.sent(node, fromIndex, lastIndex, bytes);
  }

  /**
   * What was asked for cannot be sent; it is tried again with the next heartbeat.
   *
   * @param fromIndex as it was asked for; 0: a snapshot
   * @param isGone the log does not have the whole of the first batch any more: a snapshot is needed
   */
  unsent(node: number, term: number, fromIndex: number, isGone: boolean): void {
    if (this.#leads(term)) this.#leadership.unsent(node, fromIndex, isGone);
  }

  /** A snapshot that covers everything up to `index` was sent. */
  snapshotSent(node: number, term: number, index: number, nowMs: number): void {
    if (this.#leads(term)) this.#leadership.snapshotSent(node, index, nowMs);
  }

  /**
   * Asks to confirm that this node leads; its `commitIndex` at this moment may be read from when `onRead` says so.
   * `onFollowing` says that it never will. A group of one confirms before this returns.
   *
   * @returns a ticket, or a refusal
   */
  requestRead(nowMs: number): number {
    if (!this.#leadership.isActive) return Refusal.NOT_LEADER;
    if (!this.#leadership.isCommitted) return Refusal.NOT_READY;
    const ticket = this.#leadership.read(nowMs);
    this.#settle(nowMs);
    return ticket;
  }

  /**
   * Hands leadership to a voter. `onFollowing` reports that it has gone, and again who leads; `onLeading` comes again when it
   * did not go after appends were held back.
   *
   * @returns 0 or a refusal
   */
  transfer(node: number, nowMs: number): number {
    const state = this.#state;
    if (!this.#leadership.isActive) return Refusal.NOT_LEADER;
    if (!this.#leadership.isCommitted) return Refusal.NOT_READY;
    if (node === state.node) return 0;
    if (state.membership.peerOf(node)?.isVoter !== true) return Refusal.INVALID;
    this.#leadership.transferTo(node, nowMs);
    this.#settle(nowMs);
    return 0;
  }

  /**
   * Changes who belongs to the group. New voters must be learners that have caught up
   * ({@linkcode RaftGroup.isCaughtUp}); the first voter is the preferred leader.
   *
   * @returns the index of the entry, or a refusal
   */
  proposeConfiguration(
    voters: readonly Member[],
    learners: readonly Member[],
    nowMs: number,
  ): number {
    if (!this.#leadership.isActive) return Refusal.NOT_LEADER;
    if (!this.#leadership.isCommitted) return Refusal.NOT_READY;
    return this.#configured(this.#change.propose(voters, learners), nowMs);
  }

  /**
   * Makes this member the only voter, whoever the others were: for a group whose majority is lost for good, because somebody
   * decided so. A learner may be all that is left. What only the others have is lost; what this log has is kept, committed or not. `onLeading` follows
   * when that is durable; if this replica is restarted before, it is to be asked again.
   *
   * @returns 0 or a refusal
   */
  force(nowMs: number): number {
    const state = this.#state;
    if (!state.isAble || state.isCutting) return Refusal.NOT_READY;
    if (!state.membership.isMember) return Refusal.INVALID;
    const leadership = this.#leadership;
    const isAskedAgain = leadership.isForced;
    if (!isAskedAgain && state.role === Role.LEADER) {
      // Others may have been elected in a later term, and follow nobody of an earlier one.
      leadership.resign(nowMs);
      this.#settle(nowMs);
    }
    state.membership.takeOver();
    leadership.isForced = true;
    if (state.role === Role.LEADER) leadership.open(nowMs);
    else this.#election.campaign(nowMs, false, !isAskedAgain);
    this.#settle(nowMs);
    return 0;
  }

  /** Goes back to the voters before a joint configuration, while that is not left. */
  cancelConfiguration(nowMs: number): number {
    if (!this.#leadership.isActive) return Refusal.NOT_LEADER;
    if (!this.#leadership.isCommitted) return Refusal.NOT_READY;
    return this.#configured(this.#change.cancel(), nowMs);
  }

  #configured(index: number, nowMs: number): number {
    if (index >= 0) this.#leadership.configured(nowMs);
    this.#settle(nowMs);
    return index;
  }

  // Inputs: connections.

  /** Messages to the node arrive (again). */
  peerUp(node: number, nowMs: number): void {
    const state = this.#state;
    const peer = state.membership.peerOf(node);
    if (peer === null || peer.isUp) return;
    peer.isUp = true;
    if (state.role === Role.LEADER) this.#leadership.speakTo(peer, nowMs);
    else if (state.leaderId < 0 && state.isEligible && state.failedCampaigns > 0) {
      // A majority may be there now.
      state.failedCampaigns = 0;
      state.scheduleElection(nowMs, state.timing.heartbeatMs);
    }
    this.#settle(nowMs);
  }

  /**
   * The node is not heard any more, or cannot be reached: if it leads, somebody else must.
   *
   * @param delayMs before a campaign, where very many groups lose their leaders at the same time
   */
  peerDown(node: number, nowMs: number, delayMs = 0): void {
    const state = this.#state;
    const peer = state.membership.peerOf(node);
    if (peer !== null && peer.isUp) {
      peer.isUp = false;
      if (state.role === Role.LEADER) this.#leadership.peerDown(peer, nowMs);
    }
    const isHeir = node === state.heirId;
    if (isHeir) state.heirId = NO_NODE;
    if ((isHeir || node === state.leaderId) && state.role !== Role.LEADER) {
      state.scheduleElection(nowMs, delayMs);
      state.setLeader(NO_NODE);
      state.isQuiet = false;
      state.heardMs = -Infinity;
    }
    this.#settle(nowMs);
  }

  // Inputs: messages.

  /** A message other than APPEND and SNAPSHOT. */
  step(message: RaftMessage, nowMs: number): void {
    const { kind, from, term } = message;
    const state = this.#state;
    if (state.isFromBefore(term)) return;
    if (kind === MessageKind.VOTE_REQUEST) {
      this.#election.onRequest(message, nowMs);
      if (state.role === Role.LEADER) this.#leadership.onVoteRequest(from, nowMs);
    } else if (term > state.term && !(kind === MessageKind.VOTE_REPLY && message.granted)) {
      this.#enterTerm(term, nowMs);
    }
    if (kind === MessageKind.VOTE_REPLY) {
      if (this.#election.onReply(message, nowMs)) {
        this.#leadership.begin(nowMs, this.#election.isTransfer);
      }
    } else if (kind === MessageKind.HEARTBEAT) {
      if (this.#hears(message, nowMs)) this.#following.onHeartbeat(message);
      else if (term < state.term) state.replyStale(from);
    } else if (term === state.term) {
      if (state.role === Role.LEADER) this.#onReply(message, nowMs);
      else if (kind === MessageKind.TIMEOUT_NOW) this.#election.campaign(nowMs, true);
    }
    this.#settle(nowMs);
  }

  #onReply(message: RaftMessage, nowMs: number): void {
    const peer = this.#state.membership.peerOf(message.from);
    // An answer of the node's former life says nothing about its present disk.
    if (peer === null || peer.incarnation !== message.incarnation) return;
    if (message.kind === MessageKind.APPEND_REPLY) {
      this.#leadership.onAppendReply(peer, message, nowMs);
    } else if (message.kind === MessageKind.HEARTBEAT_REPLY) {
      this.#leadership.onHeartbeatReply(peer, message, nowMs);
    }
  }

  /**
   * An APPEND.
   *
   * @param runs the entries in it
   * @returns the first entry to append, with `received` to follow, or {@linkcode NOTHING}
   */
  stepAppend(message: RaftMessage, runs: AppendRuns, nowMs: number): number {
    const state = this.#state;
    if (!runs.isSound(message.indexTerm, message.term)) return NOTHING;
    if (state.isFromBefore(message.term)) return NOTHING;
    if (message.term > state.term) this.#enterTerm(message.term, nowMs);
    let first: number = NOTHING;
    if (this.#hears(message, nowMs)) {
      // The record of the term comes before those of its entries.
      state.ballot.save();
      first = this.#following.append(message, runs);
    } else if (message.term < state.term) state.replyStale(message.from);
    if (first === NOTHING) this.#settle(nowMs);
    return first;
  }

  /**
   * What `stepAppend` asked for has been appended, as far as the log took it.
   *
   * @param isFull it took no more because the disk is full
   * @param comesAgain the driver keeps the append, and hands it over again when the log takes more
   */
  received(nowMs: number, isFull = false, comesAgain = false): void {
    this.#state.isFull = isFull;
    this.#following.received(comesAgain);
    this.#settle(nowMs);
  }

  /**
   * A SNAPSHOT.
   *
   * @returns whether the driver must reset its log to it, with `truncated` to follow; otherwise it is dropped
   */
  stepSnapshot(message: RaftMessage, nowMs: number): boolean {
    const state = this.#state;
    if (state.isFromBefore(message.term)) return false;
    if (message.term > state.term) this.#enterTerm(message.term, nowMs);
    let isNeeded = false;
    if (this.#hears(message, nowMs)) {
      state.ballot.save();
      isNeeded = this.#following.onSnapshot(message);
    } else if (message.term < state.term) state.replyStale(message.from);
    this.#settle(nowMs);
    return isNeeded;
  }

  #leads(term: number): boolean {
    return this.#state.role === Role.LEADER && term === this.#state.term;
  }

  /** Whether a message comes from the leader of this term, which it then was heard of. */
  #hears(message: RaftMessage, nowMs: number): boolean {
    const state = this.#state;
    if (message.term !== state.term || state.role === Role.LEADER) return false;
    if (state.leaderId !== message.from) {
      state.role = Role.FOLLOWER;
      state.setLeader(message.from);
      this.#election.forget();
      this.#following.begin();
    }
    state.role = Role.FOLLOWER;
    state.hearLeader(nowMs);
    return true;
  }

  #enterTerm(term: number, nowMs: number): void {
    const state = this.#state;
    state.role = Role.FOLLOWER;
    state.enterTerm(term);
    this.#election.forget();
    this.#following.begin();
    state.scheduleElection(nowMs, state.timing.electionMs);
  }

  /** Brings the group in order after an input: what is owed to the log, what waited for it, notices. */
  #settle(nowMs: number): void {
    const state = this.#state;
    if (!state.ballot.save()) state.noteRefusal(state.ballot.refusal);
    if (this.#election.proceed()) this.#leadership.begin(nowMs, this.#election.isTransfer);
    if (state.role !== Role.LEADER && this.#leadership.isActive) {
      this.#leadership.end();
      this.#following.begin();
    }
    state.notify();
  }
}

export { NOTHING, Role };
export type { RaftGroupOptions };

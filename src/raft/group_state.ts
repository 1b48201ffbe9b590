/**
 * What the parts of a group share: its role, its commit, its clock's next ring, and how it changes between roles.
 *
 *     FOLLOWER → PRE_CANDIDATE → CANDIDATE → LEADER        each → FOLLOWER
 *
 * Notices to the driver (`onFollowing`, `onCommit`, ...) are gathered here and given last, when the group is in
 * order again; so whoever is notified may call back.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import type { Random } from "../base/prng.ts";
import { Ballot, NO_NODE } from "./ballot.ts";
import { decodeConfiguration } from "./configuration.ts";
import { Membership } from "./membership.ts";
import { MessageKind, Outcome, RaftMessage } from "./message.ts";
import type { Configuration, Member } from "./configuration.ts";
import { BEATS_OF_DISCONNECTED, type RaftTiming, SLEEPS_EXCUSED_MAX } from "./limits.ts";
import {
  type RaftEffects,
  type RaftLog,
  REFUSED_FAILED,
  type StoredConfiguration,
} from "./raft_log.ts";

export const Role = { FOLLOWER: 0, PRE_CANDIDATE: 1, CANDIDATE: 2, LEADER: 3 } as const;
export type Role = typeof Role[keyof typeof Role];

/** What a group is made of. */
export interface RaftGroupOptions {
  readonly self: Member;
  readonly log: RaftLog;
  readonly effects: RaftEffects;
  readonly random: Random;
  readonly timing: RaftTiming;
  /** In force until the log has a configuration. */
  readonly configuration: Configuration;
  /** Terms begin above it; 0 for a group that replaces no other. */
  readonly termFloor: number;
  /** Known to be committed, from before a restart. */
  readonly commitIndex: number;
  /** What is committed has effects outside the log, which stay when entries are cut off. */
  readonly isActedUpon?: boolean;
}

export class GroupState {
  readonly node: number;
  readonly incarnation: number;
  readonly log: RaftLog;
  readonly effects: RaftEffects;
  readonly random: Random;
  readonly timing: RaftTiming;
  readonly termFloor: number;
  readonly ballot: Ballot;
  readonly membership: Membership;
  readonly #initial: Configuration;
  readonly #out = new RaftMessage();

  role: Role = Role.FOLLOWER;
  /** Who leads the term, this node included; {@linkcode NO_NODE} when unknown. */
  leaderId = NO_NODE;
  commitIndex: number;
  /** A truncation or a reset is under way: the log takes nothing, and none of it is acknowledged. */
  isCutting = false;
  /** The disk is overdue. */
  isStalled = false;
  /** The last append was refused because the disk is full: the leader is told. */
  isFull = false;
  /** The log failed, until it is writable again. */
  isFailed = false;
  /**
   * The group went on without entries that were committed here: this log is not the group's any more. It takes part in nothing,
   * for as long as it is there.
   */
  isOverruled = false;
  /** See {@linkcode RaftMessage.forcedIndex}: of this log, known while it leads. */
  forcedIndex = 0;
  /** Entries up to here may have been acted upon, before a restart. */
  actedIndex: number;

  /** When the leader of this term was heard last. */
  heardMs = -Infinity;
  /** All is said, and the leader knows it: no heartbeats are expected as long as its node is connected. */
  isQuiet = false;
  electionAtMs = Infinity;
  /** Campaigns in a row that found no majority. */
  failedCampaigns = 0;
  /** How often this node slept since it heard its leader, or, as the leader, a majority. */
  #timesAsleep = 0;
  /** To whom this node handed leadership over, until it hears who leads; and the term which that one is to begin. */
  heirId = NO_NODE;
  heirTerm = 0;
  /** When `tick` is needed next. */
  deadlineMs = Infinity;

  #mustTellFollowing = false;
  #mustTellCommit = false;
  #mustTellLeading = false;
  #mustTellConfiguration = false;
  #readToTell = 0;

  constructor(options: RaftGroupOptions) {
    const { self, log } = options;
    this.node = self.node;
    this.incarnation = self.incarnation;
    this.log = log;
    this.effects = options.effects;
    this.random = options.random;
    this.timing = options.timing;
    this.termFloor = options.termFloor;
    this.#initial = options.configuration;
    this.commitIndex = Math.max(log.startIndex, Math.min(options.commitIndex, log.durableIndex));
    this.actedIndex = options.isActedUpon === true ? log.lastIndex : 0;
    this.ballot = new Ballot(log, options.effects);
    this.membership = new Membership(self, options.configuration);
    this.loadConfiguration();
    this.#mustTellConfiguration = true;
  }

  get term(): number {
    return this.ballot.term;
  }

  /** Nothing is known of any leader: the log is empty, and no vote was given. */
  get isNew(): boolean {
    return this.ballot.term === 0 && this.log.lastIndex === 0;
  }

  /** May vote and lead: its disk works, and what it remembers is all there. */
  get isAble(): boolean {
    return !this.isStalled && this.isSound;
  }

  /** Its log is whole, and the group's. */
  get isSound(): boolean {
    return !this.isFailed && !this.log.suspect && !this.isOverruled;
  }

  /** The cleared message that is sent next. */
  message(kind: MessageKind): RaftMessage {
    const out = this.#out;
    out.clear(kind);
    out.from = this.node;
    out.incarnation = this.incarnation;
    out.term = this.ballot.term;
    return out;
  }

  send(node: number): void {
    this.effects.send(node, this.#out);
  }

  /** The node leads a term that is over. */
  replyStale(node: number): void {
    this.message(MessageKind.APPEND_REPLY).outcome = Outcome.STALE;
    this.send(node);
  }

  /**
   * Whether a message of that term comes from a member of before. Where this is the only voter, nobody else was elected in
   * a later term: whoever says so has missed that this replica was made the only one (`RaftGroup.force`).
   */
  isFromBefore(term: number): boolean {
    const { membership, commitIndex } = this;
    return term > this.term && membership.isSole && membership.index <= commitIndex;
  }

  /** Asks to be ticked at `atMs`, unless that is so already. */
  schedule(atMs: number): void {
    if (atMs >= this.deadlineMs) return;
    this.deadlineMs = atMs;
    this.effects.onDeadline(atMs);
  }

  /** The next campaign, if nothing happens before. */
  scheduleElection(nowMs: number, waitMs: number): void {
    const { timing, membership } = this;
    const rankMs = membership.rank(this.leaderId) * timing.rankMs;
    this.electionAtMs = nowMs + waitMs + rankMs + this.random.nextBelow(timing.spreadMs + 1);
    this.schedule(this.electionAtMs);
  }

  /** The leader was heard: nobody else needs to lead. */
  hearLeader(nowMs: number): void {
    this.heardMs = nowMs;
    this.isQuiet = false;
    this.failedCampaigns = 0;
    this.#timesAsleep = 0;
    this.scheduleElection(nowMs, this.leaderMs);
  }

  /** A follower whose node did not run has not listened. */
  slept(nowMs: number): void {
    const sooner = this.leaderId !== NO_NODE && this.electionAtMs < nowMs + this.excuseMs;
    if (sooner && this.isExcused()) this.scheduleElection(nowMs, this.excuseMs);
  }

  /** Whether what was not heard may be this node's own fault; a few times. */
  isExcused(): boolean {
    return ++this.#timesAsleep <= SLEEPS_EXCUSED_MAX;
  }

  awake(): void {
    this.#timesAsleep = 0;
  }

  /** For so long others are given time to be heard (ms). */
  get excuseMs(): number {
    return BEATS_OF_DISCONNECTED * this.timing.heartbeatMs;
  }

  /**
   * How long a leader is believed in that says nothing. What is heard of one whose connection is broken may have been on
   * its way when it died.
   */
  get leaderMs(): number {
    const { timing, leaderId } = this;
    const isUp = this.membership.peerOf(leaderId)?.isUp ?? true;
    return isUp ? timing.electionMs : timing.heartbeatMs * BEATS_OF_DISCONNECTED;
  }

  /** A leader of this term was heard within the election timeout, or is quiet and connected. */
  isLeaderFresh(nowMs: number): boolean {
    if (this.leaderId === NO_NODE) return false;
    if (this.role === Role.LEADER) return true;
    return this.isQuiet || nowMs - this.heardMs < this.leaderMs;
  }

  /** Notes who leads the present term. */
  setLeader(leaderId: number): void {
    if (leaderId !== NO_NODE) this.heirId = NO_NODE;
    if (this.leaderId === leaderId) return;
    this.leaderId = leaderId;
    this.#mustTellFollowing = true;
  }

  /** A later term began. */
  enterTerm(term: number): void {
    this.ballot.adopt(term);
    if (term > this.heirTerm) this.heirId = NO_NODE;
    this.leaderId = NO_NODE;
    this.heardMs = -Infinity;
    this.isQuiet = false;
    this.#mustTellFollowing = true;
  }

  /** Also when nothing changed but the right to lead. */
  tellFollowing(): void {
    this.#mustTellFollowing = true;
  }

  tellLeading(): void {
    this.#mustTellLeading = true;
  }

  tellRead(ticket: number): void {
    this.#readToTell = ticket;
  }

  commitTo(index: number): void {
    assert(index > this.commitIndex, "the commit index never goes back");
    assert(index <= this.log.lastIndex, "an entry is committed that is not in the log");
    this.commitIndex = index;
    this.#mustTellCommit = true;
  }

  /** Puts the log's last configuration in force. */
  loadConfiguration(): void {
    const { log, membership } = this;
    const stored = log.configurationAt(log.lastIndex);
    const index = stored?.index ?? 0;
    const configuration = this.#decoded(stored);
    const before = index === 0 ? configuration : this.#decoded(log.configurationAt(index - 1));
    // A peer's payload was decoded before it was appended; what a disk returned may be anything.
    if (configuration === null || before === null) this.isFailed = true;
    else {
      if (index !== membership.index) this.#mustTellConfiguration = true;
      membership.activate(configuration, index, before);
    }
  }

  #decoded(stored: StoredConfiguration | null): Configuration | null {
    return stored === null ? this.#initial : decodeConfiguration(stored.payload);
  }

  /**
   * May be elected: it votes by the configuration in force, or did by the one before, while the former is not
   * committed. Until then it may be the only one that has that entry, and the entries before it.
   */
  get isEligible(): boolean {
    const { membership } = this;
    return membership.isVoter || (membership.wasVoter && membership.index > this.commitIndex);
  }

  /** Takes note of a refusal of the log. */
  noteRefusal(refusal: number): void {
    if (refusal === REFUSED_FAILED) this.isFailed = true;
  }

  /** Gives the notices that have gathered. */
  notify(): void {
    const { effects } = this;
    if (this.#mustTellConfiguration) {
      this.#mustTellConfiguration = false;
      effects.onConfiguration(this.membership.configuration);
    }
    // A leader that resigns has committed first.
    if (this.#mustTellCommit) {
      this.#mustTellCommit = false;
      effects.onCommit(this.commitIndex);
    }
    if (this.#mustTellFollowing && this.role !== Role.LEADER) {
      this.#mustTellFollowing = false;
      effects.onFollowing(this.ballot.term, this.leaderId);
    }
    if (this.#mustTellLeading) {
      this.#mustTellLeading = false;
      if (this.role === Role.LEADER) effects.onLeading(this.ballot.term);
    }
    if (this.#readToTell > 0) {
      const ticket = this.#readToTell;
      this.#readToTell = 0;
      if (this.role === Role.LEADER) effects.onRead(ticket);
    }
  }
}

/**
 * What a replica does that does not lead: it takes entries, cuts off its own that differ, and acknowledges.
 *
 * It acknowledges what is durable here and equal to the leader's, nothing else. `matched` is the last entry known to
 * be equal, by a check against an entry before it. An entry that is equal in a term stays so for the rest of that term.
 *
 * What is committed here is in every leader's log, as long as the group does not go on by force (`forced.ts`). After that, a
 * leader may have other entries at the same indexes: the log of this replica is *overruled* then. It is not cut, because
 * what was done upon its entries cannot be undone so; somebody replaces the replica.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import type { AppendRuns } from "./append_runs.ts";
import { NO_NODE } from "./ballot.ts";
import type { GroupState } from "./group_state.ts";
import { TERM_MAX } from "./limits.ts";
import { MessageKind, Outcome, type RaftMessage } from "./message.ts";
import { lastAtMost } from "./raft_log_search.ts";

/** {@linkcode Following.append}: the driver has nothing to append. */
export const NOTHING = -1;

export class Following {
  readonly #state: GroupState;
  /** The last entry known to be equal to the leader's. */
  #matched: number;
  /** The last entry that was acknowledged to this leader. */
  #acknowledged = -1;
  /** The leader's commit, as far as it was heard. */
  #leaderCommit = 0;
  /** The last entry of the append that the driver is taking, or 0. */
  #arriving = 0;
  #hasConfiguration = false;
  /** The leader waits for a notice that the log takes something again. */
  #owesGoOn = false;
  /** Who is to lead next, of whom the leader waits to hear that the vote is durable. */
  #heirId = NO_NODE;

  constructor(state: GroupState) {
    this.#state = state;
    this.#matched = state.log.startIndex;
  }

  /** A term begins, or its leader is known: nothing has been compared with its log. */
  begin(): void {
    this.#matched = this.#state.log.startIndex;
    this.#acknowledged = -1;
    this.#leaderCommit = 0;
    this.#arriving = 0;
    this.#owesGoOn = false;
    this.#heirId = NO_NODE;
  }

  /** Entries are not even looked at. */
  get #isClosed(): boolean {
    const state = this.#state;
    return state.isCutting || !state.isSound || state.ballot.isOwed;
  }

  /** The leader is to wait until it is told to go on. */
  get #isBusy(): boolean {
    return this.#owesGoOn || this.#isClosed;
  }

  /** What may be acknowledged. */
  get #durable(): number {
    const { log, ballot, isSound } = this.#state;
    if (!ballot.isDurable || !isSound) return 0;
    return Math.min(log.durableIndex, this.#matched);
  }

  /** From where the leader goes on: what is committed here is equal, or the next append says that it is not. */
  get #accepted(): number {
    return Math.max(this.#matched, this.#state.commitIndex);
  }

  /**
   * An append of the leader: decides what of it is new.
   *
   * @returns the first entry that the driver must append, or {@linkcode NOTHING}
   */
  append(message: RaftMessage, runs: AppendRuns): number {
    const state = this.#state;
    const { log, commitIndex } = state;
    const prevIndex = message.index;
    if (this.#isClosed) return this.#refuse();
    if (prevIndex > log.lastIndex) {
      this.#reply(Outcome.CONFLICT, prevIndex, log.lastIndex, log.lastTerm);
      return NOTHING;
    }
    // The terms of what is before the log start are not known any more.
    if (prevIndex >= log.startIndex && log.termAt(prevIndex) !== message.indexTerm) {
      if (prevIndex <= commitIndex) return this.#overrule();
      const index = Math.max(commitIndex, lastAtMost(log, prevIndex - 1, message.indexTerm));
      this.#reply(Outcome.CONFLICT, prevIndex, index, log.termAt(index));
      return NOTHING;
    }
    this.#owesGoOn = false;
    this.#leaderCommit = Math.max(this.#leaderCommit, message.commit);
    const equal = Math.max(prevIndex, this.#lastEqual(runs));
    if (equal < log.lastIndex && equal < runs.lastIndex) {
      const isActedUpon = equal < message.forcedIndex && equal < state.actedIndex;
      if (equal < commitIndex || isActedUpon) return this.#overrule();
      this.#cut(equal);
      return NOTHING;
    }
    if (runs.lastIndex <= equal) {
      this.#match(runs.lastIndex);
      this.#acknowledged = -1;
      this.#acknowledge();
      return NOTHING;
    }
    this.#match(equal);
    this.#arriving = runs.lastIndex;
    this.#hasConfiguration = runs.hasConfiguration;
    return equal + 1;
  }

  /** The last entry of ours that is also one of the leader's; 0 when none of them is. */
  #lastEqual(runs: AppendRuns): number {
    const { log } = this.#state;
    let equal = 0;
    for (let run = 0; run < runs.count; run++) {
      const last = Math.min(runs.lastOf(run), log.lastIndex);
      const first = Math.max(runs.firstOf(run), log.startIndex + 1);
      if (first > last) {
        // All of the run is before the log start, or none of it is here.
        if (last >= runs.firstOf(run)) equal = last;
        continue;
      }
      const term = runs.termOf(run);
      if (log.termAt(first) !== term) return Math.max(equal, first - 1);
      equal = lastAtMost(log, last, term);
      if (equal < last) return equal;
    }
    return equal;
  }

  #cut(index: number): void {
    const state = this.#state;
    assert(index >= state.commitIndex, "committed entries are not cut off");
    this.#match(index);
    state.isCutting = true;
    state.actedIndex = Math.min(state.actedIndex, index);
    this.#refuse();
    state.effects.truncate(index);
  }

  /** The leader has other entries where some are committed here. */
  #overrule(): typeof NOTHING {
    this.#state.isOverruled = true;
    return this.#refuse();
  }

  /** Takes nothing now; the leader is notified when that is over. */
  #refuse(): typeof NOTHING {
    this.#owesGoOn = true;
    this.#reply(Outcome.BUSY, 0, 0, 0);
    return NOTHING;
  }

  /** The driver has appended what it could of the append, and perhaps keeps the rest. */
  received(comesAgain: boolean): void {
    const state = this.#state;
    assert(this.#arriving > 0, "no append was to be taken");
    const last = Math.min(this.#arriving, state.log.lastIndex);
    const isWhole = last === this.#arriving;
    this.#arriving = 0;
    if (this.#hasConfiguration) state.loadConfiguration();
    this.#match(last);
    if (!isWhole && !comesAgain) this.#refuse();
    this.#acknowledge();
  }

  /** Truncation or reset is done, or the log is writable: the leader may go on. */
  goOn(): void {
    if (!this.#owesGoOn || this.#isClosed) return;
    this.#owesGoOn = false;
    this.#reply(Outcome.OK, 0, 0, 0);
  }

  /** After a failure, the leader goes on no sooner than with its next heartbeat: the failure may come again. */
  waitForHeartbeat(): void {
    this.#owesGoOn = false;
  }

  /** More is durable. */
  durable(): void {
    this.#advance();
    this.#acknowledge();
    const { ballot, leaderId } = this.#state;
    if (leaderId !== NO_NODE && this.#heirId !== NO_NODE && ballot.isDurableFor(this.#heirId)) {
      this.#replyToHeartbeat(0, 0);
    }
  }

  /** The leader means to hand over: this node's vote is written before anybody asks for it. */
  #prepare(heirId: number): void {
    const { ballot, isAble, isCutting } = this.#state;
    if (!isAble || isCutting || ballot.freeTerm > TERM_MAX || !ballot.writeAhead(heirId)) return;
    this.#heirId = heirId;
  }

  onHeartbeat(message: RaftMessage): void {
    const state = this.#state;
    const { log } = state;
    // The leader never names more than this node acknowledged to it.
    const commit = Math.min(message.commit, log.lastIndex);
    if (!state.isCutting) this.#match(commit);
    this.#leaderCommit = Math.max(this.#leaderCommit, commit);
    this.#advance();
    if (message.transfer) this.#prepare(message.match);
    const isBusy = this.#isBusy;
    // Who is quiet relies on the connection to the leader.
    const isConnected = state.membership.peerOf(message.from)?.isUp ?? false;
    state.isQuiet = message.quiet && isConnected && !isBusy && message.index === log.lastIndex &&
      this.#durable === log.lastIndex && state.commitIndex === log.lastIndex;
    if (state.isQuiet) state.electionAtMs = Infinity;
    this.#replyToHeartbeat(message.index, message.token);
  }

  #replyToHeartbeat(index: number, token: number): void {
    const state = this.#state;
    const isBusy = this.#isBusy;
    const isWritten = this.#heirId !== NO_NODE && state.ballot.isDurableFor(this.#heirId);
    if (isWritten) this.#heirId = NO_NODE;
    const reply = state.message(MessageKind.HEARTBEAT_REPLY);
    reply.outcome = isBusy ? Outcome.BUSY : Outcome.OK;
    reply.full = isBusy && state.isFull;
    reply.match = this.#durable;
    reply.accepted = this.#accepted;
    reply.index = index;
    reply.token = token;
    reply.quiet = state.isQuiet;
    reply.transfer = isWritten;
    state.send(state.leaderId);
  }

  /**
   * The leader sends a snapshot.
   *
   * @returns whether the driver must reset the log to it
   */
  onSnapshot(message: RaftMessage): boolean {
    const state = this.#state;
    const { log } = state;
    // Emptied and filled, a damaged log would vote without what it once acknowledged.
    if (state.isCutting || state.ballot.isOwed || log.suspect || state.isOverruled) {
      this.#refuse();
      return false;
    }
    const { index, indexTerm } = message;
    if (index >= log.startIndex && log.termAt(index) !== indexTerm) {
      if (index <= state.commitIndex) {
        this.#overrule();
        return false;
      }
      state.isCutting = true;
      this.#refuse();
      return true;
    }
    // What it covers is here.
    this.#match(index);
    this.#leaderCommit = Math.max(this.#leaderCommit, index);
    this.#advance();
    this.#acknowledged = -1;
    this.#acknowledge();
    return false;
  }

  /** The log is what the snapshot says, durably. */
  onReset(): void {
    const state = this.#state;
    const { log } = state;
    if (log.startIndex > state.commitIndex) state.commitTo(log.startIndex);
    this.#match(log.startIndex);
    this.#acknowledged = -1;
    this.#owesGoOn = false;
    this.#acknowledge();
  }

  #match(index: number): void {
    if (index <= this.#matched) return;
    this.#matched = index;
    this.#advance();
  }

  /**
   * Commits what the leader has committed, and what is durable here. Of a log that lost something it is not known to be what this
   * node acknowledged: the leader still counts on that, and says how much of it is committed.
   */
  #advance(): void {
    const state = this.#state;
    if (state.log.suspect) return;
    const index = Math.min(this.#leaderCommit, this.#matched, state.log.durableIndex);
    if (index > state.commitIndex) state.commitTo(index);
  }

  #acknowledge(): void {
    const durable = this.#durable;
    if (durable <= this.#acknowledged || this.#state.leaderId < 0) return;
    this.#acknowledged = durable;
    this.#reply(this.#isBusy ? Outcome.BUSY : Outcome.OK, 0, 0, 0);
  }

  #reply(outcome: Outcome, prevIndex: number, index: number, indexTerm: number): void {
    const state = this.#state;
    const reply = state.message(MessageKind.APPEND_REPLY);
    reply.outcome = outcome;
    reply.full = outcome === Outcome.BUSY && state.isFull;
    reply.match = this.#durable;
    reply.accepted = this.#accepted;
    reply.prevIndex = prevIndex;
    reply.index = index;
    reply.indexTerm = indexTerm;
    state.send(state.leaderId);
  }
}

/**
 * What a leader does: it replicates, counts what is durable where, and stays leader only while a majority answers.
 *
 * A term opens with an entry of its own, the no-op. Entries commit when a majority made them durable and the last of
 * them is of this term; so the no-op is the first one to commit, with everything before it. This node's own disk is
 * one of those that are counted, no more.
 *
 * Heartbeats go to peers that are not *quiet*. A peer becomes quiet when nothing has been said for a while and it has
 * confirmed that it has everything. From then on the connection between the nodes vouches for the leader
 * (`peerDown`), and a group without work costs nothing.
 *
 * @module
 */

import { NO_NODE } from "./ballot.ts";
import type { ConfigurationChange } from "./configuration_change.ts";
import { FORCED_MARK } from "./forced.ts";
import { type GroupState, Role } from "./group_state.ts";
import { APPEND_BYTES_MAX, PEER_WINDOW_BYTES, PROBE_BYTES, SNAPSHOT_RETRY_MS } from "./limits.ts";
import { MessageKind, Outcome, type RaftMessage } from "./message.ts";
import { type Peer, PeerState } from "./peer.ts";
import { RaftMeta } from "./raft_log.ts";
import { lastAtMost } from "./raft_log_search.ts";
import { Reads } from "./reads.ts";
import { Transfer } from "./transfer.ts";

const NO_PAYLOAD = new Uint8Array(0);

export class Leadership {
  readonly #state: GroupState;
  readonly reads: Reads;
  readonly transfer: Transfer;
  readonly #change: ConfigurationChange;
  #isActive = false;
  /** When this leadership began (ms). */
  #beganMs = -Infinity;
  /** The own entry that opens the term; negative while the log has no room for it. */
  #noOpIndex = -1;
  #heartbeatAtMs = 0;
  #quorumAtMs = 0;
  /** When something was appended, or asked for, last. */
  #activityMs = 0;
  #hasQuiet = false;
  /** It was made the only voter, and the entries that say so are not in the log. */
  isForced = false;

  constructor(state: GroupState, change: ConfigurationChange) {
    this.#state = state;
    this.#change = change;
    this.reads = new Reads(state);
    this.transfer = new Transfer(state);
  }

  get isActive(): boolean {
    return this.#isActive;
  }

  /** The own entry of the term is in the log: others may follow it. */
  get isOpen(): boolean {
    return this.#isActive && this.#noOpIndex >= 0;
  }

  /** The own entry of the term is committed, and with it everything before. */
  get isCommitted(): boolean {
    return this.isOpen && this.#state.commitIndex >= this.#noOpIndex;
  }

  /** When this leadership began, if no entry of its own term is committed yet; else -Infinity (ms). */
  get openingSinceMs(): number {
    return this.#isActive && !this.isCommitted ? this.#beganMs : -Infinity;
  }

  /** @param isHandedOver the leader before asked for it: the peers' logs are most likely as long as this one */
  begin(nowMs: number, isHandedOver: boolean): void {
    const state = this.#state;
    const { log, membership, timing } = state;
    state.role = Role.LEADER;
    state.leaderId = state.node;
    state.isQuiet = false;
    state.electionAtMs = Infinity;
    state.failedCampaigns = 0;
    this.#isActive = true;
    this.#beganMs = nowMs;
    this.#noOpIndex = -1;
    this.#activityMs = nowMs;
    this.#hasQuiet = false;
    this.#quorumAtMs = nowMs + timing.electionMs;
    state.forcedIndex = log.forcedIndex;
    for (const peer of membership.peers) {
      peer.beginTerm(log.lastIndex, nowMs);
      // What is appended in the next moment is not to wait for the answer to a probe.
      if (isHandedOver && peer.isUp && peer.isVoter) peer.replicate(log.lastIndex + 1);
    }
    this.reads.begin();
    this.transfer.begin();
    this.#change.begin();
    this.open(nowMs);
    this.#sendHeartbeats(nowMs);
  }

  end(): void {
    this.#isActive = false;
    this.#noOpIndex = -1;
    this.reads.begin();
    this.transfer.begin();
    this.#change.begin();
  }

  /**
   * Stops leading within the term.
   *
   * @param waitMs until this node campaigns, unless it hears who leads
   */
  resign(nowMs: number, waitMs = this.#state.timing.electionMs): void {
    const state = this.#state;
    state.role = Role.FOLLOWER;
    state.setLeader(NO_NODE);
    state.heardMs = -Infinity;
    state.scheduleElection(nowMs, waitMs);
  }

  /** Stops leading, and asks the peer that has most to campaign at once. */
  handOver(nowMs: number): void {
    const state = this.#state;
    let best: Peer | null = null;
    for (const peer of state.membership.peers) {
      if (!peer.isVoter || !peer.isUp) continue;
      if (best === null || peer.match > best.match) best = peer;
    }
    if (best !== null) this.#handOverTo(best.node, nowMs);
    else this.resign(nowMs);
  }

  #handOverTo(node: number, nowMs: number): void {
    const state = this.#state;
    state.message(MessageKind.TIMEOUT_NOW);
    state.send(node);
    this.resign(nowMs, state.timing.electionMs / 2);
    state.heirId = node;
    state.heirTerm = state.term + 1;
  }

  /** Begins to hand leadership to a voter. */
  transferTo(node: number, nowMs: number): void {
    this.wake(nowMs);
    if (this.transfer.to(node, nowMs)) {
      for (const peer of this.#state.membership.peers) {
        if (peer.isUp && !peer.isLearner) this.#sendHeartbeat(peer, nowMs, node);
      }
    }
    this.schedule(nowMs);
    this.#proceedWithTransfer(nowMs);
  }

  /** Returns whether leadership has gone to another node. */
  #proceedWithTransfer(nowMs: number): boolean {
    const node = this.transfer.proceed(nowMs);
    if (node === NO_NODE) return false;
    this.#handOverTo(node, nowMs);
    return true;
  }

  /** Appends what the term opens with, and what a configuration change is to go on with. */
  open(nowMs: number): void {
    const state = this.#state;
    if (this.#noOpIndex < 0) {
      const payload = this.isForced ? FORCED_MARK : NO_PAYLOAD;
      const index = state.effects.appendMeta(RaftMeta.NO_OP, state.term, payload);
      if (index < 0) return state.noteRefusal(index);
      this.#noOpIndex = index;
      if (this.isForced) {
        state.forcedIndex = index;
        this.#writeForced();
      }
      this.appended(nowMs);
      return;
    }
    if (this.isForced) {
      if (this.#writeForced()) this.configured(nowMs);
    } else if (this.isCommitted && this.#change.proceed()) this.configured(nowMs);
  }

  #writeForced(): boolean {
    this.isForced = !this.#change.force();
    return !this.isForced;
  }

  /** The configuration changed, by an entry of this leader. */
  configured(nowMs: number): void {
    const { log, membership } = this.#state;
    for (const peer of membership.peers) {
      if (peer.heardMs === -Infinity) peer.beginTerm(log.lastIndex - 1, nowMs);
    }
    this.appended(nowMs);
    this.advance(nowMs);
    this.#keepHeartbeats(nowMs);
  }

  /** There is somebody to speak to again: heartbeats, and counts of who answers, start from now. */
  #keepHeartbeats(nowMs: number): void {
    const { timing } = this.#state;
    if (this.#heartbeatAtMs <= nowMs) this.#heartbeatAtMs = nowMs + timing.heartbeatMs;
    if (this.#quorumAtMs <= nowMs) this.#quorumAtMs = nowMs + timing.electionMs;
    this.schedule(nowMs);
  }

  /** The own log grew. */
  appended(nowMs: number): void {
    this.wake(nowMs);
    this.pumpAll();
  }

  /** Quiet peers are spoken to again. */
  wake(nowMs: number): void {
    this.#activityMs = nowMs;
    if (!this.#hasQuiet) return;
    this.#hasQuiet = false;
    for (const peer of this.#state.membership.peers) peer.endQuiet(nowMs);
    this.#keepHeartbeats(nowMs);
  }

  /** Counts what is durable where. */
  advance(nowMs: number): void {
    if (this.#noOpIndex < 0) return;
    const state = this.#state;
    const own = state.ballot.isDurable ? state.log.durableIndex : 0;
    const index = state.membership.matchOfMajority(own);
    if (index <= state.commitIndex || index < this.#noOpIndex) return;
    const wasCommitted = this.isCommitted;
    state.commitTo(index);
    if (!wasCommitted) state.tellLeading();
    if (this.#proceedWithTransfer(nowMs)) return;
    if (this.#change.isToProceed) this.open(nowMs);
    else if (this.#change.mustLeave) this.handOver(nowMs);
  }

  /** More is durable on this node: entries, or its vote for the next leader. */
  durable(nowMs: number): void {
    this.advance(nowMs);
    if (this.#state.role === Role.LEADER) this.#proceedWithTransfer(nowMs);
  }

  pumpAll(): void {
    const { peers } = this.#state.membership;
    for (let at = 0; at < peers.length; at++) this.pump(peers[at]!);
  }

  /** Has the driver send what the peer may get now. */
  pump(peer: Peer): void {
    const { log, effects } = this.#state;
    // A driver that sends at once reports it before `replicate` returns.
    while (peer.isUp && !peer.isReading && !peer.isBusy && peer.next <= log.lastIndex) {
      if (peer.state === PeerState.SNAPSHOT) return;
      if (peer.next <= log.startIndex) return this.#sendSnapshot(peer);
      let room = PROBE_BYTES;
      if (peer.state === PeerState.PROBE) {
        if (peer.probeLast > 0) return;
      } else {
        room = PEER_WINDOW_BYTES - peer.bytesInFlight;
        if (room <= 0 || peer.isWindowFull) return;
        room = Math.min(room, APPEND_BYTES_MAX);
      }
      peer.isReading = true;
      peer.readFrom = peer.next;
      effects.replicate(peer.node, peer.next, room);
    }
  }

  #sendSnapshot(peer: Peer): void {
    peer.awaitSnapshot();
    peer.isReading = true;
    peer.readFrom = 0;
    this.#state.effects.sendSnapshot(peer.node);
  }

  /** See `RaftGroup.sent`. */
  sent(node: number, fromIndex: number, lastIndex: number, bytes: number): void {
    const peer = this.#state.membership.peerOf(node);
    if (peer === null || !peer.isReading || peer.readFrom !== fromIndex) return;
    peer.isReading = false;
    // Or all of it has been acknowledged since, from an earlier request.
    if (lastIndex >= peer.next) peer.noteSent(lastIndex, bytes);
    this.pump(peer);
  }

  /** See `RaftGroup.unsent`. */
  unsent(node: number, fromIndex: number, isGone: boolean): void {
    const peer = this.#state.membership.peerOf(node);
    if (peer === null || !peer.isReading || peer.readFrom !== fromIndex) return;
    peer.isReading = false;
    if (isGone) this.#sendSnapshot(peer);
    else if (peer.state === PeerState.SNAPSHOT) peer.probe(peer.match + 1);
  }

  /** See `RaftGroup.snapshotSent`. */
  snapshotSent(node: number, index: number, nowMs: number): void {
    const peer = this.#state.membership.peerOf(node);
    if (peer === null || peer.state !== PeerState.SNAPSHOT || !peer.isReading) return;
    peer.isReading = false;
    peer.snapshotIndex = index;
    peer.snapshotMs = nowMs;
  }

  onAppendReply(peer: Peer, reply: RaftMessage, nowMs: number): void {
    const { lastIndex } = this.#state.log;
    const accepted = Math.min(reply.accepted, lastIndex);
    const match = Math.min(reply.match, lastIndex);
    const isNews = peer.noteMatch(match);
    peer.noteHeard(match, lastIndex, reply.outcome === Outcome.BUSY, nowMs);
    peer.noteFull(reply.full, isNews);
    this.transfer.noteHeard(peer.node);
    if (reply.outcome === Outcome.OK) {
      peer.isBusy = false;
      this.#resume(peer, accepted);
    } else if (reply.outcome === Outcome.BUSY) {
      if (peer.state !== PeerState.SNAPSHOT) peer.probe(Math.max(peer.match, accepted) + 1);
      peer.isBusy = true;
    } else if (reply.outcome === Outcome.CONFLICT) {
      this.#backUp(peer, reply);
    }
    if (isNews) this.advance(nowMs);
    if (!this.#isActive || this.#state.role !== Role.LEADER) return;
    if (isNews && this.#proceedWithTransfer(nowMs)) return;
    this.pump(peer);
  }

  /** The peer takes entries; those up to `accepted` it has. */
  #resume(peer: Peer, accepted: number): void {
    const next = Math.max(peer.match, accepted) + 1;
    if (peer.state === PeerState.REPLICATE) return;
    // An answer from before the snapshot was sent, or before it was taken.
    if (peer.state === PeerState.SNAPSHOT && (peer.isReading || next <= peer.snapshotIndex)) return;
    // The probe that is out follows what the peer has: it fits, if it arrives. A node that does not have the group yet
    // drops it without a word.
    const { probeLast } = peer;
    const isUnderWay = next >= peer.next && probeLast >= next;
    peer.replicate(next);
    if (isUnderWay) peer.noteSent(probeLast, 0);
  }

  /** The entry before those that were sent is not there. */
  #backUp(peer: Peer, reply: RaftMessage): void {
    const { log } = this.#state;
    const { prevIndex } = reply;
    if (peer.state === PeerState.SNAPSHOT || prevIndex <= peer.match || reply.index >= prevIndex) {
      return;
    }
    // One of several answers to what was sent ahead: the first of them moved `next` already.
    if (peer.state === PeerState.PROBE && (peer.probeLast === 0 || prevIndex > peer.next - 1)) {
      return;
    }
    const index = lastAtMost(log, reply.index, reply.indexTerm);
    peer.probe(Math.max(peer.match, index) + 1);
    if (Math.max(peer.match, reply.index) < log.startIndex) this.#sendSnapshot(peer);
  }

  onHeartbeatReply(peer: Peer, reply: RaftMessage, nowMs: number): void {
    const state = this.#state;
    const { lastIndex } = state.log;
    const accepted = Math.min(reply.accepted, lastIndex);
    const match = Math.min(reply.match, lastIndex);
    const isNews = peer.noteMatch(match);
    peer.noteHeard(match, lastIndex, reply.outcome === Outcome.BUSY, nowMs);
    peer.noteFull(reply.full, isNews);
    this.transfer.noteHeard(peer.node);
    peer.isBusy = reply.outcome === Outcome.BUSY;
    if (!peer.isBusy) this.#reconcile(peer, accepted, reply.index, nowMs);
    if (reply.quiet && this.#mayBeQuiet(peer, nowMs)) {
      peer.isQuiet = true;
      this.#hasQuiet = true;
    }
    if (reply.transfer) peer.hasWrittenAhead = true;
    if (isNews) this.advance(nowMs);
    if (!this.#isActive || state.role !== Role.LEADER) return;
    if (reply.token > peer.readToken) {
      peer.readToken = reply.token;
      if (this.reads.check()) this.#sendHeartbeats(nowMs);
    }
    if ((isNews || reply.transfer) && this.#proceedWithTransfer(nowMs)) return;
    this.pump(peer);
  }

  /** When the peer got the heartbeat, `lastSent` had been sent to it, and it had accepted up to `accepted`. */
  #reconcile(peer: Peer, accepted: number, lastSent: number, nowMs: number): void {
    if (peer.isStuck(accepted)) {
      peer.probe(Math.max(peer.match, accepted) + 1);
    } else if (peer.state === PeerState.REPLICATE) {
      // Sent ahead, and lost.
      if (accepted < lastSent && lastSent > peer.match) {
        peer.probe(Math.max(peer.match, accepted) + 1);
      }
    } else if (peer.state === PeerState.PROBE) {
      if (peer.probeLast === 0) return;
      if (accepted >= peer.probeLast) peer.replicate(Math.max(peer.match, accepted) + 1);
      else if (lastSent >= peer.probeLast) peer.probe(Math.max(peer.next, peer.match + 1));
    } else if (!peer.isReading) {
      if (accepted >= peer.snapshotIndex) peer.replicate(Math.max(peer.match, accepted) + 1);
      else if (nowMs - peer.snapshotMs >= SNAPSHOT_RETRY_MS) this.#sendSnapshot(peer);
    }
  }

  #mayBeQuiet(peer: Peer, nowMs: number): boolean {
    const state = this.#state;
    const { lastIndex } = state.log;
    return nowMs - this.#activityMs >= state.timing.quietMs && this.isCommitted &&
      state.commitIndex === lastIndex && peer.match === lastIndex && !peer.isBusy &&
      !this.transfer.isUnderWay && !this.#change.isUnderWay;
  }

  /** Whether something is asked of the peer by heartbeats. */
  #needsHeartbeat(peer: Peer): boolean {
    return peer.isUp && (!peer.isQuiet || this.reads.isAsked(peer));
  }

  #sendHeartbeats(nowMs: number): void {
    const { membership, timing } = this.#state;
    for (const peer of membership.peers) {
      if (!this.#needsHeartbeat(peer)) continue;
      this.#sendHeartbeat(peer, nowMs);
      this.pump(peer);
    }
    this.#heartbeatAtMs = nowMs + timing.heartbeatMs;
    this.schedule(nowMs);
  }

  /** @param heirId who is to lead next: the peer may write its vote ahead */
  #sendHeartbeat(peer: Peer, nowMs: number, heirId: number = NO_NODE): void {
    const state = this.#state;
    const heartbeat = state.message(MessageKind.HEARTBEAT);
    // It may know nothing of entries beyond its match.
    heartbeat.commit = Math.min(state.commitIndex, peer.match);
    heartbeat.index = peer.lastSent;
    heartbeat.token = this.reads.round;
    heartbeat.quiet = this.#mayBeQuiet(peer, nowMs);
    if (heirId !== NO_NODE) {
      heartbeat.transfer = true;
      heartbeat.match = heirId;
    }
    state.send(peer.node);
  }

  /** Reads were asked for: a majority must confirm that this node leads. */
  read(nowMs: number): number {
    const ticket = this.reads.ask();
    if (this.reads.start()) this.#sendHeartbeats(nowMs);
    return ticket;
  }

  /** A peer that should be quiet is not, or its connection was made. */
  speakTo(peer: Peer, nowMs: number): void {
    peer.endQuiet(nowMs);
    if (!peer.isUp) return;
    this.#sendHeartbeat(peer, nowMs);
    this.pump(peer);
    this.#keepHeartbeats(nowMs);
  }

  peerDown(peer: Peer, nowMs: number): void {
    peer.endQuiet(nowMs);
    peer.caughtUpMs = -Infinity;
    peer.probe(peer.match + 1);
    peer.isBusy = false;
    peer.isFull = false;
    this.#keepHeartbeats(nowMs);
  }

  /** Who did not run has asked nobody: the majority has a little longer to answer. */
  slept(nowMs: number): void {
    const untilMs = nowMs + this.#state.excuseMs;
    if (this.#quorumAtMs < untilMs && this.#state.isExcused()) this.#quorumAtMs = untilMs;
  }

  /** The node campaigns because it does not hear this one. */
  onVoteRequest(node: number, nowMs: number): void {
    const peer = this.#state.membership.peerOf(node);
    if (peer !== null) this.speakTo(peer, nowMs);
  }

  tick(nowMs: number): void {
    const state = this.#state;
    const { membership, timing } = state;
    if (nowMs >= this.#quorumAtMs) {
      this.#quorumAtMs = nowMs + timing.electionMs / 2;
      if (!membership.isHeardSince(nowMs - timing.electionMs)) return this.resign(nowMs);
      state.awake();
      this.#change.noteProgress();
    }
    // Damage that its log met while it led.
    if (!state.isAble && !membership.isAlone) return this.handOver(nowMs);
    if (this.#proceedWithTransfer(nowMs)) return;
    this.open(nowMs);
    if (state.role !== Role.LEADER) return;
    if (nowMs >= this.#heartbeatAtMs) this.#sendHeartbeats(nowMs);
    this.schedule(nowMs);
  }

  /** Asks for the next tick, if anything needs one. */
  schedule(nowMs: number): void {
    const state = this.#state;
    const { peers } = state.membership;
    for (let at = 0; at < peers.length; at++) {
      if (!this.#needsHeartbeat(peers[at]!)) continue;
      state.schedule(Math.max(this.#heartbeatAtMs, nowMs));
      break;
    }
    // Quiet peers whose connection stands may be a majority.
    if (!state.membership.isHeardSince(Infinity)) state.schedule(this.#quorumAtMs);
    if (this.transfer.isUnderWay) state.schedule(this.transfer.nextMs);
    if (this.#noOpIndex < 0) state.schedule(nowMs + state.timing.heartbeatMs);
  }
}

/**
 * Handing leadership to a named voter, which then campaigns at once. What takes a disk's time is done before, while appends are
 * taken: the voters write their votes ahead, and the next leader makes durable what there was.
 *
 *     asked → (votes are written ahead, or that takes too long; what there was is durable there) lingering
 *           → (no moment without appends) closing → (all is durable there, and committed) handed over
 *
 * Appends are held back while it is closing, and not for a node that does not get on with what it has. As everything is
 * committed when leadership goes, the old leader has answered it.
 *
 * Whoever has handed over does not lead again in its term, whatever becomes of the next leader.
 *
 * @module
 */

import { NO_NODE } from "./ballot.ts";
import type { GroupState } from "./group_state.ts";
import { TRANSFER_LINGER_MS } from "./limits.ts";
import { type Peer, PeerState } from "./peer.ts";

export class Transfer {
  readonly #state: GroupState;
  #target = NO_NODE;
  /** The end of the log when it was asked for. */
  #askedIndex = 0;
  /** It has said something since. */
  #isHeard = false;
  /** Until then votes are written ahead (ms); Infinity: that is not waited for any more. */
  #votesByMs = Infinity;
  /** The end of the wait for a moment without appends (ms); Infinity before and behind it. */
  #closeAtMs = Infinity;
  #mayClose = false;
  #isClosing = false;
  #deadlineMs = Infinity;

  constructor(state: GroupState) {
    this.#state = state;
  }

  begin(): void {
    this.#target = NO_NODE;
    this.#isHeard = false;
    this.#votesByMs = Infinity;
    this.#closeAtMs = Infinity;
    this.#mayClose = false;
    this.#isClosing = false;
    this.#deadlineMs = Infinity;
  }

  get isUnderWay(): boolean {
    return this.#target !== NO_NODE;
  }

  /** Nothing may be appended until it is over. */
  get isClosing(): boolean {
    return this.#isClosing;
  }

  /** When {@linkcode Transfer.proceed} is needed, if nothing else happens (ms). */
  get nextMs(): number {
    return Math.min(this.#deadlineMs, this.#votesByMs, this.#closeAtMs);
  }

  /**
   * Begins; one to the same node that is under way goes on. One to another node takes its place, but not longer: appends would
   * wait for as long as somebody changes his mind.
   *
   * @returns whether it begins, and voters are to be told whom to write their votes for
   */
  to(node: number, nowMs: number): boolean {
    if (node === this.#target) return false;
    const { timing, log, ballot, membership } = this.#state;
    const wasClosing = this.#isClosing;
    const deadlineMs = Math.min(this.#deadlineMs, nowMs + timing.electionMs);
    this.begin();
    this.#target = node;
    this.#askedIndex = log.lastIndex;
    this.#deadlineMs = deadlineMs;
    this.#votesByMs = nowMs + timing.heartbeatMs;
    ballot.writeAhead(node);
    for (const peer of membership.peers) peer.hasWrittenAhead = false;
    if (wasClosing) this.#state.tellLeading();
    return true;
  }

  /** The node answered something. */
  noteHeard(node: number): void {
    if (node === this.#target) this.#isHeard = true;
  }

  /** The votes that the target needs are durable. */
  get #isPrepared(): boolean {
    const { membership, ballot } = this.#state;
    return ballot.isDurableFor(this.#target) && membership.hasWrittenAhead &&
      membership.peerOf(this.#target)?.hasWrittenAhead === true;
  }

  /**
   * Goes on as far as the target is.
   *
   * @returns the node to which leadership goes now, or {@linkcode NO_NODE}
   */
  proceed(nowMs: number): number {
    if (this.#target === NO_NODE) return NO_NODE;
    const state = this.#state;
    const peer = state.membership.peerOf(this.#target);
    if (peer === null || !peer.isVoter || nowMs >= this.#deadlineMs) {
      this.#giveUp();
      return NO_NODE;
    }
    if (nowMs >= this.#votesByMs || this.#isPrepared) this.#votesByMs = Infinity;
    const isReady = this.#isHeard && peer.match >= this.#askedIndex;
    if (this.#votesByMs < Infinity || !isReady) return NO_NODE;
    const { lastIndex } = state.log;
    if (peer.match >= lastIndex && state.commitIndex >= lastIndex) return this.#target;
    this.#close(peer, nowMs);
    return NO_NODE;
  }

  #close(peer: Peer, nowMs: number): void {
    const state = this.#state;
    if (!this.#mayClose) {
      if (this.#closeAtMs === Infinity) {
        this.#closeAtMs = nowMs + TRANSFER_LINGER_MS;
        state.schedule(this.#closeAtMs);
      }
      if (nowMs < this.#closeAtMs) return;
      this.#mayClose = true;
      this.#closeAtMs = Infinity;
    }
    const isSent = peer.state === PeerState.REPLICATE && peer.next > state.log.lastIndex;
    if (isSent) this.#isClosing = true;
  }

  #giveUp(): void {
    const wasClosing = this.#isClosing;
    this.begin();
    if (wasClosing) this.#state.tellLeading();
  }
}

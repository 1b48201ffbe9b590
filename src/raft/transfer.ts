/**
 * Handing leadership to a named voter: it is brought up to date, appends are held back for the moment that the rest
 * takes, and it campaigns at once.
 *
 *     asked → (what there was is durable there, all else is sent) closing → (all is durable there, and committed)
 *     TIMEOUT_NOW → its campaign, or the deadline
 *
 * Appends are not held back for a node that does not get on with what it has.
 *
 * What is committed before the transfer is over can be answered by the old leader.
 *
 * @module
 */

import { NO_NODE } from "./ballot.ts";
import type { GroupState } from "./group_state.ts";
import { MessageKind } from "./message.ts";
import { PeerState } from "./peer.ts";

export class Transfer {
  readonly #state: GroupState;
  #target = NO_NODE;
  /** The end of the log when it was asked for. */
  #askedIndex = 0;
  #isClosing = false;
  #hasAsked = false;
  deadlineMs = Infinity;

  constructor(state: GroupState) {
    this.#state = state;
  }

  begin(): void {
    this.#target = NO_NODE;
    this.#isClosing = false;
    this.#hasAsked = false;
    this.deadlineMs = Infinity;
  }

  get isUnderWay(): boolean {
    return this.#target !== NO_NODE;
  }

  /** Nothing may be appended until it is over. */
  get isClosing(): boolean {
    return this.#isClosing;
  }

  /**
   * Begins; one to the same node that is under way goes on. One to another node takes its place, but not longer: appends would
   * wait for as long as somebody changes his mind.
   */
  to(node: number, nowMs: number): void {
    if (node === this.#target) return;
    const wasClosing = this.#isClosing;
    const deadlineMs = Math.min(this.deadlineMs, nowMs + this.#state.timing.electionMs);
    this.begin();
    this.#target = node;
    this.#askedIndex = this.#state.log.lastIndex;
    this.deadlineMs = deadlineMs;
    this.check();
    if (wasClosing && !this.#isClosing) this.#state.tellLeading();
  }

  /** Goes on as far as the target is. */
  check(): void {
    if (this.#target === NO_NODE || this.#hasAsked) return;
    const state = this.#state;
    const { lastIndex } = state.log;
    const peer = state.membership.peerOf(this.#target);
    if (peer === null || !peer.isVoter) return this.#giveUp();
    const isSent = peer.state === PeerState.REPLICATE && peer.next > lastIndex;
    if (isSent && peer.match >= this.#askedIndex) this.#isClosing = true;
    if (!this.#isClosing || peer.match < lastIndex || state.commitIndex < lastIndex) return;
    this.#hasAsked = true;
    state.message(MessageKind.TIMEOUT_NOW);
    state.send(peer.node);
  }

  tick(nowMs: number): void {
    if (this.#target !== NO_NODE && nowMs >= this.deadlineMs) this.#giveUp();
  }

  #giveUp(): void {
    const wasClosing = this.#isClosing;
    this.begin();
    if (wasClosing) this.#state.tellLeading();
  }
}

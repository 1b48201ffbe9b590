/**
 * Frames between nodes in memory, for tests: kept until the test hands them over.
 *
 * @module
 */

import { SendOutcome } from "../rpc/peer_links.ts";
import type { PeerFrame, PeerSender } from "./peer_sender.ts";

export interface SentFrame {
  readonly node: number;
  readonly shard: number;
  readonly type: PeerFrame;
  readonly payload: Uint8Array;
}

export class TestSender implements PeerSender {
  readonly frames: SentFrame[] = [];
  /** Of the next frames. */
  outcome: SendOutcome = SendOutcome.QUEUED;

  send(
    node: number,
    shard: number,
    _lane: number,
    type: PeerFrame,
    payload: Uint8Array,
  ): SendOutcome {
    if (this.outcome === SendOutcome.QUEUED) this.frames.push({ node, shard, type, payload });
    return this.outcome;
  }
}

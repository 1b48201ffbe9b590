/**
 * What links need of their shard, and what they tell it; `peer_links.ts` is the host.
 *
 * @module
 */

import type { Random } from "../base/prng.ts";
import type { Crc32c } from "../bytes/crc32c.ts";
import type { Memory } from "../bytes/memory.ts";
import type { Sockets } from "../io/sockets.ts";
import type { Timers } from "../io/timers.ts";
import type { IncomingLink } from "./incoming_link.ts";
import type { OutgoingLink } from "./outgoing_link.ts";
import type { Answer, NodeIdentity } from "./preamble.ts";

/** Memory of links, with budgets of its own; -1: not now. */
export interface LinkMemory {
  /** A block that lasts as long as a link. */
  allocateLink(size: number): number;
  releaseLink(address: number): void;
  /** A block for one frame that is larger than a link's. */
  allocatePeerFrame(size: number): number;
  releasePeerFrame(address: number): void;
  /** The largest frame that can ever be taken (bytes). */
  readonly peerFrameMax: number;
  /** Bytes of records that may wait on one link. */
  readonly peerQueueMax: number;
  /** Calls `again` once, after something was released. */
  afterRelease(again: () => void): void;
}

/** What becomes of a frame that was handed over. */
export const FrameVerdict = {
  /** Its bytes are not needed any more. */
  TAKEN: 0,
  /** Not now: it stays, and its link is not read, until `PeerLinks.resume`. */
  HELD: 1,
  /** It makes no sense: the link is closed, and that is logged. */
  WRONG: 2,
} as const;
export type FrameVerdict = typeof FrameVerdict[keyof typeof FrameVerdict];

export interface PeerAddress {
  /** Numeric, or a name. */
  readonly host: string;
  readonly port: number;
}

/** What the two kinds of links share. */
export interface LinkContext {
  readonly memory: Memory;
  readonly blocks: LinkMemory;
  readonly sockets: Sockets;
  readonly timers: Timers;
  readonly random: Random;
  readonly crc32c: Crc32c;
  /** Number of this shard. */
  readonly shard: number;
  /** Monotonic ms of this turn. */
  readonly nowMs: () => number;
  /** This node, as it is now. */
  readonly identity: () => NodeIdentity;
  /**
   * Finds the numeric address of a name, on another thread; null: it has none now. `done` is never called from
   * inside the call.
   */
  readonly resolve: (host: string, done: (address: string | null) => void) => void;
}

export interface OutgoingHost extends LinkContext {
  /** Bytes that were sent on links of this node's. */
  sentBytes: number;
  addressOf(node: number): PeerAddress | null;
  /** `flush` wants to be called at the end of this turn. */
  markDirty(link: OutgoingLink): void;
  onUp(link: OutgoingLink, answer: Answer): void;
  /** @param refused the attempt to connect failed; else a connection broke */
  onDown(link: OutgoingLink, refused: boolean, why: string): void;
  /** The node answered that it does not want this connection. */
  onRefused(link: OutgoingLink, answer: Answer, why: string): void;
  /** There is no memory for the link now. */
  onStarved(link: OutgoingLink): void;
  /** A frame was refused for want of room, and there is room now. */
  onRoom(link: OutgoingLink): void;
}

export interface IncomingHost extends LinkContext {
  /** Bytes that came on links of other nodes. */
  receivedBytes: number;
  deliver(link: IncomingLink, type: number, address: number, length: number): FrameVerdict;
  /** The node did something wrong, and the link is being closed. */
  onViolation(link: IncomingLink, why: string): void;
  /** The link is closed; its block is the host's again. */
  onClosed(link: IncomingLink, block: number): void;
}

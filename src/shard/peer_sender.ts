/**
 * Sends frames of bytes that lie in the JS heap to other nodes: what is small is copied to the link, what is not is
 * put into a block of this shard's memory until it has left.
 *
 * @module
 */

import type { Memory } from "../bytes/memory.ts";
import { RangeList } from "../bytes/range_list.ts";
import { type Lane, type PeerLinks, SendOutcome } from "../rpc/peer_links.ts";
import type { ShardMemory } from "./shard_memory.ts";

/** The types of frames between nodes that are not replication's (docs/formats/node_frames.md). */
export const PeerFrame = { HELLO: 1, LEADERS: 2, CALL: 3, CALL_REPLY: 4 } as const;
export type PeerFrame = typeof PeerFrame[keyof typeof PeerFrame];

/** Sends a frame, or says that it did not. What was queued may still be lost with the connection. */
export interface PeerSender {
  send(node: number, shard: number, lane: Lane, type: PeerFrame, payload: Uint8Array): SendOutcome;
}

/** Frames up to this size are copied to the link (bytes). */
const COPIED_MAX = 16 * 1024;

export class LinkSender implements PeerSender {
  readonly #links: Pick<PeerLinks, "send" | "sendRanges">;
  readonly #memory: Memory;
  readonly #blocks: ShardMemory;

  constructor(
    links: Pick<PeerLinks, "send" | "sendRanges">,
    memory: Memory,
    blocks: ShardMemory,
  ) {
    this.#links = links;
    this.#memory = memory;
    this.#blocks = blocks;
  }

  send(
    node: number,
    shard: number,
    lane: Lane,
    type: PeerFrame,
    payload: Uint8Array,
  ): SendOutcome {
    const { length } = payload;
    const block = this.#blocks.allocateResponse(Math.max(1, length));
    if (block < 0) return SendOutcome.FULL;
    this.#memory.bytes.set(payload, block);
    if (length <= COPIED_MAX) {
      const outcome = this.#links.send(node, shard, lane, type, block, length);
      this.#blocks.releaseResponse(block);
      return outcome;
    }
    const ranges = new RangeList(1);
    ranges.push(block, length);
    const owner = { onFrameOver: () => this.#blocks.releaseResponse(block) };
    const outcome = this.#links.sendRanges(node, shard, type, block, 0, ranges, owner);
    if (outcome !== SendOutcome.QUEUED) this.#blocks.releaseResponse(block);
    return outcome;
  }
}

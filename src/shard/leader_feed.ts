/**
 * Tells the other nodes which groups this shard leads: every node answers Metadata, whatever it holds.
 *
 * ```
 * LEADERS := row*        row := group:uint32 epoch:uint32      little-endian; the sender leads these groups
 * ```
 *
 * News goes to shard 0 of every node, batched by turn; a node that is reached (again) is told of all groups. Of news
 * that passes other news the newest epoch counts, so nothing here has to be in order, or to arrive twice.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import { Lane, SendOutcome } from "../rpc/peer_links.ts";
import { CONTROLLER_SHARD } from "../kafka/handler.ts";
import { PeerFrame, type PeerSender } from "./peer_sender.ts";

const ROW_SIZE = 8;
/** Rows of one frame. */
export const LEADERS_PER_FRAME_MAX = 1_000;

/** A group and the term in which this node leads it. */
export interface LedGroup {
  readonly groupId: number;
  readonly epoch: number;
}

export interface LeaderFeedOptions {
  readonly sender: PeerSender;
  /** The groups that this shard leads now. */
  readonly led: () => Iterable<LedGroup>;
  /** Another node says that it leads a group. */
  readonly onLeader: (groupId: number, nodeId: number, epoch: number) => void;
}

export class LeaderFeed {
  readonly #options: LeaderFeedOptions;
  /** By node: what it has not been told yet, the newest epoch of each group. Nodes that cannot be reached have none. */
  readonly #untold = new Map<number, Map<number, number>>();

  constructor(options: LeaderFeedOptions) {
    this.#options = options;
  }

  /** This node leads a group of this shard from now on. */
  tell(groupId: number, epoch: number): void {
    for (const untold of this.#untold.values()) untold.set(groupId, epoch);
  }

  /** A node can be reached. */
  onUp(node: number): void {
    const untold = new Map<number, number>();
    for (const { groupId, epoch } of this.#options.led()) untold.set(groupId, epoch);
    this.#untold.set(node, untold);
  }

  /** It cannot, or something that it was sent may be lost; `onUp` follows when it can. */
  onDown(node: number): void {
    this.#untold.delete(node);
  }

  /** Ends a turn: sends what there is room for. A full link is tried again with every turn. */
  flush(): void {
    for (const [node, untold] of this.#untold) {
      while (untold.size > 0) {
        const rows = [...untold].slice(0, LEADERS_PER_FRAME_MAX);
        const outcome = this.#options.sender.send(
          node,
          CONTROLLER_SHARD,
          Lane.CONTROL,
          PeerFrame.LEADERS,
          encodeLeaders(rows),
        );
        if (outcome === SendOutcome.DOWN) this.#untold.delete(node);
        if (outcome !== SendOutcome.QUEUED) break;
        for (const [groupId] of rows) untold.delete(groupId);
      }
    }
  }

  /** A LEADERS frame came; false when it makes no sense. */
  onFrame(node: number, view: DataView, at: number, length: number): boolean {
    if (length % ROW_SIZE !== 0) return false;
    for (let row = at; row < at + length; row += ROW_SIZE) {
      const epoch = view.getUint32(row + 4, true);
      if (epoch > 0x7fffffff) return false;
      this.#options.onLeader(view.getUint32(row, true), node, epoch);
    }
    return true;
  }
}

function encodeLeaders(rows: readonly (readonly [number, number])[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(rows.length * ROW_SIZE));
  for (const [at, [groupId, epoch]] of rows.entries()) {
    assert(groupId >= 0 && epoch >= 0, "a group that is led has a term");
    view.setUint32(at * ROW_SIZE, groupId, true);
    view.setUint32(at * ROW_SIZE + 4, epoch, true);
  }
  return new Uint8Array(view.buffer);
}

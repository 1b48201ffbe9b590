/**
 * Tells the other nodes which groups this shard leads, and which of their replicas keep up: every node answers
 * Metadata, whatever it holds.
 *
 * ```
 * LEADERS := row*        row := group:uint32 epoch:uint32 inSync:uint32      little-endian; the sender leads these groups
 * ```
 *
 * News goes to shard 0 of every node, batched by turn; a node that is reached (again) is told of all groups. Of news
 * that passes other news the newest epoch counts, so nothing here has to be in order, or to arrive twice.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import { Lane, SendOutcome } from "../rpc/peer_links.ts";
import { IN_SYNC_BITS } from "../cluster/leaders.ts";
import { CONTROLLER_SHARD } from "../kafka/handler.ts";
import { PeerFrame, type PeerSender } from "./peer_sender.ts";
import { TERM_MAX } from "../raft/limits.ts";

const ROW_SIZE = 12;
const IN_SYNC_MAX = 2 ** IN_SYNC_BITS - 1;
/** Rows of one frame. */
export const LEADERS_PER_FRAME_MAX = 1_000;

/** A group, the term in which this node leads it, and the replicas that keep up (`cluster/leaders.ts`). */
export interface LedGroup {
  readonly groupId: number;
  readonly epoch: number;
  readonly inSync: number;
}

export type OnLeader = (groupId: number, nodeId: number, epoch: number, inSync: number) => void;

export interface LeaderFeedOptions {
  readonly sender: PeerSender;
  /** The groups that this shard leads now. */
  readonly led: () => Iterable<LedGroup>;
  /** Another node says that it leads a group. */
  readonly onLeader: OnLeader;
}

export class LeaderFeed {
  readonly #options: LeaderFeedOptions;
  /** By node: what it has not been told yet, the newest of each group. Nodes that cannot be reached have none. */
  readonly #untold = new Map<number, Map<number, LedGroup>>();

  constructor(options: LeaderFeedOptions) {
    this.#options = options;
  }

  /** This node leads a group of this shard, or other replicas of it keep up. */
  tell(led: LedGroup): void {
    for (const untold of this.#untold.values()) untold.set(led.groupId, led);
  }

  /** A node can be reached. */
  onUp(node: number): void {
    const untold = new Map<number, LedGroup>();
    for (const led of this.#options.led()) untold.set(led.groupId, led);
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
        const rows = [...untold.values()].slice(0, LEADERS_PER_FRAME_MAX);
        const outcome = this.#options.sender.send(
          node,
          CONTROLLER_SHARD,
          Lane.CONTROL,
          PeerFrame.LEADERS,
          encodeLeaders(rows),
        );
        if (outcome === SendOutcome.DOWN) this.#untold.delete(node);
        if (outcome !== SendOutcome.QUEUED) break;
        for (const { groupId } of rows) untold.delete(groupId);
      }
    }
  }

  /** A LEADERS frame came; false when it makes no sense. */
  onFrame(node: number, view: DataView, at: number, length: number): boolean {
    if (length % ROW_SIZE !== 0) return false;
    for (let row = at; row < at + length; row += ROW_SIZE) {
      const epoch = view.getUint32(row + 4, true);
      const inSync = view.getUint32(row + 8, true);
      if (epoch > TERM_MAX || inSync > IN_SYNC_MAX) return false;
      this.#options.onLeader(view.getUint32(row, true), node, epoch, inSync);
    }
    return true;
  }
}

function encodeLeaders(rows: readonly LedGroup[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(rows.length * ROW_SIZE));
  for (const [at, { groupId, epoch, inSync }] of rows.entries()) {
    assert(groupId >= 0 && epoch >= 0, "a group that is led has a term");
    view.setUint32(at * ROW_SIZE, groupId, true);
    view.setUint32(at * ROW_SIZE + 4, epoch, true);
    view.setUint32(at * ROW_SIZE + 8, inSync, true);
  }
  return new Uint8Array(view.buffer);
}

/**
 * The APPENDs that a shard has under way to other nodes, and the requests for which there is none yet.
 *
 * A node that takes little, or nothing, keeps what is under way to it: at most {@linkcode REPLICATION_FRAMES_MAX} frames, and
 * only one where the memory for records is used up. So it holds up no other node, without which nothing commits. Further
 * requests wait in order, at most one for each group and peer.
 *
 * @module
 */

import { REPLICATION_FRAMES_MAX } from "../base/limits.ts";
import { AppendFrame, type AppendFrameOwner } from "./append_frame.ts";
import type { GroupReplica } from "./group_replica.ts";

/** A request of a leader for which there was no frame. */
interface Wanted {
  readonly term: number;
  readonly fromIndex: number;
  readonly bytesMax: number;
}

/** What is under way to a node, and what waits for it. */
class NodeFrames {
  readonly node: number;
  held = 0;
  /** In the order in which they were asked for; very many groups may ask at once, as when a node comes back. */
  readonly wanted = new Map<GroupReplica, Wanted>();

  constructor(node: number) {
    this.node = node;
  }
}

export interface AppendFramesOptions {
  readonly owner: AppendFrameOwner;
  readonly nodeId: number;
  /** Of the region, in which batches lie. */
  readonly view: DataView;
  /** Bytes of records that may be pinned in addition. */
  readonly pinRoom: () => number;
}

export class AppendFrames {
  readonly #options: AppendFramesOptions;
  readonly #idle: AppendFrame[] = [];
  readonly #nodes: NodeFrames[] = [];
  #isGoingOn = false;

  constructor(options: AppendFramesOptions) {
    this.#options = options;
  }

  /** Reads entries for a node from `fromIndex` on, now or when there is a frame; see {@linkcode AppendFrame.begin}. */
  ask(replica: GroupReplica, node: number, fromIndex: number, bytesMax: number): void {
    const frames = this.#of(node);
    const frame = this.#take(frames);
    if (frame !== null) return frame.begin(replica, node, fromIndex, bytesMax);
    // A leader that begins again with a peer has no use for what it asked for before.
    frames.wanted.set(replica, { term: replica.raft.term, fromIndex, bytesMax });
  }

  /** A frame is idle again, and nothing is pinned for it. */
  over(frame: AppendFrame): void {
    this.#giveBack(this.#of(frame.node), frame);
    // What the loop below began was over at once, as when the node is gone: it goes on by itself, however many wait.
    if (this.#isGoingOn) return;
    this.#isGoingOn = true;
    // Memory that came free may be what another node's requests wait for.
    for (let at = 0; at < this.#nodes.length; at++) this.#goOn(this.#nodes[at]!);
    this.#isGoingOn = false;
  }

  #of(node: number): NodeFrames {
    for (let at = 0; at < this.#nodes.length; at++) {
      if (this.#nodes[at]!.node === node) return this.#nodes[at]!;
    }
    const frames = new NodeFrames(node);
    this.#nodes.push(frames);
    return frames;
  }

  #goOn(frames: NodeFrames): void {
    if (frames.wanted.size === 0) return;
    for (const [replica, { term, fromIndex, bytesMax }] of frames.wanted) {
      const frame = this.#take(frames);
      if (frame === null) return;
      frames.wanted.delete(replica);
      const { raft, isClosed } = replica;
      const isStale = isClosed || raft.term !== term || raft.leaderId !== this.#options.nodeId;
      if (isStale) this.#giveBack(frames, frame);
      else frame.begin(replica, frames.node, fromIndex, bytesMax);
    }
  }

  #take(frames: NodeFrames): AppendFrame | null {
    const { held } = frames;
    if (held === REPLICATION_FRAMES_MAX) return null;
    if (held > 0 && this.#options.pinRoom() <= 0) return null;
    frames.held++;
    return this.#idle.pop() ?? new AppendFrame(this.#options.owner, this.#options.view);
  }

  #giveBack(frames: NodeFrames, frame: AppendFrame): void {
    frames.held--;
    this.#idle.push(frame);
  }
}

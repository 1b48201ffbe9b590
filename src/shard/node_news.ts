/**
 * Tells the other shards which nodes can be reached: the controller's shard has connections to all of them, and
 * Metadata is answered on every shard.
 *
 * @module
 */

import type { LiveNodes } from "../cluster/live_nodes.ts";
import { type Mailboxes, messageArgument } from "./mailbox.ts";
import { MessageType } from "./messages.ts";

/** Pairs of node and whether it is up, in one message; unused ones are -1. */
const NODES_PER_MESSAGE = 3;

export class NodeNews {
  readonly #mailboxes: Mailboxes;
  readonly #live: LiveNodes;
  readonly #onChange: () => void;
  /** By shard: the newest news of each node that it has not been told yet. */
  readonly #untold: Map<number, boolean>[];

  /** @param onChange a node can be reached that could not, or the other way round */
  constructor(mailboxes: Mailboxes, live: LiveNodes, onChange: () => void = () => {}) {
    this.#onChange = onChange;
    this.#mailboxes = mailboxes;
    this.#live = live;
    this.#untold = Array.from({ length: mailboxes.shardCount }, () => new Map());
  }

  tell(nodeId: number, isUp: boolean): void {
    const wasUp = this.#live.isAlive(nodeId);
    this.#live.note(nodeId, isUp);
    if (wasUp === isUp) return;
    this.#onChange();
    for (const [shard, untold] of this.#untold.entries()) {
      if (shard !== this.#mailboxes.shard) untold.set(nodeId, isUp);
    }
  }

  /** A NODES message came. */
  onNodes(view: DataView, at: number): void {
    for (let i = 0; i < NODES_PER_MESSAGE; i++) {
      const nodeId = messageArgument(view, at, 2 * i);
      if (nodeId < 0) return;
      this.#live.note(nodeId, messageArgument(view, at, 2 * i + 1) === 1);
    }
  }

  /** Sends what there is room for; false when something is left. */
  flush(): boolean {
    let done = true;
    for (const [shard, untold] of this.#untold.entries()) {
      if (untold.size === 0) continue;
      let room = this.#mailboxes.roomForNotices(shard);
      const news = [...untold];
      while (news.length > 0 && room-- > 0) {
        const [a, b, c] = news.splice(0, NODES_PER_MESSAGE);
        this.#mailboxes.send(
          shard,
          MessageType.NODES,
          0,
          a![0],
          Number(a![1]),
          b?.[0] ?? -1,
          Number(b?.[1] ?? -1),
          c?.[0] ?? -1,
          Number(c?.[1] ?? -1),
        );
        for (const told of [a, b, c]) if (told !== undefined) untold.delete(told[0]);
      }
      if (untold.size > 0) done = false;
    }
    return done;
  }
}

/**
 * Reports leaders to the other shards: Metadata is answered on every shard, and a leader epoch is
 * known first where the partition lives.
 *
 * @module
 */

import type { LeaderTable } from "../cluster/leaders.ts";
import { type Mailboxes, messageArgument } from "./mailbox.ts";
import { MessageType } from "./messages.ts";

/** Pairs of group id and epoch in one message; unused ones are -1. */
const LEADERS_PER_MESSAGE = 3;

export class LeaderNews {
  readonly #mailboxes: Mailboxes;
  readonly #leaders: LeaderTable;
  readonly #nodeId: number;
  readonly #queues: number[][];

  constructor(mailboxes: Mailboxes, leaders: LeaderTable, nodeId: number) {
    this.#mailboxes = mailboxes;
    this.#leaders = leaders;
    this.#nodeId = nodeId;
    this.#queues = Array.from({ length: mailboxes.shardCount }, () => []);
  }

  /** This node leads a group of this shard. */
  tell(groupId: number, epoch: number): void {
    this.#leaders.note(groupId, this.#nodeId, epoch);
    for (let shard = 0; shard < this.#queues.length; shard++) {
      if (shard !== this.#mailboxes.shard) this.#queues[shard]!.push(groupId, epoch);
    }
  }

  /** A LEADERS message came. */
  onLeaders(view: DataView, at: number): void {
    for (let i = 0; i < LEADERS_PER_MESSAGE; i++) {
      const groupId = messageArgument(view, at, 2 * i);
      if (groupId < 0) return;
      this.#leaders.note(groupId, this.#nodeId, messageArgument(view, at, 2 * i + 1));
    }
  }

  /** Sends queued messages as far as there is room; false when some are left. */
  flush(): boolean {
    let done = true;
    for (let shard = 0; shard < this.#queues.length; shard++) {
      const queue = this.#queues[shard]!;
      if (queue.length === 0) continue;
      let room = this.#mailboxes.roomForNotices(shard);
      let sent = 0;
      while (sent < queue.length && room > 0) {
        const q = (i: number): number => queue[sent + i] ?? -1;
        this.#mailboxes.send(shard, MessageType.LEADERS, 0, q(0), q(1), q(2), q(3), q(4), q(5));
        sent += 2 * LEADERS_PER_MESSAGE;
        room--;
      }
      queue.splice(0, sent);
      if (queue.length > 0) done = false;
    }
    return done;
  }
}

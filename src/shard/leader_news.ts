/**
 * Reports leaders to the other shards: Metadata is answered on every shard, and a leader epoch is
 * known first where the partition lives.
 *
 * @module
 */

import { IN_SYNC_BITS, IN_SYNC_UNKNOWN, type LeaderTable } from "../cluster/leaders.ts";
import { type Mailboxes, messageArgument } from "./mailbox.ts";
import { MessageType } from "./messages.ts";

/** Group id, leader with replicas in sync, and epoch in one message, so often; unused group ids are -1. */
const LEADERS_PER_MESSAGE = 2;
const WORDS = 3;
/** A word has room for both: the leader, counted from 1, above the bits of the replicas. */
const LEADER_AT = 2 ** IN_SYNC_BITS;

export class LeaderNews {
  readonly #mailboxes: Mailboxes;
  readonly #leaders: LeaderTable;
  readonly #queues: number[][];

  constructor(mailboxes: Mailboxes, leaders: LeaderTable) {
    this.#mailboxes = mailboxes;
    this.#leaders = leaders;
    this.#queues = Array.from({ length: mailboxes.shardCount }, () => []);
  }

  /** `leaderId` leads a group, or nobody does (-1); as `LeaderTable.note`. */
  tell(groupId: number, leaderId: number, epoch: number, inSync = IN_SYNC_UNKNOWN): void {
    this.#leaders.note(groupId, leaderId, epoch, inSync);
    const word = (leaderId + 1) * LEADER_AT + inSync;
    for (let shard = 0; shard < this.#queues.length; shard++) {
      if (shard !== this.#mailboxes.shard) this.#queues[shard]!.push(groupId, word, epoch);
    }
  }

  /** A LEADERS message came. */
  onLeaders(view: DataView, at: number): void {
    for (let i = 0; i < LEADERS_PER_MESSAGE; i++) {
      const groupId = messageArgument(view, at, WORDS * i);
      if (groupId < 0) return;
      const word = messageArgument(view, at, WORDS * i + 1);
      const epoch = messageArgument(view, at, WORDS * i + 2);
      const leaderId = Math.floor(word / LEADER_AT) - 1;
      this.#leaders.note(groupId, leaderId, epoch, word % LEADER_AT);
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
        sent += WORDS * LEADERS_PER_MESSAGE;
        room--;
      }
      queue.splice(0, sent);
      if (queue.length > 0) done = false;
    }
    return done;
  }
}

/**
 * Messages without a credit: releases of a reply's memory, and answers to calls that gave
 * their credit back when they were taken up.
 *
 * There may be any number of them at once (thousands of connections end together, a group's members are
 * all answered together), and a ring has few slots: what finds its ring half full waits here, in order,
 * for the end of a turn.
 *
 * @module
 */

import type { Mailboxes } from "./mailbox.ts";

interface Waiting {
  readonly type: number;
  readonly call: number;
  readonly a: number;
  readonly b: number;
}

export class Outbox {
  readonly #mailboxes: Mailboxes;
  readonly #waiting: Waiting[][];

  constructor(mailboxes: Mailboxes) {
    this.#mailboxes = mailboxes;
    this.#waiting = Array.from({ length: mailboxes.shardCount }, () => []);
  }

  /** Sends a message now, or as soon as there is room. */
  send(shard: number, type: number, call: number, a: number, b = 0): void {
    const waiting = this.#waiting[shard]!;
    if (waiting.length === 0 && this.#mailboxes.roomForUncredited(shard) > 0) {
      this.#mailboxes.send(shard, type, call, a, b);
    } else {
      waiting.push({ type, call, a, b });
    }
  }

  /** Sends what waits as far as there is room; false when something is left. */
  flush(): boolean {
    let done = true;
    for (let shard = 0; shard < this.#waiting.length; shard++) {
      const waiting = this.#waiting[shard]!;
      if (waiting.length === 0) continue;
      const count = Math.min(waiting.length, this.#mailboxes.roomForUncredited(shard));
      for (let i = 0; i < count; i++) {
        const { type, call, a, b } = waiting[i]!;
        this.#mailboxes.send(shard, type, call, a, b);
      }
      waiting.splice(0, count);
      if (waiting.length > 0) done = false;
    }
    return done;
  }
}

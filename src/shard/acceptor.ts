/**
 * Accepts connections on one shard and deals them out to all shards in turn.
 *
 * SO_REUSEPORT would leave cores idle when there are few connections; a descriptor is valid on every
 * shard of the process, so handing it over is one message.
 *
 * @module
 */

import { LogLevel } from "../base/logger.ts";
import type { Completion } from "../io/completion.ts";
import { EMFILE, ENFILE } from "../io/errno.ts";
import { Timer } from "../io/timers.ts";
import type { Uring } from "../io/uring.ts";
import { FLAG_MORE } from "../io/uring_ops.ts";
import { MessageType } from "./messages.ts";
import type { Shard } from "./shard.ts";

/** How long to wait after the process ran out of descriptors (ms). */
const RETRY_MS = 100;

export class Acceptor implements Completion {
  readonly #ring: Uring;
  readonly #listener: number;
  readonly #shard: Shard;
  #stopped = false;

  constructor(ring: Uring, listener: number, shard: Shard) {
    this.#ring = ring;
    this.#listener = listener;
    this.#shard = shard;
  }

  start(): void {
    this.#ring.accept(this.#listener, this);
  }

  stop(): void {
    this.#stopped = true;
    this.#ring.close(this.#listener, null);
  }

  complete(result: number, flags: number): void {
    if (result >= 0) this.#place(result);
    if ((flags & FLAG_MORE) !== 0 || this.#stopped) return;
    const { timers, nowMs, logger } = this.#shard.options;
    if (result === -EMFILE || result === -ENFILE) {
      logger.log(LogLevel.WARN, "Out of file descriptors: connections wait", { errno: -result });
    }
    timers.schedule(new Timer(() => this.#restart()), nowMs() + (result < 0 ? RETRY_MS : 0));
  }

  #restart(): void {
    if (!this.#stopped) this.start();
  }

  #place(socket: number): void {
    const { mailboxes, peerOf } = this.#shard.options;
    let shard = mailboxes.shard;
    let least = Infinity;
    for (let other = 0; other < mailboxes.shardCount; other++) {
      const connections = mailboxes.connectionsOf(other);
      if (connections >= least) continue;
      if (other !== mailboxes.shard && mailboxes.roomForNotices(other) === 0) continue;
      shard = other;
      least = connections;
    }
    mailboxes.noteConnections(shard, 1);
    if (shard === mailboxes.shard) this.#shard.server.adopt(socket, peerOf(socket));
    else mailboxes.send(shard, MessageType.CONNECTION, 0, socket);
  }
}

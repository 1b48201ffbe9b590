/**
 * Deals clients' connections out to all shards: each to the one with the fewest.
 *
 * SO_REUSEPORT would leave cores idle when there are few connections; a descriptor is valid on every
 * shard of the process, so handing it over is one message.
 *
 * Load is shed here: a connection beyond the process's share of descriptors is closed at once, so that open
 * connections and data files keep theirs (`descriptors.ts`).
 *
 * @module
 */

import { CONNECTIONS_PER_SHARD_MAX } from "../base/limits.ts";
import { MessageType } from "./messages.ts";
import type { RareWarnings } from "./rare_warnings.ts";
import type { Shard } from "./shard.ts";

export class ConnectionDealer {
  readonly #shard: Shard;
  readonly #connectionsMax: number;
  readonly #warnings: RareWarnings;

  /** @param connectionsMax of all shards */
  constructor(shard: Shard, connectionsMax: number, warnings: RareWarnings) {
    this.#shard = shard;
    this.#connectionsMax = connectionsMax;
    this.#warnings = warnings;
  }

  /** Gives an accepted connection to a shard, or closes it. */
  place(socket: number): void {
    const { mailboxes, peerOf, sockets } = this.#shard.options;
    let shard = mailboxes.shard;
    let least = Infinity;
    let total = 0;
    for (let other = 0; other < mailboxes.shardCount; other++) {
      const connections = mailboxes.connectionsOf(other);
      total += connections;
      if (connections >= least) continue;
      if (other !== mailboxes.shard && mailboxes.roomForNotices(other) === 0) continue;
      shard = other;
      least = connections;
    }
    if (total >= this.#connectionsMax) {
      this.#warnings.noteClosed();
      sockets.close(socket);
      const most = mailboxes.shardCount * CONNECTIONS_PER_SHARD_MAX;
      const advice = this.#connectionsMax < most ? ": raise ulimit -n to have more" : "";
      this.#warnings.tell(
        `There are as many connections as fit: closed new ones${advice}`,
        0,
      );
      return;
    }
    mailboxes.noteConnections(shard, 1);
    if (shard === mailboxes.shard) this.#shard.server.adopt(socket, peerOf(socket));
    else mailboxes.send(shard, MessageType.CONNECTION, 0, socket);
  }
}

/**
 * Accepts connections on one shard and deals them out to all shards in turn.
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
import { LogLevel } from "../base/logger.ts";
import type { Completion } from "../io/completion.ts";
import { DiskTrouble, diskTroubleOf, EMFILE, ENFILE } from "../io/errno.ts";
import { Timer } from "../io/timers.ts";
import type { Uring } from "../io/uring.ts";
import { FLAG_MORE } from "../io/uring_ops.ts";
import { MessageType } from "./messages.ts";
import type { Shard } from "./shard.ts";

/** How long to wait after the process ran out of descriptors (ms). */
const RETRY_MS = 100;
/** Connections that were closed, or have to wait, are logged at most this often (ms). */
const TELL_PERIOD_MS = 10_000;

export class Acceptor implements Completion {
  readonly #ring: Uring;
  readonly #listener: number;
  readonly #shard: Shard;
  readonly #connectionsMax: number;
  #stopped = false;
  #closed = 0;
  #toldMs = -Infinity;

  /** @param connectionsMax of all shards */
  constructor(ring: Uring, listener: number, shard: Shard, connectionsMax: number) {
    this.#ring = ring;
    this.#listener = listener;
    this.#shard = shard;
    this.#connectionsMax = connectionsMax;
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
    const { timers, nowMs } = this.#shard.options;
    if (result === -EMFILE) {
      this.#tell("Out of file descriptors: new connections wait. Raise ulimit -n", result);
    } else if (result === -ENFILE) {
      this.#tell(
        "This host is out of file descriptors: new connections wait. Raise fs.file-max",
        result,
      );
    } else if (result < 0 && diskTroubleOf(result) === DiskTrouble.TRANSIENT) {
      this.#tell("Cannot accept connections for now: they wait", result);
    }
    timers.schedule(new Timer(() => this.#restart()), nowMs() + (result < 0 ? RETRY_MS : 0));
  }

  #restart(): void {
    if (!this.#stopped) this.start();
  }

  /** One line now and then, however many connections it is about. */
  #tell(message: string, result: number): void {
    const { logger, nowMs } = this.#shard.options;
    if (nowMs() < this.#toldMs + TELL_PERIOD_MS) return;
    this.#toldMs = nowMs();
    const fields = { connectionsMax: this.#connectionsMax, closed: this.#closed };
    logger.log(LogLevel.WARN, message, result < 0 ? { ...fields, errno: -result } : fields);
    this.#closed = 0;
  }

  #place(socket: number): void {
    const { mailboxes, peerOf } = this.#shard.options;
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
      this.#closed++;
      this.#ring.close(socket, null);
      const most = mailboxes.shardCount * CONNECTIONS_PER_SHARD_MAX;
      const advice = this.#connectionsMax < most ? ": raise ulimit -n to have more" : "";
      this.#tell(`There are as many connections as fit: closed new ones${advice}`, 0);
      return;
    }
    mailboxes.noteConnections(shard, 1);
    if (shard === mailboxes.shard) this.#shard.server.adopt(socket, peerOf(socket));
    else mailboxes.send(shard, MessageType.CONNECTION, 0, socket);
  }
}

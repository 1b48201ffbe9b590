/**
 * Accepts connections of one listener on one shard, and keeps accepting whatever the host is short of.
 *
 * What becomes of a connection is its receiver's: clients' are dealt out (`connection_dealer.ts`), other nodes' say where
 * they belong (`node_links.ts`).
 *
 * @module
 */

import type { Completion } from "../io/completion.ts";
import { DiskTrouble, diskTroubleOf, EMFILE, ENFILE } from "../io/errno.ts";
import { Timer, type Timers } from "../io/timers.ts";
import type { Uring } from "../io/uring.ts";
import { FLAG_MORE } from "../io/uring_ops.ts";
import type { RareWarnings } from "./rare_warnings.ts";

/** How long to wait after the process ran out of descriptors (ms). */
const RETRY_MS = 100;

export interface AcceptorOptions {
  readonly ring: Uring;
  readonly listener: number;
  readonly timers: Timers;
  readonly nowMs: () => number;
  readonly warnings: RareWarnings;
  /** Takes the socket of a new connection. */
  readonly accepted: (socket: number) => void;
}

export class Acceptor implements Completion {
  readonly #options: AcceptorOptions;
  #stopped = false;

  constructor(options: AcceptorOptions) {
    this.#options = options;
  }

  start(): void {
    this.#options.ring.accept(this.#options.listener, this);
  }

  stop(): void {
    this.#stopped = true;
    this.#options.ring.close(this.#options.listener, null);
  }

  complete(result: number, flags: number): void {
    if (result >= 0) this.#options.accepted(result);
    if ((flags & FLAG_MORE) !== 0 || this.#stopped) return;
    const { timers, nowMs, warnings } = this.#options;
    if (result === -EMFILE) {
      warnings.tell("Out of file descriptors: new connections wait. Raise ulimit -n", -result);
    } else if (result === -ENFILE) {
      warnings.tell(
        "This host is out of file descriptors: new connections wait. Raise fs.file-max",
        -result,
      );
    } else if (result < 0 && diskTroubleOf(result) === DiskTrouble.TRANSIENT) {
      warnings.tell("Cannot accept connections for now: they wait", -result);
    }
    timers.schedule(new Timer(() => this.#restart()), nowMs() + (result < 0 ? RETRY_MS : 0));
  }

  #restart(): void {
    if (!this.#stopped) this.start();
  }
}

/**
 * Says what a start waits for: in the log, and to the control thread, for probes.
 *
 * A start waits for other nodes as long as it takes. What is said at first is not repeated at once: a line when the reason
 * changes, and one now and then while it does not.
 *
 * @module
 */

import { hostPort } from "../base/address.ts";
import { type Logger, LogLevel } from "../base/logger.ts";
import type { Founder } from "../cluster/founding.ts";
import { Timer, type Timers } from "../io/timers.ts";

/** A start that waits for less time says nothing (ms). */
const FIRST_MS = 2_000;
/** How often it looks whether the reason is another one (ms). */
const LOOK_MS = 1_000;
/** Between two lines, when the reason changes and when it does not (ms). */
const CHANGED_MS = 3_000;
const REPEAT_MS = 10_000;

export interface StartWaitOptions {
  readonly logger: Logger;
  readonly timers: Timers;
  readonly nowMs: () => number;
  /** What is waited for now; null: nothing. */
  readonly reason: () => string | null;
  readonly tell: (why: string | null) => void;
}

export class StartWait {
  readonly #options: StartWaitOptions;
  readonly #timer = new Timer(() => this.#look());
  #startedMs = 0;
  #loggedMs = -Infinity;
  #logged: string | null = null;
  #told: string | null = null;

  constructor(options: StartWaitOptions) {
    this.#options = options;
  }

  begin(): void {
    const { timers, nowMs } = this.#options;
    this.#startedMs = nowMs();
    timers.schedule(this.#timer, nowMs() + FIRST_MS);
  }

  /** The wait is over, one way or the other. */
  end(): void {
    this.#options.timers.cancel(this.#timer);
    this.#tell(null);
  }

  #look(): void {
    const { logger, timers, nowMs, reason } = this.#options;
    timers.schedule(this.#timer, nowMs() + LOOK_MS);
    const why = reason();
    this.#tell(why);
    if (why === null) return;
    const sinceMs = nowMs() - this.#loggedMs;
    if (sinceMs < (why === this.#logged ? REPEAT_MS : CHANGED_MS)) return;
    this.#logged = why;
    this.#loggedMs = nowMs();
    const waitedS = Math.round((nowMs() - this.#startedMs) / 1000);
    logger.log(LogLevel.WARN, "Waiting for the other nodes", { why, waitedS });
  }

  #tell(why: string | null): void {
    if (why === this.#told) return;
    this.#told = why;
    this.#options.tell(why);
  }
}

/** A voter that is not connected in the life in which it votes. */
export interface MissingVoter extends Founder {
  /** Its node is there in another life, without what it promised. */
  readonly isWiped: boolean;
}

/**
 * Why the cluster's metadata has no leader yet, for people.
 *
 * @param voters how many there are, this node included
 * @param isLong the wait has lasted so long that the others may not come
 */
export function metadataWait(
  voters: number,
  missing: readonly MissingVoter[],
  isLong: boolean,
): string {
  const needed = Math.floor(voters / 2) + 1;
  const here = voters - missing.length;
  if (here >= needed) {
    return "the nodes that keep the cluster's metadata have not elected a leader among them yet";
  }
  const names = missing.map(({ nodeId, host, port, isWiped }) => {
    const where = host === "" ? "" : ` (${hostPort(host, port)})`;
    return `node ${nodeId}${where}${isWiped ? " with the disk that it had" : ""}`;
  });
  const ids = missing.map(({ nodeId }) => nodeId).join(",");
  const hint = isLong
    ? `; if they are gone for good, with their disks: start this node with --recover-metadata ${ids}, which says what would ` +
      "be lost"
    : "";
  return `the cluster's metadata needs ${needed} of its ${voters} nodes, and only ` +
    `${here === 1 ? "this one is" : `${here} are`} here; not reached: ${names.join(", ")}${hint}`;
}

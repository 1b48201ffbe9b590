/**
 * Warnings about connections: one line now and then, however many connections it is about.
 *
 * @module
 */

import { type Logger, LogLevel } from "../base/logger.ts";

/** Connections that were closed, or have to wait, are logged at most this often (ms). */
const TELL_PERIOD_MS = 10_000;

export class RareWarnings {
  readonly #logger: Logger;
  readonly #nowMs: () => number;
  readonly #connectionsMax: number;
  #toldMs = -Infinity;
  #closed = 0;

  /** @param connectionsMax of all shards */
  constructor(logger: Logger, nowMs: () => number, connectionsMax: number) {
    this.#logger = logger;
    this.#nowMs = nowMs;
    this.#connectionsMax = connectionsMax;
  }

  /** A connection was closed; the next line counts it. */
  noteClosed(): void {
    this.#closed++;
  }

  /** @param errno positive, or 0 */
  tell(message: string, errno: number): void {
    if (this.#nowMs() < this.#toldMs + TELL_PERIOD_MS) return;
    this.#toldMs = this.#nowMs();
    const fields = { connectionsMax: this.#connectionsMax, closed: this.#closed };
    this.#logger.log(LogLevel.WARN, message, errno > 0 ? { ...fields, errno } : fields);
    this.#closed = 0;
  }
}

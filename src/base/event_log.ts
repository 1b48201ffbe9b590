/**
 * Log lines about the broker's actions, folded: a script that creates ten thousand topics does not log ten
 * thousand lines.
 *
 * Of each kind a few lines are written at once, then one per period; the others are counted, and the count is
 * written when the period is over.
 *
 * @module
 */

import { type LogFields, type Logger, LogLevel } from "./logger.ts";

/** Lines of one kind that are written at once, and until when no more (ms). */
const AT_ONCE = 20;
const PERIOD_MS = 10_000;

interface Kind {
  startedMs: number;
  written: number;
  folded: number;
  level: LogLevel;
}

export interface EventLogOptions {
  readonly logger: Logger;
  readonly nowMs: () => number;
  /** Calls `run` once, after this delay. */
  readonly later: (run: () => void, ms: number) => void;
}

export class EventLog {
  readonly #options: EventLogOptions;
  readonly #kinds = new Map<string, Kind>();

  constructor(options: EventLogOptions) {
    this.#options = options;
  }

  /**
   * Writes a line, or counts it.
   *
   * @param message one of a few constants: the kind
   */
  note(message: string, fields: LogFields, level: LogLevel = LogLevel.INFO): void {
    const { logger, nowMs } = this.#options;
    let kind = this.#kinds.get(message);
    if (kind === undefined) {
      kind = { startedMs: -Infinity, written: 0, folded: 0, level };
      this.#kinds.set(message, kind);
    }
    if (nowMs() - kind.startedMs >= PERIOD_MS && kind.folded === 0) {
      kind.startedMs = nowMs();
      kind.written = 0;
    }
    if (kind.written < AT_ONCE) {
      kind.written++;
      logger.log(level, message, fields);
      return;
    }
    if (kind.folded++ === 0) this.#tellLater(message, kind);
  }

  #tellLater(message: string, kind: Kind): void {
    const { logger, nowMs, later } = this.#options;
    later(() => {
      logger.log(kind.level, `${message}, and more like it`, { more: kind.folded });
      kind.folded = 0;
      kind.startedMs = nowMs();
      // A storm that goes on is one line a period.
      kind.written = AT_ONCE - 1;
    }, Math.max(0, kind.startedMs + PERIOD_MS - nowMs()));
  }
}

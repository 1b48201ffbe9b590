/**
 * Log lines, as data: the caller decides what is logged, the printer decides the format.
 *
 * Shards hand their lines to the control thread, which writes them to stderr as text or JSON
 * (`src/admin/log_printer.ts`); the simulator collects them in its trace. Nothing on the hot path logs.
 *
 * @module
 */

export const LogLevel = { DEBUG: 0, INFO: 1, WARN: 2, ERROR: 3 } as const;
export type LogLevel = typeof LogLevel[keyof typeof LogLevel];

export type LogFields = Readonly<Record<string, string | number | boolean>>;

/** Takes a line: a sentence without its period, and what it speaks of. */
export interface Logger {
  log(level: LogLevel, message: string, fields?: LogFields): void;
}

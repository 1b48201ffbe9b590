/**
 * Writes log lines to stderr: for people, or as one JSON object a line.
 *
 * Values that come from clients are escaped, so that no line can imitate another.
 *
 * @module
 */

import { type LogFields, type Logger, LogLevel } from "../base/logger.ts";

const NAMES = ["DEBUG", "INFO ", "WARN ", "ERROR"] as const;

export class LogPrinter implements Logger {
  readonly #level: LogLevel;
  readonly #json: boolean;
  readonly #encoder = new TextEncoder();

  /** @param level the lowest level printed */
  constructor(level: LogLevel, json: boolean) {
    this.#level = level;
    this.#json = json;
  }

  log(level: LogLevel, message: string, fields: LogFields = {}): void {
    if (level < this.#level) return;
    const time = new Date().toISOString();
    const line = this.#json
      ? JSON.stringify({ time, level: NAMES[level]!.trim().toLowerCase(), message, ...fields })
      : `${time} ${NAMES[level]} ${message}${textOf(fields)}`;
    writeAll(this.#encoder.encode(line + "\n"));
  }
}

function textOf(fields: LogFields): string {
  let text = "";
  for (const [name, value] of Object.entries(fields)) {
    const plain = typeof value !== "string" || /^[\w./:+-]+$/.test(value);
    text += ` ${name}=${plain ? value : JSON.stringify(value)}`;
  }
  return text;
}

function writeAll(bytes: Uint8Array): void {
  let at = 0;
  while (at < bytes.length) at += Deno.stderr.writeSync(bytes.subarray(at));
}

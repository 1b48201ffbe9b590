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
      ? escaped({ time, level: NAMES[level]!.trim().toLowerCase(), message, ...fields })
      : `${time} ${NAMES[level]} ${message}${textOf(fields)}`;
    writeAll(this.#encoder.encode(line + "\n"));
  }
}

/** As JSON, without what a terminal obeys or turns around: control characters, line ends, directions. */
function escaped(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (one) => {
      return `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`;
    },
  );
}

/** The fields of a line for people. */
export function textOf(fields: LogFields): string {
  let text = "";
  for (const [name, value] of Object.entries(fields)) {
    const plain = typeof value !== "string" || /^[\w./:+-]+$/.test(value);
    text += ` ${name}=${plain ? value : escaped(value)}`;
  }
  return text;
}

function writeAll(bytes: Uint8Array): void {
  let at = 0;
  while (at < bytes.length) at += Deno.stderr.writeSync(bytes.subarray(at));
}

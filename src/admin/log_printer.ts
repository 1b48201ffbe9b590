/**
 * Writes log lines to stderr: for people, or as one JSON object a line.
 *
 * Values that come from clients are escaped, so that no line can imitate another, and cut, so that few lines
 * are not many bytes.
 *
 * @module
 */

import { type LogFields, type Logger, LogLevel } from "../base/logger.ts";

/** Characters of a value that are printed: a client's name may have 32,767. */
const VALUE_LENGTH_MAX = 1000;
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
      ? jsonOf(time, level, message, fields)
      : `${time} ${NAMES[level]} ${message}${textOf(fields)}`;
    writeAll(this.#encoder.encode(line + "\n"));
  }
}

/** A line for programs. */
export function jsonOf(time: string, level: LogLevel, message: string, fields: LogFields): string {
  const values = Object.entries(fields).map(([name, value]) => [name, cut(value)]);
  const shown = Object.fromEntries(values);
  return escaped({ time, level: NAMES[level]!.trim().toLowerCase(), message, ...shown });
}

function cut(value: LogFields[string]): LogFields[string] {
  if (typeof value !== "string" || value.length <= VALUE_LENGTH_MAX) return value;
  return `${value.slice(0, VALUE_LENGTH_MAX)}... (${value.length} characters)`;
}

/** As JSON, without characters that a terminal interprets: control characters, line ends, directions. */
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
  for (const [name, whole] of Object.entries(fields)) {
    const value = cut(whole);
    const plain = typeof value !== "string" || /^[\w./:+-]+$/.test(value);
    text += ` ${name}=${plain ? value : escaped(value)}`;
  }
  return text;
}

function writeAll(bytes: Uint8Array): void {
  let at = 0;
  while (at < bytes.length) at += Deno.stderr.writeSync(bytes.subarray(at));
}

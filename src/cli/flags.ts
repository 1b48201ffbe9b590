/**
 * The flags of a command: declared once as a table, from which come parsing, the environment, the
 * help text and the type of the result.
 *
 * A value comes from the command line, else from the environment (`--data-dir` is `GREGOR_DATA_DIR`),
 * else from a file (`config_file.ts`), else from the default. Parsing never stops at the first problem: all of them are returned together,
 * each with the nearest thing that would have been right.
 *
 * @example
 * ```ts
 * const flags = { "data-dir": text({ value: "DIR", default: "data", help: "Where the data lives" }) };
 * const parsed = parseFlags({ flags, positionals: [] }, ["--data-dir", "/srv"], {});
 * // parsed.values.dataDir === "/srv"
 * ```
 *
 * @module
 */

import { hostPort } from "../base/address.ts";
import { nearest } from "../base/nearest.ts";
import { parseDuration, parseSize } from "./size.ts";

/** Where something listens, or is to be found. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** A refused text and what was expected instead ("a whole number from 0 to 9"). */
export class Refusal {
  readonly expected: string;
  constructor(expected: string) {
    this.expected = expected;
  }
}

/** One flag; `T` is what a command gets. */
export interface Flag<T> {
  /** Placeholder in the help text; empty for a switch, which takes no value. */
  readonly value: string;
  readonly help: string;
  /** The default as the help text prints it; null when there is none worth printing. */
  readonly shownDefault: string | null;
  readonly isSwitch: boolean;
  /** Refuse the command when it is not given. */
  readonly required: boolean;
  readonly defaultValue: T;
  /** All texts given, in order (one, unless the flag repeats), made into the value. */
  read(texts: readonly string[]): T | Refusal;
  /** Cuts an environment variable into the texts that a command line would have given. */
  splitEnv(text: string): string[];
  /** What a file says holds beside what is given otherwise, which wins where both name the same. */
  readonly addsToFile?: boolean;
}

/** A text that a value is read from, and where it stands: `--data-dir`, `GREGOR_DATA_DIR`, `gregor.conf:3`. */
export interface Origin {
  readonly text: string;
  readonly where: string;
}

// deno-lint-ignore no-explicit-any
export type Flags = Readonly<Record<string, Flag<any>>>;

/** An argument without a name. */
export interface Positional {
  readonly name: string;
  readonly help: string;
  readonly required: boolean;
  /** Takes all that are left. */
  readonly many?: boolean;
}

type CamelCase<S extends string> = S extends `${infer Head}-${infer Tail}`
  ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : S;

/** `{"data-dir": Flag<string>}` gives `{dataDir: string}`. */
export type FlagValues<F extends Flags> = {
  readonly [K in keyof F & string as CamelCase<K>]: F[K] extends Flag<infer T> ? T : never;
};

/** One thing wrong with a command line. */
export interface Problem {
  /** What it is about: `--flag`, `GREGOR_FLAG`, an argument. */
  readonly subject: string;
  readonly message: string;
}

export interface ParsedFlags<F extends Flags> {
  readonly values: FlagValues<F>;
  readonly args: readonly string[];
  /** Names of the flags that were given, by command line or environment. */
  readonly given: ReadonlySet<string>;
  /** Of the flags that were given, by name. */
  readonly origins: ReadonlyMap<string, readonly Origin[]>;
  /** Empty when all is well; otherwise the values are not to be used. */
  readonly problems: readonly Problem[];
}

/** What parsing needs of a command. */
export interface FlagTable<F extends Flags> {
  readonly flags: F;
  readonly positionals: readonly Positional[];
}

/** `--data-dir` is `GREGOR_DATA_DIR`. */
export function envName(flag: string): string {
  return `GREGOR_${flag.replaceAll("-", "_").toUpperCase()}`;
}

/** Reads a command line. `env` is the environment as a plain object; `file` what a file says, by the names of flags. */
export function parseFlags<F extends Flags>(
  table: FlagTable<F>,
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  file: ReadonlyMap<string, readonly Origin[]> = new Map(),
): ParsedFlags<F> {
  const problems: Problem[] = [];
  const texts = new Map<string, string[]>();
  const args: string[] = [];
  const unknown = scan(table.flags, argv, texts, args, problems);
  const origins = new Map<string, readonly Origin[]>();
  const values: Record<string, unknown> = {};
  for (const [name, flag] of Object.entries(table.flags)) {
    const found = originsOf(name, flag, texts.get(name), env[envName(name)], file.get(name));
    let value: unknown = flag.defaultValue;
    if (found.length > 0) {
      origins.set(name, found);
      const read = flag.read(found.map(({ text }) => text));
      if (read instanceof Refusal) {
        const got = found.map(({ text }) => JSON.stringify(text)).join(", ");
        const subject = found.at(-1)!.where;
        problems.push({ subject, message: `expected ${read.expected}, got ${got}` });
      } else value = read;
    } else if (flag.required) {
      problems.push({ subject: `--${name}`, message: `is required: ${flag.help}` });
    }
    values[camelCase(name)] = value;
  }
  checkPositionals(table.positionals, args, unknown, problems);
  const given = new Set(origins.keys());
  return { values: values as FlagValues<F>, args, given, origins, problems };
}

/** What a flag's value is read from: the nearest of its sources that says anything. */
function originsOf(
  name: string,
  flag: Flag<unknown>,
  written: readonly string[] | undefined,
  fromEnv: string | undefined,
  fromFile: readonly Origin[] = [],
): readonly Origin[] {
  let near: Origin[] = [];
  if (written !== undefined) near = written.map((text) => ({ text, where: `--${name}` }));
  else if (fromEnv !== undefined && fromEnv !== "") {
    near = flag.splitEnv(fromEnv).map((text) => ({ text, where: envName(name) }));
  }
  if (near.length === 0) return fromFile;
  return flag.addsToFile === true ? [...fromFile, ...near] : near;
}

/** Sorts `argv` into texts per flag and arguments; returns whether a flag was unknown. */
function scan(
  flags: Flags,
  argv: readonly string[],
  texts: Map<string, string[]>,
  args: string[],
  problems: Problem[],
): boolean {
  let unknown = false;
  for (let at = 0; at < argv.length; at++) {
    const token = argv[at]!;
    if (token === "--") {
      args.push(...argv.slice(at + 1));
      break;
    }
    if (!token.startsWith("-") || token === "-" || /^-\d/.test(token)) {
      args.push(token);
      continue;
    }
    const equals = token.indexOf("=");
    const written = equals < 0 ? token : token.slice(0, equals);
    const inline = equals < 0 ? undefined : token.slice(equals + 1);
    const name = written.replace(/^--?/, "");
    const negated = name.startsWith("no-") ? flags[name.slice(3)] : undefined;
    const flag = written.startsWith("--") ? flags[name] : undefined;
    if (flag === undefined && negated?.isSwitch === true && inline === undefined) {
      texts.set(name.slice(3), ["false"]);
      continue;
    }
    if (flag === undefined) {
      unknown = true;
      const guess = nearest(name, Object.keys(flags));
      problems.push({
        subject: written,
        message: guess === null
          ? "is not a flag of this command"
          : `is not a flag of this command; nearest is --${guess}`,
      });
      // Swallow its value, so that one misspelling is one problem.
      const takesValue = guess === null || !flags[guess]!.isSwitch;
      if (inline === undefined && takesValue && looksLikeValue(argv[at + 1])) at++;
      continue;
    }
    let text = inline;
    if (text === undefined) {
      if (flag.isSwitch) text = "true";
      else if (looksLikeValue(argv[at + 1])) text = argv[++at];
    }
    if (text === undefined) {
      problems.push({ subject: written, message: `needs a value: --${name} ${flag.value}` });
      continue;
    }
    const list = texts.get(name);
    if (list === undefined) texts.set(name, [text]);
    else list.push(text);
  }
  return unknown;
}

function looksLikeValue(token: string | undefined): boolean {
  return token !== undefined && (!token.startsWith("-") || token === "-" || /^-\d/.test(token));
}

function checkPositionals(
  positionals: readonly Positional[],
  args: readonly string[],
  unknownFlag: boolean,
  problems: Problem[],
): void {
  const missing = positionals.find((positional, at) => positional.required && at >= args.length);
  // After an unknown flag it is unknown which word was its value.
  if (missing !== undefined && !unknownFlag) {
    problems.push({ subject: missing.name, message: `is missing: ${missing.help}` });
  }
  const takesAll = positionals.some((positional) => positional.many === true);
  if (takesAll) return;
  for (const extra of args.slice(positionals.length)) {
    problems.push({ subject: JSON.stringify(extra), message: "is one argument too many" });
  }
}

function camelCase(name: string): string {
  return name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

interface Options {
  /** Placeholder in the help text. */
  readonly value: string;
  readonly help: string;
  readonly required?: boolean;
}

type WithDefault<T> = Options & { readonly default: T };

/** A flag of one text; the last one given counts. */
function single<T>(
  options: Options & { readonly default?: T },
  read: (text: string) => T | Refusal,
  show: (value: T) => string,
): Flag<T | undefined> {
  return {
    value: options.value,
    help: options.help,
    shownDefault: options.default === undefined ? null : show(options.default),
    isSwitch: false,
    required: options.required === true,
    defaultValue: options.default,
    read: (texts) => read(texts.at(-1)!),
    splitEnv: (text) => [text],
  };
}

/** Any text that is not empty. */
export function text(options: WithDefault<string>): Flag<string>;
export function text(options: Options & { readonly required: true }): Flag<string>;
export function text(options: Options): Flag<string | undefined>;
export function text(
  options: Options & { readonly default?: string },
): Flag<string | undefined> {
  return single(options, (given) => given === "" ? new Refusal("a text") : given, String);
}

interface Range {
  readonly min?: number;
  readonly max?: number;
}

/** A whole number. */
export function integer(options: WithDefault<number> & Range): Flag<number>;
export function integer(options: Options & Range): Flag<number | undefined>;
export function integer(
  options: Options & Range & { readonly default?: number },
): Flag<number | undefined> {
  const { min = -Number.MAX_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER } = options;
  const expected = `a whole number${rangeText(options, String)}`;
  return single(options, (given) => {
    const number = /^-?\d+$/.test(given) ? Number(given) : NaN;
    return number >= min && number <= max ? number : new Refusal(expected);
  }, String);
}

/** A number of bytes: `4GiB`. */
export function size(options: WithDefault<number> & Range): Flag<number>;
export function size(options: Options & Range): Flag<number | undefined>;
export function size(
  options: Options & Range & { readonly default?: number },
): Flag<number | undefined> {
  const { min = 0, max = Number.MAX_SAFE_INTEGER } = options;
  const expected = `a size such as 512MiB or 4GiB${rangeText(options, exactSize)}`;
  return single(options, (given) => {
    const bytes = parseSize(given) ?? NaN;
    return bytes >= min && bytes <= max ? bytes : new Refusal(expected);
  }, exactSize);
}

/** Milliseconds: `500ms`, `7d`. */
export function duration(options: WithDefault<number> & Range): Flag<number>;
export function duration(options: Options & Range): Flag<number | undefined>;
export function duration(
  options: Options & Range & { readonly default?: number },
): Flag<number | undefined> {
  const { min = 0, max = Number.MAX_SAFE_INTEGER } = options;
  const expected = `a duration such as 500ms, 30s or 7d${rangeText(options, exactDuration)}`;
  return single(options, (given) => {
    const ms = parseDuration(given) ?? NaN;
    return ms >= min && ms <= max ? ms : new Refusal(expected);
  }, exactDuration);
}

/** `HOST:PORT`, `[::1]:PORT`. */
export function address(options: WithDefault<string>): Flag<Address>;
export function address(options: Options): Flag<Address | undefined>;
export function address(
  options: Options & { readonly default?: string },
): Flag<Address | undefined> {
  const { default: fallback, ...rest } = options;
  const flag = single<Address>(rest, readAddress, formatAddress);
  if (fallback === undefined) return flag;
  return { ...flag, shownDefault: fallback, defaultValue: readAddress(fallback) as Address };
}

/** Addresses with commas between them; may also be repeated. */
export function addresses(options: Options & { readonly default?: string }): Flag<Address[]> {
  const readAll = (texts: readonly string[]): Address[] | Refusal => {
    const read: Address[] = [];
    for (const part of texts.flatMap((given) => given.split(","))) {
      const one = readAddress(part.trim());
      if (one instanceof Refusal) {
        return new Refusal(`${one.expected}, with commas between several`);
      }
      read.push(one);
    }
    return read;
  };
  return {
    value: options.value,
    help: options.help,
    shownDefault: options.default ?? null,
    isSwitch: false,
    required: options.required === true,
    defaultValue: options.default === undefined ? [] : readAll([options.default]) as Address[],
    read: readAll,
    splitEnv: (given) => [given],
  };
}

/** `KEY=VALUE`, repeatable; in the environment with commas between them. */
export function pairs(options: Options): Flag<Map<string, string>> {
  return {
    value: options.value,
    help: options.help,
    shownDefault: null,
    isSwitch: false,
    required: options.required === true,
    defaultValue: new Map(),
    read: (texts) => {
      const read = new Map<string, string>();
      for (const given of texts) {
        const equals = given.indexOf("=");
        if (equals <= 0) return new Refusal("KEY=VALUE");
        read.set(given.slice(0, equals), given.slice(equals + 1));
      }
      return read;
    },
    // A comma inside a value (cleanup.policy=compact,delete) is not followed by KEY=.
    addsToFile: true,
    splitEnv: (given) => given.split(/,(?=[\w.-]+=)/),
  };
}

/** Several texts: repeatable, and with commas between them. */
export function list(options: Options): Flag<string[]> {
  return {
    value: options.value,
    help: options.help,
    shownDefault: null,
    isSwitch: false,
    required: options.required === true,
    defaultValue: [],
    read: (texts) => texts.flatMap((given) => given.split(",")).filter((part) => part !== ""),
    splitEnv: (given) => [given],
  };
}

/** One of a few words. */
export function choice<const C extends string>(
  options: Options & { readonly choices: readonly C[]; readonly default: C },
): Flag<C>;
export function choice<const C extends string>(
  options: Options & { readonly choices: readonly C[] },
): Flag<C | undefined>;
export function choice<const C extends string>(
  options: Options & { readonly choices: readonly C[]; readonly default?: C },
): Flag<C | undefined> {
  return single<C>(options, (given) => {
    const found = options.choices.find((one) => one === given);
    if (found !== undefined) return found;
    const guess = nearest(given, options.choices);
    const nearestText = guess === null ? "" : ` (nearest is ${guess})`;
    return new Refusal(`one of ${options.choices.join(", ")}${nearestText}`);
  }, String);
}

/** On when given; `--no-NAME` and `--NAME=false` turn it off. */
export function toggle(
  options: { readonly help: string; readonly default?: boolean },
): Flag<boolean> {
  return {
    value: "",
    help: options.help,
    shownDefault: options.default === true ? "on" : null,
    isSwitch: true,
    required: false,
    defaultValue: options.default === true,
    read: (texts) => {
      const given = texts.at(-1)!.toLowerCase();
      if (["true", "1", "yes", "on"].includes(given)) return true;
      if (["false", "0", "no", "off"].includes(given)) return false;
      return new Refusal("true or false");
    },
    splitEnv: (given) => [given],
  };
}

/** Reads `HOST:PORT` or `[IPV6]:PORT`. */
export function readAddress(given: string): Address | Refusal {
  const match = /^(?:\[([0-9a-f:.%]+)\]|([^\s:/[\]]+)):(\d{1,5})$/i.exec(given);
  const port = match === null ? NaN : Number(match[3]);
  if (match !== null && port <= 65535) return { host: match[1] ?? match[2]!, port };
  return new Refusal("HOST:PORT such as 127.0.0.1:9092");
}

/** Prints an address as {@linkcode readAddress} reads it. */
export function formatAddress(where: Address): string {
  return hostPort(where.host, where.port);
}

function rangeText(range: Range, show: (value: number) => string): string {
  if (range.min !== undefined && range.max !== undefined) {
    return ` from ${show(range.min)} to ${show(range.max)}`;
  }
  if (range.min !== undefined) return ` of at least ${show(range.min)}`;
  return range.max === undefined ? "" : ` of at most ${show(range.max)}`;
}

function exactSize(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let value = bytes;
  while (value >= 1024 && value % 1024 === 0 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return unit === 0 ? String(bytes) : `${value}${units[unit]}`;
}

function exactDuration(ms: number): string {
  if (ms === 0) return "0";
  if (ms % 86400e3 === 0) return `${ms / 86400e3}d`;
  if (ms % 3600e3 === 0) return `${ms / 3600e3}h`;
  if (ms % 60e3 === 0) return `${ms / 60e3}m`;
  return ms % 1e3 === 0 ? `${ms / 1e3}s` : `${ms}ms`;
}

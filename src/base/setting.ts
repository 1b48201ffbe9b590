/**
 * One setting of a broker or a topic: its name, its valid values, and its default.
 * Values are texts, as Kafka's protocol carries them; the refusals are worded as Kafka words
 * them, because client tools show them to people who look them up.
 *
 * @module
 */

/** Kafka's config types that occur here. */
export type SettingKind = "boolean" | "short" | "int" | "long" | "double" | "string" | "list";

export interface Setting {
  readonly kind: SettingKind;
  /** What a number counts; for documentation and for units on the command line. */
  readonly unit: "bytes" | "ms" | "minutes" | "hours" | null;
  /** As text; null where Kafka's default is null. */
  readonly fallback: string | null;
  readonly doc: string;
  /** Can be changed while the broker runs. */
  readonly dynamic: boolean;
  /** False: known, kept and shown, but without effect in Gregor (the doc says why). */
  readonly honoured: boolean;
  /** The flag of `gregor start` that gives the value; null where `--set` does. */
  readonly flag: string | null;
  readonly min: number | null;
  readonly max: number | null;
  /** The default is allowed beside the numbers from `min` to `max`. */
  readonly alsoFallback: boolean;
  /** The words that are allowed; of a list, its elements. */
  readonly choices: readonly string[] | null;
  /** A list of replicas: `PARTITION:BROKER,...`, or `*`. */
  readonly isReplicas: boolean;
}

interface Options {
  readonly unit?: Setting["unit"];
  readonly min?: number;
  readonly max?: number;
  readonly alsoFallback?: true;
  readonly isReplicas?: true;
  readonly fixed?: true;
  readonly ignored?: true;
  readonly flag?: string;
}

function setting(
  kind: SettingKind,
  fallback: string | null,
  doc: string,
  options: Options,
  choices: readonly string[] | null,
): Setting {
  return {
    kind,
    unit: options.unit ?? null,
    fallback,
    doc,
    dynamic: options.fixed !== true,
    honoured: options.ignored !== true,
    flag: options.flag ?? null,
    min: options.min ?? null,
    max: options.max ?? null,
    alsoFallback: options.alsoFallback === true,
    choices,
    isReplicas: options.isReplicas === true,
  };
}

/** `true` or `false`. */
export function booleanSetting(fallback: boolean, doc: string, options: Options = {}): Setting {
  return setting("boolean", String(fallback), doc, options, null);
}

/** A 32-bit number. */
export function intSetting(fallback: number | null, doc: string, options: Options = {}): Setting {
  return setting("int", fallback === null ? null : String(fallback), doc, options, null);
}

/** A 16-bit number. */
export function shortSetting(fallback: number, doc: string, options: Options = {}): Setting {
  return setting("short", String(fallback), doc, options, null);
}

/** A 64-bit number; `fallback` as text where it is beyond 2^53. */
export function longSetting(
  fallback: number | string | null,
  doc: string,
  options: Options = {},
): Setting {
  return setting("long", fallback === null ? null : String(fallback), doc, options, null);
}

/** A number with a fraction; `fallback` as text where Kafka writes it in its own way. */
export function doubleSetting(
  fallback: number | string,
  doc: string,
  options: Options = {},
): Setting {
  return setting("double", String(fallback), doc, options, null);
}

/** A text, perhaps one of a few. */
export function stringSetting(
  fallback: string | null,
  doc: string,
  options: Options & { readonly choices?: readonly string[] } = {},
): Setting {
  return setting("string", fallback, doc, options, options.choices ?? null);
}

/** Texts with commas between them, perhaps each one of a few. */
export function listSetting(
  fallback: string | null,
  doc: string,
  options: Options & { readonly choices?: readonly string[] } = {},
): Setting {
  return setting("list", fallback, doc, options, options.choices ?? null);
}

const SHORT_MAX = 2 ** 15 - 1;
const INT_MIN = -(2 ** 31);
const INT_MAX = 2 ** 31 - 1;
const LONG_MIN = -(2n ** 63n);
const LONG_MAX = 2n ** 63n - 1n;

/** As Java reads a double. */
const DOUBLE = /^[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?[df]?|NaN|Infinity)$/i;

/** What is wrong with `value`, in Kafka's words; null when nothing is. */
export function refuseSetting(name: string, definition: Setting, value: string): string | null {
  const refuse = (why: string, shown = value): string =>
    `Invalid value ${shown} for configuration ${name}: ${why}`;
  const text = value.trim();
  switch (definition.kind) {
    case "boolean":
      return /^(true|false)$/i.test(text)
        ? null
        : refuse("Expected value to be either true or false");
    case "short":
      if (!/^[+-]?\d+$/.test(text) || Math.abs(Number(text)) > SHORT_MAX) {
        return refuse("Not a number of type SHORT");
      }
      return refuseRange(definition, text, refuse);
    case "int":
      if (!/^[+-]?\d+$/.test(text) || Number(text) < INT_MIN || Number(text) > INT_MAX) {
        return refuse("Not a number of type INT");
      }
      return refuseRange(definition, text, refuse);
    case "long":
      if (!/^[+-]?\d+$/.test(text) || BigInt(text) < LONG_MIN || BigInt(text) > LONG_MAX) {
        return refuse("Not a number of type LONG");
      }
      return refuseRange(definition, text, refuse);
    case "double":
      if (!DOUBLE.test(text)) return refuse("Not a number of type DOUBLE");
      return refuseRange(definition, text, refuse);
    case "string":
      return definition.choices === null || definition.choices.includes(text)
        ? null
        : refuse(`String must be one of: ${definition.choices.join(", ")}`, text);
    case "list":
      return refuseList(name, definition, text, refuse);
  }
}

type Refuse = (why: string, shown?: string) => string;

function refuseRange(definition: Setting, text: string, refuse: Refuse): string | null {
  const { min, max, kind } = definition;
  const number = Number(text.replace(/[df]$/i, ""));
  if (definition.alsoFallback) {
    if (text === definition.fallback || (number >= min! && number <= max!)) return null;
    return refuse(`Value must be between ${min} and ${max} or equal to ${definition.fallback}`);
  }
  const shown = kind === "double" ? javaDouble(number) : `${BigInt(text)}`;
  if (min !== null && !(number >= min)) return refuse(`Value must be at least ${min}`, shown);
  if (max !== null && !(number <= max)) return refuse(`Value must be no more than ${max}`, shown);
  return null;
}

function refuseList(name: string, definition: Setting, text: string, refuse: Refuse) {
  const { choices, isReplicas } = definition;
  const elements = text === "" ? [] : text.split(",").map((element) => element.trim());
  if (isReplicas) {
    const isRight = elements[0] === "*" || elements.every((one) => /^(?:\d+:\d+)?$/.test(one));
    if (isRight) return null;
    const why = `${name} must be the literal '*' or a list of replicas in the following format: ` +
      "[partitionId]:[brokerId],[partitionId]:[brokerId],...";
    return refuse(why, `[${elements.join(", ")}]`);
  }
  if (choices === null) return null;
  if (elements.includes("")) return `Configuration '${name}' values must not be empty.`;
  const stranger = elements.find((element) => !choices.includes(element));
  if (stranger === undefined) return null;
  return refuse(`String must be one of: ${choices.join(", ")}`, stranger);
}

/** From here on, and below its inverse, Java writes a double with an exponent. */
const SCIENTIFIC_FROM = 1e7;
const PLAIN_FROM = 1e-3;

/** A number as Java writes a double. */
function javaDouble(number: number): string {
  const size = Math.abs(number);
  if (!Number.isFinite(number)) return String(number);
  if (size !== 0 && (size >= SCIENTIFIC_FROM || size < PLAIN_FROM)) {
    const [digits, exponent] = number.toExponential().split("e") as [string, string];
    return `${digits.includes(".") ? digits : `${digits}.0`}E${Number(exponent)}`;
  }
  return Number.isInteger(number) ? `${number}.0` : String(number);
}

/** The elements of a list value, trimmed; none for an empty text. */
export function splitList(value: string): string[] {
  return value.split(",").map((element) => element.trim()).filter((element) => element !== "");
}

/** Kafka's number for the type of a config, as DescribeConfigs reports it. */
export function configTypeId(kind: SettingKind): number {
  return { boolean: 1, string: 2, int: 3, short: 4, long: 5, double: 6, list: 7 }[kind];
}

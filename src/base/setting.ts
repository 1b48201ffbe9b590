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
  /** The words that are allowed; of a list, its elements. */
  readonly choices: readonly string[] | null;
}

interface Options {
  readonly unit?: Setting["unit"];
  readonly min?: number;
  readonly max?: number;
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
    choices,
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
      return refuseRange(definition, Number(text), refuse);
    case "int":
      if (!/^[+-]?\d+$/.test(text) || Number(text) < INT_MIN || Number(text) > INT_MAX) {
        return refuse("Not a number of type INT");
      }
      return refuseRange(definition, Number(text), refuse);
    case "long":
      if (!/^[+-]?\d+$/.test(text) || BigInt(text) < LONG_MIN || BigInt(text) > LONG_MAX) {
        return refuse("Not a number of type LONG");
      }
      return refuseRange(definition, Number(text), refuse);
    case "double":
      if (text === "" || Number.isNaN(Number(text))) return refuse("Not a number of type DOUBLE");
      return refuseRange(definition, Number(text), refuse);
    case "string":
      return definition.choices === null || definition.choices.includes(text)
        ? null
        : refuse(`String must be one of: ${definition.choices.join(", ")}`);
    case "list": {
      if (definition.choices === null) return null;
      const stranger = splitList(text).find((element) => !definition.choices!.includes(element));
      return stranger === undefined
        ? null
        : refuse(`String must be one of: ${definition.choices.join(", ")}`, stranger);
    }
  }
}

function refuseRange(
  definition: Setting,
  number: number,
  refuse: (why: string) => string,
): string | null {
  if (definition.min !== null && number < definition.min) {
    return refuse(`Value must be at least ${definition.min}`);
  }
  if (definition.max !== null && number > definition.max) {
    return refuse(`Value must be no more than ${definition.max}`);
  }
  return null;
}

/** The elements of a list value, trimmed; none for an empty text. */
export function splitList(value: string): string[] {
  return value.split(",").map((element) => element.trim()).filter((element) => element !== "");
}

/** Kafka's number for the type of a config, as DescribeConfigs reports it. */
export function configTypeId(kind: SettingKind): number {
  return { boolean: 1, string: 2, int: 3, short: 4, long: 5, double: 6, list: 7 }[kind];
}

/**
 * Converts values that people write (`retention.ms=7d`) to those of the protocol (`604800000`).
 *
 * @module
 */

import type { Setting } from "../base/setting.ts";
import { parseDuration, parseSize } from "./size.ts";

/**
 * The value as a plain number of the setting's unit; a value that is no size or duration is left as it is, for
 * the broker to judge.
 */
export function plainValue(definition: Setting | undefined, value: string): string {
  if (definition === undefined || /^-?\d+$/.test(value)) return value;
  const { unit } = definition;
  if (unit === null) return value;
  if (unit === "bytes") return String(parseSize(value) ?? value);
  const ms = parseDuration(value);
  if (ms === undefined) return value;
  return String(unit === "ms" ? ms : unit === "minutes" ? ms / 60e3 : ms / 3600e3);
}

/** All values of a `KEY=VALUE` flag in plain form. */
export function plainConfigValues(
  given: ReadonlyMap<string, string>,
  definitions: Readonly<Record<string, Setting>>,
): Map<string, string> {
  return new Map(
    [...given].map(([name, value]) => {
      const definition = Object.hasOwn(definitions, name) ? definitions[name] : undefined;
      return [name, plainValue(definition, value)];
    }),
  );
}

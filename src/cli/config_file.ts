/**
 * A file with flags of a command, for those that stay the same: a line each, under the flag's name. Names with a dot are
 * settings, under Kafka's name, as in Kafka's own `server.properties`.
 *
 * ```text
 * # Comments begin with a hash.
 * data-dir = /var/lib/gregor
 * memory = 8GiB
 * log.retention.ms = 7d
 * ```
 *
 * @module
 */

import { isSettingName, suggestSetting } from "../base/settings.ts";
import { nearest } from "../base/nearest.ts";
import type { Flags, Origin, Problem } from "./flags.ts";

/** The flag that takes settings. */
const SETTINGS_FLAG = "set";
/** Switches of a single start, and what names the file: they do not belong into one. */
const NOT_IN_FILES: readonly string[] = [
  "config",
  "print-config",
  "accept-loss",
  "recover-metadata",
];

export interface ConfigFile {
  /** By the names of flags, as `parseFlags` takes them. */
  readonly origins: ReadonlyMap<string, readonly Origin[]>;
  readonly problems: readonly Problem[];
}

/**
 * Reads the text of a file.
 *
 * @param name of the file, for what is said about its lines
 */
export function readConfig(flags: Flags, name: string, text: string): ConfigFile {
  const origins = new Map<string, Origin[]>();
  const problems: Problem[] = [];
  const seen = new Map<string, number>();
  for (const [index, line] of text.split("\n").entries()) {
    const where = `${name}:${index + 1}`;
    const trimmed = line.trim();
    if (trimmed === "" || trimmed.startsWith("#")) continue;
    const [, key, value] = /^([\w.-]+)\s*=\s*(.*)$/.exec(trimmed) ?? [];
    if (key === undefined || value === undefined) {
      problems.push({
        subject: where,
        message: `expected NAME = VALUE, got ${JSON.stringify(trimmed)}`,
      });
      continue;
    }
    const message = nameProblem(flags, key) ??
      (seen.has(key) ? `${key} is in line ${seen.get(key)} already` : null);
    seen.set(key, index + 1);
    if (message !== null) problems.push({ subject: where, message });
    else if (key in flags) origins.set(key, [{ text: value, where }]);
    else {
      const settings = origins.get(SETTINGS_FLAG) ?? [];
      settings.push({ text: `${key}=${value}`, where });
      origins.set(SETTINGS_FLAG, settings);
    }
  }
  return { origins, problems };
}

/** Why a name cannot stand in a file; null: it can. */
function nameProblem(flags: Flags, key: string): string | null {
  if (NOT_IN_FILES.includes(key)) {
    return `${key} is for the command line: it is meant for one start`;
  }
  if (key === SETTINGS_FLAG) return "settings stand under their own names: log.retention.ms = 7d";
  if (key in flags || (SETTINGS_FLAG in flags && isSettingName(key))) return null;
  const guess = key.includes(".") ? suggestSetting(key) : nearest(key, Object.keys(flags));
  return `${key} is no flag of this command and no setting` +
    (guess === null ? "" : `; nearest is ${guess}`);
}

/**
 * `gregor start --print-config`: every value that a start would use, and where it comes from.
 *
 * @module
 */

import { isSettingName, SETTINGS, Settings } from "../base/settings.ts";
import type { Origin } from "./flags.ts";
import { type Address, formatAddress } from "./flags.ts";
import { START_FLAGS, type StartOptions } from "./start_options.ts";

export const CONFIG_COLUMNS = [
  { heading: "NAME" },
  { heading: "VALUE" },
  { heading: "FROM" },
] as const;

/** Flags that say nothing about a broker. */
const OF_THE_COMMAND: readonly string[] = ["config-file", "print-config", "set"];
const DEFAULT = "default";

/** A row for each flag and each setting. */
export function configRows(
  options: StartOptions,
  origins: ReadonlyMap<string, readonly Origin[]>,
): string[][] {
  return [...flagRows(options, origins), ...settingRows(options, origins)];
}

function flagRows(
  options: StartOptions,
  origins: ReadonlyMap<string, readonly Origin[]>,
): string[][] {
  const used: Readonly<Record<string, string>> = {
    "advertised-kafka-addr": orNone(options.advertisedKafkaAddr, "as bound"),
    "rpc-addr": orNone(options.rpcAddr, "none"),
    "advertised-rpc-addr": orNone(options.advertisedRpcAddr, "as bound"),
    "cores": String(options.cores),
    "memory": `${options.memoryBytes / 2 ** 20}MiB`,
    "idle-poll-us": String(options.idlePollUs),
    "detached": String(options.detached),
  };
  return Object.entries(START_FLAGS)
    .filter(([name]) => !OF_THE_COMMAND.includes(name))
    .map(([name, { shownDefault, isSwitch }]) => {
      const given = origins.get(name);
      const value = given?.map(({ text }) => text).join(",") ??
        used[name] ?? shownDefault ?? (isSwitch ? "false" : "-");
      return [name, value, given?.at(-1)?.where ?? DEFAULT];
    });
}

function settingRows(
  { settings, mode }: StartOptions,
  origins: ReadonlyMap<string, readonly Origin[]>,
): string[][] {
  const given = new Map(
    (origins.get("set") ?? []).map(({ text, where }) => [text.slice(0, text.indexOf("=")), where]),
  );
  const all = new Settings(settings);
  return Object.keys(SETTINGS).filter(isSettingName)
    .filter((name) => SETTINGS[name].flag === null && SETTINGS[name].honoured)
    .sort()
    .map((name) => {
      const from = given.get(name) ?? (settings.has(name) ? `--mode ${mode}` : DEFAULT);
      return [name, all.text(name) ?? "-", from];
    });
}

function orNone(address: Address | null, none: string): string {
  return address === null ? none : formatAddress(address);
}

/**
 * The help pages. The first one says what Gregor is, shows three lines that work, and where to continue; a
 * command's page comes from its table of flags, so no flag can be missing.
 *
 * @module
 */

import type { Command } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { EXIT_CODES } from "./exit_codes.ts";
import { envName, type Flag } from "./flags.ts";
import { wrap } from "./table.ts";
import { bold, type Terminal } from "./terminal.ts";
import { VERSION } from "./version.ts";

const GROUPS: readonly (readonly [string, readonly string[]])[] = [
  ["Run", ["start", "check", "doctor", "tune", "version", "completions"]],
  ["Use", ["produce", "consume", "bench"]],
  ["Administer", ["topic", "partition", "group", "txn", "cluster"]],
  ["Watch", ["generate"]],
];
/** Width of the longest name, `generate grafana-dashboard`. */
const NAME_WIDTH = 26;

/** `gregor help`. */
export function topHelp(terminal: Terminal): string {
  const lines = [
    `${bold(terminal, `Gregor ${VERSION}`)}: Kafka, metamorphosed. A drop-in broker, one binary.`,
    "",
    "Try it, in three terminals:",
    "  gregor start --mode dev                a broker at 127.0.0.1:9092, data in ./gregor-data",
    "  gregor consume hello                   waits for records of topic hello and prints them",
    "  echo 'Hello, Samsa' | gregor produce hello",
  ];
  for (const [title, names] of GROUPS) {
    lines.push("", bold(terminal, title));
    for (const entry of COMMANDS) {
      if (!names.includes(entry.name.split(" ")[0]!)) continue;
      lines.push(`  ${entry.name.padEnd(NAME_WIDTH)}  ${entry.summary}`);
    }
  }
  lines.push(
    "",
    bold(terminal, "Read"),
    "  gregor COMMAND --help             every flag of a command, with examples",
    "  gregor help exit-codes            what the exit codes mean, and what to do",
    "  gregor help environment           how to set flags in the environment",
    "",
    "Clients find the broker at --brokers HOST:PORT, or where GREGOR_BROKERS says.",
    "",
  );
  return lines.join("\n");
}

/** `gregor COMMAND --help`. */
export function commandHelp(terminal: Terminal, command: Command): string {
  const positionals = command.positionals.map((positional) => {
    const name = positional.many === true ? `${positional.name}...` : positional.name;
    return positional.required ? ` ${name}` : ` [${name}]`;
  }).join("");
  const width = Math.min(terminal.columns, 100);
  const lines = [
    `${bold(terminal, "Usage:")} gregor ${command.name}${positionals} [flags]`,
    "",
    ...command.about.split("\n").map((paragraph) => wrap(paragraph, width)),
  ];
  if (command.positionals.length > 0) {
    lines.push("", bold(terminal, "Arguments"));
    for (const { name, help } of command.positionals) {
      lines.push(`  ${name.padEnd(10)}  ${wrap(help, width - 14, 14)}`);
    }
  }
  const flags = Object.entries<Flag<unknown>>(command.flags);
  if (flags.length > 0) {
    lines.push("", bold(terminal, "Flags"));
    for (const [name, flag] of flags) lines.push(...flagLines(name, flag, width));
  }
  if (command.examples.length > 0) {
    lines.push("", bold(terminal, "Examples"));
    for (const { line, says } of command.examples) {
      lines.push(`  ${wrap(says, width - 2, 2)}`, `    gregor ${line}`);
    }
  }
  if (flags.length > 0) {
    lines.push("", `Every flag can be set in the environment: ${envName(flags[0]![0])} and so on.`);
  }
  return lines.join("\n") + "\n";
}

function flagLines(name: string, flag: Flag<unknown>, width: number): string[] {
  const written = `  --${name}${flag.value === "" ? "" : ` ${flag.value}`}`;
  const fallback = flag.required
    ? " (required)"
    : flag.shownDefault === null
    ? ""
    : ` (default ${flag.shownDefault})`;
  const help = wrap(flag.help + fallback, width - 32, 32);
  return written.length <= 30 ? [`${written.padEnd(32)}${help}`] : [written, " ".repeat(32) + help];
}

/** The words that may follow `gregor help`, besides commands. */
export const HELP_TOPICS = ["exit-codes", "environment"] as const;

/** `gregor help exit-codes` and the like; null when there is no such page. */
export function topicHelp(terminal: Terminal, topic: string): string | null {
  if (topic === "exit-codes") {
    const width = Math.min(terminal.columns, 100) - 6;
    return EXIT_CODES.map(({ code, meaning, remedy }) =>
      `${String(code).padStart(4)}  ${wrap(meaning, width, 6)}\n` +
      (remedy === "" ? "" : `      ${wrap(remedy, width, 6)}\n`)
    ).join("");
  }
  if (topic === "environment") {
    return [
      "A flag that is not on the command line is looked up in the environment: --data-dir is",
      "GREGOR_DATA_DIR, --brokers is GREGOR_BROKERS. The command line wins over the environment,",
      "the environment over the file of `gregor start --config-file`, that over the default.",
      "",
      "  GREGOR_BROKERS=10.0.0.1:9092,10.0.0.2:9092    where client commands look for the cluster",
      "  GREGOR_SET=log.retention.ms=7d,num.partitions=6    several values of a repeatable flag",
      "",
      "NO_COLOR (with any value) turns colour off; so does a pipe.",
      "",
    ].join("\n");
  }
  return null;
}

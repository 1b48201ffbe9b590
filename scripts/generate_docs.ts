/**
 * Writes `docs/CONFIG.md`, `docs/CLI.md`, `docs/METRICS.md` and `docs/PROTOCOL.md` from the tables that the program itself
 * reads, and `docs/DIFFERENCES.md` from what the check against Kafka allows, so that they cannot say
 * anything else.
 *
 *     deno run -A scripts/generate_docs.ts [--check]
 *
 * `--check` writes nothing and exits with 1 when the committed files are not what would be written.
 *
 * @module
 */

import type { Setting } from "../src/base/setting.ts";
import { SETTING_CHAPTERS } from "../src/base/settings.ts";
import { TOPIC_CONFIGS, type TopicConfigDefinition } from "../src/cluster/topic_config.ts";
import { COMMANDS, loadCommand } from "../src/cli/commands.ts";
import { EXIT_CODES } from "../src/cli/exit_codes.ts";
import { commandHelp } from "../src/cli/help.ts";
import { formatDuration, formatSize } from "../src/cli/size.ts";
import type { Terminal } from "../src/cli/terminal.ts";
import { differencesPage } from "./differences_page.ts";
import { metricsDocPage } from "./metrics_page.ts";
import { protocolPage } from "./protocol_page.ts";

const BANNER = "<!-- Written by scripts/generate_docs.ts, do not edit. -->";
/** Kafka's "no limit". */
const LONG_MAX = "9223372036854775807";
const INT_MAX = "2147483647";

if (import.meta.main) Deno.exit(await main(Deno.args.includes("--check")));

async function main(isCheck: boolean): Promise<number> {
  const pages = {
    "docs/CONFIG.md": configPage(),
    "docs/CLI.md": await cliPage(),
    "docs/METRICS.md": metricsDocPage(BANNER),
    "docs/PROTOCOL.md": await protocolPage(BANNER),
    "docs/DIFFERENCES.md": differencesPage(BANNER),
  };
  let stale = 0;
  for (const [path, text] of Object.entries(pages)) {
    const file = new URL(`../${path}`, import.meta.url);
    if (!isCheck) await Deno.writeTextFile(file, text);
    else if (await readOrNull(file) !== text) {
      console.error(`${path} is stale: deno run -A scripts/generate_docs.ts`);
      stale++;
    }
  }
  return stale === 0 ? 0 : 1;
}

async function readOrNull(file: URL): Promise<string | null> {
  try {
    return await Deno.readTextFile(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

function configPage(): string {
  const lines = [
    BANNER,
    "",
    "# Settings",
    "",
    "Names and defaults are Kafka's wherever Kafka has the setting. Give them to a broker with",
    "`gregor start --set NAME=VALUE`; those marked *dynamic* can be changed while it runs:",
    "`gregor cluster config --set NAME=VALUE`. On the command line sizes and times may have units",
    "(`64MiB`, `7d`); over the Kafka protocol they are plain numbers, as always.",
    "",
    "A setting marked *accepted* is known, kept and shown, because tools set it as a matter of",
    "course, but has no effect here; its line says why.",
  ];
  for (const [title, settings] of SETTING_CHAPTERS) {
    lines.push("", `## ${title}`, "", ...tableOf(settings, (one) => one.dynamic ? "dynamic" : ""));
  }
  lines.push(
    "",
    "# Topic configs",
    "",
    "Set when a topic is made (`gregor topic create --config NAME=VALUE`) or later (`gregor topic",
    "alter`). A topic that does not set one follows the broker setting beside it.",
    "",
    ...tableOf(
      TOPIC_CONFIGS,
      (one) => (one as TopicConfigDefinition).synonyms.map((name) => `\`${name}\``).join(", "),
      "Follows",
    ),
  );
  return lines.join("\n") + "\n";
}

function tableOf(
  settings: Readonly<Record<string, Setting>>,
  remark: (setting: Setting) => string,
  heading = "",
): string[] {
  return [
    `| Name | Type | Default | ${heading} | |`,
    "| --- | --- | --- | --- | --- |",
    ...Object.entries(settings).map(([name, setting]) => {
      const doc = `${docOf(setting)}${rangeOf(setting)}`;
      return `| \`${name}\` | ${setting.kind} | ${defaultOf(setting)} | ${
        remark(setting)
      } | ${doc} |`;
    }),
  ];
}

/** The doc, marked where the setting has no effect. */
function docOf({ honoured, doc }: Setting): string {
  if (honoured) return doc;
  const why = doc.replace(/^Accepted(; | for tools that set it\. )/, "");
  return `*Accepted.* ${why[0]!.toUpperCase()}${why.slice(1)}`;
}

function defaultOf(setting: Setting): string {
  const { fallback, unit } = setting;
  if (fallback === null) return "–";
  if (fallback === "") return "empty";
  if (fallback === LONG_MAX || fallback === INT_MAX) return "no limit";
  const number = Number(fallback);
  if (unit === "bytes" && number >= 1024) return `${fallback} (${formatSize(number)})`;
  if (unit === "ms" && number >= 1000) return `${fallback} (${formatDuration(number)})`;
  return fallback;
}

function rangeOf(setting: Setting): string {
  if (setting.choices !== null) {
    return ` One of ${setting.choices.map((word) => `\`${word}\``).join(", ")}.`;
  }
  if (setting.min !== null && setting.max !== null) {
    return ` From ${setting.min} to ${setting.max}.`;
  }
  if (setting.min !== null) return ` At least ${setting.min}.`;
  return "";
}

async function cliPage(): Promise<string> {
  const terminal = { isInteractive: false, columns: 100, env: {} } as unknown as Terminal;
  const lines = [
    BANNER,
    "",
    "# Command line",
    "",
    "Answers go to stdout, everything else to stderr. Every flag can be set in the environment:",
    "`--data-dir` is `GREGOR_DATA_DIR`.",
  ];
  for (const entry of COMMANDS) {
    const page = commandHelp(terminal, await loadCommand(entry)).trimEnd();
    lines.push("", `## gregor ${entry.name}`, "", "```text", page, "```");
  }
  lines.push("", "## Exit codes", "", "| Code | Means | What to do |", "| --- | --- | --- |");
  for (const { code, meaning, remedy } of EXIT_CODES) {
    lines.push(`| ${code} | ${meaning} | ${remedy} |`);
  }
  return lines.join("\n") + "\n";
}

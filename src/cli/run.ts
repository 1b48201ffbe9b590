/**
 * From an argument vector to an exit code: finds the command, reads its flags, runs it, and turns
 * whatever goes wrong into words.
 *
 * @module
 */

import type { Command, Invocation } from "./command.ts";
import { type ConfigFile, readConfig } from "./config_file.ts";
import { COMMANDS, findCommand, loadCommand } from "./commands.ts";
import { EXIT_FAILED, EXIT_INVARIANT, EXIT_OK, EXIT_USAGE } from "./exit_codes.ts";
import { Failure } from "./failure.ts";
import { type Flags, parseFlags, type Problem } from "./flags.ts";
import { commandHelp, HELP_TOPICS, topHelp, topicHelp } from "./help.ts";
import { nearest } from "../base/nearest.ts";
import { red, type Terminal } from "./terminal.ts";
import { VERSION } from "./version.ts";
import { AssertionFailure } from "../base/assert.ts";

/** Runs `gregor ARGV`; the caller exits with what this returns. */
export async function runCommandLine(argv: readonly string[], terminal: Terminal): Promise<number> {
  const first = argv[0];
  if (first === undefined || first === "--help" || first === "-h" || first === "help") {
    return await help(argv.slice(1), terminal);
  }
  if (first === "--version" || first === "-V") {
    terminal.out(`gregor ${VERSION}\n`);
    return EXIT_OK;
  }
  const found = findCommand(argv);
  if (found === null) return unknownCommand(argv, terminal);
  const rest = argv.slice(found.words);
  const command = await loadCommand(found.entry);
  const end = rest.indexOf("--");
  const flagPart = end < 0 ? rest : rest.slice(0, end);
  if (flagPart.includes("--help") || flagPart.includes("-h")) {
    terminal.out(commandHelp(terminal, command));
    return EXIT_OK;
  }
  const file = configFile(command, rest, terminal);
  const parsed = parseFlags<Flags>(command, rest, terminal.env, file.origins);
  const problems = [...file.problems, ...parsed.problems];
  if (command.check !== undefined) problems.push(...command.check(parsed));
  if (problems.length > 0) {
    terminal.remark(formatProblems(terminal, command.name, problems));
    return EXIT_USAGE;
  }
  return await runAndExplain(command, { ...parsed, terminal });
}

/** What the file says that `--config-file` names, of a command that has this flag. */
function configFile(command: Command, argv: readonly string[], terminal: Terminal): ConfigFile {
  const none = { origins: new Map(), problems: [] };
  if (!("config-file" in command.flags)) return none;
  const named = parseFlags<Flags>(command, argv, terminal.env).values as { configFile?: string };
  if (named.configFile === undefined) return none;
  try {
    return readConfig(command.flags, named.configFile, Deno.readTextFileSync(named.configFile));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return {
      origins: new Map(),
      problems: [{ subject: "--config-file", message: `cannot be read: ${reason}` }],
    };
  }
}

async function runAndExplain(command: Command, invocation: Invocation<Flags>): Promise<number> {
  const { terminal } = invocation;
  try {
    return await command.run(invocation);
  } catch (error) {
    if (error instanceof Failure) {
      terminal.remark(`${red(terminal, `gregor ${command.name}:`)} ${error.message}\n`);
      if (error.hint !== null) terminal.remark(`${error.hint}\n`);
      return error.exitCode;
    }
    // The reader of our output went away (`gregor consume x | head -1`): nothing is wrong.
    if (error instanceof Deno.errors.BrokenPipe) return EXIT_OK;
    const stack = error instanceof Error ? error.stack ?? error.message : String(error);
    terminal.remark(`${red(terminal, `gregor ${command.name}:`)} ${stack}\n`);
    return error instanceof AssertionFailure ? EXIT_INVARIANT : EXIT_FAILED;
  }
}

/** Prints all that is wrong with a command line, one line each. */
export function formatProblems(
  terminal: Terminal,
  name: string,
  problems: readonly Problem[],
): string {
  const count = problems.length === 1 ? "a problem" : `${problems.length} problems`;
  const width = Math.max(...problems.map((problem) => problem.subject.length));
  const lines = problems.map(({ subject, message }) => `  ${subject.padEnd(width)}  ${message}`);
  return `${red(terminal, `gregor ${name}:`)} ${count} with the command line\n\n` +
    `${lines.join("\n")}\n\nSee gregor ${name} --help.\n`;
}

async function help(words: readonly string[], terminal: Terminal): Promise<number> {
  if (words.length === 0) {
    terminal.out(topHelp(terminal));
    return EXIT_OK;
  }
  const page = topicHelp(terminal, words[0]!);
  if (page !== null) {
    terminal.out(page);
    return EXIT_OK;
  }
  const found = findCommand(words);
  if (found === null) return unknownCommand(words, terminal);
  terminal.out(commandHelp(terminal, await loadCommand(found.entry)));
  return EXIT_OK;
}

function unknownCommand(argv: readonly string[], terminal: Terminal): number {
  const family = COMMANDS.filter((entry) => entry.name.startsWith(`${argv[0]} `));
  if (family.length > 0 && (argv.length === 1 || argv[1]!.startsWith("-"))) {
    const lines = family.map((entry) => `  gregor ${entry.name.padEnd(16)}  ${entry.summary}`);
    const text = lines.join("\n") + "\n";
    if (argv[1] === "--help" || argv[1] === "-h") {
      terminal.out(text);
      return EXIT_OK;
    }
    terminal.remark(`gregor ${argv[0]}: say what to do:\n\n${text}`);
    return EXIT_USAGE;
  }
  const words = argv.slice(0, 2).filter((word) => !word.startsWith("-"));
  const names = [...COMMANDS.map((entry) => entry.name), ...HELP_TOPICS];
  const guess = nearest(words.join(" "), names) ?? nearest(words[0] ?? "", names);
  terminal.remark(
    `gregor: there is no command "${words.join(" ")}"` +
      (guess === null ? "" : `; nearest is "${guess}"`) + "\n\nSee gregor help.\n",
  );
  return EXIT_USAGE;
}

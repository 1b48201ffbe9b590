/**
 * `gregor completions`: what a shell needs to complete commands and flags, from the table of commands.
 *
 * @module
 */

import { command } from "./command.ts";
import { type CommandEntry, COMMANDS, loadCommand } from "./commands.ts";
import { EXIT_OK } from "./exit_codes.ts";

const SHELLS = ["bash", "zsh", "fish"] as const;
type Shell = typeof SHELLS[number];

/** A command's words, and how its flags are written. */
interface Words {
  readonly entry: CommandEntry;
  readonly flags: readonly {
    readonly name: string;
    readonly help: string;
    readonly isSwitch: boolean;
  }[];
}

export const definition = command({
  name: "completions",
  about:
    "Prints completions of commands and flags for bash, zsh or fish. They come from the program that prints them: print them " +
    "again after an update.",
  positionals: [{ name: "SHELL", help: "bash, zsh or fish", required: true }],
  flags: {},
  examples: [
    {
      line: "completions bash > ~/.gregor.bash",
      says: "For bash, with `source ~/.gregor.bash` in ~/.bashrc:",
    },
    {
      line: "completions zsh > ~/.gregor.zsh",
      says: "For zsh, with `source ~/.gregor.zsh` behind `compinit` in ~/.zshrc:",
    },
    {
      line: "completions fish > ~/.gregor.fish",
      says: "For fish, with `source ~/.gregor.fish` in ~/.config/fish/config.fish:",
    },
  ],
  check: ({ args: [shell] }) =>
    shell === undefined || isShell(shell)
      ? []
      : [{ subject: "SHELL", message: `expected bash, zsh or fish, got "${shell}"` }],
  run: async ({ args: [shell], terminal }) => {
    const all = await Promise.all(COMMANDS.map(wordsOf));
    terminal.out(SCRIPTS[shell as Shell](all));
    return EXIT_OK;
  },
});

function isShell(name: string): name is Shell {
  return SHELLS.some((shell) => shell === name);
}

async function wordsOf(entry: CommandEntry): Promise<Words> {
  const { flags } = await loadCommand(entry);
  return {
    entry,
    flags: Object.entries(flags).map(([name, { help, isSwitch }]) => ({ name, help, isSwitch })),
  };
}

const SCRIPTS: Readonly<Record<Shell, (all: readonly Words[]) => string>> = {
  bash: bashScript,
  // It has what bash has, once it is asked to.
  zsh: (all) => `autoload -U +X bashcompinit && bashcompinit\n${bashScript(all)}`,
  fish: fishScript,
};

/** What may come next, by the words before it: a command's next word, or its flags. */
function bashScript(all: readonly Words[]): string {
  const cases = [
    ["", firstWords(all)],
    ...families(all).map((family) => [family, secondWords(all, family)] as const),
    ...all.map(({ entry, flags }) => [entry.name, flags.map(({ name }) => `--${name}`)] as const),
  ].map(([words, next]) => `    "${words}") next="${(next as readonly string[]).join(" ")}" ;;`);
  return [
    "# Completions of gregor, printed by `gregor completions`.",
    "_gregor() {",
    '  local current="${COMP_WORDS[COMP_CWORD]}" words="" word at next=""',
    "  for ((at = 1; at < COMP_CWORD; at++)); do",
    '    word="${COMP_WORDS[at]}"',
    '    [[ "$word" == -* ]] && break',
    '    case "${words:+$words }$word" in',
    `      ${
      prefixes(all).map((words) => `"${words}"`).join("|")
    }) words="\${words:+$words }$word" ;;`,
    "      *) break ;;",
    "    esac",
    "  done",
    '  case "$words" in',
    ...cases,
    "  esac",
    '  COMPREPLY=($(compgen -W "$next" -- "$current"))',
    '  [[ ${#COMPREPLY[@]} -eq 0 && "$current" != -* ]] && COMPREPLY=($(compgen -f -- "$current"))',
    "}",
    "complete -F _gregor gregor",
    "",
  ].join("\n");
}

function fishScript(all: readonly Words[]): string {
  const lines = [
    "# Completions of gregor, printed by `gregor completions`.",
    "function __gregor_words",
    "  string join ' ' (commandline -opc)[2..-1] | string match -rq '^(?<words>[a-z ]*)'; and string trim -- $words",
    "end",
    "complete -c gregor -f",
  ];
  const at = (words: string): string => `-n ${quote(`test "$(__gregor_words)" = "${words}"`)}`;
  for (const word of firstWords(all)) {
    const summary = all.find(({ entry }) => entry.name === word)?.entry.summary ??
      `Commands for a ${word}`;
    lines.push(`complete -c gregor ${at("")} -a ${word} -d ${quote(summary)}`);
  }
  for (const { entry, flags } of all) {
    const [first, second] = entry.name.split(" ");
    if (second !== undefined) {
      lines.push(`complete -c gregor ${at(first!)} -a ${second} -d ${quote(entry.summary)}`);
    }
    for (const { name, help, isSwitch } of flags) {
      const value = isSwitch ? "" : " -r";
      lines.push(
        `complete -c gregor -n ${
          quote(`string match -q "${entry.name}*" "$(__gregor_words)"`)
        } -l ${name}${value} -d ${quote(help)}`,
      );
    }
  }
  return lines.join("\n") + "\n";
}

function quote(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}

function firstWords(all: readonly Words[]): string[] {
  return [...new Set(all.map(({ entry }) => entry.name.split(" ")[0]!)), "help"];
}

/** First words of commands that have two. */
function families(all: readonly Words[]): string[] {
  const names = all.map(({ entry }) => entry.name).filter((name) => name.includes(" "));
  return [...new Set(names.map((name) => name.split(" ")[0]!))];
}

function secondWords(all: readonly Words[], family: string): string[] {
  return all.flatMap(({ entry }) =>
    entry.name.startsWith(`${family} `) ? [entry.name.slice(family.length + 1)] : []
  );
}

/** Commands, and first words of those that have two. */
function prefixes(all: readonly Words[]): string[] {
  return [...all.map(({ entry }) => entry.name), ...families(all)];
}

/**
 * The `console` blocks of a Markdown page: commands, and what each prints.
 *
 *     ```console
 *     $ command          a line that begins with a dollar is typed
 *     output             the others are what it prints
 *     ```
 *
 * A block after the line `<!-- not run: WHY -->` is left out.
 *
 * @module
 */

export interface DocumentedCommand {
  /** Line of the page, from 1. */
  readonly line: number;
  readonly command: string;
  readonly output: readonly string[];
}

const NOT_RUN = /^<!-- not run: .+ -->$/;

/** Every command of a page that is run, in order. */
export function documentedCommands(page: string): DocumentedCommand[] {
  const commands: { line: number; command: string; output: string[] }[] = [];
  let inside = false;
  let skipped = false;
  page.split("\n").forEach((text, index) => {
    if (!inside && text === "```console") {
      inside = true;
    } else if (inside && text === "```") {
      inside = false;
      skipped = false;
    } else if (!inside) {
      if (text !== "") skipped = NOT_RUN.test(text);
    } else if (!skipped && text.startsWith("$ ")) {
      commands.push({ line: index + 1, command: text.slice(2), output: [] });
    } else if (!skipped) {
      commands.at(-1)?.output.push(text);
    }
  });
  return commands;
}

/** What differs from run to run, made equal: times, durations, sizes, ids. */
export function withoutChance(line: string): string {
  return line
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME")
    .replaceAll(/\b(tookMs|replayed|pid|cores|memory)=("[^"]*"|\S+)/g, "$1=N")
    .replaceAll(/\b\d+(?:\.\d+)? (?:B|KiB|MiB|GiB)\b/g, "SIZE")
    .replaceAll(/(?<![\w-])[\w-]{22}(?![\w-])/g, "ID")
    .trimEnd();
}

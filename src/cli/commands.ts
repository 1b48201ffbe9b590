/**
 * Every command by its words, with the line that `gregor help` shows for it.
 *
 * A command's own file is loaded when it is asked for, so that `gregor topic list` does not pay for
 * the broker.
 *
 * @module
 */

import type { Command } from "./command.ts";

export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  load(): Promise<{ readonly definition: unknown }>;
}

export const COMMANDS: readonly CommandEntry[] = [
  { name: "start", summary: "Run a broker", load: () => import("./start.ts") },
];

/** The command at the beginning of `argv`, and how many words name it. */
export function findCommand(
  argv: readonly string[],
): { readonly entry: CommandEntry; readonly words: number } | null {
  for (const words of [2, 1]) {
    const name = argv.slice(0, words).join(" ");
    const entry = COMMANDS.find((one) => one.name === name);
    if (entry !== undefined && argv.length >= words) return { entry, words };
  }
  return null;
}

/** Loads a command's file. */
export async function loadCommand(entry: CommandEntry): Promise<Command> {
  return (await entry.load()).definition as Command;
}

/**
 * The definition of a command: its words, its flags, its examples, and its action. One file per command.
 *
 * @module
 */

import type { Flags, FlagValues, Origin, Positional, Problem } from "./flags.ts";
import type { Terminal } from "./terminal.ts";

export interface Example {
  /** What follows `gregor `. */
  readonly line: string;
  readonly says: string;
}

/** The input of a command's action. */
export interface Invocation<F extends Flags> {
  readonly values: FlagValues<F>;
  readonly args: readonly string[];
  /** Names of the flags that were given. */
  readonly given: ReadonlySet<string>;
  /** Where they were given, by name. */
  readonly origins: ReadonlyMap<string, readonly Origin[]>;
  readonly terminal: Terminal;
}

export interface Command<F extends Flags = Flags> {
  /** Its words: `topic create`. */
  readonly name: string;
  /** A paragraph or two for the help page. */
  readonly about: string;
  readonly positionals: readonly Positional[];
  readonly flags: F;
  readonly examples: readonly Example[];
  /** Rules between flags, reported together with what single flags broke. */
  check?(invocation: Omit<Invocation<F>, "terminal">): readonly Problem[];
  /** Returns the exit code; throws a `Failure` to give up. */
  run(invocation: Invocation<F>): Promise<number>;
}

/** Gives a command the type of its own flag table. */
export function command<const F extends Flags>(definition: Command<F>): Command<F> {
  return definition;
}

/**
 * How a command gives up: with words for a person and a number for a script.
 *
 * @module
 */

/** Ends a command; caught once, in `run.ts`. */
export class Failure extends Error {
  override name = "Failure";
  /** One of `exit_codes.ts`. */
  readonly exitCode: number;
  /** What to do about it; printed on a line of its own. */
  readonly hint: string | null;

  constructor(exitCode: number, message: string, hint: string | null = null, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.exitCode = exitCode;
    this.hint = hint;
  }
}

/** Tries every name of a command, so that one refusal does not hide what became of the others. */
export async function eachName(
  names: readonly string[],
  work: (name: string) => Promise<void>,
): Promise<void> {
  const failures: Failure[] = [];
  for (const name of names) {
    try {
      await work(name);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      failures.push(error);
    }
  }
  throwAll(failures);
}

/** Ends the command with all of `failures`, a line each; does nothing where there are none. */
export function throwAll(failures: readonly Failure[]): void {
  const first = failures[0];
  if (first === undefined) return;
  if (failures.length === 1) throw first;
  const hints = new Set(failures.map(({ hint }) => hint).filter((hint) => hint !== null));
  throw new Failure(
    first.exitCode,
    failures.map(({ message }) => message).join("\n"),
    hints.size === 0 ? null : [...hints].join("\n"),
  );
}

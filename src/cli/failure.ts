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

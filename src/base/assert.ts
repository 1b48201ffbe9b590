/**
 * Assertions: the model of the program, checked while it runs, in production too.
 *
 * A failed assertion means that the program is wrong, not its input: nobody catches it, the shard
 * stops, and the process exits with 70 (see `src/cli/exit_codes.ts`).
 *
 * @module
 */

/** Thrown by {@linkcode assert}; never caught except where a process or a test ends. */
export class AssertionFailure extends Error {
  override name = "AssertionFailure";
}

/**
 * Stops the program when `condition` is false.
 *
 * @param condition what must hold
 * @param message the broken rule, in words; build no strings for it on a hot path
 */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionFailure(message);
}

/** Marks a branch that no input can reach. */
export function unreachable(message: string): never {
  throw new AssertionFailure(message);
}

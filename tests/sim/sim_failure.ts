/**
 * What a simulation ends with when something is wrong.
 *
 * @module
 */

/** crash: the broker threw or gave up; liveness: somebody waits for ever; correctness: a lie. */
export type FailureKind = "crash" | "liveness" | "correctness" | "nondeterminism";

export class SimFailure extends Error {
  readonly kind: FailureKind;

  constructor(kind: FailureKind, message: string) {
    super(message);
    this.name = "SimFailure";
    this.kind = kind;
  }
}

/** Fails the run as a lie of the broker. */
export function expect(condition: boolean, message: () => string): asserts condition {
  if (!condition) throw new SimFailure("correctness", message());
}

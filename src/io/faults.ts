/**
 * Fault injection in the shim, for tests; `ffi/src/faults.rs` defines the rules.
 *
 * Rules are the process's, not a thread's: set from anywhere, they act on any ring.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import type { Shim } from "./shim.ts";

/** One rule; an absent field does not restrict, or does not happen. */
export interface FaultRule {
  /** Values of {@linkcode Op} that it concerns. */
  readonly opcodes: readonly number[];
  /** Only this ring. */
  readonly ring?: number;
  /** Only this descriptor. */
  readonly fd?: number;
  /** Fail with this (positive) errno, without doing anything. */
  readonly errno?: number;
  /** Do it, and still report `errno`. */
  readonly perform?: boolean;
  /** Move half of the bytes (whole blocks of files). */
  readonly short?: boolean;
  /** Hold the completion back this long. */
  readonly delayUs?: number;
  /** Matches to let pass first. */
  readonly skip?: number;
  /** Matches to act on; 0 = all. */
  readonly count?: number;
}

const SHORT = 1;
const PERFORM = 2;

/** Puts `rule` into `slot` (0 to 15); the lowest slot that matches acts. */
export function setFault(shim: Shim, slot: number, rule: FaultRule): void {
  let opcodes = 0;
  for (const opcode of rule.opcodes) opcodes |= 1 << opcode;
  const flags = (rule.short ? SHORT : 0) | (rule.perform ? PERFORM : 0);
  const result = shim.gregor_fault_set(
    slot,
    opcodes >>> 0,
    rule.ring ?? -1,
    rule.fd ?? -1,
    rule.errno ?? 0,
    rule.delayUs ?? 0,
    flags,
    rule.skip ?? 0,
    rule.count ?? 0,
  );
  assert(result === 0, "there are sixteen fault slots");
}

/** Empties `slot`; returns how often its rule acted. */
export function clearFault(shim: Shim, slot: number): number {
  const hits = shim.gregor_fault_clear(slot);
  assert(hits >= 0, "there are sixteen fault slots");
  return hits;
}

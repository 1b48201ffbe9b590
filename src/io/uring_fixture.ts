/**
 * What tests of the ring share: the loaded shim, a small region, rings with numbers of their own, and
 * completions that remember.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import type { Memory } from "../bytes/memory.ts";
import type { Completion } from "./completion.ts";
import { EEXIST } from "./errno.ts";
import { mapRegion, wrapRegion } from "./region.ts";
import { loadShim, type Shim } from "./shim.ts";
import { Uring, UringFailure, type UringOptions } from "./uring.ts";

/** Bytes of the tests' region. */
export const TEST_REGION_SIZE = 64 * 1024 * 1024;
const RINGS_FIRST = 100;
const RINGS_LAST = 150;

let shim: Shim | null = null;
let memory: Memory | null = null;
let nextRing = RINGS_FIRST;

/** The shim, loaded once. */
export function testShim(): Shim {
  shim ??= loadShim();
  return shim;
}

/** The region, mapped once for all tests of the process. */
export function testMemory(): Memory {
  if (memory === null) {
    assert.equal(mapRegion(testShim(), TEST_REGION_SIZE), 0);
    memory = wrapRegion(testShim());
  }
  return memory;
}

/** Opens a ring that no other test has; use it with `using`. */
export function openTestRing(options: UringOptions = {}): Uring & Disposable {
  testMemory();
  for (;;) {
    assert(nextRing < RINGS_LAST, "too many test rings");
    try {
      const ring = new Uring(testShim(), nextRing++, options);
      return Object.assign(ring, { [Symbol.dispose]: () => ring.dispose() });
    } catch (error) {
      // Another test file of the process has it.
      if (!(error instanceof UringFailure && error.errno === EEXIST)) throw error;
    }
  }
}

/** A completion that records its results. */
export class Told implements Completion {
  results: number[] = [];
  flags: number[] = [];

  complete(result: number, flags: number): void {
    this.results.push(result);
    this.flags.push(flags);
  }

  get count(): number {
    return this.results.length;
  }
}

/** Turns until `told` has `count` results (5 s at most); returns the last one. */
export function turnUntil(ring: Uring, told: Told, count = 1): number {
  const deadline = performance.now() + 5000;
  while (told.count < count) {
    assert(performance.now() < deadline, "no completion within 5 s");
    ring.turn(10_000, 0);
  }
  return told.results[told.count - 1]!;
}

/** Starts one operation and turns until it has completed; returns its result. */
export function finish(ring: Uring, start: (done: Completion) => void): number {
  const told = new Told();
  start(told);
  return turnUntil(ring, told);
}

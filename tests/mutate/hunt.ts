/**
 * Runs seeds of the storage's simulation until one fails; run by `mutate.ts` in a copy of the tree.
 *
 * Arguments: seeds to try, in order, as `N` or `FIRST-LAST`. Prints `try N` before each seed, and in the end
 * `caught N REASON` or `survived`.
 *
 * @module
 */

import { StorageSimulation } from "../sim/storage_simulation.ts";

/** As the simulation's own test runs them. */
const LIVES = 5;
const STEPS = 800;

function hunt(): string {
  for (const range of Deno.args) {
    const [first, last] = range.split("-").map(Number);
    for (let seed = first!; seed <= (last ?? first!); seed++) {
      console.log(`try ${seed}`);
      try {
        new StorageSimulation(seed).run(LIVES, STEPS);
      } catch (error) {
        const reason = error instanceof Error ? error.message : `${error}`;
        return `caught ${seed} ${reason.split("\n")[0]}`;
      }
    }
  }
  return "survived";
}

console.log(hunt());

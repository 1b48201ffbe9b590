/**
 * The library of property tests, by the one name that tests import.
 *
 * It stands neither in the imports of deno.json nor in a lock file beside it: Deno would fetch it for every
 * command then, for `deno task gregor help` too. `scripts/run_tests.ts` holds it to `tests/deno.lock`.
 *
 * @module
 */

export { default } from "npm:fast-check@4.10.2";

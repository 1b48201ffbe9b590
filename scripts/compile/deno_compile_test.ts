import { strict as assert } from "node:assert";
import { causesOf, productProblem } from "./deno_compile.ts";
import { SIZE_MAX } from "./plan.ts";

const ANSWER = JSON.stringify({ commit: "abc", lockedMemory: "no limit" });

Deno.test("what deno compile made is taken only if it answers as the program that was built", () => {
  assert.equal(productProblem(0, ANSWER, SIZE_MAX, "abc"), null);
  const cases: [number, string, number, RegExp][] = [
    [1, "error: Module not found", 1000, /does not answer as gregor \(exit code 1, "error: Module/],
    [0, "deno 2.9.6", 1000, /does not answer as gregor/],
    [0, JSON.stringify({ commit: "def" }), 1000, /of commit def, not abc/],
    [124, ANSWER, 1000, /commit/],
    [0, JSON.stringify({ commit: "abc", lockedMemory: "unknown" }), 1000, /cannot load its shim/],
    [0, ANSWER, SIZE_MAX + 1, /more than 60000000/],
  ];
  for (const [code, output, size, problem] of cases) {
    assert.match(productProblem(code, output, size, "abc") ?? "", problem);
  }
});

Deno.test("the cause of a refusal is what Deno found, not what it was doing", () => {
  const said = `error: Writing deno compile executable to temporary file 'x'

Caused by:
    0: Setting up base binary.
    1: error sending request: client error (Connect): dns error
    2: client error (Connect): dns error
    3: dns error

Stack backtrace:
   0: <unknown>`;
  const cause = "Setting up base binary. error sending request: client error (Connect): dns error";
  assert.equal(causesOf(said), cause);
  assert.equal(causesOf("error: no such flag\n"), "error: no such flag");
});

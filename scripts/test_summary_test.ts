import { strict as assert } from "node:assert";
import { countTests } from "./test_summary.ts";

Deno.test("countTests() reads Deno's summary, with and without steps and ignored tests", () => {
  const plain =
    "running 2 tests from ./a_test.ts\na ... ok (1ms)\n\nok | 47 passed | 0 failed (48s)\n";
  assert.deepEqual(countTests(plain, 0), { passed: 47, failed: 0, skipped: 0 });
  const rich = "FAILED | 5 passed (12 steps) | 2 failed (1 step) | 3 ignored (1m54s)\n";
  assert.deepEqual(countTests(rich, 1), { passed: 5, failed: 2, skipped: 3 });
});

Deno.test("countTests() sums every test program of cargo", () => {
  const output = "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n" +
    "test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out\n";
  assert.deepEqual(countTests(output, 101), { passed: 15, failed: 1, skipped: 1 });
});

Deno.test("countTests() counts a run that broke before its tests as a failure", () => {
  assert.deepEqual(countTests("error: could not compile\n", 101), {
    passed: 0,
    failed: 1,
    skipped: 0,
  });
  assert.equal(countTests("ok | 3 passed | 0 failed (1s)\n", 1).failed, 1);
});

import { strict as assert } from "node:assert";
import { estimate } from "./progress.ts";

Deno.test("what is left is estimated from what was done, once there is enough of a past", () => {
  assert.equal(estimate(10, 5, 100), "", "too early");
  assert.equal(estimate(10, 10, 5_000), "", "nothing is done yet");
  assert.equal(estimate(10, 12, 5_000), "", "it grows");
  assert.equal(estimate(10, 5, 5_000), ", about 5s left");
  assert.equal(estimate(1_000, 10, 99_000), ", about 1s left");
});

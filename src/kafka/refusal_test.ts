import { strict as assert } from "node:assert";
import { Cause, Refusal } from "./refusal.ts";

Deno.test("the text for a producer says why the storage refuses, and what to do", () => {
  const refusal = new Refusal();
  refusal.stamped(3);
  refusal.storage(Cause.READ_ONLY);
  assert.deepEqual(refusal.text().records, [], "no record is to blame");
  assert.match(refusal.text().message, /read-only.*damage.*log.*--accept-loss/);
  refusal.storage(Cause.NO_SPACE);
  assert.match(refusal.text().message, /disk is full/);
  refusal.overMemory(16_777_000);
  assert.deepEqual(refusal.text().records, []);
  assert.match(refusal.text().message, /larger than 16777000 bytes.*--memory/);
});

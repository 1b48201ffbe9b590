import { strict as assert } from "node:assert";
import { AssertionFailure } from "../base/assert.ts";
import type { Completion } from "./completion.ts";
import { CompletionSlots } from "./completion_slots.ts";

const nobody: Completion = { complete: () => {} };

Deno.test("CompletionSlots finds who waits, across growth", () => {
  const slots = new CompletionSlots();
  const waiting = new Map<number, Completion>();
  for (let i = 0; i < 5000; i++) {
    const done: Completion = { complete: () => {} };
    waiting.set(slots.take(done), done);
  }
  assert.equal(waiting.size, 5000);
  assert.equal(slots.count, 5000);
  for (const [id, done] of waiting) assert.equal(slots.find(id), done);
});

Deno.test("CompletionSlots distinguishes the operations of one slot", () => {
  const slots = new CompletionSlots();
  const seen = new Set<number>();
  for (let i = 0; i < 1024; i++) {
    const id = slots.take(nobody);
    assert(!seen.has(id) && id >= 0 && id < 2 ** 30, `${id}`);
    seen.add(id);
    slots.free(id);
    assert.throws(() => slots.find(id), AssertionFailure);
  }
  assert.equal(slots.count, 0);
  assert(seen.has(slots.take(nobody)), "after 1024 uses the ids come again");
});

Deno.test("CompletionSlots refuses an id that was never given", () => {
  assert.throws(() => new CompletionSlots().find(3), AssertionFailure);
});

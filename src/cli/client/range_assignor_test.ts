import { strict as assert } from "node:assert";
import { assignRange } from "./range_assignor.ts";

function runs(members: Record<string, string[]>, counts: Record<string, number>): string[] {
  const subscribers = Object.entries(members).map(([memberId, topics]) => ({ memberId, topics }));
  return [...assignRange(subscribers, new Map(Object.entries(counts)))]
    .map(([id, own]) => `${id}: ${own.map((one) => `${one.topic}${one.partition}`).join(" ")}`)
    .sort();
}

Deno.test("assignRange() gives neighbours, the first members one more", () => {
  assert.deepEqual(runs({ b: ["t"], a: ["t"], c: ["t"] }, { t: 7 }), [
    "a: t0 t1 t2",
    "b: t3 t4",
    "c: t5 t6",
  ]);
});

Deno.test("assignRange() goes topic by topic, and only to subscribers", () => {
  assert.deepEqual(runs({ a: ["t", "u"], b: ["t"] }, { t: 3, u: 2 }), [
    "a: t0 t1 u0 u1",
    "b: t2",
  ]);
  assert.deepEqual(runs({ a: ["t"], b: ["t"] }, { t: 1 }), ["a: t0", "b: "]);
  assert.deepEqual(runs({ a: ["gone"] }, {}), ["a: "]);
});

Deno.test("assignRange() gives every partition to exactly one member", () => {
  for (let members = 1; members <= 6; members++) {
    for (let count = 0; count <= 13; count++) {
      const subscribers = Array.from({ length: members }, (_, i) => ({
        memberId: `m${i}`,
        topics: ["t"],
      }));
      const all = [...assignRange(subscribers, new Map([["t", count]])).values()].flat();
      assert.deepEqual(
        all.map((one) => one.partition).sort((a, b) => a - b),
        Array.from({ length: count }, (_, i) => i),
      );
    }
  }
});

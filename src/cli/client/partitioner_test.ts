import { strict as assert } from "node:assert";
import { murmur2, partitionOfKey } from "./partitioner.ts";

Deno.test("murmur2() gives what Kafka's own gives", () => {
  const cases: [string, number][] = [
    ["21", -973932308],
    ["foobar", -790332482],
    ["a-little-bit-long-string", -985981536],
    ["a-little-bit-longer-string", -1486304829],
    ["lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971],
    ["abc", 479470107],
  ];
  for (const [key, hash] of cases) assert.equal(murmur2(new TextEncoder().encode(key)), hash, key);
});

Deno.test("partitionOfKey() is within range for negative hashes too", () => {
  for (let i = 0; i < 1000; i++) {
    const partition = partitionOfKey(new TextEncoder().encode(`key-${i}`), 7);
    assert.ok(Number.isInteger(partition) && partition >= 0 && partition < 7);
  }
});

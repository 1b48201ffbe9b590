import { strict as assert } from "node:assert";
import { Histogram } from "./histogram.ts";
import { Xoshiro128 } from "./prng.ts";

Deno.test("Histogram knows small values exactly", () => {
  const histogram = new Histogram();
  for (let value = 1; value <= 100; value++) histogram.record(value);
  assert.equal(histogram.percentile(0.5), 50);
  assert.equal(histogram.percentile(0.99), 99);
  assert.equal(histogram.percentile(1), 100);
  assert.equal(histogram.percentile(0), 1);
  assert.equal(histogram.mean, 50.5);
});

Deno.test("Histogram stays within 1 % of the true percentile over nine decades", () => {
  const random = new Xoshiro128(7);
  const values: number[] = [];
  const histogram = new Histogram();
  for (let i = 0; i < 20_000; i++) {
    const value = Math.round(10 ** ((random.nextBelow(1e6) / 1e6) * 9));
    values.push(value);
    histogram.record(value);
  }
  values.sort((a, b) => a - b);
  for (const share of [0.01, 0.5, 0.9, 0.99, 0.999, 0.9999]) {
    const exact = values[Math.ceil(share * values.length) - 1]!;
    const found = histogram.percentile(share);
    assert.ok(found >= exact && found <= exact * 1.01, `${share}: ${found} for ${exact}`);
  }
});

Deno.test("Histogram.add() is as if all had been recorded in one", () => {
  const [a, b, both] = [new Histogram(), new Histogram(), new Histogram()];
  for (const value of [3, 1_000, 70_000]) {
    a.record(value);
    both.record(value);
  }
  for (const value of [1, 5_000_000]) {
    b.record(value, 2);
    both.record(value, 2);
  }
  a.add(b);
  for (const share of [0, 0.3, 0.6, 1]) assert.equal(a.percentile(share), both.percentile(share));
  assert.deepEqual([a.count, a.min, a.max, a.mean], [7, 1, 5_000_000, both.mean]);
});

Deno.test("Histogram takes what is beyond its last bucket, and nothing at all", () => {
  const histogram = new Histogram();
  assert.deepEqual([histogram.percentile(0.5), histogram.max, histogram.min], [0, 0, 0]);
  histogram.record(2 ** 50);
  histogram.record(-4);
  assert.equal(histogram.max, 2 ** 50);
  assert.equal(histogram.min, 0);
});

import { strict as assert } from "node:assert";
import { MetricCollector } from "./metric_collector.ts";

Deno.test("MetricCollector asks each shard once, however many wait for the answer", async () => {
  const asked: [number, number][] = [];
  const collector = new MetricCollector((shard, round) => asked.push([shard, round]));
  const pages = [collector.collect(2), collector.collect(2)];
  assert.deepEqual(asked, [[0, 1], [1, 1]]);
  collector.take(1, { round: 1, rows: { topics: [] }, isLast: false });
  collector.take(0, { round: 1, rows: {}, isLast: true });
  collector.take(1, { round: 1, rows: { groups: [] }, isLast: true });
  for (const page of await Promise.all(pages)) {
    assert.deepEqual(page, { shards: [[{}], [{ topics: [] }, { groups: [] }]], silent: 0 });
  }
  const next = collector.collect(1);
  // What is late belongs to nobody any more.
  collector.take(0, { round: 1, rows: { partitions: [] }, isLast: true });
  collector.take(0, { round: 2, rows: {}, isLast: true });
  assert.deepEqual(await next, { shards: [[{}]], silent: 0 });
});

Deno.test("MetricCollector leaves out a shard that does not answer", async () => {
  const collector = new MetricCollector(() => {}, 10);
  const page = collector.collect(2);
  collector.take(0, { round: 1, rows: {}, isLast: true });
  assert.deepEqual(await page, { shards: [[{}], []], silent: 1 });
  assert.deepEqual(await collector.collect(0), { shards: [], silent: 0 });
});

import { strict as assert } from "node:assert";
import { TRAFFIC_TOPICS_MAX } from "./limits.ts";
import { OTHERS_ROW, Traffic, TrafficKind } from "./traffic.ts";

Deno.test("a topic's counts begin at 0, also in the row of one that is gone", () => {
  const traffic = new Traffic();
  const first = traffic.open();
  traffic.add(first, TrafficKind.PRODUCED_BYTES, 10);
  traffic.add(first, TrafficKind.LEADERSHIPS, 1);
  traffic.close(first);
  const second = traffic.open();
  assert.equal(second, first);
  assert.equal(traffic.get(second, TrafficKind.PRODUCED_BYTES), 0);
  assert.equal(traffic.get(second, TrafficKind.LEADERSHIPS), 0);
});

Deno.test("topics beyond the limit are counted together, and their end takes nothing from the others", () => {
  const traffic = new Traffic();
  const rows = Array.from({ length: TRAFFIC_TOPICS_MAX }, () => traffic.open());
  assert.equal(new Set(rows).size, TRAFFIC_TOPICS_MAX);
  assert.ok(!rows.includes(OTHERS_ROW));
  for (const row of rows) traffic.add(row, TrafficKind.FETCHED_RECORDS, row);
  assert.ok(rows.every((row) => traffic.get(row, TrafficKind.FETCHED_RECORDS) === row));
  assert.equal(traffic.open(), OTHERS_ROW);
  traffic.add(OTHERS_ROW, TrafficKind.FETCHED_BYTES, 5);
  traffic.close(OTHERS_ROW);
  assert.equal(traffic.get(OTHERS_ROW, TrafficKind.FETCHED_BYTES), 5);
  assert.equal(traffic.open(), OTHERS_ROW);
});

import { strict as assert } from "node:assert";
import type { TopicImage } from "../cluster/image.ts";
import { OTHERS_ROW, Traffic, TrafficKind } from "../metrics/traffic.ts";
import { trafficRows } from "./metric_rows.ts";

Deno.test("what is counted for a removed topic does not appear in the topic that has its row now", () => {
  const traffic = new Traffic();
  const rows = trafficRows(traffic);
  const removed = { trafficRow: OTHERS_ROW } as TopicImage;
  const next = { trafficRow: OTHERS_ROW } as TopicImage;
  rows.topicAdded!(removed);
  const given = removed.trafficRow;
  rows.topicRemoved!(removed);
  rows.topicAdded!(next);
  assert.equal(next.trafficRow, given, "the row is given out again");

  traffic.add(removed.trafficRow, TrafficKind.PRODUCED_BYTES, 10);

  assert.equal(traffic.get(next.trafficRow, TrafficKind.PRODUCED_BYTES), 0);
  assert.equal(traffic.get(OTHERS_ROW, TrafficKind.PRODUCED_BYTES), 10);
});

import { strict as assert } from "node:assert";
import { nodeSettings } from "./node_settings.ts";

Deno.test("nodeSettings() writes listeners as Kafka does, IPv6 in brackets", () => {
  const flags = { nodeId: 3, rack: "a", dataDir: "d", kafkaHost: "::", advertisedHost: "k1" };
  const settings = new Map(nodeSettings(flags, 9092, 19092));
  assert.equal(settings.get("listeners"), "PLAINTEXT://[::]:9092");
  assert.equal(settings.get("advertised.listeners"), "PLAINTEXT://k1:19092");
  assert.equal(settings.get("node.id"), "3");
  assert.equal(settings.get("broker.rack"), "a");
  assert.ok(!new Map(nodeSettings({ ...flags, rack: null }, 1, 1)).has("broker.rack"));
});

import { strict as assert } from "node:assert";
import { RECORDED_SIZE } from "../metrics/catalog.ts";
import type { NodeProbe } from "../shard/broker.ts";
import { startAdmin } from "./server.ts";

const WAIT_MS = 5_000;

Deno.test("a client that does not read its page does not keep the server from stopping", async () => {
  const partitions = Array.from({ length: 20_000 }, (_, at) => ({
    topic: "t".repeat(200) + at,
    partition: 0,
    highWatermark: 1,
    startOffset: 0,
    leads: true,
    epoch: 1,
    lagging: 0,
  }));
  let timer: ReturnType<typeof setTimeout> | undefined;
  const asked = Promise.withResolvers<void>();
  const node: NodeProbe = {
    clusterId: "",
    problems: () => [],
    warnings: () => [],
    recorded: [new Float64Array(RECORDED_SIZE)],
    collectMetrics: () => {
      asked.resolve();
      return Promise.resolve({ shards: [[{ partitions }]], silent: 0 });
    },
  };
  const admin = startAdmin("127.0.0.1", 0, node, "0");
  const client = await Deno.connect({ hostname: "127.0.0.1", port: admin.port });
  try {
    await client.write(new TextEncoder().encode("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"));
    await asked.promise;
    const first = await client.read(new Uint8Array(1));
    assert.equal(first, 1, "the page has begun");
    const late = new Promise<string>((resolve) => {
      timer = setTimeout(() => resolve("still open"), WAIT_MS);
    });
    const end = await Promise.race([admin.stop().then(() => "stopped"), late]);
    assert.equal(end, "stopped");
  } finally {
    clearTimeout(timer);
    client.close();
  }
});

/**
 * How large a request may be is said where people look: at the start, in DescribeConfigs, and where one is
 * refused, with what to raise.
 */

import { strict as assert } from "node:assert";
import { Connection } from "../../src/cli/client/connection.ts";
import { ResourceType } from "../../src/cluster/config_table.ts";
import { DESCRIBE_CONFIGS } from "../../src/wire/generated/apis.ts";
import {
  newDescribeConfigsRequest,
  newDescribeConfigsResource,
} from "../../src/wire/generated/describe_configs_request.ts";
import { Broker, within } from "../harness/broker.ts";

const SETTING = "socket.request.max.bytes";
const TIMEOUT_MS = 20_000;

async function shownLimit(broker: Broker): Promise<number> {
  const [host, port] = broker.kafka.split(":");
  const address = { host: host!, port: Number(port) };
  const connection = await Connection.open(address, { timeoutMs: TIMEOUT_MS });
  try {
    const { results } = await connection.call(
      DESCRIBE_CONFIGS,
      newDescribeConfigsRequest({
        resources: [newDescribeConfigsResource({
          resourceType: ResourceType.BROKER,
          resourceName: "0",
          configurationKeys: [SETTING],
        })],
      }),
    );
    return Number(results[0]!.configs[0]!.value);
  } finally {
    connection.close();
  }
}

/** Announces a frame; resolves when the broker hangs up. */
async function announce(broker: Broker, size: number): Promise<void> {
  const [hostname, port] = broker.kafka.split(":");
  const connection = await Deno.connect({ hostname: hostname!, port: Number(port) });
  const head = new Uint8Array(12);
  new DataView(head.buffer).setInt32(0, size, false);
  await connection.write(head);
  const ended = connection.read(new Uint8Array(1)).catch(() => null).then(() => true);
  assert(await within(ended, TIMEOUT_MS), "the connection stays");
  connection.close();
}

async function told(broker: Broker, pattern: RegExp): Promise<void> {
  for (let i = 0; i < 100 && !pattern.test(broker.stderr); i++) {
    await new Promise((done) => setTimeout(done, 50));
  }
  assert.match(broker.stderr, pattern);
}

Deno.test("where memory limits requests, the limit is said, shown, and named when it is met", async () => {
  await using broker = await Broker.start({
    cores: 2,
    memory: "256MiB",
    flags: ["--set=message.max.bytes=104857600"],
  });
  const limit = 16 * 2 ** 20;
  await told(broker, /WARN +Memory limits the size of requests .*inEffect=16777216.*--memory/);
  assert.equal(await shownLimit(broker), limit);
  await announce(broker, 30_000_000);
  await told(
    broker,
    /announced a request of 30000000 bytes, and 16777216 are taken at most: raise --memory/,
  );
});

Deno.test("where the setting limits requests, it is what has to be raised", async () => {
  await using broker = await Broker.start({
    cores: 1,
    memory: "256MiB",
    flags: [`--set=${SETTING}=1000000`],
  });
  assert.equal(await shownLimit(broker), 1_000_000);
  await announce(broker, 1_000_001);
  await told(broker, /and 1000000 are taken at most: raise socket.request.max.bytes/);
  assert.doesNotMatch(broker.stderr, /Memory limits/);
});

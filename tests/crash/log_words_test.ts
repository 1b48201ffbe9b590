/**
 * The log's lines about a broker's day: who changed what, and why the broker started and stopped.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { VERSION } from "../../src/cli/version.ts";
import { Broker } from "../harness/broker.ts";
import { SMALL_RINGS } from "./faulty_broker.ts";
import { gregor } from "./gregor_command.ts";
import { logSays, parseAddress } from "./link.ts";

Deno.test("The log says where the broker serves, what was changed by whom, and why it stops", async () => {
  const flags = [...SMALL_RINGS, "--advertised-kafka-addr=broker.example:9092"];
  await using broker = await Broker.start({ cores: 2, flags });
  const address = broker.kafka.replaceAll(".", "\\.");
  await logSays(
    broker,
    new RegExp(`Serving version=${VERSION} pid=\\d+ node=0 mode=dev kafka=${address} `),
  );
  await logSays(
    broker,
    /advertised=broker\.example:9092 rpc=127\.0\.0\.1:\d+ admin=127\.0\.0\.1:\d+ /,
  );
  await logSays(broker, /topics=0 partitionsLed=\d+ cores=2 replayed=0 /);

  await broker.restart({ flags: SMALL_RINGS });
  const at = `--brokers=${broker.kafka}`;
  const run = async (...args: string[]): Promise<void> => {
    const { code, stderr } = await gregor([...args, at], "one\ntwo\n");
    assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
  };
  await run("topic", "create", "orders", "--partitions=3");
  const BY = 'client=gregor-cli from="?/127\\.0\\.0\\.1"?';
  await logSays(
    broker,
    new RegExp(`INFO  Topic created .*topic=orders id=[\\w-]{22} partitions=3 ${BY}`),
  );
  await run("topic", "alter", "orders", "--config=retention.ms=1000000");
  await logSays(broker, new RegExp(`Topic altered .*topic=orders settings=retention\\.ms ${BY}`));
  await run("produce", "orders");
  await run("consume", "orders", "--group=readers", "--until-end");
  await logSays(broker, /Topic created .*topic=__consumer_offsets .*by=broker/);
  await logSays(broker, /Group formed .*group=readers members=1 generation=1/);
  await logSays(broker, /Group emptied .*group=readers generation=2/);
  await run("topic", "delete", "orders");
  await logSays(broker, new RegExp(`Topic deleted .*topic=orders id=[\\w-]{22} ${BY}`));

  const { host, port } = parseAddress(broker.kafka);
  const socket = await Deno.connect({ hostname: host, port });
  const local = socket.localAddr as Deno.NetAddr;
  await socket.write(new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"));
  await socket.read(new Uint8Array(1));
  socket.close();
  await logSays(
    broker,
    new RegExp(`Closed a connection .*peer=127\\.0\\.0\\.1:${local.port} .*why=`),
  );

  assert.equal((await broker.stop()).code, 0);
  assert.match(broker.stderr, /Stopping why=SIGTERM/);
});

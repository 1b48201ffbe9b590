/**
 * A running broker that is short of file descriptors: more clients than it may have, and none left at all.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { EXIT_HOST_UNFIT } from "../../src/cli/exit_codes.ts";
import { EMFILE, ENFILE, ENOMEM } from "../../src/io/errno.ts";
import { Broker, gregorCommand } from "../harness/broker.ts";
import { checkData } from "./check_data.ts";
import { FaultyBroker, SMALL_RINGS } from "./faulty_broker.ts";
import { parseAddress, pause } from "./link.ts";
import { PlainLoad } from "./plain_load.ts";
import { createTopic } from "./side_loads.ts";

const LIMIT = 160;
const IDLE_CONNECTIONS = 300;

/** The program with `limit` descriptors, and no right to more. */
function withLimit(limit: number): string[] {
  return [
    "bash",
    "-c",
    `ulimit -Sn ${limit}; ulimit -Hn ${limit}; exec "$@"`,
    "-",
    ...gregorCommand(),
  ];
}

Deno.test(`With ulimit -n ${LIMIT} and ${IDLE_CONNECTIONS} idle connections, those inside are served`, async () => {
  await using broker = await Broker.start({
    cores: 2,
    flags: SMALL_RINGS,
    program: withLimit(LIMIT),
  });
  // Rolls all the time: a start of a segment needs a descriptor.
  const configs = { "segment.bytes": "1048576" };
  await using load = await PlainLoad.start(broker, {
    partitions: 12,
    configs,
    recordBytesMax: 20_000,
  });
  await load.ackMore(100);
  const { host, port } = parseAddress(broker.kafka);
  const idle: Deno.TcpConn[] = [];
  let closedAtOnce = 0;
  try {
    for (let i = 0; i < IDLE_CONNECTIONS; i++) {
      const connection = await Deno.connect({ hostname: host, port });
      idle.push(connection);
      connection.read(new Uint8Array(1)).then(
        () => closedAtOnce++,
        () => closedAtOnce++,
      );
    }
    await load.ackMore(2000);
    await createTopic(load.link, "more", 12);
    assert.ok(closedAtOnce > 150, `${closedAtOnce} connections were closed`);
    assert.ok(closedAtOnce < IDLE_CONNECTIONS - 10, `${closedAtOnce} connections were closed`);
    await load.verify();
    const lines = broker.stderr.split("\n").filter((line) => line.includes("ulimit -n"));
    assert.equal(lines.length, 1, broker.stderr);
    assert.doesNotMatch(broker.stderr, /Damaged|read-only|ERROR/);
  } finally {
    for (const connection of idle) close(connection);
  }
  // Room again: a newcomer is served.
  await pause(200);
  await using second = await PlainLoad.start(broker, { topic: "later", partitions: 2 });
  await second.ackMore(20);
  assert.deepEqual(await broker.stop(), { code: 0, signal: null });
  assert.equal((await checkData(broker.dataDir)).code, 0);
});

Deno.test("A limit of open files that serves nobody is refused, with the number that it takes", async () => {
  await using broker = await Broker.start({ cores: 2, flags: SMALL_RINGS });
  await broker.stop();
  const stderr = await startAndFail(broker.dataDir);
  assert.match(stderr, /limit of open files is 70; .* needs \d+/);
  assert.match(stderr, /ulimit -n/);
});

Deno.test("Hiccups of opens, reads, allocations and flushes pass, and are reported once each way", async () => {
  await using faulty = await FaultyBroker.start();
  const { broker } = faulty;
  const configs = { "segment.bytes": "1048576" };
  await using load = await PlainLoad.start(broker, {
    partitions: 4,
    configs,
    recordBytesMax: 20_000,
  });
  await load.ackMore(100);
  await faulty.order([
    { ops: ["Open"], errno: EMFILE, count: 6 },
    { ops: ["Allocate"], errno: ENOMEM, count: 4 },
    { ops: ["Read"], errno: ENFILE, count: 2 },
    { ops: ["MakeDirectory"], errno: ENOMEM, count: 2 },
    { ops: ["SyncFileSystem"], errno: ENOMEM, count: 2 },
  ]);
  await createTopic(load.link, "beside", 4);
  await load.ackMore(2000);
  await load.verify();
  const { stderr } = broker;
  assert.match(stderr, /Disk operations wait and are retried/);
  assert.match(stderr, /Disk operations continue/);
  assert.doesNotMatch(stderr, /Damaged|read-only|ERROR/);
  assert.deepEqual(await broker.stop(), { code: 0, signal: null });
  assert.equal((await checkData(broker.dataDir)).code, 0);
});

/** What a start says that has 70 descriptors. */
async function startAndFail(dataDir: string): Promise<string> {
  const child = new Deno.Command("bash", {
    args: [
      ...withLimit(70).slice(1),
      "start",
      "--mode=dev",
      "--cores=2",
      `--data-dir=${dataDir}`,
      "--kafka-addr=127.0.0.1:0",
      "--admin-addr=127.0.0.1:0",
    ],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const timer = setTimeout(() => child.kill("SIGKILL"), 30_000);
  const { code, stderr } = await child.output();
  clearTimeout(timer);
  const text = new TextDecoder().decode(stderr);
  assert.equal(code, EXIT_HOST_UNFIT, text);
  return text;
}

/** Closes a connection, which a failed read may have done. */
function close(connection: Deno.TcpConn): void {
  try {
    connection.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

/**
 * What a running broker answers other nodes, at the address that it prints: the test plays a node, over TCP.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { crc32cOfBytes } from "../../src/bytes/crc32c.ts";
import { type Memory, wrapMemory } from "../../src/bytes/memory.ts";
import {
  type Answer,
  ANSWER_SIZE,
  GreetingStatus,
  Lane,
  type Preamble,
  PREAMBLE_SIZE,
  readAnswer,
  writePreamble,
  ZERO_ID,
} from "../../src/rpc/preamble.ts";
import { FRAME_HEADER_SIZE, writeFrameHeader } from "../../src/rpc/frame.ts";
import { uuidFromBase64 } from "../../src/wire/uuid.ts";
import { Broker, within } from "../harness/broker.ts";

const ANSWER_TIMEOUT_MS = 10_000;

const memory: Memory = wrapMemory(new ArrayBuffer(4096));
const crc32c = (at: number, length: number, seed: number): number =>
  crc32cOfBytes(memory.bytes, at, at + length, seed);

const PREAMBLE: Preamble = {
  lane: Lane.CONTROL,
  clusterId: ZERO_ID,
  nodeId: 5,
  incarnation: "5".repeat(32),
  process: 5,
  fromShard: 3,
  shardCount: 4,
  targetShard: 0,
  targetNode: 0,
  logicalVersion: 1,
};

function preambleOf(change: Partial<Preamble>): Uint8Array {
  writePreamble(memory, 0, { ...PREAMBLE, ...change }, crc32c);
  return memory.bytes.slice(0, PREAMBLE_SIZE);
}

async function connect(address: string): Promise<Deno.TcpConn> {
  const at = address.lastIndexOf(":");
  return await Deno.connect({
    hostname: address.slice(0, at),
    port: Number(address.slice(at + 1)),
  });
}

/** Reads until `length` bytes are there or the connection ends. */
async function read(connection: Deno.TcpConn, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let got = 0;
  while (got < length) {
    const reading = connection.read(bytes.subarray(got)).catch(() => null);
    const count = await within(reading.then((n) => ({ n })), ANSWER_TIMEOUT_MS);
    assert(count !== null, "no answer");
    if (count.n === null) break;
    got += count.n;
  }
  return bytes.subarray(0, got);
}

async function greet(connection: Deno.TcpConn, change: Partial<Preamble> = {}): Promise<Answer> {
  await connection.write(preambleOf(change));
  const bytes = await read(connection, ANSWER_SIZE);
  assert.equal(bytes.length, ANSWER_SIZE);
  memory.bytes.set(bytes);
  const answer = readAnswer(memory, 0, crc32c);
  assert(answer !== null && answer !== "version");
  return answer;
}

Deno.test("a broker answers other nodes at its rpc address, on each of its shards", async () => {
  await using broker = await Broker.start({ cores: 2 });
  const { rpc } = broker.ready;
  assert.match(rpc, /^127\.0\.0\.1:\d+$/);
  for (const targetShard of [0, 1]) {
    for (const lane of [Lane.CONTROL, Lane.DATA]) {
      const connection = await connect(rpc);
      const { status, nodeId, shardCount, clusterId, frameSizeMax } = await greet(connection, {
        targetShard,
        lane,
      });
      assert.equal(status, GreetingStatus.OK);
      assert.deepEqual([nodeId, shardCount], [0, 2]);
      assert(frameSizeMax >= 16 * 1024);
      const cluster = /cluster=([\w-]{22})/.exec(broker.stderr)?.[1] ?? "";
      assert.equal(clusterId, uuidFromBase64(cluster));
      // It understands no frame of another node yet.
      writeFrameHeader(memory.view, 0, 200, 0, 0, 0, crc32c);
      await connection.write(memory.bytes.slice(0, FRAME_HEADER_SIZE));
      assert.equal((await read(connection, 1)).length, 0, "closed");
      connection.close();
    }
  }
  const cases: [Partial<Preamble>, GreetingStatus][] = [
    [{ targetShard: 2 }, GreetingStatus.NO_SUCH_SHARD],
    [{ clusterId: "d".repeat(32) }, GreetingStatus.OTHER_CLUSTER],
    [{ nodeId: 0 }, GreetingStatus.SAME_ID],
    [{ targetNode: 4 }, GreetingStatus.OTHER_NODE],
  ];
  for (const [change, expected] of cases) {
    const connection = await connect(rpc);
    const { status, shardCount } = await greet(connection, change);
    assert.deepEqual([status, shardCount], [expected, 2]);
    assert.equal((await read(connection, 1)).length, 0, "closed");
    connection.close();
  }
  const stray = await connect(rpc);
  await stray.write(new TextEncoder().encode("GET / HTTP/1.1\r\n".repeat(8)));
  assert.equal((await read(stray, 1)).length, 0, "closed without a word");
  stray.close();
  // Others are served meanwhile, and at the end.
  const last = await connect(rpc);
  assert.equal((await greet(last)).status, GreetingStatus.OK);
  assert.deepEqual(await broker.stop(), { code: 0, signal: null });
  assert.equal((await read(last, 1)).length, 0);
  last.close();
  assert.match(broker.stderr, /Refused a node's connection .*different clusters/);
  assert.match(broker.stderr, /Closed a node's connection .*type 200/);
});

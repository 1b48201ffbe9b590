/**
 * A broker that is killed and started again costs `produce` and `consume` a moment: no line is lost or doubled.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { type Ran, runGregor, type RunOptions } from "../../src/cli/testing.ts";
import { Broker } from "../harness/broker.ts";

Deno.test("produce and consume go on when the broker comes back", async () => {
  await using broker = await Broker.start({ cores: 1, memory: "256MiB" });
  const env = { GREGOR_BROKERS: broker.kafka, GREGOR_TIMEOUT: "30s" };
  const gregor = (line: string, options: RunOptions = {}): Promise<Ran> =>
    runGregor(line.split(" "), { ...options, env });
  assert.equal((await gregor("topic create t")).code, 0);
  const input = new TransformStream<Uint8Array, Uint8Array>();
  const writer = input.writable.getWriter();
  const write = (text: string): Promise<void> => writer.write(new TextEncoder().encode(text));
  const producer = gregor("produce t", { stdin: input.readable });
  const consumer = gregor("consume t --count 4");
  const member = gregor("consume t --group g --count 4");
  await write("1\n2\n");
  assert.equal((await gregor("consume t --count 2")).out, "1\n2\n");
  await broker.kill();
  await write("3\n");
  await broker.restart();
  await write("4\n");
  await writer.close();
  const produced = await producer;
  assert.equal(produced.code, 0, produced.remarks);
  assert.match(produced.remarks, /lost the broker at .*; 2 records .* so far/);
  assert.match(produced.remarks, /4 records \(4 B\) written to t\n$/);
  const consumed = await consumer;
  assert.deepEqual([consumed.code, consumed.out], [0, "1\n2\n3\n4\n"], consumed.remarks);
  assert.match(consumed.remarks, /lost the broker at/);
  const shared = await member;
  // A member that is cut off between printing and committing prints again.
  assert.equal(shared.code, 0, shared.remarks);
  assert.deepEqual([...new Set(shared.out.trim().split("\n"))].slice(0, 2), ["1", "2"]);
});

Deno.test("produce says how much is written when the broker stays away", async () => {
  await using broker = await Broker.start({ cores: 1, memory: "256MiB" });
  const env = { GREGOR_BROKERS: broker.kafka, GREGOR_TIMEOUT: "1s" };
  const input = new TransformStream<Uint8Array, Uint8Array>();
  const writer = input.writable.getWriter();
  const write = (text: string): Promise<void> => writer.write(new TextEncoder().encode(text));
  const producer = runGregor(["produce", "t"], { env, stdin: input.readable });
  await write("1\n2\n");
  assert.equal((await runGregor(["consume", "t", "--count", "2"], { env: { ...env } })).code, 0);
  await broker.kill();
  await write("3\n");
  const produced = await producer;
  assert.equal(produced.code, 69, produced.remarks);
  assert.match(produced.remarks, /2 records \(2 B\) written to t; 1 more may be written or not/);
});

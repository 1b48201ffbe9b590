/**
 * tensorflow-io reads a topic to its end, in each of its three ways. Its librdkafka is version 1.5, which asks
 * for versions that Kafka 4 has dropped and Kafka 3.9 still answers (ListOffsets v0).
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { Broker } from "../harness/broker.ts";
import { runProgram } from "../harness/program.ts";
import { cell } from "./chosen.ts";
import { CACHE } from "./clients.ts";

const PROGRAM = new URL("./tensorflow/read.py", import.meta.url).pathname;
const PYTHON = `${CACHE}tensorflow/bin/python`;
const WAYS = ["dataset", "group", "batch"];
const TOPIC = "tensors";
/** TensorFlow takes seconds to load, and a group's reader waits ten seconds for records twice. */
const READ_TIMEOUT_MS = 180_000;

async function write(brokers: string, values: readonly string[]): Promise<void> {
  const child = new Deno.Command("kcat", {
    args: ["-b", brokers, "-P", "-t", TOPIC, "-p", "0"],
    stdin: "piped",
    signal: AbortSignal.timeout(30_000),
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(values.map((value) => `${value}\n`).join("")));
  await writer.close();
  assert.ok((await child.status).success);
}

cell("tensorflow-io reads to the end in three ways", [{ name: "tensorflow" }], async () => {
  const broker = await Broker.start({ cores: 2 });
  try {
    const values = Array.from({ length: 1000 }, (_, index) => `value ${index}`);
    await write(broker.kafka, values);
    const read = async (way: string): Promise<void> => {
      const result = await runProgram(
        [PYTHON, PROGRAM, way, broker.kafka, TOPIC],
        READ_TIMEOUT_MS,
      );
      assert.deepEqual(result.values, values, way);
    };
    await Promise.all(WAYS.map(read));
  } finally {
    await broker.dispose();
  }
});

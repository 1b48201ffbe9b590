/**
 * Consumers read a compacted topic to its end: kcat (librdkafka) and Kafka's own console consumer (Java).
 *
 * Where records were, there are batches without records; a consumer that stopped there would wait for ever.
 */

import { strict as assert } from "node:assert";
import { Broker } from "../harness/broker.ts";
import { CACHE, whyMissing } from "./clients.ts";

const KEYS = 50;
const ROUNDS = 90;
const VALUE = "x".repeat(600);
const COMPACTED_MS = 60_000;
const RUN_MS = 60_000;

async function run(
  command: string,
  args: readonly string[],
  input: string | null = null,
): Promise<string> {
  const child = new Deno.Command(command, {
    args: [...args],
    stdin: input === null ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
    signal: AbortSignal.timeout(RUN_MS),
  }).spawn();
  if (input !== null) {
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(input));
    await writer.close();
  }
  const { success, stdout, stderr } = await child.output();
  assert.ok(success, `${command}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

/** The lines of a key and a value, as a map. */
function lastValues(lines: readonly string[]): Map<string, string> {
  return new Map(lines.map((line) => line.split("=", 2) as [string, string]));
}

Deno.test({
  name:
    "kcat and a Java consumer read a compacted topic to its end, and know each key's last value",
  ignore: Deno.env.get("CI") !== "true" &&
    (whyMissing({ name: "kcat" }) ?? whyMissing({ name: "tools" })) !== null,
  fn: async () => {
    await using broker = await Broker.start({
      cores: 2,
      memory: "256MiB",
      flags: ["--set=log.cleaner.backoff.ms=100", "--set=offsets.topic.num.partitions=1"],
    });
    const gregor = ["run", "-A", "--no-check", "main.ts"];
    const at = ["-b", broker.kafka, "-t", "users"];
    const configs = [
      "cleanup.policy=compact",
      "segment.bytes=1048576",
      "min.cleanable.dirty.ratio=0.01",
    ];
    await run("deno", [
      ...gregor,
      "topic",
      "create",
      "users",
      `--brokers=${broker.kafka}`,
      ...configs.map((config) => `--config=${config}`),
    ]);
    const expected = new Map<string, string>();
    for (const codec of ["none", "gzip", "snappy", "lz4", "zstd"]) {
      let input = "";
      for (let i = 0; i < KEYS * ROUNDS; i++) {
        const key = `key-${i % KEYS}`;
        // What does not repeat does not compress to nothing.
        const value = `${codec}-${i}-${VALUE}${crypto.randomUUID().repeat(4)}`;
        expected.set(key, value);
        input += `${key}=${value}\n`;
      }
      await run("kcat", ["-P", ...at, "-K", "=", "-z", codec], input);
    }
    const total = 5 * KEYS * ROUNDS;
    const deadline = performance.now() + COMPACTED_MS;
    let lines: string[] = [];
    do {
      assert.ok(
        performance.now() < deadline,
        `${lines.length} records of ${total} are still there`,
      );
      const text = await run("kcat", [
        "-C",
        ...at,
        "-o",
        "beginning",
        "-e",
        "-q",
        "-f",
        "%k=%s\\n",
      ]);
      lines = text.trimEnd().split("\n");
      assert.deepEqual(lastValues(lines), expected, "kcat");
    } while (lines.length > total / 2);
    const java = await run("java", [
      "-cp",
      `${CACHE}tools/lib/*`,
      "org.apache.kafka.tools.consumer.ConsoleConsumer",
      ...["--bootstrap-server", broker.kafka, "--topic", "users", "--from-beginning"],
      ...["--timeout-ms", "8000", "--formatter-property", "print.key=true"],
      ...["--formatter-property", "key.separator=="],
    ]);
    assert.deepEqual(lastValues(java.trimEnd().split("\n")), expected, "Java");
    console.log(`${lines.length} records of ${total} are left`);
  },
});

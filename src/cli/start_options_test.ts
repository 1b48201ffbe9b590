import { strict as assert } from "node:assert";
import { parseStart, settingsWithoutEffect, type StartOptions } from "./start_options.ts";

const HOST = { coreCount: 8, memoryBytes: 16 * 2 ** 30, name: "castle" };

function options(argv: string[], env: Record<string, string> = {}): StartOptions {
  const parsed = parseStart(argv, env, HOST);
  assert.ok(parsed.options !== null, JSON.stringify(parsed.problems));
  return parsed.options;
}

function problems(argv: string[]): string[] {
  return (parseStart(argv, {}, HOST).problems ?? []).map((one) => `${one.subject} ${one.message}`);
}

Deno.test("start without flags is a production node of one on loopback", () => {
  const start = options([]);
  assert.equal(start.dataDir, "gregor-data");
  assert.deepEqual(start.kafkaAddr, { host: "127.0.0.1", port: 9092 });
  assert.equal(start.rpcAddr, null);
  assert.equal(start.advertisedRpcAddr, null);
  assert.deepEqual(start.adminAddr, { host: "127.0.0.1", port: 9644 });
  assert.equal(start.advertisedKafkaAddr, null);
  assert.deepEqual(start.seeds, []);
  assert.equal(start.cores, 8);
  assert.equal(start.idlePollUs, 50);
  assert.ok(Math.abs(start.memoryBytes / HOST.memoryBytes - 0.8) < 0.001);
  assert.equal(start.settings.size, 0);
});

Deno.test("dev mode takes little and rebalances at once, and --set wins over it", () => {
  const dev = options(["--mode", "dev"]);
  assert.equal(dev.cores, 2);
  assert.equal(dev.memoryBytes, 256 * 2 ** 20);
  assert.equal(dev.idlePollUs, 0);
  assert.equal(dev.settings.get("group.initial.rebalance.delay.ms"), "0");
  const set = options(["--mode=dev", "--set", "group.initial.rebalance.delay.ms=2s"]);
  assert.equal(set.settings.get("group.initial.rebalance.delay.ms"), "2000");
});

Deno.test("settings may have units where the setting has one", () => {
  const { settings } = options([
    "--set=log.retention.ms=7d",
    "--set=log.segment.bytes=16MiB",
    "--set=log.retention.hours=2d",
    "--set=num.partitions=6",
  ]);
  assert.deepEqual([...settings], [
    ["log.retention.ms", "604800000"],
    ["log.segment.bytes", "16777216"],
    ["log.retention.hours", "48"],
    ["num.partitions", "6"],
  ]);
});

Deno.test("other nodes can connect where an address for them is given", () => {
  const start = options(["--rpc-addr", "0.0.0.0:33145"]);
  assert.deepEqual(start.rpcAddr, { host: "0.0.0.0", port: 33145 });
  assert.deepEqual(start.advertisedRpcAddr, { host: "castle", port: 33145 });
  const said = options(["--rpc-addr", "[::]:0", "--advertised-rpc-addr", "k:1"]);
  assert.deepEqual(said.advertisedRpcAddr, { host: "k", port: 1 });
  assert.deepEqual(problems(["--advertised-rpc-addr", "k:1"]), [
    "--advertised-rpc-addr nothing listens for other nodes: give --rpc-addr too",
  ]);
});

Deno.test("a wildcard address is advertised by the host's name", () => {
  const start = options(["--kafka-addr", "0.0.0.0:9092"]);
  assert.deepEqual(start.advertisedKafkaAddr, { host: "castle", port: 9092 });
  const said = options(["--kafka-addr", "[::]:0", "--advertised-kafka-addr", "k:1"]);
  assert.deepEqual(said.advertisedKafkaAddr, { host: "k", port: 1 });
});

Deno.test("settings of Kafka's that mean nothing here are accepted, and said to", () => {
  const { settings } = options(["--set", "num.io.threads=16", "--set", "num.partitions=3"]);
  const [line, ...others] = settingsWithoutEffect(settings);
  assert.match(line!, /^--set num.io.threads has no effect: .*--cores/);
  assert.equal(others.length, 0);
});

Deno.test("what is wrong with start is listed in one go", () => {
  assert.deepEqual(
    problems([
      "--data-dri=/x",
      "--cores=4",
      "--memory=64MiB",
      "--set=num.partition=3",
      "--set=num.partitions=0",
      "--set=listeners=PLAINTEXT://:9092",
      "--set=num.io.threads=16",
      "--set=log.retention.ms=soon",
    ]),
    [
      "--data-dri is not a flag of this command; nearest is --data-dir",
      "--memory expected at least 128MiB for 4 cores (32MiB each)",
      "--set num.partition is not a setting; nearest is num.partitions",
      "--set num.partitions Invalid value 0 for configuration num.partitions: Value must be at least 1",
      "--set listeners is given by --kafka-addr",
      "--set log.retention.ms Invalid value soon for configuration log.retention.ms: " +
      "Not a number of type LONG",
    ],
  );
});

Deno.test("lost nodes are named by their ids, or in the lives that they had; anything else is refused with an example", () => {
  const lostBy = (...flags: string[]) => parseStart(flags, {}, HOST);
  assert.deepEqual(lostBy().options?.recoverMetadata, []);
  assert.deepEqual(lostBy("--recover-metadata", "1:5f6e1c0a,2").options?.recoverMetadata, [
    { nodeId: 1, life: 0x5f6e1c0a },
    { nodeId: 2, life: null },
  ]);
  const [problem] = lostBy("--recover-metadata", "1:x").problems ?? [];
  assert.match(problem?.message ?? "", /such as 1:5f6e1c0a,2/);
  const [bare] = lostBy("--recover-metadata").problems ?? [];
  assert.match(bare?.message ?? "", /needs a value: --recover-metadata ID:LIFE,\.\.\./);
});

import { strict as assert } from "node:assert";
import { LocalCluster } from "../harness/local_cluster.ts";
import { gregorCommand } from "../harness/broker.ts";
import { run } from "../harness/program_output.ts";

const TOPIC = "orders";
const RECORDS = 1000;
/** The node that leads partition 0. */
async function leaderOf(cluster: LocalCluster): Promise<number> {
  const bootstrap = cluster.brokers.filter((broker) => broker.pid > 0).map(({ kafka }) => kafka);
  const { stdout } = await run(["kcat", "-L", "-J", "-b", bootstrap.join(","), "-t", TOPIC]);
  const { topics } = JSON.parse(stdout) as {
    topics: { topic: string; partitions: { partition: number; leader: number }[] }[];
  };
  return topics[0]!.partitions[0]!.leader;
}

async function produce(cluster: LocalCluster, from: number): Promise<void> {
  const lines = Array.from({ length: RECORDS }, (_, i) => `record ${from + i}\n`).join("");
  const { code, stderr } = await run([
    ...["kcat", "-P", "-b", cluster.bootstrap, "-t", TOPIC, "-p", "0"],
    ...["-X", "acks=all", "-X", "enable.idempotence=true", "-X", "message.timeout.ms=50000"],
  ], lines);
  assert.ok(code === 0 && !/delivery failed/i.test(stderr), `${stderr}\n${cluster.stderr}`);
}

/** Reads the topic from its beginning to its end. */
async function consume(cluster: LocalCluster): Promise<string[]> {
  const { code, stdout, stderr } = await run([
    ...[
      "kcat",
      "-C",
      "-e",
      "-q",
      "-b",
      cluster.bootstrap,
      "-t",
      TOPIC,
      "-p",
      "0",
      "-o",
      "beginning",
    ],
  ]);
  assert.equal(code, 0, `${stderr}\n${cluster.stderr}`);
  return stdout.split("\n").filter((line) => line !== "");
}

Deno.test("three nodes, one topic: kcat writes, the leader is killed, kcat writes on and reads everything in order", async () => {
  const cluster = await LocalCluster.start({ nodes: 3 });
  try {
    const created = await run([
      ...gregorCommand(),
      ...["topic", "create", TOPIC, "--partitions", "3", "--replication-factor", "3"],
      ...["--brokers", cluster.brokers[0]!.kafka],
    ]);
    assert.equal(created.code, 0, `${created.stderr}\n${cluster.stderr}`);
    await produce(cluster, 0);
    const first = await leaderOf(cluster);
    await cluster.brokers[first]!.kill();
    await produce(cluster, RECORDS);
    const expected = Array.from({ length: 2 * RECORDS }, (_, i) => `record ${i}`);
    assert.deepEqual(await consume(cluster), expected);

    // The one that returns has what it missed, and the next leader may go.
    await cluster.brokers[first]!.restart();
    await produce(cluster, 2 * RECORDS);
    const second = await leaderOf(cluster);
    await cluster.brokers[second]!.kill();
    await produce(cluster, 3 * RECORDS);
    const all = Array.from({ length: 4 * RECORDS }, (_, i) => `record ${i}`);
    assert.deepEqual(await consume(cluster), all);
  } finally {
    await cluster.dispose();
  }
});

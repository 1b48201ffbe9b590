/**
 * Real brokers that are added to a running cluster, seen by kcat.
 */

import { strict as assert } from "node:assert";
import { Broker, gregorCommand } from "../harness/broker.ts";
import { LocalCluster } from "../harness/local_cluster.ts";
import { run } from "../harness/program_output.ts";

const RECORDS = 2_000;

interface Listing {
  readonly brokers: readonly { readonly id: number }[];
  readonly topics: readonly {
    readonly topic: string;
    readonly partitions: readonly {
      readonly partition: number;
      readonly leader: number;
      readonly replicas: readonly { readonly id: number }[];
      readonly isrs: readonly { readonly id: number }[];
    }[];
  }[];
}

async function list(bootstrap: string): Promise<Listing> {
  return JSON.parse((await run(["kcat", "-L", "-J", "-b", bootstrap])).stdout) as Listing;
}

async function create(cluster: LocalCluster, topic: string): Promise<void> {
  const { code, stderr } = await run([
    ...gregorCommand(),
    ...["topic", "create", topic, "--partitions", "8", "--replication-factor", "3"],
    ...["--brokers", cluster.brokers.at(-1)!.kafka],
  ]);
  assert.equal(code, 0, `${stderr}\n${cluster.stderr}`);
}

async function write(cluster: LocalCluster, topic: string): Promise<void> {
  const lines = Array.from({ length: RECORDS }, (_, i) => `record ${i}\n`).join("");
  const command = ["kcat", "-P", "-b", cluster.bootstrap, "-t", topic, "-X", "acks=all"];
  const { code, stderr } = await run(command, lines);
  assert.ok(code === 0 && !/delivery failed/i.test(stderr), `${stderr}\n${cluster.stderr}`);
}

async function read(cluster: LocalCluster, topic: string): Promise<string[]> {
  const command = ["kcat", "-C", "-e", "-q", "-b", cluster.bootstrap, "-t", topic];
  const { code, stdout, stderr } = await run([...command, "-o", "beginning"]);
  assert.equal(code, 0, `${stderr}\n${cluster.stderr}`);
  return stdout.split("\n").filter((line) => line !== "");
}

Deno.test("a fourth broker joins three: it is in the metadata, and holds and leads partitions of later topics", async () => {
  const cluster = await LocalCluster.start({ nodes: 3 });
  try {
    await create(cluster, "before");
    await write(cluster, "before");
    const fourth = await cluster.join();
    const { brokers, topics } = await list(fourth.kafka);
    assert.deepEqual(brokers.map(({ id }) => id).sort(), [0, 1, 2, 3], cluster.stderr);
    assert.ok(topics.some(({ topic }) => topic === "before"));
    await create(cluster, "after");
    await write(cluster, "after");
    const { partitions } = (await list(fourth.kafka)).topics.find(({ topic }) =>
      topic === "after"
    )!;
    const held = partitions.filter(({ replicas }) => replicas.some(({ id }) => id === 3));
    assert.ok(held.length >= 4, JSON.stringify(partitions));
    assert.ok(partitions.some(({ leader }) => leader === 3), JSON.stringify(partitions));
    for (const topic of ["before", "after"]) {
      assert.equal(new Set(await read(cluster, topic)).size, RECORDS);
    }
    await fourth.kill();
    assert.equal(new Set(await read(cluster, "after")).size, RECORDS);
    await fourth.restart();
    assert.equal(new Set(await read(cluster, "after")).size, RECORDS);
  } finally {
    await cluster.dispose();
  }
});

Deno.test("one broker grows to three, and is not needed any more", async () => {
  const brokers = [await Broker.start({ cores: 1, memory: "256MiB", flags: ["--node-id=0"] })];
  const seeds = brokers[0]!.ready.rpc;
  try {
    const first = brokers[0]!.kafka;
    await run(["kcat", "-P", "-b", first, "-t", "lines"], "one\ntwo\n");
    const group = [
      "kcat",
      "-b",
      first,
      "-G",
      "readers",
      "-c",
      "2",
      "-X",
      "auto.offset.reset=earliest",
    ];
    const read = await run([...group, "lines"]);
    assert.equal(read.stdout, "one\ntwo\n", read.stderr);
    for (const node of [1, 2]) {
      const flags = [`--node-id=${node}`, `--seeds=${seeds}`];
      brokers.push(await Broker.start({ cores: 1, memory: "256MiB", flags }));
    }
    const story = () => brokers.map(({ stderr }) => stderr).join("\n");
    const lateMs = performance.now() + 60_000;
    const replicas = async (topic: string): Promise<number[]> => {
      const { topics } = await list(brokers[2]!.kafka);
      const found = topics.find((one) => one.topic === topic);
      return found?.partitions.map((partition) => partition.isrs.length) ?? [];
    };
    const isRaised = async (): Promise<boolean> => {
      const counts = await replicas("__consumer_offsets");
      return counts.length > 0 && counts.every((count) => count === 3);
    };
    while (!await isRaised()) {
      assert.ok(performance.now() < lateMs, `three replicas do not come\n${story()}`);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    await brokers[0]!.kill();
    const others = brokers.slice(1).map(({ kafka }) => kafka).join(",");
    let created = "";
    while (created !== "0") {
      assert.ok(performance.now() < lateMs, `no controller comes\n${created}\n${story()}`);
      const made = await run([
        ...gregorCommand(),
        ...["topic", "create", "later", "--replication-factor", "2", "--brokers", others],
      ]);
      created = made.code === 0 ? "0" : made.stderr;
    }
    await run(["kcat", "-P", "-b", others, "-t", "later"], "three\n");
    const again = await run([
      ...["kcat", "-b", others, "-G", "readers", "-c", "1", "-X", "auto.offset.reset=earliest"],
      "later",
    ]);
    assert.equal(again.stdout, "three\n", again.stderr);
  } finally {
    await Promise.all(brokers.map((broker) => broker.dispose()));
  }
});

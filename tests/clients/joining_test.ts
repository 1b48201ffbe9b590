/**
 * Real brokers that are added to a running cluster, seen by kcat.
 */

import { strict as assert } from "node:assert";
import { gregorCommand } from "../harness/broker.ts";
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

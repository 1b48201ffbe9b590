/**
 * Real brokers that leave a cluster, lose their disks, or are copies of others, while kcat writes and reads.
 */

import { strict as assert } from "node:assert";
import { Connection } from "../../src/cli/client/connection.ts";
import type { Api } from "../../src/wire/api.ts";
import {
  ALTER_NODE_STATE,
  ALTER_PARTITION_REASSIGNMENTS,
  DESCRIBE_NODES,
  LIST_PARTITION_REASSIGNMENTS,
  METADATA,
  UNREGISTER_BROKER,
} from "../../src/wire/generated/apis.ts";
import { newAlterNodeStateRequest } from "../../src/wire/generated/alter_node_state_request.ts";
import { newAlterPartitionReassignmentsRequest } from "../../src/wire/generated/alter_partition_reassignments_request.ts";
import { newDescribeNodesRequest } from "../../src/wire/generated/describe_nodes_request.ts";
import { newListPartitionReassignmentsRequest } from "../../src/wire/generated/list_partition_reassignments_request.ts";
import { newMetadataRequest } from "../../src/wire/generated/metadata_request.ts";
import { newUnregisterBrokerRequest } from "../../src/wire/generated/unregister_broker_request.ts";
import { Broker, gregorCommand } from "../harness/broker.ts";
import { LocalCluster } from "../harness/local_cluster.ts";
import { run } from "../harness/program_output.ts";

const TOPIC = "orders";
const PARTITIONS = 6;
/** Bound of everything that is waited for. */
const SOON_MS = 60_000;
const DECOMMISSIONING = 2;

/** Asks one broker. */
async function ask<Request, Response>(
  { kafka }: Broker,
  api: Api<Request, Response>,
  request: Request,
): Promise<Response> {
  const [host, port] = kafka.split(":");
  const connection = await Connection.open({ host: host!, port: Number(port) }, {
    timeoutMs: 10_000,
  });
  try {
    return await connection.call(api, request);
  } finally {
    connection.close();
  }
}

async function until(cluster: LocalCluster, what: string, done: () => Promise<boolean>) {
  const lateMs = performance.now() + SOON_MS;
  while (!await done()) {
    assert.ok(performance.now() < lateMs, `${what} does not come\n${cluster.stderr}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function create(cluster: LocalCluster): Promise<void> {
  const { code, stderr } = await run([
    ...gregorCommand(),
    ...["topic", "create", TOPIC, "--partitions", `${PARTITIONS}`, "--replication-factor", "3"],
    ...["--brokers", cluster.brokers[0]!.kafka],
  ]);
  assert.equal(code, 0, `${stderr}\n${cluster.stderr}`);
}

/** kcat that writes numbered lines until it is told to end. */
class Writer {
  readonly #child: Deno.ChildProcess;
  #isOver = false;
  readonly #written: Promise<number>;

  constructor(bootstrap: string) {
    this.#child = new Deno.Command("kcat", {
      args: [
        ...["-P", "-b", bootstrap, "-t", TOPIC, "-X", "acks=all", "-X", "enable.idempotence=true"],
        ...["-X", "message.timeout.ms=50000", "-X", "linger.ms=5"],
      ],
      stdin: "piped",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    this.#written = this.#write();
  }

  async #write(): Promise<number> {
    const writer = this.#child.stdin.getWriter();
    const encoder = new TextEncoder();
    let next = 0;
    while (!this.#isOver) {
      const lines = Array.from({ length: 50 }, () => `record ${next++} ${"x".repeat(200)}\n`);
      await writer.write(encoder.encode(lines.join("")));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await writer.close();
    return next;
  }

  /** Waits for the acknowledgement of everything; how many records that is. */
  async end(): Promise<number> {
    this.#isOver = true;
    const count = await this.#written;
    const { code, stderr } = await this.#child.output();
    const text = new TextDecoder().decode(stderr);
    assert.ok(code === 0 && !/delivery failed/i.test(text), text);
    return count;
  }
}

async function checkRecords(cluster: LocalCluster, count: number): Promise<void> {
  const alive = cluster.brokers.filter(({ pid }) => pid > 0).map(({ kafka }) => kafka).join(",");
  const command = ["kcat", "-C", "-e", "-q", "-b", alive, "-t", TOPIC, "-o", "beginning"];
  const { code, stdout, stderr } = await run(command);
  assert.equal(code, 0, `${stderr}\n${cluster.stderr}`);
  const lines = stdout.split("\n").filter((line) => line !== "");
  assert.equal(lines.length, count, "each record once");
  assert.equal(new Set(lines).size, count);
}

async function partitions(of: Broker) {
  const topics = [{ name: TOPIC, topicId: "0".repeat(32) }];
  return (await ask(of, METADATA, newMetadataRequest({ topics }))).topics[0]!.partitions;
}

Deno.test("a broker empties itself while it is written to, and partitions go round all others: nothing is lost or doubled", async () => {
  const cluster = await LocalCluster.start({ nodes: 3 });
  try {
    await cluster.join();
    const [first, , third] = cluster.brokers;
    await create(cluster);
    const writer = new Writer(cluster.bootstrap);
    const state = newAlterNodeStateRequest({ nodeId: 1, state: DECOMMISSIONING });
    assert.equal((await ask(third!, ALTER_NODE_STATE, state)).errorCode, 0);
    await until(cluster, "an empty node", async () => {
      const { nodes } = await ask(third!, DESCRIBE_NODES, newDescribeNodesRequest());
      return nodes.find(({ nodeId }) => nodeId === 1)!.replicas === 0;
    });
    for (const replicas of [[3, 2, 0], [2], [0, 2, 3]]) {
      const request = newAlterPartitionReassignmentsRequest({
        topics: [{
          name: TOPIC,
          partitions: Array.from({ length: PARTITIONS }, (_, partitionIndex) => ({
            partitionIndex,
            replicas,
          })),
        }],
      });
      const { errorCode, responses } = await ask(first!, ALTER_PARTITION_REASSIGNMENTS, request);
      assert.equal(errorCode, 0);
      assert.ok(responses[0]!.partitions.every((one) => one.errorCode === 0));
      await until(cluster, `all partitions on ${replicas}`, async () => {
        const list = newListPartitionReassignmentsRequest();
        const { topics } = await ask(third!, LIST_PARTITION_REASSIGNMENTS, list);
        if (topics.length > 0) return false;
        const there = await partitions(third!);
        return there.every((one) => `${one.replicaNodes}` === `${replicas}` && one.leaderId >= 0);
      });
    }
    const count = await writer.end();
    assert.ok(count > 1_000, `only ${count} records`);
    await checkRecords(cluster, count);

    await cluster.brokers[1]!.kill();
    await until(cluster, "the end of the node", async () => {
      const forget = newUnregisterBrokerRequest({ brokerId: 1 });
      return (await ask(third!, UNREGISTER_BROKER, forget)).errorCode === 0;
    });
    await until(cluster, "three nodes", async () => {
      const { nodes } = await ask(first!, DESCRIBE_NODES, newDescribeNodesRequest());
      return `${nodes.map(({ nodeId }) => nodeId)}` === "0,2,3";
    });
    await checkRecords(cluster, count);
  } finally {
    await cluster.dispose();
  }
});

Deno.test("a broker without its data comes back and is filled; a copy of another one's data is refused", async () => {
  const cluster = await LocalCluster.start({ nodes: 3 });
  const copy = Deno.makeTempDirSync({ prefix: "gregor-test-copy-" });
  try {
    await create(cluster);
    const writer = new Writer(cluster.bootstrap);
    const lost = cluster.brokers[2]!;
    await until(cluster, "some records", async () => {
      await new Promise((resolve) => setTimeout(resolve, 500));
      return (await partitions(lost)).every(({ isrNodes }) => isrNodes.length === 3);
    });
    await lost.kill();
    await Deno.remove(lost.dataDir, { recursive: true });
    await Deno.mkdir(lost.dataDir);
    await lost.restart();
    await until(cluster, "all replicas in sync", async () => {
      return (await partitions(lost)).every(({ isrNodes }) => isrNodes.length === 3);
    });
    const count = await writer.end();
    await cluster.brokers[0]!.kill();
    await checkRecords(cluster, count);
    await cluster.brokers[0]!.restart();

    const from = cluster.brokers[1]!;
    await run(["cp", "-r", `${from.dataDir}/.`, copy]);
    const seeds = cluster.brokers.map(({ ready }) => ready.rpc).join(",");
    const start = Broker.start({
      dataDir: copy,
      cores: 1,
      memory: "256MiB",
      flags: ["--node-id=1", `--seeds=${seeds}`],
    });
    await assert.rejects(start, /is connected to another process with the id 1: start this node/);
    await checkRecords(cluster, count);
  } finally {
    await cluster.dispose();
    await Deno.remove(copy, { recursive: true }).catch(() => {});
  }
});

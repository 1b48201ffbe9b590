/**
 * Two of three nodes are gone for good: what a person does, what is said before anything is lost, and what is there
 * afterwards.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { EXIT_CANNOT_CREATE } from "../../src/base/exit_codes.ts";
import { CommandShell } from "./command_shell.ts";
import type { Broker } from "../harness/broker.ts";
import { LocalCluster } from "../harness/local_cluster.ts";

Deno.test("the metadata and a partition go on with the last node, by command only, and say what may be lost", async () => {
  const cluster = await LocalCluster.start({ nodes: 3, memory: "64MiB" });
  const shell = new CommandShell(cluster);
  try {
    await shell.good("topic create orders --replication-factor 3");
    await shell.good("produce orders", "one\ntwo\nthree\n");
    const healthy = await shell.run("partition recover orders/0 --accept-loss");
    assert.equal(healthy.code, 1);
    assert.match(healthy.remarks, /orders\/0 has a leader, node \d: there is nothing to recover/);

    await Promise.all([cluster.brokers[1]!.kill(), cluster.brokers[2]!.kill()]);
    shell.brokers = cluster.brokers[0]!.kafka;
    await shell.until("partition describe orders/0", ({ out }) => /^leader +none$/m.test(out));
    await shell.until("cluster health", ({ out }) => /^controller +none/m.test(out));

    // Said first, and nothing done.
    const asked = await shell.run("partition recover orders/0");
    assert.equal(asked.code, 1);
    assert.match(
      asked.remarks,
      /nothing was changed\.\norders\/0 has no leader; of its 3 replicas, nodes [12], [12] do not answer\./,
    );
    assert.match(asked.remarks, /Node 0 would go on alone, with records 0 to 3\. Then:/);
    assert.match(
      asked.remarks,
      /records from 3 on are lost, if nodes [12], [12] had acknowledged any/,
    );
    assert.match(asked.remarks, /gregor partition recover orders\/0 --node 0 --accept-loss/);
    const other = await shell.run("partition recover orders/0 --node 2");
    assert.match(other.remarks, /node 2 has no replica of orders\/0 that answers and could go on/);
    assert.match((await shell.run("partition describe orders/0")).out, /^leader +none$/m);

    // There is no controller that could record it.
    const early = await shell.run("partition recover orders/0 --accept-loss");
    assert.equal(early.code, 1);
    assert.match(early.remarks, /cannot recover orders\/0: .*NOT_CONTROLLER/);
    await shell.good("partition recover __cluster_metadata/0 --accept-loss");
    await shell.until("cluster info", ({ out }) => /^controller +node 0$/m.test(out));
    await shell.good("partition recover orders/0 --accept-loss");
    const [state] = JSON.parse(await shell.good("partition describe orders/0 --format json"));
    assert.deepEqual([state.leader, state.replicas.length], [0, 1]);
    assert.equal(await shell.good("consume orders --until-end"), "one\ntwo\nthree\n");
    await shell.good("produce orders", "four\n");
    await shell.good("topic create more");

    // The decision outlives a restart, and needs nobody else.
    await cluster.brokers[0]!.restart();
    assert.equal(await shell.good("consume orders --until-end"), "one\ntwo\nthree\nfour\n");
    const again = await shell.run("partition recover orders/0 --accept-loss");
    assert.match(again.remarks, /has a leader, node 0: there is nothing to recover/);

    // Who was given up hears of it, and returns as a new node.
    const returned = cluster.brokers[1]!;
    assert.equal((await returned.restartAndFail()).code, EXIT_CANNOT_CREATE);
    assert.match(returned.stderr, /the cluster [\w-]{22} went on without this node/);
    assert.match(
      returned.stderr,
      /empty it, and start the node again, which then joins as a new one/,
    );
    Deno.removeSync(returned.dataDir, { recursive: true });
    Deno.mkdirSync(returned.dataDir);
    await returned.restart();
    await shell.until("cluster nodes", ({ out }) => /^ +1 +up for /m.test(out));
    assert.equal(await shell.good("consume orders --until-end"), "one\ntwo\nthree\nfour\n");
  } finally {
    await cluster.dispose();
  }
});

/** Starts a broker with the flag, as a person gives it: it ends, and says what would be lost, and the flag that does it. */
async function flagFor(broker: Broker, flags: readonly string[], ids: string): Promise<string> {
  const { code } = await broker.restartAndFail({
    flags: [...flags, `--recover-metadata=${ids}`],
  });
  const { stderr } = broker;
  assert.equal(code, EXIT_CANNOT_CREATE, stderr);
  assert.match(stderr, /nothing was changed\. .*commands 0 to \d+ of the cluster's metadata/);
  const found = /--recover-metadata ([0-9a-f:,]*:[0-9a-f:,]*)/.exec(stderr);
  assert(found !== null, stderr);
  return `--recover-metadata=${found[1]}`;
}

async function begunAnew(broker: Broker, flags: readonly string[]): Promise<void> {
  Deno.removeSync(broker.dataDir, { recursive: true });
  Deno.mkdirSync(broker.dataDir);
  await broker.restart({ flags });
}

Deno.test("a cluster that grew, and lost a disk, is started alone by one node, again and again", async () => {
  const cluster = await LocalCluster.start({ nodes: 1, memory: "64MiB" });
  const shell = new CommandShell(cluster);
  try {
    for (let node = 1; node < 3; node++) await cluster.join();
    const flags = cluster.brokers.map((broker) => broker.flags);
    const voters = (ids: readonly number[]) =>
      shell.until("partition describe __cluster_metadata --format json", ({ code, out }) => {
        if (code !== 0) return false;
        const { replicas } = JSON.parse(out)[0] as {
          replicas: { node: number; part: string; inSync?: boolean }[];
        };
        const now = replicas.filter(({ part }) => part === "voter").map(({ node }) => node);
        return `${now.sort()}` === `${ids}`;
      });
    const kill = (...ids: readonly number[]) =>
      Promise.all(ids.map((id) => cluster.brokers[id]!.kill()));
    shell.brokers = cluster.bootstrap;
    await voters([0, 1, 2]);
    await shell.good("topic create orders --replication-factor 3");
    await shell.good("produce orders", "one\ntwo\n");

    // A voter's disk is replaced.
    await kill(1);
    await begunAnew(cluster.brokers[1]!, flags[1]!);
    shell.brokers = cluster.bootstrap;
    await voters([0, 1, 2]);
    await shell.until("cluster health", ({ code }) => code === 0);

    // All are down, and two of them for good, the founder among them.
    await kill(0, 1, 2);
    const last = cluster.brokers[2]!;
    const first = await flagFor(last, flags[2]!, "0,1");
    await last.restart({ flags: [...flags[2]!, first] });
    assert.match(last.stderr, /goes on with this node alone, as --recover-metadata asks/);
    shell.brokers = last.kafka;
    await shell.until("cluster info", ({ out }) => /^controller +node 2$/m.test(out));
    await shell.good("partition recover orders/0 --accept-loss");
    assert.equal(await shell.good("consume orders --until-end"), "one\ntwo\n");
    const returned = cluster.brokers[0]!;
    assert.equal((await returned.restartAndFail({ flags: seeded(flags[0]!, last) })).code, 73);
    assert.match(returned.stderr, /the cluster [\w-]{22} went on without this node/);

    // Two new ones take their places, and the majority is lost once more.
    for (const id of [0, 1]) await begunAnew(cluster.brokers[id]!, seeded(flags[id]!, last));
    shell.brokers = cluster.bootstrap;
    await voters([0, 1, 2]);
    await kill(0, 1, 2);
    const again = cluster.brokers[1]!;
    const second = await flagFor(again, seeded(flags[1]!, last), "0,2");
    assert.notEqual(second, first);
    await again.restart({ flags: [...seeded(flags[1]!, last), second] });
    shell.brokers = again.kafka;
    await shell.until("cluster info", ({ out }) => /^controller +node 1$/m.test(out));
    await shell.good("topic create more");
    // The flag that is left there does nothing, and says so.
    await again.restart();
    assert.match(again.stderr, /--recover-metadata does nothing: take it away/);
  } finally {
    await cluster.dispose();
  }
});

/** The founder has no seeds, as it founded the cluster alone: a node that comes back asks the one that went on. */
function seeded(flags: readonly string[], at: Broker): string[] {
  const rpc = at.flags.find((flag) => flag.startsWith("--rpc-addr="))!.split("=")[1]!;
  return [...flags.filter((flag) => !flag.startsWith("--seeds=")), `--seeds=${rpc}`];
}

Deno.test("where no node is left that was running, one is started to go on with the metadata alone", async () => {
  const cluster = await LocalCluster.start({ nodes: 3, memory: "64MiB" });
  const shell = new CommandShell(cluster);
  const [last] = cluster.brokers;
  try {
    await shell.good("topic create orders --replication-factor 3");
    await shell.good("produce orders", "one\ntwo\nthree\n");
    await Promise.all(cluster.brokers.map((broker) => broker.kill()));
    const { flags } = last!;
    const flag = await flagFor(last!, flags, "1,2");
    await last!.restart({ flags: [...flags, flag] });
    assert.match(last!.stderr, /goes on with this node alone, as --recover-metadata asks/);
    shell.brokers = last!.kafka;
    await shell.until("cluster info", ({ out }) => /^controller +node 0$/m.test(out));
    await shell.good("partition recover orders/0 --accept-loss");
    assert.equal(await shell.good("consume orders --until-end"), "one\ntwo\nthree\n");
    await last!.restart({ flags });
    await shell.good("produce orders", "four\n");
    const returned = cluster.brokers[1]!;
    assert.equal((await returned.restartAndFail()).code, EXIT_CANNOT_CREATE);
    assert.match(returned.stderr, /the cluster [\w-]{22} went on without this node/);
  } finally {
    await cluster.dispose();
  }
});

/**
 * Two of three nodes are gone for good: what a person does, what is said before anything is lost, and what is there
 * afterwards.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { EXIT_CANNOT_CREATE } from "../../src/base/exit_codes.ts";
import { CommandShell } from "./command_shell.ts";
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

Deno.test("where no node is left that was running, one is started to go on with the metadata alone", async () => {
  const cluster = await LocalCluster.start({ nodes: 3, memory: "64MiB" });
  const shell = new CommandShell(cluster);
  const [last] = cluster.brokers;
  try {
    await shell.good("topic create orders --replication-factor 3");
    await shell.good("produce orders", "one\ntwo\nthree\n");
    await Promise.all(cluster.brokers.map((broker) => broker.kill()));
    const { flags } = last!;
    await last!.restart({ flags: [...flags, "--recover-metadata"] });
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

/**
 * The commands that look after a cluster, against three brokers: what they show while all is well, when one is missing,
 * and when the majority is.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { runGregor } from "../../src/cli/testing.ts";
import { CommandShell } from "./command_shell.ts";
import { LocalCluster } from "../harness/local_cluster.ts";

const NODES = 3;

Deno.test("a person sees who leads, who lags and who is missing, and moves leadership", async (test) => {
  const cluster = await LocalCluster.start({ nodes: NODES, memory: "64MiB" });
  const shell = new CommandShell(cluster);
  try {
    await shell.good("topic create orders --replication-factor 3");
    await runGregor(["produce", "orders"], {
      stdin: "one\ntwo\nthree\n",
      env: { GREGOR_BROKERS: cluster.bootstrap },
    });

    await test.step("nodes, with addresses, version and partitions", async () => {
      const nodes = JSON.parse(await shell.good("cluster nodes --format json"));
      assert.deepEqual(nodes.map(({ node }: { node: number }) => node), [0, 1, 2]);
      for (const { node, state, kafka, rpc, version, replicas } of nodes) {
        const { ready } = cluster.brokers[node]!;
        assert.deepEqual([state, kafka, rpc, replicas], ["up", ready.kafka, ready.rpc, 1]);
        assert.match(version, /^\d+\.\d+\.\d+$/);
      }
      const sum = (key: string): number =>
        nodes.reduce((total: number, row: Record<string, number>) => total + row[key]!, 0);
      assert.equal(sum("leads"), 1);
      const controllers = nodes.filter(({ role }: { role: string }) => role === "controller");
      assert.equal(controllers.length, 1);
      assert.match(await shell.good("cluster nodes"), /^ +0 +(controller)? +up for /m);
      assert.match(await shell.good("cluster health"), /^health +good$/m);
    });

    const describe = async (partition: string) => {
      const [state] = JSON.parse(await shell.good(`partition describe ${partition} --format json`));
      return state;
    };

    await test.step("each replica's state and lag", async () => {
      const state = await describe("orders/0");
      assert.deepEqual([state.start, state.committed, state.replicas.length], [0, 3, NODES]);
      const states = state.replicas.map(({ state }: { state: string }) => state).sort();
      assert.deepEqual(states, ["following", "following", "leader"]);
      const ran = await shell.until(
        "partition describe orders/0",
        ({ out }) => (out.match(/^ +\d +voter +following +3 +0 +\S+ ago$/gm) ?? []).length === 2,
      );
      assert.match(ran.out, /^leader +node \d, epoch \d+$/m);
      assert.match(ran.out, /^offsets +0 to 3, committed$/m);
      const metadata = await describe("__cluster_metadata");
      assert.equal(metadata.replicas.length, NODES);
      assert.ok(metadata.leader >= 0);
    });

    await test.step("leadership moves to a node, also the controller's, and wrong names are refused", async () => {
      const before = (await describe("orders/0")).leader;
      const to = (before + 1) % NODES;
      const moved = await shell.run(`partition transfer orders/0 --to ${to}`);
      assert.equal(moved.code, 0, moved.remarks);
      assert.match(
        moved.remarks,
        new RegExp(`^Node ${to} leads orders/0, after node ${before} \\(\\d+ ms\\)`),
      );
      assert.equal((await describe("orders/0")).leader, to);
      const again = await shell.run(`partition transfer orders/0 --to ${to}`);
      assert.match(again.remarks, new RegExp(`Node ${to} leads orders/0 already`));
      const controller = ((await describe("__cluster_metadata")).leader + 1) % NODES;
      await shell.good(`partition transfer __cluster_metadata/0 --to ${controller}`);
      await shell.until(
        "cluster info",
        ({ out }) => out.includes(`controller  node ${controller}\n`),
      );

      const stranger = await shell.run("partition transfer orders/0 --to 9");
      assert.equal(stranger.code, 1);
      assert.match(
        stranger.remarks,
        /cannot move orders\/0 to node 9: node 9 is no voter of orders\/0/,
      );
      const nowhere = await shell.run("partition transfer orders/7 --to 1");
      assert.match(nowhere.remarks, /cannot find partition orders\/7.*UNKNOWN_TOPIC_OR_PARTITION/);
      const typo = await shell.run("partition transfer orders --to 1");
      assert.equal(typo.code, 64);
      assert.match(typo.remarks, /expected a partition such as orders\/0, got "orders"/);
      const misspelt = await shell.run("partition describe ordres");
      assert.match(misspelt.remarks, /there is no topic ordres; nearest is orders/);
    });

    await test.step("a node that is missing is named, with what to do", async () => {
      await cluster.brokers[2]!.kill();
      const health = await shell.until(
        "cluster health",
        ({ out }) => /^missing nodes +2$/m.test(out) && /^leaderless partitions +none$/m.test(out),
      );
      assert.equal(health.code, 1);
      assert.match(health.out, /^under-replicated partitions +orders\/0$/m);
      assert.match(
        health.out,
        /Start the missing node again; `gregor cluster nodes` shows since when/,
      );
      const nodes = await shell.run("cluster nodes");
      assert.match(nodes.out, /^ +2 +down for \S+/m);
      const ran = await shell.run("partition describe orders/0");
      assert.match(ran.out, /^ +2 +voter +down +- /m);
    });

    await test.step("without a majority nothing leads, and it is said what is needed", async () => {
      await cluster.brokers[1]!.kill();
      const health = await shell.until(
        "cluster health",
        ({ out }) =>
          /^controller +none at the moment$/m.test(out) &&
          /^leaderless partitions +orders\/0$/m.test(out),
      );
      assert.match(health.out, /a majority of the nodes that keep it is needed/);
      assert.match(health.out, /`gregor partition describe orders\/0` shows which are missing/);
      const ran = await shell.until(
        "partition describe orders/0",
        ({ out }) => /^leader +none$/m.test(out),
      );
      assert.match(
        ran.out,
        /Nobody leads: 2 of its 3 replicas are needed, and 1 answers\. Start nodes 1, 2 again\./,
      );
      const moved = await shell.run("partition transfer orders/0 --to 0");
      assert.match(moved.remarks, /cannot move orders\/0 to node 0: nobody leads it/);
    });

    await test.step("and all is well again when they are back", async () => {
      await Promise.all([cluster.brokers[1]!.restart(), cluster.brokers[2]!.restart()]);
      await shell.until("cluster health", ({ code }) => code === 0);
    });
  } finally {
    await cluster.dispose();
  }
});

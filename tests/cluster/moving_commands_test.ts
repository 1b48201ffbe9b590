/**
 * Moving partitions and taking a node away, as a person does it, on three brokers.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { runGregor } from "../../src/cli/testing.ts";
import { CommandShell } from "./command_shell.ts";
import { LocalCluster } from "../harness/local_cluster.ts";

Deno.test("a topic moves, a node leads nothing for a while, and another one is emptied and forgotten", async () => {
  const cluster = await LocalCluster.start({ nodes: 3, memory: "64MiB" });
  const shell = new CommandShell(cluster, "30s");
  const replicasOf = async (topic: string): Promise<number[][]> => {
    const [{ partitions }] = JSON.parse(await shell.good(`topic describe ${topic} --format json`));
    return partitions.map(({ replicas }: { replicas: number[] }) => replicas.toSorted());
  };
  try {
    await shell.good("topic create orders --partitions 2 --replication-factor 2");
    await shell.good("produce orders", "one\ntwo\nthree\n");
    const moved = await shell.run("topic reassign orders --replicas 0,1");
    assert.equal(moved.code, 0, moved.remarks);
    assert.match(moved.remarks, /The replicas of orders are where they should be/);
    assert.deepEqual(await replicasOf("orders"), [[0, 1], [0, 1]]);
    const unknown = await shell.run("topic reassign orders --replicas 0,9");
    assert.equal(unknown.code, 1);
    assert.match(unknown.remarks, /cannot reassign orders\/0: .*9/);
    const nothing = await shell.run("topic reassign orders --cancel");
    assert.match(nothing.remarks, /cannot reassign orders\/0: .*NO_REASSIGNMENT_IN_PROGRESS/);
    const both = await shell.run("topic reassign orders --cancel --replicas 1");
    assert.equal(both.code, 64);

    await shell.good("cluster maintenance --node 1");
    await shell.until("cluster nodes", ({ out }) => /^ +1 .*maintenance .* 0 +2$/m.test(out));
    await shell.good("cluster maintenance --node 1 --end");
    await shell.until("cluster nodes", ({ out }) => /^ +1 .*active/m.test(out));

    const early = await shell.run("cluster forget --node 0");
    assert.equal(early.code, 1);
    assert.match(early.remarks, /cannot forget node 0: /);
    const emptied = await shell.run("cluster decommission --node 0");
    assert.equal(emptied.code, 0, emptied.remarks);
    assert.match(
      emptied.remarks,
      /Node 0 holds nothing any more\. Stop it, then: gregor cluster forget/,
    );
    assert.deepEqual(await replicasOf("orders"), [[1, 2], [1, 2]]);
    await shell.until("cluster nodes", ({ out }) => /^ +0 .*decommissioned .* 0$/m.test(out));
    assert.equal((await shell.good("consume orders --until-end")).trim().split("\n").length, 3);
    const stranger = await shell.run("cluster decommission --node 7");
    assert.match(stranger.remarks, /cannot decommission node 7: /);

    await cluster.brokers[0]!.stop();
    const left = { env: { GREGOR_BROKERS: cluster.brokers[1]!.kafka } };
    const forgotten = await runGregor(
      ["cluster", "forget", "--node", "0", "--timeout", "30s"],
      left,
    );
    assert.equal(forgotten.code, 0, `${forgotten.remarks}\n${cluster.stderr}`);
    const nodes = await runGregor(["cluster", "nodes", "--format", "json"], left);
    assert.deepEqual(JSON.parse(nodes.out).map(({ node }: { node: number }) => node), [1, 2]);
  } finally {
    await cluster.dispose();
  }
});

/**
 * Two of three nodes are gone for good: what a person does, what is said before anything is lost, and what is there
 * afterwards.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { EXIT_CANNOT_CREATE } from "../../src/base/exit_codes.ts";
import { type Ran, runGregor } from "../../src/cli/testing.ts";
import { LocalCluster } from "../harness/local_cluster.ts";

const SEEN_MS = 30_000;

Deno.test("the metadata and a partition go on with the last node, by command only, and say what may be lost", async () => {
  const cluster = await LocalCluster.start({ nodes: 3, memory: "64MiB" });
  let brokers = cluster.bootstrap;
  const gregor = (line: string, stdin = ""): Promise<Ran> =>
    runGregor(line.split(" "), { stdin, env: { GREGOR_BROKERS: brokers } });
  const good = async (line: string, stdin = ""): Promise<string> => {
    const ran = await gregor(line, stdin);
    assert.equal(ran.code, 0, `${line}: ${ran.out}${ran.remarks}\n${cluster.stderr}`);
    return ran.out;
  };
  const until = async (line: string, isRight: (ran: Ran) => boolean): Promise<Ran> => {
    const deadlineMs = performance.now() + SEEN_MS;
    for (;;) {
      const ran = await gregor(line);
      if (isRight(ran)) return ran;
      const seen = `${line}: ${ran.out}${ran.remarks}`;
      assert.ok(performance.now() < deadlineMs, `${seen}\n${cluster.stderr}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  };
  try {
    await good("topic create orders --replication-factor 3");
    await good("produce orders", "one\ntwo\nthree\n");
    const healthy = await gregor("partition recover orders/0 --accept-loss");
    assert.equal(healthy.code, 1);
    assert.match(healthy.remarks, /orders\/0 has a leader, node \d: there is nothing to recover/);

    await Promise.all([cluster.brokers[1]!.kill(), cluster.brokers[2]!.kill()]);
    brokers = cluster.brokers[0]!.kafka;
    await until("partition describe orders/0", ({ out }) => /^leader +none$/m.test(out));
    await until("cluster health", ({ out }) => /^controller +none/m.test(out));

    // Said first, and nothing done.
    const asked = await gregor("partition recover orders/0");
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
    const other = await gregor("partition recover orders/0 --node 2");
    assert.match(other.remarks, /node 2 has no replica of orders\/0 that answers and could go on/);
    assert.match((await gregor("partition describe orders/0")).out, /^leader +none$/m);

    // There is no controller that could record it.
    const early = await gregor("partition recover orders/0 --accept-loss");
    assert.equal(early.code, 1);
    assert.match(early.remarks, /cannot recover orders\/0: .*NOT_CONTROLLER/);
    await good("partition recover __cluster_metadata/0 --accept-loss");
    await until("cluster info", ({ out }) => /^controller +node 0$/m.test(out));
    await good("partition recover orders/0 --accept-loss");
    const [state] = JSON.parse(await good("partition describe orders/0 --format json"));
    assert.deepEqual([state.leader, state.replicas.length], [0, 1]);
    assert.equal(await good("consume orders --until-end"), "one\ntwo\nthree\n");
    await good("produce orders", "four\n");
    await good("topic create more");

    // The decision outlives a restart, and needs nobody else.
    await cluster.brokers[0]!.restart();
    assert.equal(await good("consume orders --until-end"), "one\ntwo\nthree\nfour\n");
    const again = await gregor("partition recover orders/0 --accept-loss");
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
    await until("cluster nodes", ({ out }) => /^ +1 +up for /m.test(out));
    assert.equal(await good("consume orders --until-end"), "one\ntwo\nthree\nfour\n");
  } finally {
    await cluster.dispose();
  }
});

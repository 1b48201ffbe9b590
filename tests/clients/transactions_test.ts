/**
 * Transactions of real clients: what is aborted is not read, what is committed is; and loops that copy a topic exactly once,
 * on three brokers of which one is killed every few seconds.
 *
 * @module
 */

import { pause } from "../crash/link.ts";
import { Broker } from "../harness/broker.ts";
import { LocalCluster } from "../harness/local_cluster.ts";
import { runProgram } from "../harness/program.ts";
import { cell, chosenClients, EXTERNAL } from "./chosen.ts";
import { type Client, flags } from "./clients.ts";
import { Killer } from "./killer.ts";

const PARTITIONS = 3;
const COUNT = 2_000;
const TIMEOUT_MS = 180_000;
const BASE_MS = Date.now() - 3_600_000;

function run(
  client: Client,
  command: string,
  fields: Readonly<Record<string, string | number>>,
): Promise<unknown> {
  return runProgram([...client.program("none"), command, ...flags(fields)], TIMEOUT_MS);
}

async function copyThroughKills(cluster: LocalCluster, client: Client): Promise<void> {
  const topic = `original-${client.name}`;
  const brokers = cluster.bootstrap;
  const common = { brokers, topic, partitions: PARTITIONS, count: COUNT, baseMs: BASE_MS };
  await run(client, "create", common);
  await run(client, "create", { ...common, topic: `${topic}-copy` });
  await run(client, "produce", common);
  const killer = new Killer(cluster);
  const kills = killer.run(`${topic}-copy`);
  try {
    await run(client, "copy", { ...common, group: `copier-${client.name}` });
  } finally {
    killer.stop();
    await kills;
  }
  console.log(`${client.name}: ${killer.kills} kills`);
  await pause(1_000);
}

if (EXTERNAL === undefined) {
  let broker: Broker | null = null;
  let cluster: LocalCluster | null = null;
  const transactional = chosenClients.filter(({ hasTransactions }) => hasTransactions);
  for (const client of transactional) {
    cell(
      `clients, a transaction that commits and one that aborts: ${client.name}`,
      [client],
      async () => {
        broker ??= await Broker.start({ cores: 2 });
        const topic = `transaction-${client.name}`;
        await run(client, "transaction", {
          brokers: broker.kafka,
          topic,
          group: topic,
          count: 300,
        });
      },
    );
  }
  for (const client of transactional.filter(({ copies }) => copies === true)) {
    cell(`clients, a topic is copied exactly once through kills of brokers: ${client.name}`, [
      client,
    ], async () => {
      cluster ??= await LocalCluster.start({
        nodes: 3,
        flags: ["--set=default.replication.factor=3"],
      });
      await copyThroughKills(cluster, client);
    });
  }
  Deno.test.afterAll(async () => {
    await broker?.dispose();
    await cluster?.dispose();
  });
}

/**
 * Real clients against three brokers with replication factor 3, of which one is killed every few seconds, the leader of
 * what is written more often than not: each client writes (idempotently, where it can), waits for every acknowledgement,
 * and reads everything back, once and in order.
 *
 * @module
 */

import { pause } from "../crash/link.ts";
import { LocalCluster } from "../harness/local_cluster.ts";
import { runProgram } from "../harness/program.ts";
import { cell, chosenClients, EXTERNAL } from "./chosen.ts";
import { type Client, flags } from "./clients.ts";
import { GroupStory } from "./group_story.ts";
import { Killer } from "./killer.ts";

const PARTITIONS = 3;
/**
 * Of a send to several partitions, kafkajs does not repeat the part of a partition whose next leader has answered for
 * another one already, and reports success. With one partition there is no such part.
 */
const LOSES = "kafkajs";
const COUNT = 3_000;
const TIMES = 2;
const TIMEOUT_MS = 120_000;
const BASE_MS = Date.now() - 3_600_000;

async function surviveKills(cluster: LocalCluster, client: Client): Promise<void> {
  const topic = `killed-${client.name}`;
  const partitions = client.hasAdmin && client.name !== LOSES ? PARTITIONS : 1;
  const brokers = cluster.bootstrap.split(",")[0]!;
  const common = { brokers, topic, partitions, codec: "none", baseMs: BASE_MS };
  const run = (command: string, more: Readonly<Record<string, string | number>>) =>
    runProgram([...client.program("none"), command, ...flags({ ...common, ...more })], TIMEOUT_MS);
  await run("create", {});
  const killer = new Killer(cluster);
  const kills = killer.run(topic);
  try {
    for (let i = 0; i < TIMES; i++) {
      await run("produce", { first: i * COUNT, count: COUNT });
      await pause(1_000);
    }
  } finally {
    killer.stop();
    await kills;
  }
  // Coordinators that moved have loaded: kafkajs gives up where one has not.
  await pause(2_000);
  const shape = client.writesPlain ? "plain" : "full";
  await run("consume", { count: TIMES * COUNT, shape });
  console.log(`${client.name}: ${killer.kills} kills`);
}

function startCluster(): Promise<LocalCluster> {
  return LocalCluster.start({ nodes: 3, flags: ["--set=default.replication.factor=3"] });
}

if (EXTERNAL === undefined) {
  let cluster: LocalCluster | null = null;
  for (const client of chosenClients) {
    cell(
      `clients, three brokers, one killed every few seconds: ${client.name}`,
      [client],
      async () => {
        cluster ??= await startCluster();
        await surviveKills(cluster, client);
      },
    );
  }
  for (
    // @platformatic/kafka now and then goes on with a fetch session of which another request of its own has moved the epoch on,
    // and gives up after three refusals.
    const client of chosenClients.filter(({ groupProtocols, name }) =>
      groupProtocols.includes("consumer") && name !== "platformatic"
    )
  ) {
    cell(
      `clients, three brokers, one killed every few seconds: ${client.name} group of the new protocol`,
      [client],
      async () => {
        cluster ??= await startCluster();
        const story = new GroupStory({
          brokers: cluster.bootstrap.split(",")[0]!,
          client,
          admin: client,
          protocol: "consumer",
          topic: `killed-group-${client.name}`,
          baseMs: BASE_MS,
        });
        const killer = new Killer(cluster);
        const processed = await story.runThrough(killer);
        console.log(`${client.name}: ${processed} records through ${killer.kills} kills`);
      },
    );
  }
  Deno.test.afterAll(() => cluster?.dispose());
}

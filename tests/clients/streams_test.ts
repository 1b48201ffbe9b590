/**
 * An application of Kafka Streams counts words exactly once on three brokers, while brokers and its own processes are killed.
 *
 * It regroups records by way of a topic of its own, keeps its state in a compacted one, and commits offsets in transactions.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { pause } from "../crash/link.ts";
import { createTopic } from "../crash/side_loads.ts";
import { ClusterLinks } from "../cluster/cluster_links.ts";
import { parseAddress } from "../crash/link.ts";
import { LocalCluster } from "../harness/local_cluster.ts";
import { Program, runProgram } from "../harness/program.ts";
import { cell } from "./chosen.ts";
import { CACHE } from "./clients.ts";
import { Killer } from "./killer.ts";

const TOPIC = "words";
const PARTITIONS = 3;
const WORDS = 6_000;
const TIMEOUT_MS = 150_000;
/** Processes of the application are killed so often (ms), one after the other. */
const APPLICATION_LIVES_MS = 4_000;

const PROGRAM = [
  "java",
  "-Xmx384m",
  "-XX:+UseSerialGC",
  "-XX:TieredStopAtLevel=1",
  "-cp",
  `${CACHE}streams/classes:${CACHE}streams/lib/*`,
  "Streams",
];

cell(
  "Kafka Streams counts exactly once through kills of brokers and of itself",
  [{ name: "streams" }],
  async () => {
    const cluster = await LocalCluster.start({
      nodes: 3,
      flags: ["--set=default.replication.factor=3"],
    });
    const links = new ClusterLinks(cluster.brokers.map(({ kafka }) => parseAddress(kafka)));
    const { bootstrap } = cluster;
    const words = (command: string): string[] => [
      ...PROGRAM,
      command,
      bootstrap,
      TOPIC,
      String(PARTITIONS),
      String(WORDS),
    ];
    const counters = [0, 1].map(() => null as Program | null);
    const killer = new Killer(cluster);
    let kills = Promise.resolve();
    try {
      for (const topic of [TOPIC, `${TOPIC}-counts`]) {
        await createTopic(links.link("control", null), topic, PARTITIONS);
      }
      for (const at of counters.keys()) counters[at] = new Program(words("count"));
      const feeding = runProgram(words("feed"), TIMEOUT_MS);
      kills = killer.run(`${TOPIC}-counts`);
      let isFed = false;
      const fed = feeding.finally(() => isFed = true);
      for (let at = 0; !isFed; at = 1 - at) {
        await Promise.race([fed, pause(APPLICATION_LIVES_MS)]);
        if (isFed) break;
        await counters[at]!.kill();
        counters[at] = new Program(words("count"));
      }
      await fed;
      killer.stop();
      await kills;
      const { counts } = await runProgram(words("verify"), TIMEOUT_MS);
      assert.equal(counts, WORDS);
      assert(killer.kills > 0);
      console.log(`${killer.kills} kills of brokers`);
    } catch (error) {
      const said = counters.map((each) => each?.story ?? "").join("\n");
      throw new Error(`${(error as Error).message}\n${said}`, { cause: error });
    } finally {
      killer.stop();
      await kills.catch(() => {});
      await Promise.all(counters.map((each) => each?.kill()));
      for (const link of links.links) link.close();
      await cluster.dispose();
    }
  },
);

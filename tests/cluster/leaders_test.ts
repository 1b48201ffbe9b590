/**
 * Who leads new topics on three real brokers that have enough to do: each node its share, soon, without anybody asking for it.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { WatchedCluster } from "../bench/watched_cluster.ts";
import { pause } from "../../src/cli/pause.ts";
import { createTopic } from "../crash/side_loads.ts";
import { ClusterLinks } from "./cluster_links.ts";

const TOPICS = 30;
const NODES = [0, 1, 2];
/** Patience of the brokers, and of a machine with other work (ms). */
const SOON_MS = 20_000;

Deno.test("each of three brokers under load leads its share of new topics within seconds", async () => {
  const parentDir = await Deno.makeTempDir({ prefix: "gregor-leaders-" });
  const watched = await WatchedCluster.start({
    parentDir,
    flags: ["--mode=dev"],
    partitions: 1,
  });
  const links = new ClusterLinks(watched.addresses);
  try {
    const link = links.link("control", null);
    const names = Array.from({ length: TOPICS }, (_, at) => `new-${at}`);
    for (const name of names) await createTopic(link, name, 1);
    const lateMs = performance.now() + SOON_MS;
    for (;;) {
      const { topics } = await links.metadata();
      const made = topics.filter(({ name }) => names.includes(name!));
      const led = made.map(({ partitions }) => partitions[0]!.leaderId);
      const counts = NODES.map((node) => led.filter((leader) => leader === node).length);
      if (counts.every((count) => count === TOPICS / NODES.length)) break;
      assert(performance.now() < lateMs, `led by nodes 0, 1, 2: ${counts.join(", ")}`);
      await pause(100);
    }
    watched.check();
  } finally {
    for (const link of links.links) link.close();
    await watched.end();
    await Deno.remove(parentDir, { recursive: true });
  }
});

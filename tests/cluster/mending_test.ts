/**
 * Files of two of three nodes are damaged while these are away: each has its records from another node, without anybody
 * asking for them, and the files are sound and equal afterwards.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { checkData } from "../crash/check_data.ts";
import { pause } from "../../src/cli/pause.ts";
import type { Broker } from "../harness/broker.ts";
import { LocalCluster } from "../harness/local_cluster.ts";
import { CommandShell } from "./command_shell.ts";
import { compareReplicas, readLogs } from "./replica_logs.ts";

const RECORDS = 3_000;
const MENDED_MS = 60_000;
const WHOLE = /Damaged records are whole again/g;

/** The data file of a partition's first segment. */
function segmentOf(broker: Broker, partition: string): string {
  const logs = `${broker.dataDir}/logs`;
  const [log] = [...Deno.readDirSync(logs)].filter(({ name }) => name.startsWith(`${partition}.`));
  const names = [...Deno.readDirSync(`${logs}/${log!.name}`)].map(({ name }) => name);
  const [first] = names.filter((name) => name.endsWith(".log")).sort();
  return `${logs}/${log!.name}/${first}`;
}

function flip(path: string, position: number): void {
  using file = Deno.openSync(path, { read: true, write: true });
  const byte = new Uint8Array(1);
  file.seekSync(position, Deno.SeekMode.Start);
  file.readSync(byte);
  byte[0]! ^= 0x10;
  file.seekSync(position, Deno.SeekMode.Start);
  file.writeSync(byte);
}

/** The files that say what the logs of a core are: their bytes are gone. */
function loseShard({ dataDir }: Broker, shard: number): void {
  const [, ...lines] = Deno.readTextFileSync(`${dataDir}/manifest`).split("\n");
  const { extents, checkpoints } = JSON.parse(lines.join("\n")).shards[shard];
  for (const name of [...extents, ...checkpoints]) {
    const path = `${dataDir}/${name}`;
    Deno.writeFileSync(path, new Uint8Array(Deno.statSync(path).size));
  }
}

async function said(broker: Broker, count: number): Promise<void> {
  const deadlineMs = performance.now() + MENDED_MS;
  while ([...broker.stderr.matchAll(WHOLE)].length < count) {
    assert(performance.now() < deadlineMs, broker.stderr);
    await pause(100);
  }
}

/** Whether what a node says of a partition's state as a whole is in its log. */
async function logs(broker: Broker, what: RegExp): Promise<void> {
  const deadlineMs = performance.now() + MENDED_MS;
  while (!what.test(broker.stderr)) {
    assert(performance.now() < deadlineMs, broker.stderr);
    await pause(100);
  }
}

Deno.test("a node that lost the journal and the checkpoints of a core has what was there filled again by the leaders", async () => {
  const cluster = await LocalCluster.start({ nodes: 3, cores: 2, memory: "128MiB" });
  const shell = new CommandShell(cluster);
  const [, second] = cluster.brokers;
  try {
    await shell.good("topic create orders --partitions 2 --replication-factor 3");
    const lines = Array.from({ length: 200 }, (_, i) => `${i}\n`).join("");
    await shell.good("produce orders --partition 0", lines);
    await shell.good("produce orders --partition 1", lines);
    assert.equal((await second!.stop()).code, 0);
    // The metadata is on the first core.
    loseShard(second!, 1);
    await second!.restart();
    await logs(second!, /A damaged log is of no use to its partition: it is given up/);
    await shell.until("cluster health", ({ code }) => code === 0);
    for (const partition of ["orders/0", "orders/1"]) {
      const described = await shell.good(`partition describe ${partition}`);
      assert.match(described, /^ +1 +voter +\S+ +200 /m, "health misses one that is being filled");
    }
    assert.equal(await shell.good("consume orders --until-end --partition 0"), lines);
    await Promise.all(cluster.brokers.map((broker) => broker.stop()));
    for (const { dataDir } of cluster.brokers) {
      const { code, output } = await checkData(dataDir);
      assert.equal(code, 0, output);
    }
    const files = cluster.brokers.map(({ dataDir }) => readLogs(dataDir));
    const committed = new Map([["orders-0", 200], ["orders-1", 200]]);
    assert.deepEqual(compareReplicas(files, committed), []);
  } finally {
    await cluster.dispose();
  }
});

Deno.test("nodes that come back with damaged files have the records from the others", async () => {
  const cluster = await LocalCluster.start({ nodes: 3, memory: "64MiB" });
  const shell = new CommandShell(cluster);
  const [, second, third] = cluster.brokers;
  try {
    await shell.good("topic create orders --replication-factor 3");
    const value = "v".repeat(900);
    const lines = Array.from({ length: RECORDS }, (_, i) => `${i} ${value}\n`).join("");
    await shell.good("produce orders", lines);
    for (const broker of [second!, third!]) {
      await shell.until(
        "cluster health",
        ({ out }) => /^under-replicated partitions +none$/m.test(out),
      );
      assert.equal((await broker.stop()).code, 0);
      const path = segmentOf(broker, "orders-0");
      if (broker === second) { for (const at of [5_000, 700_000]) flip(path, at); }
      else Deno.removeSync(path);
      await broker.restart();
    }
    await Promise.all([said(second!, 2), said(third!, 1)]);
    await shell.until("cluster health", ({ out }) => /^damaged partitions +none$/m.test(out));
    assert.equal(await shell.good("consume orders --until-end"), lines);
    await shell.good("produce orders", "more\n");
    await Promise.all(cluster.brokers.map((broker) => broker.stop()));
    for (const { dataDir } of cluster.brokers) {
      const { code, output } = await checkData(dataDir);
      assert.equal(code, 0, output);
    }
    const logs = cluster.brokers.map(({ dataDir }) => readLogs(dataDir));
    assert.deepEqual(compareReplicas(logs, new Map([["orders-0", RECORDS + 1]])), []);
  } finally {
    await cluster.dispose();
  }
});

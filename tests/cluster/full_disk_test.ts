/**
 * Three brokers on one small file system that fills for real: producers are refused, `gregor topic trim` makes room, and everything
 * goes on.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { checkData } from "../crash/check_data.ts";
import { SMALL_RINGS } from "../crash/faulty_broker.ts";
import { LocalCluster } from "../harness/local_cluster.ts";
import { canMount, SmallFileSystem } from "../harness/small_file_system.ts";
import { CommandShell } from "./command_shell.ts";
import { compareReplicas, readLogs } from "./replica_logs.ts";

/** Journals, checkpoints and room for starts take two thirds of it. */
const SIZE_MIB = 192;
/** Lines of one command. */
const LINES = 2_000;
const FILLINGS_MAX = 40;

Deno.test({
  name: "a file system that is full under three brokers is freed by a trim, and all of them go on",
  ignore: !canMount(),
  fn: async () => {
    using place = new SmallFileSystem(SIZE_MIB);
    const cluster = await LocalCluster.start({
      nodes: 3,
      memory: "64MiB",
      flags: SMALL_RINGS,
      parentDir: place.path,
    });
    const shell = new CommandShell(cluster, "5s");
    try {
      await shell.good(
        "topic create orders --replication-factor 3 --config segment.bytes=1048576 --config min.insync.replicas=2",
      );
      const lines = `${"v".repeat(1_000)}\n`.repeat(LINES);
      let refused = 0;
      for (let i = 0; i < FILLINGS_MAX && refused < 3; i++) {
        const { code } = await shell.run("produce orders", lines);
        refused = code === 0 ? 0 : refused + 1;
      }
      assert.equal(refused, 3, "the file system does not fill");
      place.fill();
      const { out } = await shell.run("cluster health");
      assert.match(out, /^full disks +\S+ of node/m);
      await shell.until("topic trim orders --offset end", ({ code }) => code === 0);
      await shell.until("produce orders", ({ code }) => code === 0);
      await shell.good("produce orders", "after\n");
      place.unfill();
      await shell.until("cluster health", ({ code }) => code === 0);
      const kept = await shell.good("consume orders --until-end");
      assert.match(kept, /after\n$/);
      await Promise.all(cluster.brokers.map((broker) => broker.stop()));
      for (const { dataDir } of cluster.brokers) {
        const { code, output } = await checkData(dataDir);
        assert.equal(code, 0, output);
      }
      const files = cluster.brokers.map(({ dataDir }) => readLogs(dataDir));
      assert.deepEqual(compareReplicas(files, new Map()), []);
    } finally {
      await cluster.dispose();
    }
  },
});

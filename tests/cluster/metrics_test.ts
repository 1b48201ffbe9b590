/**
 * What three brokers tell of one cluster: each thing once, and the lag of a group also where its coordinator's node has no
 * replica of the partitions.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { pause } from "../../src/cli/pause.ts";
import { LocalCluster } from "../harness/local_cluster.ts";
import { MetricSamples } from "../harness/metric_samples.ts";
import { CommandShell } from "./command_shell.ts";

const NODES = 3;
const PARTITIONS = 6;
const RECORDS = 90;
const MORE = 60;
/** A change is shown within this time. */
const SHOWN_MS = 30_000;

Deno.test("the nodes of a cluster tell each thing once, and lags of partitions that are elsewhere", async (test) => {
  const cluster = await LocalCluster.start({ nodes: NODES, memory: "64MiB" });
  const shell = new CommandShell(cluster);
  const scrape = (): Promise<MetricSamples[]> =>
    Promise.all(cluster.brokers.map(({ ready }) => MetricSamples.scrape(ready.admin)));
  const sum = (pages: MetricSamples[], name: string, labels = {}): number =>
    pages.reduce((total, page) => total + page.sum(name, labels), 0);
  const until = async (isRight: (pages: MetricSamples[]) => boolean): Promise<MetricSamples[]> => {
    const deadlineMs = performance.now() + SHOWN_MS;
    for (;;) {
      const pages = await scrape();
      if (isRight(pages)) return pages;
      assert.ok(performance.now() < deadlineMs, `never shown\n${cluster.stderr}`);
      await pause(100);
    }
  };
  try {
    await shell.good(`topic create spread --partitions ${PARTITIONS} --replication-factor 1`);
    await shell.good("topic create whole --partitions 2 --replication-factor 3");
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const lines = "x\n".repeat(RECORDS / PARTITIONS);
      await shell.good(`produce spread --partition ${partition}`, lines);
    }
    await shell.good("produce whole", "x\n".repeat(RECORDS));
    await shell.good(`consume spread --group readers --count ${RECORDS}`);
    await shell.good("produce spread", "x\n".repeat(MORE));

    await test.step("the controller alone tells of the cluster", async () => {
      const pages = await until((pages) =>
        sum(pages, "gregor_cluster_controller") === 1 &&
        sum(pages, "redpanda_cluster_unavailable_partitions") === 0
      );
      assert.equal(sum(pages, "redpanda_cluster_brokers"), NODES);
      assert.equal(
        sum(pages, "redpanda_kafka_partitions", { redpanda_topic: "spread" }),
        PARTITIONS,
      );
      assert.equal(sum(pages, "redpanda_kafka_replicas", { redpanda_topic: "whole" }), 3);
    });

    await test.step("traffic is counted where it goes", async () => {
      // Followers hear of a commit a moment later.
      const ends = (page: MetricSamples): number =>
        page.sum("redpanda_kafka_max_offset", { redpanda_topic: "whole" });
      const pages = await until((pages) => pages.every((page) => ends(page) === RECORDS));
      const produced = (topic: string): number =>
        sum(pages, "redpanda_kafka_records_produced_total", { redpanda_topic: topic });
      assert.deepEqual([produced("whole"), produced("spread")], [RECORDS, RECORDS + MORE]);
      for (const page of pages) {
        assert.ok(page.sum("redpanda_rpc_sent_bytes", { redpanda_server: "internal" }) > 0);
      }
    });

    await test.step("the lag of a group has the partitions of all nodes", async () => {
      const group = { redpanda_group: "readers" };
      const lagName = "redpanda_kafka_consumer_group_lag_sum";
      const pages = await until((pages) =>
        pages.reduce((count, page) => count + page.count(lagName, group), 0) === 1
      );
      const committedName = "redpanda_kafka_consumer_group_committed_offset";
      const partitions = pages.reduce((count, page) => count + page.count(committedName, group), 0);
      assert.equal(partitions, PARTITIONS);
      assert.deepEqual([sum(pages, committedName, group), sum(pages, lagName, group)], [
        RECORDS,
        MORE,
      ]);
    });

    await test.step("a node that is gone is told of, and so are its partitions", async () => {
      const controller = (await scrape()).findIndex((page) =>
        page.sum("gregor_cluster_controller") === 1
      );
      const victim = (controller + 1) % NODES;
      await cluster.brokers[victim]!.kill();
      const rest = cluster.brokers.filter((_, node) => node !== victim);
      const deadlineMs = performance.now() + SHOWN_MS;
      for (;;) {
        const pages = await Promise.all(
          rest.map(({ ready }) => MetricSamples.scrape(ready.admin)),
        );
        const isTold = sum(pages, "gregor_cluster_brokers_unreachable") === 1 &&
          sum(pages, "redpanda_cluster_unavailable_partitions") === 2 &&
          sum(pages, "gregor_under_replicated_partitions") >= 2;
        if (isTold) return;
        assert.ok(performance.now() < deadlineMs, cluster.stderr);
        await pause(100);
      }
    });
  } finally {
    await cluster.dispose();
  }
});

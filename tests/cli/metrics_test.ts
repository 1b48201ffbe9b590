/**
 * The pages of metrics of a broker: right figures after known traffic, counters that never go back, and the commands that
 * print the dashboard and the alerts.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { pause } from "../../src/cli/pause.ts";
import { type Ran, runGregor } from "../../src/cli/testing.ts";
import { Broker } from "../harness/broker.ts";
import { MetricSamples } from "../harness/metric_samples.ts";

const RECORDS = 100;
const READ = 40;
/** Nothing is left of a deleted topic after this time. */
const GONE_MS = 20_000;

Deno.test("a broker's pages of metrics show what was produced, consumed and committed", async (test) => {
  await using broker = await Broker.start({ cores: 2, memory: "128MiB" });
  const { admin } = broker.ready;
  const gregor = async (line: string, stdin = ""): Promise<Ran> => {
    const ran = await runGregor(line.split(" "), { stdin, env: { GREGOR_BROKERS: broker.kafka } });
    assert.equal(ran.code, 0, `${line}: ${ran.out}${ran.remarks}\n${broker.stderr}`);
    return ran;
  };
  await gregor("topic create orders --partitions 3");
  const lines = Array.from({ length: RECORDS }, (_, index) => `${index}\n`);
  const seen: MetricSamples[][] = [];
  const scrape = async (): Promise<MetricSamples[]> => {
    const pages = [
      await MetricSamples.scrape(admin),
      await MetricSamples.scrape(admin, "/metrics"),
    ];
    seen.push(pages);
    return pages;
  };
  await scrape();
  await gregor("produce orders", lines.join(""));
  await scrape();
  await gregor(`consume orders --until-end`);
  await gregor(`consume orders --group billing --count ${READ}`);
  const pages = await scrape();

  await test.step("records, bytes and offsets are exact, on both pages", () => {
    const topic = { redpanda_topic: "orders" };
    for (const page of pages) {
      assert.equal(page.sum("redpanda_kafka_records_produced_total", topic), RECORDS);
      const fetched = page.sum("redpanda_kafka_records_fetched_total", topic);
      assert.ok(fetched >= RECORDS + READ, `fetched ${fetched}`);
      assert.equal(page.sum("redpanda_kafka_max_offset", topic), RECORDS);
      const bytes = (request: string): number =>
        page.sum("redpanda_kafka_request_bytes_total", { ...topic, redpanda_request: request });
      assert.ok(bytes("produce") > RECORDS && bytes("consume") > bytes("produce"));
      const committed = page.sum("redpanda_kafka_consumer_group_committed_offset", {
        redpanda_group: "billing",
      });
      const lag = page.sum("redpanda_kafka_consumer_group_lag_sum", { redpanda_group: "billing" });
      assert.equal(committed + lag, RECORDS);
      assert.ok(committed >= READ && lag > 0, `${committed} committed, ${lag} behind`);
    }
  });

  await test.step("what the node is, and the cluster that it is", () => {
    const [page] = pages;
    assert.equal(page!.get("redpanda_cluster_brokers"), 1);
    assert.equal(page!.get("gregor_cluster_controller"), 1);
    assert.equal(page!.get("redpanda_cluster_unavailable_partitions"), 0);
    assert.equal(page!.get("gregor_ready"), 1);
    assert.ok(page!.get("redpanda_application_uptime_seconds_total")! > 0);
    assert.ok(page!.get("redpanda_storage_disk_free_bytes")! > 0);
    assert.equal(page!.sum("gregor_metrics_shards_silent"), 0);
  });

  await test.step("requests, latencies, journal and loop were measured", () => {
    const [page] = pages;
    const handled = (handler: string): number =>
      page!.sum("redpanda_kafka_handler_latency_seconds_count", { handler });
    for (const handler of ["produce", "fetch", "metadata", "api_versions", "join_group"]) {
      assert.ok(handled(handler) > 0, handler);
    }
    const produceS = page!.sum("redpanda_kafka_request_latency_seconds_sum", {
      redpanda_request: "produce",
    });
    const flushS = page!.sum("gregor_journal_flush_seconds_sum");
    assert.ok(produceS > 0 && flushS > 0, `produce ${produceS} s, flush ${flushS} s`);
    // An answer waits for a flush, and no time is invented: the broker runs only for so long.
    const uptimeS = page!.get("redpanda_application_uptime_seconds_total")!;
    assert.ok(produceS / handled("produce") < uptimeS);
    assert.ok(page!.sum("gregor_journal_writes_total") > 0);
    const busyS = page!.sum("redpanda_cpu_busy_seconds_total");
    assert.ok(busyS > 0 && busyS < 2 * uptimeS, `busy ${busyS} s of ${uptimeS}`);
    assert.ok(page!.sum("redpanda_rpc_received_bytes", { redpanda_server: "kafka" }) > 0);
    assert.ok(page!.sum("redpanda_rpc_sent_bytes", { redpanda_server: "kafka" }) > 0);
    assert.ok(page!.sum("gregor_heap_used_bytes") > 0);
  });

  await test.step("counters and histograms never go back", () => {
    for (const path of [0, 1]) {
      for (const [at, before] of seen.slice(0, -1).entries()) {
        const after = seen[at + 1]![path]!;
        for (const [series, value] of before[path]!.entries()) {
          const family = /^[a-z_]+/.exec(series)![0].replace(/_(?:bucket|sum|count)$/, "");
          const type = after.types.get(family) ?? after.types.get(/^[a-z_]+/.exec(series)![0]);
          if (type === "gauge") continue;
          assert.ok((after.get(series) ?? -1) >= value, series);
        }
      }
    }
  });

  await test.step("a deleted topic's series are gone", async () => {
    await gregor("topic delete orders");
    // Its group forgets what was committed of it a moment later.
    const deadlineMs = performance.now() + GONE_MS;
    for (;;) {
      const [page] = await scrape();
      const left = [...page!.entries()].map(([series]) => series)
        .filter((series) => series.includes('redpanda_topic="orders"'));
      if (left.length === 0) return;
      assert.ok(performance.now() < deadlineMs, left.join("\n"));
      await pause(50);
    }
  });
});

Deno.test("generate prints a dashboard and rules", async () => {
  const dashboard = await runGregor(["generate", "grafana-dashboard"], {});
  assert.equal(dashboard.code, 0, dashboard.remarks);
  assert.ok(JSON.parse(dashboard.out).panels.length > 20);
  const rules = await runGregor(["generate", "prometheus-rules", "--runbook", "http://wiki/x"], {});
  assert.equal(rules.code, 0, rules.remarks);
  assert.match(rules.out, /runbook_url: "http:\/\/wiki\/x#gregornodedown"/);
});

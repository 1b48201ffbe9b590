/**
 * Prometheus scrapes a broker and a cluster of three: promtool finds no fault with the pages and the alerts, and every query of
 * the dashboard has an answer under load. An exporter that others wrote finds the same figures.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { prometheusRules } from "../../src/admin/alerts.ts";
import { DASHBOARD, INSTANCE_VARIABLE, RATE_VARIABLE } from "../../src/admin/dashboard.ts";
import { pause } from "../../src/cli/pause.ts";
import { type Ran, runGregor } from "../../src/cli/testing.ts";
import { METRICS } from "../../src/metrics/catalog.ts";
import { Broker } from "../harness/broker.ts";
import { freePorts } from "../harness/free_ports.ts";
import { LocalCluster } from "../harness/local_cluster.ts";
import { MetricSamples } from "../harness/metric_samples.ts";
import { OutputLines } from "../harness/output_lines.ts";
import { cell } from "./chosen.ts";
import { CACHE } from "./clients.ts";
import { Prometheus, promtool } from "./prometheus.ts";

const RECORDS = 3_000;
const VALUE_BYTES = 500;
/** A rate is taken over so long: from before the brokers are restarted. */
const RATE_INTERVAL = "60s";
const LOAD = "--rate 200 --duration 10s --warmup 0 --connections 1 --partitions 6";
const EXPORTER_READY_MS = 60_000;
/** A change is shown within this time. */
const SHOWN_MS = 30_000;

/** What promtool says of style: Redpanda's names are as they are. */
const STYLE = /^redpanda_\S+ (?!.*pars)/;

interface Nodes {
  readonly brokers: readonly Broker[];
  readonly bootstrap: string;
}

function gregorOn({ bootstrap, brokers }: Nodes): (line: string, stdin?: string) => Promise<Ran> {
  return async (line, stdin = "") => {
    const env = { GREGOR_BROKERS: bootstrap, GREGOR_TIMEOUT: "30s" };
    const ran = await runGregor(line.split(" "), { stdin, env });
    const logs = (): string => brokers.map(({ stderr }) => stderr).join("\n");
    assert.equal(ran.code, 0, `${line}: ${ran.out}${ran.remarks}\n${logs()}`);
    return ran;
  };
}

async function lookThroughPrometheus(nodes: Nodes): Promise<void> {
  const gregor = gregorOn(nodes);
  const { brokers } = nodes;
  const admins = brokers.map(({ ready }) => ready.admin);
  const rules = prometheusRules("gregor", "docs/OPERATIONS.md");
  await using prometheus = await Prometheus.start(admins, rules);
  await gregor("topic create orders --partitions 6");
  const line = `${"x".repeat(VALUE_BYTES)}\n`;
  await gregor("produce orders", line.repeat(RECORDS));
  // What is in no cache has to be read from the disk. In a cluster nobody has to ask for it: it is looked through after a start.
  for (const broker of brokers) await broker.restart();
  await Promise.all([
    gregor(`bench ${LOAD}`),
    gregor("consume orders --until-end"),
    gregor(`consume orders --group billing --count ${RECORDS / 3}`),
  ]);

  for (const admin of admins) {
    for (const path of ["/metrics", "/public_metrics"]) {
      const page = await (await fetch(`http://${admin}${path}`)).text();
      const { text } = await promtool(["check", "metrics"], page);
      const faults = text.trim().split("\n").filter((fault) => fault !== "" && !STYLE.test(fault));
      assert.deepEqual(faults, [], path);
    }
  }
  const file = Deno.makeTempFileSync({ suffix: ".yml" });
  Deno.writeTextFileSync(file, rules);
  const checked = await promtool(["check", "rules", file]);
  Deno.removeSync(file);
  assert.equal(checked.code, 0, checked.text);
  for (const { name, health, lastError } of await prometheus.rules()) {
    assert.equal(health, "ok", `${name}: ${lastError}`);
  }

  const silent: string[] = [];
  for (const { panels } of DASHBOARD) {
    for (const { title, queries } of panels) {
      for (const { expr } of queries) {
        const asked = expr.replaceAll(INSTANCE_VARIABLE, ".*")
          .replaceAll(RATE_VARIABLE, RATE_INTERVAL);
        const values = await prometheus.query(asked);
        if (!values.some((value) => !Number.isNaN(value))) silent.push(`${title}: ${asked}`);
      }
    }
  }
  assert.deepEqual(silent, [], "queries without an answer");
  assert.deepEqual(await prometheus.query("max(redpanda_cluster_brokers)"), [brokers.length]);
  assert.deepEqual(await prometheus.query("sum(gregor_cluster_controller)"), [1]);
}

/**
 * An exporter that was written for Kafka: it reads the partitions of `__consumer_offsets` themselves, and asks for ends of
 * partitions as clients do. Waits until it knows of `offsets` committed offsets, and of all of their partitions.
 */
async function askExporter(bootstrap: string, offsets: number): Promise<MetricSamples> {
  const [port] = freePorts(1);
  const program = `${CACHE}exporter/bin/prometheus-kafka-consumer-group-exporter`;
  const intervals = ["--topic-interval=1", "--high-water-interval=1", "--low-water-interval=1"];
  const child = new Deno.Command(program, {
    args: ["--from-start", `--bootstrap-brokers=${bootstrap}`, `--port=${port}`, ...intervals],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const log = new OutputLines(child.stderr);
  try {
    const deadlineMs = performance.now() + EXPORTER_READY_MS;
    for (;;) {
      const url = `http://127.0.0.1:${port}/metrics`;
      const page = await fetch(url).then((one) => one.text(), () => "");
      const samples = MetricSamples.parse(page, true);
      const committed = samples.sum("kafka_consumer_group_offset", { group: "billing" });
      const isWhole = samples.count("kafka_consumer_group_lag", { group: "billing" }) ===
        samples.count("kafka_consumer_group_offset", { group: "billing" });
      if (committed >= offsets && isWhole) return samples;
      assert.ok(
        performance.now() < deadlineMs,
        `the exporter knows of ${committed} of ${offsets}\n${log.text}`,
      );
      await pause(200);
    }
  } finally {
    child.kill("SIGTERM");
    await child.status;
    await log.ended;
  }
}

async function compareWithExporter(nodes: Nodes): Promise<void> {
  const gregor = gregorOn(nodes);
  await gregor("topic create orders --partitions 6");
  await gregor("produce orders", "x\n".repeat(RECORDS));
  await gregor(`consume orders --group billing --count ${RECORDS / 3}`);
  let pages: MetricSamples[] = [];
  const ours = (name: string, labels = {}): number =>
    pages.reduce((sum, page) => sum + page.sum(name, labels), 0);
  const group = { redpanda_group: "billing" };
  let committed = 0;
  let lag = 0;
  // A coordinator may have followers of the partitions, which hear of a commit a moment later.
  const deadlineMs = performance.now() + SHOWN_MS;
  while (committed + lag !== RECORDS) {
    assert.ok(performance.now() < deadlineMs, `${committed} committed, ${lag} behind`);
    await pause(100);
    pages = await Promise.all(
      nodes.brokers.map(({ ready }) => MetricSamples.scrape(ready.admin)),
    );
    committed = ours("redpanda_kafka_consumer_group_committed_offset", group);
    lag = ours("redpanda_kafka_consumer_group_lag_sum", group);
  }
  assert.ok(committed >= RECORDS / 3, `${committed} committed`);
  const produced = ours("redpanda_kafka_records_produced_total", { redpanda_topic: "orders" });
  assert.equal(produced, RECORDS);

  const theirs = await askExporter(nodes.bootstrap, committed);
  assert.equal(theirs.sum("kafka_consumer_group_offset", { group: "billing" }), committed);
  assert.equal(theirs.sum("kafka_consumer_group_lag", { group: "billing" }), lag);
  assert.equal(theirs.sum("kafka_topic_highwater", { topic: "orders" }), RECORDS);
}

async function onOne(run: (nodes: Nodes) => Promise<void>): Promise<void> {
  await using broker = await Broker.start({ cores: 2, memory: "128MiB" });
  await run({ brokers: [broker], bootstrap: broker.kafka });
}

async function onThree(run: (nodes: Nodes) => Promise<void>): Promise<void> {
  const flags = ["--set=default.replication.factor=3"];
  const cluster = await LocalCluster.start({ nodes: 3, memory: "128MiB", flags });
  try {
    await run(cluster);
  } finally {
    await cluster.dispose();
  }
}

const PROMETHEUS = [{ name: "prometheus" }];
const EXPORTER = [{ name: "exporter" }];

cell("Prometheus shows all of a broker", PROMETHEUS, () => onOne(lookThroughPrometheus));
cell("Prometheus shows all of three brokers", PROMETHEUS, () => onThree(lookThroughPrometheus));
cell("an exporter for Kafka agrees with a broker", EXPORTER, () => onOne(compareWithExporter));
cell(
  "an exporter for Kafka agrees with three brokers",
  EXPORTER,
  () => onThree(compareWithExporter),
);

Deno.test("promtool's rules of style are excused for names that are Redpanda's, and no others", () => {
  const own = METRICS.filter(({ name, type }) => name.startsWith("gregor_") && type === "counter");
  assert.ok(own.every(({ name }) => name.endsWith("_total")));
});

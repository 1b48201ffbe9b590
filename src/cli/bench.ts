/**
 * `gregor bench`.
 *
 * @module
 */

import { CREATE_TOPICS, DELETE_TOPICS } from "../wire/generated/apis.ts";
import {
  newCreatableTopic,
  newCreateTopicsRequest,
} from "../wire/generated/create_topics_request.ts";
import {
  newDeleteTopicsRequest,
  newDeleteTopicState,
} from "../wire/generated/delete_topics_request.ts";
import { ErrorCode } from "../wire/errors.ts";
import { ConsumeLoad } from "./bench/consume_load.ts";
import { Meter, PERCENTILES, type Reading } from "./bench/meter.ts";
import { Pool } from "./bench/pool.ts";
import { ProduceLoad } from "./bench/produce_load.ts";
import type { Cluster } from "./client/cluster.ts";
import { AT_START, listOffsets } from "./client/offsets.ts";
import { brokerRefusal } from "./client/outcome.ts";
import { initProducerId, type ProducerIdentity } from "./client/producer.ts";
import { CLIENT_FLAGS, FORMAT_FLAG, printJson, withCluster } from "./client_flags.ts";
import { command } from "./command.ts";
import { EXIT_FAILED, EXIT_OK } from "./exit_codes.ts";
import { choice, duration, integer, size, text, toggle } from "./flags.ts";
import { formatCount, formatDuration, formatSize } from "./size.ts";
import { formatFields, formatTable } from "./table.ts";
import type { Terminal } from "./terminal.ts";

/** Batches of one producer that a broker keeps in order. */
const IDEMPOTENT_IN_FLIGHT_MAX = 5;
const TICK_MS = 1000;

interface Load {
  run(): Promise<void>;
  stop(): void;
}

export const definition = command({
  name: "bench",
  about:
    "Loads a cluster and reports rates and latencies, live and at the end. `bench produce` (or " +
    "just `bench`) writes, `bench consume` reads what is in the topic, over and over.\n" +
    "Without --rate every lane sends its next request when the last is answered, which measures the " +
    "highest rate. With --rate requests are due at fixed times and latency counts from then, so that " +
    "a stall counts in full: use it to measure latency.",
  positionals: [{ name: "WORKLOAD", help: "produce or consume; default produce", required: false }],
  flags: {
    ...CLIENT_FLAGS,
    "topic": text({
      value: "NAME",
      default: "gregor-bench",
      help: "Topic to load; created if missing",
    }),
    "partitions": integer({ value: "N", default: 4, min: 1, help: "Partitions, if it is created" }),
    "replication-factor": integer({
      value: "N",
      min: 1,
      max: 32767,
      help: "Replicas, if it is created; default the cluster's",
    }),
    "duration": duration({ value: "TIME", default: 10_000, min: 100, help: "How long to measure" }),
    "warmup": duration({
      value: "TIME",
      default: 2_000,
      help: "How long to run before measuring",
    }),
    "connections": integer({
      value: "N",
      default: 4,
      min: 1,
      max: 10_000,
      help: "Connections to each leader",
    }),
    "in-flight": integer({
      value: "N",
      default: 8,
      min: 1,
      max: 1_000,
      help: "Produce requests under way on each connection (without --rate)",
    }),
    "rate": integer({
      value: "N",
      default: 0,
      min: 0,
      help: "Records per second to write in total; 0: as many as the cluster takes",
    }),
    "size": size({
      value: "SIZE",
      default: 1024,
      min: 1,
      max: 64 * 2 ** 20,
      help: "Size of a record's value",
    }),
    "batch": integer({ value: "N", default: 1, min: 1, max: 1_000_000, help: "Records per batch" }),
    "acks": choice({
      value: "ACKS",
      choices: ["all", "1", "0"],
      default: "all",
      help: "Which replicas must have a record before it counts as written",
    }),
    "idempotent": toggle({ help: "Write with producer ids and sequences" }),
    "fetch-size": size({
      value: "SIZE",
      default: 2 ** 20,
      min: 1,
      max: 2 ** 30,
      help: "Maximum bytes of one fetch (consume)",
    }),
    "delete": toggle({ help: "Delete the topic afterwards" }),
    ...FORMAT_FLAG,
  },
  examples: [
    { line: "bench", says: "The highest rate that the cluster takes, in records of 1 KiB:" },
    { line: "bench --rate 20000 --duration 60s", says: "Latency at a steady 20,000 records/s:" },
    {
      line: "bench --size 100 --batch 1000 --connections 2",
      says: "Small records, large batches:",
    },
    { line: "bench consume --fetch-size 4MiB", says: "Read what was written:" },
  ],
  check: ({ values, args }) => {
    const problems = [];
    const workload = args[0] ?? "produce";
    if (workload !== "produce" && workload !== "consume") {
      const message = `expected produce or consume, got "${workload}"`;
      problems.push({ subject: "WORKLOAD", message });
    }
    if (values.idempotent && values.acks !== "all") {
      problems.push({ subject: "--acks", message: "must be all with --idempotent" });
    }
    const perPartition = Math.ceil(values.inFlight / values.partitions);
    if (values.idempotent && values.rate === 0 && perPartition > IDEMPOTENT_IN_FLIGHT_MAX) {
      const message =
        `expected at most ${IDEMPOTENT_IN_FLIGHT_MAX} per partition with --idempotent`;
      problems.push({ subject: "--in-flight", message });
    }
    return problems;
  },
  run: async ({ values, args, terminal }) => {
    const workload = args[0] ?? "produce";
    const acks = values.acks === "all" ? -1 : Number(values.acks);
    const recordBytes = values.batch * values.size;
    return await withCluster(values, async (cluster) => {
      await makeTopic(cluster, values.topic, values.partitions, values.replicationFactor ?? -1);
      const topic = await cluster.topic(values.topic, { createMissing: true });
      const pool = new Pool(cluster, topic, values.connections);
      const meter = new Meter();
      let load: Load;
      let title: string;
      if (workload === "produce") {
        const identities: ProducerIdentity[] = [];
        if (values.idempotent) {
          for (let at = 0; at < values.connections; at++) {
            const identity = await initProducerId(cluster);
            if (identity !== null) identities.push(identity);
          }
        }
        const pressure = values.rate > 0
          ? `${formatCount(values.rate)} records/s due`
          : `${values.inFlight} in flight each`;
        title = `produce: ${values.connections} connections, ${pressure}, batches of ` +
          `${values.batch} x ${formatSize(values.size)} (${formatSize(recordBytes)}), ` +
          `acks=${values.acks}${values.idempotent ? ", idempotent" : ""}, ` +
          `${topic.partitions.length} partitions`;
        load = new ProduceLoad(
          {
            topic: values.topic,
            acks,
            timeoutMs: values.timeout,
            connections: values.connections,
            inFlight: values.inFlight,
            recordSize: values.size,
            recordsPerBatch: values.batch,
            rate: values.rate,
            identities,
          },
          pool,
          meter,
        );
      } else {
        const starts = await listOffsets(
          cluster,
          topic.partitions.map(({ partition }) => ({
            topic: values.topic,
            partition,
            time: AT_START,
          })),
        );
        title = `consume: ${values.connections} connections, fetches of at most ` +
          `${formatSize(values.fetchSize)}, ${topic.partitions.length} partitions`;
        load = new ConsumeLoad(
          {
            topic: values.topic,
            connections: values.connections,
            fetchSize: values.fetchSize,
            starts: starts.map((one) => one.offset),
          },
          pool,
          meter,
        );
      }
      terminal.remark(`${title}\n`);
      const result = await measure(terminal, load, meter, values.warmup, values.duration);
      if (values.delete) await deleteTopic(cluster, values.topic);
      report(terminal, values.format, workload, result, meter);
      return result.records === 0 ? EXIT_FAILED : EXIT_OK;
    });
  },
});

/** Warms up, measures, shows progress every second; Ctrl-C ends it early, with a report. */
async function measure(
  terminal: Terminal,
  load: Load,
  meter: Meter,
  warmupMs: number,
  durationMs: number,
): Promise<Reading> {
  let interrupt = (): void => {};
  const interrupted = new Promise<void>((resolve) => interrupt = resolve);
  const stopListening = terminal.onInterrupt(interrupt);
  meter.start(performance.now());
  const running = load.run();
  let isOver = false;
  interrupted.then(() => isOver = true);
  // A load that fails for good is met at the end; until then it only ends the waiting.
  running.catch(() => {}).then(() => isOver = true);
  const wait = (ms: number): Promise<unknown> => {
    let timer: ReturnType<typeof setTimeout>;
    const elapsed = new Promise((resolve) => timer = setTimeout(resolve, ms));
    return Promise.race([elapsed, interrupted, running]).finally(() => clearTimeout(timer));
  };
  if (warmupMs > 0) {
    await wait(warmupMs);
    meter.start(performance.now());
  }
  const startMs = performance.now();
  const endMs = startMs + durationMs;
  while (!isOver && performance.now() < endMs) {
    await wait(Math.min(TICK_MS, endMs - performance.now()));
    const nowMs = performance.now();
    terminal.remark(progressLine((nowMs - startMs) / 1000, meter.takeRecent(nowMs)));
  }
  const result = meter.total(performance.now());
  load.stop();
  await running;
  stopListening();
  return result;
}

function progressLine(elapsedSeconds: number, recent: Reading): string {
  const rate = formatCount(Math.round(recent.records / recent.seconds));
  const speed = formatSize(Math.round(recent.bytes / recent.seconds));
  const p50 = formatDuration(recent.latency.percentile(0.5) / 1000);
  const p99 = formatDuration(recent.latency.percentile(0.99) / 1000);
  const max = formatDuration(recent.latency.max / 1000);
  const errors = recent.errors === 0 ? "" : `  ${formatCount(recent.errors)} errors`;
  return `${elapsedSeconds.toFixed(0).padStart(4)} s  ${rate.padStart(10)} records/s  ` +
    `${speed.padStart(9)}/s  p50 ${p50.padStart(7)}  p99 ${p99.padStart(7)}  ` +
    `max ${max.padStart(7)}${errors}\n`;
}

function report(
  terminal: Terminal,
  format: "table" | "json",
  workload: string,
  result: Reading,
  meter: Meter,
): void {
  const { seconds, records, bytes, errors, latency } = result;
  if (format === "json") {
    printJson(terminal, {
      workload,
      seconds,
      records,
      bytes,
      recordsPerSecond: records / seconds,
      bytesPerSecond: bytes / seconds,
      requests: latency.count,
      errors: Object.fromEntries(meter.errors),
      latencyMs: {
        min: latency.min / 1000,
        mean: latency.mean / 1000,
        ...Object.fromEntries(
          PERCENTILES.map(([name, share]) => [name, latency.percentile(share) / 1000]),
        ),
        max: latency.max / 1000,
      },
    });
    return;
  }
  const perSecond = formatCount(Math.round(records / seconds));
  terminal.out(
    "\n" + formatFields([
      ["records", `${formatCount(records)} in ${seconds.toFixed(1)} s, ${perSecond}/s`],
      ["data", `${formatSize(bytes)}, ${formatSize(Math.round(bytes / seconds))}/s`],
      ["requests", formatCount(latency.count)],
      [
        "errors",
        errors === 0
          ? "none"
          : [...meter.errors].map(([name, count]) => `${formatCount(count)} x ${name}`).join(", "),
      ],
    ]),
  );
  const cell = (us: number): string => formatDuration(us / 1000);
  terminal.out(
    "\n" + formatTable(
      terminal,
      ["LATENCY", "min", "mean", ...PERCENTILES.map(([name]) => name), "max"]
        .map((heading, at) => ({ heading, isNumber: at > 0 })),
      [[
        "",
        cell(latency.min),
        cell(latency.mean),
        ...PERCENTILES.map(([, share]) => cell(latency.percentile(share))),
        cell(latency.max),
      ]],
    ),
  );
}

async function makeTopic(
  cluster: Cluster,
  name: string,
  partitions: number,
  replicas: number,
): Promise<void> {
  const request = newCreateTopicsRequest({
    topics: [newCreatableTopic({ name, numPartitions: partitions, replicationFactor: replicas })],
    timeoutMs: cluster.timeoutMs,
  });
  const response = await cluster.callController(
    (controller) => controller.call(CREATE_TOPICS, request),
    ({ topics }) => topics.map(({ errorCode }) => errorCode),
  );
  const { errorCode, errorMessage } = response.topics[0]!;
  if (errorCode !== 0 && errorCode !== ErrorCode.TOPIC_ALREADY_EXISTS) {
    throw brokerRefusal(`create topic ${name}`, errorCode, errorMessage);
  }
}

async function deleteTopic(cluster: Cluster, name: string): Promise<void> {
  const request = newDeleteTopicsRequest({
    topics: [newDeleteTopicState({ name })],
    timeoutMs: cluster.timeoutMs,
  });
  const response = await cluster.callController(
    (controller) => controller.call(DELETE_TOPICS, request),
    ({ responses }) => responses.map(({ errorCode }) => errorCode),
  );
  const { errorCode, errorMessage } = response.responses[0]!;
  if (errorCode !== 0) throw brokerRefusal(`delete topic ${name}`, errorCode, errorMessage);
}

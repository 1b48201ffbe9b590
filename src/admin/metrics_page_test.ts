import { strict as assert } from "node:assert";
import { MetricSamples } from "../../tests/harness/metric_samples.ts";
import { METRICS, Slot } from "../metrics/catalog.ts";
import { ShardRecorder } from "../metrics/recorder.ts";
import type { MetricRows } from "../shard/metric_rows.ts";
import { type MetricsInput, metricsPage } from "./metrics_page.ts";

const PARTITION = { startOffset: 0, leads: true, epoch: 1, lagging: 0 };

function input(shards: MetricRows[][], changes: Partial<MetricsInput> = {}): MetricsInput {
  return {
    recorded: shards.map(() => new ShardRecorder().values),
    rows: { shards, silent: 0 },
    version: "1.2.3",
    uptimeS: 12.5,
    isReady: true,
    isDiskFull: false,
    isPublic: true,
    ...changes,
  };
}

const TWO_SHARDS: MetricRows[][] = [
  [
    { topics: [{ topic: "orders", traffic: [10, 1, 20, 2, 1] }] },
    { partitions: [{ topic: "orders", partition: 0, highWatermark: 30, ...PARTITION }] },
    {
      groups: [
        {
          group: 'a"b',
          members: 2,
          topics: 1,
          offsets: [
            { topic: "orders", partition: 0, offset: 25 },
            { topic: "orders", partition: 1, offset: 10 },
          ],
          isWhole: true,
        },
        {
          group: "elsewhere",
          members: 0,
          topics: 1,
          offsets: [{ topic: "remote", partition: 0, offset: 1 }],
          isWhole: true,
        },
      ],
    },
    {
      disk: { freeBytes: 10, totalBytes: 100 },
      isController: true,
      cluster: { brokers: 3, unreachable: 1, topics: 4, partitions: 5, unavailable: 0 },
      leftOff: { topics: 0, partitions: 0, groups: 0, offsets: 0 },
    },
  ],
  [
    { topics: [{ topic: "orders", traffic: [1, 2, 3, 4, 0] }] },
    {
      partitions: [
        { topic: "orders", partition: 1, highWatermark: 12, ...PARTITION, lagging: 1 },
      ],
    },
    { leftOff: { topics: 0, partitions: 3, groups: 0, offsets: 0 } },
  ],
];

Deno.test("the public page sums shards up, and says what the controller knows", () => {
  const asked = input(TWO_SHARDS);
  for (const values of asked.recorded) {
    values[Slot.KAFKA_RECEIVED] = 5;
    values[Slot.CPU_BUSY] = 1;
  }
  const samples = MetricSamples.parse([...metricsPage(asked)].join(""));
  const topic = 'redpanda_namespace="kafka",redpanda_topic="orders"';
  const expected: Record<string, number> = {
    [`redpanda_kafka_request_bytes_total{${topic},redpanda_request="produce"}`]: 11,
    [`redpanda_kafka_request_bytes_total{${topic},redpanda_request="consume"}`]: 23,
    [`redpanda_kafka_records_produced_total{${topic}}`]: 3,
    [`redpanda_kafka_records_fetched_total{${topic}}`]: 6,
    [`redpanda_kafka_max_offset{${topic},redpanda_partition="1"}`]: 12,
    [`redpanda_kafka_under_replicated_replicas{${topic},redpanda_partition="1"}`]: 1,
    'redpanda_kafka_consumer_group_lag_sum{redpanda_group="a\\"b"}': 7,
    'redpanda_kafka_consumer_group_lag_max{redpanda_group="a\\"b"}': 5,
    'redpanda_kafka_consumer_group_consumers{redpanda_group="elsewhere"}': 0,
    'redpanda_rpc_received_bytes{redpanda_server="kafka"}': 10,
    'redpanda_cpu_busy_seconds_total{shard="1"}': 1,
    'redpanda_application_build{redpanda_version="1.2.3",redpanda_revision=""}': 1,
    redpanda_application_uptime_seconds_total: 12.5,
    redpanda_cluster_brokers: 3,
    gregor_cluster_brokers_unreachable: 1,
    redpanda_storage_disk_free_space_alert: 1,
    gregor_ready: 1,
    'gregor_metrics_left_off{what="partitions"}': 3,
  };
  for (const [series, value] of Object.entries(expected)) {
    assert.equal(samples.get(series), value, series);
  }
  // As long as the end of a partition is not known, a lag would be wrong.
  assert.equal(
    samples.get('redpanda_kafka_consumer_group_lag_sum{redpanda_group="elsewhere"}'),
    undefined,
  );
});

Deno.test("the lag of a group has what other nodes told of the ends of their partitions", () => {
  const told: MetricRows = { ends: [{ topic: "remote", partition: 0, offset: 9 }] };
  const samples = MetricSamples.parse([...metricsPage(input([...TWO_SHARDS, [told]]))].join(""));
  const lag = samples.get('redpanda_kafka_consumer_group_lag_sum{redpanda_group="elsewhere"}');
  assert.equal(lag, 8);
});

Deno.test("the whole page has every metric, by shard, and its sums are those of the public one", () => {
  const asked = input(TWO_SHARDS, { isPublic: false });
  const page = [...metricsPage(asked)].join("");
  const samples = MetricSamples.parse(page);
  for (const { name } of METRICS) {
    const isShape = name === "redpanda_kafka_partitions" || name === "redpanda_kafka_replicas";
    assert.ok(isShape || page.includes(`# TYPE ${name} `), name);
  }
  const topic = 'redpanda_namespace="kafka",redpanda_topic="orders"';
  const of = (shard: number) =>
    samples.get(`redpanda_kafka_records_produced_total{${topic},shard="${shard}"}`);
  assert.deepEqual([of(0), of(1)], [1, 2]);
});

Deno.test("a node that is starting has a page, too", () => {
  for (const isPublic of [false, true]) {
    const asked = input([], { isPublic, isReady: false });
    const samples = MetricSamples.parse([...metricsPage(asked)].join(""));
    assert.equal(samples.get("gregor_ready"), 0);
    assert.equal(samples.get("redpanda_application_uptime_seconds_total"), 12.5);
  }
});

Deno.test("counters never go back when shards do more", () => {
  const asked = input(TWO_SHARDS);
  const recorders = asked.recorded.map((values) => {
    const recorder = new ShardRecorder();
    recorder.values.set(values);
    return recorder;
  });
  const before = MetricSamples.parse(
    [...metricsPage({ ...asked, recorded: recorders.map((one) => one.values) })].join(""),
  );
  for (const [shard, recorder] of recorders.entries()) {
    for (let i = 0; i < 100; i++) recorder.noteAnswered(i % 20, -i * shard);
    recorder.observe(Slot.FLUSH_TIME, 3);
  }
  const after = MetricSamples.parse(
    [...metricsPage({ ...asked, recorded: recorders.map((one) => one.values) })].join(""),
  );
  for (const [series, value] of before.entries()) assert.ok(after.get(series)! >= value, series);
  assert.equal(
    after.get('redpanda_kafka_handler_latency_seconds_count{handler="api_versions"}'),
    10,
  );
});

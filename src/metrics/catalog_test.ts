import { strict as assert } from "node:assert";
import { METRICS } from "./catalog.ts";

const TOPIC = ["redpanda_namespace", "redpanda_topic"];
const PARTITION = [...TOPIC, "redpanda_partition"];

/** What Redpanda's published dashboards ask for most, with Redpanda's labels. */
const REDPANDAS: Readonly<Record<string, readonly string[]>> = {
  redpanda_application_uptime_seconds_total: [],
  redpanda_cluster_brokers: [],
  redpanda_cluster_partitions: [],
  redpanda_cluster_topics: [],
  redpanda_cluster_unavailable_partitions: [],
  redpanda_cpu_busy_seconds_total: ["shard"],
  redpanda_io_queue_total_read_ops: ["class", "shard"],
  redpanda_io_queue_total_write_ops: ["class", "shard"],
  redpanda_kafka_consumer_group_committed_offset: [
    "redpanda_group",
    "redpanda_topic",
    "redpanda_partition",
  ],
  redpanda_kafka_consumer_group_consumers: ["redpanda_group"],
  redpanda_kafka_consumer_group_lag_max: ["redpanda_group"],
  redpanda_kafka_consumer_group_lag_sum: ["redpanda_group"],
  redpanda_kafka_consumer_group_topics: ["redpanda_group"],
  redpanda_kafka_handler_latency_seconds: ["handler"],
  redpanda_kafka_max_offset: PARTITION,
  redpanda_kafka_partitions: TOPIC,
  redpanda_kafka_records_fetched_total: TOPIC,
  redpanda_kafka_records_produced_total: TOPIC,
  redpanda_kafka_replicas: TOPIC,
  redpanda_kafka_request_bytes_total: [...TOPIC, "redpanda_request"],
  redpanda_kafka_request_latency_seconds: ["redpanda_request"],
  redpanda_kafka_under_replicated_replicas: PARTITION,
  redpanda_memory_allocated_memory: ["shard"],
  redpanda_memory_available_memory: ["shard"],
  redpanda_memory_available_memory_low_water_mark: ["shard"],
  redpanda_memory_free_memory: ["shard"],
  redpanda_raft_leadership_changes: TOPIC,
  redpanda_rpc_active_connections: ["redpanda_server"],
  redpanda_rpc_received_bytes: ["redpanda_server"],
  redpanda_rpc_request_errors_total: ["redpanda_server"],
  redpanda_rpc_request_latency_seconds: ["redpanda_server"],
  redpanda_rpc_sent_bytes: ["redpanda_server"],
  redpanda_storage_disk_free_bytes: [],
  redpanda_storage_disk_free_space_alert: [],
  redpanda_storage_disk_total_bytes: [],
};

Deno.test("the public page has what Redpanda's dashboards ask for, with its labels", () => {
  for (const [name, labels] of Object.entries(REDPANDAS)) {
    const metric = METRICS.find((one) => one.name === name);
    assert.ok(metric?.isPublic === true, name);
    assert.deepEqual([...metric.labels, ...metric.keepsShard ? ["shard"] : []], labels, name);
  }
});

/**
 * Every metric of a node: the one table that the pages, `docs/METRICS.md`, the dashboard and the alerts are made of.
 *
 * A metric that Redpanda has, too, has Redpanda's name, labels and meaning, so that dashboards and alerts for it work
 * here; what it does not have begins with `gregor_` (ADR 0039). Metrics that a shard records while it works have a slot
 * in its array; the others are collected when somebody asks.
 *
 * @module
 */

import { HISTOGRAM_SIZE } from "./histogram_buckets.ts";
import { Layout, type RecordedSeries } from "./layout.ts";
import { type Metric, metric } from "./metric.ts";
import * as node from "./node_metrics.ts";

export * from "./node_metrics.ts";

/** Kafka's request keys that are counted one by one. */
export const API_KEYS_MAX = 128;

const layout = new Layout();

// Requests.

export const REQUEST_LATENCY = metric(
  "histogram",
  "redpanda_kafka_request_latency_seconds",
  "Time from taking a produce or fetch request to its answer, the wait of a fetch for data included",
  { labels: ["redpanda_request"] },
);
export const HANDLER_LATENCY = metric(
  "histogram",
  "redpanda_kafka_handler_latency_seconds",
  "Time from taking a request to its answer, by API; of APIs that were asked since the start",
  { labels: ["handler"] },
);
export const RPC_LATENCY = metric(
  "histogram",
  "redpanda_rpc_request_latency_seconds",
  "Time from taking any request of a client to its answer",
  { labels: ["redpanda_server"] },
);
const RPC_ERRORS = metric(
  "counter",
  "redpanda_rpc_request_errors_total",
  "Connections that were closed because their peer broke the protocol or stalled",
  { labels: ["redpanda_server"] },
);
const RPC_RECEIVED = metric(
  "counter",
  "redpanda_rpc_received_bytes",
  "Bytes received (kafka: from clients; internal: from other nodes)",
  { labels: ["redpanda_server"] },
);
const RPC_SENT = metric(
  "counter",
  "redpanda_rpc_sent_bytes",
  "Bytes sent (kafka: to clients; internal: to other nodes)",
  { labels: ["redpanda_server"] },
);
const RPC_CONNECTIONS = metric(
  "gauge",
  "redpanda_rpc_active_connections",
  "Open connections (kafka: of clients; internal: with other nodes, which serve both ways)",
  { labels: ["redpanda_server"] },
);
const CONNECTIONS_TOTAL = metric(
  "counter",
  "gregor_kafka_connections_total",
  "Connections of clients that were taken",
);
const REQUESTS_OPEN = metric(
  "gauge",
  "gregor_kafka_requests_in_progress",
  "Requests that have arrived and are not answered, fetches that wait for data included",
);
const FETCHES_WAITING = metric(
  "gauge",
  "gregor_kafka_fetches_waiting",
  "Fetches that wait for data",
);
const REFUSED_PARTS = metric(
  "counter",
  "gregor_kafka_partition_errors_total",
  "Partitions of produce and fetch requests that were answered with an error, each also counted where a client asks again",
  { labels: ["redpanda_request"] },
);

// Throttling: connections that are not read because something is used up.

const THROTTLED = metric(
  "counter",
  "gregor_kafka_throttled_requests_total",
  "Requests that were not taken at once because the shard had no room for them (journal, memory, objects); one may count several times",
);
const MEMORY_WAITS = metric(
  "counter",
  "gregor_memory_waits_total",
  "Times that a connection had to wait for memory",
);

// The loop.

const CPU_BUSY = metric(
  "counter",
  "redpanda_cpu_busy_seconds_total",
  "Time that a shard's loop has worked and not waited; its rate is the shard's utilisation",
  { keepsShard: true },
);
const TURN_TIME = metric(
  "histogram",
  "gregor_reactor_turn_seconds",
  "Time of a turn of the loop without its wait; garbage collections and the scheduler's pauses are in it",
  { isInternal: true },
);
const TURNS = metric("counter", "gregor_reactor_turns_total", "Turns of the loop", {
  isInternal: true,
});
const STALLS = metric(
  "counter",
  "gregor_reactor_stalls_total",
  "Turns of the loop that took longer than 25 ms",
  { keepsShard: true },
);
const HEAP_USED = metric(
  "gauge",
  "gregor_heap_used_bytes",
  "JavaScript objects of a shard, garbage included",
  { keepsShard: true },
);
const HEAP_SIZE = metric(
  "gauge",
  "gregor_heap_size_bytes",
  "Memory that the runtime has taken for a shard's JavaScript objects",
  { isInternal: true },
);

// Memory.

const MEMORY_ALLOCATED = metric(
  "gauge",
  "redpanda_memory_allocated_memory",
  "Bytes of a shard's arena that are in use, batch cache included",
  { keepsShard: true },
);
const MEMORY_FREE = metric(
  "gauge",
  "redpanda_memory_free_memory",
  "Bytes of a shard's arena that nothing uses",
  { keepsShard: true },
);
const MEMORY_AVAILABLE = metric(
  "gauge",
  "redpanda_memory_available_memory",
  "Bytes of a shard's arena that are free, or batch cache that is given up when they are needed",
  { keepsShard: true },
);
const MEMORY_LOW_WATER = metric(
  "gauge",
  "redpanda_memory_available_memory_low_water_mark",
  "The least redpanda_memory_available_memory that a scrape has seen since the start (bytes)",
  { keepsShard: true },
);
const BUDGET_USED = metric(
  "gauge",
  "gregor_memory_budget_used_bytes",
  "What is taken of a budget of a shard's memory",
  { labels: ["budget"] },
);
const BUDGET_LIMIT = metric(
  "gauge",
  "gregor_memory_budget_limit_bytes",
  "A budget of a shard's memory",
  { labels: ["budget"] },
);
const CACHE_BYTES = metric(
  "gauge",
  "gregor_cache_bytes",
  "Batches in memory: clean (cache), dirty (not in a segment yet), pinned (being read or sent)",
  { labels: ["state"] },
);
const CACHE_HITS = metric(
  "counter",
  "gregor_cache_hits_total",
  "Extents of segments that reads found in memory",
);
const CACHE_MISSES = metric(
  "counter",
  "gregor_cache_misses_total",
  "Extents of segments that were read from the disk",
);

// Journal and disk.

const FLUSH_TIME = metric(
  "histogram",
  "gregor_journal_flush_seconds",
  "Time of a durable write of the journal",
);
const JOURNAL_WRITES = metric(
  "counter",
  "gregor_journal_writes_total",
  "Durable writes of the journal; each acknowledges all that came during the one before",
);
const JOURNAL_BYTES = metric(
  "counter",
  "gregor_journal_written_bytes_total",
  "Bytes of durable writes of the journal",
);
const JOURNAL_RECORDS = metric(
  "counter",
  "gregor_journal_records_total",
  "Records of the journal",
);
const JOURNAL_USED = metric("gauge", "gregor_journal_used_bytes", "The journal's ring in use");
const JOURNAL_SIZE = metric("gauge", "gregor_journal_size_bytes", "The journal's ring");
const CHECKPOINTS = metric("counter", "gregor_checkpoints_total", "Checkpoints that were written");
const READ_TIME = metric(
  "histogram",
  "gregor_disk_read_seconds",
  "Time of a read of a segment, from the request to the disk to its completion",
);
const READ_OPS = metric(
  "counter",
  "redpanda_io_queue_total_read_ops",
  "Read operations",
  { labels: ["class"], keepsShard: true },
);
const WRITE_OPS = metric(
  "counter",
  "redpanda_io_queue_total_write_ops",
  "Write operations (journal: durable; default: segments, indexes, checkpoints)",
  { labels: ["class"], keepsShard: true },
);
const OPEN_FILES = metric(
  "gauge",
  "gregor_storage_open_files",
  "Segments and indexes that are open",
  {
    isInternal: true,
  },
);
const LOGS = metric("gauge", "gregor_storage_logs", "Logs on this node");

// Replication.

const MENDED = metric(
  "counter",
  "gregor_storage_mended_extents_total",
  "Damaged parts of segments that other nodes' records replaced",
);
const LEADING = metric("gauge", "gregor_raft_leading_groups", "Raft groups that this node leads");
const GROUPS = metric(
  "gauge",
  "gregor_raft_groups",
  "Raft groups that have a replica on this node",
);
const LEADERLESS = metric(
  "gauge",
  "gregor_leaderless_partitions",
  "Partitions with a replica on this node of which no leader is known",
);
const OFFLINE = metric(
  "gauge",
  "gregor_offline_partitions",
  "Partitions with a replica on this node that damage has made read-only here",
);
const UNDER_REPLICATED = metric(
  "gauge",
  "gregor_under_replicated_partitions",
  "Partitions that this node leads and of which replicas do not keep up",
);
const BELOW_MINIMUM = metric(
  "gauge",
  "gregor_under_min_isr_partitions",
  "Partitions that this node leads and that refuse acks=all because fewer replicas keep up than min.insync.replicas",
);

// Compaction.

const COMPACTIONS = metric(
  "counter",
  "gregor_compaction_rounds_total",
  "Rounds of compaction, each of one log",
);
const COMPACTION_READ = metric(
  "counter",
  "gregor_compaction_read_bytes_total",
  "Bytes of batches that compaction has read",
);
const COMPACTION_FREED = metric(
  "counter",
  "gregor_compaction_freed_bytes_total",
  "Bytes by which compaction has made logs smaller",
);
const UNCOMPACTABLE = metric(
  "gauge",
  "gregor_uncompactable_partitions",
  "Partitions whose log cannot be compacted: a batch is too large, decompressed, or has too many keys for the map",
);

// Series that shards record.

/** A histogram for each key, one behind the other. */
export const API_LATENCY: number = layout.take(API_KEYS_MAX * HISTOGRAM_SIZE);
export const Slot = {
  KAFKA_ERRORS: layout.place(RPC_ERRORS, "kafka"),
  KAFKA_RECEIVED: layout.place(RPC_RECEIVED, "kafka"),
  PEERS_RECEIVED: layout.place(RPC_RECEIVED, "internal"),
  KAFKA_SENT: layout.place(RPC_SENT, "kafka"),
  PEERS_SENT: layout.place(RPC_SENT, "internal"),
  KAFKA_CONNECTIONS: layout.place(RPC_CONNECTIONS, "kafka"),
  PEER_CONNECTIONS: layout.place(RPC_CONNECTIONS, "internal"),
  CONNECTIONS_TOTAL: layout.place(CONNECTIONS_TOTAL),
  REQUESTS_OPEN: layout.place(REQUESTS_OPEN),
  FETCHES_WAITING: layout.place(FETCHES_WAITING),
  PRODUCE_REFUSED: layout.place(REFUSED_PARTS, "produce"),
  FETCH_REFUSED: layout.place(REFUSED_PARTS, "consume"),
  THROTTLED: layout.place(THROTTLED),
  MEMORY_WAITS: layout.place(MEMORY_WAITS),
  CPU_BUSY: layout.place(CPU_BUSY),
  TURN_TIME: layout.place(TURN_TIME),
  TURNS: layout.place(TURNS),
  STALLS: layout.place(STALLS),
  HEAP_USED: layout.place(HEAP_USED),
  HEAP_SIZE: layout.place(HEAP_SIZE),
  MEMORY_ALLOCATED: layout.place(MEMORY_ALLOCATED),
  MEMORY_FREE: layout.place(MEMORY_FREE),
  MEMORY_AVAILABLE: layout.place(MEMORY_AVAILABLE),
  MEMORY_LOW_WATER: layout.place(MEMORY_LOW_WATER),
  CACHE_CLEAN: layout.place(CACHE_BYTES, "clean"),
  CACHE_DIRTY: layout.place(CACHE_BYTES, "dirty"),
  CACHE_PINNED: layout.place(CACHE_BYTES, "pinned"),
  CACHE_HITS: layout.place(CACHE_HITS),
  CACHE_MISSES: layout.place(CACHE_MISSES),
  FLUSH_TIME: layout.place(FLUSH_TIME),
  JOURNAL_WRITES: layout.place(JOURNAL_WRITES),
  JOURNAL_BYTES: layout.place(JOURNAL_BYTES),
  JOURNAL_RECORDS: layout.place(JOURNAL_RECORDS),
  JOURNAL_USED: layout.place(JOURNAL_USED),
  JOURNAL_SIZE: layout.place(JOURNAL_SIZE),
  CHECKPOINTS: layout.place(CHECKPOINTS),
  READ_TIME: layout.place(READ_TIME),
  READS: layout.place(READ_OPS, "default"),
  JOURNAL_WRITE_OPS: layout.place(WRITE_OPS, "journal"),
  OTHER_WRITE_OPS: layout.place(WRITE_OPS, "default"),
  OPEN_FILES: layout.place(OPEN_FILES),
  LOGS: layout.place(LOGS),
  MENDED: layout.place(MENDED),
  LEADING: layout.place(LEADING),
  GROUPS: layout.place(GROUPS),
  LEADERLESS: layout.place(LEADERLESS),
  OFFLINE: layout.place(OFFLINE),
  UNDER_REPLICATED: layout.place(UNDER_REPLICATED),
  BELOW_MINIMUM: layout.place(BELOW_MINIMUM),
  COMPACTIONS: layout.place(COMPACTIONS),
  COMPACTION_READ: layout.place(COMPACTION_READ),
  COMPACTION_FREED: layout.place(COMPACTION_FREED),
  UNCOMPACTABLE: layout.place(UNCOMPACTABLE),
} as const;
/** The budgets of a shard's memory, used and limit in turn. */
export const BUDGETS = [
  "waiting windows",
  "begun frames",
  "small frames",
  "large frames",
  "responses",
  "links",
  "frames of nodes",
  "request objects",
] as const;
export const BUDGET_SLOTS: readonly { readonly used: number; readonly limit: number }[] = BUDGETS
  .map((name) => ({
    used: layout.place(BUDGET_USED, name),
    limit: layout.place(BUDGET_LIMIT, name),
  }));
/** In the order of the table. */
export const RECORDED: readonly RecordedSeries[] = layout.series;
/** Numbers of a shard's array. */
export const RECORDED_SIZE: number = layout.size;

// Topics, partitions and groups: collected for each page.

const TOPIC = ["redpanda_namespace", "redpanda_topic"] as const;
const PARTITION = [...TOPIC, "redpanda_partition"] as const;

export const REQUEST_BYTES = metric(
  "counter",
  "redpanda_kafka_request_bytes_total",
  "Bytes of batches that were produced to, or consumed from, a topic",
  { labels: [...TOPIC, "redpanda_request"] },
);
export const RECORDS_PRODUCED = metric(
  "counter",
  "redpanda_kafka_records_produced_total",
  "Records that were produced to a topic",
  { labels: TOPIC },
);
export const RECORDS_FETCHED = metric(
  "counter",
  "redpanda_kafka_records_fetched_total",
  "Records of a topic that were sent to consumers",
  { labels: TOPIC },
);
export const LEADERSHIP_CHANGES = metric(
  "counter",
  "redpanda_raft_leadership_changes",
  "Times that this node began to lead a partition of a topic",
  { labels: TOPIC },
);
export const TOPIC_PARTITIONS = metric(
  "gauge",
  "redpanda_kafka_partitions",
  "Partitions of a topic; told by the controller",
  { labels: TOPIC, ofNode: true },
);
export const TOPIC_REPLICAS = metric(
  "gauge",
  "redpanda_kafka_replicas",
  "Replicas that the partitions of a topic have; told by the controller",
  { labels: TOPIC, ofNode: true },
);
export const MAX_OFFSET = metric(
  "gauge",
  "redpanda_kafka_max_offset",
  "High watermark of a partition, as its replica on this node knows it",
  { labels: PARTITION, ofNode: true },
);
export const START_OFFSET = metric(
  "gauge",
  "gregor_partition_start_offset",
  "First offset of a partition's log on this node",
  { labels: PARTITION, ofNode: true, isInternal: true },
);
export const PARTITION_LEADER = metric(
  "gauge",
  "gregor_partition_leader",
  "Whether this node leads a partition",
  { labels: PARTITION, ofNode: true, isInternal: true },
);
export const PARTITION_TERM = metric(
  "gauge",
  "gregor_partition_leader_epoch",
  "The leader epoch of a partition, which is the term of its Raft group",
  { labels: PARTITION, ofNode: true, isInternal: true },
);
export const UNDER_REPLICATED_REPLICAS = metric(
  "gauge",
  "redpanda_kafka_under_replicated_replicas",
  "Replicas of a partition that do not keep up; told by its leader",
  { labels: PARTITION, ofNode: true },
);

const GROUP = ["redpanda_group"] as const;

export const COMMITTED_OFFSET = metric(
  "gauge",
  "redpanda_kafka_consumer_group_committed_offset",
  "Offset that a group has committed; told by its coordinator",
  { labels: [...GROUP, "redpanda_topic", "redpanda_partition"], ofNode: true },
);
export const GROUP_CONSUMERS = metric(
  "gauge",
  "redpanda_kafka_consumer_group_consumers",
  "Members of a group; told by its coordinator",
  { labels: GROUP, ofNode: true },
);
export const GROUP_TOPICS = metric(
  "gauge",
  "redpanda_kafka_consumer_group_topics",
  "Topics of which a group has committed offsets; told by its coordinator",
  { labels: GROUP, ofNode: true },
);
export const GROUP_LAG_SUM = metric(
  "gauge",
  "redpanda_kafka_consumer_group_lag_sum",
  "Records behind a group's committed offsets, of all its partitions; told by its coordinator",
  { labels: GROUP, ofNode: true },
);
export const GROUP_LAG_MAX = metric(
  "gauge",
  "redpanda_kafka_consumer_group_lag_max",
  "Records behind a group's committed offset in the partition where it is most; told by its coordinator",
  { labels: GROUP, ofNode: true },
);

// The cluster; told by the controller alone, so that sums over nodes are right.

export const CLUSTER_BROKERS = metric(
  "gauge",
  "redpanda_cluster_brokers",
  "Registered nodes; told by the controller",
  { ofNode: true },
);
export const CLUSTER_BROKERS_DOWN = metric(
  "gauge",
  "gregor_cluster_brokers_unreachable",
  "Registered nodes that cannot be reached; told by the controller",
  { ofNode: true },
);
export const CLUSTER_TOPICS = metric(
  "gauge",
  "redpanda_cluster_topics",
  "Topics, internal ones included; told by the controller",
  { ofNode: true },
);
export const CLUSTER_PARTITIONS = metric(
  "gauge",
  "redpanda_cluster_partitions",
  "Partitions, replicas not counted; told by the controller",
  { ofNode: true },
);
export const CLUSTER_UNAVAILABLE = metric(
  "gauge",
  "redpanda_cluster_unavailable_partitions",
  "Partitions of which no leader is known; told by the controller",
  { ofNode: true },
);
export const CONTROLLER = metric(
  "gauge",
  "gregor_cluster_controller",
  "Whether this node is the controller",
  { ofNode: true },
);

const COLLECTED: readonly Metric[] = [
  REQUEST_BYTES,
  RECORDS_PRODUCED,
  RECORDS_FETCHED,
  TOPIC_PARTITIONS,
  TOPIC_REPLICAS,
  MAX_OFFSET,
  START_OFFSET,
  PARTITION_LEADER,
  PARTITION_TERM,
  UNDER_REPLICATED_REPLICAS,
  LEADERSHIP_CHANGES,
  COMMITTED_OFFSET,
  GROUP_CONSUMERS,
  GROUP_TOPICS,
  GROUP_LAG_SUM,
  GROUP_LAG_MAX,
  CLUSTER_BROKERS,
  CLUSTER_BROKERS_DOWN,
  CLUSTER_TOPICS,
  CLUSTER_PARTITIONS,
  CLUSTER_UNAVAILABLE,
  CONTROLLER,
  node.BUILD,
  node.UPTIME,
  node.READY,
  node.DISK_FREE,
  node.DISK_TOTAL,
  node.DISK_ALERT,
  node.LEFT_OFF,
  node.SHARDS_SILENT,
];

/** Every metric, once. */
export const METRICS: readonly Metric[] = [
  ...new Set([
    REQUEST_LATENCY,
    HANDLER_LATENCY,
    RPC_LATENCY,
    ...RECORDED.map((series) => series.metric),
    ...COLLECTED,
  ]),
];

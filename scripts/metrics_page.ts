/**
 * Makes `docs/METRICS.md` of the table that registers the metrics.
 *
 * @module
 */

import { METRICS } from "../src/metrics/catalog.ts";
import * as limits from "../src/metrics/limits.ts";
import type { Metric } from "../src/metrics/metric.ts";

export function metricsDocPage(banner: string): string {
  return [
    banner,
    "",
    "# Metrics",
    "",
    "A broker serves metrics for Prometheus at its admin address (`--admin-addr`):",
    "",
    "- `/public_metrics`: what dashboards and alerts need. Shards are summed up, except where a metric is of a core.",
    "- `/metrics`: everything, by shard (label `shard`), with finer buckets.",
    "",
    "Scrape one of the two: the first, unless you look into something.",
    "",
    "```yaml",
    "scrape_configs:",
    "  - job_name: gregor",
    "    metrics_path: /public_metrics",
    "    static_configs:",
    "      - targets: [10.0.0.1:9644, 10.0.0.2:9644, 10.0.0.3:9644]",
    "rule_files: [gregor.rules.yml]",
    "```",
    "",
    "`gregor generate prometheus-rules` prints the alerts ([what to do about each](OPERATIONS.md#alerts)),",
    "`gregor generate grafana-dashboard` a dashboard. What Redpanda has, too, has Redpanda's names and labels",
    "([ADR 0039](adr/0039-metrics-have-redpandas-names.md)): its dashboards show Gregor as well.",
    "",
    "- Counters begin at 0 when the process starts, and a topic's when it is created. They never go back otherwise.",
    "- Metrics of the cluster are told by the controller alone, so that sums over the nodes are right; while there is none,",
    "  nobody tells them. What is of a group is told by its coordinator.",
    "- The lag of a group is told by its coordinator, which asks other nodes for the ends of partitions that it has no replica of.",
    "  While one of them is not known, the lag is not told: a part of it would be a wrong number.",
    "- A latency begins when a request is taken, and ends when its answer is handed to the socket. What waits for room before",
    "  it is taken is counted in `gregor_kafka_throttled_requests_total`.",
    "- Pauses of the garbage collector cannot be seen one by one: they are part of the turns that they lengthen",
    "  (`gregor_reactor_turn_seconds`, `gregor_reactor_stalls_total`).",
    "- A page shows at most " +
    `${limits.TOPICS_SHOWN_MAX} topics, ${limits.PARTITIONS_SHOWN_MAX} partitions, ${limits.GROUPS_SHOWN_MAX} groups and ` +
    `${limits.GROUP_OFFSETS_SHOWN_MAX} of their offsets`,
    "  of each shard; `gregor_metrics_left_off` says how many it leaves out. The traffic of topics beyond " +
    `${limits.TRAFFIC_TOPICS_MAX} is`,
    "  counted together, as that of the topic `(others)`.",
    "",
    "## At both paths",
    "",
    ...table(METRICS.filter(({ isPublic }) => isPublic)),
    "",
    "## At `/metrics` only",
    "",
    ...table(METRICS.filter(({ isPublic }) => !isPublic)),
    "",
  ].join("\n");
}

function table(metrics: readonly Metric[]): string[] {
  return [
    "| Metric | Type | Labels | |",
    "| --- | --- | --- | --- |",
    ...metrics.map(({ name, type, labels, keepsShard, help }) => {
      const shown = keepsShard ? [...labels, "shard"] : labels;
      const names = shown.map((label) => `\`${label}\``).join(", ");
      return `| \`${name}\` | ${type} | ${names} | ${help} |`;
    }),
  ];
}

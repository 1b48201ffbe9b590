/**
 * A Grafana dashboard of a cluster, made of the metrics' own names: `gregor generate grafana-dashboard`.
 *
 * Every query uses metrics of `/public_metrics` only, and works on `/metrics`, too.
 *
 * @module
 */

import * as catalog from "../metrics/catalog.ts";
import type { Metric } from "../metrics/metric.ts";

/** A query of a panel. */
export interface PanelQuery {
  readonly expr: string;
  readonly legend: string;
}

/** One graph, or one number. */
export interface Panel {
  readonly title: string;
  readonly unit: string;
  readonly queries: readonly PanelQuery[];
  /** A number beside others, instead of a graph. */
  readonly isNumber?: boolean;
}

/** Panels under a heading. */
export interface PanelRow {
  readonly title: string;
  readonly panels: readonly Panel[];
}

/** What Grafana replaces in a query. */
export const INSTANCE_VARIABLE = "$instance";
export const RATE_VARIABLE = "$__rate_interval";

const WIDTH = 24;
const GRAPH_WIDTH = 8;
const GRAPH_HEIGHT = 8;
const NUMBER_WIDTH = 3;
const NUMBER_HEIGHT = 4;

/** The selector of a metric's series, of the nodes that are chosen. */
function of({ name }: Metric, matchers = "", suffix = ""): string {
  const more = matchers === "" ? "" : `, ${matchers}`;
  return `${name}${suffix}{instance=~"${INSTANCE_VARIABLE}"${more}}`;
}

function rate(metric: Metric, matchers = "", suffix = ""): string {
  return `rate(${of(metric, matchers, suffix)}[${RATE_VARIABLE}])`;
}

function sumBy(labels: string, expr: string): string {
  return `sum by (${labels}) (${expr})`;
}

function quantile(share: number, metric: Metric, matchers = ""): string {
  const buckets = sumBy("instance, le", rate(metric, matchers, "_bucket"));
  return `histogram_quantile(${share}, ${buckets})`;
}

function quantiles(metric: Metric, matchers = ""): PanelQuery[] {
  return [
    { expr: quantile(0.5, metric, matchers), legend: "{{instance}} p50" },
    { expr: quantile(0.99, metric, matchers), legend: "{{instance}} p99" },
    { expr: quantile(0.999, metric, matchers), legend: "{{instance}} p99.9" },
  ];
}

function number(title: string, expr: string, unit = "short"): Panel {
  return { title, unit, isNumber: true, queries: [{ expr, legend: "" }] };
}

function graph(title: string, unit: string, expr: string, legend: string): Panel {
  return { title, unit, queries: [{ expr, legend }] };
}

function slotMetric(slot: number): Metric {
  return catalog.RECORDED.find((series) => series.at === slot)!.metric;
}

const { Slot } = catalog;
const PRODUCE = 'redpanda_request="produce"';
const CONSUME = 'redpanda_request="consume"';
const BY_NODE = "{{instance}}";
const BY_SHARD = "{{instance}} shard {{shard}}";

/** What is behind each group's committed offsets, over all nodes. */
const LAG_OF_GROUPS = sumBy(
  "redpanda_group",
  `max by (redpanda_topic, redpanda_partition) (${of(catalog.MAX_OFFSET)}) ` +
    "- on (redpanda_topic, redpanda_partition) group_right () " +
    `max by (redpanda_group, redpanda_topic, redpanda_partition) (${of(catalog.COMMITTED_OFFSET)})`,
);

/** Everything that the dashboard shows. */
export const DASHBOARD: readonly PanelRow[] = [
  {
    title: "Cluster",
    panels: [
      number("Nodes", `max(${of(catalog.CLUSTER_BROKERS)})`),
      number("Unreachable nodes", `max(${of(catalog.CLUSTER_BROKERS_DOWN)})`),
      number("Nodes not ready", `sum(1 - ${of(catalog.READY)})`),
      number("Topics", `max(${of(catalog.CLUSTER_TOPICS)})`),
      number("Partitions", `max(${of(catalog.CLUSTER_PARTITIONS)})`),
      number("Without leader", `max(${of(catalog.CLUSTER_UNAVAILABLE)})`),
      number("Under-replicated", `sum(${of(slotMetric(Slot.UNDER_REPLICATED))})`),
      number("Below min.insync.replicas", `sum(${of(slotMetric(Slot.BELOW_MINIMUM))})`),
      number("Read-only by damage", `sum(${of(slotMetric(Slot.OFFLINE))})`),
      number("Controllers", `sum(${of(catalog.CONTROLLER)})`),
      number("Shortest uptime", `min(${of(catalog.UPTIME)})`, "s"),
      number("Versions", `count(count by (redpanda_version) (${of(catalog.BUILD)}))`),
    ],
  },
  {
    title: "Traffic",
    panels: [
      graph("Bytes in", "Bps", sumBy("instance", rate(catalog.REQUEST_BYTES, PRODUCE)), BY_NODE),
      graph("Bytes out", "Bps", sumBy("instance", rate(catalog.REQUEST_BYTES, CONSUME)), BY_NODE),
      {
        title: "Records",
        unit: "cps",
        queries: [
          { expr: `sum(${rate(catalog.RECORDS_PRODUCED)})`, legend: "produced" },
          { expr: `sum(${rate(catalog.RECORDS_FETCHED)})`, legend: "fetched" },
        ],
      },
      graph(
        "Busiest topics, bytes in and out",
        "Bps",
        `topk(10, ${sumBy("redpanda_topic, redpanda_request", rate(catalog.REQUEST_BYTES))})`,
        "{{redpanda_topic}} {{redpanda_request}}",
      ),
      graph(
        "Requests by API",
        "reqps",
        sumBy("handler", rate(catalog.HANDLER_LATENCY, "", "_count")),
        "{{handler}}",
      ),
      {
        title: "Refusals",
        unit: "cps",
        queries: [
          {
            expr: sumBy("redpanda_request", rate(slotMetric(Slot.PRODUCE_REFUSED))),
            legend: "partitions, {{redpanda_request}}",
          },
          {
            expr: sumBy("redpanda_server", rate(slotMetric(Slot.KAFKA_ERRORS))),
            legend: "connections, {{redpanda_server}}",
          },
        ],
      },
    ],
  },
  {
    title: "Latency",
    panels: [
      {
        title: "Produce",
        unit: "s",
        queries: quantiles(catalog.REQUEST_LATENCY, PRODUCE),
      },
      {
        title: "Fetch, with the wait for data",
        unit: "s",
        queries: quantiles(catalog.REQUEST_LATENCY, CONSUME),
      },
      {
        title: "p99 by API",
        unit: "s",
        queries: [{
          expr: `histogram_quantile(0.99, ${
            sumBy("handler, le", rate(catalog.HANDLER_LATENCY, "", "_bucket"))
          })`,
          legend: "{{handler}}",
        }],
      },
      { title: "Journal flush", unit: "s", queries: quantiles(slotMetric(Slot.FLUSH_TIME)) },
      { title: "Read of a segment", unit: "s", queries: quantiles(slotMetric(Slot.READ_TIME)) },
      {
        title: "Turns above 25 ms",
        unit: "cps",
        queries: [{
          expr: sumBy("instance, shard", rate(slotMetric(Slot.STALLS))),
          legend: BY_SHARD,
        }],
      },
    ],
  },
  {
    title: "Groups",
    panels: [
      graph("Lag of groups", "short", LAG_OF_GROUPS, "{{redpanda_group}}"),
      graph(
        "Lag of groups, as their coordinators tell",
        "short",
        `max by (redpanda_group) (${of(catalog.GROUP_LAG_SUM)})`,
        "{{redpanda_group}}",
      ),
      graph(
        "Members of groups",
        "short",
        `max by (redpanda_group) (${of(catalog.GROUP_CONSUMERS)})`,
        "{{redpanda_group}}",
      ),
    ],
  },
  {
    title: "Replication",
    panels: [
      graph("Groups led", "short", sumBy("instance", of(slotMetric(Slot.LEADING))), BY_NODE),
      graph(
        "Elections and transfers won",
        "cps",
        sumBy("instance", rate(catalog.LEADERSHIP_CHANGES)),
        BY_NODE,
      ),
      graph(
        "Replicas that do not keep up, by topic",
        "short",
        sumBy("redpanda_topic", of(catalog.UNDER_REPLICATED_REPLICAS)),
        "{{redpanda_topic}}",
      ),
      {
        title: "Bytes between nodes",
        unit: "Bps",
        queries: [
          {
            expr: sumBy(
              "instance",
              rate(slotMetric(Slot.PEERS_SENT), 'redpanda_server="internal"'),
            ),
            legend: "{{instance}} sent",
          },
          {
            expr: sumBy(
              "instance",
              rate(slotMetric(Slot.PEERS_RECEIVED), 'redpanda_server="internal"'),
            ),
            legend: "{{instance}} received",
          },
        ],
      },
      graph(
        "Connections",
        "short",
        sumBy("instance, redpanda_server", of(slotMetric(Slot.KAFKA_CONNECTIONS))),
        "{{instance}} {{redpanda_server}}",
      ),
      graph(
        "Damaged extents mended",
        "short",
        sumBy("instance", of(slotMetric(Slot.MENDED))),
        BY_NODE,
      ),
    ],
  },
  {
    title: "Resources",
    panels: [
      graph(
        "Utilisation of shards",
        "percentunit",
        sumBy("instance, shard", rate(slotMetric(Slot.CPU_BUSY))),
        BY_SHARD,
      ),
      graph(
        "Memory available to shards",
        "bytes",
        sumBy("instance, shard", of(slotMetric(Slot.MEMORY_AVAILABLE))),
        BY_SHARD,
      ),
      graph(
        "JavaScript objects",
        "bytes",
        sumBy("instance, shard", of(slotMetric(Slot.HEAP_USED))),
        BY_SHARD,
      ),
      graph(
        "Budgets in use",
        "percentunit",
        `${sumBy("instance, budget", of(slotMetric(catalog.BUDGET_SLOTS[0]!.used)))} / ${
          sumBy("instance, budget", of(slotMetric(catalog.BUDGET_SLOTS[0]!.limit)))
        }`,
        "{{instance}} {{budget}}",
      ),
      graph(
        "Batches in memory",
        "bytes",
        sumBy("instance, state", of(slotMetric(Slot.CACHE_CLEAN))),
        "{{instance}} {{state}}",
      ),
      {
        title: "Cache hits",
        unit: "percentunit",
        queries: [{
          expr: `${sumBy("instance", rate(slotMetric(Slot.CACHE_HITS)))} / (${
            sumBy("instance", rate(slotMetric(Slot.CACHE_HITS)))
          } + ${sumBy("instance", rate(slotMetric(Slot.CACHE_MISSES)))})`,
          legend: BY_NODE,
        }],
      },
      {
        title: "Held back",
        unit: "cps",
        queries: [
          {
            expr: sumBy("instance", rate(slotMetric(Slot.THROTTLED))),
            legend: "{{instance}} requests without room",
          },
          {
            expr: sumBy("instance", rate(slotMetric(Slot.MEMORY_WAITS))),
            legend: "{{instance}} waits for memory",
          },
        ],
      },
      {
        title: "Disk",
        unit: "bytes",
        queries: [
          { expr: of(catalog.DISK_FREE), legend: "{{instance}} free" },
          { expr: of(catalog.DISK_TOTAL), legend: "{{instance}} total" },
        ],
      },
      {
        title: "Journal in use",
        unit: "percentunit",
        queries: [{
          expr: `${sumBy("instance", of(slotMetric(Slot.JOURNAL_USED)))} / ${
            sumBy("instance", of(slotMetric(Slot.JOURNAL_SIZE)))
          }`,
          legend: BY_NODE,
        }],
      },
      graph(
        "Journal bytes written",
        "Bps",
        sumBy("instance", rate(slotMetric(Slot.JOURNAL_BYTES))),
        BY_NODE,
      ),
      {
        title: "Disk operations",
        unit: "iops",
        queries: [
          {
            expr: sumBy("instance", rate(slotMetric(Slot.READS))),
            legend: "{{instance}} reads",
          },
          {
            expr: sumBy("instance, class", rate(slotMetric(Slot.JOURNAL_WRITE_OPS))),
            legend: "{{instance}} writes, {{class}}",
          },
        ],
      },
      graph(
        "Open requests",
        "short",
        sumBy("instance", of(slotMetric(Slot.REQUESTS_OPEN))),
        BY_NODE,
      ),
    ],
  },
];

/** The dashboard as Grafana imports it. */
export function grafanaDashboard(): Record<string, unknown> {
  const panels: Record<string, unknown>[] = [];
  let y = 0;
  for (const row of DASHBOARD) {
    panels.push({
      id: panels.length + 1,
      type: "row",
      title: row.title,
      collapsed: false,
      gridPos: { x: 0, y: y++, w: WIDTH, h: 1 },
      panels: [],
    });
    let x = 0;
    let height = 0;
    for (const panel of row.panels) {
      const w = panel.isNumber === true ? NUMBER_WIDTH : GRAPH_WIDTH;
      const h = panel.isNumber === true ? NUMBER_HEIGHT : GRAPH_HEIGHT;
      if (x + w > WIDTH) {
        x = 0;
        y += height;
      }
      height = h;
      panels.push(panelJson(panel, panels.length + 1, { x, y, w, h }));
      x += w;
    }
    y += height;
  }
  return {
    uid: "gregor",
    title: "Gregor",
    tags: ["gregor", "kafka"],
    timezone: "browser",
    editable: true,
    schemaVersion: 39,
    refresh: "30s",
    time: { from: "now-1h", to: "now" },
    templating: { list: [dataSourceVariable(), instanceVariable()] },
    panels,
  };
}

function panelJson(
  { title, unit, queries, isNumber }: Panel,
  id: number,
  gridPos: Record<"x" | "y" | "w" | "h", number>,
): Record<string, unknown> {
  return {
    id,
    type: isNumber === true ? "stat" : "timeseries",
    title,
    gridPos,
    datasource: { type: "prometheus", uid: "${datasource}" },
    fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
    targets: queries.map(({ expr, legend }, at) => ({
      refId: String.fromCharCode("A".charCodeAt(0) + at),
      expr,
      ...legend === "" ? {} : { legendFormat: legend },
    })),
  };
}

function dataSourceVariable(): Record<string, unknown> {
  return { name: "datasource", type: "datasource", query: "prometheus", label: "Data source" };
}

function instanceVariable(): Record<string, unknown> {
  return {
    name: "instance",
    type: "query",
    label: "Node",
    datasource: { type: "prometheus", uid: "${datasource}" },
    query: `label_values(${catalog.UPTIME.name}, instance)`,
    refresh: 2,
    includeAll: true,
    allValue: ".*",
    multi: true,
    current: { text: "All", value: "$__all" },
  };
}

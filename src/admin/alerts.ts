/**
 * Alerts for Prometheus, made of the metrics' own names: `gregor generate prometheus-rules`.
 *
 * Each has a heading of its name in `docs/OPERATIONS.md`, which says what to do.
 *
 * @module
 */

import * as catalog from "../metrics/catalog.ts";
import type { Metric } from "../metrics/metric.ts";

/** One alert. */
export interface Alert {
  readonly name: string;
  readonly expr: string;
  /** How long it must be so, as Prometheus writes it. */
  readonly lasting: string;
  /** Somebody is to act now, or today. */
  readonly severity: "critical" | "warning";
  readonly summary: string;
}

const { Slot } = catalog;

function nameOf(slot: number): string {
  return catalog.RECORDED.find((series) => series.at === slot)!.metric.name;
}

function quantileOf(share: number, { name }: Metric): string {
  return `histogram_quantile(${share}, sum by (instance, le) (rate(${name}_bucket[5m])))`;
}

/**
 * The alerts of a cluster.
 *
 * @param job the `job` of its nodes in Prometheus' configuration
 */
export function alertsOf(job: string): readonly Alert[] {
  const flush = catalog.RECORDED.find(({ at }) => at === Slot.FLUSH_TIME)!.metric;
  return [
    {
      name: "GregorNodeDown",
      expr: `up{job=${JSON.stringify(job)}} == 0`,
      lasting: "1m",
      severity: "critical",
      summary: "Node {{ $labels.instance }} does not answer",
    },
    {
      name: "GregorNodeUnreachable",
      expr: `max(${catalog.CLUSTER_BROKERS_DOWN.name}) > 0`,
      lasting: "1m",
      severity: "critical",
      summary: "{{ $value }} nodes cannot be reached by the controller",
    },
    {
      name: "GregorNotReady",
      expr: `${catalog.READY.name} == 0`,
      lasting: "2m",
      severity: "critical",
      summary: "Node {{ $labels.instance }} does not serve all that it should",
    },
    {
      name: "GregorNoController",
      expr: `sum(${catalog.CONTROLLER.name}) == 0`,
      lasting: "1m",
      severity: "critical",
      summary: "No node is the controller: nothing can be created, altered or deleted",
    },
    {
      name: "GregorPartitionsUnavailable",
      expr: `max(${catalog.CLUSTER_UNAVAILABLE.name}) > 0 or sum(${nameOf(Slot.LEADERLESS)}) > 0`,
      lasting: "1m",
      severity: "critical",
      summary: "{{ $value }} partitions have no leader",
    },
    {
      name: "GregorUnderReplicated",
      expr: `${nameOf(Slot.UNDER_REPLICATED)} > 0`,
      lasting: "5m",
      severity: "warning",
      summary:
        "Replicas of {{ $value }} partitions that {{ $labels.instance }} leads do not keep up",
    },
    {
      name: "GregorBelowMinInsyncReplicas",
      expr: `${nameOf(Slot.BELOW_MINIMUM)} > 0`,
      lasting: "1m",
      severity: "critical",
      summary: "{{ $value }} partitions that {{ $labels.instance }} leads refuse acks=all",
    },
    {
      name: "GregorDamagedPartitions",
      expr: `${nameOf(Slot.OFFLINE)} > 0`,
      lasting: "0m",
      severity: "critical",
      summary: "{{ $value }} partitions on {{ $labels.instance }} are read-only by damage",
    },
    {
      name: "GregorDiskFillingUp",
      expr: `${catalog.DISK_ALERT.name} == 1`,
      lasting: "5m",
      severity: "warning",
      summary: "The disk of {{ $labels.instance }} is at least 85 % full",
    },
    {
      name: "GregorDiskFull",
      expr: `${catalog.DISK_ALERT.name} == 2`,
      lasting: "0m",
      severity: "critical",
      summary: "The disk of {{ $labels.instance }} is full: appends are refused",
    },
    {
      name: "GregorSlowFlush",
      expr: `${quantileOf(0.99, flush)} > 0.1`,
      lasting: "10m",
      severity: "warning",
      summary:
        "One in a hundred durable writes of {{ $labels.instance }} takes {{ $value | humanizeDuration }} or longer",
    },
    {
      name: "GregorShardBusy",
      expr: `rate(${nameOf(Slot.CPU_BUSY)}[5m]) > 0.9`,
      lasting: "15m",
      severity: "warning",
      summary: "Shard {{ $labels.shard }} of {{ $labels.instance }} has hardly any time left",
    },
    {
      name: "GregorStalls",
      expr: `rate(${nameOf(Slot.STALLS)}[5m]) > 1`,
      lasting: "10m",
      severity: "warning",
      summary:
        "Turns of shard {{ $labels.shard }} of {{ $labels.instance }} take longer than 25 ms",
    },
    {
      name: "GregorMemoryLow",
      expr: `${nameOf(Slot.MEMORY_AVAILABLE)} / (${nameOf(Slot.MEMORY_AVAILABLE)} + ${
        nameOf(Slot.MEMORY_ALLOCATED)
      }) < 0.05`,
      lasting: "10m",
      severity: "warning",
      summary: "Shard {{ $labels.shard }} of {{ $labels.instance }} has hardly any memory left",
    },
    {
      name: "GregorGroupFallsBehind",
      expr: `max by (redpanda_group) (${catalog.GROUP_LAG_SUM.name}) > 10000 and ` +
        `max by (redpanda_group) (deriv(${catalog.GROUP_LAG_SUM.name}[15m])) > 0`,
      lasting: "15m",
      severity: "warning",
      summary:
        "Group {{ $labels.redpanda_group }} is {{ $value }} records behind, and falls further",
    },
    {
      name: "GregorVersionsDiffer",
      expr: `count(count by (redpanda_version) (${catalog.BUILD.name})) > 1`,
      lasting: "1d",
      severity: "warning",
      summary: "The nodes have run {{ $value }} versions of Gregor for a day",
    },
    {
      name: "GregorMetricsIncomplete",
      expr: `${catalog.SHARDS_SILENT.name} > 0 or ${catalog.LEFT_OFF.name} > 0`,
      lasting: "15m",
      severity: "warning",
      summary: "The page of metrics of {{ $labels.instance }} does not show everything",
    },
  ];
}

/** Where an alert's page is. */
export function runbookUrl(alert: Alert, base: string): string {
  return `${base}#${alert.name.toLowerCase()}`;
}

/**
 * The rules as a file for Prometheus. Strings are written as JSON has them, which YAML reads, too.
 *
 * @param runbook the address of the page that says what to do
 */
export function prometheusRules(job: string, runbook: string): string {
  const lines = ["groups:", "  - name: gregor", "    rules:"];
  for (const alert of alertsOf(job)) {
    const { name, expr, lasting, severity, summary } = alert;
    lines.push(
      `      - alert: ${name}`,
      `        expr: ${JSON.stringify(expr)}`,
      `        for: ${lasting}`,
      "        labels:",
      `          severity: ${severity}`,
      "        annotations:",
      `          summary: ${JSON.stringify(summary)}`,
      `          runbook_url: ${JSON.stringify(runbookUrl(alert, runbook))}`,
    );
  }
  return lines.join("\n") + "\n";
}

/**
 * The pages of metrics: what the shards record and what they told, as text for Prometheus.
 *
 * `/metrics` shows every metric, by shard. `/public_metrics` shows those that dashboards need, with shards summed up; its
 * series do not depend on the number of cores, except where the metric is of a core. Pure: a page is drawn piece by piece, so
 * that a large one holds up neither the control thread nor its memory.
 *
 * @module
 */

import {
  API_KEYS_MAX,
  API_LATENCY,
  BUILD,
  CLUSTER_BROKERS,
  CLUSTER_BROKERS_DOWN,
  CLUSTER_PARTITIONS,
  CLUSTER_TOPICS,
  CLUSTER_UNAVAILABLE,
  CONTROLLER,
  DISK_ALERT,
  DISK_FREE,
  DISK_TOTAL,
  HANDLER_LATENCY,
  LEFT_OFF,
  READY,
  RECORDED,
  REQUEST_LATENCY,
  RPC_LATENCY,
  SHARDS_SILENT,
  UPTIME,
} from "../metrics/catalog.ts";
import {
  addHistogram,
  familyHead,
  histogramLines,
  isEmptyHistogram,
  labelsOf,
  sample,
} from "../metrics/exposition.ts";
import { DETAILED_BUCKETS, HISTOGRAM_SIZE, PUBLIC_BUCKETS } from "../metrics/histogram_buckets.ts";
import type { RecordedSeries } from "../metrics/layout.ts";
import type { LabelValues, Metric } from "../metrics/metric.ts";
import type { CollectedRows } from "../shard/metric_collector.ts";
import { apiByKey } from "../wire/generated/apis.ts";
import { rowFamilies } from "./metric_row_families.ts";

/** Share of the file system in use from which on room is called low. */
const LOW_ROOM_SHARE = 0.85;
const PRODUCE_KEY = 0;
const FETCH_KEY = 1;

/** What a page is made of. */
export interface MetricsInput {
  /** What each shard has recorded. */
  readonly recorded: readonly Float64Array[];
  readonly rows: CollectedRows;
  readonly version: string;
  readonly uptimeS: number;
  readonly isReady: boolean;
  readonly isDiskFull: boolean;
  /** The small page. */
  readonly isPublic: boolean;
}

/** One sample of a metric that is no histogram. */
export type Sample = readonly [labels: LabelValues, value: number];

/** The samples of some metrics. */
export type Families = readonly (readonly [Metric, Iterable<Sample>])[];

/** Draws a page. */
export function* metricsPage(input: MetricsInput): Generator<string> {
  yield* apiFamily(input, REQUEST_LATENCY, [[PRODUCE_KEY, "produce"], [FETCH_KEY, "consume"]]);
  yield* apiFamily(input, HANDLER_LATENCY, askedApis(input));
  yield* summedApis(input, RPC_LATENCY, "kafka");
  for (const [metric, series] of Map.groupBy(RECORDED, (one) => one.metric)) {
    yield* recordedFamily(input, metric, series);
  }
  for (const [metric, samples] of rowFamilies(input.rows, input.isPublic)) {
    yield* family(input, metric, samples);
  }
  for (const [metric, samples] of nodeFamilies(input)) yield* family(input, metric, samples);
}

function* family(
  { isPublic }: MetricsInput,
  metric: Metric,
  samples: Iterable<Sample>,
): Generator<string> {
  if (isPublic && !metric.isPublic) return;
  let isHeadSaid = false;
  const bare = metric.labels;
  const named = [...bare, "shard"];
  for (const [labels, value] of samples) {
    if (!isHeadSaid) yield familyHead(metric);
    isHeadSaid = true;
    const names = labels.length > bare.length ? named : bare;
    yield sample(metric.name, labelsOf(names, labels), value);
  }
}

function* recordedFamily(
  input: MetricsInput,
  metric: Metric,
  series: readonly RecordedSeries[],
): Generator<string> {
  if (metric.type === "histogram") {
    if (input.isPublic && !metric.isPublic) return;
    yield familyHead(metric);
    for (const { labels, at } of series) yield* histograms(input, metric, labels, [at]);
    return;
  }
  yield* family(input, metric, recordedSamples(input, metric, series));
}

function* recordedSamples(
  { recorded, isPublic }: MetricsInput,
  { keepsShard }: Metric,
  series: readonly RecordedSeries[],
): Generator<Sample> {
  for (const { labels, at } of series) {
    if (isPublic && !keepsShard) {
      yield [labels, recorded.reduce((sum, values) => sum + values[at]!, 0)];
      continue;
    }
    for (const [shard, values] of recorded.entries()) {
      yield [[...labels, String(shard)], values[at]!];
    }
  }
}

/** Of each of some APIs; of produce and fetch even if nobody asked yet. */
function* apiFamily(
  input: MetricsInput,
  metric: Metric,
  apis: readonly (readonly [key: number, label: string])[],
): Generator<string> {
  if (apis.length > 0) yield familyHead(metric);
  for (const [key, label] of apis) {
    yield* histograms(input, metric, [label], [API_LATENCY + key * HISTOGRAM_SIZE]);
  }
}

/** Of all APIs together. */
function* summedApis(input: MetricsInput, metric: Metric, label: string): Generator<string> {
  yield familyHead(metric);
  const places = Array.from(
    { length: API_KEYS_MAX },
    (_, key) => API_LATENCY + key * HISTOGRAM_SIZE,
  );
  yield* histograms(input, metric, [label], places);
}

/** The sum of the histograms at `places`, for each shard or for all. */
function* histograms(
  { recorded, isPublic }: MetricsInput,
  { name, labels }: Metric,
  values: LabelValues,
  places: readonly number[],
): Generator<string> {
  const buckets = isPublic ? PUBLIC_BUCKETS : DETAILED_BUCKETS;
  const names = isPublic ? labels : [...labels, "shard"];
  const sum = new Float64Array(HISTOGRAM_SIZE);
  for (const [shard, shardValues] of recorded.entries()) {
    if (!isPublic) sum.fill(0);
    for (const at of places) addHistogram(sum, shardValues, at);
    if (isPublic) continue;
    const text = labelsOf(names, [...values, String(shard)]);
    yield histogramLines(name, text, sum, 0, buckets);
  }
  if (isPublic) yield histogramLines(name, labelsOf(names, values), sum, 0, buckets);
}

function askedApis({ recorded }: MetricsInput): (readonly [number, string])[] {
  const asked: (readonly [number, string])[] = [];
  for (let key = 0; key < API_KEYS_MAX; key++) {
    const at = API_LATENCY + key * HISTOGRAM_SIZE;
    const isAlways = key === PRODUCE_KEY || key === FETCH_KEY;
    if (!isAlways && recorded.every((values) => isEmptyHistogram(values, at))) continue;
    asked.push([key, handlerName(key)]);
  }
  return asked;
}

/** `ApiVersions` as a label has it: `api_versions`. */
export function handlerName(apiKey: number): string {
  const name = apiByKey(apiKey)?.name ?? `Key${apiKey}`;
  return name.replace(/(?<=[a-z0-9])(?=[A-Z])/g, "_").toLowerCase();
}

function nodeFamilies(input: MetricsInput): Families {
  const { rows, version, uptimeS, isReady } = input;
  const parts = rows.shards.flat();
  const cluster = parts.find((part) => part.cluster !== undefined)?.cluster;
  const disk = parts.find((part) => part.disk !== undefined)?.disk;
  const isController = parts.some((part) => part.isController === true);
  const one = (value: number): Sample[] => [[[], value]];
  return [
    [BUILD, [[[version, ""], 1]]],
    [UPTIME, one(uptimeS)],
    [READY, one(isReady ? 1 : 0)],
    ...disk === undefined ? [] : [
      [DISK_FREE, one(disk.freeBytes)],
      [DISK_TOTAL, one(disk.totalBytes)],
      [DISK_ALERT, one(diskAlert(input, disk))],
    ] as const,
    [CONTROLLER, one(isController ? 1 : 0)],
    ...cluster === undefined ? [] : [
      [CLUSTER_BROKERS, one(cluster.brokers)],
      [CLUSTER_BROKERS_DOWN, one(cluster.unreachable)],
      [CLUSTER_TOPICS, one(cluster.topics)],
      [CLUSTER_PARTITIONS, one(cluster.partitions)],
      [CLUSTER_UNAVAILABLE, one(cluster.unavailable)],
    ] as const,
    [LEFT_OFF, leftOff(rows)],
    [SHARDS_SILENT, one(rows.silent)],
  ];
}

function diskAlert(
  { isDiskFull }: MetricsInput,
  { freeBytes, totalBytes }: { readonly freeBytes: number; readonly totalBytes: number },
): number {
  if (isDiskFull) return 2;
  return freeBytes < totalBytes * (1 - LOW_ROOM_SHARE) ? 1 : 0;
}

function leftOff({ shards }: CollectedRows): Sample[] {
  const parts = shards.flat();
  return (["topics", "partitions", "groups", "offsets"] as const).map((what) => [
    [what],
    parts.reduce((sum, { leftOff }) => sum + (leftOff?.[what] ?? 0), 0),
  ]);
}

/**
 * What a metric is: its name, what it counts, and where it is shown.
 *
 * @module
 */

export type MetricType = "counter" | "gauge" | "histogram";

/** One metric, as Prometheus sees it. */
export interface Metric {
  readonly name: string;
  readonly type: MetricType;
  /** One sentence, with the unit where the name has none. */
  readonly help: string;
  /** Names of its labels; at `/metrics` most have `shard` besides. */
  readonly labels: readonly string[];
  /** Shown at `/public_metrics`, too. */
  readonly isPublic: boolean;
  /** Of a shard. At `/public_metrics` shards are summed up, unless {@linkcode Metric.keepsShard}. */
  readonly ofShard: boolean;
  readonly keepsShard: boolean;
}

/** Values of labels, in the order of {@linkcode Metric.labels}. */
export type LabelValues = readonly string[];

/** What a metric may say beside its name. */
export interface MetricOptions {
  readonly labels?: readonly string[];
  /** Only at `/metrics`. */
  readonly isInternal?: boolean;
  /** One value for the node. */
  readonly ofNode?: boolean;
  readonly keepsShard?: boolean;
}

/** Defines a metric. */
export function metric(
  type: MetricType,
  name: string,
  help: string,
  { labels = [], isInternal = false, ofNode = false, keepsShard = false }: MetricOptions = {},
): Metric {
  return { name, type, help, labels, isPublic: !isInternal, ofShard: !ofNode, keepsShard };
}

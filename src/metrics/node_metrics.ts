/**
 * The metrics of a node as a whole: collected for each page, with a part in the table (`catalog.ts`).
 *
 * @module
 */

import { metric } from "./metric.ts";

export const BUILD = metric(
  "gauge",
  "redpanda_application_build",
  "Version of the program; always 1",
  { labels: ["redpanda_version", "redpanda_revision"], ofNode: true },
);
export const UPTIME = metric(
  "counter",
  "redpanda_application_uptime_seconds_total",
  "Time since the process started",
  { ofNode: true },
);
export const READY = metric(
  "gauge",
  "gregor_ready",
  "Whether the node serves all that it should, as /v1/status/ready says",
  { ofNode: true },
);
export const DISK_FREE = metric(
  "gauge",
  "redpanda_storage_disk_free_bytes",
  "Free bytes of the data directory's file system",
  { ofNode: true },
);
export const DISK_TOTAL = metric(
  "gauge",
  "redpanda_storage_disk_total_bytes",
  "Bytes of the data directory's file system",
  { ofNode: true },
);
export const DISK_ALERT = metric(
  "gauge",
  "redpanda_storage_disk_free_space_alert",
  "0: there is room; 1: at least 85 % are in use; 2: full, appends are refused",
  { ofNode: true },
);
export const LEFT_OFF = metric(
  "gauge",
  "gregor_metrics_left_off",
  "Topics, partitions, groups or offsets that this page does not show, because there are too many",
  { labels: ["what"], ofNode: true },
);
export const SHARDS_SILENT = metric(
  "gauge",
  "gregor_metrics_shards_silent",
  "Shards that did not answer this scrape in time: their gauges are old, their topics and groups are missing",
  { ofNode: true },
);

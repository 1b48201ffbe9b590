/**
 * Prometheus' text format (version 0.0.4).
 *
 * A family is its HELP and TYPE, then its samples, which belong together. Histograms are cumulative and end with
 * `+Inf`, whose value is the count.
 *
 * @module
 */

import { HISTOGRAM_SIZE, SUM_AT, upperEdgeUs } from "./histogram_buckets.ts";
import type { LabelValues, Metric } from "./metric.ts";

/** What a page of this format is served as. */
export const CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** Lines before a family's samples. */
export function familyHead({ name, type, help }: Metric): string {
  return `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n`;
}

/** The labels of a sample with its braces; empty when there are none. */
export function labelsOf(names: readonly string[], values: LabelValues): string {
  if (names.length === 0) return "";
  let text = "{";
  for (let at = 0; at < names.length; at++) {
    if (at > 0) text += ",";
    text += `${names[at]}="${escapeLabel(values[at]!)}"`;
  }
  return text + "}";
}

/** A line with a value. */
export function sample(name: string, labels: string, value: number): string {
  return `${name}${labels} ${numberText(value)}\n`;
}

/**
 * The lines of a histogram of times.
 *
 * @param values an array that has the histogram at `at` (`histogram_buckets.ts`)
 * @param shown buckets whose edges are shown, ascending
 */
export function histogramLines(
  name: string,
  labels: string,
  values: Float64Array,
  at: number,
  shown: readonly number[],
): string {
  const opened = labels === "" ? "{" : `${labels.slice(0, -1)},`;
  let text = "";
  let seen = 0;
  let bucket = 0;
  for (const last of shown) {
    for (; bucket <= last; bucket++) seen += values[at + bucket]!;
    text += `${name}_bucket${opened}le="${upperEdgeUs(last) / 1e6}"} ${numberText(seen)}\n`;
  }
  for (; bucket < SUM_AT; bucket++) seen += values[at + bucket]!;
  text += `${name}_bucket${opened}le="+Inf"} ${numberText(seen)}\n`;
  text += sample(`${name}_sum`, labels, values[at + SUM_AT]! / 1e6);
  return text + sample(`${name}_count`, labels, seen);
}

/** Adds the histogram at `at` of one array to another one at its beginning. */
export function addHistogram(sum: Float64Array, values: Float64Array, at: number): void {
  for (let i = 0; i < HISTOGRAM_SIZE; i++) sum[i]! += values[at + i]!;
}

/** Whether nothing was recorded in the histogram at `at`. */
export function isEmptyHistogram(values: Float64Array, at: number): boolean {
  for (let i = 0; i < SUM_AT; i++) if (values[at + i] !== 0) return false;
  return true;
}

/** As Go reads numbers. */
export function numberText(value: number): string {
  if (Number.isFinite(value)) return String(value);
  if (Number.isNaN(value)) return "NaN";
  return value > 0 ? "+Inf" : "-Inf";
}

function escapeHelp(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function escapeLabel(text: string): string {
  if (!/[\\"\n]/.test(text)) return text;
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

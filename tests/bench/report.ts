/**
 * What one run of the load generator said, and several runs taken together.
 *
 * @module
 */

export interface Latencies {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/** The generator's line; latencies in microseconds. */
export interface Report {
  readonly requests: number;
  readonly requestsPerS: number;
  readonly megabytesPerS: number;
  /** All small requests, those of the warm-up too. */
  readonly answered: number;
  readonly errors: number;
  readonly firstError: number;
  readonly latencyUs: Latencies;
  readonly largeRequests?: number;
  readonly largeLatencyUs?: Latencies;
  /** Processor time of the server, its kernel threads included, per request (us). */
  readonly processorUs: number;
}

/** @param processorS processor time that the server used meanwhile */
export function parseReport(line: string, processorS: number): Report {
  const said = JSON.parse(line) as Omit<Report, "processorUs">;
  const report = { ...said, processorUs: processorS * 1e6 / Math.max(1, said.answered) };
  const whole = typeof report.requests === "number" && typeof report.errors === "number" &&
    typeof report.latencyUs?.p999 === "number";
  if (!whole) throw new Error(`The load generator said "${line.trim()}"`);
  return report;
}

/** Median of the runs, and how far they went below and above it. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1
    ? sorted[middle]!
    : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return { median, min: sorted[0]!, max: sorted.at(-1)! };
}

/** `1,234 (1,100-1,300)`; fewer digits for large numbers. */
export function formatSpread(spread: Spread): string {
  if (spread.min === spread.max) return formatNumber(spread.median);
  return `${formatNumber(spread.median)} (${formatNumber(spread.min)}-${formatNumber(spread.max)})`;
}

export function formatNumber(value: number): string {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return value.toLocaleString("en-US", { maximumFractionDigits: digits });
}

/**
 * What the produce benchmark compares, each as a table in Markdown.
 *
 * @module
 */

import { formatNumber, formatSpread, type Report, spreadOf } from "./report.ts";
import {
  type Load,
  runLoad,
  type Server,
  type ServerPlace,
  startBroker,
  startMinimalLoop,
} from "./servers.ts";

const MIB = 2 ** 20;
const MANY_PARTITIONS = 2000;
/** A request of 99 batches of 1 MiB: as large as socket.request.max.bytes allows by default. */
const LARGE_BYTES = 100 * MIB;
const MEMORY = "1GiB";
/** An eighth of a core's memory is the largest frame. */
const MEMORY_FOR_LARGE = "2GiB";
/** The open loops run at this share of what the broker does at most. */
const RATE_SHARE = 0.5;
const LARGE_RATE_MAX = 5000;
const PAUSE_MS = 500;

export interface Plan {
  readonly rounds: number;
  readonly seconds: number;
  readonly warmupS: number;
}

export interface BenchContext {
  readonly plan: Plan;
  readonly place: ServerPlace;
  /** Only cells with this in their name are compared with the minimal loop; empty: all. */
  readonly cells: string;
  readonly loadProcessor: number | null;
  readonly say: (line: string) => void;
}

/** One side of a comparison: which load on which server. */
export interface Side {
  readonly name: string;
  readonly server: Server;
  readonly load: Load;
}

export interface Result {
  readonly name: string;
  readonly reports: readonly Report[];
}

/** Sizes and depths at which the broker is compared with the minimal loop. */
export const CELLS: readonly {
  name: string;
  batchBytes: number;
  connections: number;
  depth: number;
}[] = [
  { name: "1 KiB, 64 in flight", batchBytes: 1024, connections: 4, depth: 16 },
  { name: "64 KiB, 16 in flight", batchBytes: 64 * 1024, connections: 4, depth: 4 },
  { name: "1 KiB, one at a time", batchBytes: 1024, connections: 1, depth: 1 },
  { name: "64 KiB, one at a time", batchBytes: 64 * 1024, connections: 1, depth: 1 },
];

/** The broker's closed loop beside the minimal loop's, for each of the sizes. */
export async function compareLoop(context: BenchContext): Promise<string> {
  const loop = await startMinimalLoop(context.place);
  const broker = await startBroker(context.place, { memory: MEMORY, flags: [] });
  const lines: string[] = [];
  try {
    for (const { name, batchBytes, connections, depth } of CELLS) {
      if (!name.includes(context.cells)) continue;
      const load = loadOf(context, { batchBytes, connections, depth });
      const [minimal, whole] = await alternate(context, name, [
        { name: "minimal loop", server: loop, load },
        { name: "broker", server: broker, load },
      ]);
      lines.push(row([name, ...throughputCells(minimal!), "1"]));
      const ratio = ratios(whole!, minimal!, (report) => report.requestsPerS);
      lines.push(row(["", ...throughputCells(whole!), formatSpread(ratio)]));
    }
  } finally {
    await broker.stop();
    await loop.stop();
  }
  return [
    "## Broker and minimal loop",
    "",
    row(["Batches", "Server", ...THROUGHPUT_COLUMNS, "of the minimal loop"]),
    rule(4 + THROUGHPUT_COLUMNS.length - 1),
    ...lines,
  ].join("\n");
}

/** The same total rate over one partition and over many. */
export async function comparePartitions(context: BenchContext): Promise<string> {
  const broker = await startBroker(context.place, { memory: MEMORY, flags: [] });
  const sidesOf = (rate: number): Side[] =>
    [1, MANY_PARTITIONS].map((partitions) => ({
      name: partitions === 1 ? "1 partition" : `${formatNumber(partitions)} partitions`,
      server: broker,
      load: { ...loadOf(context, {}), topic: `spread-${partitions}`, partitions, rate },
    }));
  try {
    const atMost = await alternate(context, "1 KiB, 64 in flight", sidesOf(0));
    const most = spreadOf(atMost.flatMap(({ reports }) => reports.map((r) => r.requestsPerS)));
    const rate = Math.floor(most.min * RATE_SHARE);
    const atRate = await alternate(context, `1 KiB at ${rate}/s`, sidesOf(rate));
    const lines = [...atRate, ...atMost].map((result, at) => {
      const load = at < 2 ? `1 KiB at ${formatNumber(rate)}/s` : "1 KiB, 64 in flight";
      return row([at % 2 === 0 ? load : "", ...throughputCells(result)]);
    });
    return [
      "## One partition and 2,000",
      "",
      row(["Load", "Spread over", ...THROUGHPUT_COLUMNS]),
      rule(2 + THROUGHPUT_COLUMNS.length),
      ...lines,
    ].join("\n");
  } finally {
    await broker.stop();
  }
}

/** Small batches at a fixed rate, alone and beside a frame of 100 MiB every second. */
export async function compareLargeFrame(context: BenchContext): Promise<string> {
  const broker = await startBroker(context.place, { memory: MEMORY_FOR_LARGE, flags: [] });
  try {
    const closed = loadOf(context, {});
    const { requestsPerS } = await runLoad(broker, closed, context.loadProcessor);
    const rate = Math.min(LARGE_RATE_MAX, Math.floor(requestsPerS * RATE_SHARE));
    const load = { ...closed, rate };
    const results = await alternate(context, `1 KiB at ${rate}/s`, [
      { name: "alone", server: broker, load },
      {
        name: "with 100 MiB every second",
        server: broker,
        load: { ...load, topic: "beside", largeBytes: LARGE_BYTES },
      },
    ]);
    const lines = results.map((result) => row(throughputCells(result)));
    const large = results[1]!.reports.flatMap((report) => report.largeLatencyUs ?? []);
    const count = results[1]!.reports.reduce((sum, report) => sum + (report.largeRequests ?? 0), 0);
    // A round in which none was answered has no latency.
    const p50 = large.map((latencies) => latencies.p50 / 1000).filter((ms) => ms > 0);
    const answered = count === 0
      ? "No large frame was answered within the measured seconds: run longer to see them end."
      : `Large frames answered: ${count}, in ${formatSpread(spreadOf(p50))} ms.`;
    return [
      "## A frame of 100 MiB among small ones",
      "",
      `1 KiB batches at ${
        formatNumber(rate)
      }/s over 4 connections; the frame holds 99 batches of 1 MiB.`,
      "",
      row(["Small batches", ...THROUGHPUT_COLUMNS]),
      rule(1 + THROUGHPUT_COLUMNS.length),
      ...lines,
      "",
      answered,
    ].join("\n");
  } finally {
    await broker.stop();
  }
}

export function loadOf(context: BenchContext, changes: Partial<Load>): Load {
  const { warmupS, seconds } = context.plan;
  return {
    topic: "bench",
    partitions: 1,
    connections: 4,
    depth: 16,
    batchBytes: 1024,
    rate: 0,
    largeBytes: 0,
    warmupS,
    seconds,
    ...changes,
  };
}

/** Runs the sides in turn, round after round. */
export async function alternate(
  context: BenchContext,
  name: string,
  sides: readonly Side[],
): Promise<Result[]> {
  const results = sides.map((side) => ({ name: side.name, reports: [] as Report[] }));
  for (let round = 1; round <= context.plan.rounds; round++) {
    for (const [at, { name: side, server, load }] of sides.entries()) {
      // Later work of the previous server (write-behind, a checkpoint) must not count here.
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      const report = await runLoad(server, load, context.loadProcessor);
      results[at]!.reports.push(report);
      const { requestsPerS, megabytesPerS, latencyUs } = report;
      context.say(
        `${name}, round ${round}, ${side}: ${formatNumber(requestsPerS)}/s, ` +
          `${formatNumber(megabytesPerS)} MB/s, p50 ${formatNumber(latencyUs.p50)} us, ` +
          `p99 ${formatNumber(latencyUs.p99)} us, CPU ${formatNumber(report.processorUs)} us`,
      );
    }
  }
  return results;
}

/** How `a` compares with `b` in each round. */
export function ratios(a: Result, b: Result, of: (report: Report) => number) {
  return spreadOf(a.reports.map((report, round) => of(report) / of(b.reports[round]!)));
}

export const THROUGHPUT_COLUMNS = [
  "Requests/s",
  "MB/s",
  "p50 us",
  "p90 us",
  "p99 us",
  "p99.9 us",
  "max us",
  "CPU us/request",
];

export function throughputCells({ name, reports }: Result): string[] {
  const median = (of: (report: Report) => number) => formatNumber(spreadOf(reports.map(of)).median);
  return [
    name,
    formatSpread(spreadOf(reports.map((report) => report.requestsPerS))),
    median((report) => report.megabytesPerS),
    median((report) => report.latencyUs.p50),
    median((report) => report.latencyUs.p90),
    median((report) => report.latencyUs.p99),
    median((report) => report.latencyUs.p999),
    median((report) => report.latencyUs.max),
    median((report) => report.processorUs),
  ];
}

export function row(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}

export function rule(columns: number): string {
  return `|${" --- |".repeat(columns)}`;
}

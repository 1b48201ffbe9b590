/**
 * What replication costs: the same load on one broker, and on three with a replica of every record on each.
 *
 * @module
 */

import {
  alternate,
  type BenchContext,
  CELLS,
  loadOf,
  ratios,
  type Result,
  row,
  rule,
  THROUGHPUT_COLUMNS,
  throughputCells,
} from "./comparisons.ts";
import { formatNumber, formatSpread, spreadOf } from "./report.ts";
import { runLoad, startBroker, startCluster } from "./servers.ts";

const TOPIC = "replicated";
const MEMORY = "512MiB";
/**
 * Before a cell is measured, each side runs it for as long: the compiler of each process gets on with it only as often as
 * the process has the processor, of which three have a third each (s).
 */
const WARM_S = 10;

/** Both sides' closed loops, for each of the sizes. */
export async function compareCluster(context: BenchContext): Promise<string> {
  const one = await startBroker(context.place, { memory: MEMORY, flags: [] });
  const lines: string[] = [];
  try {
    const three = await startCluster(context.place, { memory: MEMORY, flags: [], topic: TOPIC });
    try {
      for (const { name, batchBytes, connections, depth } of CELLS) {
        if (!name.includes(context.cells)) continue;
        const load = loadOf(context, { batchBytes, connections, depth, topic: TOPIC });
        for (const server of [one, three]) {
          await runLoad(server, { ...load, seconds: WARM_S }, context.loadProcessor);
        }
        const [single, replicated] = await alternate(context, name, [
          { name: "one broker", server: one, load },
          { name: "three brokers", server: three, load },
        ]);
        const ratio = ratios(replicated!, single!, (report) => report.requestsPerS);
        lines.push(row([name, ...throughputCells(single!), perMegabyte(single!, batchBytes), "1"]));
        lines.push(row([
          "",
          ...throughputCells(replicated!),
          perMegabyte(replicated!, batchBytes),
          formatSpread(ratio),
        ]));
      }
    } finally {
      await three.stop();
    }
  } finally {
    await one.stop();
  }
  return [
    "## One broker and three",
    "",
    row(["Batches", "Server", ...THROUGHPUT_COLUMNS, "CPU ms/MB", "of one broker"]),
    rule(4 + THROUGHPUT_COLUMNS.length),
    ...lines,
  ].join("\n");
}

/** Processor time of all brokers for a megabyte of batches (ms): nanoseconds for a byte. */
function perMegabyte({ reports }: Result, batchBytes: number): string {
  return formatNumber(
    spreadOf(reports.map((report) => 1000 * report.processorUs / batchBytes)).median,
  );
}

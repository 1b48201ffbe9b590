/**
 * What it costs to look at the records of produced batches: each codec and size, with the records looked at, with
 * compressed ones believed, and, where another checkout is given, beside its broker.
 *
 * @module
 */

import { join } from "node:path";
import { compress, COMPRESSION_NAMES } from "../../src/bytes/compression.ts";
import { type Compression, Compression as Codec } from "../../src/wire/record_batch.ts";
import { RecordBatchBuilder } from "../../src/wire/record_batch_builder.ts";
import {
  alternate,
  type BenchContext,
  loadOf,
  ratios,
  type Result,
  row,
  rule,
  type Side,
  THROUGHPUT_COLUMNS,
  throughputCells,
} from "./comparisons.ts";
import { formatSpread } from "./report.ts";
import { type Server, startBroker } from "./servers.ts";

const MEMORY = "1GiB";
/** Sizes before compression, and how large a value is. */
const SIZES = [
  { name: "1 KiB", bytes: 1024, value: 1024, connections: 4, depth: 16 },
  { name: "64 KiB", bytes: 64 * 1024, value: 1024, connections: 4, depth: 4 },
  { name: "64 KiB of small records", bytes: 64 * 1024, value: 100, connections: 4, depth: 4 },
] as const;

/** @param checkout folder of another checkout to compare with, its shim built; null: none */
export async function compareRecords(
  context: BenchContext,
  checkout: string | null,
): Promise<string> {
  const { place } = context;
  const start = (flags: readonly string[], other?: string): Promise<Server> =>
    startBroker(place, {
      memory: MEMORY,
      flags,
      ...(other === undefined ? {} : { checkout: other }),
    });
  const before = checkout === null ? null : await start([], checkout);
  const all = await start([]);
  const believing = await start(["--set=produce.records.check=uncompressed"]);
  const lines: string[] = [];
  try {
    for (const { name, bytes, value, connections, depth } of SIZES) {
      for (const compression of Object.values(Codec)) {
        const cell = `${name}, ${COMPRESSION_NAMES[compression]}`;
        if (!cell.includes(context.cells)) continue;
        const batchFile = join(place.parentDir, "batch");
        Deno.writeFileSync(batchFile, batchOf(bytes, value, compression));
        const topic = `records-${compression}`;
        const load = loadOf(context, { batchFile, connections, depth, topic });
        const sides: Side[] = [{ name: "looked at", server: all, load }];
        if (compression !== Codec.NONE) sides.push({ name: "believed", server: believing, load });
        if (before !== null) sides.push({ name: "other checkout", server: before, load });
        const results = await alternate(context, cell, sides);
        lines.push(...rowsOf(cell, results));
      }
    }
  } finally {
    await all.stop();
    await believing.stop();
    await before?.stop();
  }
  return [
    "## Looking at records",
    "",
    "Text of about 1 KiB or 100 B a value; sizes are those before compression.",
    "",
    row(["Batches", "Records", ...THROUGHPUT_COLUMNS, "looked at, of this"]),
    rule(3 + THROUGHPUT_COLUMNS.length),
    ...lines,
  ].join("\n");
}

function rowsOf(cell: string, results: readonly Result[]): string[] {
  const [looked] = results;
  return results.map((result, at) => {
    const ratio = ratios(looked!, result, (report) => report.requestsPerS);
    return row([at === 0 ? cell : "", ...throughputCells(result), formatSpread(ratio)]);
  });
}

/** Lines as services log them: words that come again, and numbers that do not. */
function batchOf(sizeBytes: number, valueBytes: number, compression: Compression): Uint8Array {
  const builder = new RecordBatchBuilder();
  const timestamp = Date.now();
  let line = 0;
  while (builder.size < sizeBytes - 100) {
    let text = "";
    while (text.length < valueBytes) {
      const number = (line * 2_654_435_761) >>> 0;
      text += `{"level":"info","service":"orders","request":"${number.toString(16)}","ms":${
        number % 977
      }}\n`;
      line++;
    }
    const value = new TextEncoder().encode(
      text.slice(0, Math.min(valueBytes, sizeBytes - builder.size - 80)),
    );
    builder.add({ key: null, value, timestamp });
  }
  return builder.build({ compression, compress: (bytes) => compress(compression, bytes) });
}

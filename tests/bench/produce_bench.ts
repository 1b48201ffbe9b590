/**
 * Measures the broker's durable produce path against the minimal loop that does the same work.
 *
 *     deno task bench [--rounds 3] [--seconds 5] [--dir DIR] \
 *         [--only loop,partitions,large,records,cluster,failover,catchup,calm,many,compaction] \
 *         [--failovers 20] [--minutes 0.25] [--partitions 3000] [--cells "1 KiB"] [--checkout DIR] [--write]
 *
 * Server and load generator have a processor each. What is compared alternates within one run (A B A B ...),
 * because machines are noisy: only ratios within a run mean anything, and each cell is the median of the
 * rounds with the lowest and highest. `--write` puts the tables that it measured into docs/BENCHMARKS.md; `--dir` says on
 * which disk the files lie (with /dev/shm, where durability costs nothing, the cost of the processor alone
 * remains); `--cells` takes only those of the cells (of loop, records and failover) whose name holds a text;
 * `--checkout` has the comparison of records run another checkout beside this one; `--minutes` says how long a broker is
 * away before it catches up, and how long false elections are looked for; `--partitions` says how many of them are quiet.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { join } from "node:path";
import { measureCatchUp } from "./catch_up.ts";
import { compareLargeFrame, compareLoop, comparePartitions } from "./comparisons.ts";
import { watchCalm } from "./calm.ts";
import { compareCluster } from "./cluster_comparison.ts";
import { compareCompaction } from "./compaction.ts";
import { compareFailover } from "./failover.ts";
import { compareRecords } from "./record_comparison.ts";
import { measureMany } from "./many_partitions.ts";
import { hostLine, writePage } from "./page.ts";
import { buildLoadgen, type ServerPlace } from "./servers.ts";

/** How long each phase with many partitions is measured (s). */
const MANY_S = 30;
const MANY_MEMORY = "2GiB";

const { values } = parseArgs({
  args: Deno.args,
  options: {
    rounds: { type: "string", default: "3" },
    seconds: { type: "string", default: "5" },
    warmup: { type: "string", default: "1" },
    dir: { type: "string", default: Deno.env.get("TMPDIR") ?? "/tmp" },
    only: {
      type: "string",
      default: "loop,partitions,large,records,cluster,failover,catchup,calm,many,compaction",
    },
    failovers: { type: "string", default: "20" },
    minutes: { type: "string", default: "0.25" },
    partitions: { type: "string", default: "3000" },
    cells: { type: "string", default: "" },
    checkout: { type: "string" },
    write: { type: "boolean", default: false },
  },
});

const plan = {
  rounds: Number(values.rounds),
  seconds: Number(values.seconds),
  warmupS: Number(values.warmup),
};
const wanted = values.only.split(",");
const parentDir = await Deno.makeTempDir({ dir: values.dir, prefix: "gregor-bench-" });
const twoProcessors = navigator.hardwareConcurrency > 1;
const place: ServerPlace = { processor: twoProcessors ? 0 : null, parentDir };
const context = {
  plan,
  place,
  cells: values.cells,
  loadProcessor: twoProcessors ? 1 : null,
  say: (line: string) => console.error(line),
};

const sections: string[] = [];
try {
  await buildLoadgen();
  if (wanted.includes("loop")) sections.push(await compareLoop(context));
  if (wanted.includes("partitions")) sections.push(await comparePartitions(context));
  if (wanted.includes("large")) sections.push(await compareLargeFrame(context));
  if (wanted.includes("records")) {
    sections.push(await compareRecords(context, values.checkout ?? null));
  }
  if (wanted.includes("cluster")) sections.push(await compareCluster(context));
  if (wanted.includes("failover")) {
    sections.push(await compareFailover(context, Number(values.failovers)));
  }
  if (wanted.includes("catchup")) {
    sections.push(await measureCatchUp(context, { minutes: Number(values.minutes) }));
  }
  if (wanted.includes("calm")) {
    sections.push((await watchCalm(context, Number(values.minutes))).table);
  }
  if (wanted.includes("compaction")) sections.push(await compareCompaction(context));
  if (wanted.includes("many")) {
    const many = { partitions: Number(values.partitions), seconds: MANY_S, memory: MANY_MEMORY };
    sections.push((await measureMany(context, many)).table);
  }
} finally {
  await Deno.remove(parentDir, { recursive: true });
}
const host = hostLine(values.dir, plan);
console.log([host, ...sections].join("\n\n"));
if (values.write) writePage(join(import.meta.dirname!, "../../docs/BENCHMARKS.md"), host, sections);

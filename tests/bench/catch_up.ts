/**
 * What a broker that was away costs the producers while it catches up.
 *
 * Three brokers with a replica of the partition on each. A follower is killed; producers go on, for as long as asked for; it
 * is started again, and producers load its leader as hard as they can until the replica is in sync. That is compared with
 * the same load before it went and after it has caught up, because then all three take every record, too.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { pause } from "../crash/link.ts";
import { type BenchContext, loadOf, row, rule } from "./comparisons.ts";
import { formatNumber, formatSpread, type Report, spreadOf } from "./report.ts";
import { type ClusterServer, type Load, runLoad, type Server, startCluster } from "./servers.ts";

const TOPIC = "returning";
const MEMORY = "512MiB";
const BATCH_BYTES = 16 * 1024;
/** What is written while the broker is away (bytes per s): the disk has to hold it three times. */
const AWAY_BYTES_PER_S = 20e6;
const IN_SYNC_MS = 600_000;
/** After a phase, its writes go to the segments (ms). */
const REST_MS = 1_000;

export interface CatchUpPlan {
  /** How long the broker is away (min). */
  readonly minutes: number;
  /** More flags for the brokers. */
  readonly flags?: readonly string[];
}

/** A time of the cluster: what producers got, in slices of equal length. */
interface Phase {
  readonly name: string;
  readonly reports: readonly Report[];
  readonly seconds: number;
}

/** The table; throws when the broker does not catch up. */
export async function measureCatchUp(
  context: Omit<BenchContext, "cells">,
  { minutes, flags = [] }: CatchUpPlan,
): Promise<string> {
  const options = { memory: MEMORY, flags, topic: TOPIC };
  const cluster = await startCluster(context.place, options);
  try {
    const phases = await new Returning(context, cluster).run(minutes * 60);
    return tableOf(phases, minutes);
  } finally {
    await cluster.stop();
  }
}

class Returning {
  readonly #context: Omit<BenchContext, "cells">;
  readonly #cluster: ClusterServer;
  readonly #load: Load;

  constructor(context: Omit<BenchContext, "cells">, cluster: ClusterServer) {
    this.#context = context;
    this.#cluster = cluster;
    const changes = { topic: TOPIC, batchBytes: BATCH_BYTES, connections: 4, depth: 8 };
    this.#load = loadOf({ ...context, cells: "" }, changes);
  }

  async run(awayS: number): Promise<Phase[]> {
    const { cluster, leader } = this.#cluster;
    const follower = cluster.brokers[(leader + 1) % cluster.brokers.length]!;
    const all = await this.#slices("all three", this.#cluster);
    await follower.kill();
    const { otherPids } = this.#cluster;
    const two = { ...this.#cluster, otherPids: otherPids.filter((pid) => pid !== follower.pid) };
    const down = await this.#slices("one is away", two);
    const rate = AWAY_BYTES_PER_S / BATCH_BYTES;
    const loadMs = performance.now();
    await runLoad(two, { ...this.#load, rate, warmupS: 0, seconds: awayS }, this.#processor);
    this.#context.say(`away for ${Math.round((performance.now() - loadMs) / 1000)} s more`);
    await follower.restart();
    const back = { ...two, otherPids: [...two.otherPids, follower.pid] };
    const catching = await this.#untilInSync(back);
    await pause(REST_MS);
    const after = await this.#slices("all three again", back);
    return [all, down, catching, after];
  }

  get #processor(): number | null {
    return this.#context.loadProcessor;
  }

  async #slices(name: string, server: Server): Promise<Phase> {
    const { rounds } = this.#context.plan;
    const reports: Report[] = [];
    const fromMs = performance.now();
    while (reports.length < rounds) reports.push(await this.#slice(name, server));
    return { name, reports, seconds: (performance.now() - fromMs) / 1000 };
  }

  async #untilInSync(server: Server): Promise<Phase> {
    const name = "it catches up";
    const reports: Report[] = [];
    const fromMs = performance.now();
    do {
      assert(performance.now() - fromMs < IN_SYNC_MS, "the broker does not catch up");
      reports.push(await this.#slice(name, server, 0));
    } while (!await this.#isInSync());
    return { name, reports, seconds: (performance.now() - fromMs) / 1000 };
  }

  async #slice(name: string, server: Server, warmupS = this.#load.warmupS): Promise<Report> {
    const report = await runLoad(server, { ...this.#load, warmupS }, this.#processor);
    const { megabytesPerS, latencyUs } = report;
    this.#context.say(
      `${name}: ${formatNumber(megabytesPerS)} MB/s, p99 ${formatNumber(latencyUs.p99)} us, ` +
        `CPU ${formatNumber(report.processorUs)} us`,
    );
    return report;
  }

  async #isInSync(): Promise<boolean> {
    const { links, cluster } = this.#cluster;
    const metadata = await links.metadata().catch(() => null);
    const topic = metadata?.topics.find(({ name }) => name === TOPIC);
    return topic?.partitions[0]?.isrNodes.length === cluster.brokers.length;
  }
}

function tableOf(phases: readonly Phase[], minutes: number): string {
  const [all, , catching, after] = phases.map(({ reports }) =>
    spreadOf(reports.map(({ megabytesPerS }) => megabytesPerS)).median
  );
  const usual = (all! + after!) / 2;
  const lines = phases.map(({ name, reports, seconds }) => {
    const megabytes = spreadOf(reports.map(({ megabytesPerS }) => megabytesPerS));
    const median = (of: (report: Report) => number) =>
      formatNumber(spreadOf(reports.map(of)).median);
    return row([
      name,
      formatNumber(seconds),
      formatSpread(megabytes),
      formatNumber(megabytes.median / usual),
      median(({ latencyUs }) => latencyUs.p50),
      median(({ latencyUs }) => latencyUs.p99),
      median(({ latencyUs }) => latencyUs.max),
      median(({ processorUs }) => 1000 * processorUs / BATCH_BYTES),
    ]);
  });
  return [
    "## A broker returns",
    "",
    `Three brokers, replication factor 3, batches of 16 KiB, 32 in flight. One is away while producers load the others, and ` +
    `for ${formatNumber(minutes)} min more, at ${formatNumber(AWAY_BYTES_PER_S / 1e6)} MB/s. ` +
    `While it catches up, producers get ${
      formatNumber(catching! / usual)
    } of what they get before and afterwards.`,
    "",
    row(["Phase", "s", "MB/s", "of all three", "p50 us", "p99 us", "max us", "CPU ms/MB"]),
    rule(8),
    ...lines,
  ].join("\n");
}

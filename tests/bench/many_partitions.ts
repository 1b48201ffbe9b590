/**
 * What thousands of replicated partitions cost that nobody uses: quiet groups stay quiet, whoever dies or comes and goes.
 *
 * Three brokers with a replica of every partition on each. Processor time and elections are counted while all are there, while
 * one is dead, while that one is started and killed again and again, and after it has come back.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import type { MetadataResponsePartition } from "../../src/wire/generated/metadata_response.ts";
import { ClusterLinks } from "../cluster/cluster_links.ts";
import { parseAddress, pause } from "../crash/link.ts";
import { createTopic } from "../crash/side_loads.ts";
import type { Broker } from "../harness/broker.ts";
import { LocalCluster } from "../harness/local_cluster.ts";
import { type BenchContext, row, rule } from "./comparisons.ts";
import { formatNumber } from "./report.ts";
import { processorSeconds } from "./servers.ts";

const NODES = 3;
const PARTITIONS_OF_A_TOPIC = 1_000;
/** Who comes and goes is there, and away, for so long (ms). */
const COMES_MS = 3_000;
const AWAY_MS = 2_000;
/** What a change causes has happened by then, if the plan says nothing else. */
const REST_MS = 10_000;
const IN_SYNC_MS = 120_000;

export interface ManyPlan {
  readonly partitions: number;
  /** How long each phase is measured (s). */
  readonly seconds: number;
  /** After a change, before the next phase (ms). */
  readonly restMs?: number;
  readonly memory: string;
  /** More flags for the brokers. */
  readonly flags?: readonly string[];
}

/** A time of the cluster, as the brokers that were there all the time lived it. */
interface Phase {
  readonly name: string;
  /** Of one core, for each of them. */
  readonly busy: readonly number[];
  /** Terms that began, of all groups. */
  readonly elections: number;
}

/** What was measured: {@linkcode table} for people. */
export interface Many {
  readonly phases: readonly Phase[];
  /** From the last start to the moment in which all replicas are in sync (s). */
  readonly returnS: number;
  readonly table: string;
}

/** Throws when the cluster does not come to rest. */
export async function measureMany(
  context: Pick<BenchContext, "place" | "say">,
  plan: ManyPlan,
): Promise<Many> {
  const cluster = await LocalCluster.start({
    nodes: NODES,
    memory: plan.memory,
    parentDir: context.place.parentDir,
    flags: [
      "--mode=production",
      "--idle-poll-us=0",
      "--set=default.replication.factor=3",
      // Leadership that is moved on purpose would be counted, too.
      "--set=auto.leader.rebalance.enable=false",
      ...plan.flags ?? [],
    ],
  });
  const many = new ManyPartitions(context, plan, cluster);
  try {
    return await many.run();
  } finally {
    many.close();
    await cluster.dispose();
  }
}

class ManyPartitions {
  readonly #context: Pick<BenchContext, "say">;
  readonly #plan: ManyPlan;
  readonly #cluster: LocalCluster;
  readonly #links: ClusterLinks;
  readonly #phases: Phase[] = [];

  constructor(context: Pick<BenchContext, "say">, plan: ManyPlan, cluster: LocalCluster) {
    this.#context = context;
    this.#plan = plan;
    this.#cluster = cluster;
    // Those that stay are asked.
    this.#links = new ClusterLinks(
      cluster.brokers.slice(0, -1).map(({ kafka }) => parseAddress(kafka)),
    );
  }

  close(): void {
    for (const link of this.#links.links) link.close();
  }

  async run(): Promise<Many> {
    const { partitions } = this.#plan;
    const { brokers } = this.#cluster;
    const stay = brokers.slice(0, -1);
    const other = brokers.at(-1)!;
    for (let made = 0; made < partitions; made += PARTITIONS_OF_A_TOPIC) {
      const count = Math.min(PARTITIONS_OF_A_TOPIC, partitions - made);
      await createTopic(this.#links.link("control", null), `quiet-${made}`, count);
    }
    await this.#until(NODES);
    await this.#measure("all three are there", brokers);
    await other.kill();
    await this.#until(NODES - 1);
    await this.#measure("one is dead", stay);
    await this.#measure("it comes and goes", stay, async () => {
      await other.restart();
      await pause(COMES_MS);
      await other.kill();
      await pause(AWAY_MS);
    });
    const fromMs = performance.now();
    await other.restart();
    const returnS = (await this.#until(NODES) - fromMs) / 1000;
    await this.#measure("it is back", brokers);
    const resident = brokers.map(({ pid }) => residentBytes(pid));
    return { phases: this.#phases, returnS, table: this.#table(returnS, resident) };
  }

  /** @param meanwhile done again and again; the phase ends behind the first one that ends late enough */
  async #measure(
    name: string,
    brokers: readonly Broker[],
    meanwhile: () => Promise<void> = () => pause(100),
  ): Promise<void> {
    const terms = sumOfTerms(await this.#partitions());
    const before = brokers.map(({ pid }) => processorSeconds(pid));
    const fromMs = performance.now();
    while (performance.now() - fromMs < this.#plan.seconds * 1000) await meanwhile();
    const seconds = (performance.now() - fromMs) / 1000;
    const busy = brokers.map(({ pid }, at) => (processorSeconds(pid) - before[at]!) / seconds);
    const elections = sumOfTerms(await this.#partitions()) - terms;
    this.#context.say(
      `${name}: ${busy.map(percent).join(" ")} % of a core, ${elections} elections`,
    );
    this.#phases.push({ name, busy, elections });
  }

  /** Waits until every partition has a leader and so many replicas in sync, and then a little; when that was. */
  async #until(inSync: number): Promise<number> {
    const lateMs = performance.now() + IN_SYNC_MS;
    for (;;) {
      const partitions = await this.#partitions().catch(() => []);
      const isSo = partitions.length >= this.#plan.partitions &&
        partitions.every(({ leaderId, isrNodes }) => leaderId >= 0 && isrNodes.length === inSync);
      const nowMs = performance.now();
      if (isSo) {
        await pause(this.#plan.restMs ?? REST_MS);
        return nowMs;
      }
      assert(nowMs < lateMs, `not ${inSync} in sync\n${this.#cluster.stderr}`);
      await pause(100);
    }
  }

  async #partitions(): Promise<MetadataResponsePartition[]> {
    const { topics } = await this.#links.metadata();
    return topics.flatMap(({ partitions }) => partitions);
  }

  #table(returnS: number, resident: readonly number[]): string {
    const lines = this.#phases.map(({ name, busy, elections }) =>
      row([name, busy.map(percent).join(", "), formatNumber(elections)])
    );
    const megabytes = resident.map((bytes) => formatNumber(bytes / 1e6)).join(", ");
    const { partitions, memory } = this.#plan;
    return [
      `## ${formatNumber(partitions)} quiet partitions`,
      "",
      `Three brokers, replication factor 3, \`--memory ${memory}\`, no clients. Who comes and goes is there for ` +
      `${COMES_MS / 1000} s and away for ${
        AWAY_MS / 1000
      } s. From its last start until every replica is in sync: ` +
      `${formatNumber(returnS)} s. Resident at the end: ${megabytes} MB.`,
      "",
      row(["Phase", "Of a core, by broker (%)", "Elections"]),
      rule(3),
      ...lines,
    ].join("\n");
  }
}

function percent(busy: number): string {
  return formatNumber(100 * busy);
}

function sumOfTerms(partitions: readonly MetadataResponsePartition[]): number {
  return partitions.reduce((sum, { leaderEpoch }) => sum + leaderEpoch, 0);
}

function residentBytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(Deno.readTextFileSync(`/proc/${pid}/status`))![1]) * 1024;
}

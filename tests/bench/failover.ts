/**
 * How long producers wait when the leader of their partition goes: killed, silent, asked to hand over, or stopped.
 *
 * Three brokers with replication factor 3, all under load. Of a leader that dies it is measured when the next one
 * acknowledges its first record, by asking both survivors all the time. Of a leader that hands over it is measured what a
 * producer sees that follows hints: the longest pause between two acknowledgements, one request at a time.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { Xoshiro128 } from "../../src/base/prng.ts";
import { Connection } from "../../src/cli/client/connection.ts";
import { TRANSFER_LEADERSHIP } from "../../src/wire/generated/apis.ts";
import { newTransferLeadershipRequest } from "../../src/wire/generated/transfer_leadership_request.ts";
import { ClusterLinks } from "../cluster/cluster_links.ts";
import { Lane } from "../crash/lane.ts";
import { Ledger, Problems } from "../crash/ledger.ts";
import { LinkClosed, parseAddress, pause } from "../crash/link.ts";
import { createTopic, newProducer } from "../crash/side_loads.ts";
import type { Broker } from "../harness/broker.ts";
import { LocalCluster } from "../harness/local_cluster.ts";
import { type BenchContext, row, rule } from "./comparisons.ts";
import { firstAcknowledgement, HintedProducer } from "./hinted_producer.ts";
import { formatNumber, spreadOf } from "./report.ts";

const TOPIC = "failover";
const NODES = 3;
const LANES = 4;
const IN_SYNC_MS = 60_000;
/** Between two trials (ms). */
const REST_MS = 1_000;
/** A silent leader stays so for longer than an election takes (ms). */
const WINDOW_MS = 1_500;

interface Event {
  readonly name: string;
  readonly target: string;
  readonly trials: number;
  /** Does it once; ms. */
  once(): Promise<number>;
}

/** A cluster under load, of which one partition is watched. */
class Watched {
  readonly cluster: LocalCluster;
  readonly #links: ClusterLinks;
  readonly #lanes: Lane[] = [];
  readonly #running: Promise<void>[] = [];
  readonly #problems = new Problems();
  #stopped = false;
  /** Refusals that producers may not repeat. */
  readonly final: string[] = [];

  private constructor(cluster: LocalCluster) {
    this.cluster = cluster;
    this.#links = new ClusterLinks(cluster.brokers.map(({ kafka }) => parseAddress(kafka)));
  }

  static async start(parentDir: string, flags: readonly string[]): Promise<Watched> {
    const watched = new Watched(
      await LocalCluster.start({
        nodes: NODES,
        parentDir,
        flags: [
          "--mode=production",
          "--idle-poll-us=0",
          "--set=default.replication.factor=3",
          ...flags,
        ],
      }),
    );
    await watched.#load();
    return watched;
  }

  async #load(): Promise<void> {
    const link = this.#links.link("control", null);
    await createTopic(link, TOPIC, 1);
    for (let id = 0; id < LANES; id++) {
      const identity = await newProducer(link);
      const ledger = new Ledger(TOPIC, 0, this.#problems);
      const lane = new Lane({
        id,
        link: this.#links.link(`lane-${id}`, ledger),
        identity,
        ledger,
        random: new Xoshiro128(id + 1),
        recordsMax: 4,
        recordBytesMax: 1024,
        largePercent: 0,
        largeBytes: 0,
        pauseMs: 4,
      });
      this.#lanes.push(lane);
      const run = lane.run(() => this.#stopped);
      this.#running.push(run.catch((error) => {
        if (!(error instanceof LinkClosed)) this.#problems.add(String(error));
      }));
    }
  }

  get acked(): number {
    return this.#lanes.reduce((sum, lane) => sum + lane.acked, 0);
  }

  /** Waits until every replica is in sync, and a little longer; the leader. */
  async settled(): Promise<number> {
    const lateMs = performance.now() + IN_SYNC_MS;
    for (;;) {
      assert(performance.now() < lateMs, `the replicas are not in sync\n${this.cluster.stderr}`);
      assert(!this.#problems.any, this.#problems.list.join("\n"));
      await pause(100);
      const metadata = await this.#links.metadata().catch(() => null);
      const [partition] = metadata?.topics.find(({ name }) => name === TOPIC)?.partitions ?? [];
      const inSync = partition?.isrNodes.length === NODES && partition.leaderId >= 0;
      if (!inSync || metadata!.brokers.length < NODES) continue;
      const { acked } = this;
      await pause(REST_MS);
      const leader = await this.#links.leaderOf(TOPIC, 0);
      if (leader === partition.leaderId && this.acked > acked) return leader;
    }
  }

  /** Ends the leader by `end`, and waits for the first acknowledgement of another. */
  async lose(
    end: (leader: Broker) => Promise<unknown>,
    restore: (leader: Broker) => Promise<unknown>,
  ): Promise<number> {
    const leader = this.cluster.brokers[await this.settled()]!;
    const survivors = await Promise.all(
      this.cluster.brokers.filter((broker) => broker !== leader).map((broker) =>
        Connection.open(parseAddress(broker.kafka), { timeoutMs: 15_000 })
      ),
    );
    const fromMs = performance.now();
    const ended = end(leader);
    const atMs = await firstAcknowledgement(survivors, TOPIC);
    await ended;
    for (const connection of survivors) connection.close();
    await restore(leader);
    return atMs - fromMs;
  }

  /** The longest pause of a producer while the leader hands over. */
  async handOver(
    hand: (leader: Broker, id: number) => Promise<unknown>,
    restore: (leader: Broker) => Promise<unknown>,
  ): Promise<number> {
    const id = await this.settled();
    const leader = this.cluster.brokers[id]!;
    const addresses = this.cluster.brokers.map(({ kafka }) => parseAddress(kafka));
    const producer = new HintedProducer(addresses, TOPIC, id);
    producer.start();
    await pause(200);
    producer.begin();
    const handed = hand(leader, id);
    await pause(WINDOW_MS);
    await handed;
    const { longestMs, acknowledged } = producer;
    await producer.stop();
    assert(acknowledged > 0, "nothing was acknowledged");
    this.final.push(...producer.final);
    await restore(leader);
    assert(await this.settled() !== id || leader.pid === 0, "the leader leads still");
    return longestMs;
  }

  async transferFrom(leader: Broker, id: number): Promise<void> {
    const connection = await Connection.open(parseAddress(leader.kafka), { timeoutMs: 15_000 });
    const nodeId = (id + 1) % NODES;
    const request = newTransferLeadershipRequest({ topic: TOPIC, partition: 0, nodeId });
    const { errorCode } = await connection.call(TRANSFER_LEADERSHIP, request);
    connection.close();
    assert.equal(errorCode, 0, "the transfer was refused");
  }

  async end(): Promise<void> {
    this.#stopped = true;
    for (const lane of this.#lanes) lane.hold();
    for (const link of this.#links.links) link.close();
    await Promise.all(this.#running);
    await this.cluster.dispose();
    assert(!this.#problems.any, this.#problems.list.join("\n"));
  }
}

const NOTHING = (): Promise<void> => Promise.resolve();

/**
 * The events, each as a line of a table.
 *
 * @param flags more of them for the brokers
 */
export async function compareFailover(
  context: Pick<BenchContext, "place" | "say">,
  trials: number,
  flags: readonly string[] = [],
): Promise<string> {
  const watched = await Watched.start(context.place.parentDir, flags);
  const restart = (broker: Broker): Promise<void> => broker.restart();
  const events: readonly Event[] = [
    {
      name: "Leader killed (SIGKILL): first acknowledgement of the next",
      target: "300 (median)",
      trials,
      once: () => watched.lose((leader) => leader.kill(), restart),
    },
    {
      name: "Leader silent (SIGSTOP): first acknowledgement of the next",
      target: "1,500",
      trials: Math.ceil(trials / 2),
      once: () =>
        watched.lose(
          (leader) => Promise.resolve(leader.send("SIGSTOP")),
          (leader) => Promise.resolve(leader.send("SIGCONT")),
        ),
    },
    {
      name: "Leadership transferred: longest pause of a producer",
      target: "10",
      trials,
      once: () => watched.handOver((leader, id) => watched.transferFrom(leader, id), NOTHING),
    },
    {
      name: "Leader stopped (SIGTERM): longest pause of a producer",
      target: "200",
      trials: Math.ceil(trials / 2),
      once: () => watched.handOver((leader) => leader.stop(), restart),
    },
  ];
  const lines: string[] = [];
  try {
    for (const { name, target, trials, once } of events) {
      const results: number[] = [];
      for (let trial = 1; trial <= trials; trial++) {
        results.push(await once());
        context.say(`${name}, trial ${trial}: ${formatNumber(results.at(-1)!)} ms`);
      }
      const { min, median, max } = spreadOf(results);
      const cells = [min, median, max].map((value) => formatNumber(value));
      lines.push(row([name, String(trials), ...cells, target]));
    }
  } finally {
    await watched.end();
  }
  const final = watched.final.length === 0 ? "none" : [...new Set(watched.final)].join(", ");
  return [
    "## When a leader goes",
    "",
    "Three brokers, replication factor 3, under load; milliseconds.",
    "",
    row(["Event", "Trials", "Best", "Median", "Worst", "Target"]),
    rule(6),
    ...lines,
    "",
    `Refusals that a producer may not repeat: ${final}.`,
  ].join("\n");
}

/**
 * Three brokers, of which one, the leader of a partition, two or all are killed every few seconds, under load: producers
 * with and without idempotence, consumers that read along, commits, deletions, topics that come and go. What was
 * acknowledged is there in the end, once and in order, for every reader; the files are sound; the replicas are equal byte
 * for byte.
 *
 * `GREGOR_CLUSTER_KILLS` is how often a broker is killed (100), `GREGOR_CRASH_SEED` replays a schedule.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { type Random, Xoshiro128 } from "../../src/base/prng.ts";
import { Connection } from "../../src/cli/client/connection.ts";
import { DESCRIBE_LOG_DIRS } from "../../src/wire/generated/apis.ts";
import { newDescribeLogDirsRequest } from "../../src/wire/generated/describe_log_dirs_request.ts";
import { checkData } from "../crash/check_data.ts";
import { SMALL_RINGS } from "../crash/faulty_broker.ts";
import { Problems } from "../crash/ledger.ts";
import { LinkClosed, parseAddress, pause } from "../crash/link.ts";
import { Workload } from "../crash/workload.ts";
import type { Broker } from "../harness/broker.ts";
import { LocalCluster } from "../harness/local_cluster.ts";
import { ClusterLinks } from "./cluster_links.ts";
import { compareReplicas, readLogs } from "./replica_logs.ts";

const KILLS = Number(Deno.env.get("GREGOR_CLUSTER_KILLS") ?? "100");
const SEED = Number(Deno.env.get("GREGOR_CRASH_SEED") ?? Date.now() % 2 ** 31);
const NODES = 3;
/** A verification after so many rounds, and `gregor check` of a dead broker's files. */
const VERIFY_EACH = 10;
const CHECK_EACH = 8;
/** Longer than this a kill and what follows it take only when something hangs (ms, of the mean). */
const KILL_MS_MAX = 8_000;
const CONVERGED_MS = 30_000;
/** A topic of the load whose leaders are looked for. */
const WATCHED = "small";

/** Kills brokers of a cluster, and starts them again. */
class Kills {
  readonly #cluster: LocalCluster;
  readonly #links: ClusterLinks;
  readonly #random: Random;
  readonly #problems: Problems;
  /** Brokers that are about to be ended. */
  readonly #mayEnd = new Set<Broker>();
  count = 0;
  readonly kinds = { one: 0, leader: 0, start: 0, two: 0, all: 0, checks: 0 };
  /** What is going on, for the message of a run that hangs. */
  step = "";

  constructor(cluster: LocalCluster, links: ClusterLinks, random: Random, problems: Problems) {
    this.#cluster = cluster;
    this.#links = links;
    this.#random = random;
    this.#problems = problems;
    for (const broker of cluster.brokers) this.#watch(broker);
  }

  /** Some brokers go away and come back. */
  async round(checked: boolean): Promise<void> {
    const random = this.#random;
    this.step = "load";
    await pause(200 + random.nextBelow(900));
    const victims = await this.#victims();
    this.step = `kill ${victims.map(({ pid }) => pid)}`;
    for (const broker of victims) this.#mayEnd.add(broker);
    await Promise.all(victims.map((broker) => broker.kill()));
    this.count += victims.length;
    await pause(random.nextBelow(800));
    if (checked) {
      this.step = "check";
      const check = await checkData(victims[0]!.dataDir);
      assert.equal(check.code, 0, check.output);
      this.kinds.checks++;
    }
    this.step = "restart";
    await Promise.all(victims.map((broker) => this.#restart(broker)));
  }

  async #victims(): Promise<Broker[]> {
    const random = this.#random;
    const { brokers } = this.#cluster;
    const one = brokers[random.nextBelow(NODES)]!;
    const kind = random.nextBelow(100);
    if (kind < 40) {
      this.kinds.one++;
      return [one];
    }
    if (kind < 75) {
      this.kinds.leader++;
      const leader = await this.#links.leaderOf(WATCHED, random.nextBelow(4)).catch(() => -1);
      return [brokers[leader] ?? one];
    }
    if (kind < 85) {
      this.kinds.two++;
      return brokers.filter((broker) => broker !== one);
    }
    this.kinds.all++;
    return [...brokers];
  }

  async #restart(broker: Broker): Promise<void> {
    const random = this.#random;
    if (random.nextBelow(100) < 15) {
      const afterMs = 50 + random.nextBelow(700);
      const exit = await broker.restartAndKill(afterMs, { cores: this.#cores() });
      assert.equal(exit.signal, "SIGKILL", `ended by itself: ${broker.stderr}`);
      this.count++;
      this.kinds.start++;
    }
    await pause(random.nextBelow(200));
    await broker.restart({ cores: this.#cores() });
    this.#watch(broker);
  }

  /** A broker that ends before anybody ends it is a problem, and nobody may wait for it. */
  #watch(broker: Broker): void {
    this.#mayEnd.delete(broker);
    broker.exited.then((exit) => {
      if (this.#mayEnd.has(broker)) return;
      this.#problems.add(`ended by itself: ${JSON.stringify(exit)}\n${broker.stderr}`);
    });
  }

  /** From now on brokers may be stopped. */
  end(): void {
    this.step = "end";
    for (const broker of this.#cluster.brokers) this.#mayEnd.add(broker);
  }

  #cores(): number {
    return 1 + this.#random.nextBelow(2);
  }
}

/** Bytes of each of the partitions on a node, as it says. */
async function sizesOn(broker: Broker, partitions: readonly string[]): Promise<string[]> {
  const connection = await Connection.open(parseAddress(broker.kafka), { timeoutMs: 5_000 });
  try {
    const { results } = await connection.call(
      DESCRIBE_LOG_DIRS,
      newDescribeLogDirsRequest({ topics: null }),
    );
    const found = results.flatMap(({ topics }) =>
      topics.flatMap(({ name, partitions }) =>
        partitions.map(({ partitionIndex, partitionSize }) => ({
          partition: `${name}-${partitionIndex}`,
          partitionSize,
        }))
      )
    );
    return found.filter(({ partition }) => partitions.includes(partition))
      .map(({ partition, partitionSize }) => `${partition}: ${partitionSize}`).sort();
  } finally {
    connection.close();
  }
}

/** Who leads what, as a node says. */
async function leadersBy(broker: Broker): Promise<string> {
  const address = parseAddress(broker.kafka);
  const { topics } = await new ClusterLinks([address]).metadata();
  const lines = topics.flatMap(({ name, partitions }) =>
    partitions.map((one) => {
      const { partitionIndex, leaderId, leaderEpoch } = one;
      return `${name}/${partitionIndex} ${leaderId} in ${leaderEpoch}`;
    })
  );
  return `${broker.kafka}: ${lines.sort().join(", ")}`;
}

/** Nobody writes: waits until every node has everything. */
async function converge(cluster: LocalCluster, { ledgers }: Workload): Promise<void> {
  // Of one with deleted records the replicas may have begun different segments, and keep more or less before the start.
  const whole = ledgers.filter(({ trimSent }) => trimSent === 0)
    .map(({ topic, partition }) => `${topic}-${partition}`);
  const deadlineMs = performance.now() + CONVERGED_MS;
  for (;;) {
    const sizes = await Promise.all(cluster.brokers.map((broker) => sizesOn(broker, whole)));
    if (sizes.every((one) => `${one}` === `${sizes[0]}`)) return;
    if (performance.now() > deadlineMs) assert.deepEqual(sizes, Array(NODES).fill(sizes[0]));
    await pause(50);
  }
}

/** Stops all, checks the files of each, and compares them. */
async function compareStopped(
  cluster: LocalCluster,
  links: ClusterLinks,
  workload: Workload,
): Promise<void> {
  const { topics } = await links.metadata();
  const exits = await Promise.all(cluster.brokers.map((broker) => broker.stop()));
  assert.deepEqual(exits, Array(NODES).fill({ code: 0, signal: null }), cluster.stderr);
  for (const { dataDir } of cluster.brokers) {
    const check = await checkData(dataDir);
    assert.equal(check.code, 0, check.output);
  }
  const committed = new Map(
    workload.ledgers.map(({ topic, partition, highWatermark }) => [
      `${topic}-${partition}`,
      highWatermark,
    ]),
  );
  const logs = cluster.brokers.map(({ dataDir }) => readLogs(dataDir));
  const names = [...logs[0]!.values()].map(({ name }) => name);
  for (const name of committed.keys()) assert.ok(names.includes(name), `no log of ${name}`);
  const topicNames = topics.map(({ name }) => name);
  const gone = names.map((name) => name.replace(/-\d+$/, "")).filter((topic) =>
    topic.startsWith("churn") && !topicNames.includes(topic)
  );
  assert.deepEqual(gone, [], "topics that were deleted");
  assert.deepEqual(compareReplicas(logs, committed), []);
}

Deno.test(`Three brokers, killed ${KILLS} times, keep all that they acknowledged`, async () => {
  console.log(`GREGOR_CRASH_SEED=${SEED}`);
  const random = new Xoshiro128(SEED);
  const startedMs = performance.now();
  const cluster = await LocalCluster.start({
    nodes: NODES,
    memory: "128MiB",
    flags: [...SMALL_RINGS, "--set=default.replication.factor=3"],
  });
  const problems = new Problems();
  const links = new ClusterLinks(cluster.brokers.map(({ kafka }) => parseAddress(kafka)));
  const workload = new Workload(links, random.nextUint32(), problems, {
    plainProducers: 1,
    slowness: 12,
    churnNames: Infinity,
  });
  const kills = new Kills(cluster, links, random, problems);
  const verify: Workload["verify"] = (options) => {
    kills.step = `verification ${JSON.stringify(options ?? {})}`;
    return workload.verify(options);
  };
  const patience = setTimeout(() => {
    problems.add(`hangs in ${kills.step}\n${workload.state}`);
  }, KILLS * KILL_MS_MAX);
  try {
    await workload.start();
    for (let round = 1; kills.count < KILLS && !problems.any; round++) {
      await kills.round(round % CHECK_EACH === 0);
      if (round % VERIFY_EACH === 0) {
        await verify();
        const seconds = Math.round((performance.now() - startedMs) / 1000);
        console.log(`${seconds} s: ${kills.count} kills, ${workload.totals.ackedRecords} records`);
      }
    }
    if (!problems.any) await verify({ whole: true, end: true });
    await workload.stop();
    if (!problems.any) await converge(cluster, workload);
    kills.end();
    if (!problems.any) await compareStopped(cluster, links, workload);
  } catch (error) {
    // Thrown because of a problem that is in the list.
    if (!(problems.any && error instanceof LinkClosed)) problems.add(String(error));
  } finally {
    clearTimeout(patience);
    kills.end();
    await workload.stop();
    const seconds = Math.round((performance.now() - startedMs) / 1000);
    const { totals } = workload;
    console.log(JSON.stringify({ seconds, kills: kills.count, ...kills.kinds, ...totals }));
    if (problems.any) {
      for (const broker of cluster.brokers) console.log(await leadersBy(broker));
      console.log(cluster.stderr);
    }
    await cluster.dispose();
  }
  assert.deepEqual(problems.list, [], `GREGOR_CRASH_SEED=${SEED}`);
  assert.ok(workload.totals.ackedRecords > kills.count * 10, "hardly any load");
});

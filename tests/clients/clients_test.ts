/**
 * Real clients against a real broker: what each writes and reads, in every codec, and its groups.
 *
 * One broker per number of cores serves all tests of that number, each on topics of its own; and three brokers, with a
 * replica on each, some of the tests again. See
 * README.md for the environment variables that choose what runs, and against which broker.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { Broker } from "../harness/broker.ts";
import { parseAddress } from "../crash/link.ts";
import { LocalCluster } from "../harness/local_cluster.ts";
import { runProgram } from "../harness/program.ts";
import { cell, chosen, chosenClients, CI, EXTERNAL, SCENARIOS } from "./chosen.ts";
import { CLIENTS, type Codec, CODECS, flags, type GroupProtocol, whyMissing } from "./clients.ts";
import { GroupStory } from "./group_story.ts";
import { RecreationStory } from "./recreation_story.ts";

const COUNT = Number(Deno.env.get("COUNT") ?? (CI ? 100_000 : 10_000));
const PARTITIONS = 3;
const CELL_TIMEOUT_MS = 120_000;
const STORIES_AT_ONCE = 3;
/** Records per partition of a topic before it is first recreated. */
const FIRST_RECORDS = 20;
/** Old enough to differ from the present, young enough for any retention. */
const BASE_MS = Date.now() - 3_600_000;
/** Topics of an external broker outlive a run. */
const RUN_ID = EXTERNAL === undefined ? "" : `-${BASE_MS.toString(36)}`;

const codecs = chosen("CODECS", CODECS);
const clients = chosenClients;
const PROTOCOLS: GroupProtocol[] = ["classic", "consumer"];
const protocols = chosen("PROTOCOLS", PROTOCOLS);

/** Whom the tests talk to: started by the first one, stopped by the last. */
interface Site {
  /** `HOST:PORT`: others are found from there. */
  brokers(): Promise<string>;
  restart(): Promise<void>;
  stop(): Promise<void>;
  dispose(): Promise<void>;
}

/** The broker of one number of cores. */
class OneBrokerSite implements Site {
  #broker: Promise<Broker> | null = null;
  readonly #cores: number;

  constructor(cores: number) {
    this.#cores = cores;
  }

  async brokers(): Promise<string> {
    return EXTERNAL ?? (await this.broker()).kafka;
  }

  broker(): Promise<Broker> {
    this.#broker ??= Broker.start({ cores: this.#cores });
    return this.#broker;
  }

  /** Starts again with another number of shards, which must make no difference. */
  async restart(): Promise<void> {
    await (await this.broker()).restart({ cores: this.#cores === 1 ? 2 : 1 });
  }

  async stop(): Promise<void> {
    if (this.#broker === null) return;
    const broker = await this.#broker;
    const { code, signal } = await broker.stop();
    if (code !== 0) throw new Error(`Exit code ${code} ${signal} at SIGTERM\n${broker.stderr}`);
  }

  async dispose(): Promise<void> {
    const broker = await this.#broker?.catch(() => null);
    await broker?.dispose();
  }
}

/** Three brokers; every topic has a replica on each. */
class ClusterSite implements Site {
  #cluster: Promise<LocalCluster> | null = null;

  async brokers(): Promise<string> {
    return (await this.#start()).brokers[0]!.kafka;
  }

  #start(): Promise<LocalCluster> {
    this.#cluster ??= LocalCluster.start({
      nodes: 3,
      flags: ["--set=default.replication.factor=3"],
    });
    return this.#cluster;
  }

  /** Kills one after the other, each when the last one is back. */
  async restart(): Promise<void> {
    for (const broker of (await this.#start()).brokers) {
      await broker.kill();
      await broker.restart();
    }
  }

  async stop(): Promise<void> {
    if (this.#cluster === null) return;
    const cluster = await this.#cluster;
    const exits = await Promise.all(cluster.brokers.map((broker) => broker.stop()));
    if (exits.every(({ code }) => code === 0)) return;
    throw new Error(`Exit codes ${exits.map(({ code }) => code)} at SIGTERM\n${cluster.stderr}`);
  }

  async dispose(): Promise<void> {
    const cluster = await this.#cluster?.catch(() => null);
    await cluster?.dispose();
  }
}

/** One codec for each client, in turn. */
function replicatedRoundtrips(site: Site, label: string): void {
  clients.forEach((client, index) => {
    const codec = codecs[index % codecs.length]!;
    cell(`${label}: ${client.name} round trip, ${codec}`, [client], async () => {
      const topic = `roundtrip-${client.name}`;
      const partitions = client.hasAdmin ? PARTITIONS : 1;
      const count = Math.ceil(COUNT / 10);
      const brokers = await site.brokers();
      await runProgram([
        ...client.program(codec),
        "roundtrip",
        ...flags({ brokers, topic, partitions, count, codec, acks: "all", baseMs: BASE_MS }),
      ], CELL_TIMEOUT_MS);
    });
  });
}

function roundtrips(site: Site, label: string): void {
  for (const client of clients) {
    const partitions = client.hasAdmin ? PARTITIONS : 1;
    const run = async (codec: Codec, acks: string, count: number): Promise<void> => {
      const topic = `roundtrip-${client.name}-${codec}-acks-${acks}${RUN_ID}`;
      const brokers = await site.brokers();
      await runProgram([
        ...client.program(codec),
        "roundtrip",
        ...flags({ brokers, topic, partitions, count, codec, acks, baseMs: BASE_MS }),
      ], CELL_TIMEOUT_MS);
    };
    for (const codec of codecs) {
      cell(
        `${label}: ${client.name} round trip, ${codec}`,
        [client],
        () => run(codec, "all", COUNT),
      );
    }
    for (const acks of client.otherAcks) {
      cell(`${label}: ${client.name} round trip, acks=${acks}`, [client], () => {
        return run("none", acks, Math.ceil(COUNT / 10));
      });
    }
  }
}

/** Each client reads what its predecessor wrote, in another codec each time. */
function crossReads(site: Site, label: string): void {
  if (clients.length < 2) return;
  clients.forEach((writer, index) => {
    const reader = clients[(index + 1) % clients.length]!;
    const codec = codecs[index % codecs.length]!;
    cell(`${label}: ${reader.name} reads what ${writer.name} wrote, ${codec}`, [
      writer,
      reader,
    ], async () => {
      const topic = `cross-${writer.name}-${reader.name}${RUN_ID}`;
      const common = {
        brokers: await site.brokers(),
        topic,
        partitions: writer.hasAdmin ? PARTITIONS : 1,
        count: Math.ceil(COUNT / 10),
        seed: index + 2,
        codec,
        baseMs: BASE_MS,
      };
      const shape = writer.writesPlain ? "plain" : "full";
      for (const command of ["create", "produce"]) {
        await runProgram([...writer.program(codec), command, ...flags(common)], CELL_TIMEOUT_MS);
      }
      await runProgram(
        [...reader.program(codec), "consume", ...flags({ ...common, shape })],
        CELL_TIMEOUT_MS,
      );
    });
  });
}

/**
 * Groups mostly wait for timeouts, so some run at once. Each has its test, which awaits its end: one that has ended
 * meanwhile takes its test no time.
 */
function groups(site: Site, label: string): void {
  const available = CLIENTS.filter((client) => client.hasAdmin && whyMissing(client) === null);
  const cast = clients.flatMap((client) =>
    client.groupProtocols.filter((protocol) => protocols.includes(protocol))
      .map((protocol) => ({ client, protocol, admin: client.hasAdmin ? client : available[0]! }))
  );
  const runnable = cast.filter(({ client }) => whyMissing(client) === null);
  const stories = new Map<string, GroupStory>();
  const runs = new Outcomes(runnable.map(({ client, protocol, admin }) => {
    const key = `${client.name}-${protocol}`;
    return [key, async () => {
      const topic = `group-${key}${RUN_ID}`;
      const brokers = await site.brokers();
      const story = new GroupStory({ brokers, client, admin, protocol, topic, baseMs: BASE_MS });
      const processed = await story.run();
      stories.set(key, story);
      return processed;
    }];
  }));
  const resumptions = new Outcomes(runnable.map(({ client, protocol }) => {
    const key = `${client.name}-${protocol}`;
    return [key, async () => {
      const story = stories.get(key);
      if (story === undefined) throw new Error("The group's first part failed");
      return await story.resume(await site.brokers());
    }];
  }));
  for (const { client, protocol } of cast) {
    const name = `${label}: ${client.name} group, ${protocol} protocol, members come and go`;
    cell(name, [client], () => runs.of(`${client.name}-${protocol}`));
  }
  for (const client of clients.filter(({ groupProtocols }) => groupProtocols.length > 1)) {
    // @platformatic/kafka ends when its generation is over while it reads offsets, with Kafka as well.
    if (protocols.length < 2 || client.name === "platformatic") continue;
    const name = `${label}: ${client.name} group changes its protocol while it is read, and back`;
    cell(name, [client], async () => {
      const topic = `migrating-${client.name}${RUN_ID}`;
      const brokers = await site.brokers();
      const protocol = "classic";
      const options = { brokers, client, admin: client, protocol, topic, baseMs: BASE_MS } as const;
      await new GroupStory(options).runMigration();
    });
  }
  if (EXTERNAL !== undefined || runnable.length === 0) return;
  Deno.test(`${label}: all that serves restarts`, async () => {
    await runs.all();
    await site.restart();
  });
  for (const { client, protocol } of cast) {
    const name = `${label}: ${client.name} group, ${protocol} protocol, resumes after the restart`;
    cell(name, [client], () => resumptions.of(`${client.name}-${protocol}`));
  }
}

/** Live consumers keep up with recreated topics; not with Kafka, whose epochs do not distinguish them. */
function recreations(site: Site, label: string): void {
  const cast = clients.filter(({ recreations }) => recreations.length > 0).flatMap((client) =>
    [true, false].map((subscribes) => ({
      client,
      subscribes,
      key: `${client.name}-${subscribes ? "subscribed" : "assigned"}`,
    }))
  );
  const runnable = cast.filter(({ client }) => whyMissing(client) === null);
  const runs = new Outcomes(runnable.map(({ client, subscribes, key }) => {
    return [key, async () => {
      const broker = parseAddress(await site.brokers());
      const counts = [FIRST_RECORDS, ...client.recreations];
      const topic = `recreate-${key}`;
      return await new RecreationStory({ broker, client, subscribes, topic, counts }).run();
    }];
  }));
  for (const { client, key } of cast) {
    const name = `${label}: ${key} consumer, its topic is deleted and recreated`;
    cell(name, [client], () => runs.of(key));
  }
}

/**
 * Work started together, a few at once, when the first outcome is asked for. Each piece gives the number of records that
 * its clients read: none is a failure, whatever else it says.
 */
class Outcomes {
  readonly #work: Map<string, () => Promise<number>>;
  #started: Map<string, Promise<number>> | null = null;

  constructor(work: readonly (readonly [string, () => Promise<number>])[]) {
    this.#work = new Map(work);
  }

  async of(key: string): Promise<void> {
    const outcome = this.#start().get(key);
    assert(outcome !== undefined, `nothing was started for ${key}`);
    const records = await outcome;
    assert(records > 0, `${key} ended without a record`);
  }

  async all(): Promise<void> {
    await Promise.allSettled(this.#start().values());
  }

  #start(): Map<string, Promise<number>> {
    if (this.#started !== null) return this.#started;
    this.#started = new Map();
    const lanes: Promise<unknown>[] = new Array(STORIES_AT_ONCE).fill(Promise.resolve());
    let next = 0;
    for (const [key, run] of this.#work) {
      const lane = next++ % STORIES_AT_ONCE;
      const outcome = lanes[lane]!.then(run);
      // Told by the test that asks for it, maybe much later.
      lanes[lane] = outcome.catch(() => {});
      this.#started.set(key, outcome);
    }
    return this.#started;
  }
}

const sites: Site[] = [];
const isForOne = EXTERNAL !== undefined || chosen("NODES", ["1", "3"]).includes("1");
const coreCounts = EXTERNAL !== undefined ? [0] : chosen("CORES", ["1", "4"]).map(Number);
for (const cores of isForOne ? coreCounts : []) {
  const site = new OneBrokerSite(cores);
  sites.push(site);
  const label = EXTERNAL === undefined ? `clients, --cores ${cores}` : `clients, ${EXTERNAL}`;
  if (SCENARIOS.includes("roundtrip")) roundtrips(site, label);
  if (SCENARIOS.includes("cross")) crossReads(site, label);
  if (SCENARIOS.includes("group")) groups(site, label);
  // Once: the clients take their time, and the number of cores is no part of it.
  const isLast = cores === coreCounts.at(-1);
  if (SCENARIOS.includes("recreate") && EXTERNAL === undefined && isLast) recreations(site, label);
  if (EXTERNAL === undefined) Deno.test(`${label}: the broker stops cleanly`, () => site.stop());
}

if (EXTERNAL === undefined && chosen("NODES", ["1", "3"]).includes("3")) {
  const site = new ClusterSite();
  sites.push(site);
  const label = "clients, three brokers";
  if (SCENARIOS.includes("roundtrip")) replicatedRoundtrips(site, label);
  if (SCENARIOS.includes("cross")) crossReads(site, label);
  if (SCENARIOS.includes("group")) groups(site, label);
  Deno.test(`${label}: the brokers stop cleanly`, () => site.stop());
}

Deno.test.afterAll(async () => {
  for (const site of sites) await site.dispose();
});

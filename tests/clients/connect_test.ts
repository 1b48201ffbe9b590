/**
 * Workers of Kafka Connect on three brokers: a file goes into a topic exactly once, and from there into another file, while
 * brokers and workers are killed.
 *
 * Connect keeps its configuration, status and offsets in compacted topics, has its workers share out the tasks by a group
 * protocol of its own, and writes what a source gives, with its offsets, in transactions.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { runGregor } from "../../src/cli/testing.ts";
import { pause } from "../crash/link.ts";
import { freePorts } from "../harness/free_ports.ts";
import { LocalCluster } from "../harness/local_cluster.ts";
import { Program } from "../harness/program.ts";
import { cell } from "./chosen.ts";
import { CACHE } from "./clients.ts";

const TOPIC = "lines";
const WORKERS = 2;
const LINES_EACH = 1_000;
/** A worker that was killed is missed after its session timeout, and tasks wait for it as long again. */
const DONE_MS = 60_000;
const STORES = ["config", "offset", "status"] as const;
const COMMAND = [
  "java",
  "-Xmx384m",
  "-XX:+UseSerialGC",
  "-XX:TieredStopAtLevel=1",
  "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
  "-cp",
  `${CACHE}connect/classes:${CACHE}connect/lib/*`,
  "Connect",
];

class Workers {
  readonly #folder: string;
  readonly #bootstrap: string;
  readonly #ports = freePorts(WORKERS);
  readonly #programs: (Program | null)[] = this.#ports.map(() => null);

  constructor(folder: string, bootstrap: string) {
    this.#folder = folder;
    this.#bootstrap = bootstrap;
  }

  /** What they wrote to stderr, for a failure's message. */
  get story(): string {
    return this.#programs.map((each) => each?.story ?? "").join("\n");
  }

  start(at: number): void {
    const file = `${this.#folder}/worker-${at}.properties`;
    const settings: Record<string, string | number> = {
      "bootstrap.servers": this.#bootstrap,
      "group.id": "connect",
      "listeners": `http://127.0.0.1:${this.#ports[at]}`,
      "rest.advertised.host.name": "127.0.0.1",
      "key.converter": "org.apache.kafka.connect.storage.StringConverter",
      "value.converter": "org.apache.kafka.connect.storage.StringConverter",
      "exactly.once.source.support": "enabled",
      "plugin.discovery": "service_load",
      "session.timeout.ms": 6_000,
      "heartbeat.interval.ms": 1_000,
      "scheduled.rebalance.max.delay.ms": 1_000,
      "offset.flush.interval.ms": 500,
      "offset.storage.partitions": 3,
      "status.storage.partitions": 3,
    };
    for (const store of STORES) {
      settings[`${store}.storage.topic`] = `connect-${store}`;
      settings[`${store}.storage.replication.factor`] = 3;
    }
    const lines = Object.entries(settings).map(([name, value]) => `${name}=${value}\n`);
    Deno.writeTextFileSync(file, lines.join(""));
    this.#programs[at] = new Program([...COMMAND, file]);
  }

  async kill(at: number): Promise<void> {
    await this.#programs[at]?.kill();
  }

  async dispose(): Promise<void> {
    await Promise.all(this.#programs.map((each) => each?.kill()));
  }

  /** What the workers say of their connectors and tasks. */
  async state(): Promise<string> {
    const url = `http://127.0.0.1:${this.#ports[0]}/connectors?expand=status`;
    const answer = await fetch(url, { signal: AbortSignal.timeout(10_000) });
    return await answer.text();
  }

  /** Makes or changes a connector, as soon as a worker takes it. */
  async put(name: string, config: Readonly<Record<string, string>>): Promise<void> {
    const url = `http://127.0.0.1:${this.#ports[0]}/connectors/${name}/config`;
    const body = JSON.stringify({ "tasks.max": "1", ...config });
    let said = "nothing";
    await until(() => `connector ${name}: ${said}`, async () => {
      const headers = { "content-type": "application/json" };
      const signal = AbortSignal.timeout(10_000);
      const answer = await fetch(url, { method: "PUT", headers, body, signal });
      said = await answer.text();
      return answer.ok;
    });
  }
}

async function until(what: () => string, isSo: () => Promise<boolean>): Promise<void> {
  const lateMs = performance.now() + DONE_MS;
  while (!await isSo().catch(() => false)) {
    assert(performance.now() < lateMs, `not in time: ${what()}`);
    await pause(250);
  }
}

/** The lines of a topic that are committed. */
async function linesOf(bootstrap: string): Promise<string[]> {
  const command = `consume ${TOPIC} --read-committed --until-end --brokers ${bootstrap}`;
  const { code, out, remarks } = await runGregor(command.split(" "));
  assert.equal(code, 0, remarks);
  return out.split("\n").filter((line) => line !== "");
}

cell("Kafka Connect copies a file exactly once through kills of brokers and workers", [
  { name: "connect" },
], async () => {
  const cluster = await LocalCluster.start({
    nodes: 3,
    flags: ["--set=default.replication.factor=3"],
  });
  const folder = await Deno.makeTempDir({ prefix: "gregor-connect-" });
  const { bootstrap } = cluster;
  const workers = new Workers(folder, bootstrap);
  const source = `${folder}/source`;
  const sink = `${folder}/sink`;
  let written = 0;
  const write = (): void => {
    const lines = Array.from({ length: LINES_EACH }, () => `line ${written++}\n`);
    Deno.writeTextFileSync(source, lines.join(""), { append: true });
  };
  const arrived = (): Promise<void> =>
    until(() => `${written} lines`, async () => {
      const text = await Deno.readTextFile(sink);
      // The sink may write some twice, but none is missing.
      return new Set(text.split("\n").filter((line) => line !== "")).size === written;
    });
  try {
    const made = await runGregor(["topic", "create", TOPIC, "--brokers", bootstrap]);
    assert.equal(made.code, 0, made.remarks);
    write();
    for (let at = 0; at < WORKERS; at++) workers.start(at);
    const file = "org.apache.kafka.connect.file.FileStream";
    await workers.put("source", {
      "connector.class": `${file}SourceConnector`,
      "file": source,
      "topic": TOPIC,
      "transaction.boundary": "poll",
    });
    await workers.put("sink", {
      "connector.class": `${file}SinkConnector`,
      "file": sink,
      "topics": TOPIC,
    });
    await arrived();
    for (let victim = 0; victim < WORKERS; victim++) {
      write();
      await workers.kill(victim);
      const broker = cluster.brokers[victim]!;
      await broker.kill();
      await pause(500);
      await broker.restart();
      workers.start(victim);
      write();
      await arrived();
    }
    const expected = Array.from({ length: written }, (_, index) => `line ${index}`);
    assert.deepEqual(await linesOf(bootstrap), expected);
    for (const store of STORES) {
      const command = `topic describe connect-${store} --format json --brokers ${bootstrap}`;
      const described = JSON.parse((await runGregor(command.split(" "))).out);
      const configs = described[0].configs as { name: string; value: string }[];
      assert.equal(configs.find(({ name }) => name === "cleanup.policy")?.value, "compact");
    }
  } catch (error) {
    const state = await workers.state().catch(String);
    throw new Error(`${(error as Error).message}\n${state}\n${workers.story}`, { cause: error });
  } finally {
    await workers.dispose();
    await cluster.dispose();
    await Deno.remove(folder, { recursive: true });
  }
});

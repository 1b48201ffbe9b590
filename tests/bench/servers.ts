/**
 * The two sides of the benchmark, each pinned to a processor, and the load generator on another.
 *
 * @module
 */

import { ClusterLinks } from "../cluster/cluster_links.ts";
import { parseAddress, pause } from "../crash/link.ts";
import { createTopic } from "../crash/side_loads.ts";
import { Broker, gregorCommand } from "../harness/broker.ts";
import { LocalCluster } from "../harness/local_cluster.ts";
import { OutputLines } from "../harness/output_lines.ts";
import { parseReport, type Report } from "./report.ts";

const LOADGEN = new URL("loadgen/", import.meta.url).pathname;
const LOADGEN_PROGRAM = `${LOADGEN}target/release/loadgen`;
const MINIMAL_LOOP = new URL("minimal_loop.ts", import.meta.url).pathname;
/** As `gregor` runs in production. */
const V8_FLAGS = "--v8-flags=--min-semi-space-size=4,--max-semi-space-size=4";
const READY_TIMEOUT_MS = 60_000;
const CLUSTER_NODES = 3;

/** Builds the generator when its sources are newer than the program. */
export async function buildLoadgen(): Promise<void> {
  const { success, stderr } = await new Deno.Command("cargo", {
    args: ["build", "--release", "--locked", "--quiet"],
    cwd: LOADGEN,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(`Cannot build loadgen:\n${new TextDecoder().decode(stderr)}`);
}

/** Something that answers produce requests. */
export interface Server {
  readonly name: string;
  readonly pid: number;
  /** Other processes that do its work. */
  readonly otherPids?: readonly number[];
  readonly address: string;
  /** Its topics have to be created before it takes records. */
  readonly wantsTopics: boolean;
  stop(): Promise<void>;
}

export interface ServerPlace {
  /** Processor that it is pinned to; null: not pinned. */
  readonly processor: number | null;
  /** Where its files go, in a directory of its own. */
  readonly parentDir: string;
}

export interface BrokerChoice {
  readonly memory: string;
  readonly flags: readonly string[];
  /** Folder of another checkout, its shim built, that is run instead of this one. */
  readonly checkout?: string;
}

export async function startBroker(place: ServerPlace, options: BrokerChoice): Promise<Server> {
  const dataDir = await Deno.makeTempDir({ dir: place.parentDir, prefix: "broker-" });
  const broker = await Broker.start({
    cores: 1,
    memory: options.memory,
    dataDir,
    // Memory is locked, as in production and in the minimal loop; neither side polls.
    flags: ["--mode=production", "--idle-poll-us=0", ...options.flags],
    program: [...pinnedTo(place.processor), ...commandOf(options.checkout)],
  });
  return {
    name: "broker",
    pid: broker.pid,
    address: broker.kafka,
    wantsTopics: true,
    async stop() {
      await broker.stop();
      await Deno.remove(dataDir, { recursive: true });
    },
  };
}

/** Three brokers, as one server: requests go to the leader of a topic's only partition. */
export interface ClusterServer extends Server {
  readonly otherPids: readonly number[];
  readonly cluster: LocalCluster;
  readonly links: ClusterLinks;
  /** Node that led the partition when they started. */
  readonly leader: number;
}

/** Three brokers on one processor, and a topic of one partition with a replica on each; requests go to its leader. */
export async function startCluster(
  place: ServerPlace,
  options: BrokerChoice & { readonly topic: string },
): Promise<ClusterServer> {
  const parentDir = await Deno.makeTempDir({ dir: place.parentDir, prefix: "cluster-" });
  const cluster = await LocalCluster.start({
    nodes: CLUSTER_NODES,
    parentDir,
    memory: options.memory,
    flags: [
      "--mode=production",
      "--idle-poll-us=0",
      `--set=default.replication.factor=${CLUSTER_NODES}`,
      ...options.flags,
    ],
    program: [...pinnedTo(place.processor), ...commandOf(options.checkout)],
  });
  const links = new ClusterLinks(cluster.brokers.map(({ kafka }) => parseAddress(kafka)));
  const control = links.link("bench", null);
  await createTopic(control, options.topic, 1);
  control.close();
  let leader = -1;
  const lateMs = performance.now() + READY_TIMEOUT_MS;
  while (leader < 0 && performance.now() < lateMs) {
    await pause(100);
    leader = await links.leaderOf(options.topic, 0);
  }
  const [first, ...others] = [
    ...cluster.brokers.slice(leader),
    ...cluster.brokers.slice(0, leader),
  ];
  return {
    name: "three brokers",
    pid: first!.pid,
    otherPids: others.map(({ pid }) => pid),
    address: first!.kafka,
    wantsTopics: false,
    cluster,
    links,
    leader,
    async stop() {
      await Promise.all(cluster.brokers.map((broker) => broker.stop()));
      await Deno.remove(parentDir, { recursive: true });
    },
  };
}

function commandOf(checkout: string | undefined): string[] {
  if (checkout === undefined) return gregorCommand();
  return gregorCommand(new URL(`file://${Deno.realPathSync(checkout)}/`));
}

/** @param fileMib size of its log file, which is written whole before it starts (MiB) */
export async function startMinimalLoop(place: ServerPlace, fileMib = 256): Promise<Server> {
  const directory = await Deno.makeTempDir({ dir: place.parentDir, prefix: "minimal-" });
  const program = [
    Deno.execPath(),
    "run",
    "-A",
    V8_FLAGS,
    MINIMAL_LOOP,
    directory,
    String(fileMib),
  ];
  const [first, ...args] = [...pinnedTo(place.processor), ...program];
  const child = new Deno.Command(first!, { args, stdin: "null", stdout: "piped", stderr: "piped" })
    .spawn();
  const stdout = new OutputLines(child.stdout);
  const stderr = new OutputLines(child.stderr);
  const line = await stdout.firstLine(READY_TIMEOUT_MS);
  const address = line === null ? undefined : /kafka=(\S+)/.exec(line)?.[1];
  if (address === undefined) {
    throw new Error(`Cannot start the minimal loop: ${line}\n${stderr.text}`);
  }
  return {
    name: "minimal loop",
    pid: child.pid,
    address,
    wantsTopics: false,
    async stop() {
      child.kill("SIGTERM");
      await child.status;
      await stdout.ended;
      await stderr.ended;
      await Deno.remove(directory, { recursive: true });
    },
  };
}

/** What the generator is asked for; see its flags. */
export interface Load {
  readonly topic: string;
  readonly partitions: number;
  readonly connections: number;
  readonly depth: number;
  readonly batchBytes: number;
  /** Holds the batch to send; without it the generator makes one of {@linkcode batchBytes}. */
  readonly batchFile?: string;
  /** Requests per second, due at fixed times; 0: as many as `depth` allows. */
  readonly rate: number;
  /** Request of up to so many bytes every second, on a connection of its own; 0: none. */
  readonly largeBytes: number;
  readonly warmupS: number;
  readonly seconds: number;
}

/** Runs the generator against a server; throws when a request failed. */
export async function runLoad(
  server: Server,
  load: Load,
  processor: number | null,
): Promise<Report> {
  const flags = [
    `--address ${server.address} --topic ${load.topic} --partitions ${load.partitions}`,
    `--connections ${load.connections} --depth ${load.depth} --batch ${load.batchBytes}`,
    `--rate ${load.rate} --warmup ${load.warmupS} --seconds ${load.seconds}`,
  ];
  if (load.largeBytes > 0) flags.push(`--large ${load.largeBytes} --large-every 1`);
  if (load.batchFile !== undefined) flags.push(`--batch-file ${load.batchFile}`);
  if (server.wantsTopics) flags.push("--create");
  const [first, ...args] = [
    ...pinnedTo(processor),
    LOADGEN_PROGRAM,
    ...flags.join(" ").split(" "),
  ];
  const before = processorSecondsOf(server);
  const output = await new Deno.Command(first!, { args, stdin: "null" }).output();
  const used = processorSecondsOf(server) - before;
  const text = new TextDecoder();
  if (!output.success) {
    throw new Error(`${server.name}: ${text.decode(output.stderr)}`);
  }
  const report = parseReport(text.decode(output.stdout), used);
  if (report.errors > 0) {
    throw new Error(`${server.name}: ${report.errors} errors, such as ${report.firstError}`);
  }
  return report;
}

function processorSecondsOf({ pid, otherPids = [] }: Server): number {
  return [pid, ...otherPids].reduce((sum, one) => sum + processorSeconds(one), 0);
}

/** Processor time that a process has used, threads of the kernel for it included (s). */
export function processorSeconds(pid: number): number {
  // Fields after the name in brackets; the 14th and 15th of all are in ticks of 10 ms.
  const fields = Deno.readTextFileSync(`/proc/${pid}/stat`).split(") ").at(-1)!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Words before a command that pin it; none when it is not to be pinned. */
export function pinnedTo(processor: number | null): string[] {
  return processor === null ? [] : ["taskset", "--cpu-list", String(processor)];
}

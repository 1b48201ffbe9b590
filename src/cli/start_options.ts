/**
 * The flags of `gregor start`, and the resulting options: every default filled in, depending on the mode
 * and on the host, so that the broker decides nothing about the command line.
 *
 * @module
 */

import { isSettingName, settingProblem, SETTINGS, suggestSetting } from "../base/settings.ts";
import { REGION_SHARE_MAX } from "../io/host_problem.ts";
import { decoderBytesMax } from "../io/record_walk.ts";
import { SEEDS_MAX } from "../cluster/hello.ts";
import { type NamedLife, readLife } from "../cluster/lives.ts";
import type { Command } from "./command.ts";
import {
  type Address,
  address,
  addresses,
  choice,
  type Flag,
  type FlagValues,
  integer,
  list,
  pairs,
  parseFlags,
  type Problem,
  Refusal,
  size,
  text,
  toggle,
} from "./flags.ts";
import { plainValue } from "./plain_configs.ts";

export const START_FLAGS = {
  "config-file": text({
    value: "FILE",
    help:
      "Read flags and settings from a file, a line each: `memory = 8GiB`, `log.retention.ms = 7d`. The command line and " +
      "the environment win over it",
  }),
  "print-config": toggle({
    help: "Print every value that would be used, and where it comes from, instead of starting",
  }),
  "data-dir": text({ value: "DIR", default: "gregor-data", help: "Where the data lives" }),
  "kafka-addr": address({
    value: "HOST:PORT",
    default: "127.0.0.1:9092",
    help: "Where clients connect; port 0 takes any free one",
  }),
  "advertised-kafka-addr": address({
    value: "HOST:PORT",
    help: "Address that clients connect to; default --kafka-addr (the host name for 0.0.0.0)",
  }),
  "rpc-addr": address({
    value: "HOST:PORT",
    help: "Where the other nodes connect; default none, with --seeds 127.0.0.1:33145",
  }),
  "advertised-rpc-addr": address({
    value: "HOST:PORT",
    help: "Address that other nodes connect to; default --rpc-addr",
  }),
  "admin-addr": address({
    value: "HOST:PORT",
    default: "127.0.0.1:9644",
    help: "Where health and metrics are served over HTTP",
  }),
  "node-id": integer({
    value: "N",
    default: 0,
    min: 0,
    max: 2 ** 31 - 1,
    help: "This node's number, unique in the cluster and never reused",
  }),
  "seeds": addresses({
    value: "RPC,RPC,...",
    help: "RPC addresses of the first nodes, this one included; none: a cluster of one",
  }),
  "cores": integer({
    value: "N",
    min: 1,
    max: 256,
    help: "Shards to run, one per core; default all cores, in dev mode at most 2",
  }),
  "memory": size({
    value: "SIZE",
    min: 64 * 2 ** 20,
    help:
      "Memory to lock for data; default 80 % of the host's or container's, in dev mode 256MiB. Decoders of " +
      "compressed batches take up to an eighth as much beside it, 16MiB for each core at least",
  }),
  "idle-poll-us": integer({
    value: "N",
    min: 0,
    max: 1_000_000,
    help: "Microseconds that an idle shard polls before it sleeps; default 50, in dev mode 0",
  }),
  "mode": choice({
    value: "MODE",
    choices: ["production", "dev"],
    default: "production",
    help: "dev: few cores, little memory, groups rebalance at once; durability is the same",
  }),
  "set": pairs({
    value: "KEY=VALUE",
    help: "A cluster setting, by Kafka's name; repeatable. Sizes and times may have units: " +
      "log.retention.ms=7d",
  }),
  "accept-loss": toggle({
    help:
      "Accept damaged data as lost, where no other node has it: readers go past it, and partitions that it made read-only " +
      "are writable again; the start does without what the disk cannot read. With --verify all damage " +
      "at once, else as it is found. For one start: take it away again, or each later start gives up what " +
      "it finds, too",
  }),
  "recover-metadata": lives({
    value: "ID:LIFE,...",
    help:
      "These nodes vote on the cluster's metadata and are lost for good, with their disks: go on without them, with this " +
      "node's copy. Of use where no node that knows the metadata is running, else see `gregor partition recover`. Give the " +
      "ids of the lost nodes, such as 1,2: the start waits for them, then ends with what would be lost and the flag that " +
      "does it, which names the lives of those nodes. A life is given up once, so a flag that is left there harms nobody " +
      "who comes back in another one. It does nothing while a majority can be reached. The lost nodes must never " +
      "be started again with their old data directories. A metadata log that damage has cut takes --accept-loss besides",
  }),
  "verify": toggle({
    help: "Read everything back from the disk before serving, as a start after a disk error does",
  }),
  "detached": toggle({
    help: "In dev mode: keep running when the process that started it ends, a script for example",
  }),
  "rack": text({
    value: "NAME",
    help: "The failure zone of this node; replicas avoid sharing one",
  }),
  "log-level": choice({
    value: "LEVEL",
    choices: ["debug", "info", "warn", "error"],
    default: "info",
    help: "Least important lines to log, to stderr",
  }),
  "log-format": choice({
    value: "FORMAT",
    choices: ["text", "json"],
    default: "text",
    help: "How log lines look",
  }),
} as const;

/** Nodes in lives that they had, with commas between them; may also be repeated. */
function lives(options: { readonly value: string; readonly help: string }): Flag<NamedLife[]> {
  const words = list(options);
  return {
    ...words,
    defaultValue: [],
    read: (texts) => {
      const read = words.read(texts) as string[];
      const named = read.map(readLife);
      return named.length > 0 && named.every((one) => one !== null)
        ? named as NamedLife[]
        : new Refusal("ids of nodes, with their lives where they are known, such as 1:5f6e1c0a,2");
    },
  };
}

export interface StartOptions {
  readonly dataDir: string;
  readonly kafkaAddr: Address;
  /** Null: advertise what was bound. Port 0: the port that was bound. */
  readonly advertisedKafkaAddr: Address | null;
  /** Null: other nodes cannot connect. */
  readonly rpcAddr: Address | null;
  /** As for Kafka's. */
  readonly advertisedRpcAddr: Address | null;
  readonly adminAddr: Address;
  readonly nodeId: number;
  /** Empty: a cluster of one. */
  readonly seeds: readonly Address[];
  readonly cores: number;
  readonly memoryBytes: number;
  readonly idlePollUs: number;
  readonly mode: "production" | "dev";
  /** Plain values under Kafka's names, as `Settings` takes them: `--set` over the mode's own. */
  readonly settings: ReadonlyMap<string, string>;
  /** Partitions that damage made read-only are writable again. */
  readonly acceptLoss: boolean;
  /** Lives that are given up if the metadata lost its majority; empty: none. */
  readonly recoverMetadata: readonly NamedLife[];
  /** Everything is read back before serving. */
  readonly verify: boolean;
  /** Outlives the process that started it. */
  readonly detached: boolean;
  readonly rack: string | null;
  readonly logLevel: "debug" | "info" | "warn" | "error";
  readonly logFormat: "text" | "json";
}

/** The host's properties that the defaults depend on. */
export interface Host {
  readonly coreCount: number;
  /** Of the host, or of the container where that has less. */
  readonly memoryBytes: number;
  /** The address for clients when the bound one (0.0.0.0) is not connectable. */
  readonly name: string;
}

const MIB = 2 ** 20;
/** Least memory that a shard can work with (bytes). */
export const SHARD_MEMORY_MIN = 32 * MIB;
const DEV_CORES_MAX = 2;
/** Where a node of a cluster listens for the others. */
const RPC_ADDRESS: Address = { host: "127.0.0.1", port: 33145 };
const DEV_MEMORY = 256 * MIB;
const PRODUCTION_MEMORY_SHARE = 0.8;

/** What `--mode dev` sets before `--set`. */
const DEV_SETTINGS: readonly (readonly [string, string])[] = [
  ["auto.create.topics.enable", "true"],
  ["group.initial.rebalance.delay.ms", "0"],
  // A fresh start writes every extent once: keep that under a second on a laptop.
  ["journal.extent.bytes", String(16 * MIB)],
  ["journal.extents", "4"],
];

/** Fills in what depends on mode and host. */
export function startOptions(values: FlagValues<typeof START_FLAGS>, host: Host): StartOptions {
  const isDev = values.mode === "dev";
  const cores = values.cores ??
    (isDev ? Math.min(DEV_CORES_MAX, host.coreCount) : host.coreCount);
  const memoryBytes = values.memory ?? defaultMemory(isDev, cores, host);
  const rpcAddr = values.rpcAddr ?? (values.seeds.length > 0 ? RPC_ADDRESS : null);
  const settings = new Map(isDev ? DEV_SETTINGS : []);
  for (const [name, value] of values.set) settings.set(name, plainSettingValue(name, value));
  return {
    dataDir: values.dataDir,
    kafkaAddr: values.kafkaAddr,
    advertisedKafkaAddr: values.advertisedKafkaAddr ?? reachable(values.kafkaAddr, host),
    rpcAddr,
    advertisedRpcAddr: values.advertisedRpcAddr ??
      (rpcAddr === null ? null : reachable(rpcAddr, host)),
    adminAddr: values.adminAddr,
    nodeId: values.nodeId,
    seeds: values.seeds,
    acceptLoss: values.acceptLoss,
    recoverMetadata: values.recoverMetadata,
    verify: values.verify,
    cores,
    memoryBytes,
    idlePollUs: values.idlePollUs ?? (isDev ? 0 : 50),
    mode: values.mode,
    settings,
    detached: values.detached || !isDev,
    rack: values.rack ?? null,
    logLevel: values.logLevel,
    logFormat: values.logFormat,
  };
}

function defaultMemory(isDev: boolean, cores: number, host: Host): number {
  const least = SHARD_MEMORY_MIN * cores;
  // On a small host with many cores, decoders take more beside it than the rest of the share leaves.
  const wanted = isDev ? DEV_MEMORY : Math.min(
    host.memoryBytes * PRODUCTION_MEMORY_SHARE,
    host.memoryBytes * REGION_SHARE_MAX - cores * decoderBytesMax(least / cores),
  );
  return Math.max(least, Math.floor(wanted / (2 * MIB)) * 2 * MIB);
}

/** Rules between flags, and the settings. */
export function checkStart(values: FlagValues<typeof START_FLAGS>): Problem[] {
  const problems: Problem[] = [];
  if (values.memory !== undefined && values.cores !== undefined) {
    const least = SHARD_MEMORY_MIN * values.cores;
    if (values.memory < least) {
      problems.push({
        subject: "--memory",
        message: `expected at least ${least / MIB}MiB for ${values.cores} cores (32MiB each)`,
      });
    }
  }
  if (values.seeds.length > SEEDS_MAX) {
    problems.push({ subject: "--seeds", message: `expected at most ${SEEDS_MAX} of them` });
  }
  const bindsRpc = values.rpcAddr !== undefined || values.seeds.length > 0;
  if (values.advertisedRpcAddr !== undefined && !bindsRpc) {
    problems.push({
      subject: "--advertised-rpc-addr",
      message: "nothing listens for other nodes: give --rpc-addr too",
    });
  }
  for (const [name, value] of values.set) {
    const subject = `--set ${name}`;
    if (!isSettingName(name)) {
      const guess = suggestSetting(name);
      const nearestText = guess === null ? "" : `; nearest is ${guess}`;
      problems.push({ subject, message: `is not a setting${nearestText}` });
      continue;
    }
    const { flag } = SETTINGS[name];
    if (flag !== null) {
      problems.push({ subject, message: `is given by ${flag}` });
      continue;
    }
    const problem = settingProblem(name, plainSettingValue(name, value));
    if (problem !== null) problems.push({ subject, message: problem });
  }
  return problems;
}

/** A line for each setting that was given and means nothing here, with the reason. */
export function settingsWithoutEffect(settings: ReadonlyMap<string, string>): string[] {
  return [...settings.keys()].flatMap((name) => {
    if (!isSettingName(name) || SETTINGS[name].honoured) return [];
    return [`--set ${name} has no effect: ${SETTINGS[name].doc}`];
  });
}

/** Null: the address itself can be connected to. */
function reachable(bound: Address, host: Host): Address | null {
  return isWildcard(bound.host) ? { host: host.name, port: bound.port } : null;
}

function isWildcard(host: string): boolean {
  return host === "0.0.0.0" || /^[0:]+$/.test(host);
}

/** Turns `7d` and `1GiB` into the plain numbers that settings hold; leaves anything else alone. */
function plainSettingValue(name: string, value: string): string {
  return plainValue(isSettingName(name) ? SETTINGS[name] : undefined, value);
}

/** Everything about `gregor start` except what it does. */
export const START: Omit<Command<typeof START_FLAGS>, "run"> = {
  name: "start",
  about: "Runs a broker until SIGTERM or Ctrl-C. When it serves, one line on stdout says so: " +
    "`ready kafka=HOST:PORT rpc=HOST:PORT admin=HOST:PORT node=N cores=N memory=BYTES`. " +
    "The log goes to stderr.\n" +
    "Every acknowledged record is flushed to disk first, in dev mode too.",
  positionals: [],
  flags: START_FLAGS,
  examples: [
    { line: "start --mode dev", says: "A broker to develop against, at 127.0.0.1:9092:" },
    {
      line: "start --data-dir /var/lib/gregor --kafka-addr 0.0.0.0:9092 " +
        "--advertised-kafka-addr kafka1:9092",
      says: "A server that other hosts reach:",
    },
    {
      line: "start --node-id 1 --rack r1 --kafka-addr 10.0.0.1:9092 --rpc-addr 10.0.0.1:33145 " +
        "--seeds 10.0.0.1:33145,10.0.0.2:33145,10.0.0.3:33145",
      says: "One of the three nodes of a cluster; all have the same seeds:",
    },
    {
      line: "start --config-file gregor.conf --print-config",
      says: "What a file, the environment and the defaults come to:",
    },
    {
      line: "start --cores 4 --memory 8GiB --set log.retention.ms=3d",
      says: "Less of the host, and records kept for three days:",
    },
  ],
  check: ({ values }) => checkStart(values),
};

/** Options, or everything that is wrong with the command line. */
export type ParsedStart =
  | { readonly options: StartOptions; readonly problems: null }
  | { readonly options: null; readonly problems: readonly Problem[] };

/** Reads the arguments after `gregor start`. */
export function parseStart(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  host: Host,
): ParsedStart {
  const parsed = parseFlags(START, argv, env);
  const problems = [...parsed.problems, ...checkStart(parsed.values)];
  return problems.length > 0
    ? { options: null, problems }
    : { options: startOptions(parsed.values, host), problems: null };
}

/**
 * `gregor cluster local`: a whole cluster on this machine, to develop against.
 *
 * stdout carries the brokers' ready lines and the line for clients; everything else goes to stderr, the log of each
 * broker with its node before it.
 *
 * @module
 */

import { command } from "./command.ts";
import { EXIT_CANNOT_CREATE, EXIT_FAILED, EXIT_OK } from "./exit_codes.ts";
import { Failure } from "./failure.ts";
import { integer, list, text } from "./flags.ts";
import { describeExit, LocalBroker, type LocalExit } from "./local_broker.ts";
import { endsWithin } from "./pause.ts";
import type { Terminal } from "./terminal.ts";

/** More nodes than a cluster is founded with would wait for seeds that cannot be named. */
const NODES_MAX = 9;
const HOST = "127.0.0.1";
/** How often a person hears that it still goes on (ms). */
const PROGRESS_MS = 1_000;
const PORT_MAX = 65_535;

const FLAGS = {
  "nodes": integer({ value: "N", default: 3, min: 1, max: NODES_MAX, help: "Brokers to run" }),
  "data-dir": text({
    value: "DIR",
    default: "gregor-cluster",
    help: "Where the data of all brokers lives, each in a folder of its own",
  }),
  "kafka-port": integer({
    value: "PORT",
    default: 9092,
    min: 1,
    max: PORT_MAX,
    help: "Where clients find the first broker; the others have the ports after it",
  }),
  "rpc-port": integer({
    value: "PORT",
    default: 33145,
    min: 1,
    max: PORT_MAX,
    help: "The same for the brokers themselves",
  }),
  "admin-port": integer({
    value: "PORT",
    default: 9644,
    min: 1,
    max: PORT_MAX,
    help: "The same for health over HTTP",
  }),
  "start-flag": list({
    value: "FLAG",
    help: "A flag for each broker's gregor start, repeatable: --start-flag=--cores=1",
  }),
} as const;

/** What is asked for. */
interface Plan {
  readonly nodes: number;
  readonly dataDir: string;
  readonly kafkaPort: number;
  readonly rpcPort: number;
  readonly adminPort: number;
  readonly startFlag: readonly string[];
}

export const definition = command({
  name: "cluster local",
  about: "Runs a cluster on this machine until Ctrl-C: brokers on loopback, in dev mode, whose " +
    "topics have three replicas (as many as there are brokers, with fewer). A ready line of each " +
    "and a line for clients go to stdout, the logs to stderr.\n" +
    "Started again over the same folder, it has everything that it had. A broker that ends by " +
    "itself is reported, and the others go on.",
  positionals: [],
  flags: FLAGS,
  examples: [
    { line: "cluster local", says: "Three brokers, at 127.0.0.1:9092 and the next two ports:" },
    {
      line: "cluster local --data-dir /tmp/five --nodes 5 --kafka-port 19092 --rpc-port 19192 " +
        "--admin-port 19292",
      says: "Five of them, beside another cluster:",
    },
  ],
  check: ({ values }) => {
    const { nodes, kafkaPort, rpcPort, adminPort } = values;
    const firsts = [["--kafka-port", kafkaPort], ["--rpc-port", rpcPort], [
      "--admin-port",
      adminPort,
    ]] as const;
    return firsts.flatMap(([subject, port]) => {
      if (port + nodes - 1 > PORT_MAX) {
        return [{ subject, message: `expected at most ${PORT_MAX - nodes + 1}` }];
      }
      const other = firsts.find(([name, at]) => name !== subject && Math.abs(at - port) < nodes);
      return other === undefined
        ? []
        : [{ subject, message: `${nodes} ports from it on are also those of ${other[0]}` }];
    });
  },
  run: async ({ values, terminal }) => {
    refuseOtherCluster(values);
    const brokers = Array.from(
      { length: values.nodes },
      (_, node) => new LocalBroker(node, startFlags(values, node), terminal),
    );
    let interrupt: () => void = () => {};
    const interrupted = new Promise<"interrupted">((resolve) => {
      interrupt = () => resolve("interrupted");
    });
    const forget = terminal.onInterrupt(interrupt);
    try {
      const failed = await untilReady(brokers, interrupted, terminal);
      if (failed !== null) return failed;
      terminal.out(`bootstrap ${addresses(values).join(",")}\n`);
      terminal.remark("Ctrl-C stops all of them.\n");
      return await watch(brokers, interrupted, values, terminal);
    } finally {
      await stopAll(brokers, terminal);
      forget();
    }
  },
});

/** A folder of another number of nodes: they founded another cluster together. */
function refuseOtherCluster({ dataDir, nodes }: Plan): void {
  let found: number;
  try {
    found = [...Deno.readDirSync(dataDir)].filter(({ name }) => /^node-\d+$/.test(name)).length;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw new Failure(
      EXIT_CANNOT_CREATE,
      `cannot read ${dataDir}: ${error instanceof Error ? error.message : error}`,
    );
  }
  if (found === 0 || found === nodes) return;
  throw new Failure(
    EXIT_CANNOT_CREATE,
    `${dataDir} holds a cluster of ${found} nodes, not of ${nodes}`,
    `Say --nodes ${found}, or choose another --data-dir.`,
  );
}

function addresses({ nodes, kafkaPort }: Plan): string[] {
  return Array.from({ length: nodes }, (_, node) => `${HOST}:${kafkaPort + node}`);
}

/** The flags of one broker's `gregor start`. */
function startFlags(plan: Plan, node: number): string[] {
  const { nodes, dataDir, kafkaPort, rpcPort, adminPort, startFlag } = plan;
  const seeds = Array.from({ length: nodes }, (_, at) => `${HOST}:${rpcPort + at}`);
  return [
    "--mode=dev",
    `--node-id=${node}`,
    `--data-dir=${dataDir}/node-${node}`,
    `--kafka-addr=${HOST}:${kafkaPort + node}`,
    `--rpc-addr=${HOST}:${rpcPort + node}`,
    `--admin-addr=${HOST}:${adminPort + node}`,
    `--seeds=${seeds.join(",")}`,
    `--set=default.replication.factor=${Math.min(3, nodes)}`,
    ...startFlag,
  ];
}

/** Prints each ready line as it comes; the exit code when the cluster does not come up, else null. */
async function untilReady(
  brokers: readonly LocalBroker[],
  interrupted: Promise<"interrupted">,
  terminal: Terminal,
): Promise<number | null> {
  const waiting = new Set(brokers.map(({ node }) => node));
  const readiness = Promise.all(brokers.map(async ({ node, ready }) => {
    terminal.out(`${await ready}\n`);
    waiting.delete(node);
  }));
  const startedMs = performance.now();
  const progress = setInterval(() => {
    const seconds = Math.round((performance.now() - startedMs) / 1000);
    terminal.remark(`Waiting for node ${[...waiting].join(", ")} (${seconds} s)\n`);
  }, PROGRESS_MS);
  try {
    const first = await Promise.race([
      readiness.then(() => null),
      interrupted,
      ...brokers.map(({ exited }) => exited),
    ]);
    if (first === null) return null;
    if (first === "interrupted") return EXIT_OK;
    terminal.remark(`Node ${first.node} did not start: ${describeExit(first)}.\n`);
    return first.code === 0 ? EXIT_FAILED : first.code;
  } finally {
    clearInterval(progress);
  }
}

/** Until Ctrl-C, or until no broker is left. */
async function watch(
  brokers: readonly LocalBroker[],
  interrupted: Promise<"interrupted">,
  plan: Plan,
  terminal: Terminal,
): Promise<number> {
  const alive = new Set(brokers);
  while (alive.size > 0) {
    const first: LocalExit | "interrupted" = await Promise.race([
      interrupted,
      ...[...alive].map(({ exited }) => exited),
    ]);
    if (first === "interrupted") return alive.size === brokers.length ? EXIT_OK : EXIT_FAILED;
    alive.delete(brokers[first.node]!);
    terminal.remark(obituary(first, alive.size, plan));
  }
  terminal.remark("No broker is left.\n");
  return EXIT_FAILED;
}

/** What a person reads when a broker ended by itself. */
function obituary(exit: LocalExit, left: number, plan: Plan): string {
  const majority = Math.floor(plan.nodes / 2) + 1;
  const rest = left >= majority
    ? `The other ${left === 1 ? "one goes" : `${left} go`} on.`
    : `${left} of ${plan.nodes} ${left === 1 ? "is" : "are"} no majority: nothing can be written ` +
      "until one is back.";
  return `Node ${exit.node} (pid ${exit.pid}) has ended: ${describeExit(exit)}. ${rest}\n` +
    "To start it again, in another terminal:\n" +
    `  gregor start ${startFlags(plan, exit.node).join(" ")}\n`;
}

/** One after the other, the last one first: each hands over to those that still run. */
async function stopAll(brokers: readonly LocalBroker[], terminal: Terminal): Promise<void> {
  for (const broker of brokers.toReversed()) {
    if (broker.isOver) continue;
    const startedMs = performance.now();
    broker.stop();
    while (!await endsWithin(broker.exited, PROGRESS_MS)) {
      const seconds = Math.round((performance.now() - startedMs) / 1000);
      terminal.remark(`Stopping node ${broker.node} (${seconds} s)\n`);
    }
    const exit = await broker.exited;
    if (exit.code !== 0) {
      terminal.remark(`Node ${broker.node} did not stop as it should: ${describeExit(exit)}.\n`);
    }
  }
}

/**
 * Several brokers of one cluster, on loopback, as child processes.
 *
 * @module
 */

import { Broker } from "./broker.ts";
import { freePorts } from "./free_ports.ts";

export interface LocalClusterOptions {
  readonly nodes: number;
  readonly cores?: number;
  /** Of each node. */
  readonly memory?: string | ((node: number) => string);
  /** More flags for every broker. */
  readonly flags?: readonly string[];
  /** And for one of them. */
  readonly flagsOf?: (node: number) => readonly string[];
  /** Where the data directories go, which its owner removes; absent: temporary ones, which are removed here. */
  readonly parentDir?: string;
  /** The ports at which others reach the nodes, if not directly; called with those at which they listen. */
  readonly reachedAt?: (rpcPorts: readonly number[]) => readonly number[];
  /** As `BrokerOptions.program`. */
  readonly program?: readonly string[];
  /** Environment of each node. */
  readonly env?: (node: number) => Readonly<Record<string, string>>;
}

export class LocalCluster {
  readonly #brokers: Broker[];
  readonly #options: LocalClusterOptions;
  readonly #seeds: string;

  private constructor(brokers: Broker[], options: LocalClusterOptions, seeds: string) {
    this.#brokers = brokers;
    this.#options = options;
    this.#seeds = seeds;
  }

  /** By node id. */
  get brokers(): readonly Broker[] {
    return this.#brokers;
  }

  /** Starts all nodes at once, because they found the cluster together. */
  static async start(options: LocalClusterOptions): Promise<LocalCluster> {
    const ports = freePorts(options.nodes);
    const reached = options.reachedAt?.(ports) ?? ports;
    const seeds = reached.map((port) => `127.0.0.1:${port}`).join(",");
    const starts = await Promise.allSettled(
      ports.map((port, node) => startNode(options, seeds, node, port, reached[node]!)),
    );
    const brokers = starts.flatMap((start) => start.status === "fulfilled" ? [start.value] : []);
    const cluster = new LocalCluster(brokers, options, seeds);
    const failed = starts.find((start) => start.status === "rejected");
    if (failed !== undefined) {
      await cluster.dispose();
      throw failed.reason;
    }
    return cluster;
  }

  /** Adds a node to the cluster. */
  async join(): Promise<Broker> {
    const [port] = freePorts(1);
    const broker = await startNode(this.#options, this.#seeds, this.#brokers.length, port!);
    this.#brokers.push(broker);
    return broker;
  }

  /** `HOST:PORT,...` of all nodes, for clients. */
  get bootstrap(): string {
    return this.brokers.map((broker) => broker.kafka).join(",");
  }

  /** What every broker wrote, for a failure's message. */
  get stderr(): string {
    return this.brokers.map(({ stderr }, node) => `node ${node}:\n${stderr}`).join("\n");
  }

  /** Stops all, and removes their data. */
  async dispose(): Promise<void> {
    await Promise.all(this.brokers.map((broker) => broker.dispose()));
  }
}

function startNode(
  options: LocalClusterOptions,
  seeds: string,
  node: number,
  port: number,
  reachedAt = port,
): Promise<Broker> {
  const { parentDir, program, memory = "256MiB" } = options;
  return Broker.start({
    ...parentDir === undefined
      ? {}
      : { dataDir: Deno.makeTempDirSync({ dir: parentDir, prefix: `node-${node}-` }) },
    ...program === undefined ? {} : { program },
    cores: options.cores ?? 1,
    memory: typeof memory === "function" ? memory(node) : memory,
    env: options.env?.(node) ?? {},
    flags: [
      ...options.flags ?? [],
      ...options.flagsOf?.(node) ?? [],
      `--node-id=${node}`,
      `--rpc-addr=127.0.0.1:${port}`,
      `--advertised-rpc-addr=127.0.0.1:${reachedAt}`,
      `--seeds=${seeds}`,
    ],
  });
}

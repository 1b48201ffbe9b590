/**
 * A broker in this process: memory, data directory, listening socket, shards.
 *
 * The region is laid out here, once:
 *
 * ```text
 *   | mailboxes of all pairs | arena of shard 0 | arena of shard 1 | ...
 * ```
 *
 * @module
 */

import { EXIT_CANNOT_CREATE, EXIT_HOST_UNFIT, EXIT_INVARIANT } from "../base/exit_codes.ts";
import type { Logger } from "../base/logger.ts";
import { Settings } from "../base/settings.ts";
import type { NamedLife } from "../cluster/lives.ts";
import {
  allowedProcessors,
  claimDataDirectory,
  listen,
  lockProblem,
  mapMemory,
  openDescriptors,
  raiseFileLimit,
  uringProblem,
} from "../io/host.ts";
import {
  describeFileLimit,
  type HostProblem,
  type MemoryLimits,
  memorySizeProblem,
} from "../io/host_problem.ts";
import { decoderBytesMax } from "../io/record_walk.ts";
import type { Shim } from "../io/shim.ts";
import { RECORDER_BYTES } from "../metrics/recorder.ts";
import type { Boot } from "./control.ts";
import { type DescriptorShares, shareDescriptors } from "./descriptors.ts";
import { limitFrames } from "./frame_limit.ts";
import { mailboxesSize } from "./mailbox.ts";
import { nodeSettings } from "./node_settings.ts";
import type { StartedNode } from "./start_sequence.ts";
import { BrokerFailure, Supervisor } from "./supervisor.ts";

const ARENA_ALIGNMENT = 2 ** 21;
/** Where a node would be found that does not listen for others, and founds a cluster by itself. */
const RPC_PORT_USUAL = 33145;

/** What a broker is started with; from the command line (`src/cli/start.ts`). */
export interface BrokerOptions {
  /** The program's version. */
  readonly version: string;
  readonly dataDir: string;
  readonly kafkaHost: string;
  /** 0 for any free one. */
  readonly kafkaPort: number;
  /** The address for clients; port 0 means the port that was bound. */
  readonly advertisedHost: string;
  readonly advertisedPort: number;
  readonly nodeId: number;
  /** RPC addresses of the first nodes; empty: a cluster of one. */
  readonly seeds: readonly { readonly host: string; readonly port: number }[];
  readonly rack: string | null;
  /** Where other nodes connect, and what they are told; null: nowhere. Port 0 as for Kafka's. */
  readonly rpc: {
    readonly host: string;
    readonly port: number;
    readonly advertisedHost: string;
    readonly advertisedPort: number;
  } | null;
  /** Partitions that damage made read-only are writable again. */
  readonly acceptLoss: boolean;
  /** Lives that are given up if the metadata lost its majority; absent: none. */
  readonly recoversMetadata?: readonly NamedLife[];
  /** Read everything back from the disk before serving. */
  readonly verify: boolean;
  /** Resolves at a signal. */
  readonly stopping: Promise<void>;
  /**
   * Called when the data directory and the ports are this broker's, long before it serves: probes may be answered.
   * A `Failure` that it throws ends the start.
   */
  readonly onClaimed: (probe: NodeProbe) => void;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly memoryLimits: MemoryLimits;
  /** Lock the memory and pin the shards, or refuse to start. */
  readonly strict: boolean;
  readonly idlePollUs: number;
  readonly settings: ReadonlyMap<string, string>;
}

/** What probes ask, from the start on. */
export type NodeProbe = Pick<
  Supervisor,
  "problems" | "warnings" | "clusterId" | "recorded" | "collectMetrics"
>;

export class Broker {
  readonly #supervisor: Supervisor;
  readonly #stopMsMax: number;
  readonly kafkaPort: number;
  /** Null: other nodes cannot connect. */
  readonly rpcPort: number | null;
  /** The address that clients connect to. */
  readonly advertised: { readonly host: string; readonly port: number };
  readonly started: StartedNode;

  private constructor(
    supervisor: Supervisor,
    stopMsMax: number,
    kafkaPort: number,
    rpcPort: number | null,
    advertised: { readonly host: string; readonly port: number },
    started: StartedNode,
  ) {
    this.#supervisor = supervisor;
    this.#stopMsMax = stopMsMax;
    this.kafkaPort = kafkaPort;
    this.rpcPort = rpcPort;
    this.advertised = advertised;
    this.started = started;
  }

  /** Rejects when the broker must end. */
  get failed(): Promise<never> {
    return this.#supervisor.failed;
  }

  /**
   * Starts a broker; it serves when this resolves.
   *
   * @throws {BrokerFailure} with an exit code and what to do, or `StartCutShort` when it had to stop
   */
  static async start(shim: Shim, options: BrokerOptions, logger: Logger): Promise<Broker> {
    refuse(uringProblem(shim), EXIT_HOST_UNFIT);
    const besideBytes = options.cores * decoderBytesMax(options.memoryBytes / options.cores);
    refuse(
      memorySizeProblem(options.memoryBytes, besideBytes, options.memoryLimits, options.strict),
      EXIT_HOST_UNFIT,
    );
    if (options.strict) refuse(lockProblem(shim, options.memoryBytes), EXIT_HOST_UNFIT);
    const descriptors = shareOpenFiles(shim, options);
    refuse(claimDataDirectory(shim, options.dataDir), EXIT_CANNOT_CREATE);
    const listener = listen(shim, options.kafkaHost, options.kafkaPort);
    if ("message" in listener) throw failureOf(listener, EXIT_CANNOT_CREATE);
    const { rpc } = options;
    const peers = rpc === null ? null : listen(shim, rpc.host, rpc.port, "--advertised-rpc-addr");
    if (peers !== null && "message" in peers) throw failureOf(peers, EXIT_CANNOT_CREATE);
    const supervisor = new Supervisor(shim, logger, options.dataDir);
    options.onClaimed(supervisor);
    const rpcEndpoint = rpc === null || peers === null ? null : {
      host: rpc.advertisedHost,
      port: rpc.advertisedPort === 0 ? peers.port : rpc.advertisedPort,
    };
    const mailboxes = mailboxesSize(options.cores);
    const arenasBase = roundUp(mailboxes, ARENA_ALIGNMENT);
    const arenaBytes = Math.floor(options.memoryBytes / options.cores / ARENA_ALIGNMENT) *
      ARENA_ALIGNMENT;
    const regionBytes = arenasBase + arenaBytes * options.cores;
    mapRegionFor(shim, regionBytes, options.strict);
    const processors = allowedProcessors(shim);
    const pin = options.strict && options.cores <= processors.length;
    const advertisedPort = options.advertisedPort === 0 ? listener.port : options.advertisedPort;
    const settings = limitFrames(
      new Map([
        ...options.settings,
        ...nodeSettings(options, listener.port, advertisedPort),
      ]),
      arenaBytes,
      logger,
    );
    const incarnation = newIncarnation();
    const process = crypto.getRandomValues(new Uint32Array(1))[0]!;
    const program = { version: options.version, startedMs: Math.round(performance.timeOrigin) };
    const boots: Boot[] = [];
    for (let shard = 0; shard < options.cores; shard++) {
      boots.push({
        shard,
        program,
        shardCount: options.cores,
        nodeId: options.nodeId,
        rpcAddress: rpcEndpoint ?? { host: options.advertisedHost, port: RPC_PORT_USUAL },
        seeds: options.seeds,
        mailboxes: 0,
        arenaBase: arenasBase + shard * arenaBytes,
        arenaBytes,
        dataDir: options.dataDir,
        idlePollUs: options.idlePollUs,
        acceptLoss: options.acceptLoss,
        recoversMetadata: options.recoversMetadata ?? [],
        openFilesMax: descriptors.openFilesPerShard,
        processor: pin ? processors[shard]! : -1,
        settings,
        seed: crypto.getRandomValues(new Uint32Array(1))[0]!,
        incarnation,
        process,
        linksMax: descriptors.linksPerShard,
        recorded: new SharedArrayBuffer(RECORDER_BYTES),
      });
    }
    const started = await supervisor.start(boots, {
      node: {
        host: options.advertisedHost,
        port: advertisedPort,
        rack: options.rack,
        rpc: rpcEndpoint,
      },
      peers: peers === null ? null : peers.fd,
      verify: options.verify,
      stopping: options.stopping,
    });
    supervisor.accept(listener.fd, descriptors.connectionsMax);
    const stopMsMax = new Settings(options.settings).number("shutdown.timeout.ms");
    const advertised = { host: options.advertisedHost, port: advertisedPort };
    const rpcPort = peers === null ? null : peers.port;
    return new Broker(supervisor, stopMsMax, listener.port, rpcPort, advertised, started);
  }

  /**
   * Answers what is open, writes everything out; nothing is served afterwards.
   *
   * @throws {BrokerFailure} when that takes longer than `shutdown.timeout.ms`
   */
  async stop(): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const overdue = new Promise<never>((_resolve, reject) => {
      const message = `Stopping takes longer than shutdown.timeout.ms (${this.#stopMsMax} ms). ` +
        "What was acknowledged is durable; the next start recovers the rest from the journal.";
      const fail = (): void => reject(new BrokerFailure(EXIT_INVARIANT, message));
      timer = setTimeout(fail, this.#stopMsMax);
    });
    try {
      await Promise.race([this.#supervisor.stop(), overdue]);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Raises the limit of open files as far as allowed, and shares them out. */
function shareOpenFiles(shim: Shim, options: BrokerOptions): DescriptorShares {
  const limit = raiseFileLimit(shim);
  const extents = new Settings(options.settings).number("journal.extents");
  const shares = shareDescriptors(
    limit,
    openDescriptors(),
    options.cores,
    extents,
    options.rpc === null,
  );
  if (typeof shares !== "number") return shares;
  throw failureOf(describeFileLimit(limit, shares), EXIT_HOST_UNFIT);
}

/** 32 hexadecimal digits that no other start of a node has. */
function newIncarnation(): string {
  return crypto.randomUUID().replaceAll("-", "");
}

function mapRegionFor(shim: Shim, sizeBytes: number, lock: boolean): void {
  const problem = mapMemory(shim, sizeBytes, { lock, populate: lock, huge: true });
  if (problem === null) return;
  throw failureOf(problem, EXIT_HOST_UNFIT);
}

function refuse(problem: HostProblem | null, exitCode: number): void {
  if (problem !== null) throw failureOf(problem, exitCode);
}

function failureOf(problem: HostProblem, exitCode: number): BrokerFailure {
  return new BrokerFailure(exitCode, `${problem.message} ${problem.hint}`);
}

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}

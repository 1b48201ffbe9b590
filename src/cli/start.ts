/**
 * `gregor start`: a broker until a signal.
 *
 * stdout carries one line, when the broker serves; everything else goes to stderr.
 *
 * @module
 */

import { hostPort } from "../base/address.ts";
import { type AdminServer, startAdmin } from "../admin/server.ts";
import { LogPrinter } from "../admin/log_printer.ts";
import { EXIT_CANNOT_CREATE, EXIT_HOST_UNFIT, EXIT_OK } from "../base/exit_codes.ts";
import { LogLevel } from "../base/logger.ts";
import { loadShim, type Shim, ShimUnavailable } from "../io/shim.ts";
import { ServiceManager } from "../io/service_manager.ts";
import { Broker, type BrokerOptions, type NodeProbe } from "../shard/broker.ts";
import { obeyFaultFile } from "../shard/fault_file.ts";
import { BrokerFailure, StartCutShort } from "../shard/supervisor.ts";
import { command } from "./command.ts";
import { Failure } from "./failure.ts";
import { formatAddress } from "./flags.ts";
import { inspectHost, inspectMemory } from "./host.ts";
import { launcherDeath } from "./launcher.ts";
import { CONFIG_COLUMNS, configRows } from "./print_config.ts";
import { formatTable } from "./table.ts";
import { VERSION } from "./version.ts";
import { formatSize } from "./size.ts";
import { settingsWithoutEffect, START, type StartOptions, startOptions } from "./start_options.ts";

const LEVELS = {
  debug: LogLevel.DEBUG,
  info: LogLevel.INFO,
  warn: LogLevel.WARN,
  error: LogLevel.ERROR,
} as const;

/** A task runner delivers an interrupt twice; a person who insists does it later than this (ms). */
const SECOND_SIGNAL_MS = 1_000;

export const definition = command({
  ...START,
  async run({ values, origins, terminal }) {
    const options = startOptions(values, inspectHost());
    if (values.printConfig) {
      terminal.out(formatTable(terminal, CONFIG_COLUMNS, configRows(options, origins)));
      return EXIT_OK;
    }
    const logger = new LogPrinter(LEVELS[options.logLevel], options.logFormat === "json");
    for (const line of settingsWithoutEffect(options.settings)) logger.log(LogLevel.INFO, line);
    const shim = openShim();
    obeyFaultFile(shim);
    const manager = new ServiceManager(shim, terminal.env["NOTIFY_SOCKET"] ?? "");
    const stops = [awaitStop()];
    // A server may outlive the shell that started it; one under a task runner must not.
    if (!options.detached) stops.push(launcherDeath().then(describeOrphan));
    const why = Promise.race(stops);
    const stopping = why.then(() => {});
    const startedMs = performance.now();
    let broker: Broker;
    const opened: AdminServer[] = [];
    const onClaimed = (probe: NodeProbe): void => {
      opened.push(openAdmin(options, probe));
    };
    try {
      const brokerStart = { ...brokerOptions(options, stopping), onClaimed };
      broker = await Broker.start(shim, brokerStart, manager.told(logger));
    } catch (error) {
      if (error instanceof StartCutShort) {
        logger.log(LogLevel.WARN, error.message);
        return EXIT_OK;
      }
      throw asFailure(error);
    }
    const admin = opened[0]!;
    const { started } = broker;
    const rpc = options.rpcAddr === null || broker.rpcPort === null
      ? "none"
      : hostPort(options.rpcAddr.host, broker.rpcPort);
    logger.log(LogLevel.INFO, "Serving", {
      version: VERSION,
      pid: Deno.pid,
      node: options.nodeId,
      mode: options.mode,
      kafka: formatAddress({ host: options.kafkaAddr.host, port: broker.kafkaPort }),
      advertised: formatAddress(broker.advertised),
      ...(rpc === "none" ? {} : { rpc }),
      admin: formatAddress({ host: options.adminAddr.host, port: admin.port }),
      dataDir: options.dataDir,
      cluster: started.clusterId,
      topics: started.topics,
      partitionsLed: started.partitions,
      cores: options.cores,
      replayed: started.replayed,
      memory: formatSize(options.memoryBytes),
      tookMs: Math.round(performance.now() - startedMs),
    });
    terminal.out(
      `ready kafka=${hostPort(options.kafkaAddr.host, broker.kafkaPort)} rpc=${rpc} ` +
        `admin=${hostPort(options.adminAddr.host, admin.port)} node=${options.nodeId} ` +
        `cores=${options.cores} memory=${options.memoryBytes}\n`,
    );
    manager.ready(`Serving clients at ${formatAddress(broker.advertised)}`);
    if (options.acceptLoss) {
      logger.log(
        LogLevel.WARN,
        "Damaged data is given up as long as this broker runs, and in each start with --accept-loss: " +
          "take the flag away for the next one",
      );
    }
    try {
      const reason = await Promise.race([why, broker.failed]);
      manager.stopping("Answering open requests, writing everything out");
      logger.log(LogLevel.INFO, "Stopping", { why: reason });
      await Promise.race([broker.stop(), broker.failed]);
    } catch (error) {
      throw asFailure(error);
    }
    await admin.stop();
    logger.log(LogLevel.INFO, "Stopped");
    return EXIT_OK;
  },
});

function openAdmin({ adminAddr }: StartOptions, probe: NodeProbe): AdminServer {
  try {
    return startAdmin(adminAddr.host, adminAddr.port, probe, VERSION);
  } catch (error) {
    if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    throw new Failure(
      EXIT_CANNOT_CREATE,
      `cannot listen on ${formatAddress(adminAddr)}`,
      "Another process already listens there; choose another --admin-addr (port 0 = any free one).",
    );
  }
}

function brokerOptions(
  options: StartOptions,
  stopping: Promise<void>,
): Omit<BrokerOptions, "onClaimed"> {
  const advertised = options.advertisedKafkaAddr ?? options.kafkaAddr;
  return {
    version: VERSION,
    dataDir: options.dataDir,
    kafkaHost: options.kafkaAddr.host,
    kafkaPort: options.kafkaAddr.port,
    advertisedHost: advertised.host,
    advertisedPort: advertised.port,
    nodeId: options.nodeId,
    seeds: options.seeds,
    rack: options.rack,
    rpc: rpcOptions(options),
    acceptLoss: options.acceptLoss,
    recoversMetadata: options.recoverMetadata,
    verify: options.verify,
    stopping,
    cores: options.cores,
    memoryBytes: options.memoryBytes,
    memoryLimits: inspectMemory(),
    strict: options.mode === "production",
    idlePollUs: options.idlePollUs,
    settings: options.settings,
  };
}

function rpcOptions({ rpcAddr, advertisedRpcAddr }: StartOptions): BrokerOptions["rpc"] {
  if (rpcAddr === null) return null;
  const advertised = advertisedRpcAddr ?? rpcAddr;
  return { ...rpcAddr, advertisedHost: advertised.host, advertisedPort: advertised.port };
}

function openShim(): Shim {
  try {
    return loadShim();
  } catch (error) {
    if (!(error instanceof ShimUnavailable)) throw error;
    throw new Failure(EXIT_HOST_UNFIT, error.message);
  }
}

function describeOrphan(launcher: number): string {
  return `the process that started this broker (pid ${launcher}) has ended; with --detached it would keep running`;
}

/** Resolves with the first SIGTERM or SIGINT; one that comes well after it ends the process at once. */
function awaitStop(): Promise<string> {
  return new Promise((resolve) => {
    let firstMs = -1;
    const onSignal = (signal: Deno.Signal): void => {
      const nowMs = performance.now();
      if (firstMs >= 0 && nowMs - firstMs > SECOND_SIGNAL_MS) Deno.kill(Deno.pid, "SIGKILL");
      if (firstMs < 0) firstMs = nowMs;
      resolve(signal);
    };
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      Deno.addSignalListener(signal, () => onSignal(signal));
    }
  });
}

function asFailure(error: unknown): unknown {
  if (!(error instanceof BrokerFailure)) return error;
  return new Failure(error.exitCode, error.message);
}

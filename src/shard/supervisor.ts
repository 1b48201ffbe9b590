/**
 * The control thread's part of a broker: starts the shards, has them go through the start sequence
 * (`start_sequence.ts`), and stops them.
 *
 * It is the only place that prints or ends the process on their behalf. Stopping is asked of each shard
 * and awaited, with a deadline: a Worker is never terminated, because that stops neither a loop nor a
 * call into the shim.
 *
 * @module
 */

import { EXIT_INVARIANT } from "../base/exit_codes.ts";
import { type Logger, LogLevel } from "../base/logger.ts";
import { packed } from "../io/packed.ts";
import type { Shim } from "../io/shim.ts";
import { all, runTask, type Task, until } from "../io/task.ts";
import { resolveHost } from "../io/resolve_host.ts";
import { wakeRing } from "../io/uring.ts";
import { CONTROLLER_SHARD } from "../kafka/handler.ts";
import { DISK_ERROR_PATH } from "../storage/disk_error_mark.ts";
import type { Boot, FromShard, ToShard } from "./control.ts";
import { leaveMark } from "./leave_mark.ts";
import { type CollectedRows, MetricCollector } from "./metric_collector.ts";
import { DAMAGE_LOG_MS, type HealthProblem, NodeHealth } from "./node_health.ts";
import { describeRefusal, exitCodeOf } from "./start_advice.ts";
import {
  type AdvertisedNode,
  type StartedNode,
  startNode,
  type StartSteps,
  stopNode,
} from "./start_sequence.ts";
import type { StorageHealth } from "./storage_health.ts";

/** How often progress of a long step is shown (ms). */
const PROGRESS_MS = 1000;

/** The broker must end with this exit code. */
export class BrokerFailure extends Error {
  override name = "BrokerFailure";
  readonly exitCode: number;

  constructor(exitCode: number, message: string) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** A signal came while the start was still verifying, or waiting for other nodes; nothing was served. */
export class StartCutShort extends Error {
  override name = "StartCutShort";
}

type Answer<Type extends FromShard["type"]> = Extract<FromShard, { type: Type }>;

/** How a start is to go. */
export interface BrokerStart {
  readonly node: AdvertisedNode;
  /** The listener for other nodes; null: none can connect. */
  readonly peers: number | null;
  /** Read everything back before serving, though no mark asks for it. */
  readonly verify: boolean;
  /** Resolves at a signal: a step that may take long is cut short. */
  readonly stopping: Promise<void>;
}

interface Waiting {
  readonly type: FromShard["type"];
  readonly shard: number;
  readonly done: (message: FromShard) => void;
}

export class Supervisor {
  readonly #shim: Shim;
  readonly #logger: Logger;
  readonly #workers: Worker[] = [];
  readonly #waiting: Waiting[] = [];
  readonly #fail: (failure: BrokerFailure) => void;
  #progressShownMs = 0;
  readonly #dataDir: string;
  readonly #health: NodeHealth;
  #clusterId = "";
  #recorded: readonly Float64Array[] = [];
  readonly #metrics = new MetricCollector((shard, round) => {
    this.#send(shard, { type: "collect", round });
  });
  /** Shards answer. */
  #isRunning = false;
  /** Only the first reason to end is reported; shards answer nothing more. */
  #ending = false;
  /** Rejects when a shard says that the process must end. */
  readonly failed: Promise<never>;

  constructor(shim: Shim, logger: Logger, dataDir: string) {
    this.#shim = shim;
    this.#logger = logger;
    this.#dataDir = dataDir;
    this.#health = new NodeHealth(logger, dataDir, () => performance.now());
    this.#health.noteStarting("the broker reads its files");
    let fail: (failure: BrokerFailure) => void = () => {};
    this.failed = new Promise<never>((_resolve, reject) => fail = reject);
    // Callers that race it handle it; on its own it must not count as unhandled.
    this.failed.catch(() => {});
    this.#fail = fail;
  }

  /**
   * Takes the shards from boot to serving; rejects with {@linkcode BrokerFailure}, or with
   * {@linkcode StartCutShort} when it is to stop while it verifies, or waits for other nodes.
   */
  async start(
    boots: readonly Boot[],
    { node, peers, verify, stopping }: BrokerStart,
  ): Promise<StartedNode> {
    const nowMs = (): number => performance.now();
    const script = packed()?.worker ?? new URL("./worker.ts", import.meta.url).href;
    for (const boot of boots) {
      const worker = new Worker(script, { type: "module", name: `shard ${boot.shard}` });
      worker.onmessage = (event: MessageEvent<FromShard>) => this.#take(boot.shard, event.data);
      worker.onerror = (event) => {
        event.preventDefault();
        this.#fail(new BrokerFailure(EXIT_INVARIANT, `Shard ${boot.shard}: ${event.message}`));
      };
      this.#workers.push(worker);
    }
    this.#recorded = boots.map(({ recorded }) => new Float64Array(recorded));
    const booting = boots.map((boot) => this.#ask(boot.shard, { type: "boot", boot }, "booted"));
    await this.#finish(all(booting, booting.length));
    this.#isRunning = true;
    const order = { node, verify, logger: this.#logger, nowMs };
    let cutShort: (error: StartCutShort) => void = () => {};
    const cut = new Promise<never>((_resolve, reject) => cutShort = reject);
    const steps = this.#steps(peers, stopping, cutShort);
    const outcome = await Promise.race([this.#finish(startNode(order, steps)), cut]);
    if (outcome.refused === null) {
      this.#health.noteStarting(null);
      this.#clusterId = outcome.clusterId;
      return outcome;
    }
    this.#ending = true;
    const exitCode = exitCodeOf(outcome);
    const message = describeRefusal(outcome);
    if (outcome.isDiskError) this.#endMarked(CONTROLLER_SHARD, exitCode, message);
    else this.#fail(new BrokerFailure(exitCode, message));
    return await this.failed;
  }

  /** The steps as messages to the shards. */
  #steps(
    peers: number | null,
    stopping: Promise<void>,
    cutShort: (error: StartCutShort) => void,
  ): StartSteps {
    const first = CONTROLLER_SHARD;
    return {
      shardCount: this.#workers.length,
      recover: () => this.#ask(first, { type: "recover" }, "recovered"),
      verify: (manifest) => {
        const verifying = this.#ask(first, { type: "verify", manifest }, "verified");
        const message = "Stopped before everything was verified; nothing was served";
        return unlessStopped(verifying, stopping, () => cutShort(new StartCutShort(message)));
      },
      open: (shard, manifest, damages) => {
        return this.#ask(shard, { type: "open", manifest, damages }, "opened");
      },
      listen: () => {
        if (peers !== null) this.#send(first, { type: "acceptPeers", listener: peers });
      },
      join: (manifest, node, firstFreeGroupId) => {
        const message = { type: "join", manifest, node, firstFreeGroupId } as const;
        const joining = this.#ask(first, message, "joined");
        const why = "Stopped while waiting for the other nodes; nothing was served";
        return unlessStopped(joining, stopping, () => cutShort(new StartCutShort(why)));
      },
      lead: (node, firstFreeGroupId) => {
        const leading = this.#ask(first, { type: "lead", node, firstFreeGroupId }, "leading");
        const why = "Stopped before the cluster knew this node; nothing was served";
        return unlessStopped(leading, stopping, () => cutShort(new StartCutShort(why)));
      },
      serve: (shard, ballastBytes) => {
        return this.#ask(shard, { type: "serve", ballastBytes }, "serving");
      },
    };
  }

  /** What keeps the node from serving all that it should. */
  problems(): HealthProblem[] {
    return this.#health.problems();
  }

  /** What is worth knowing besides. */
  warnings(): HealthProblem[] {
    return this.#health.warnings();
  }

  /** Empty until the node has started. */
  get clusterId(): string {
    return this.#clusterId;
  }

  /** What each shard records (`metrics/recorder.ts`); empty until there are shards. */
  get recorded(): readonly Float64Array[] {
    return this.#recorded;
  }

  /** Asks the shards for what they do not record all the time. */
  collectMetrics(): Promise<CollectedRows> {
    return this.#metrics.collect(this.#isRunning ? this.#workers.length : 0);
  }

  /** Shard 0 accepts from now on. */
  accept(listener: number, connectionsMax: number): void {
    this.#send(0, { type: "accept", listener, connectionsMax });
  }

  /** Drains and writes out every shard. */
  async stop(): Promise<void> {
    await this.#finish(stopNode({
      shardCount: this.#workers.length,
      drain: (shard) => this.#ask(shard, { type: "drain" }, "drained"),
      stop: (shard) => this.#ask(shard, { type: "stop" }, "stopped"),
    }));
  }

  #send(shard: number, message: ToShard): void {
    this.#workers[shard]!.postMessage(message);
    wakeRing(this.#shim, shard);
  }

  /** Sends a message when the task begins; ends with its answer. */
  #ask<Type extends FromShard["type"]>(
    shard: number,
    message: ToShard,
    type: Type,
  ): Task<Answer<Type>> {
    return until((done) => {
      this.#waiting.push({ type, shard, done: (answer) => done(answer as Answer<Type>) });
      this.#send(shard, message);
    });
  }

  /** Runs a task to its end; rejects when the process must end before. */
  #finish<T>(task: Task<T>): Promise<T> {
    return Promise.race([new Promise<T>((resolve) => runTask(task, resolve)), this.failed]);
  }

  #take(shard: number, message: FromShard): void {
    if (this.#ending && message.type !== "log") return;
    switch (message.type) {
      case "log":
        this.#logger.log(message.level, message.message, message.fields);
        return;
      case "progress":
        this.#showProgress(message.text);
        return;
      case "waiting":
        return this.#health.noteStarting(message.why ?? "the broker loads what it has");
      case "replicas":
        return this.#health.updateReplicas(shard, message.health);
      case "metrics":
        return this.#metrics.take(shard, message);
      case "health":
        return this.#noteHealth(shard, message.health);
      case "resolve":
        this.#resolve(shard, message.id, message.host);
        return;
      case "fatal":
        this.#ending = true;
        if (message.diskError) this.#endMarked(shard, message.exitCode, message.message);
        else this.#fail(new BrokerFailure(message.exitCode, message.message));
        return;
      default: {
        const at = this.#waiting.findIndex((w) => w.type === message.type && w.shard === shard);
        if (at >= 0) this.#waiting.splice(at, 1)[0]!.done(message);
      }
    }
  }

  /** No shard acknowledges anything from here on; the mark makes the next start distrust the disk. */
  async #endMarked(shard: number, exitCode: number, message: string): Promise<void> {
    for (let other = 0; other < this.#workers.length; other++) {
      if (other !== shard) this.#send(other, { type: "halt" });
    }
    const file = `${this.#dataDir}/${DISK_ERROR_PATH}`;
    const problem = await leaveMark(this.#dataDir, message);
    let advice = `Check the disk. The next start reads everything back from it before it serves.`;
    if (problem === null) {
      this.#logger.log(LogLevel.ERROR, "Disk error: left a mark for the next start", { file });
    } else {
      this.#logger.log(LogLevel.ERROR, "Disk error: could not leave a mark", { file, problem });
      advice = "The next start has no mark of it: check the disk, then start with --verify, " +
        "or run gregor check.";
    }
    this.#fail(new BrokerFailure(exitCode, `${message} ${advice}`));
  }

  /** Clients ask any shard. */
  #noteHealth(shard: number, health: StorageHealth): void {
    this.#health.update(shard, health);
    Deno.unrefTimer(setTimeout(() => this.#health.logDamage(), DAMAGE_LOG_MS));
    const { full: diskFull, hurtGroups: damagedGroups, readOnlyGroups } = this.#health;
    for (let other = 0; other < this.#workers.length; other++) {
      this.#send(other, { type: "trouble", diskFull, damagedGroups, readOnlyGroups });
    }
  }

  async #resolve(shard: number, id: number, host: string): Promise<void> {
    const address = await resolveHost(host);
    if (!this.#ending) this.#send(shard, { type: "resolved", id, address });
  }

  #showProgress(text: string): void {
    const nowMs = performance.now();
    if (nowMs - this.#progressShownMs < PROGRESS_MS) return;
    this.#progressShownMs = nowMs;
    this.#logger.log(LogLevel.INFO, `Recovering: ${text}`);
  }
}

/** A step that a signal cuts short never ends. */
function* unlessStopped<T>(
  step: Task<T>,
  stopping: Promise<void>,
  cutShort: () => void,
): Task<T> {
  let isOver = false;
  let isCut = false;
  stopping.then(() => {
    if (isOver) return;
    isCut = true;
    cutShort();
  });
  const result = yield* step;
  isOver = true;
  if (isCut) yield* until<never>(() => {});
  return result;
}

/**
 * The control thread's part of a broker: starts the shards, takes them through recovery to serving, and
 * stops them.
 *
 * It is the only place that prints or ends the process on their behalf. Stopping is asked of each shard
 * and awaited, with a deadline: a Worker is never terminated, because that stops neither a loop nor a
 * call into the shim.
 *
 * @module
 */

import { EXIT_INVARIANT } from "../base/exit_codes.ts";
import { type Logger, LogLevel } from "../base/logger.ts";
import type { Shim } from "../io/shim.ts";
import { wakeRing } from "../io/uring.ts";
import { DISK_ERROR_PATH } from "../storage/disk_error_mark.ts";
import type { Manifest } from "../storage/manifest.ts";
import type { Damage } from "../storage/shard_storage.ts";
import type { AdvertisedNode, Boot, FromShard, ToShard } from "./control.ts";
import { leaveMark } from "./leave_mark.ts";
import {
  DAMAGE_LOG_MS,
  DAMAGE_REMEDY,
  type HealthProblem,
  NodeHealth,
  someOf,
} from "./node_health.ts";
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

/** A signal came while the start was still verifying; nothing was served. */
export class StartCutShort extends Error {
  override name = "StartCutShort";
}

type Answer<Type extends FromShard["type"]> = Extract<FromShard, { type: Type }>;

/** How a start is to go. */
export interface StartOrder {
  readonly node: AdvertisedNode;
  /** Read everything back before serving, though no mark asks for it. */
  readonly verify: boolean;
  /** Resolves at a signal: a verification is cut short. */
  readonly stopping: Promise<void>;
}

interface Waiting {
  readonly type: FromShard["type"];
  readonly shard: number;
  readonly resolve: (message: FromShard) => void;
}

export interface StartedBroker {
  readonly clusterId: string;
  readonly topics: number;
  readonly partitions: number;
  readonly logs: number;
  readonly fresh: boolean;
  readonly replayed: number;
}

export class Supervisor {
  readonly #shim: Shim;
  readonly #logger: Logger;
  readonly #workers: Worker[] = [];
  readonly #waiting: Waiting[] = [];
  readonly #fail: (failure: BrokerFailure) => void;
  #progressShownMs = 0;
  #dataDir = "";
  #health: NodeHealth | null = null;
  /** Only the first reason to end is reported; shards answer nothing more. */
  #ending = false;
  /** Rejects when a shard says that the process must end. */
  readonly failed: Promise<never>;

  constructor(shim: Shim, logger: Logger) {
    this.#shim = shim;
    this.#logger = logger;
    let fail: (failure: BrokerFailure) => void = () => {};
    this.failed = new Promise<never>((_resolve, reject) => fail = reject);
    // Callers that race it handle it; on its own it must not count as unhandled.
    this.failed.catch(() => {});
    this.#fail = fail;
  }

  /**
   * Takes the shards from boot to leading; rejects with {@linkcode BrokerFailure}, or with
   * {@linkcode StartCutShort} when it is to stop while it verifies.
   */
  async start(boots: readonly Boot[], order: StartOrder): Promise<StartedBroker> {
    const { node, stopping } = order;
    this.#dataDir = boots[0]!.dataDir;
    this.#health = new NodeHealth(this.#logger, this.#dataDir, () => performance.now());
    const script = new URL("./worker.ts", import.meta.url).href;
    for (const boot of boots) {
      const worker = new Worker(script, { type: "module", name: `shard ${boot.shard}` });
      worker.onmessage = (event: MessageEvent<FromShard>) => this.#take(boot.shard, event.data);
      worker.onerror = (event) => {
        event.preventDefault();
        this.#fail(new BrokerFailure(EXIT_INVARIANT, `Shard ${boot.shard}: ${event.message}`));
      };
      this.#workers.push(worker);
    }
    await this.#askAll(boots.map((boot) => ({ type: "boot", boot })), "booted");
    const recovered = await this.#ask(0, { type: "recover" }, "recovered");
    const { suspects } = recovered;
    if (suspects.length > 0) {
      this.#logger.log(
        LogLevel.ERROR,
        "Damage may have taken acknowledged records; the partitions concerned are read-only until " +
          "a start with --accept-loss",
        { partitions: someOf(suspects), remedy: DAMAGE_REMEDY },
      );
    }
    if (recovered.ringsDealt) {
      this.#logger.log(
        LogLevel.WARN,
        "The disk is too full for the configured journals: those of the last run were shared out",
      );
    }
    const { manifest, diskError } = recovered;
    const damages = order.verify || diskError !== null
      ? await this.#verify(manifest, diskError, stopping)
      : [];
    const open: ToShard = { type: "open", manifest: recovered.manifest, damages };
    const opened = await this.#askAll(boots.map(() => open), "opened");
    const firstFreeGroupId = 1 + Math.max(...opened.map(({ lastGroupId }) => lastGroupId));
    const led = await this.#ask(0, { type: "lead", node, firstFreeGroupId }, "leading");
    const serve: ToShard = { type: "serve", ballastBytes: recovered.ballastBytes };
    await this.#askAll(boots.map(() => serve), "serving");
    return {
      clusterId: led.clusterId,
      topics: led.topics,
      partitions: led.partitions,
      logs: opened.reduce((sum, answer) => sum + answer.logs, 0),
      fresh: recovered.fresh,
      replayed: recovered.replayed,
    };
  }

  /** Has every byte read back before anything is served; progress is shown meanwhile. */
  async #verify(
    manifest: Manifest,
    diskError: string | null,
    stopping: Promise<void>,
  ): Promise<readonly Damage[]> {
    const startedMs = performance.now();
    if (diskError === null) {
      this.#logger.log(LogLevel.INFO, "Reading everything back from the disk, as --verify asks");
    } else {
      this.#logger.log(
        LogLevel.WARN,
        "A disk error ended the last run: reading everything back from the disk before serving",
        { error: diskError },
      );
    }
    const cut = stopping.then(() => {
      throw new StartCutShort("Stopped before everything was verified; nothing was served");
    });
    const asked = this.#ask(0, { type: "verify", manifest }, "verified");
    const { verified, damages } = await Promise.race([asked, cut]);
    const level = damages.length > 0 ? LogLevel.ERROR : LogLevel.INFO;
    this.#logger.log(level, "Verified every segment", {
      ...verified,
      damages: damages.length,
      tookMs: Math.round(performance.now() - startedMs),
    });
    return damages;
  }

  /** What keeps the node from serving all that it should. */
  problems(): HealthProblem[] {
    return this.#health?.problems() ?? [];
  }

  /** Shard 0 accepts from now on. */
  accept(listener: number, connectionsMax: number): void {
    this.#send(0, { type: "accept", listener, connectionsMax });
  }

  /** Drains and writes out every shard. */
  async stop(): Promise<void> {
    // In two steps: a shard that still answers its clients may need another one's storage.
    await this.#askAll(this.#workers.map(() => ({ type: "drain" })), "drained");
    await this.#askAll(this.#workers.map(() => ({ type: "stop" })), "stopped");
  }

  #send(shard: number, message: ToShard): void {
    this.#workers[shard]!.postMessage(message);
    wakeRing(this.#shim, shard);
  }

  #ask<Type extends FromShard["type"]>(
    shard: number,
    message: ToShard,
    type: Type,
  ): Promise<Answer<Type>> {
    const answered = new Promise<Answer<Type>>((resolve) => {
      this.#waiting.push({ type, shard, resolve: (answer) => resolve(answer as Answer<Type>) });
    });
    this.#send(shard, message);
    return Promise.race([answered, this.failed]);
  }

  #askAll<Type extends FromShard["type"]>(
    messages: readonly ToShard[],
    type: Type,
  ): Promise<Answer<Type>[]> {
    return Promise.all(messages.map((message, shard) => this.#ask(shard, message, type)));
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
      case "health":
        return this.#noteHealth(shard, message.health);
      case "fatal":
        this.#ending = true;
        if (message.diskError) this.#endMarked(shard, message);
        else this.#fail(new BrokerFailure(message.exitCode, message.message));
        return;
      default: {
        const at = this.#waiting.findIndex((w) => w.type === message.type && w.shard === shard);
        if (at >= 0) this.#waiting.splice(at, 1)[0]!.resolve(message);
      }
    }
  }

  /** No shard acknowledges anything from here on; the mark makes the next start distrust the disk. */
  async #endMarked(shard: number, { exitCode, message }: Answer<"fatal">): Promise<void> {
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
    this.#health!.update(shard, health);
    Deno.unrefTimer(setTimeout(() => this.#health!.logDamage(), DAMAGE_LOG_MS));
    const { full: diskFull, hurtGroups: damagedGroups } = this.#health!;
    for (let other = 0; other < this.#workers.length; other++) {
      this.#send(other, { type: "trouble", diskFull, damagedGroups });
    }
  }

  #showProgress(text: string): void {
    const nowMs = performance.now();
    if (nowMs - this.#progressShownMs < PROGRESS_MS) return;
    this.#progressShownMs = nowMs;
    this.#logger.log(LogLevel.INFO, `Recovering: ${text}`);
  }
}

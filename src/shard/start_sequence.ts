/**
 * How a node comes to serve, and how it stops: the one order of steps, for the control thread
 * (`supervisor.ts`) and for the simulator alike. What a shard does in each is `shard_steps.ts`.
 *
 * ```text
 *   recover   the controller's shard: files of the last run → what every shard opens
 *   verify    after a disk error, or when asked for: every byte is read back
 *   open      all: logs and journals
 *   listen    the controller's shard: other nodes can connect
 *   join      the controller's shard: the node belongs to a cluster, whose metadata is loaded and on every shard;
 *             one that did not found it registers first, because the metadata comes to members only
 *   lead      the controller's shard: leads the metadata or follows who does; the node is registered
 *   serve     all: the node is ready for clients
 * ```
 *
 * A node serves from its image of the cluster, whatever it leads: a step that needs a leader is waited for a
 * limited time only, and continues behind the clients.
 *
 * @module
 */

import { type Logger, LogLevel } from "../base/logger.ts";
import { EIO } from "../io/errno.ts";
import { all, type Task } from "../io/task.ts";
import type { Manifest } from "../storage/manifest.ts";
import type { RecoveryReport } from "../storage/recovery.ts";
import type { Damage } from "../storage/shard_storage.ts";
import type { Verified } from "../storage/verify.ts";
import { DAMAGE_REMEDY, someOf } from "./node_health.ts";

/** Where clients and other nodes find this node. */
export interface AdvertisedNode {
  readonly host: string;
  readonly port: number;
  readonly rack: string | null;
  /** Where other nodes find it; null: nowhere. */
  readonly rpc: { readonly host: string; readonly port: number } | null;
}

export interface Recovered {
  readonly report: RecoveryReport;
  /** The disk error that ended the last run, from its mark; null: there is no mark. */
  readonly diskError: string | null;
}

export interface VerifiedNode {
  /** A negative errno: it could not be done. */
  readonly verified: Verified | number;
  readonly damages: readonly Damage[];
}

export interface Opened {
  /** Negative: the storage could not be opened. */
  readonly errno: number;
  readonly logs: number;
  readonly lastGroupId: number;
}

/** Why the node cannot belong to a cluster. */
export interface JoinRefusal {
  /**
   * The metadata log is damaged, and other nodes have it or not; or a newer program wrote it; other nodes are in the way; a
   * disk operation failed.
   */
  readonly kind: "damaged" | "elsewhere" | "newer" | "cluster" | "error";
  /** For people; of "cluster" with what to do. */
  readonly reason: string;
}

export interface Joined {
  /** Null: every shard has the metadata. */
  readonly refusal: JoinRefusal | null;
}

/** What the cluster is, as far as this node knows. */
export interface Led {
  /** Why it does not take this node; for people, with what to do. */
  readonly refusal: string | null;
  readonly clusterId: string;
  readonly topics: number;
  readonly partitions: number;
}

/** What the sequence asks of the shards. */
export interface StartSteps {
  readonly shardCount: number;
  recover(): Task<Recovered>;
  verify(manifest: Manifest): Task<VerifiedNode>;
  /** @param damages found by the verification; given up where loss is accepted */
  open(shard: number, manifest: Manifest, damages: readonly Damage[]): Task<Opened>;
  /** Other nodes may connect from now on. */
  listen(): void;
  /** @param firstFreeGroupId above the group id of every log that was opened */
  join(manifest: Manifest, node: AdvertisedNode, firstFreeGroupId: number): Task<Joined>;
  lead(node: AdvertisedNode, firstFreeGroupId: number): Task<Led>;
  /** @param ballastBytes space to hold for the next start */
  serve(shard: number, ballastBytes: number): Task<unknown>;
}

/** What the sequence asks of the shards when the node stops. */
export interface StopSteps {
  readonly shardCount: number;
  drain(shard: number): Task<unknown>;
  stop(shard: number): Task<unknown>;
}

export interface StartOrder {
  readonly node: AdvertisedNode;
  /** Read everything back before serving, though no mark asks for it. */
  readonly verify: boolean;
  readonly logger: Logger;
  /** Monotonic (ms). */
  readonly nowMs: () => number;
}

export interface StartedNode extends Led {
  readonly refused: null;
  readonly logs: number;
  readonly fresh: boolean;
  readonly replayed: number;
}

/** Why a node does not start. */
export interface StartRefusal {
  readonly refused: Exclude<RecoveryReport["outcome"], "ready"> | "cluster" | "elsewhere";
  /** For people. */
  readonly reason: string;
  /** Positive, or 0. */
  readonly errno: number;
  /** A device failed: the next start must read everything back. */
  readonly isDiskError: boolean;
}

/** Takes the shards of a node from nothing to serving. */
export function* startNode(
  order: StartOrder,
  steps: StartSteps,
): Task<StartedNode | StartRefusal> {
  const { report, diskError } = yield* steps.recover();
  const { outcome, reason, manifest, errno } = report;
  if (outcome !== "ready" || manifest === null) {
    const refused = outcome === "ready" ? "error" : outcome;
    return { refused, reason, errno, isDiskError: errno === EIO };
  }
  tellRecovered(order.logger, report);
  let damages: readonly Damage[] = [];
  if (order.verify || diskError !== null) {
    const found = yield* verified(order, steps, manifest, diskError);
    if ("refused" in found) return found;
    damages = found.damages;
  }
  const opened = yield* onAll(steps, (shard) => steps.open(shard, manifest, damages));
  const closed = opened.findIndex((answer) => answer.errno < 0);
  if (closed >= 0) {
    const problem = `Cannot open the storage of shard ${closed}`;
    return refusedBy(problem, -opened[closed]!.errno, false);
  }
  steps.listen();
  const firstFreeGroupId = 1 + Math.max(...opened.map(({ lastGroupId }) => lastGroupId));
  const { refusal } = yield* steps.join(manifest, order.node, firstFreeGroupId);
  if (refusal !== null) {
    return { refused: refusal.kind, reason: refusal.reason, errno: 0, isDiskError: false };
  }
  const led = yield* steps.lead(order.node, firstFreeGroupId);
  if (led.refusal !== null) {
    return { refused: "cluster", reason: led.refusal, errno: 0, isDiskError: false };
  }
  yield* onAll(steps, (shard) => steps.serve(shard, report.ballastBytes));
  return {
    ...led,
    refused: null,
    logs: opened.reduce((sum, { logs }) => sum + logs, 0),
    fresh: report.fresh,
    replayed: report.replayedRecords,
  };
}

/** Answers what is open, then writes everything out. */
export function* stopNode(steps: StopSteps): Task<void> {
  // In two steps: a shard that still answers its clients may need another one's storage.
  yield* onAll(steps, (shard) => steps.drain(shard));
  yield* onAll(steps, (shard) => steps.stop(shard));
}

function onAll<T>(
  { shardCount }: { readonly shardCount: number },
  task: (shard: number) => Task<T>,
): Task<T[]> {
  return all(Array.from({ length: shardCount }, (_, shard) => task(shard)), shardCount);
}

/** Has every byte read back before anything is served. */
function* verified(
  { logger, nowMs }: StartOrder,
  steps: StartSteps,
  manifest: Manifest,
  diskError: string | null,
): Task<VerifiedNode | StartRefusal> {
  const startedMs = nowMs();
  if (diskError === null) {
    logger.log(LogLevel.INFO, "Reading everything back from the disk, as --verify asks");
  } else {
    const what =
      "A disk error ended the last run: reading everything back from the disk before serving";
    logger.log(LogLevel.WARN, what, { error: diskError });
  }
  const answer = yield* steps.verify(manifest);
  const { verified, damages } = answer;
  if (typeof verified === "number") return refusedBy("Cannot verify the data", -verified, true);
  const level = damages.length > 0 ? LogLevel.ERROR : LogLevel.INFO;
  const tookMs = Math.round(nowMs() - startedMs);
  logger.log(level, "Verified every segment", { ...verified, damages: damages.length, tookMs });
  return answer;
}

function refusedBy(problem: string, errno: number, isDiskError: boolean): StartRefusal {
  return { refused: "error", reason: `${problem} (errno ${errno})`, errno, isDiskError };
}

function tellRecovered(logger: Logger, report: RecoveryReport): void {
  tellNames(
    logger,
    LogLevel.WARN,
    "The data directory holds files that are not Gregor's: left alone",
    report.strays,
  );
  tellNames(
    logger,
    LogLevel.INFO,
    "Removed the directories of partitions that are gone",
    report.removed,
  );
  if (report.suspectPartitions.length > 0) {
    logger.log(
      LogLevel.ERROR,
      "Damage may have taken acknowledged records; the partitions concerned are read-only until " +
        "a start with --accept-loss",
      { partitions: someOf(report.suspectPartitions), remedy: DAMAGE_REMEDY },
    );
  }
  if (report.ringsDealt) {
    logger.log(
      LogLevel.WARN,
      "The disk is too full for the configured journals: those of the last run were shared out",
    );
  }
}

/** Names in one line of the log. */
const NAMES_TOLD_MAX = 10;

function tellNames(
  logger: Logger,
  level: LogLevel,
  message: string,
  names: readonly string[],
): void {
  if (names.length === 0) return;
  const rest = names.length > NAMES_TOLD_MAX ? ", ..." : "";
  const files = names.slice(0, NAMES_TOLD_MAX).join(", ") + rest;
  logger.log(level, message, { count: names.length, files });
}

/**
 * The health of the whole node, on the control thread: collected from the shards' reports, logged when it changes,
 * read by probes. What concerns storage is sent to every shard for requests of clients.
 *
 * A *problem* keeps this node from serving what it should. A *warning* is about the rest of the cluster: the node
 * serves, and nobody gains if probes take it away.
 *
 * @module
 */

import { type Logger, LogLevel } from "../base/logger.ts";
import type { PartitionImage } from "../cluster/partition_image.ts";
import { METADATA_TOPIC } from "../cluster/topic_names.ts";
import { type ReplicaHealth, replicaProblems, replicaWarnings } from "./replica_health.ts";
import type { StorageHealth } from "./storage_health.ts";

/** Changes of the damaged partitions are logged at most this often (ms): a broken disk hurts many, one by one. */
export const DAMAGE_LOG_MS = 10_000;
/** Partitions named in one line. */
const NAMED_MAX = 10;
const MIB = 2 ** 20;

export const FULL_DISK_REMEDY = "free space on its file system, delete topics or records " +
  "(gregor topic delete, gregor topic trim), or keep less (gregor topic alter NAME --config retention.bytes=SIZE)";
const METADATA_DAMAGE_REMEDY =
  "put back a copy of the files; or, when the others are well, stop this broker, move its data directory away and start it " +
  "without --accept-loss: it comes back under its id, and is filled by the others";
export const DAMAGE_REMEDY =
  "put back a copy of the files, or stop the broker, list the loss with gregor check, and accept it " +
  "by starting once with --accept-loss --verify";

/** What to do about a damaged log whose loss is not accepted, because other nodes are named that have it, too. */
export function replicaDamageRemedy(
  { topic, index, replicas, adding, removing }: PartitionImage,
  nodeId: number,
): string {
  const name = `${topic.name}/${index}`;
  if (topic.name === METADATA_TOPIC) return METADATA_DAMAGE_REMEDY;
  const isOnWay = (node: number): boolean => adding.includes(node) || removing.includes(node);
  const others = replicas.filter((node) => node !== nodeId);
  if (!replicas.includes(nodeId) || !others.every(isOnWay)) {
    // One vote of two elects nobody; where there are more, the log is filled again by itself when they have a leader.
    const isLast = others.length === 1;
    const wait = isLast
      ? ""
      : "wait, as the log is filled again when the others have a leader and keep up with it; ";
    const to = isLast ? ` --node ${others[0]}` : "";
    return `${wait}put back a copy of the files; or go on with what ${
      isLast ? `node ${others[0]} has` : "another node has, if they get no leader"
    }: gregor partition recover ${name}${to} says what would be lost, and does it with --accept-loss; then ` +
      `gregor topic reassign ${topic.name} --partition ${index} --replicas ${
        replicas.join(",")
      } has this one filled again`;
  }
  if (replicas.length === 1) return DAMAGE_REMEDY;
  // A move is neither finished nor taken back without a leader.
  return "put back a copy of the files; or, as the others are only becoming replicas, go on with what this log has: " +
    `gregor partition recover ${name} --node ${nodeId} --accept-loss, then start this broker once more with ` +
    `--accept-loss; or with what another node has: stop this broker, then gregor partition recover ${name} --accept-loss`;
}

/** Something that an operator should know, and what to do about it. */
export interface HealthProblem {
  readonly kind:
    | "starting"
    | "disk-full"
    | "damaged"
    | "no-controller"
    | "leaderless"
    | "nodes-down"
    | "under-replicated"
    | "overruled";
  readonly message: string;
  readonly remedy: string;
  /** Partitions concerned, the first few. */
  readonly partitions: readonly string[];
}

/** The first few names of `count`, for a line. */
export function someOf(names: readonly string[], count = names.length): string {
  const more = count > NAMED_MAX ? ` and ${count - NAMED_MAX} more` : "";
  return names.slice(0, NAMED_MAX).join(", ") + more;
}

export class NodeHealth {
  readonly #logger: Logger;
  readonly #dataDir: string;
  readonly #nowMs: () => number;
  readonly #shards = new Map<number, StorageHealth>();
  readonly #replicas = new Map<number, ReplicaHealth>();
  /** Null: the node has started. */
  #starting: string | null = null;
  #fullSinceMs = -1;
  #hurtCount = 0;
  #filledPercent = 0;
  #damageLoggedMs = -Infinity;

  constructor(logger: Logger, dataDir: string, nowMs: () => number) {
    this.#logger = logger;
    this.#dataDir = dataDir;
    this.#nowMs = nowMs;
  }

  /** Appends are refused for want of room. */
  get full(): boolean {
    return [...this.#shards.values()].some((health) => health.full);
  }

  /** Groups whose partitions cannot be served whole. */
  get hurtGroups(): number[] {
    return [...this.#shards.values()].flatMap(({ hurt }) => hurt.map(({ groupId }) => groupId));
  }

  /** Groups whose partitions cannot be written. */
  get readOnlyGroups(): number[] {
    return [...this.#shards.values()].flatMap(({ hurt }) =>
      hurt.filter(({ readOnly }) => readOnly).map(({ groupId }) => groupId)
    );
  }

  /** A shard reported its state. */
  update(shard: number, health: StorageHealth): void {
    this.#shards.set(shard, health);
    this.#logFilling(health);
    this.#logSpace(health.freeBytes);
    this.logDamage();
  }

  /** A shard reported how its replicas are. */
  updateReplicas(shard: number, health: ReplicaHealth): void {
    const before = new Set([...this.#clusterProblems()].map(({ message }) => message));
    this.#replicas.set(shard, health);
    for (const { message, remedy, partitions } of this.#clusterProblems()) {
      if (before.delete(message)) continue;
      const some = partitions.length === 0 ? {} : { partitions: someOf(partitions) };
      this.#logger.log(LogLevel.WARN, message, { ...some, remedy });
    }
    if (before.size > 0 && this.#clusterProblems().length === 0) {
      this.#logger.log(LogLevel.INFO, "The cluster is whole again, as far as this node knows");
    }
  }

  /** What the start waits for; null: it is over. */
  noteStarting(what: string | null): void {
    this.#starting = what;
  }

  /** What is worth knowing though it keeps this node from nothing. */
  warnings(): HealthProblem[] {
    return replicaWarnings([...this.#replicas.values()]);
  }

  #clusterProblems(): HealthProblem[] {
    const reports = [...this.#replicas.values()];
    return [...replicaProblems(reports), ...replicaWarnings(reports)];
  }

  /** What is wrong now; empty: nothing. */
  problems(): HealthProblem[] {
    const problems: HealthProblem[] = [];
    if (this.#starting !== null) {
      problems.push({
        kind: "starting",
        message: `Not started yet: ${this.#starting}`,
        remedy: "wait, or look into the broker's log",
        partitions: [],
      });
    }
    problems.push(...replicaProblems([...this.#replicas.values()]));
    if (this.full) {
      problems.push({
        kind: "disk-full",
        message: `The disk of ${this.#dataDir} is full: appends are refused`,
        remedy: FULL_DISK_REMEDY,
        partitions: [],
      });
    }
    const { count, names } = this.#hurt();
    if (count > 0) {
      const what = count === 1 ? "1 partition is" : `${count} partitions are`;
      problems.push({
        kind: "damaged",
        message: `${what} damaged: some records cannot be read, or nothing can be written`,
        remedy: DAMAGE_REMEDY,
        partitions: names,
      });
    }
    return problems;
  }

  #hurt(): { count: number; names: string[] } {
    const names: string[] = [];
    let count = 0;
    for (const { hurt, hurtCount } of this.#shards.values()) {
      count += hurtCount;
      for (const { partition, readOnly } of hurt) {
        names.push(readOnly ? `${partition} (read-only)` : partition);
      }
    }
    return { count, names: names.sort() };
  }

  /** Each step once, whichever shard is the first to see it. */
  #logFilling({ filledPercent, freeBytes }: StorageHealth): void {
    if (filledPercent > this.#filledPercent) {
      this.#logger.log(LogLevel.WARN, "The disk is filling up", {
        dataDir: this.#dataDir,
        usedPercent: filledPercent,
        freeMib: Math.floor(freeBytes / MIB),
        remedy: FULL_DISK_REMEDY,
      });
    }
    this.#filledPercent = filledPercent;
  }

  #logSpace(freeBytes: number): void {
    const { full } = this;
    if (full === this.#fullSinceMs >= 0) return;
    const freeMib = Math.floor(freeBytes / MIB);
    const dataDir = this.#dataDir;
    if (full) {
      this.#fullSinceMs = this.#nowMs();
      this.#logger.log(
        LogLevel.ERROR,
        "The disk is full: appends are refused (KAFKA_STORAGE_ERROR) until there is room",
        { dataDir, freeMib, remedy: FULL_DISK_REMEDY },
      );
      return;
    }
    const lastedS = Math.round((this.#nowMs() - this.#fullSinceMs) / 1000);
    this.#fullSinceMs = -1;
    this.#logger.log(LogLevel.INFO, "There is room on the disk again: appends are accepted", {
      dataDir,
      freeMib,
      lastedS,
    });
  }

  /** Logs what has changed; also to be called {@linkcode DAMAGE_LOG_MS} after an update, which may have come too soon. */
  logDamage(): void {
    const { count, names } = this.#hurt();
    if (count === this.#hurtCount) return;
    const nowMs = this.#nowMs();
    if (count === 0) {
      this.#logger.log(LogLevel.INFO, "No partition is damaged any longer");
    } else {
      if (nowMs - this.#damageLoggedMs < DAMAGE_LOG_MS && this.#hurtCount > 0) return;
      this.#logger.log(LogLevel.ERROR, "Damaged partitions cannot be served whole", {
        partitions: someOf(names, count),
        remedy: DAMAGE_REMEDY,
      });
    }
    this.#damageLoggedMs = nowMs;
    this.#hurtCount = count;
  }
}

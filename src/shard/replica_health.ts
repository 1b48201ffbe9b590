/**
 * How this node's replicas are, and what it knows of the cluster: each shard looks, and tells the control thread when
 * something changed.
 *
 * An election takes a moment, and so does the return of a node: what is not so at two looks in a row is not told.
 *
 * @module
 */

import { Timer, type Timers } from "../io/timers.ts";
import type { Replica } from "../replication/replica.ts";
import type { HealthProblem } from "./node_health.ts";

/** How often a shard looks (ms). */
const LOOK_MS = 1_000;
/** Partitions of each kind that a shard names. */
const NAMED_MAX = 20;

/** A few of many names. */
export interface Named {
  readonly count: number;
  /** The first {@linkcode NAMED_MAX}. */
  readonly names: readonly string[];
}

/** What a shard knows. */
export interface ReplicaHealth {
  /** Partitions with a replica on this shard of which no leader is known, `orders/3`. */
  readonly leaderless: Named;
  /** Partitions that this shard leads, and of which replicas do not keep up. */
  readonly underReplicated: Named;
  /** Partitions that went on without entries that this shard has, and whose replicas are to be filled again. */
  readonly overruled: Named;
  /** Nobody is known to lead the cluster's metadata. Told by the controller's shard. */
  readonly noController: boolean;
  /** Registered nodes that cannot be reached. Told by the controller's shard. */
  readonly down: readonly number[];
}

/** One replica of this shard. */
export interface WatchedReplica {
  /** `orders/3`. */
  readonly name: string;
  /** How many replicas there should be, those that are still being filled included. */
  readonly wanted: number;
  readonly replica: Pick<
    Replica,
    "leaderId" | "leading" | "readOnly" | "overruled" | "inSyncCount" | "voterCount"
  >;
}

export interface ReplicaWatchOptions {
  readonly replicas: () => Iterable<WatchedReplica>;
  readonly noController: () => boolean;
  readonly down: () => readonly number[];
  readonly tell: (health: ReplicaHealth) => void;
}

/** What one look found. */
interface Look {
  readonly leaderless: ReadonlySet<string>;
  readonly under: ReadonlySet<string>;
  readonly overruled: ReadonlySet<string>;
  readonly noController: boolean;
  readonly down: ReadonlySet<number>;
}

const NOTHING: Look = {
  leaderless: new Set(),
  under: new Set(),
  overruled: new Set(),
  noController: false,
  down: new Set(),
};

export class ReplicaWatch {
  readonly #options: ReplicaWatchOptions;
  #before = NOTHING;
  #told = JSON.stringify(lasting(NOTHING, NOTHING));

  constructor(options: ReplicaWatchOptions) {
    this.#options = options;
  }

  /** Looks every now and then from now on. */
  start(timers: Timers, nowMs: () => number): void {
    const timer = new Timer(() => {
      this.look();
      timers.schedule(timer, nowMs() + LOOK_MS);
    });
    timers.schedule(timer, nowMs() + LOOK_MS);
  }

  look(): void {
    const now = this.#observe();
    const health = lasting(this.#before, now);
    this.#before = now;
    const key = JSON.stringify(health);
    if (key === this.#told) return;
    this.#told = key;
    this.#options.tell(health);
  }

  #observe(): Look {
    const { replicas, noController, down } = this.#options;
    const leaderless = new Set<string>();
    const under = new Set<string>();
    const overruled = new Set<string>();
    for (const { name, wanted, replica } of replicas()) {
      if (replica.overruled) overruled.add(name);
      if (replica.leading) {
        // One that is filled anew has no vote, and may be the next that is needed.
        if (replica.inSyncCount < Math.max(wanted, replica.voterCount)) under.add(name);
      } else if (replica.leaderId < 0 && !replica.readOnly) leaderless.add(name);
    }
    return { leaderless, under, overruled, noController: noController(), down: new Set(down()) };
  }
}

/** What both looks found. */
function lasting(before: Look, now: Look): ReplicaHealth {
  return {
    leaderless: someNames(before.leaderless, now.leaderless),
    underReplicated: someNames(before.under, now.under),
    overruled: someNames(before.overruled, now.overruled),
    noController: before.noController && now.noController,
    down: [...now.down].filter((node) => before.down.has(node)),
  };
}

function someNames(before: ReadonlySet<string>, now: ReadonlySet<string>): Named {
  const both = [...now].filter((name) => before.has(name)).sort();
  return { count: both.length, names: both.slice(0, NAMED_MAX) };
}

/** What keeps this node from serving, by the reports of its shards. */
export function replicaProblems(reports: readonly ReplicaHealth[]): HealthProblem[] {
  const problems: HealthProblem[] = [];
  if (reports.some(({ noController }) => noController)) {
    problems.push({
      kind: "no-controller",
      message: "No node leads the cluster's metadata: nothing can be created, altered or deleted",
      remedy: "start the nodes that are missing: a majority of those that keep the metadata is " +
        "needed (gregor cluster nodes)",
      partitions: [],
    });
  }
  const { count, names } = sum(reports.map(({ leaderless }) => leaderless));
  if (count > 0) {
    problems.push({
      kind: "leaderless",
      message: `${partitions(count)} of this node ${count === 1 ? "has" : "have"} no leader: ` +
        "nothing can be written or read there",
      remedy: "start the nodes that are missing: each partition needs a majority of its replicas " +
        "(gregor cluster health, gregor partition describe TOPIC)",
      partitions: names,
    });
  }
  return problems;
}

/** What should be known besides. */
export function replicaWarnings(reports: readonly ReplicaHealth[]): HealthProblem[] {
  const warnings: HealthProblem[] = [];
  const down = [...new Set(reports.flatMap((report) => report.down))].sort((a, b) => a - b);
  if (down.length > 0) {
    warnings.push({
      kind: "nodes-down",
      message: `${down.length === 1 ? "Node" : "Nodes"} ${down.join(", ")} cannot be reached`,
      remedy: "look at the log there, and start the broker again (gregor cluster nodes)",
      partitions: [],
    });
  }
  const { count, names } = sum(reports.map(({ underReplicated }) => underReplicated));
  if (count > 0) {
    warnings.push({
      kind: "under-replicated",
      message: `${partitions(count)} led by this node ${count === 1 ? "has" : "have"} replicas ` +
        "that do not keep up",
      remedy: "they catch up by themselves once their nodes are back (gregor cluster health)",
      partitions: names,
    });
  }
  const overruled = sum(reports.map((report) => report.overruled));
  if (overruled.count > 0) {
    warnings.push({
      kind: "overruled",
      message: `${partitions(overruled.count)} went on without records that this node has of ` +
        (overruled.count === 1 ? "it" : "them") + ": these replicas take part in nothing",
      remedy:
        "they are filled again by themselves once a majority of the others keeps up; or move them away and back " +
        "(gregor topic reassign)",
      partitions: overruled.names,
    });
  }
  return warnings;
}

function sum(parts: readonly Named[]): Named {
  return {
    count: parts.reduce((total, { count }) => total + count, 0),
    names: parts.flatMap(({ names }) => names).sort(),
  };
}

function partitions(count: number): string {
  return count === 1 ? "1 partition" : `${count} partitions`;
}

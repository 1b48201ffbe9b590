/**
 * Faults that wait for their moment. A promise is at stake for a few milliseconds at a time, which faults that come by chance
 * seldom meet:
 *
 * ```text
 *   elected    a new leader, and nothing of its term is committed   ─┐ it hears the others no more, or they it;
 *   owing      a leader has entries that are not committed          ─┘ their connections break at once, or stand
 *   promised   a leader has just committed something                ─┐ power cut: of this node, of some, of all
 *   voted      a replica has just entered a term                    ─┤
 *   removed    a topic has just gone from the node's image          ─┘
 * ```
 *
 * @module
 */

import type { Random } from "../../src/base/prng.ts";
import { Role } from "../../src/raft/raft_group.ts";
import type { GroupReplica } from "../../src/replication/group_replica.ts";
import type { SimCluster } from "./sim_cluster.ts";
import type { SimNode } from "./sim_node.ts";

/** What one seed decides of it. */
export interface AmbushPlan {
  /** Leaders are cut off. */
  readonly cutsOff: boolean;
  /** The power is cut. */
  readonly powerCuts: boolean;
  /** Pause between two, at most (virtual ms). */
  readonly pauseMsMax: number;
}

type Moment = "elected" | "owing" | "promised" | "voted" | "removed";

/** A moment that does not come in this time is not waited for (virtual ms). */
const WAIT_MS_MAX = 5_000;
/** How long a leader is cut off, at most: shorter than it leads without an answer, or longer. */
const SHORT_MS_MAX = 400;
const LONG_MS_MAX = 2_500;
/** Disk operations that are still carried out before a power cut, at most. */
const LATE_OPERATIONS = 3;

/** Null: there is none, in half of the seeds. */
export function ambushPlanOf(random: Random, restarts: boolean): AmbushPlan | null {
  const half = (): boolean => random.nextBelow(2) === 0;
  const cutsOff = half();
  const powerCuts = half() && restarts;
  const pauseMsMax = [300, 1_500, 5_000][random.nextBelow(3)]!;
  return cutsOff || powerCuts ? { cutsOff, powerCuts, pauseMsMax } : null;
}

/** A replica as it was in the step before. */
interface Sight {
  term: number;
  commitIndex: number;
}

export class Ambush {
  readonly #cluster: SimCluster;
  readonly #plan: AmbushPlan;
  readonly #random: Random;
  readonly #moments: readonly Moment[];
  /** What it waits for, and until when; null: it pauses. */
  #moment: Moment | null = null;
  #untilMs = 0;
  #sights = new WeakMap<GroupReplica, Sight>();
  #topics = new WeakMap<object, number>();
  #mends: { readonly atMs: number; readonly act: () => void }[] = [];
  #isOver = false;

  constructor(cluster: SimCluster, plan: AmbushPlan, random: Random) {
    this.#cluster = cluster;
    this.#plan = plan;
    this.#random = random;
    this.#moments = [
      ...(plan.cutsOff ? ["elected", "owing"] as const : []),
      ...(plan.powerCuts ? ["promised", "voted", "removed"] as const : []),
    ];
  }

  /** Looks whether the moment has come; every step. */
  tick(): void {
    const { nowMs } = this.#cluster;
    if (this.#isOver) return;
    if (this.#mends.some(({ atMs }) => atMs <= nowMs)) {
      for (const { atMs, act } of this.#mends) if (atMs <= nowMs) act();
      this.#mends = this.#mends.filter(({ atMs }) => atMs > nowMs);
    }
    if (this.#moment === null) {
      if (nowMs < this.#untilMs) return;
      this.#moment = this.#pick(this.#moments);
      this.#untilMs = nowMs + WAIT_MS_MAX;
      this.#sights = new WeakMap();
      this.#topics = new WeakMap();
    }
    const victim = this.#find(this.#moment);
    if (victim !== null) this.#strike(victim, this.#moment);
    if (victim === null && nowMs < this.#untilMs) return;
    this.#moment = null;
    this.#untilMs = nowMs + 1 + this.#random.nextBelow(this.#plan.pauseMsMax);
  }

  /** Nothing more goes wrong; whoever heals the network mends the links. */
  end(): void {
    this.#isOver = true;
  }

  #find(moment: Moment): SimNode | null {
    for (const node of this.#cluster.nodes) {
      if (node.shards.length === 0 || node.disk.crashed) continue;
      for (const { steps: { shard } } of node.shards) {
        if (shard === null) continue;
        if (moment === "removed") {
          const { image } = shard;
          const before = this.#topics.get(image) ?? 0;
          this.#topics.set(image, image.topics.size);
          if (image.topics.size < before) return node;
          continue;
        }
        for (const { replica } of shard.partitions.all()) {
          if (this.#isMet(moment, replica as GroupReplica)) return node;
        }
      }
    }
    return null;
  }

  #isMet(moment: Moment, replica: GroupReplica): boolean {
    const { raft, log, others } = replica;
    if (others.length === 0) return false;
    const { term, commitIndex, role } = raft;
    if (moment === "elected") return role === Role.LEADER && !raft.isLeading;
    if (moment === "owing") return raft.isLeading && log.lastIndex > commitIndex;
    const before = this.#sights.get(replica);
    if (before === undefined) {
      this.#sights.set(replica, { term, commitIndex });
      return false;
    }
    const isPromised = raft.isLeading && commitIndex > before.commitIndex;
    const isVoted = term > before.term;
    before.term = term;
    before.commitIndex = commitIndex;
    return moment === "promised" ? isPromised : isVoted;
  }

  #strike(node: SimNode, moment: Moment): void {
    if (moment === "elected" || moment === "owing") this.#cutOff(node, moment);
    else this.#cutPower(node, moment);
  }

  #cutOff(node: SimNode, moment: Moment): void {
    const { network, nodes, nowMs } = this.#cluster;
    const lastsMs = 1 + this.#random.nextBelow(this.#half() ? SHORT_MS_MAX : LONG_MS_MAX);
    const isHeard = this.#half() && this.#half();
    const hears = !isHeard && this.#half();
    const breaks = this.#half();
    this.#note(
      `${node.name} is cut off for ${lastsMs} ms (${moment})` + (hears ? ", and hears" : "") +
        (isHeard ? ", and is heard" : "") + (breaks ? "; connections break" : ""),
    );
    for (const other of nodes) {
      if (other === node) continue;
      const links = [
        ...(isHeard ? [] : [network.link(node.name, other.name)]),
        ...(hears ? [] : [network.link(other.name, node.name)]),
      ];
      for (const link of links) {
        link.cut = true;
        this.#mends.push({ atMs: nowMs + lastsMs, act: () => link.cut = false });
      }
    }
    if (!breaks) return;
    const names = nodes.map(({ name }) => name);
    for (const connection of network.connections) {
      const { from, to } = connection;
      const isOurs = from === node.name || to === node.name;
      if (isOurs && names.includes(from) && names.includes(to)) connection.reset();
    }
  }

  /** What is not flushed may be lost, on several nodes at once. */
  #cutPower(node: SimNode, moment: Moment): void {
    const scope = this.#random.nextBelow(3);
    const struck = this.#cluster.nodes.filter((other) =>
      other === node || scope === 2 || (scope === 1 && this.#half())
    );
    this.#note(`the power of ${struck.map(({ name }) => name).join(", ")} is cut (${moment})`);
    for (const { disk, shards } of struck) {
      if (shards.length === 0 || disk.crashed) continue;
      if (this.#half()) disk.crash();
      else disk.crashAfterOps(this.#random.nextBelow(LATE_OPERATIONS));
    }
  }

  #half(): boolean {
    return this.#random.nextBelow(2) === 0;
  }

  #note(what: string): void {
    this.#cluster.trace?.note("trouble", what);
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#random.nextBelow(from.length)]!;
  }
}

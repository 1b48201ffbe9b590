/**
 * One seed, one run: one node with clients of every kind, over several of its lives (`node_fate.ts`); then
 * everything is brought to rest and checked.
 *
 * ```text
 *   end:    mount on disks with room ─ clients finish ─ all is read ─ groups are asked ─ all hang up
 *           ─ memory is at its level ─ clean stop
 * ```
 *
 * @module
 */

import { assert } from "../../src/base/assert.ts";
import { type Random, Xoshiro128 } from "../../src/base/prng.ts";
import { OFFSETS_TOPIC } from "../../src/cluster/topic_names.ts";
import { groupPartition } from "../../src/group/group_partition.ts";
import type { Actor, SimTopic, Stage } from "./actor.ts";
import { AdminActor } from "./admin_actor.ts";
import { castOf } from "./cast.ts";
import { Checker } from "./checker.ts";
import { DamageBook } from "./damage_book.ts";
import { GroupActor } from "./group_actor.ts";
import { checkBudgets, checkMemory } from "./memory_check.ts";
import { NetworkFaults } from "./network_faults.ts";
import { NodeFate, StartRefused, type Steps } from "./node_fate.ts";
import { POLL_BEHIND_MS } from "./nuisance_actor.ts";
import { ProduceActor } from "./produce_actor.ts";
import { failureOf, runTwice } from "./run_seed.ts";
import { SimFailure } from "./sim_failure.ts";
import { SimCluster } from "./sim_cluster.ts";
import {
  damagedPlanOf,
  forgersOf,
  isOutOfStep,
  nuisancesOf,
  planOf,
  type SwarmPlan,
  worldOf,
} from "./swarm.ts";
import { VerifyActor } from "./verify_actor.ts";

/** Virtual time in which clients finish what they have begun (ms). */
const DRAIN_MS = 120_000;
/** Virtual time for memory to come to rest (ms). */
const REST_MS = 3_000;
/** Steps between two looks at the budgets. */
const BUDGET_STEPS = 16;
/** What a run is beside its seed; for tests that want one shape. */
export interface WorkloadOptions {
  readonly plan?: Partial<SwarmPlan>;
  /** The disk is damaged between lives, for certain. */
  readonly damage?: boolean;
  /** Power cut at exactly this operation of the first life; the life after is the last. */
  readonly cutAt?: number;
  /** Power cut at this operation of the recovery after it. */
  readonly cutRecoveryAt?: number;
  /** Takes the lines of a trace. */
  readonly print?: ((line: string) => void) | null;
}

export interface WorkloadResult {
  readonly hash: number;
  readonly lives: number;
  readonly mounts: number;
  readonly acknowledgements: number;
  readonly batchesRead: number;
  /** Disk operations of the first life. */
  readonly operations: number;
  readonly virtualMs: number;
  /** How often the disk was damaged, starts refused, and logs were suspect in the end. */
  readonly strikes: number;
  readonly refusals: number;
  readonly suspects: number;
}

export class Workload {
  readonly plan: SwarmPlan;
  readonly cluster: SimCluster;
  readonly checker = new Checker();
  readonly #random: Random;
  /** Decides about forgers alone. */
  readonly #forgery: Random;
  /** Decides about nuisances alone. */
  readonly #mischief: Random;
  readonly #options: WorkloadOptions;
  readonly #stage: Stage;
  readonly #actors: Actor[] = [];
  readonly #admin: AdminActor;
  readonly #fates: readonly NodeFate[];
  readonly #book = new DamageBook();
  readonly #faults: NetworkFaults;
  #refusals = 0;
  #suspects = 0;
  #steps = 0;

  constructor(seed: number, options: WorkloadOptions = {}) {
    this.#options = options;
    this.#random = new Xoshiro128(seed ^ 0x5bd1e995);
    const shape = options.damage === true ? damagedPlanOf(this.#random) : planOf(this.#random);
    this.#mischief = new Xoshiro128(seed ^ 0x2c1b3c6d);
    this.#forgery = new Xoshiro128(seed ^ 0x51ed270b);
    const weather = new Xoshiro128(seed ^ 0x3d4d51cb);
    const nuisances = nuisancesOf(this.#mischief);
    const forgers = forgersOf(this.#forgery);
    const outOfStep = isOutOfStep(new Xoshiro128(seed ^ 0x1f83d9ab));
    const plan = { ...shape, ...worldOf(weather), nuisances, forgers, outOfStep, ...options.plan };
    this.plan = plan;
    const { nodes, skewMsMax, network } = plan;
    assert(nodes === 1, "several nodes have a workload of their own (cluster_workload.ts)");
    const skews = Array.from({ length: nodes }, () => weather.nextBelow(skewMsMax + 1));
    this.cluster = new SimCluster({
      seed,
      nodes,
      wallSkewsMs: skews,
      print: options.print ?? null,
      node: {
        arenaBytes: plan.arenaBytes,
        journalBytes: plan.journalBytes,
        extentBytes: plan.extentBytes,
        outOfStep: plan.outOfStep,
        settings: {
          "log.segment.bytes": `${plan.segmentBytes}`,
          "log.retention.check.interval.ms": "40",
          "offsets.topic.num.partitions": "2",
        },
      },
    });
    this.#stage = {
      cluster: this.cluster,
      checker: this.checker,
      topics: [],
      books: [this.#book],
      failingDisk: plan.spareBytes !== null || plan.ioErrors,
      nuisances: plan.nuisances > 0,
      stalls: plan.nuisances > 0 || network.cuts || network.slowLinks,
      discovers: plan.discovers,
      draining: false,
      calmSinceMs: 0,
      patienceMs: Infinity,
      thinkMs: 0,
      clients: 0,
    };
    this.#fates = this.cluster.nodes.map((node) =>
      new NodeFate({
        node,
        plan,
        stage: this.#stage,
        random: new Xoshiro128(this.#next()),
        onLeave: ({ nodeId }) => this.#actors.forEach((actor) => actor.leave(nodeId)),
      })
    );
    const names = (): string[] => this.#actors.map(({ name }) => name);
    this.#faults = new NetworkFaults(this.cluster, network, weather, names);
    for (let i = 0; i < plan.topics; i++) this.#stage.topics.push(this.#topic(i));
    this.#admin = new AdminActor(this.#stage, this.#next(), {
      busy: plan.admins > 0,
      segmentBytes: plan.segmentBytes,
      retention: plan.retention,
      replication: plan.replication,
      minInsync: plan.minInsync,
      partitionsMax: plan.partitionsMax + 2,
    });
    const next = (): number => this.#next();
    const seeds = { next, mischief: this.#mischief, forgery: this.#forgery };
    this.#actors.push(this.#admin, ...castOf(this.#stage, plan, seeds));
  }

  /** Runs the seed; throws what is wrong. */
  run(): WorkloadResult {
    try {
      this.#live();
      this.#finish();
    } catch (error) {
      if (!(error instanceof StartRefused)) throw error;
      this.#refusals++;
      if (!this.#book.metadataLost) this.#finishAccepting();
    }
    if (this.plan.damage && !this.#book.metadataLost) this.#giveUp();
    const result = this.#result();
    // What nodes hold of the shim is limited, and many seeds are run in one process.
    for (const node of this.cluster.nodes) node.crash();
    return result;
  }

  #result(): WorkloadResult {
    return {
      hash: this.checker.hash,
      lives: this.#sum((fate) => fate.lives),
      mounts: this.#sum((fate) => fate.mounts),
      acknowledgements: this.checker.acknowledgements,
      batchesRead: this.checker.batchesRead,
      operations: this.#fates[0]!.operations,
      virtualMs: this.cluster.nowMs,
      strikes: this.#sum((fate) => fate.strikes),
      refusals: this.#refusals,
      suspects: this.#suspects,
    };
  }

  #sum(of: (fate: NodeFate) => number): number {
    return this.#fates.reduce((sum, fate) => sum + of(fate), 0);
  }

  #live(): void {
    const { cutAt, cutRecoveryAt } = this.#options;
    if (cutAt === undefined) this.#drive(this.#fates.map((fate) => fate.run()));
    else this.#drive([this.#fates[0]!.runCut(cutAt, cutRecoveryAt)]);
  }

  /** Steps until every one has ended. */
  #drive(all: readonly Steps<unknown>[]): void {
    let open = all.filter((steps) => !steps.next().done);
    while (open.length > 0) {
      this.cluster.step();
      open = open.filter((steps) => !steps.next().done);
      this.#afterStep();
    }
  }

  #step(): void {
    this.cluster.step();
    this.#afterStep();
  }

  #afterStep(): void {
    this.#faults.tick();
    for (const actor of this.#actors) actor.tick();
    if (++this.#steps % BUDGET_STEPS !== 0) return;
    for (const node of this.cluster.accepting) checkBudgets(node);
  }

  #finish(): void {
    this.#stage.draining = true;
    this.#faults.end();
    this.#drive(this.#fates.map((fate) => fate.mountSurely()));
    this.#until(() => this.#actors.every((actor) => actor.idle), "clients do not finish");
    this.#verify();
  }

  /** Nothing starts any more but with `--accept-loss`: what is left is looked at, and not added to. */
  #finishAccepting(): void {
    this.#stage.draining = true;
    this.#faults.end();
    const fate = this.#fates[0]!;
    // It stays refused, whatever is named by then.
    fate.node.crash();
    try {
      this.#drive([fate.mountSurely()]);
      throw new SimFailure("correctness", "a damaged metadata log was served in the second start");
    } catch (error) {
      if (!(error instanceof StartRefused)) throw error;
    }
    this.#book.accepted = true;
    const groups = this.#actors.filter((actor) => actor instanceof GroupActor);
    this.#actors.splice(0, Infinity, ...groups);
    fate.node.crash();
    this.#drive([fate.mountSurely()]);
    this.#verify();
  }

  /** The last word of an operator: what is lost is given up, and from then on every reader comes to the end. */
  #giveUp(): void {
    for (const node of this.cluster.nodes) {
      for (const givesUp of [true, false]) {
        node.crash();
        while (!node.mount(1 + this.#random.nextBelow(this.plan.shardsMax), () => {}, givesUp)) {
          if (node.refusal !== null) throw new SimFailure("liveness", `refused: ${node.refusal}`);
          node.crash();
        }
        node.disk.crashAfterOps(Infinity);
        const [stuck] = node.unreadable();
        if (stuck !== undefined) {
          throw new SimFailure(
            "liveness",
            `a reader stands for ever in ${stuck}, given up: ${givesUp}`,
          );
        }
        if (!node.stop()) throw new SimFailure("liveness", "the node does not stop");
      }
    }
  }

  #verify(): void {
    const verify = new VerifyActor(this.#stage, this.#next());
    this.#actors.push(verify);
    this.#until(() => verify.idle, "the logs are not read");
    for (const actor of this.#actors) if (actor instanceof ProduceActor) actor.sendAgain();
    this.#until(() => this.#actors.every((actor) => actor.idle), "duplicates are not answered");
    this.#askGroups();
    for (const actor of this.#actors) actor.hangUp();
    this.cluster.rest(REST_MS + (this.plan.nuisances > 0 ? POLL_BEHIND_MS : 0));
    checkMemory(this.#fates.map(({ node }) => node), (ms) => this.cluster.rest(ms));
    for (const { node } of this.#fates) {
      if (!this.plan.ioErrors) this.#book.checkNamed(node);
      for (const { shard } of node.shards) {
        for (const log of shard.storage.logs.values()) if (log.suspect) this.#suspects++;
      }
    }
    this.#drive(this.#fates.map((fate) => fate.stop()));
    for (const fate of this.#fates) fate.endLife();
  }

  #until(done: () => boolean, what: string): void {
    const { cluster } = this;
    const until = cluster.nowMs + DRAIN_MS;
    while (!done()) {
      const [fatal] = cluster.nodes.flatMap(({ fatals }) => fatals);
      if (fatal !== undefined) throw new SimFailure("crash", fatal);
      if (cluster.nowMs > until) throw new SimFailure("liveness", what);
      this.#step();
    }
  }

  /** Committed offsets are returned, and have not gone back; by all groups whose log is sound. */
  #askGroups(): void {
    const members = this.#actors.filter((actor) => actor instanceof GroupActor);
    let asked = 0;
    for (const member of members) {
      if (!this.#mustAnswer(member.group)) continue;
      let told = false;
      this.#until(() => {
        if (!told && member.connected && member.openRequests === 0) {
          member.verify(() => told = true);
        }
        return told;
      }, "a group does not answer");
      asked++;
    }
    this.checker.observe(asked);
  }

  #mustAnswer(group: string): boolean {
    const { cluster } = this;
    const topic = cluster.accepting[0]!.shards[0]!.shard.image.topicByName(OFFSETS_TOPIC);
    if (topic === undefined) return false;
    const { groupId } = topic.partitions[groupPartition(group, topic.partitions.length)]!;
    return !this.#book.isHurt(cluster.holderOf(groupId)!, groupId);
  }

  #topic(number: number): SimTopic {
    const { partitionsMax } = this.plan;
    return {
      name: `topic-${number}`,
      id: "",
      partitions: 1 + this.#random.nextBelow(partitionsMax),
      mortal: false,
      trimmed: this.#chance(40),
      deleting: false,
      deleted: false,
    };
  }

  #next(): number {
    return this.#random.nextUint32();
  }

  #chance(percent: number): boolean {
    return this.#random.nextBelow(100) < percent;
  }
}

/** Runs a seed twice; the runs must be equal. */
export function runSeed(seed: number, options: WorkloadOptions = {}): WorkloadResult {
  return runTwice(() => runOnce(seed, options));
}

/** Runs a seed once; everything that is thrown becomes a {@linkcode SimFailure}. */
export function runOnce(seed: number, options: WorkloadOptions = {}): WorkloadResult {
  try {
    return new Workload(seed, options).run();
  } catch (error) {
    throw failureOf(error);
  }
}

/**
 * One seed, one run of a cluster of several nodes: whole nodes, the clients of a single node, and everything that goes
 * wrong in reliability's book, in two phases.
 *
 * ```text
 *   safety:    the nodes found a cluster ─ they live and die, disks and links fail, clients work ─ at least 60 s
 *   liveness:  all faults end ─ a majority is there ─ clients finish ─ everything is read
 *              ─ the others come back ─ all replicas are equal ─ memory is at its level ─ clean stop
 * ```
 *
 * @module
 */

import { type Random, Xoshiro128 } from "../../src/base/prng.ts";
import type { Actor, SimTopic, Stage } from "./actor.ts";
import { AdminActor } from "./admin_actor.ts";
import { Ambush } from "./ambush.ts";
import { castOf } from "./cast.ts";
import { Checker } from "./checker.ts";
import {
  type ClusterPlan,
  clusterPlanOf,
  damagesOf,
  hardshipsOf,
  membershipPlanOf,
  readersOf,
} from "./cluster_plan.ts";
import { ClusterWatch } from "./cluster_watch.ts";
import { DamageBook } from "./damage_book.ts";
import { DiskTroubles } from "./disk_troubles.ts";
import { GroupActor } from "./group_actor.ts";
import { READER_SESSION_MS, ReaderActor, ReaderBook } from "./reader_actor.ts";
import { checkBudgets, checkMemory } from "./memory_check.ts";
import { NetworkFaults } from "./network_faults.ts";
import { NodeFate, type Steps } from "./node_fate.ts";
import { NodeTroubles } from "./node_troubles.ts";
import { NuisanceActor, POLL_BEHIND_MS } from "./nuisance_actor.ts";
import { ProduceActor } from "./produce_actor.ts";
import { QuorumWatch } from "./quorum_watch.ts";
import { failureOf, runTwice } from "./run_seed.ts";
import { Sores } from "./sores.ts";
import { SimFailure } from "./sim_failure.ts";
import { SimCluster } from "./sim_cluster.ts";
import { VerifyActor } from "./verify_actor.ts";

/** Virtual time in which clients finish what they have begun, and in which all replicas become equal (ms). */
const DRAIN_MS = 120_000;
/** Virtual time for memory to come to rest (ms). */
const REST_MS = 3_000;
const MEMBERSHIP_SEED = 0x1f83d9ab;
const AMBUSH_SEED = 0x3c6ef372;
const HARDSHIP_SEED = 0x5be0cd19;
const DAMAGE_SEED = 0x428a2f98;
const SORES_SEED = 0x71374491;
const READERS_SEED = 0x3c84_8b1d;
/** Steps between two looks at all nodes, and at their budgets. */
const WATCH_STEPS = 4;
const BUDGET_STEPS = 64;

export interface ClusterOptions {
  /** How many nodes; the seed decides when absent. */
  readonly nodes?: number;
  readonly plan?: Partial<ClusterPlan>;
  /** Disks are damaged, for certain as far as the seed's cluster allows; else in few seeds. */
  readonly damage?: boolean;
  /** Takes the lines of a trace. */
  readonly print?: ((line: string) => void) | null;
}

export interface ClusterResult {
  readonly hash: number;
  readonly lives: number;
  readonly elections: number;
  readonly acknowledgements: number;
  readonly batchesRead: number;
  readonly virtualMs: number;
  /** How often a disk was damaged between two lives, and a block while its node lived. */
  readonly strikes: number;
  readonly sores: number;
}

export class ClusterWorkload {
  readonly plan: ClusterPlan;
  readonly cluster: SimCluster;
  readonly checker = new Checker();
  readonly #random: Random;
  readonly #stage: Stage;
  readonly #actors: Actor[] = [];
  readonly #fates: readonly NodeFate[];
  readonly #faults: NetworkFaults;
  readonly #troubles: NodeTroubles;
  readonly #ambush: Ambush | null;
  readonly #disks: DiskTroubles;
  readonly #sores: Sores;
  readonly #watch: ClusterWatch;
  readonly #quorums = new QuorumWatch();
  #steps = 0;
  #isFounded = false;

  constructor(seed: number, options: ClusterOptions = {}) {
    this.#random = new Xoshiro128(seed ^ 0x6a09e667);
    const shape = clusterPlanOf(this.#random, options.nodes ?? null);
    const changes = new Xoshiro128(seed ^ MEMBERSHIP_SEED);
    const hardship = new Xoshiro128(seed ^ HARDSHIP_SEED);
    const members = membershipPlanOf(changes, shape);
    const readers = readersOf(new Xoshiro128(seed ^ READERS_SEED));
    const hard = { ...members, ...hardshipsOf(hardship), ...readers };
    const rot = new Xoshiro128(seed ^ DAMAGE_SEED);
    const damages = damagesOf(rot, hard, options.damage === true);
    const plan = this.plan = { ...hard, ...damages, ...options.plan };
    const { nodes, skewMsMax } = plan;
    const skews = Array.from({ length: nodes }, () => this.#random.nextBelow(skewMsMax + 1));
    this.cluster = new SimCluster({
      seed,
      nodes,
      wallSkewsMs: skews,
      founds: true,
      stepMs: plan.stepMs,
      print: options.print ?? null,
      node: {
        arenaBytes: plan.arenaBytes,
        journalBytes: plan.journalBytes,
        extentBytes: plan.extentBytes,
        outOfStep: plan.outOfStep,
        snapshots: { bytesMin: 2_000, intervalMs: 100, restMs: 1_000 },
        settings: {
          "log.segment.bytes": `${plan.segmentBytes}`,
          "log.retention.check.interval.ms": "500",
          "offsets.topic.num.partitions": "2",
          "group.consumer.min.session.timeout.ms": `${READER_SESSION_MS}`,
          "group.consumer.session.timeout.ms": `${READER_SESSION_MS}`,
        },
        onShard: (node, shard) => this.#quorums.attend(node, shard),
      },
    });
    this.checker.committedOf = ({ topicId, index }) => {
      const groupId = this.cluster.groupOf(topicId, index);
      return groupId < 0 ? Infinity : this.#quorums.committedOffset(groupId);
    };
    const damage = plan.rotten >= 0 || plan.sores || plan.readErrors;
    const books = this.cluster.nodes.map(() => new DamageBook());
    this.#watch = new ClusterWatch(this.cluster, damage);
    this.#stage = {
      cluster: this.cluster,
      checker: this.checker,
      topics: [],
      books,
      failingDisk: plan.ioErrors || plan.fills || plan.sores || plan.readErrors,
      nuisances: plan.nuisances > 0,
      stalls: true,
      discovers: true,
      draining: false,
      calmSinceMs: Infinity,
      patienceMs: plan.patienceMs,
      thinkMs: plan.thinkMs,
      clients: 0,
    };
    this.#fates = this.cluster.nodes.map((node) =>
      new NodeFate({
        node,
        plan,
        stage: this.#stage,
        random: new Xoshiro128(this.#next()),
        onLeave: ({ nodeId }) => this.#actors.forEach((actor) => actor.leave(nodeId)),
        mayLose: () => this.#areRegistered && this.#watch.canLose(node.nodeId),
      })
    );
    const names = (): string[] => this.#actors.map(({ name }) => name);
    const weather = new Xoshiro128(this.#next());
    this.#faults = new NetworkFaults(this.cluster, plan.network, weather, names);
    this.#troubles = new NodeTroubles(this.cluster, plan, new Xoshiro128(this.#next()));
    this.#ambush = plan.ambush === null
      ? null
      : new Ambush(this.cluster, plan.ambush, new Xoshiro128(seed ^ AMBUSH_SEED));
    this.#disks = new DiskTroubles(this.cluster, plan, hardship);
    this.#sores = new Sores(this.cluster, plan, books, new Xoshiro128(seed ^ SORES_SEED));
    for (let i = 0; i < plan.topics; i++) this.#stage.topics.push(this.#topic(i));
    const admin = new AdminActor(this.#stage, this.#next(), {
      busy: plan.admins > 0,
      damage,
      moves: plan.moves ? { nodes, replicasMin: this.#losesDisks ? 3 : plan.sores ? 2 : 1 } : null,
      segmentBytes: plan.segmentBytes,
      retention: plan.retention,
      replication: plan.replication,
      partitionsMax: plan.partitionsMax + 2,
      minInsync: plan.minInsync,
    });
    const next = (): number => this.#next();
    const seeds = { next, mischief: hardship, forgery: this.#random };
    this.#actors.push(admin, ...castOf(this.#stage, plan, seeds));
    const book = new ReaderBook("readers", this.#stage.topics[0]!);
    const reading = new Xoshiro128(seed ^ READERS_SEED ^ 1);
    for (let i = 0; i < plan.readers; i++) {
      this.#actors.push(new ReaderActor(this.#stage, reading.nextUint32(), book));
    }
  }

  /** Runs the seed; throws what is wrong. */
  run(): ClusterResult {
    const endMs = this.cluster.nowMs + this.plan.runMs;
    this.#drive(this.#fates.map((fate) => fate.runUntil(endMs)));
    this.#heal();
    this.#verify();
    this.#settle();
    this.#end();
    const result = {
      hash: this.checker.hash,
      lives: this.#fates.reduce((sum, { lives }) => sum + lives, 0),
      elections: this.#watch.elections,
      acknowledgements: this.checker.acknowledgements,
      batchesRead: this.checker.batchesRead,
      virtualMs: this.cluster.nowMs,
      strikes: this.#fates.reduce((sum, { strikes }) => sum + strikes, 0),
      sores: this.#sores.count,
    };
    // What nodes hold of the shim is limited, and many seeds are run in one process.
    for (const node of this.cluster.nodes) node.crash();
    return result;
  }

  /** Ends all faults; a majority at least is there from then on. */
  #heal(): void {
    const { cluster } = this;
    this.#stage.draining = true;
    this.#stage.calmSinceMs = cluster.nowMs;
    this.#faults.end();
    this.#troubles.end();
    this.#ambush?.end();
    this.#disks.end();
    this.#sores.end();
    // Which nodes a group on its way needs is not known here.
    const { minorityStaysAway, moves, sores } = this.plan;
    // Nor which nodes have what is to be mended.
    const isAway = minorityStaysAway && !moves && !sores && !this.#losesDisks
      ? this.#minority()
      : (): boolean => false;
    const away = this.#fates.filter(({ node }) => isAway(node.nodeId));
    for (const fate of away) if (!fate.node.disk.crashed) fate.endLife();
    const back = this.#fates.filter((fate) => !away.includes(fate));
    this.#drive(back.map((fate) => fate.settle()));
    this.#until(() => this.#actors.every((actor) => actor.idle), "clients do not finish");
  }

  /** Nodes without which every partition still has a majority, as far as any node knows the partitions. */
  #minority(): (nodeId: number) => boolean {
    const { nodes } = this.cluster;
    const order = nodes.map(({ nodeId }) => nodeId);
    const first = this.#random.nextBelow(nodes.length);
    const away = new Set<number>();
    const sets = this.#watch.replicaSets();
    // Who was no member yet is needed by the others.
    if (sets.length === 0) return () => false;
    for (let i = 0; i < nodes.length; i++) {
      const next = order[(first + i) % nodes.length]!;
      const isFree = sets.every((replicas) => {
        const missing = replicas.filter((nodeId) => away.has(nodeId) || nodeId === next);
        return missing.length <= Math.floor((replicas.length - 1) / 2);
      });
      if (isFree) away.add(next);
    }
    return (nodeId) => away.has(nodeId);
  }

  /** A disk may be lost with all that is on it. */
  get #losesDisks(): boolean {
    return this.plan.wiped >= 0 || this.plan.rotten >= 0;
  }

  /** Some node knows all of them as members. */
  get #areRegistered(): boolean {
    return this.cluster.nodes.some(({ shards }) =>
      shards[0]?.steps.shard?.image.nodes.size === this.plan.nodes
    );
  }

  #verify(): void {
    // Damage that is mended meanwhile takes its time, and a frame that was begun is not waited for so long.
    for (const actor of this.#actors) if (actor instanceof NuisanceActor) actor.hangUp();
    const verify = new VerifyActor(this.#stage, this.#next());
    this.#actors.push(verify);
    this.#until(() => verify.idle, "the logs are not read");
    for (const actor of this.#actors) if (actor instanceof ProduceActor) actor.sendAgain();
    this.#until(() => this.#actors.every((actor) => actor.idle), "duplicates are not answered");
    for (const actor of this.#actors) {
      if (actor instanceof GroupActor || actor instanceof ReaderActor) this.#ask(actor);
    }
  }

  /** Its committed offset is returned, and has not gone back. */
  #ask(member: GroupActor | ReaderActor): void {
    let isTold = false;
    this.#until(() => {
      if (!isTold && member.connected && member.openRequests === 0) {
        member.verify(() => isTold = true);
      }
      return isTold;
    }, "a group does not answer");
  }

  /** All nodes are there, and become equal. */
  #settle(): void {
    this.#drive(this.#fates.map((fate) => fate.settle()));
    this.#until(
      () => this.#steps % BUDGET_STEPS === 0 && this.#watch.isSettled,
      "replicas do not become equal",
    );
    this.#watch.compare(this.#stage.topics);
  }

  #end(): void {
    for (const actor of this.#actors) actor.hangUp();
    this.cluster.rest(REST_MS + (this.plan.nuisances > 0 ? POLL_BEHIND_MS : 0));
    checkMemory(this.cluster.nodes, (ms) => this.cluster.rest(ms));
    this.#drive(this.#fates.map((fate) => fate.stop()));
    for (const fate of this.#fates) fate.endLife();
  }

  /** Steps until every one has ended. */
  #drive(all: readonly Steps<unknown>[]): void {
    let open = all.filter((steps) => !steps.next().done);
    while (open.length > 0) {
      this.#step();
      open = open.filter((steps) => !steps.next().done);
    }
  }

  #until(done: () => boolean, what: string): void {
    const { cluster } = this;
    const lateMs = cluster.nowMs + DRAIN_MS;
    while (!done()) {
      const [fatal] = cluster.nodes.flatMap(({ fatals }) => fatals);
      if (fatal !== undefined) throw new SimFailure("crash", fatal);
      if (cluster.nowMs > lateMs) {
        throw new SimFailure("liveness", `${what}\n${this.#watch.describe()}`);
      }
      this.#step();
    }
  }

  #step(): void {
    this.cluster.step();
    this.#isFounded ||= !this.plan.calmFounding ||
      this.cluster.accepting.length === this.plan.nodes;
    if (this.#isFounded) {
      this.#faults.tick();
      this.#troubles.tick();
      this.#ambush?.tick();
      this.#disks.tick();
      this.#sores.tick();
    }
    for (const actor of this.#actors) actor.tick();
    this.#steps++;
    this.#quorums.check();
    if (this.#steps % WATCH_STEPS === 0) this.#watch.look();
    if (this.#steps % BUDGET_STEPS !== 0) return;
    for (const node of this.cluster.accepting) checkBudgets(node);
  }

  #topic(number: number): SimTopic {
    return {
      name: `topic-${number}`,
      id: "",
      partitions: 1 + this.#random.nextBelow(this.plan.partitionsMax),
      mortal: false,
      trimmed: this.#random.nextBelow(100) < 40,
      deleting: false,
      deleted: false,
    };
  }

  #next(): number {
    return this.#random.nextUint32();
  }
}

/** Runs a seed twice; the runs must be equal. */
export function runClusterTwice(seed: number, options: ClusterOptions = {}): ClusterResult {
  return runTwice(() => runCluster(seed, options));
}

/** Runs a seed once; everything that is thrown becomes a {@linkcode SimFailure}. */
export function runCluster(seed: number, options: ClusterOptions = {}): ClusterResult {
  const workload = new ClusterWorkload(seed, options);
  try {
    return workload.run();
  } catch (error) {
    for (const node of workload.cluster.nodes) node.crash();
    throw failureOf(error);
  }
}

/**
 * One seed, one run: a cluster with clients of every kind, over several lives of its nodes (`node_fate.ts`); then
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
import { RECEIVE_BUFFER_SIZE } from "../../src/base/limits.ts";
import { type Random, Xoshiro128 } from "../../src/base/prng.ts";
import { OFFSETS_TOPIC } from "../../src/cluster/topic_names.ts";
import { groupPartition } from "../../src/group/group_partition.ts";
import { HeapLane } from "../../src/kafka/request_heap.ts";
import type { Actor, SimTopic, Stage } from "./actor.ts";
import { AdminActor } from "./admin_actor.ts";
import { Checker } from "./checker.ts";
import { ConsumeActor } from "./consume_actor.ts";
import { DamageBook } from "./damage_book.ts";
import { ForgeActor } from "./forge_actor.ts";
import { GroupActor } from "./group_actor.ts";
import { NetworkFaults } from "./network_faults.ts";
import { NodeFate, StartRefused, type Steps } from "./node_fate.ts";
import { NuisanceActor, POLL_BEHIND_MS } from "./nuisance_actor.ts";
import { ProduceActor } from "./produce_actor.ts";
import { expect, SimFailure } from "./sim_failure.ts";
import { SimCluster } from "./sim_cluster.ts";
import type { SimNode } from "./sim_node.ts";
import { SpoilActor } from "./spoil_actor.ts";
import { damagedPlanOf, forgersOf, nuisancesOf, planOf, type SwarmPlan, worldOf } from "./swarm.ts";
import { VerifyActor } from "./verify_actor.ts";

/** Virtual time in which clients finish what they have begun (ms). */
const DRAIN_MS = 120_000;
/** Virtual time for memory to come to rest (ms). */
const REST_MS = 3_000;
/** Steps between two looks at the budgets. */
const BUDGET_STEPS = 16;
/** What one request may exceed its heap lane by: it is counted when it has been decoded. */
const HEAP_EXCESS_MAX = 32 * 1024 * 1024;
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
    const plan = { ...shape, ...worldOf(weather), nuisances, forgers, ...options.plan };
    this.plan = plan;
    const { nodes, skewMsMax, network } = plan;
    assert(nodes === 1 || !plan.damage, "the book of damages is of one node");
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
      damage: new DamageBook(),
      failingDisk: plan.spareBytes !== null || plan.ioErrors,
      nuisances: plan.nuisances > 0,
      stalls: plan.nuisances > 0 || network.cuts || network.slowLinks,
      discovers: plan.discovers || nodes > 1,
      draining: false,
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
      partitionsMax: plan.partitionsMax + 2,
    });
    this.#cast();
  }

  /** Runs the seed; throws what is wrong. */
  run(): WorkloadResult {
    try {
      this.#live();
      this.#finish();
    } catch (error) {
      if (!(error instanceof StartRefused)) throw error;
      this.#refusals++;
      if (!this.#stage.damage.metadataLost) this.#finishAccepting();
    }
    if (this.plan.damage && !this.#stage.damage.metadataLost) this.#giveUp();
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
    for (const node of this.cluster.accepting) this.#checkBudgets(node);
  }

  /** What clients can make us allocate stays within what it may. */
  #checkBudgets({ shards }: SimNode): void {
    shards.forEach(({ blocks, shard }, index) => {
      const { waitingWindows, begunFrames, smallFrames, largeFrames, responses } = blocks;
      for (
        const { name, used, limit } of [
          waitingWindows,
          begunFrames,
          smallFrames,
          largeFrames,
          responses,
        ]
      ) {
        expect(used <= limit, () => `shard ${index}: ${used} bytes of ${name}, of ${limit}`);
      }
      const { heap } = shard.server;
      for (const lane of Object.values(HeapLane)) {
        const used = heap.used(lane);
        const isBounded = used >= 0 && used <= heap.limit + HEAP_EXCESS_MAX;
        expect(isBounded, () => `shard ${index}: ${used} bytes of heap lane ${lane}`);
      }
    });
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
    this.#stage.damage.accepted = true;
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
    for (const { node } of this.#fates) {
      this.#checkMemory(node);
      if (!this.plan.ioErrors) this.#stage.damage.checkNamed(node);
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
    return !this.#stage.damage.isHurt(cluster.holderOf(groupId)!, groupId);
  }

  #checkMemory({ shards }: SimNode): void {
    shards.forEach(({ blocks, sockets, shard }, index) => {
      const { waitingWindows, begunFrames, smallFrames, largeFrames, responses } = blocks;
      const budgets = [waitingWindows, begunFrames, smallFrames, largeFrames, responses];
      for (const { name, used } of budgets) {
        expect(used === 0, () => `shard ${index}: ${used} bytes of ${name} are not given back`);
      }
      expect(
        sockets.freeBuffers === sockets.bufferCount,
        () => `shard ${index}: ${sockets.bufferCount - sockets.freeBuffers} receive buffers lost`,
      );
      for (const lane of Object.values(HeapLane)) {
        const used = shard.server.heap.used(lane);
        expect(used === 0, () => `shard ${index}: ${used} bytes of heap lane ${lane} stay counted`);
      }
      expect(blocks.waitingCount === 0, () => `shard ${index}: somebody waits for memory`);
      expect(shard.server.connectionCount === 0, () => `shard ${index}: a connection is left`);
      const stats = shard.storage.stats();
      expect(
        stats.pinnedBytes === 0,
        () => `shard ${index}: ${stats.pinnedBytes} bytes stay pinned`,
      );
      const stored = stats.cachedBytes + stats.dirtyBytes + stats.journalBufferBytes +
        stats.checkpointBufferBytes;
      const receiving = sockets.bufferCount * RECEIVE_BUFFER_SIZE;
      const { arena } = blocks;
      const known = arena.freeBytes + stored + receiving;
      expect(
        known === arena.size,
        () => `shard ${index}: ${arena.size - known} bytes of the arena are lost`,
      );
    });
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
    };
  }

  #cast(): void {
    const { plan } = this;
    const { batchBytesMax, pipelining, oddBatches: odd } = plan;
    this.#actors.push(this.#admin);
    for (let i = 0; i < plan.idempotentProducers; i++) {
      const shape = { idempotent: true, batchBytesMax, pipelining, odd };
      this.#actors.push(new ProduceActor(this.#stage, this.#next(), shape));
    }
    for (let i = 0; i < plan.plainProducers; i++) {
      const shape = { idempotent: false, batchBytesMax, pipelining, odd };
      this.#actors.push(new ProduceActor(this.#stage, this.#next(), shape));
    }
    for (let i = 0; i < plan.spoilers; i++) {
      this.#actors.push(new SpoilActor(this.#stage, this.#next()));
    }
    for (let i = 0; i < plan.consumers; i++) {
      this.#actors.push(new ConsumeActor(this.#stage, this.#next()));
    }
    for (let i = 0; i < plan.groupMembers; i++) {
      const group = `group-${i % 2}`;
      const topic = this.#stage.topics[0]!;
      this.#actors.push(new GroupActor(this.#stage, this.#next(), group, topic, i));
    }
    for (let i = 0; i < plan.nuisances; i++) {
      this.#actors.push(new NuisanceActor(this.#stage, this.#mischief.nextUint32()));
    }
    for (let i = 0; i < plan.forgers; i++) {
      this.#actors.push(new ForgeActor(this.#stage, this.#forgery.nextUint32()));
    }
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
  const first = runOnce(seed, options);
  const second = runOnce(seed, options);
  if (first.hash !== second.hash || first.virtualMs !== second.virtualMs) {
    throw new SimFailure("nondeterminism", "two runs of the seed differ");
  }
  return first;
}

/** Runs a seed once; everything that is thrown becomes a {@linkcode SimFailure}. */
export function runOnce(seed: number, options: WorkloadOptions = {}): WorkloadResult {
  try {
    return new Workload(seed, options).run();
  } catch (error) {
    if (error instanceof SimFailure) throw error;
    const text = error instanceof Error ? error.stack ?? error.message : String(error);
    throw new SimFailure("crash", text);
  }
}

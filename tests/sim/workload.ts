/**
 * One seed, one run: a node with clients of every kind, over several lives with power cuts, clean stops
 * and faults in between; then everything is brought to rest and checked.
 *
 * ```text
 *   life:   mount ─ (power cut during recovery: again) ─ clients work ─ cut, fatal error, or clean stop
 *   end:    mount on a disk with room ─ clients finish ─ all is read ─ groups are asked ─ all hang up
 *           ─ memory is at its level ─ clean stop
 * ```
 *
 * @module
 */

import { RECEIVE_BUFFER_SIZE } from "../../src/base/limits.ts";
import { type Random, Xoshiro128 } from "../../src/base/prng.ts";
import { OFFSETS_TOPIC } from "../../src/cluster/topic_names.ts";
import { groupPartition } from "../../src/group/group_partition.ts";
import { HeapLane } from "../../src/kafka/request_heap.ts";
import { EIO, ENOSPC } from "../../src/io/errno.ts";
import type { Actor, SimTopic, Stage } from "./actor.ts";
import { AdminActor } from "./admin_actor.ts";
import { Checker } from "./checker.ts";
import { ConsumeActor } from "./consume_actor.ts";
import { DamageBook } from "./damage_book.ts";
import { Damager } from "./damager.ts";
import { ForgeActor } from "./forge_actor.ts";
import { GroupActor } from "./group_actor.ts";
import { NuisanceActor, POLL_BEHIND_MS } from "./nuisance_actor.ts";
import { ProduceActor } from "./produce_actor.ts";
import { expect, SimFailure } from "./sim_failure.ts";
import { SimNode } from "./sim_node.ts";
import { SpoilActor } from "./spoil_actor.ts";
import { damagedPlanOf, forgersOf, nuisancesOf, planOf, type SwarmPlan } from "./swarm.ts";
import { VerifyActor } from "./verify_actor.ts";

/** Virtual time in which clients finish what they have begun (ms). */
const DRAIN_MS = 120_000;
/** Virtual time for memory to come to rest (ms). */
const REST_MS = 3_000;
/** States of the disk per life that stale blocks are taken from. */
const MEMORIES_PER_LIFE = 2;
/** Fewest disk operations before a planned power cut, during recovery and in service. */
const CUT_IN_RECOVERY = 400;
const CUT_IN_SERVICE = 3_000;
/** Of a connection that stalled where memory was short; nuisances do. */
const RECLAIMED = "the memory that it holds is needed";
/** Steps between two looks at the budgets. */
const BUDGET_STEPS = 16;
/** What one request may exceed its heap lane by: it is counted when it has been decoded. */
const HEAP_EXCESS_MAX = 32 * 1024 * 1024;
/** One read or write in so many ends short, after at most so many bytes. */
const SHORT_ONE_IN = 8;
const SHORT_BYTES_MAX = 20_000;

/** What a run is beside its seed; for tests that want one shape. */
export interface WorkloadOptions {
  readonly plan?: Partial<SwarmPlan>;
  /** The disk is damaged between lives, for certain. */
  readonly damage?: boolean;
  /** Power cut at exactly this operation of the first life; the life after is the last. */
  readonly cutAt?: number;
  /** Power cut at this operation of the recovery after it. */
  readonly cutRecoveryAt?: number;
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
  readonly node: SimNode;
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
  #mounts = 0;
  #lives = 0;
  #operations = 0;
  #strikes = 0;
  #refusals = 0;
  #suspects = 0;
  #steps = 0;
  #extraBytes = 0;
  readonly #damager: Damager;

  constructor(seed: number, options: WorkloadOptions = {}) {
    this.#options = options;
    this.#random = new Xoshiro128(seed ^ 0x5bd1e995);
    const plan = options.damage === true ? damagedPlanOf(this.#random) : planOf(this.#random);
    this.#mischief = new Xoshiro128(seed ^ 0x2c1b3c6d);
    this.#forgery = new Xoshiro128(seed ^ 0x51ed270b);
    const nuisances = nuisancesOf(this.#mischief);
    this.plan = { ...plan, nuisances, forgers: forgersOf(this.#forgery), ...options.plan };
    this.#damager = new Damager(this.#random);
    this.node = new SimNode({
      seed,
      arenaBytes: plan.arenaBytes,
      journalBytes: plan.journalBytes,
      extentBytes: plan.extentBytes,
      settings: {
        "log.segment.bytes": `${plan.segmentBytes}`,
        "log.retention.check.interval.ms": "40",
        "offsets.topic.num.partitions": "2",
      },
    });
    this.#stage = {
      node: this.node,
      checker: this.checker,
      topics: [],
      damage: new DamageBook(),
      failingDisk: plan.spareBytes !== null || plan.ioErrors,
      nuisances: this.plan.nuisances > 0,
      draining: false,
    };
    for (let i = 0; i < plan.topics; i++) this.#stage.topics.push(this.#topic(i));
    this.#admin = new AdminActor(this.#stage, this.#next(), {
      busy: plan.admins > 0,
      segmentBytes: plan.segmentBytes,
      retention: plan.retention,
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
    return {
      hash: this.checker.hash,
      lives: this.#lives,
      mounts: this.#mounts,
      acknowledgements: this.checker.acknowledgements,
      batchesRead: this.checker.batchesRead,
      operations: this.#operations,
      virtualMs: this.node.nowMs,
      strikes: this.#strikes,
      refusals: this.#refusals,
      suspects: this.#suspects,
    };
  }

  #live(): void {
    const { plan } = this;
    if (this.#options.cutAt !== undefined) {
      this.#mount();
      this.node.disk.crashAfterOps(this.#options.cutAt);
      this.#serve(plan.lifeMs);
      this.#endLife();
      if (this.#options.cutRecoveryAt !== undefined) this.#mount(this.#options.cutRecoveryAt);
      if (this.node.disk.crashed || this.node.shards.length === 0) this.node.crash();
      else this.#endLife();
    } else {
      for (let life = 0; life < plan.lives; life++) this.#life();
    }
  }

  #life(): void {
    const { plan } = this;
    const cutsRecovery = plan.powerCuts && this.#chance(25);
    while (!this.#mount(cutsRecovery ? this.#random.nextBelow(CUT_IN_RECOVERY) : undefined)) {
      this.node.crash();
    }
    const { disk } = this.node;
    if (plan.powerCuts && this.#chance(60)) {
      disk.crashAfterOps(this.#random.nextBelow(CUT_IN_SERVICE));
    }
    for (let i = 0; i < plan.slowMoments; i++) {
      const nth = 1 + this.#random.nextBelow(300);
      const fault = { kind: "slow", delayMs: 1 + this.#random.nextBelow(2000) } as const;
      disk.inject({ operation: this.#chance(50) ? "write" : "syncFileSystem", nth, fault });
    }
    if (plan.shortTransfers) {
      for (const operation of ["read", "write"] as const) {
        const fault = {
          kind: "short",
          bytes: 1 + this.#random.nextBelow(SHORT_BYTES_MAX),
        } as const;
        disk.inject({ operation, nth: 1, count: Infinity, odds: SHORT_ONE_IN, fault });
      }
    }
    const failing = plan.ioErrors && this.#chance(50);
    if (failing) {
      const nth = 1 + this.#random.nextBelow(400);
      disk.inject({ operation: "write", nth, fault: { kind: "error", errno: EIO } });
    }
    this.#serve(plan.lifeMs);
    if (!this.#over() && this.#chance(40)) {
      this.#loseAll();
      const stopped = this.node.stop();
      if (!stopped && !this.#over()) throw new SimFailure("liveness", "the node does not stop");
    }
    if (this.node.fatals.length > 0) {
      // A disk error ends the process, in the middle of a stop too; what it had completed stays.
      if (!failing) throw new SimFailure("crash", `storage gave up: ${this.node.fatals[0]}`);
      this.node.fatals.length = 0;
      this.node.distrustsDisk = true;
    }
    this.#endLife();
    if (plan.damage && this.#chance(70)) this.#strike();
  }

  /** The clients work for a while, or until the disk dies. */
  #serve(ms: number): void {
    const parts = this.plan.damage ? MEMORIES_PER_LIFE + 1 : 1;
    for (let part = 0; part < parts; part++) {
      if (part > 0) this.#damager.remember(this.node.disk);
      const until = this.node.nowMs + ms / parts;
      while (this.node.nowMs < until && !this.#over()) this.#step();
    }
  }

  #step(): void {
    this.node.step();
    if (this.#over()) return;
    for (const actor of this.#actors) actor.tick();
    if (++this.#steps % BUDGET_STEPS === 0) this.#checkBudgets();
  }

  /** What clients can make us allocate stays within what it may. */
  #checkBudgets(): void {
    this.node.shards.forEach(({ blocks, shard }, index) => {
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

  #over(): boolean {
    return this.node.disk.crashed || this.node.fatals.length > 0;
  }

  #endLife(): void {
    this.#loseAll();
    if (this.#lives === 0) this.#operations = this.node.disk.operations;
    this.#lives++;
    this.checker.observe(this.node.disk.traceHash);
    this.node.crash();
    this.#checkRemarks();
  }

  /** @param cutAt power cut at this operation of the recovery */
  #mount(cutAt?: number): boolean {
    const { node, plan } = this;
    const shards = 1 + this.#random.nextBelow(plan.shardsMax);
    node.diskOptions = {
      ...(plan.latencyMs === null ? {} : { latencyMs: plan.latencyMs }),
      ...this.#capacity(),
    };
    this.#mounts++;
    const mounted = node.mount(shards, (disk) => {
      if (cutAt !== undefined) disk.crashAfterOps(cutAt);
    }, this.#stage.damage.accepted);
    if (node.refusal?.endsWith(`errno ${ENOSPC}`) && plan.spareBytes !== null) {
      // A recovery needs room for new journals: the operator finds some.
      this.#extraBytes += 2 * plan.shardsMax * plan.journalBytes;
      return false;
    }
    if (node.refusal !== null) {
      this.#stage.damage.checkRefusal(node);
      throw new StartRefused();
    }
    if (!mounted) {
      if (node.fatals.length > 0) throw new SimFailure("crash", node.fatals[0]!);
      return false;
    }
    node.disk.crashAfterOps(Infinity);
    if (!plan.ioErrors) this.#stage.damage.checkMount(node);
    this.#checkModels();
    return true;
  }

  /** Topics are there, and models know what damage may have taken from them. */
  #checkModels(): void {
    const { node, checker } = this;
    const { topics, damage } = this.#stage;
    for (const { id, name, partitions, deleting } of topics) {
      if (id === "" || deleting) continue;
      const last = node.groupOf(id, partitions - 1);
      expect(last >= 0, () => `${name} with ${partitions} partitions is gone`);
    }
    for (const model of checker.partitions.values()) {
      model.lives++;
      model.groupId = node.groupOf(model.topicId, model.index);
      if (model.groupId < 0) continue;
      const { lossFrom, startLost } = damage.lossOf(model.groupId);
      model.lossFrom = lossFrom;
      model.startMayReturn = startLost;
      model.readOnly = node.logOf(model.groupId)!.suspect;
    }
  }

  #capacity(): { capacityBytes?: number } {
    const { spareBytes, journalBytes, shardsMax } = this.plan;
    if (spareBytes === null || this.#stage.draining) return {};
    return {
      capacityBytes: (shardsMax + 1) * (journalBytes + 2 ** 21) + spareBytes + this.#extraBytes,
    };
  }

  #finish(): void {
    this.#stage.draining = true;
    while (!this.#mount()) this.node.crash();
    this.#until(() => this.#actors.every((actor) => actor.idle), "clients do not finish");
    this.#verify();
  }

  /** Nothing starts any more but with `--accept-loss`: what is left is looked at, and not added to. */
  #finishAccepting(): void {
    this.#stage.draining = true;
    // It stays refused, whatever is named by then.
    this.node.crash();
    try {
      while (!this.#mount()) this.node.crash();
      throw new SimFailure("correctness", "a damaged metadata log was served in the second start");
    } catch (error) {
      if (!(error instanceof StartRefused)) throw error;
    }
    this.#stage.damage.accepted = true;
    const groups = this.#actors.filter((actor) => actor instanceof GroupActor);
    this.#actors.splice(0, Infinity, ...groups);
    this.node.crash();
    while (!this.#mount()) this.node.crash();
    this.#verify();
  }

  /** The last word of an operator: what is lost is given up, and from then on every reader comes to the end. */
  #giveUp(): void {
    const { node } = this;
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

  #verify(): void {
    const verify = new VerifyActor(this.#stage, this.#next());
    this.#actors.push(verify);
    this.#until(() => verify.idle, "the logs are not read");
    for (const actor of this.#actors) if (actor instanceof ProduceActor) actor.sendAgain();
    this.#until(() => this.#actors.every((actor) => actor.idle), "duplicates are not answered");
    this.#askGroups();
    for (const actor of this.#actors) actor.hangUp();
    this.node.pass(REST_MS + (this.plan.nuisances > 0 ? POLL_BEHIND_MS : 0));
    this.#checkMemory();
    if (!this.plan.ioErrors) this.#stage.damage.checkNamed(this.node);
    for (const { shard } of this.node.shards) {
      for (const log of shard.storage.logs.values()) if (log.suspect) this.#suspects++;
    }
    if (!this.node.stop()) throw new SimFailure("liveness", "the node does not stop");
    this.#endLife();
  }

  #until(done: () => boolean, what: string): void {
    const until = this.node.nowMs + DRAIN_MS;
    while (!done()) {
      if (this.node.fatals.length > 0) throw new SimFailure("crash", this.node.fatals[0]!);
      if (this.node.nowMs > until) throw new SimFailure("liveness", what);
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
    const { node } = this;
    const topic = node.shards[0]!.shard.image.topicByName(OFFSETS_TOPIC);
    if (topic === undefined) return false;
    const { groupId } = topic.partitions[groupPartition(group, topic.partitions.length)]!;
    return !this.#stage.damage.isHurt(node, groupId);
  }

  #checkMemory(): void {
    this.node.shards.forEach(({ blocks, sockets, shard }, index) => {
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

  #checkRemarks(): void {
    for (const remark of this.node.remarks) {
      if (this.plan.nuisances > 0 && remark.includes(RECLAIMED)) continue;
      if (remark.startsWith("Closed a connection")) throw new SimFailure("correctness", remark);
    }
    this.node.remarks.length = 0;
  }

  #strike(): void {
    const strike = this.#damager.strike(this.node.disk);
    if (strike === null) return;
    this.#strikes++;
    this.#stage.damage.note(strike, this.node);
  }

  #loseAll(): void {
    for (const actor of this.#actors) actor.lose();
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

/** A start refused a damaged disk, as it should. */
class StartRefused extends Error {}

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

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
import { EIO, ENOSPC } from "../../src/io/errno.ts";
import type { Actor, SimTopic, Stage } from "./actor.ts";
import { AdminActor } from "./admin_actor.ts";
import { Checker } from "./checker.ts";
import { ConsumeActor } from "./consume_actor.ts";
import { GroupActor } from "./group_actor.ts";
import { ProduceActor } from "./produce_actor.ts";
import { expect, SimFailure } from "./sim_failure.ts";
import { SimNode } from "./sim_node.ts";
import { planOf, type SwarmPlan } from "./swarm.ts";
import { VerifyActor } from "./verify_actor.ts";

/** Virtual time in which clients finish what they have begun (ms). */
const DRAIN_MS = 120_000;
/** Virtual time for memory to come to rest (ms). */
const REST_MS = 3_000;
/** Fewest disk operations before a planned power cut, during recovery and in service. */
const CUT_IN_RECOVERY = 400;
const CUT_IN_SERVICE = 3_000;

/** What a run is beside its seed; for tests that want one shape. */
export interface WorkloadOptions {
  readonly plan?: Partial<SwarmPlan>;
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
}

export class Workload {
  readonly plan: SwarmPlan;
  readonly node: SimNode;
  readonly checker = new Checker();
  readonly #random: Random;
  readonly #options: WorkloadOptions;
  readonly #stage: Stage;
  readonly #actors: Actor[] = [];
  readonly #admin: AdminActor;
  #mounts = 0;
  #lives = 0;
  #operations = 0;
  #flipped = false;
  #extraBytes = 0;

  constructor(seed: number, options: WorkloadOptions = {}) {
    this.#options = options;
    this.#random = new Xoshiro128(seed ^ 0x5bd1e995);
    this.plan = { ...planOf(this.#random), ...options.plan };
    const { plan } = this;
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
    this.#stage = { node: this.node, checker: this.checker, topics: [], draining: false };
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
    this.#finish();
    return {
      hash: this.checker.hash,
      lives: this.#lives,
      mounts: this.#mounts,
      acknowledgements: this.checker.acknowledgements,
      batchesRead: this.checker.batchesRead,
      operations: this.#operations,
      virtualMs: this.node.nowMs,
    };
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
    if (plan.flippedBits) this.#flip();
  }

  /** The clients work for a while, or until the disk dies. */
  #serve(ms: number): void {
    const until = this.node.nowMs + ms;
    while (this.node.nowMs < until && !this.#over()) this.#step();
  }

  #step(): void {
    this.node.step();
    if (this.#over()) return;
    for (const actor of this.#actors) actor.tick();
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
    });
    if (node.refusal?.endsWith(`errno ${ENOSPC}`) && plan.spareBytes !== null) {
      // A recovery needs room for new journals: the operator finds some.
      this.#extraBytes += 2 * plan.shardsMax * plan.journalBytes;
      return false;
    }
    if (node.refusal !== null) {
      if (this.#flipped) throw new DamageFound();
      throw new SimFailure("correctness", `recovery refused: ${node.refusal}`);
    }
    this.#checkDamage();
    if (!mounted) {
      if (node.fatals.length > 0) throw new SimFailure("crash", node.fatals[0]!);
      return false;
    }
    node.disk.crashAfterOps(Infinity);
    return true;
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
    const verify = new VerifyActor(this.#stage, this.#next());
    this.#actors.push(verify);
    this.#until(() => verify.idle, "the logs are not read");
    if (verify.unreadable > 0) {
      expect(this.node.damages.length > 0, () => "records are unreadable and nobody was told");
    }
    this.#askGroups();
    for (const actor of this.#actors) actor.hangUp();
    this.node.pass(REST_MS);
    this.#checkMemory();
    this.#checkDamage();
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

  #askGroups(): void {
    const members = this.#actors.filter((actor) => actor instanceof GroupActor);
    let asked = 0;
    for (const member of members) {
      if (!member.connected) member.tick();
      member.verify(() => asked++);
      this.#until(() => member.openRequests === 0, "a group does not answer");
    }
    this.checker.observe(asked);
  }

  #checkMemory(): void {
    this.node.shards.forEach(({ blocks, sockets, shard }, index) => {
      const budgets = [blocks.smallFrames, blocks.largeFrames, blocks.responses];
      for (const { name, used } of budgets) {
        expect(used === 0, () => `shard ${index}: ${used} bytes of ${name} are not given back`);
      }
      expect(
        sockets.freeBuffers === sockets.bufferCount,
        () => `shard ${index}: ${sockets.bufferCount - sockets.freeBuffers} receive buffers lost`,
      );
      expect(blocks.waitingCount === 0, () => `shard ${index}: somebody waits for memory`);
      expect(shard.server.connectionCount === 0, () => `shard ${index}: a connection is left`);
      const stats = shard.storage.stats();
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

  #checkDamage(): void {
    const [damage] = this.node.damages;
    if (damage === undefined || this.#flipped || this.plan.ioErrors) return;
    throw new SimFailure("correctness", `named damage without any: ${JSON.stringify(damage)}`);
  }

  #checkRemarks(): void {
    for (const remark of this.node.remarks) {
      if (remark.startsWith("Closed a connection")) throw new SimFailure("correctness", remark);
    }
    this.node.remarks.length = 0;
  }

  /** One bit of what lies on the disk. */
  #flip(): void {
    const flipped = this.node.flipRandomBit();
    if (!flipped) return;
    this.#flipped = true;
    for (const model of this.checker.partitions.values()) model.damaged = true;
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
    const { batchBytesMax, pipelining } = plan;
    this.#actors.push(this.#admin);
    for (let i = 0; i < plan.idempotentProducers; i++) {
      const shape = { idempotent: true, batchBytesMax, pipelining };
      this.#actors.push(new ProduceActor(this.#stage, this.#next(), shape));
    }
    for (let i = 0; i < plan.plainProducers; i++) {
      const shape = { idempotent: false, batchBytesMax, pipelining };
      this.#actors.push(new ProduceActor(this.#stage, this.#next(), shape));
    }
    for (let i = 0; i < plan.consumers; i++) {
      this.#actors.push(new ConsumeActor(this.#stage, this.#next()));
    }
    for (let i = 0; i < plan.groupMembers; i++) {
      const group = `group-${i % 2}`;
      const topic = this.#stage.topics[0]!;
      this.#actors.push(new GroupActor(this.#stage, this.#next(), group, topic, i));
    }
  }

  #next(): number {
    return this.#random.nextUint32();
  }

  #chance(percent: number): boolean {
    return this.#random.nextBelow(100) < percent;
  }
}

/** Recovery refused a disk whose bits were flipped: as it should, and the end of the run. */
export class DamageFound extends Error {}

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
  const workload = new Workload(seed, options);
  try {
    return workload.run();
  } catch (error) {
    if (error instanceof SimFailure) throw error;
    if (!(error instanceof DamageFound)) {
      const text = error instanceof Error ? error.stack ?? error.message : String(error);
      throw new SimFailure("crash", text);
    }
    const { checker, node } = workload;
    return {
      hash: checker.hash,
      lives: 0,
      mounts: 0,
      acknowledgements: checker.acknowledgements,
      batchesRead: checker.batchesRead,
      operations: 0,
      virtualMs: node.nowMs,
    };
  }
}

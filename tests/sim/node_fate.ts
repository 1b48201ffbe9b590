/**
 * What becomes of one node of a simulation: life after life, with power cuts, disk errors, clean stops, and damage in
 * between. Written as generators that give way once per step of the cluster, so that each node of several has a fate of
 * its own.
 *
 * A node of several lives until a given time, and its start may take as long as there is no majority; one that is alone
 * lives a given number of lives.
 *
 * ```text
 *   life:   mount ─ (power cut during recovery: again) ─ serves ─ cut, fatal error, or clean stop
 * ```
 *
 * @module
 */

import type { Random } from "../../src/base/prng.ts";
import { EIO, ENOSPC } from "../../src/io/errno.ts";
import type { DiskOperation, FaultPlan } from "../../src/io/memory_disk.ts";
import type { Stage } from "./actor.ts";
import type { ClusterPlan } from "./cluster_plan.ts";
import type { DamageBook } from "./damage_book.ts";
import { Damager } from "./damager.ts";
import { limitDisk } from "./disk_troubles.ts";
import { expect, SimFailure } from "./sim_failure.ts";
import type { SimNode } from "./sim_node.ts";
import type { SwarmPlan } from "./swarm.ts";

/** Virtual time in which a start or a stop ends (ms). */
const STEP_MS_MAX = 120_000;
/** States of the disk per life that stale blocks are taken from. */
const MEMORIES_PER_LIFE = 2;
/** Fewest disk operations before a planned power cut, during recovery and in service. */
const CUT_IN_RECOVERY = 400;
const CUT_IN_SERVICE = 3_000;
const CUT_AMONG_SEVERAL = 12_000;
/** What fails on a disk in a life of one of several nodes, within so many of its kind. */
const FAILURES: readonly (readonly [DiskOperation, number])[] = [
  ["write", 4_000],
  ["write", 400],
  ["syncFileSystem", 60],
  ["syncDirectory", 20],
  ["allocate", 20],
  ["truncate", 5],
  ["unlink", 10],
  ["makeDirectory", 10],
];
/** Lives that end at once, where restarts come in storms, and how long they last at most (virtual ms). */
const STORM_PERCENT = 40;
const STORM_MS_MAX = 400;
/** One read or write in so many ends short, after at most so many bytes. */
const SHORT_ONE_IN = 8;
const SHORT_BYTES_MAX = 20_000;

/** Files that are read while a node serves. */
const READ_IN_SERVICE = /^(logs|snapshots)\//;
/** What fails to be read or opened of them in one life, one in at most so many, and when that begins. */
const FAILED_READS_MAX = 40;
const FAILED_OPENS_MAX = 6;
const FAILED_ONE_IN = 4;
const READS_BEFORE_MAX = 300;
const OPENS_BEFORE_MAX = 30;
/** For how long a hurt node may heal by itself in the end, before its disk is replaced (virtual ms). */
const HEALING_MS_MAX = 40_000;

/** A start's refusal of a full disk. */
const LACKS_ROOM = new RegExp(`errno ${ENOSPC}\\)?$`);

/** Gives way once per step. */
export type Steps<T> = Generator<void, T, void>;

/** A start refused a damaged disk, as it should, or serves metadata that nobody can change. */
export class StartRefused extends Error {}

/** Some of what only clusters have. */
export type FatePlan = SwarmPlan & Partial<Pick<ClusterPlan, SeveralOnly>>;
type SeveralOnly =
  | "storms"
  | "fills"
  | "roughness"
  | "lazyOdds"
  | "wiped"
  | "rotten"
  | "badSectors"
  | "readErrors";

export interface FateOptions {
  readonly node: SimNode;
  readonly plan: FatePlan;
  readonly stage: Stage;
  readonly random: Random;
  /** The node goes: clients are to give it up. */
  readonly onLeave: (node: SimNode) => void;
  /** The cluster can do without its disk now; never when absent. */
  readonly mayLose?: () => boolean;
}

export class NodeFate {
  readonly node: SimNode;
  readonly #plan: FatePlan;
  readonly #stage: Stage;
  readonly #random: Random;
  readonly #onLeave: (node: SimNode) => void;
  readonly #mayLose: () => boolean;
  readonly #damager: Damager;
  readonly #book: DamageBook;
  /** The operator starts it with `--accept-loss` for once. */
  #acceptsOnce = false;
  #extraBytes = 0;
  /** In this life the disk fails an operation. */
  #failing = false;
  lives = 0;
  mounts = 0;
  /** How often the disk was damaged. */
  strikes = 0;
  /** Disk operations of the first life. */
  operations = 0;

  constructor({ node, plan, stage, random, onLeave, mayLose = () => false }: FateOptions) {
    this.#mayLose = mayLose;
    this.node = node;
    this.#plan = plan;
    this.#stage = stage;
    this.#random = random;
    this.#onLeave = onLeave;
    this.#damager = new Damager(random, plan.badSectors === true);
    this.#book = stage.books[node.nodeId]!;
  }

  /** Its disk is dead, or an error of it ended the process. */
  get over(): boolean {
    return this.node.disk.crashed || this.node.fatals.length > 0;
  }

  /** All lives that the plan gives it. */
  *run(): Steps<void> {
    for (let life = 0; life < this.#plan.lives; life++) yield* this.#life();
  }

  /** Life after life until that time; what it is doing then is left unfinished. */
  *runUntil(untilMs: number): Steps<void> {
    const lives = this.#livesOn();
    while (this.node.nowMs < untilMs) {
      lives.next();
      yield;
    }
  }

  /** Nothing goes wrong any more: it serves on, or starts. */
  *settle(): Steps<void> {
    const { node } = this;
    node.frozenUntilMs = node.pausedUntilMs = 0;
    if (this.lives + this.mounts > 0 && !node.disk.crashed) {
      node.disk.crashAfterOps(Infinity);
      node.disk.clearFaults();
      if (!node.stopping) {
        yield* this.#while(() => node.starting, "a start does not end");
        if (node.serving && (yield* this.#heals())) return;
      }
      this.#takeFatals();
      this.endLife();
    }
    yield* this.mountSurely();
    while (!(yield* this.#heals())) {
      yield* this.#replaceDisk();
      yield* this.mountSurely();
    }
  }

  *#livesOn(): Steps<void> {
    for (;;) yield* this.#life();
  }

  /** One life, cut at exactly this operation; then one whose recovery is cut, if that is asked for. */
  *runCut(cutAt: number, cutRecoveryAt?: number): Steps<void> {
    yield* this.mount();
    this.node.disk.crashAfterOps(cutAt);
    yield* this.#serve();
    this.endLife();
    if (cutRecoveryAt === undefined) return;
    if (yield* this.mount(cutRecoveryAt)) this.endLife();
    else this.node.crash();
  }

  /** Starts, whatever it takes. */
  *mountSurely(): Steps<void> {
    while (!(yield* this.mount())) this.node.crash();
  }

  /** @param cutAt power cut at this operation of the recovery */
  *mount(cutAt?: number): Steps<boolean> {
    const node = this.node;
    const plan = this.#plan;
    const shards = 1 + this.#random.nextBelow(plan.shardsMax);
    node.diskOptions = {
      ...(plan.latencyMs === null ? {} : { latencyMs: plan.latencyMs }),
      ...this.#capacity(),
      ...(plan.roughness ? { roughness: plan.roughness } : {}),
      ...(plan.lazyOdds ? { lazyOdds: plan.lazyOdds } : {}),
    };
    // Where other nodes have what is damaged, the flag must be of no consequence.
    if (this.#isRotten && this.#book.any && !this.#book.mayForget) {
      this.#acceptsOnce ||= this.#chance(20);
    }
    this.mounts++;
    node.begin(shards, (disk) => {
      if (cutAt !== undefined) disk.crashAfterOps(cutAt);
    }, this.#book.accepted || this.#acceptsOnce);
    yield* this.#while(() => node.starting, "a start does not end");
    if (LACKS_ROOM.test(node.refusal ?? "") && (plan.spareBytes !== null || plan.fills)) {
      // A recovery needs room for new journals: the operator finds some.
      this.#extraBytes += 2 * plan.shardsMax * plan.journalBytes;
      if (plan.fills) limitDisk(node);
      return false;
    }
    if (node.refusal !== null) {
      this.#book.checkRefusal(node);
      if (!this.#isRotten) throw new StartRefused();
      yield* this.#repair();
      return false;
    }
    if (node.serving && node.shards[0]!.shard.metadataReadOnly) {
      this.#book.checkFrozen();
      if (!this.#isRotten) throw new StartRefused();
      yield* this.#repair();
      return false;
    }
    if (!node.serving) {
      if (node.fatals.length > 0) throw new SimFailure("crash", node.fatals[0]!);
      return false;
    }
    this.#acceptsOnce = false;
    node.disk.crashAfterOps(Infinity);
    if (!plan.ioErrors) this.#book.checkMount(node);
    this.#checkModels();
    return true;
  }

  /** False when the disk died on the way. */
  *stop(): Steps<boolean> {
    this.#onLeave(this.node);
    this.node.beginStop();
    yield* this.#while(() => this.node.stopping && !this.over, "the node does not stop");
    return !this.node.stopping;
  }

  endLife(): void {
    this.#onLeave(this.node);
    if (this.lives === 0) this.operations = this.node.disk.operations;
    this.lives++;
    this.#stage.checker.observe(this.node.disk.traceHash);
    this.node.crash();
    this.#checkRemarks();
  }

  *#life(): Steps<void> {
    const plan = this.#plan;
    const { disk } = yield* this.#begin();
    if (plan.powerCuts && this.#chance(60)) {
      const cutMax = this.#isOneOfSeveral ? CUT_AMONG_SEVERAL : CUT_IN_SERVICE;
      disk.crashAfterOps(this.#random.nextBelow(cutMax));
    }
    for (let i = 0; i < plan.slowMoments; i++) {
      const nth = 1 + this.#random.nextBelow(300);
      const fault = { kind: "slow", delayMs: 1 + this.#random.nextBelow(2000) } as const;
      disk.inject({ operation: this.#chance(50) ? "write" : "syncFileSystem", nth, fault });
    }
    if (plan.shortTransfers) {
      for (const operation of ["read", "write"] as const) {
        const bytes = 1 + this.#random.nextBelow(SHORT_BYTES_MAX);
        const fault = { kind: "short", bytes } as const;
        disk.inject({ operation, nth: 1, count: Infinity, odds: SHORT_ONE_IN, fault });
      }
    }
    this.#failing = plan.ioErrors && this.#chance(50);
    if (this.#failing) disk.inject(this.#failure());
    if (plan.readErrors === true && this.#chance(50)) this.#failReads();
    yield* this.#serve();
    if (!this.over && this.#chance(40)) yield* this.stop();
    this.#takeFatals();
    this.endLife();
    if (plan.damage && this.#chance(70)) this.#strike();
    if (plan.wiped === this.node.nodeId && this.#mayLose() && this.#chance(50)) this.#wipe();
    else if (this.#isRotten) this.#rot();
    yield* this.#stayAway();
  }

  /** A disk error ends the process, in the middle of a stop too; what it had completed stays. */
  #takeFatals(): void {
    const { fatals } = this.node;
    if (fatals.length === 0) return;
    if (!this.#failing) throw new SimFailure("crash", `storage gave up: ${fatals[0]}`);
    fatals.length = 0;
    this.node.distrustsDisk = true;
  }

  /** The disk is damaged, or one that was is replaced. */
  #rot(): void {
    if (!this.#mayLose()) return;
    if (this.#book.any && this.#chance(40)) this.#wipe();
    else if (this.#book.any && this.#plan.badSectors === true && this.#chance(25)) this.#giveBack();
    else if (this.#chance(80)) this.#strike();
  }

  /** The device can read again what it could not read. */
  #giveBack(): void {
    const { disk } = this.node;
    for (const path of disk.paths()) disk.giveBack(path);
    this.#book.noteReturn();
    this.#note(`the disk of ${this.node.name} gives back what it withheld`);
  }

  #wipe(): void {
    this.node.wipe();
    this.node.damages.length = 0;
    this.#damager.forget();
    this.#book.forget();
  }

  /** Of a node that damage keeps from serving: a start that accepts the loss, which may not help, or an empty disk. */
  *#repair(): Steps<void> {
    if (this.#acceptsOnce || this.#chance(60)) {
      this.#acceptsOnce = false;
      yield* this.#replaceDisk();
      return;
    }
    this.#onLeave(this.node);
    if (!this.node.disk.crashed) this.node.crash();
    // Without its manifest it has forgotten everything, as on an empty disk.
    yield* this.#while(() => !this.#mayLose(), "the loss of a damaged disk cannot be accepted");
    this.#acceptsOnce = true;
    this.#book.noteAcceptance();
    this.#note(`${this.node.name} starts with --accept-loss`);
  }

  /** Reads fail for a while of what is sound. */
  #failReads(): void {
    const random = this.#random;
    const { disk } = this.node;
    const path = READ_IN_SERVICE;
    const fault = { kind: "error", errno: EIO } as const;
    const odds = 1 + random.nextBelow(FAILED_ONE_IN);
    const reads = {
      nth: 1 + random.nextBelow(READS_BEFORE_MAX),
      count: 1 + random.nextBelow(FAILED_READS_MAX),
    };
    const opens = {
      nth: 1 + random.nextBelow(OPENS_BEFORE_MAX),
      count: 1 + random.nextBelow(FAILED_OPENS_MAX),
    };
    disk.inject({ operation: "read", path, odds, fault, ...reads });
    disk.inject({ operation: "open", path, odds, fault, ...opens });
    this.#failing = this.#book.isFickle = true;
    this.#note(`reads of ${this.node.name} fail`);
  }

  /** An operator gives the node an empty disk, as soon as the others have what was on it. */
  *#replaceDisk(): Steps<void> {
    this.#onLeave(this.node);
    if (!this.node.disk.crashed) this.node.crash();
    yield* this.#while(() => !this.#mayLose(), "a damaged disk cannot be replaced");
    this.#wipe();
  }

  get #isRotten(): boolean {
    return this.#plan.rotten === this.node.nodeId;
  }

  /** It serves, and has logs that take part in nothing. */
  get #isHurt(): boolean {
    return this.#isRotten && this.#book.any &&
      this.node.shards.some(({ shard }) =>
        [...shard.storage.logs.keys()].some((groupId) => this.#book.isCut(this.node, groupId))
      );
  }

  /** Whether it has become another member of the groups whose logs were cut, in a while, or at once. */
  *#heals(): Steps<boolean> {
    const untilMs = this.node.nowMs +
      (this.#isHurt ? this.#random.nextBelow(2) * HEALING_MS_MAX : 0);
    while (this.#isHurt && this.node.nowMs < untilMs) yield;
    return !this.#isHurt;
  }

  /** An error of the disk, after which nothing that it took is trusted: of a write, or of whatever several nodes do. */
  #failure(): FaultPlan {
    const random = this.#random;
    const fault = { kind: "error", errno: EIO } as const;
    if (!this.#isOneOfSeveral) return { operation: "write", nth: 1 + random.nextBelow(400), fault };
    const [operation, within] = FAILURES[random.nextBelow(FAILURES.length)]!;
    return { operation, nth: 1 + random.nextBelow(within), count: 1 + random.nextBelow(3), fault };
  }

  /** Starts; the power may be cut before it has. */
  *#begin(): Steps<SimNode> {
    const cutsRecovery = this.#plan.powerCuts && this.#chance(25);
    for (;;) {
      const cutAt = cutsRecovery ? this.#random.nextBelow(CUT_IN_RECOVERY) : undefined;
      if (yield* this.mount(cutAt)) return this.node;
      this.node.crash();
    }
  }

  *#stayAway(): Steps<void> {
    const until = this.node.nowMs + this.#random.nextBelow(this.#plan.downMsMax + 1);
    while (this.node.nowMs < until) yield;
  }

  /** Serves for a while, or until the disk dies. */
  *#serve(): Steps<void> {
    const parts = this.#plan.damage || this.#isRotten ? MEMORIES_PER_LIFE + 1 : 1;
    for (let part = 0; part < parts; part++) {
      if (part > 0) this.#damager.remember(this.node.disk);
      const until = this.node.nowMs + this.#lifeMs / parts;
      while (this.node.nowMs < until && !this.over) yield;
    }
  }

  get #isOneOfSeveral(): boolean {
    return this.#plan.nodes > 1;
  }

  get #lifeMs(): number {
    const { lifeMs, storms } = this.#plan;
    if (storms === true && this.#chance(STORM_PERCENT)) return this.#random.nextBelow(STORM_MS_MAX);
    return this.#isOneOfSeveral && lifeMs < Infinity ? this.#random.nextBelow(2 * lifeMs) : lifeMs;
  }

  *#while(goesOn: () => boolean, what: string): Steps<void> {
    const sinceMs = this.node.nowMs;
    while (goesOn()) {
      // Without a majority, a start waits for others.
      const lateMs = Math.max(sinceMs, this.#stage.calmSinceMs) + STEP_MS_MAX;
      if (this.node.nowMs > lateMs) throw new SimFailure("liveness", what);
      yield;
    }
  }

  /** Topics are there, and models know what damage may have taken from them. */
  #checkModels(): void {
    const node = this.node;
    const { topics, checker, cluster } = this.#stage;
    for (const { id, name, partitions, deleting } of topics) {
      // What others have changed meanwhile comes later.
      if (id === "" || deleting || this.#isOneOfSeveral) continue;
      const last = node.groupOf(id, partitions - 1);
      expect(last >= 0, () => `${name} with ${partitions} partitions is gone`);
    }
    for (const model of checker.partitions.values()) {
      model.lives++;
      model.groupId = cluster.groupOf(model.topicId, model.index);
      if (model.groupId < 0 || this.#isOneOfSeveral) continue;
      const { lossFrom, startLost } = this.#book.lossOf(model.groupId);
      model.lossFrom = lossFrom;
      model.startMayReturn = startLost;
      model.readOnly = cluster.logOf(model.groupId)?.suspect === true;
    }
  }

  #capacity(): { capacityBytes?: number } {
    const { spareBytes, journalBytes, shardsMax, fills = false } = this.#plan;
    const { capacityBytes } = this.node.diskOptions;
    if (fills && capacityBytes !== undefined) return { capacityBytes };
    if (spareBytes === null || this.#stage.draining) return {};
    return {
      capacityBytes: (shardsMax + 1) * (journalBytes + 2 ** 21) + spareBytes + this.#extraBytes,
    };
  }

  #strike(): void {
    const strike = this.#damager.strike(this.node.disk);
    if (strike === null) return;
    this.strikes++;
    this.#book.note(strike, this.node);
    for (const { path, block, kind } of strike.hits) {
      this.#note(`block ${block} of ${path} on ${this.node.name} is damaged: ${kind}`);
    }
  }

  #note(what: string): void {
    this.#stage.cluster.trace?.note("trouble", what);
  }

  #checkRemarks(): void {
    for (const remark of this.node.remarks) {
      if (this.#stage.stalls && remark.includes(RECLAIMED)) continue;
      const isWrong = remark.startsWith("Closed a connection") || remark.includes(SENSELESS);
      if (isWrong) throw new SimFailure("correctness", `${this.node.name}: ${remark}`);
    }
    this.node.remarks.length = 0;
  }

  #chance(percent: number): boolean {
    return this.#random.nextBelow(100) < percent;
  }
}

/** What another node sent, or what is in a log. */
const SENSELESS = "makes no sense";
/** Of a connection that stalled where memory was short; nuisances do, and cut links. */
const RECLAIMED = "the memory that it holds is needed";

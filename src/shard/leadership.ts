/**
 * Leadership of a shard's groups goes from node to node: because somebody asked for it, because the node stops, or
 * because the preferred leader has returned, or was too late for the first election of a new group.
 *
 * ```
 * TRANSFER  := group:uint32 target:uint32 waitMs:uint32     a call of the API {@linkcode TRANSFER_API} to the leader
 * response  := outcome:uint8 ({@linkcode Moved})             both little-endian
 * ```
 *
 * @module
 */

import { LogLevel } from "../base/logger.ts";
import { NodeState, type PartitionImage } from "../cluster/image.ts";
import { all, runTask, type Task, until } from "../io/task.ts";
import { Timer } from "../io/timers.ts";
import type { Partition } from "../kafka/partition.ts";
import { reachableLeader } from "../kafka/topic_views.ts";
import { ErrorCode } from "../wire/errors.ts";
import { misplacedLeaders } from "./leader_balance.ts";
import type { NodeRequest } from "./node_calls.ts";
import type { Shard } from "./shard.ts";

/** No API of Kafka's has this key. */
export const TRANSFER_API = -4;
const TRANSFER_SIZE = 12;

/** What became of a transfer. */
export const Moved = {
  /** The node that was named leads. */
  DONE: 0,
  /** Who was asked does not lead. */
  NOT_LEADER: 1,
  /** The node that was named does not keep up, or is no voter. */
  UNFIT: 2,
  /** It did not come about in time. */
  LATE: 3,
} as const;
export type Moved = typeof Moved[keyof typeof Moved];

/** How often the progress of a transfer is looked at (ms). */
const LOOK_MS = 2;
/** Until a leader that was not to be found is looked for again (ms). */
const RETRY_MS = 50;
/** One transfer takes at most this long (ms). */
const TRANSFER_MS = 1_500;
/** A stop hands leadership over for so long at most (ms), and at most for a quarter of `shutdown.timeout.ms`. */
const HAND_OVER_MS = 3_000;
/** Groups that are handed over at once. */
const HANDED_OVER_AT_ONCE = 64;
/** Behind that, clients are told for so long who leads, before their connections end (ms). */
const REDIRECT_MS = 150;
/** A new group that another node than the preferred one leads is looked after so soon (ms), and at most so often. */
const NEW_LOOK_MS = 1_000;
const NEW_LOOKS_MAX = 10;
/** Between two transfers to preferred leaders (ms): the elections of many groups are spread out. */
const BALANCE_PAUSE_MS = 20;

const ANY_NODE = (): boolean => true;

export class ShardLeadership {
  readonly #shard: Shard;
  readonly #balance = new Timer(() => this.#balanceLeaders());
  /** New groups that this node leads though another one should, and how often they are still looked after. */
  readonly #strays = new Map<number, number>();
  readonly #look = new Timer(() => this.#leadHomeStrays());
  #isLeaving = false;

  constructor(shard: Shard) {
    this.#shard = shard;
    this.#scheduleBalance();
  }

  /**
   * Has `target` lead a partition whose group belongs to this shard, wherever it is led now.
   *
   * @returns NONE when it does; PREFERRED_LEADER_NOT_AVAILABLE where it cannot; REQUEST_TIMED_OUT
   */
  *moveTo(image: PartitionImage, target: number, waitMs: number): Task<ErrorCode> {
    const { leaders } = this.#shard;
    const untilMs = this.#nowMs + waitMs;
    for (;;) {
      const moved = yield* this.#move(image, target, untilMs);
      if (moved === Moved.UNFIT) return ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE;
      // Clients that ask this node next are told of the new leader.
      while (moved === Moved.DONE && this.#nowMs < untilMs) {
        if (leaders.leaderOf(image) === target) return ErrorCode.NONE;
        yield* this.#pause(LOOK_MS);
      }
      if (this.#nowMs >= untilMs) return ErrorCode.REQUEST_TIMED_OUT;
      yield* this.#pause(RETRY_MS);
    }
  }

  /** This node leads a group. Where nobody led it before, its preferred leader may only have been a little late. */
  noteLeading({ image: { groupId, replicas }, log, replica }: Partition): void {
    const isNew = log.startIndex === 0 && log.termAt(1) === replica.term;
    if (!isNew || replicas[0] === this.#shard.options.nodeId || !this.#isBalancing) return;
    this.#strays.set(groupId, NEW_LOOKS_MAX);
    this.#lookLater();
  }

  #lookLater(): void {
    if (this.#isLeaving || this.#strays.size === 0 || this.#look.scheduled) return;
    this.#shard.options.timers.schedule(this.#look, this.#nowMs + NEW_LOOK_MS);
  }

  #leadHomeStrays(): void {
    const strays = this.#misplaced().filter(({ groupId }) => this.#strays.has(groupId));
    for (const [groupId, looks] of this.#strays) {
      if (looks > 1) this.#strays.set(groupId, looks - 1);
      else this.#strays.delete(groupId);
    }
    runTask(this.#toPreferred(strays), () => this.#lookLater());
  }

  /** Serves a TRANSFER of another node. */
  serve({ body }: NodeRequest, done: (response: Uint8Array | null) => void): void {
    if (body.length !== TRANSFER_SIZE) return done(null);
    const view = new DataView(body.buffer, body.byteOffset, body.length);
    const groupId = view.getUint32(0, true);
    const waitMs = Math.min(TRANSFER_MS, view.getUint32(8, true));
    const partition = this.#shard.partitions.byGroup(groupId);
    const moving = this.#moveHere(partition, view.getUint32(4, true), this.#nowMs + waitMs);
    runTask(moving, (moved) => done(Uint8Array.of(moved)));
  }

  /** A node in maintenance leads nothing that another one can lead. Returns whether it has to try again. */
  spares(groupId: number): boolean {
    const { options: { nodeId }, image, replication } = this.#shard;
    const replica = replication.replicaOf(groupId);
    if (replica === undefined || !isSpared(image, nodeId) || replica.voterCount === 1) return false;
    const successor = replica.successor((node) => image.stateOf(node) === NodeState.ACTIVE);
    if (successor >= 0) replica.transfer(successor);
    return true;
  }

  /** The node stops: others lead its groups before it does not answer any more. */
  *handOver(): Task<void> {
    this.#isLeaving = true;
    const { options: { timers, logger }, settings } = this.#shard;
    timers.cancel(this.#balance);
    timers.cancel(this.#look);
    const begunMs = this.#nowMs;
    const waitMs = Math.min(HAND_OVER_MS, settings.number("shutdown.timeout.ms") / 4);
    const untilMs = begunMs + waitMs;
    const groups = this.#movable.length;
    if (groups === 0) return;
    for (let led = this.#movable; led.length > 0 && this.#nowMs < untilMs; led = this.#movable) {
      yield* all(led.map((one) => this.#handOne(one, untilMs)), HANDED_OVER_AT_ONCE);
      yield* this.#pause(LOOK_MS);
    }
    const tookMs = Math.round(this.#nowMs - begunMs);
    const left = this.#movable.length;
    logger.log(left === 0 ? LogLevel.INFO : LogLevel.WARN, "Handed leadership over", {
      groups,
      left,
      tookMs,
    });
    yield* this.#pause(REDIRECT_MS);
  }

  /** Led here, and somebody else could. */
  get #movable(): Partition[] {
    return [...this.#shard.partitions.all()].filter(({ leading, replica }) =>
      leading && replica.successor(ANY_NODE) >= 0
    );
  }

  *#handOne(partition: Partition, untilMs: number): Task<void> {
    const successor = partition.replica.successor(ANY_NODE);
    if (successor >= 0) yield* this.#moveHere(partition, successor, untilMs);
  }

  *#move(image: PartitionImage, target: number, untilMs: number): Task<Moved> {
    const { nodeId, peers, partitions, leaders, live } = this.#shardParts;
    const leader = reachableLeader({ nodeId, leaders, live }, image);
    if (leader === target) return Moved.DONE;
    if (leader === nodeId) {
      return yield* this.#moveHere(partitions.byGroup(image.groupId), target, untilMs);
    }
    const { links } = peers.nodeLinks;
    const shardCount = leader < 0 ? 0 : links.shardCountOf(leader);
    if (leader >= 0 && shardCount === 0) links.contact(leader);
    if (shardCount === 0) return Moved.NOT_LEADER;
    const waitMs = Math.max(1, Math.round(untilMs - this.#nowMs));
    const request = {
      apiKey: TRANSFER_API,
      version: 0,
      caller: { clientId: null, clientHost: "" },
      body: encodeTransfer(image.groupId, target, waitMs),
    };
    const shard = image.groupId % shardCount;
    const response = yield* peers.calls.call(leader, shard, request, waitMs);
    const moved = response?.[0] ?? Moved.NOT_LEADER;
    return moved <= Moved.LATE ? moved as Moved : Moved.LATE;
  }

  *#moveHere(partition: Partition | undefined, target: number, byMs: number): Task<Moved> {
    if (partition?.leading !== true) return Moved.NOT_LEADER;
    const { replica } = partition;
    if (target === this.#shard.options.nodeId) return Moved.DONE;
    if (replica.inSyncOffset(target) < 0 || replica.transfer(target) < 0) return Moved.UNFIT;
    const untilMs = Math.min(byMs, this.#nowMs + TRANSFER_MS);
    while (replica.transferring && this.#nowMs < untilMs) yield* this.#pause(LOOK_MS);
    if (partition.leading) return Moved.LATE;
    while (replica.leaderId < 0 && this.#nowMs < untilMs) yield* this.#pause(LOOK_MS);
    return replica.leaderId === target ? Moved.DONE : Moved.LATE;
  }

  #scheduleBalance(): void {
    const { options: { timers, random }, settings } = this.#shard;
    if (!this.#isBalancing) return;
    const intervalMs = 1000 * settings.number("leader.imbalance.check.interval.seconds");
    // Not every shard of every node at the same time.
    timers.schedule(this.#balance, this.#nowMs + intervalMs * (0.9 + random.nextBelow(200) / 1000));
  }

  get #isBalancing(): boolean {
    return this.#shard.settings.boolean("auto.leader.rebalance.enable");
  }

  #balanceLeaders(): void {
    runTask(this.#toPreferred(this.#misplaced()), () => {
      if (!this.#isLeaving) this.#scheduleBalance();
    });
  }

  /** What this shard leads, and another node should, which could. */
  #misplaced(): PartitionImage[] {
    const { nodeId, image, leaders, live, partitions } = this.#shardParts;
    return misplacedLeaders(image, leaders, nodeId)
      .filter(({ groupId }) => partitions.byGroup(groupId) !== undefined)
      .filter(({ replicas }) => live.isAlive(replicas[0]!) && !isSpared(image, replicas[0]!));
  }

  *#toPreferred(misplaced: readonly PartitionImage[]): Task<void> {
    const { events, partitions } = this.#shard;
    let moved = 0;
    for (const { groupId, replicas } of misplaced) {
      if (this.#isLeaving) return;
      const partition = partitions.byGroup(groupId);
      const outcome = yield* this.#moveHere(partition, replicas[0]!, this.#nowMs + TRANSFER_MS);
      if (outcome === Moved.DONE) moved++;
      yield* this.#pause(BALANCE_PAUSE_MS);
    }
    if (moved > 0) events.note("Preferred leaders lead again", { groups: moved });
  }

  get #shardParts() {
    const { options: { nodeId }, image, leaders, live, partitions, peers } = this.#shard;
    return { nodeId, image, leaders, live, partitions, peers };
  }

  get #nowMs(): number {
    return this.#shard.options.nowMs();
  }

  *#pause(ms: number): Task<void> {
    const { timers, nowMs } = this.#shard.options;
    yield* until<void>((done) => timers.schedule(new Timer(done), nowMs() + ms));
  }
}

/** A node in maintenance leads nothing. */
function isSpared(image: Shard["image"], nodeId: number): boolean {
  return image.stateOf(nodeId) === NodeState.MAINTENANCE;
}

function encodeTransfer(groupId: number, target: number, waitMs: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(TRANSFER_SIZE));
  view.setUint32(0, groupId, true);
  view.setUint32(4, target, true);
  view.setUint32(8, waitMs, true);
  return new Uint8Array(view.buffer);
}

/**
 * A whole node in one thread: every shard as in production, on a simulated disk, sockets, and clock.
 *
 * One seed decides everything: the order of completions, where bytes are cut, what a power cut leaves.
 * A node lives from {@linkcode SimNode.mount} to {@linkcode SimNode.crash}; the next life has its own
 * memory, so that nothing of the last one can act on it.
 *
 * @module
 */

import { hostPort } from "../../src/base/address.ts";
import { assert } from "../../src/base/assert.ts";
import { type Logger, LogLevel } from "../../src/base/logger.ts";
import { type Random, Xoshiro128 } from "../../src/base/prng.ts";
import { Settings } from "../../src/base/settings.ts";
import { Arena } from "../../src/bytes/arena.ts";
import { softwareCrc32c } from "../../src/bytes/crc32c.ts";
import { type Memory, wrapMemory } from "../../src/bytes/memory.ts";
import type { RpcAddress } from "../../src/cluster/founding.ts";
import { newUuid } from "../../src/cluster/ids.ts";
import type { NamedLife } from "../../src/cluster/lives.ts";
import { OWN_VERSIONS, type VersionRange } from "../../src/cluster/logical_version.ts";
import type { Disk } from "../../src/io/disk.ts";
import { MemoryDisk, type MemoryDiskOptions } from "../../src/io/memory_disk.ts";
import { PatientDisk } from "../../src/io/patient_disk.ts";
import { runTask, type Task } from "../../src/io/task.ts";
import { Timer, type Timers } from "../../src/io/timers.ts";
import type { SnapshotPolicy } from "../../src/kafka/applied_log.ts";
import type { MakeReplica } from "../../src/replication/replica.ts";
import { Mailboxes, mailboxesSize } from "../../src/shard/mailbox.ts";
import type { Peering } from "../../src/shard/node_links.ts";
import { Shard } from "../../src/shard/shard.ts";
import { ShardSteps } from "../../src/shard/shard_steps.ts";
import {
  type Recovered,
  startNode,
  type StartSteps,
  stopNode,
  type VerifiedNode,
} from "../../src/shard/start_sequence.ts";
import type { Manifest } from "../../src/storage/manifest.ts";
import type { PartitionLog } from "../../src/storage/partition_log.ts";
import type { RecoveryReport } from "../../src/storage/recovery.ts";
import type { Damage, ShardStorage, StorageContext } from "../../src/storage/shard_storage.ts";
import { ShardPace } from "./shard_pace.ts";
import { readToEnd } from "./read_to_end.ts";
import { ClientEnd, MemoryDescriptors } from "./memory_sockets.ts";
import { ShimParts } from "./shim_parts.ts";
import { SimShard } from "./sim_shard.ts";
import { newWorld, RPC_PORT, simRpcAddress, type SimWorld, STEP_MS } from "./sim_world.ts";

/** Lives are short: after a few records the next snapshot is due. */
const SNAPSHOTS: SnapshotPolicy = { bytesMin: 300, intervalMs: 5, restMs: 30 };
/** Turns of every shard after something has come, and those that it sleeps at most. */
const RESTLESS_TURNS = 4;
const SLEEPS_MAX = 16;
const WALL_START_MS = 1_700_000_000_000;

/** Loaded once: that takes longer than many a simulation. */

export interface SimNodeOptions {
  readonly seed: number;
  readonly settings?: Readonly<Record<string, string>>;
  readonly disk?: Partial<MemoryDiskOptions>;
  /** Per shard (bytes). */
  readonly arenaBytes?: number;
  /** Per shard, and what it is recycled in (bytes). */
  readonly journalBytes?: number;
  readonly extentBytes?: number;
  /** When states are written as snapshots; all the time when absent. */
  readonly snapshots?: SnapshotPolicy;
  readonly nodeId?: number;
  /** What it shares with the other nodes of its cluster; a world of its own when absent. */
  readonly world?: SimWorld;
  /** How far its wall clock is ahead (ms). */
  readonly wallSkewMs?: number;
  /** Makes the replicas of all groups; groups of one when absent. */
  readonly makeReplica?: MakeReplica;
  /** Told of every shard that it makes, before that opens anything. */
  readonly onShard?: (node: SimNode, shard: Shard) => void;
  /** Shards miss turns, and take them in any order; in step when absent. */
  readonly outOfStep?: boolean;
  /** Where the first nodes of its cluster listen for each other; absent: it knows of no other nodes. */
  readonly seeds?: readonly RpcAddress[];
}

export class SimNode {
  readonly #options: SimNodeOptions;
  readonly #world: SimWorld;
  readonly nodeId: number;
  /** As the network and the trace call it. */
  readonly name: string;
  readonly host: string;
  readonly port = 9092;
  /** Clients may connect. */
  #accepting = false;
  /** Of the next life's disk, and of the program that it runs. */
  diskOptions: Partial<MemoryDiskOptions>;
  versions: VersionRange = OWN_VERSIONS;
  /** Why the last recovery refused to go on; null when it did not. */
  refusal: string | null = null;
  readonly random: Random;
  #memory: Memory;
  /** As the flags `--seeds` and `--recover-metadata`, for the next start. */
  seeds: readonly RpcAddress[] | undefined;
  recoversMetadata: readonly NamedLife[] = [];
  readonly #shimParts: ShimParts;
  #bulk: MemoryDisk | null = null;
  /** Null: every shard takes a turn in each step. */
  #shardPace: ShardPace | null = null;
  shards: readonly SimShard[] = [];
  report: RecoveryReport | null = null;
  /** A disk error ended the last life: the next one reads everything back before it serves. */
  distrustsDisk = false;
  readonly damages: Damage[] = [];
  readonly fatals: string[] = [];
  readonly remarks: string[] = []; // Log lines of level WARN and ERROR.
  readonly #logger: Logger = {
    log: (level, message, fields = {}) => {
      this.#world.trace?.note(this.name, `${message} ${JSON.stringify(fields)}`);
      if (level >= LogLevel.WARN) this.remarks.push(`${message} ${JSON.stringify(fields)}`);
    },
  };
  #starting = false;
  /** Of this life's process, and of a new data directory. */
  #process = 0;
  #incarnation = "";
  #stopping = false;
  /** An orderly stop of this life has ended. */
  #stopped = false;
  #wallOffsetMs: number;
  /** Turns that follow something that has come; negative: it sleeps. */
  #restless = 0;
  /** Its disk carries out nothing until then, and its process does nothing (virtual ms). */
  frozenUntilMs = 0;
  pausedUntilMs = 0;

  constructor(options: SimNodeOptions) {
    this.#options = options;
    this.#world = options.world ?? newWorld(options.seed);
    this.nodeId = options.nodeId ?? 0;
    this.name = `node-${this.nodeId}`;
    this.host = simRpcAddress(this.nodeId).host;
    this.#wallOffsetMs = WALL_START_MS + (options.wallSkewMs ?? 0);
    this.diskOptions = options.disk ?? {};
    this.seeds = options.seeds;
    this.random = new Xoshiro128(options.seed);
    this.#memory = wrapMemory(new ArrayBuffer(0));
    this.#shimParts = new ShimParts(options.arenaBytes ?? 0);
  }

  /** Of this life. */
  get memory(): Memory {
    return this.#memory;
  }

  get nowMs(): number {
    return this.#world.nowMs;
  }

  set nowMs(nowMs: number) {
    this.#world.nowMs = nowMs;
  }

  /** Where its clients connect. */
  get address(): string {
    return hostPort(this.host, this.port);
  }

  get disk(): MemoryDisk {
    assert(this.#bulk !== null, "the node was never mounted");
    return this.#bulk;
  }

  /** Begins and finishes a start; false when the disk crashed on the way, or when it refused ({@linkcode refusal}). */
  mount(
    shardCount: number,
    armed: (disk: MemoryDisk) => void = () => {},
    acceptLoss = false,
  ): boolean {
    this.begin(shardCount, armed, acceptLoss);
    assert(this.run(() => !this.starting) || this.disk.crashed, "a start does not end");
    return this.serving;
  }

  /** Its start goes on, with each step. */
  get starting(): boolean {
    return this.#starting && !this.disk.crashed && this.fatals.length === 0;
  }

  /** Started, and not stopped or crashed since. */
  get serving(): boolean {
    const isOver = this.refusal !== null || this.disk.crashed || this.fatals.length > 0;
    return !this.#starting && !this.#stopped && this.shards.length > 0 && !isOver;
  }

  /**
   * Begins to start with `shardCount` shards, over what the last life left on the disk.
   *
   * @param armed given the new disk before its first operation, to plan faults
   * @param acceptLoss as the flag `--accept-loss`: logs that are suspect may be written again
   */
  begin(
    shardCount: number,
    armed: (disk: MemoryDisk) => void = () => {},
    acceptLoss = false,
  ): void {
    const arenaBytes = this.#options.arenaBytes ?? 16 * 2 ** 20;
    const mailboxes = mailboxesSize(shardCount);
    this.#memory = wrapMemory(new ArrayBuffer(mailboxes + shardCount * arenaBytes));
    this.#bulk = this.#bulk === null
      ? new MemoryDisk({ memory: this.#memory, random: this.random, ...this.diskOptions })
      : this.#bulk.restart({ memory: this.#memory, random: this.random, ...this.diskOptions });
    armed(this.#bulk);
    const settings = this.#settings();
    const requestMax = new Settings(settings).number("socket.request.max.bytes");
    const descriptors = new MemoryDescriptors();
    this.#process = this.random.nextUint32();
    this.#shardPace = this.#options.outOfStep === true
      ? new ShardPace(this.#process, shardCount)
      : null;
    this.#incarnation = newUuid(this.random);
    this.shards = Array.from({ length: shardCount }, (_, index) => {
      const arena = new Arena(mailboxes + index * arenaBytes, arenaBytes);
      const shard = new SimShard(index, arena, requestMax, this.#memory, this.random, descriptors);
      this.#world.network.place(shard.sockets, this.name);
      return shard;
    });
    for (const each of this.shards) this.#equip(each, settings, acceptLoss);
    this.report = null;
    this.refusal = null;
    this.#starting = true;
    const order = {
      node: { host: this.host, port: this.port, rack: this.name, rpc: this.#rpcAddress },
      verify: false,
      logger: this.#logger,
      nowMs: () => this.nowMs,
    };
    runTask(startNode(order, this.#steps()), (outcome) => {
      this.#starting = false;
      if (outcome.refused !== null) this.refusal = `${outcome.refused}: ${outcome.reason}`;
      this.#world.trace?.note(this.name, this.refusal ?? `serves with ${shardCount} shards`);
      if (this.serving) this.#accept();
    });
  }

  /** The steps as calls. */
  #steps(): StartSteps {
    const first = this.shards[0]!.steps;
    return {
      shardCount: this.shards.length,
      recover: () => this.#recovered(first.recover()),
      verify: (manifest) => this.#verified(first.verify(manifest)),
      open: (shard, manifest, damages) => this.shards[shard]!.steps.open(manifest, damages),
      listen: () => this.#listen(),
      join: (manifest, node, firstFreeGroupId) => first.join(manifest, node, firstFreeGroupId),
      lead: (node, firstFreeGroupId) => first.lead(node, firstFreeGroupId),
      serve: (shard, ballastBytes) => this.shards[shard]!.steps.serve(ballastBytes),
    };
  }

  /** Where other nodes find it; null: nowhere. */
  get #rpcAddress(): RpcAddress | null {
    return this.seeds === undefined ? null : { host: this.host, port: RPC_PORT };
  }

  #listen(): void {
    if (this.#rpcAddress === null) return;
    const { shard, sockets } = this.shards[0]!;
    this.#world.network.listen(this.host, RPC_PORT, sockets, (socket) => {
      shard.peers.nodeLinks.greet(socket, "10.0.0.1:1");
    });
  }

  /** The mark of a disk error is this object's {@linkcode distrustsDisk}. */
  *#recovered(recovering: Task<Recovered>): Task<Recovered> {
    const { report } = yield* recovering;
    this.report = report;
    return { report, diskError: this.distrustsDisk ? "in the last life" : null };
  }

  *#verified(verifying: Task<VerifiedNode>): Task<VerifiedNode> {
    const answer = yield* verifying;
    if (typeof answer.verified !== "number") this.distrustsDisk = false;
    return answer;
  }

  /** Takes over a disk that has crashed; the next mount is on what is left on it. */
  adopt(disk: MemoryDisk): void {
    assert(disk.crashed, "a disk that somebody uses");
    this.#bulk = disk;
    this.shards = [];
  }

  /** A new client connection to a shard, which nothing delays or cuts. */
  connect(shardIndex: number): ClientEnd {
    const client = new ClientEnd();
    this.#adopt(shardIndex, client);
    return client;
  }

  #accept(): void {
    this.#accepting = true;
    this.#world.network.accept(this.name, this.address, (client) => {
      this.#adopt(this.random.nextBelow(this.shards.length), client);
    });
  }

  #adopt(shardIndex: number, client: ClientEnd): void {
    const { shard, sockets } = this.shards[shardIndex]!;
    const { socket } = sockets.addClient(client);
    shard.server.adopt(socket, "127.0.0.1:1");
  }

  /** One step of everything: some disk and socket operations, a turn of every shard. */
  step(): void {
    this.#world.nowMs += STEP_MS;
    this.#world.network.step(this.nowMs);
    this.turn();
  }

  /** This node's part of a step. */
  turn(): void {
    if (this.#bulk === null || this.disk.crashed || this.nowMs < this.pausedUntilMs) return;
    const { pace } = this.#world;
    const { operations } = this.disk;
    if (this.nowMs >= this.frozenUntilMs) this.#turnDisk(pace);
    if (pace > 1 && this.#sleeps(pace, this.disk.operations !== operations)) return;
    for (const index of this.#shardPace?.next() ?? this.shards.keys()) {
      if (this.disk.crashed) return;
      const each = this.shards[index]!;
      if (pace === 1) { for (let i = 0; i < 4 && each.sockets.step(); i++); }
      this.#turnShard(each);
    }
  }

  #turnShard({ steps, timers }: SimShard): void {
    steps.shard?.drainMessages();
    timers.run(this.nowMs);
    steps.shard?.endTurn(this.nowMs);
    const logs = steps.shard?.storage.logs.values() ?? [];
    for (const log of logs) (log as PartitionLog).invariants();
  }

  /** In large steps a node sleeps, as in production, when nothing has come; what it has begun it follows up. */
  #sleeps(pace: number, isDiskActive: boolean): boolean {
    let isActive = isDiskActive;
    for (const { timers, sockets } of this.shards) {
      if (this.disk.crashed) return true;
      for (let i = 0; i < 4 * pace && sockets.step(); i++) isActive = true;
      isActive ||= timers.nextDeadlineMs() <= this.nowMs;
    }
    if (isActive) this.#restless = RESTLESS_TURNS;
    return --this.#restless < 0 && this.#restless % SLEEPS_MAX !== 0;
  }

  #turnDisk(pace: number): void {
    if (this.diskOptions.latencyMs !== undefined) return this.disk.advance(this.nowMs);
    for (let i = 0; i < pace && this.disk.step(); i++);
  }

  /** Its wall clock jumps. */
  jumpWall(ms: number): void {
    this.#wallOffsetMs += ms;
  }

  /** Steps until `done`; false when the disk crashed or it never came. */
  run(done: () => boolean, stepsMax = 200_000): boolean {
    for (let i = 0; i < stepsMax; i++) {
      if (done()) return true;
      if (this.disk.crashed) return false;
      this.step();
    }
    return done();
  }

  /** Lets time pass without waiting for anything. */
  pass(ms: number): void {
    const until = this.nowMs + ms;
    while (this.nowMs < until && !this.disk.crashed) this.step();
  }

  /** Moves time on without a step: what is due in between happens late, as on a machine that slept. */
  jump(ms: number): void {
    this.nowMs += ms;
  }

  /** Power cut: what was not durable may be gone; the node has to be mounted again. */
  crash(): void {
    if (!this.disk.crashed) this.disk.crash();
    this.#starting = false;
    this.#stopping = false;
    this.#stopped = false;
    this.#refuse();
    this.#world.network.die(this.name);
    this.#world.trace?.note(this.name, "is gone");
    this.#shimParts.close();
    this.shards = [];
  }

  /** The node that has crashed gets an empty disk. */
  wipe(): void {
    assert(this.disk.crashed, "a disk that somebody uses");
    this.#bulk = new MemoryDisk({ memory: this.#memory, random: this.random, ...this.diskOptions });
    this.#bulk.crash();
    this.shards = [];
    this.#world.trace?.note(this.name, "has an empty disk");
  }

  /** A group's log, on whichever shard it is. */
  logOf(groupId: number): PartitionLog | undefined {
    return this.#ownerOf(groupId)?.storage.logs.get(groupId) as PartitionLog | undefined;
  }

  /** Whether this node leads a group. */
  leads(groupId: number): boolean {
    return this.#ownerOf(groupId)?.partitions.byGroup(groupId)?.leading === true;
  }

  /** The group of a topic's partition, or -1. */
  groupOf(topicId: string, index: number): number {
    return this.shards[0]?.steps.shard?.image.topicById(topicId)?.partitions[index]?.groupId ?? -1;
  }

  #ownerOf(groupId: number): Shard | null {
    return this.shards[groupId % this.shards.length]?.steps.shard ?? null;
  }

  /** Orderly stop of every shard. */
  stop(): boolean {
    this.beginStop();
    return this.run(() => !this.stopping);
  }

  /** Begins an orderly stop; no client can connect any more. */
  beginStop(): void {
    this.#refuse();
    this.#stopping = true;
    this.#world.trace?.note(this.name, "stops");
    const stopping = stopNode({
      shardCount: this.shards.length,
      drain: (shard) => this.shards[shard]!.steps.drain(),
      stop: (shard) => this.shards[shard]!.steps.stop(),
    });
    runTask(stopping, () => {
      this.#stopping = false;
      this.#stopped = true;
    });
  }

  /** Its stop goes on, with each step. */
  get stopping(): boolean {
    return this.#stopping;
  }

  /** Clients find it. */
  get accepting(): boolean {
    return this.#accepting && this.serving;
  }

  #refuse(): void {
    this.#accepting = false;
    this.#world.network.refuse(this.address);
  }

  /** Reads every log from start to end, as a consumer that goes on would; the places where that fails. */
  unreadable(): string[] {
    const found: string[] = [];
    this.#runOnAll(function* (shard) {
      for (const log of shard.storage.logs.values()) {
        const at = yield* readToEnd(log);
        if (at >= 0) found.push(`${log.directory} at ${at}`);
      }
    });
    return found;
  }

  #runOnAll(task: (shard: Shard) => Task<void>): boolean {
    let ended = 0;
    for (const { shard } of this.shards) runTask(task(shard), () => ended++);
    return this.run(() => ended === this.shards.length);
  }

  /** Builds what a shard's thread has in production. */
  #equip(each: SimShard, settings: ReadonlyMap<string, string>, acceptLoss: boolean): void {
    const context: StorageContext = {
      disk: this.#patientDisk(each.timers),
      memory: this.#memory,
      arena: each.arena,
      crc32c: softwareCrc32c(this.#memory),
      onFatal: (errno, message) => this.fatals.push(`${errno} ${message}`),
      onDamage: (damage) => this.damages.push(damage),
    };
    each.steps = new ShardSteps({
      onWaiting: () => {},
      onExpelled: (reason) => this.fatals.push(reason),
      shard: each.index,
      shardCount: this.shards.length,
      nodeId: this.nodeId,
      rpcAddress: { host: this.host, port: RPC_PORT },
      seeds: this.seeds ?? [],
      acceptLoss,
      recoversMetadata: this.recoversMetadata,
      extentBytes: this.#options.extentBytes ?? 256 * 1024,
      journalBytes: this.#options.journalBytes ?? 1024 * 1024,
      context,
      make: (storage, manifest) => this.#make(each, settings, context, storage, manifest),
      onVerifiedDamage: () => {},
      onProgress: () => {},
    });
  }

  #patientDisk(timers: Timers): Disk {
    return new PatientDisk(this.disk, {
      later: (delayMs, again) => timers.schedule(new Timer(again), this.nowMs + delayMs),
      nowMs: () => this.nowMs,
      onHiccup: ({ reason, ...fields }) => this.#logger.log(LogLevel.WARN, reason, { ...fields }),
      onOver: () => {},
    });
  }

  #make(
    { index, timers, blocks, sockets }: SimShard,
    settings: ReadonlyMap<string, string>,
    context: StorageContext,
    storage: ShardStorage,
    manifest: Manifest,
  ): Shard {
    const { makeReplica } = this.#options;
    const shard = new Shard({
      nodeId: this.nodeId,
      versions: this.versions,
      settings,
      dataDir: "/sim",
      memory: this.#memory,
      blocks,
      mailboxes: new Mailboxes(this.#memory, 0, index, this.shards.length),
      disk: context.disk,
      sockets,
      clock: {
        monotonicMs: () => this.nowMs,
        wallMs: () => Math.floor(this.#wallOffsetMs + this.nowMs),
      },
      timers,
      random: this.random,
      crc32c: context.crc32c,
      regexes: this.#shimParts.regexes,
      openWalk: () => this.#shimParts.walk(this.#memory.bytes),
      openCompactor: () => this.#shimParts.compactor(this.#memory.bytes),
      logger: this.#logger,
      nowMs: () => this.nowMs,
      peerOf: () => "127.0.0.1:1",
      snapshots: this.#options.snapshots ?? SNAPSHOTS,
      wake: () => {},
      ...(makeReplica === undefined ? {} : { makeReplica }),
      ...(this.seeds === undefined ? {} : { peering: this.#peering(timers, manifest) }),
    }, storage);
    this.#options.onShard?.(this, shard);
    return shard;
  }

  #peering(timers: Timers, { incarnation }: Manifest): Peering {
    return {
      incarnation: incarnation === "" ? this.#incarnation : incarnation,
      process: this.#process,
      incomingMax: 64,
      resolve: (host, done) => timers.schedule(new Timer(() => done(host)), this.nowMs),
    };
  }

  #settings(): ReadonlyMap<string, string> {
    return new Map(Object.entries({
      "group.initial.rebalance.delay.ms": "0",
      "offsets.topic.num.partitions": "3",
      ...this.#options.settings,
    }));
  }
}

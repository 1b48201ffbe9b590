/**
 * A whole node in one thread: every shard as in production, on a simulated disk, sockets, and clock.
 *
 * One seed decides everything: the order of completions, where bytes are cut, what a power cut leaves.
 * A node lives from {@linkcode SimNode.mount} to {@linkcode SimNode.crash}; the next life has its own
 * memory, so that nothing of the last one can act on it.
 *
 * @module
 */

import { assert } from "../../src/base/assert.ts";
import { RECEIVE_BUFFER_SIZE } from "../../src/base/limits.ts";
import { type LogFields, LogLevel } from "../../src/base/logger.ts";
import { type Random, Xoshiro128 } from "../../src/base/prng.ts";
import { Settings } from "../../src/base/settings.ts";
import { Arena } from "../../src/bytes/arena.ts";
import { softwareCrc32c } from "../../src/bytes/crc32c.ts";
import { type Memory, wrapMemory } from "../../src/bytes/memory.ts";
import type { Disk } from "../../src/io/disk.ts";
import { MemoryDisk, type MemoryDiskOptions } from "../../src/io/memory_disk.ts";
import { PatientDisk } from "../../src/io/patient_disk.ts";
import { runTask, type Task, until } from "../../src/io/task.ts";
import type { RecordWalk } from "../../src/io/record_walk.ts";
import { loadShim } from "../../src/io/shim.ts";
import { openBufferWalk, type ShimWalk } from "../../src/io/shim_walk.ts";
import { Timer, Timers } from "../../src/io/timers.ts";
import type { SnapshotPolicy } from "../../src/kafka/applied_log.ts";
import type { MakeReplica } from "../../src/replication/replica.ts";
import { Mailboxes, mailboxesSize } from "../../src/shard/mailbox.ts";
import type { AdvertisedNode } from "../../src/shard/control.ts";
import { type LeadRefusal, Shard } from "../../src/shard/shard.ts";
import { CONTROLLER_GROUP_ID } from "../../src/shard/metadata_partition.ts";
import { ShardMemory } from "../../src/shard/shard_memory.ts";
import { verifyNode } from "../../src/storage/disk_error_mark.ts";
import type { Log } from "../../src/storage/log.ts";
import { LogRead } from "../../src/storage/log_read.ts";
import type { PartitionLog } from "../../src/storage/partition_log.ts";
import { openShard } from "../../src/storage/open_shard.ts";
import { recoverNode, type RecoveryReport } from "../../src/storage/recovery.ts";
import type { Damage, StorageContext } from "../../src/storage/shard_storage.ts";
import { type ClientEnd, MemorySockets } from "./memory_sockets.ts";

const RECEIVE_BUFFERS = 16;
/** Read at once by {@linkcode SimNode.unreadable} (bytes). */
const READ_BYTES = 100_000;
/** Lives are short: after a few records the next snapshot is due. */
const SNAPSHOTS: SnapshotPolicy = { bytesMin: 300, intervalMs: 5, restMs: 30 };
const WALL_START_MS = 1_700_000_000_000;

/** Loaded once: that takes longer than many a simulation. */
const SHIM = loadShim();

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
  /** Makes the replicas of all groups; groups of one when absent. */
  readonly makeReplica?: MakeReplica;
}

interface SimShard {
  readonly shard: Shard;
  readonly timers: Timers;
  readonly sockets: MemorySockets;
  readonly blocks: ShardMemory;
}

export class SimNode {
  readonly #options: SimNodeOptions;
  /** Of the next life's disk. */
  diskOptions: Partial<MemoryDiskOptions>;
  /** Why the last recovery refused to go on; null when it did not. */
  refusal: string | null = null;
  readonly random: Random;
  #memory: Memory;
  readonly #walks: ShimWalk[] = [];
  #bulk: MemoryDisk | null = null;
  /** Of operations on the disk that are to be tried again. */
  #diskTimers = new Timers();
  shards: SimShard[] = [];
  report: RecoveryReport | null = null;
  /** A disk error ended the last life: the next one reads everything back before it serves. */
  distrustsDisk = false;
  readonly damages: Damage[] = [];
  readonly fatals: string[] = [];
  /** Log lines of level WARN and ERROR. */
  readonly remarks: string[] = [];
  nowMs = 1000;
  #wallOffsetMs = WALL_START_MS;

  constructor(options: SimNodeOptions) {
    this.#options = options;
    this.diskOptions = options.disk ?? {};
    this.random = new Xoshiro128(options.seed);
    this.#memory = wrapMemory(new ArrayBuffer(0));
  }

  get disk(): MemoryDisk {
    assert(this.#bulk !== null, "the node was never mounted");
    return this.#bulk;
  }

  /**
   * Recovers the disk and opens `shardCount` shards; false when the disk crashed on the way, or when
   * recovery refused ({@linkcode refusal}).
   *
   * @param armed given the new disk before its first operation, to plan faults
   * @param acceptLoss as the flag `--accept-loss`: logs that are suspect may be written again
   */
  mount(
    shardCount: number,
    armed: (disk: MemoryDisk) => void = () => {},
    acceptLoss = false,
  ): boolean {
    const arenaBytes = this.#options.arenaBytes ?? 16 * 2 ** 20;
    const mailboxes = mailboxesSize(shardCount);
    this.#memory = wrapMemory(new ArrayBuffer(mailboxes + shardCount * arenaBytes));
    this.#bulk = this.#bulk === null
      ? new MemoryDisk({ memory: this.#memory, random: this.random, ...this.diskOptions })
      : this.#bulk.restart({ memory: this.#memory, random: this.random, ...this.diskOptions });
    this.#diskTimers = new Timers();
    armed(this.#bulk);
    const arenas = Array.from(
      { length: shardCount },
      (_, shard) => new Arena(mailboxes + shard * arenaBytes, arenaBytes),
    );
    const disks = arenas.map(() => this.#patientDisk());
    const contexts = arenas.map((arena, shard) => this.#context(arena, disks[shard]!));
    const report = this.#finish(recoverNode({
      context: contexts[0]!,
      shardCount,
      nodeId: 0,
      acceptLoss,
      extentBytes: this.#options.extentBytes ?? 256 * 1024,
      journalBytes: this.#options.journalBytes ?? 1024 * 1024,
    }));
    if (report === null) return false;
    this.report = report;
    this.refusal = report.outcome === "ready" ? null : `${report.outcome}: ${report.reason}`;
    if (this.refusal !== null) return false;
    if (this.distrustsDisk) {
      const verified = this.#finish(verifyNode(contexts[0]!, report.manifest!, () => {}));
      if (verified === null) return false;
      assert(typeof verified !== "number", `the data cannot be verified: ${verified}`);
      this.distrustsDisk = false;
    }
    this.#closeWalks();
    this.shards = [];
    let lastGroupId = CONTROLLER_GROUP_ID;
    for (let shard = 0; shard < shardCount; shard++) {
      const context = contexts[shard]!;
      const storage = this.#finish(
        openShard({ context, shard, manifest: report.manifest!, acceptLoss }),
      );
      if (storage === null) return false;
      assert(typeof storage !== "number", `a shard did not open: ${storage}`);
      for (const groupId of storage.logs.keys()) lastGroupId = Math.max(lastGroupId, groupId);
      this.shards.push(this.#makeShard(shard, shardCount, context, storage));
    }
    if (acceptLoss && !this.#runOnAll((shard) => shard.acceptLoss())) return false;
    const node = { host: "127.0.0.1", port: 9092, rack: null };
    const led: { readonly refusal: LeadRefusal | null } | null = this.#finish(
      this.#lead(node, lastGroupId + 1, acceptLoss),
    );
    if (led === null) return false;
    if (led.refusal !== null) {
      this.refusal = `damaged: the metadata log (${this.logOf(CONTROLLER_GROUP_ID)!.directory})`;
      return false;
    }
    for (const { shard } of this.shards) shard.deleteOrphans();
    this.#finish(this.shards[0]!.shard.keepBallast(report.ballastBytes));
    return !this.disk.crashed;
  }

  /** Takes over a disk that has crashed; the next mount is on what is left on it. */
  adopt(disk: MemoryDisk): void {
    assert(disk.crashed, "a disk that somebody uses");
    this.#bulk = disk;
    this.shards = [];
  }

  /** A new client connection to a shard. */
  connect(shardIndex: number): ClientEnd {
    const { shard, sockets } = this.shards[shardIndex]!;
    const { socket, client } = sockets.addClient();
    shard.server.adopt(socket, "127.0.0.1:1");
    return client;
  }

  /** One step of everything: some disk and socket operations, a turn of every shard. */
  step(): void {
    this.nowMs += 0.25;
    if (this.diskOptions.latencyMs === undefined) this.disk.step();
    else this.disk.advance(this.nowMs);
    this.#diskTimers.run(this.nowMs);
    for (const { shard, timers, sockets } of this.shards) {
      if (this.disk.crashed) return;
      for (let i = 0; i < 4 && sockets.step(); i++);
      shard.drainMessages();
      timers.run(this.nowMs);
      shard.endTurn(this.nowMs);
    }
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
    this.#closeWalks();
    this.shards = [];
  }

  /** A group's log, on whichever shard it is. */
  logOf(groupId: number): PartitionLog | undefined {
    const owner = this.shards[groupId % this.shards.length];
    return owner?.shard.storage.logs.get(groupId) as PartitionLog | undefined;
  }

  /** The group of a topic's partition, or -1. */
  groupOf(topicId: string, index: number): number {
    const topic = this.shards[0]?.shard.image.topicById(topicId);
    return topic?.partitions[index]?.groupId ?? -1;
  }

  /** Orderly stop of every shard. */
  stop(): boolean {
    return this.#runOnAll((shard) => shard.drain()) && this.#runOnAll((shard) => shard.stop());
  }

  *#lead(
    node: AdvertisedNode,
    firstFreeGroupId: number,
    acceptLoss: boolean,
  ): Task<{ refusal: LeadRefusal | null }> {
    return { refusal: yield* this.shards[0]!.shard.lead(node, firstFreeGroupId, acceptLoss) };
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

  #finish<T>(task: Task<T>): T | null {
    const results: T[] = [];
    runTask(task, (value) => results.push(value));
    const ended = this.run(() => results.length > 0);
    assert(ended || this.disk.crashed, "a task does not end");
    return results[0] ?? null;
  }

  #patientDisk(): Disk {
    const timers = this.#diskTimers;
    return new PatientDisk(this.disk, {
      later: (delayMs, again) => timers.schedule(new Timer(again), this.nowMs + delayMs),
      nowMs: () => this.nowMs,
      onHiccup: ({ reason, ...fields }) => this.#note(LogLevel.WARN, reason, fields),
      onOver: () => {},
    });
  }

  #context(arena: Arena, disk: Disk): StorageContext {
    return {
      disk,
      memory: this.#memory,
      arena,
      crc32c: softwareCrc32c(this.#memory),
      onFatal: (errno, message) => this.fatals.push(`${errno} ${message}`),
      onDamage: (damage) => this.damages.push(damage),
    };
  }

  /** The shim's own walk: it computes and touches nothing else. */
  #openWalk(): RecordWalk {
    const walk = openBufferWalk(SHIM, this.#memory.bytes);
    this.#walks.push(walk);
    return walk;
  }

  #closeWalks(): void {
    for (const walk of this.#walks.splice(0)) walk.close();
  }

  #makeShard(
    index: number,
    shardCount: number,
    context: StorageContext,
    storage: ConstructorParameters<typeof Shard>[1],
  ): SimShard {
    const { makeReplica } = this.#options;
    const settings = new Map(Object.entries({
      "group.initial.rebalance.delay.ms": "0",
      "offsets.topic.num.partitions": "3",
      ...this.#options.settings,
    }));
    const timers = new Timers();
    const requestMax = new Settings(settings).number("socket.request.max.bytes");
    const blocks = new ShardMemory(context.arena, requestMax);
    const buffers = Array.from(
      { length: RECEIVE_BUFFERS },
      () => context.arena.allocate(RECEIVE_BUFFER_SIZE),
    );
    const memory = this.#memory;
    const sockets = new MemorySockets(memory, buffers, RECEIVE_BUFFER_SIZE, this.random);
    sockets.onRecycled = () => blocks.noteReleased();
    const shard = new Shard({
      nodeId: 0,
      settings,
      dataDir: "/sim",
      memory,
      blocks,
      mailboxes: new Mailboxes(memory, 0, index, shardCount),
      disk: context.disk,
      sockets,
      clock: {
        monotonicMs: () => this.nowMs,
        wallMs: () => Math.floor(this.#wallOffsetMs + this.nowMs),
      },
      timers,
      random: this.random,
      crc32c: context.crc32c,
      openWalk: () => this.#openWalk(),
      logger: { log: (level, message, fields) => this.#note(level, message, fields) },
      nowMs: () => this.nowMs,
      peerOf: () => "127.0.0.1:1",
      snapshots: this.#options.snapshots ?? SNAPSHOTS,
      wake: () => {},
      ...(makeReplica === undefined ? {} : { makeReplica }),
    }, storage);
    return { shard, timers, sockets, blocks };
  }

  #note(level: LogLevel, message: string, fields: LogFields = {}): void {
    if (level >= LogLevel.WARN) this.remarks.push(`${message} ${JSON.stringify(fields)}`);
  }
}

/** The offset where a reader can go no further, or -1. */
function* readToEnd(log: Log): Task<number> {
  let resume: (bytes: number) => void = () => {};
  const read = new LogRead({ complete: (bytes) => resume(bytes) });
  for (let offset = log.startOffset; offset < log.endOffset;) {
    read.offset = offset;
    read.maxBytes = READ_BYTES;
    read.limitOffset = log.endOffset;
    if (!log.read(read)) yield* until<number>((done) => resume = done);
    const stuck = read.error !== 0 || read.nextOffset === offset;
    read.release();
    if (stuck) return offset;
    offset = read.nextOffset;
  }
  return -1;
}

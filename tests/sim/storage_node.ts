/**
 * A node's storage on the simulated disk, for tests: lives, crashes, and what logs give back.
 *
 * @module
 */

import { assert } from "../../src/base/assert.ts";
import { Xoshiro128 } from "../../src/base/prng.ts";
import { Arena } from "../../src/bytes/arena.ts";
import { type Crc32c, softwareCrc32c } from "../../src/bytes/crc32c.ts";
import { type Memory, wrapMemory } from "../../src/bytes/memory.ts";
import { MemoryDisk, type MemoryDiskOptions } from "../../src/io/memory_disk.ts";
import { runTask, type Task } from "../../src/io/task.ts";
import { TestPatience } from "../../src/io/test_patience.ts";
import type { Engine } from "../../src/storage/engine.ts";
import type { Log, SegmentLimits } from "../../src/storage/log.ts";
import { LogRead } from "../../src/storage/log_read.ts";
import { openShard } from "../../src/storage/open_shard.ts";
import { recoverNode, type RecoveryReport } from "../../src/storage/recovery.ts";
import type { Damage, StorageContext } from "../../src/storage/shard_storage.ts";

const SCRATCH_BYTES = 2 * 1024 * 1024;
const ARENA_BYTES = 8 * 1024 * 1024;
const SHARDS_MAX = 4;
/** Turns without an operation of the disk after which nothing is to be expected any more. */
const IDLE_TURNS_MAX = 1000;

export const TEST_LIMITS: SegmentLimits = { segmentBytes: 96 * 1024, segmentMs: 1e12 };

export interface TestNodeOptions {
  readonly seed: number;
  readonly disk?: Partial<MemoryDiskOptions>;
  readonly journalBytes?: number;
}

export class TestNode {
  readonly memory: Memory;
  readonly crc32c: Crc32c;
  readonly #options: TestNodeOptions;
  disk: MemoryDisk;
  engines: Engine[] = [];
  report: RecoveryReport | null = null;
  damages: Damage[] = [];
  /** Of that, what can be read or written after all. */
  readable: Pick<Damage, "groupId" | "file" | "position">[] = [];
  strays: string[] = [];
  fatals: string[] = [];
  nowMs = 1000;
  readonly patience = new TestPatience(() => this.nowMs);

  constructor(options: TestNodeOptions) {
    this.#options = options;
    this.memory = wrapMemory(new ArrayBuffer(SCRATCH_BYTES + SHARDS_MAX * ARENA_BYTES));
    this.crc32c = softwareCrc32c(this.memory);
    this.disk = new MemoryDisk({
      memory: this.memory,
      random: new Xoshiro128(options.seed ^ 0x5bd1e995),
      ...options.disk,
    });
  }

  context(shard: number): StorageContext {
    return {
      disk: this.patience.wrap(this.disk),
      memory: this.memory,
      arena: new Arena(SCRATCH_BYTES + shard * ARENA_BYTES, ARENA_BYTES),
      crc32c: this.crc32c,
      onFatal: (errno, message) => this.fatals.push(`${errno} ${message}`),
      onDamage: (damage) => this.damages.push(damage),
      onReadable: (place) => this.readable.push(place),
      onStray: (directory) => this.strays.push(directory),
    };
  }

  /** Recovers and opens; false when the disk crashed or failed on the way. */
  mount(shardCount: number, acceptLoss = false): boolean {
    this.engines = [];
    const report = this.finish(recoverNode({
      context: this.context(0),
      shardCount,
      nodeId: 1,
      journalBytes: this.#options.journalBytes ?? 256 * 1024,
      extentBytes: 128 * 1024,
      acceptLoss,
    }));
    if (report === null) return false;
    this.report = report;
    if (report.outcome !== "ready") return false;
    for (let shard = 0; shard < shardCount; shard++) {
      const engine = this.finish(
        openShard({ context: this.context(shard), shard, manifest: report.manifest! }),
      );
      if (engine === null) return false;
      if (typeof engine === "number") return false;
      this.engines.push(engine);
    }
    return true;
  }

  /** Runs a task with the disk and turns until it ends; null when the disk crashed, or storage failed, before. */
  finish<T>(task: Task<T>): T | null {
    const results: T[] = [];
    runTask(task, (value) => results.push(value));
    for (let i = 0, idle = 0; results.length === 0; i++) {
      if (this.disk.crashed) return null;
      const stepped = this.disk.step();
      this.turn();
      idle = stepped ? 0 : idle + 1;
      if (idle === IDLE_TURNS_MAX && this.fatals.length > 0) return null;
      assert(idle < IDLE_TURNS_MAX && i < 1_000_000, "a task does not end");
    }
    return results[0]!;
  }

  /** One turn of every shard, one millisecond later. */
  turn(): void {
    this.nowMs++;
    this.patience.run();
    for (const engine of this.engines) {
      engine.turnEnd(this.nowMs);
      for (const log of engine.logs.values()) log.invariants();
    }
  }

  /** Turns and disk steps until nothing moves. */
  settle(): void {
    for (let i = 0; i < 40 && !this.disk.crashed; i++) {
      this.turn();
      this.disk.run();
    }
  }

  /** Power cut and restart of the disk; mount follows. */
  crash(): void {
    this.disk.crash();
    this.engines = [];
    this.disk = this.disk.restart();
  }

  log(groupId: number): Log | undefined {
    return this.engines[groupId % this.engines.length]?.logs.get(groupId);
  }

  /** Reads a log from `offset` on, up to its end; null when storage failed or the disk crashed. */
  readAll(log: Log, offset: number, maxBytes = 100_000): Uint8Array | null {
    const parts: Uint8Array[] = [];
    for (let from = offset; from < log.endOffset;) {
      const piece = this.readOnce(log, from, maxBytes);
      if (piece === null || piece.next === from) return null;
      parts.push(piece.bytes);
      from = piece.next;
    }
    const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  }

  /** One read; null when storage failed or the disk crashed. */
  readOnce(log: Log, offset: number, maxBytes: number): { bytes: Uint8Array; next: number } | null {
    let done = false;
    const read = new LogRead({ complete: () => done = true });
    read.offset = offset;
    read.maxBytes = maxBytes;
    read.limitOffset = log.endOffset;
    if (!log.read(read)) {
      for (let idle = 0; !done;) {
        if (this.disk.crashed || (idle === IDLE_TURNS_MAX && this.fatals.length > 0)) return null;
        idle = this.disk.step() ? 0 : idle + 1;
        assert(idle <= IDLE_TURNS_MAX, "a read does not end");
        this.turn();
      }
    }
    const bytes = new Uint8Array(read.bytesTotal);
    let at = 0;
    for (let i = 0; i < read.extentCount; i++) {
      const from = read.addresses[i]!;
      bytes.set(this.memory.bytes.subarray(from, from + read.lengths[i]!), at);
      at += read.lengths[i]!;
    }
    const failed = read.error !== 0;
    const next = read.nextOffset;
    read.release();
    return failed ? null : { bytes, next };
  }
}

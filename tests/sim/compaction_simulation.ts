/**
 * Compaction of one log, from a seed: keyed records of all compressions, tombstones, producers, transactions, rolls,
 * checkpoints, rounds with small maps, power cuts; and what holds of the log at every moment.
 *
 * The model is the list of all records that were appended. Whatever a log has lost to compaction, who reads it to its end
 * knows the same values of the same keys as the model; a key that was deleted is not there; offsets, times and values are
 * what they were; and no record is missing that no round has covered.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import type { Random } from "../../src/base/prng.ts";
import { Xoshiro128 } from "../../src/base/prng.ts";
import { compress } from "../../src/bytes/compression.ts";
import { readBatches } from "../../src/cli/client/records.ts";
import { ShimCompactor } from "../../src/io/shim_compactor.ts";
import { namesIn } from "../../src/io/disk.ts";
import { loadShim } from "../../src/io/shim.ts";
import { until } from "../../src/io/task.ts";
import { Compacted } from "../../src/storage/compaction.ts";
import { MetaKind } from "../../src/storage/log.ts";
import type { PartitionLog } from "../../src/storage/partition_log.ts";
import { buildEndTransactionMarker } from "../../src/wire/control_records.ts";
import {
  batchBaseOffset,
  batchEndOffset,
  batchIsControl,
  batchIsTransactional,
  batchLeaderEpoch,
  batchProducerId,
  batchSize,
} from "../../src/wire/record_batch.ts";
import type { Compression } from "../../src/wire/record_batch.ts";
import { RecordBatchBuilder } from "../../src/wire/record_batch_builder.ts";
import { TestNode } from "./storage_node.ts";

const GROUP = 5;
const LIMITS = { segmentBytes: 16 * 1024, segmentMs: 1e12 };
const DELETE_RETENTION_MS = 300;
const SHIM = loadShim();
const text = (bytes: Uint8Array | null) => bytes === null ? null : new TextDecoder().decode(bytes);

/** A record of the model; one of an aborted transaction does not count. */
interface Kept {
  readonly key: string;
  readonly value: string | null;
  readonly timestamp: number;
  /** Producer of the transaction it is part of; -1: none. */
  readonly transaction: number;
  isAborted: boolean;
}

export class CompactionSimulation {
  readonly node: TestNode;
  readonly #random: Random;
  readonly #compactor: ShimCompactor;
  readonly #keys: number;
  /** By offset; null: a marker. */
  #records: (Kept | null)[] = [];
  /** Offset and producer of each marker. */
  #markers: [number, number][] = [];
  #sequences = new Map<number, number>();
  #term = 1;
  rounds = 0;
  removed = 0;
  crashes = 0;
  partial = 0;

  constructor(seed: number) {
    this.#random = new Xoshiro128(seed);
    this.node = new TestNode({ seed, disk: { roughness: { garbage: true, unreadable: false } } });
    this.#keys = [3, 20, 200][this.#random.nextBelow(3)]!;
    const { bytes } = this.node.memory;
    this.#compactor = new ShimCompactor(SHIM, bytes, 16 * 1024 * 1024, [1, 2, 3, seed]);
  }

  run(lives: number, steps: number): void {
    try {
      for (let life = 0; life < lives; life++) {
        const isWhole = this.#random.nextBelow(3) === 0;
        this.#live(steps, isWhole ? Infinity : 1 + this.#random.nextBelow(steps * 6));
      }
    } finally {
      this.#compactor.close();
    }
  }

  /**
   * A life without a power cut, and one of rounds and checkpoints that a cut ends after `operations` of the disk; then one slot of
   * the checkpoint is damaged (0, 1; -1: none).
   *
   * @returns whether the cut came, and whether the start after it had the log
   */
  cutAt(operations: number, slot: number): { isCut: boolean; hasLog: boolean } {
    const { node } = this;
    try {
      this.#live(60, Infinity);
      assert.ok(node.mount(1));
      const engine = node.engines[0]!;
      this.#forgetBeyond(this.log.endOffset);
      this.#term = this.log.lastTerm;
      this.log.segmentLimits = LIMITS;
      this.#commit();
      node.disk.crashAfterOps(operations);
      for (let round = 0; round < 3 && !node.disk.crashed; round++) {
        for (let i = 0; i < 60 && !node.disk.crashed; i++) {
          this.#append();
          node.turn();
          node.disk.run();
          this.#commit();
        }
        if (!node.disk.crashed) this.#compact();
        for (let i = 0; i < 2 && !node.disk.crashed; i++) {
          node.settle();
          engine.checkpoint();
          node.settle();
        }
      }
      const isCut = node.disk.crashed;
      node.crash();
      const slots = namesIn(node.disk, "shards").filter((name) => name.startsWith("checkpoint-"));
      if (slot >= 0) node.disk.flipBit(`shards/${slots.at(-1 - slot)}`, 100, 1);
      assert.ok(node.mount(1), "the node starts");
      const log = node.log(GROUP);
      const hasLog = log !== undefined && !log.suspect;
      if (hasLog) {
        this.#forgetBeyond(log.endOffset);
        this.check();
      }
      return { isCut, hasLog };
    } finally {
      this.#compactor.close();
    }
  }

  get log(): PartitionLog {
    return this.node.log(GROUP) as PartitionLog;
  }

  #live(steps: number, cutAfter: number): void {
    assert.ok(this.node.mount(1), "the node starts");
    assert.deepEqual(this.node.damages, [], "nothing is damaged");
    const engine = this.node.engines[0]!;
    if (this.node.log(GROUP) === undefined) {
      engine.createLog({
        groupId: GROUP,
        incarnation: 1,
        name: "keyed-0",
        segmentLimits: LIMITS,
        listener: null,
      });
      this.node.settle();
    }
    const { log } = this;
    log.segmentLimits = LIMITS;
    this.#forgetBeyond(log.endOffset);
    this.#term = log.lastTerm + 1;
    this.#newTerm();
    this.check();
    this.node.disk.crashAfterOps(cutAfter);
    for (let step = 0; step < steps && !this.node.disk.crashed; step++) this.#step();
    if (!this.node.disk.crashed) {
      this.node.settle();
      if (!this.node.disk.crashed) this.check();
    }
    this.crashes++;
    this.node.crash();
  }

  #step(): void {
    const random = this.#random;
    switch (random.nextBelow(20)) {
      case 0:
        this.node.engines[0]!.checkpoint();
        break;
      case 1:
        this.node.settle();
        break;
      case 2:
        this.node.settle();
        this.#compact();
        break;
      case 3:
        if (random.nextBelow(4) === 0) this.#newTerm();
        break;
      case 4:
        this.#endTransaction();
        break;
      default:
        this.#append();
    }
    this.node.turn();
    if (random.nextBelow(2) === 0) this.node.disk.step();
    this.#commit();
  }

  #commit(): void {
    if (!this.node.disk.crashed) this.log.setCommitted(this.log.durableIndex);
  }

  #newTerm(): void {
    this.node.settle();
    if (this.node.disk.crashed) return;
    if (this.log.appendMeta(MetaKind.NO_OP, this.#term + 1, new Uint8Array(0)) > 0) this.#term++;
    else if (this.log.lastTerm === 0) throw new Error("the first term cannot begin");
  }

  #append(): void {
    const random = this.#random;
    const builder = new RecordBatchBuilder();
    const count = 1 + random.nextBelow(random.nextBelow(8) === 0 ? 60 : 6);
    const producerId = random.nextBelow(3) === 0 ? random.nextBelow(4) : -1;
    const isTransactional = producerId >= 2;
    const records: Kept[] = [];
    for (let i = 0; i < count; i++) {
      const key = `key-${random.nextBelow(this.#keys)}`;
      const value = random.nextBelow(4) === 0
        ? null
        : `${this.#records.length + i} `.repeat(1 + random.nextBelow(40));
      const timestamp = 1_000_000 + this.node.nowMs + random.nextBelow(50);
      builder.add({
        key: new TextEncoder().encode(key),
        value: value === null ? null : new TextEncoder().encode(value),
        timestamp,
        headers: random.nextBelow(3) === 0 ? [{ key: "h", value: null }] : [],
      });
      records.push({
        key,
        value,
        timestamp,
        transaction: isTransactional ? producerId : -1,
        isAborted: false,
      });
    }
    const compression = random.nextBelow(5) as Compression;
    const baseSequence = producerId < 0 ? -1 : (this.#sequences.get(producerId) ?? 0);
    const batch = builder.build({
      producerId,
      producerEpoch: producerId < 0 ? -1 : 0,
      baseSequence,
      isTransactional,
      compression,
      compress: (bytes) => compress(compression, bytes),
    });
    if (!this.#put(batch)) return;
    if (producerId >= 0) this.#sequences.set(producerId, baseSequence + count);
    this.#records.push(...records);
  }

  #endTransaction(): void {
    const producerId = 2 + this.#random.nextBelow(2);
    const isCommit = this.#random.nextBelow(2) === 0;
    const marker = buildEndTransactionMarker({
      producerId,
      producerEpoch: 0,
      isCommit,
      coordinatorEpoch: 1,
      timestampMs: 1_000_000 + this.node.nowMs,
    });
    const first = this.log.producers.transactionOf(producerId);
    if (!this.#put(marker)) return;
    if (!isCommit && first >= 0) {
      for (let offset = first; offset < this.#records.length; offset++) {
        const record = this.#records[offset];
        if (record?.transaction === producerId) record.isAborted = true;
      }
    }
    this.#markers.push([this.#records.length, producerId]);
    this.#records.push(null);
  }

  #put(batch: Uint8Array): boolean {
    const { log, node } = this;
    node.memory.bytes.set(batch, 0);
    if (log.lastTerm === 0 || log.lastTerm !== this.#term) return false;
    return log.append(0, batch.length, this.#term, node.nowMs) >= 0;
  }

  /** After a power cut: what was not durable is gone, the end of a transaction, too. */
  #forgetBeyond(endOffset: number): void {
    assert.ok(endOffset <= this.#records.length, "the log has records that nobody appended");
    this.#records.length = endOffset;
    this.#markers = this.#markers.filter(([offset]) => offset < endOffset);
    const { producers } = this.log;
    this.#sequences.clear();
    for (const { producerId, lastSequence } of producers.summaries()) {
      this.#sequences.set(producerId, lastSequence + 1);
      const first = producers.transactionOf(producerId);
      for (let offset = Math.max(0, first); first >= 0 && offset < endOffset; offset++) {
        const record = this.#records[offset];
        if (record?.transaction === producerId) record.isAborted = false;
      }
    }
  }

  #compact(): void {
    const random = this.#random;
    const { node } = this;
    const pieces = random.nextBelow(3) === 0;
    const policy = {
      minDirtyRatio: 0,
      minLagMs: 0,
      maxLagMs: Infinity,
      deleteRetentionMs: DELETE_RETENTION_MS * random.nextBelow(2),
      segmentBytes: LIMITS.segmentBytes,
    };
    const removalEnd = random.nextBelow(3) === 0 ? 0 : Infinity;
    const { log } = this;
    const before = log.sizeBytes;
    const end = node.engines[0]!.compactions.plan(GROUP, policy, node.nowMs)?.endOffset ?? -1;
    const result = node.finish(node.engines[0]!.compactions.compact(GROUP, {
      policy,
      nowMs: node.nowMs,
      removalEnd: () => removalEnd,
      mapBytesMax: pieces ? 4096 : 256 * 1024,
      compactor: this.#compactor,
      pace: () => until<boolean>((done) => done(true)),
    }));
    if (result === null || node.disk.crashed) return;
    assert.equal(result.outcome, Compacted.DONE);
    this.rounds++;
    this.removed += before - log.sizeBytes;
    if (log.chain.cleanOffset < end) this.partial++;
    this.check(true);
  }

  /** The marker of a transaction is there as long as any batch of it: who copies the log learns how it ended. */
  #checkTransactions(view: DataView, length: number): void {
    const found = new Set<number>();
    const needed = new Set<number>();
    for (let at = 0; at < length; at += batchSize(view, at)) {
      const base = batchBaseOffset(view, at);
      if (batchIsControl(view, at)) found.add(base);
      else if (batchIsTransactional(view, at)) {
        const producerId = batchProducerId(view, at);
        const end = this.#markers.find(([offset, of]) => offset > base && of === producerId);
        if (end !== undefined) needed.add(end[0]);
      }
    }
    assert.deepEqual(
      [...needed.difference(found)],
      [],
      "markers are gone before their transactions",
    );
  }

  /** Reads the whole log, and compares. */
  check(isCompacted = false): void {
    const { log, node } = this;
    const bytes = node.readAll(log, log.startOffset);
    if (node.disk.crashed) return;
    assert.ok(bytes !== null, "the log can be read");
    const view = new DataView(bytes.buffer);
    let next = log.startOffset;
    const bases = new Set<number>();
    for (let at = 0; at < bytes.length; at += batchSize(view, at)) {
      assert.equal(batchBaseOffset(view, at), next, "a batch follows the one before");
      bases.add(next);
      const end = batchEndOffset(view, at);
      assert.equal(
        batchLeaderEpoch(view, at),
        log.termAt(log.indexAt(next)),
        "a batch has its term",
      );
      assert.equal(
        log.indexAt(end - 1) - log.indexAt(next),
        end - 1 - next,
        "no entry is inside of a batch",
      );
      next = end;
    }
    assert.equal(next, log.endOffset);
    this.#checkTransactions(view, bytes.length);
    const pairs: number[] = [];
    log.producers.collectAborted(log.startOffset, log.endOffset, pairs);
    const aborted = [];
    for (let i = 0; i < pairs.length; i += 2) {
      aborted.push({ producerId: pairs[i]!, firstOffset: pairs[i + 1]! });
    }
    const { records } = readBatches({ topic: "keyed", partition: 0, offset: 0 }, bytes, aborted);
    const seen = new Set<number>();
    const values = new Map<string, string>();
    const cleaned = new Set<string>();
    let last = -1;
    for (const { offset, key, value, timestamp } of records) {
      assert.ok(offset > last, "offsets go up");
      last = offset;
      const expected = this.#records[offset];
      assert.ok(expected !== null && expected !== undefined, `offset ${offset} is not a record`);
      assert.ok(!expected.isAborted, `offset ${offset} was aborted`);
      const found = { key: text(key), value: text(value), timestamp };
      assert.deepEqual(found, {
        key: expected.key,
        value: expected.value,
        timestamp: expected.timestamp,
      });
      seen.add(offset);
      put(values, expected);
      if (!isCompacted || offset >= log.chain.cleanOffset) continue;
      assert.ok(
        !cleaned.has(expected.key),
        `key ${expected.key} is there twice below ${log.chain.cleanOffset}`,
      );
      cleaned.add(expected.key);
    }
    const model = new Map<string, string>();
    for (let offset = 0; offset < log.endOffset; offset++) {
      const record = this.#records[offset];
      if (record === null || record === undefined || record.isAborted) continue;
      put(model, record);
      const isCovered = offset < log.chain.cleanOffset;
      if (!isCovered && !seen.has(offset)) {
        // A round that a power cut ended, or that could not go on, has written a part of it.
        const { key } = record;
        const newer = this.#records.findLastIndex((each, at) =>
          at < log.endOffset && at > offset && each?.key === key && !each.isAborted
        );
        assert.ok(newer > offset, `offset ${offset} is missing`);
      }
    }
    assert.deepEqual([...values].sort(), [...model].sort());
    for (const { producerId, lastSequence } of log.producers.summaries()) {
      const base = log.producers.lastBatchOf(producerId);
      if (lastSequence >= 0) {
        assert.ok(bases.has(base), `the last batch of producer ${producerId} is gone`);
      }
    }
  }
}

function put(into: Map<string, string>, { key, value }: Kept): void {
  if (value === null) into.delete(key);
  else into.set(key, value);
}

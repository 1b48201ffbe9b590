/**
 * The answers that clients got, and whether they are consistent.
 *
 * Every batch that a simulated producer sends has a number of its own, which it carries as its timestamp.
 * So whatever a consumer reads can be traced to who sent it, wherever it turns up. The rules:
 *
 * - What is read was sent, to that partition, and is unchanged; offsets have no gaps.
 * - A batch stands at one offset, and an offset holds one batch, for ever: over power cuts too, because
 *   only what is committed is read.
 * - An acknowledged record is there, at the offset of its answer, unless the log start has passed it, or
 *   damage took it that was named (`damage_book.ts`).
 * - Nobody is told that something is committed which is not, where somebody sees all nodes (`quorum_watch.ts`).
 * - The high watermark, the log start and a group's committed offset never go back for a client. One exception:
 *   the record of a log start that retention moved is not waited for, and a power cut may take it.
 *
 * @module
 */

import { crc32cOfBytes } from "../../src/bytes/crc32c.ts";
import {
  ATTRIBUTES_OFFSET,
  batchBaseOffset,
  batchBaseTimestamp,
  batchCrc,
  batchEndOffset,
  batchRecordCount,
  batchSize,
} from "../../src/wire/record_batch.ts";
import { expect } from "./sim_failure.ts";

/** The timestamp of batch number 0 (ms since the epoch). */
export const BATCH_TIME_MS = 1_700_000_000_000;

export interface SentBatch {
  readonly number: number;
  readonly partition: PartitionModel;
  readonly crc: number;
  readonly sizeBytes: number;
  readonly records: number;
  /** Where it was acknowledged, or read first; -1: neither. */
  offset: number;
  acknowledged: boolean;
}

export class PartitionModel {
  readonly topicId: string;
  readonly index: number;
  /** Batches by their base offset, as far as any answer shows. */
  readonly placed = new Map<number, SentBatch>();
  /** The log start may be anywhere up to here. */
  startMax = 0;
  /** Retention may move the log start at any time. */
  retention = false;
  /** The highest watermark anybody saw. */
  highWatermark = 0;
  /** The topic's deletion was asked for. */
  deleting = false;
  /** Its Raft group; -1: not known yet. */
  groupId = -1;
  /** Damage took records from this offset on, and the log says so; Infinity: it took none. */
  lossFrom = Infinity;
  /** Starts of its node. */
  lives = 0;
  /** Damage took what moved the log start: it may have gone back. */
  startMayReturn = false;
  /** The log is suspect since its node started. */
  readOnly = false;
  readonly #committedOf: (partition: PartitionModel) => number;
  #committedMin = 0;

  constructor(
    topicId: string,
    index: number,
    committedOf: (partition: PartitionModel) => number = () => Infinity,
  ) {
    this.topicId = topicId;
    this.index = index;
    this.#committedOf = committedOf;
  }

  /** Somebody was told that everything below `offset` is committed. */
  checkCommitted(offset: number): void {
    if (offset <= this.#committedMin) return;
    const committed = this.#committedOf(this);
    expect(
      offset <= committed,
      () => `${this.name}: told that ${offset} is committed, and ${committed} is`,
    );
    if (committed < Infinity) this.#committedMin = committed;
  }

  get name(): string {
    return `${this.topicId.slice(0, 6)}-${this.index}`;
  }
}

/** What one client has seen of one partition; each client keeps its own. */
export class Horizon {
  highWatermark = 0;
  startOffset = 0;
  #lives = 0;

  note(partition: PartitionModel, highWatermark: number, startOffset: number): void {
    expect(
      highWatermark >= Math.min(this.highWatermark, partition.lossFrom),
      () =>
        `${partition.name}: the high watermark went from ${this.highWatermark} to ${highWatermark}`,
    );
    this.highWatermark = highWatermark;
    partition.checkCommitted(highWatermark);
    if (startOffset >= 0) {
      const unrecorded = partition.retention && partition.lives !== this.#lives;
      this.#lives = partition.lives;
      expect(
        startOffset >= this.startOffset || partition.startMayReturn || unrecorded,
        () => `${partition.name}: the log start went from ${this.startOffset} to ${startOffset}`,
      );
      expect(
        startOffset <= partition.startMax || partition.retention,
        () =>
          `${partition.name}: the log starts at ${startOffset}, allowed is ${partition.startMax}`,
      );
      this.startOffset = startOffset;
    }
    if (highWatermark > partition.highWatermark) partition.highWatermark = highWatermark;
  }
}

export class Checker {
  readonly partitions = new Map<string, PartitionModel>();
  readonly #sent: SentBatch[] = [];
  #hash = 0x811c9dc5;
  batchesRead = 0;
  acknowledgements = 0;
  /** The first offset of a partition that is not committed, by somebody who sees all nodes; Infinity: not known. */
  committedOf: (partition: PartitionModel) => number = () => Infinity;

  /** Equal for equal runs. */
  get hash(): number {
    return this.#hash;
  }

  /** Folds something that a client observed. */
  observe(value: number): void {
    this.#hash = Math.imul(this.#hash ^ value, 0x01000193) >>> 0;
  }

  partition(topicId: string, index: number): PartitionModel {
    const key = `${topicId}/${index}`;
    let model = this.partitions.get(key);
    if (model === undefined) {
      model = new PartitionModel(topicId, index, (partition) => this.committedOf(partition));
      this.partitions.set(key, model);
    }
    return model;
  }

  get nextNumber(): number {
    return this.#sent.length;
  }

  batch(number: number): SentBatch | undefined {
    return this.#sent[number];
  }

  /** A producer is about to send `bytes`, whose timestamp is {@linkcode nextNumber}'s. */
  sending(partition: PartitionModel, bytes: Uint8Array): SentBatch {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const batch: SentBatch = {
      number: this.#sent.length,
      partition,
      crc: batchCrc(view, 0),
      sizeBytes: bytes.length,
      records: batchRecordCount(view, 0),
      offset: -1,
      acknowledged: false,
    };
    this.#sent.push(batch);
    return batch;
  }

  /** A producer got the answer that its batch is at `offset`. */
  acknowledged(batch: SentBatch, offset: number): void {
    expect(
      !batch.partition.readOnly,
      () => `${batch.partition.name}: took a batch, and is suspect`,
    );
    this.observe(offset);
    this.acknowledgements++;
    this.#place(batch, offset);
    batch.acknowledged = true;
    const end = offset + batch.records;
    batch.partition.checkCommitted(end);
    if (end > batch.partition.highWatermark) batch.partition.highWatermark = end;
  }

  /**
   * A consumer read `records` when it asked for `fetchOffset`.
   *
   * @param seen takes the base offsets of what was read
   * @param onLost called with offsets (the second one exclusive) that a batch without records stands for: given up
   * @returns the offset after the last batch
   */
  read(
    partition: PartitionModel,
    fetchOffset: number,
    records: Uint8Array,
    seen: Set<number> | null = null,
    onLost: ((from: number, to: number) => void) | null = null,
  ): number {
    const view = new DataView(records.buffer, records.byteOffset, records.byteLength);
    let at = 0;
    let next = -1;
    while (at < records.length) {
      const size = batchSize(view, at);
      expect(
        size > 0 && at + size <= records.length,
        () => `${partition.name}: a batch was cut in the answer to ${fetchOffset}`,
      );
      const offset = batchBaseOffset(view, at);
      if (onLost !== null && batchRecordCount(view, at) === 0) {
        const end = batchEndOffset(view, at);
        expect(
          next < 0 ? offset <= fetchOffset && fetchOffset < end : offset === next,
          () => `${partition.name}: asked for ${next < 0 ? fetchOffset : next}, ${offset} is lost`,
        );
        onLost(offset, end);
        next = end;
        at += size;
        continue;
      }
      const batch = this.#sent[batchBaseTimestamp(view, at) - BATCH_TIME_MS];
      expect(
        batch !== undefined && batch.partition === partition,
        () => `${partition.name}: what is read at ${offset} was never sent there`,
      );
      const crc = crc32cOfBytes(records, at + ATTRIBUTES_OFFSET, at + size, 0);
      expect(
        crc === batch.crc && crc === batchCrc(view, at) && size === batch.sizeBytes,
        () => `${partition.name}: batch ${batch.number} at ${offset} is not what was sent`,
      );
      expect(
        next < 0 ? offset <= fetchOffset && fetchOffset < offset + batch.records : offset === next,
        () =>
          `${partition.name}: a fetch at ${fetchOffset} gives ${batch.records} records of batch ${batch.number} at ` +
          `${offset}, where ${next < 0 ? fetchOffset : next} comes next`,
      );
      this.#place(batch, offset);
      seen?.add(offset);
      this.batchesRead++;
      next = offset + batch.records;
      at += size;
    }
    this.observe(next);
    return next < 0 ? fetchOffset : next;
  }

  /**
   * The whole partition was read.
   *
   * @param served whether an offset was read, or shown to be unreadable as it may be
   */
  complete(
    partition: PartitionModel,
    startOffset: number,
    highWatermark: number,
    served: (offset: number) => boolean,
  ): void {
    expect(
      highWatermark >= Math.min(partition.highWatermark, partition.lossFrom),
      () => `${partition.name}: ends at ${highWatermark}, was seen at ${partition.highWatermark}`,
    );
    for (const batch of this.#sent) {
      if (batch.partition !== partition || !batch.acknowledged) continue;
      const { offset, records, number } = batch;
      if (offset >= partition.lossFrom && offset + records > highWatermark) continue;
      expect(
        offset + records <= highWatermark,
        () => `${partition.name}: batch ${number}, acknowledged at ${offset}, is lost`,
      );
      expect(
        offset < startOffset || served(offset),
        () => `${partition.name}: batch ${number} was not read at ${offset}`,
      );
    }
  }

  #place(batch: SentBatch, offset: number): void {
    const { partition, number } = batch;
    expect(
      batch.offset < 0 || batch.offset === offset,
      () => `${partition.name}: batch ${number} stands at ${batch.offset} and at ${offset}`,
    );
    const there = partition.placed.get(offset);
    expect(
      there === undefined || there === batch,
      () => `${partition.name}: at ${offset} stood batch ${there!.number}, now ${number}`,
    );
    batch.offset = offset;
    partition.placed.set(offset, batch);
  }
}

/**
 * What compaction does with a batch as a whole: what transactions and idempotent producers need stays. The
 * rules are those of Kafka's cleaner.
 *
 * - Records of an aborted transaction go, and count for nothing.
 * - A marker stays while there is a batch of its transaction before it. Then it gets a horizon, as a tombstone does, and
 *   goes when that has passed.
 * - The last batch of a producer that is remembered stays, without records if need be: who copies the log learns from it
 *   which sequence comes next.
 *
 * Batches are shown in the order of their offsets, from the log's first one on.
 *
 * @module
 */

import { readMarker } from "../wire/control_records.ts";
import {
  batchAttributes,
  batchBaseOffset,
  batchBaseTimestamp,
  batchEndOffset,
  batchIsControl,
  batchIsTransactional,
  batchProducerEpoch,
  batchProducerId,
  batchRecordCount,
  DELETE_HORIZON_FLAG,
} from "../wire/record_batch.ts";
import type { PartitionLog } from "./partition_log.ts";

/** Transactions without a marker yet that are kept in mind; with more, all markers stay. */
const OBSERVED_MAX = 100_000;

/** What becomes of a batch. */
export const Fate = {
  /** Its records are looked at one by one. */
  BY_RECORD: 0,
  STAYS: 1,
  GOES: 2,
  /** Its records go, and it stays. */
  RECORDS_GO: 3,
  /** It stays, and gets a horizon. */
  GETS_HORIZON: 4,
} as const;
export type Fate = typeof Fate[keyof typeof Fate];

export class CompactionRules {
  /** Tombstones and markers at or beyond it stay. */
  readonly removalEnd: number;
  readonly #log: PartitionLog;
  readonly #nowMs: number;
  /** First offset and marker of aborted transactions, one after another, by producer. */
  #aborted = new Map<number, number[]>();
  /** Whether a transactional batch before it was aborted is not known any more. */
  #fateKnownFrom = 0;
  /** Producers with a batch since their last marker. */
  #observed = new Set<number>();
  #isOverfull = false;
  /** Markers of aborted transactions that go. */
  #removedAborts = new Set<number>();

  constructor(log: PartitionLog, nowMs: number, removalEnd: number) {
    this.#log = log;
    this.#nowMs = nowMs;
    const { producers } = log;
    const aborted: number[] = [];
    producers.listAborted(aborted);
    for (let i = 0; i < aborted.length; i += 3) {
      const [producerId, first, last] = aborted.slice(i, i + 3) as [number, number, number];
      const ranges = this.#aborted.get(producerId);
      if (ranges === undefined) this.#aborted.set(producerId, [first, last]);
      else ranges.push(first, last);
    }
    if (producers.mayHaveForgottenAborted) this.#fateKnownFrom = aborted[2]!;
    this.removalEnd = this.#fateKnownFrom > 0 ? 0 : removalEnd;
  }

  /** The same state, for another pass over the same batches. */
  copy(): CompactionRules {
    const copy = new CompactionRules(this.#log, this.#nowMs, this.removalEnd);
    copy.#aborted = this.#aborted;
    copy.#fateKnownFrom = this.#fateKnownFrom;
    copy.#observed = new Set(this.#observed);
    copy.#isOverfull = this.#isOverfull;
    copy.#removedAborts = new Set(this.#removedAborts);
    return copy;
  }

  /** Whether the records of a batch count: later ones of their keys supersede earlier ones. */
  hasKeys(view: DataView, at: number): boolean {
    if (batchIsControl(view, at) || batchRecordCount(view, at) === 0) return false;
    if (!batchIsTransactional(view, at)) return true;
    return batchBaseOffset(view, at) >= this.#fateKnownFrom && !this.#isAborted(view, at);
  }

  /** Takes note of the next batch, which is no filler, and says what becomes of it. */
  fateOf(view: DataView, at: number): Fate {
    if (batchIsControl(view, at)) return this.#fateOfMarker(view, at);
    if (batchIsTransactional(view, at)) {
      this.#observe(batchProducerId(view, at));
      if (batchBaseOffset(view, at) < this.#fateKnownFrom) return Fate.STAYS;
    }
    const isEmpty = batchRecordCount(view, at) === 0;
    if (!isEmpty && !this.#isAborted(view, at)) return Fate.BY_RECORD;
    if (!this.isLastOfProducer(view, at)) return Fate.GOES;
    return isEmpty ? Fate.STAYS : Fate.RECORDS_GO;
  }

  /** Whether a batch tells the last sequence of a producer that is remembered, or its epoch. */
  isLastOfProducer(view: DataView, at: number): boolean {
    const producerId = batchProducerId(view, at);
    if (producerId < 0) return false;
    const { producers } = this.#log;
    const last = producers.lastBatchOf(producerId);
    if (last >= 0) return batchBaseOffset(view, at) === last;
    return batchIsControl(view, at) &&
      batchProducerEpoch(view, at) === producers.epochOf(producerId);
  }

  /** The markers of aborted transactions that went since the last call. */
  takeRemovedAborts(): ReadonlySet<number> {
    const removed = this.#removedAborts;
    this.#removedAborts = new Set();
    return removed;
  }

  #fateOfMarker(view: DataView, at: number): Fate {
    const isNeeded = this.#observed.delete(batchProducerId(view, at)) || this.#isOverfull ||
      this.isLastOfProducer(view, at) || batchEndOffset(view, at) > this.removalEnd;
    if (isNeeded) return Fate.STAYS;
    if ((batchAttributes(view, at) & DELETE_HORIZON_FLAG) === 0) return Fate.GETS_HORIZON;
    if (batchBaseTimestamp(view, at) > this.#nowMs) return Fate.STAYS;
    if (readMarker(view, at, marker) && marker.isAbort) {
      this.#removedAborts.add(batchBaseOffset(view, at));
    }
    return Fate.GOES;
  }

  #observe(producerId: number): void {
    if (this.#observed.size >= OBSERVED_MAX) this.#isOverfull = true;
    else this.#observed.add(producerId);
  }

  #isAborted(view: DataView, at: number): boolean {
    if (!batchIsTransactional(view, at)) return false;
    const ranges = this.#aborted.get(batchProducerId(view, at));
    if (ranges === undefined) return false;
    const offset = batchBaseOffset(view, at);
    for (let i = 0; i < ranges.length; i += 2) {
      if (ranges[i]! <= offset && offset < ranges[i + 1]!) return true;
    }
    return false;
  }
}

const marker = { isAbort: false, coordinatorEpoch: -1 };

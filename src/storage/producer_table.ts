/**
 * Idempotent producers of one partition: Kafka's rules, and undo for appends that are not committed yet.
 *
 * Per producer id: its epoch, the last five batches (sequence range, base offset, timestamp), the first
 * offset of its open transaction. A batch is *new* when its first sequence follows the last one seen, a
 * *duplicate* when its range is among the five. An unknown producer may begin anywhere (its state may
 * have expired, or gone with the records), a new epoch begins at 0. Sequences wrap from 2^31-1 to 0.
 *
 * The table is the state at the log's end. Every append leaves an undo record (the producer's whole previous
 * state) until it is committed; truncation pops these records, so a cut batch is forgotten exactly.
 *
 * A producer is forgotten when the broker has not heard of it for `producer.id.expiration.ms`, whatever
 * timestamps its records have, and earlier when a shard has too many (`producer_census.ts`).
 *
 * State is in two Float64Arrays, because there may be very many producers. One producer's cells:
 *
 *     0 id (-1: nobody's)  1 epoch  2 last timestamp  3 transaction first offset (-1)  4 batch count
 *     5 when it was last heard of (0: not known)  6 epoch of the coordinator that wrote its last marker (-1)
 *     7 + 4i  first sequence, last sequence, base offset, timestamp  (oldest first)
 *
 * What readers of committed records need of transactions is in `transaction_index.ts`.
 *
 * An undo record is the log index of the append that it undoes, then the cells before it (epoch -1: was unknown).
 *
 * @module
 */

import { getInt64Le, setInt64Le } from "../bytes/int64.ts";
import type { ProducerCensus } from "./producer_census.ts";
import {
  BASE_OFFSET_CELL,
  BATCH_CELLS,
  BATCHES,
  BATCHES_PER_PRODUCER,
  CELLS,
  COORDINATOR,
  COUNT,
  decodeState,
  encodeState,
  EPOCH,
  FORMAT_VERSION_MIN,
  HEAD_SIZES,
  HEARD,
  holdsState,
  ID,
  PRODUCERS_FORMAT_VERSION,
  stateSize,
  TIMESTAMP,
  TXN_FIRST,
  WITHOUT_TRANSACTIONS,
} from "./producer_state.ts";
import { ABORTED_SIZE, TransactionIndex } from "./transaction_index.ts";

/** `producer.id.expiration.ms`: 24 hours. */
export const PRODUCER_EXPIRATION_MS_DEFAULT = 86_400_000;

/** Outcome of {@linkcode ProducerTable.check}. */
export const ProducerCheck = {
  NEW: 0,
  /** Appended before; see `duplicateOffset`. */
  DUPLICATE: 1,
  /** INVALID_PRODUCER_EPOCH: a newer instance of the producer has written. */
  INVALID_EPOCH: 2,
  /** OUT_OF_ORDER_SEQUENCE_NUMBER. */
  OUT_OF_ORDER: 3,
} as const;
export type ProducerCheck = typeof ProducerCheck[keyof typeof ProducerCheck];

const SEQUENCE_MAX = 0x7fff_ffff;
const UNDO_CELLS = CELLS + 1;
/** {@linkcode ProducerTable.firstUnstable} has to be found anew. */
const NOT_KNOWN = -2;
/** Arrays of this many producers, or undo records, are kept though they are hardly used. */
const CAPACITY_KEPT = 256;

/** The sequence of the last of `recordCount` records that begin at `first`. */
export function lastSequenceOf(first: number, recordCount: number): number {
  return (first + recordCount - 1) % (SEQUENCE_MAX + 1);
}

/** One producer, as administration shows it. */
export interface ProducerSummary {
  readonly producerId: number;
  readonly epoch: number;
  /** -1 when its epoch has no batch yet. */
  readonly lastSequence: number;
  readonly lastTimestampMs: number;
  /** -1 when no transaction is open. */
  readonly transactionFirstOffset: number;
  /** Of the coordinator that wrote its last marker; -1: none has. */
  readonly coordinatorEpoch: number;
}

export class ProducerTable {
  /** Base offset of the batch that the last check found to be a duplicate, and its timestamp. */
  duplicateOffset = -1;
  duplicateTimestampMs = -1;
  #slots = new Map<number, number>();
  #free: number[] = [];
  #cells = new Float64Array(0);
  #undo = new Float64Array(0);
  // Undo records in use: a ring of records, oldest at #undoHead.
  #undoHead = 0;
  #undoCount = 0;
  readonly #census: ProducerCensus | null;
  readonly #transactions = new TransactionIndex();
  /** A transaction was here, since the table was empty. */
  #hadTransactions = false;
  #firstUnstable = -1;

  /** @param census of the shard's producers; null: they are not counted */
  constructor(census: ProducerCensus | null = null) {
    this.#census = census;
  }

  /** Producers known. */
  get size(): number {
    return this.#slots.size;
  }

  /** Appends that could still be cut. */
  get uncommittedCount(): number {
    return this.#undoCount;
  }

  /** Latest epoch of a producer, -1 when unknown. */
  epochOf(producerId: number): number {
    const slot = this.#slots.get(producerId);
    return slot === undefined ? -1 : this.#cells[slot * CELLS + EPOCH]!;
  }

  /** Of the coordinator that wrote a producer's last marker; -1: none has. */
  coordinatorEpochOf(producerId: number): number {
    const slot = this.#slots.get(producerId);
    return slot === undefined ? -1 : this.#cells[slot * CELLS + COORDINATOR]!;
  }

  /** First offset of a producer's open transaction; -1: it has none. */
  transactionOf(producerId: number): number {
    const slot = this.#slots.get(producerId);
    return slot === undefined ? -1 : this.#cells[slot * CELLS + TXN_FIRST]!;
  }

  /** No transaction may begin, because its abort could not be remembered. */
  get isFullOfTransactions(): boolean {
    return this.#transactions.isFull;
  }

  /** When a producer was last heard of; 0 when that is unknown, or the producer is. */
  heardMsOf(producerId: number): number {
    const slot = this.#slots.get(producerId);
    return slot === undefined ? 0 : this.#cells[slot * CELLS + HEARD]!;
  }

  /** Every producer, for administration; made on demand, in no order. */
  *summaries(): Generator<ProducerSummary> {
    for (const [producerId, slot] of this.#slots) {
      const at = slot * CELLS;
      const count = this.#cells[at + COUNT]!;
      const last = at + BATCHES + (count - 1) * BATCH_CELLS + 1;
      yield {
        producerId,
        epoch: this.#cells[at + EPOCH]!,
        lastSequence: count === 0 ? -1 : this.#cells[last]!,
        lastTimestampMs: this.#cells[at + TIMESTAMP]!,
        transactionFirstOffset: this.#cells[at + TXN_FIRST]!,
        coordinatorEpoch: this.#cells[at + COORDINATOR]!,
      };
    }
  }

  /**
   * What appending sequences `first` to `last` would be.
   *
   * @param nowMs wall clock: a producer that repeats a batch is heard of, too
   */
  check(
    producerId: number,
    epoch: number,
    first: number,
    last: number,
    nowMs: number,
  ): ProducerCheck {
    const slot = this.#slots.get(producerId);
    if (slot === undefined) return ProducerCheck.NEW;
    const cells = this.#cells;
    const at = slot * CELLS;
    const currentEpoch = cells[at + EPOCH]!;
    if (epoch < currentEpoch) return ProducerCheck.INVALID_EPOCH;
    if (epoch > currentEpoch) return first === 0 ? ProducerCheck.NEW : ProducerCheck.OUT_OF_ORDER;
    const count = cells[at + COUNT]!;
    for (let i = count - 1; i >= 0; i--) {
      const batch = at + BATCHES + i * BATCH_CELLS;
      if (cells[batch] === first && cells[batch + 1] === last) {
        this.duplicateOffset = cells[batch + 2]!;
        this.duplicateTimestampMs = cells[batch + 3]!;
        cells[at + HEARD] = nowMs;
        return ProducerCheck.DUPLICATE;
      }
    }
    const lastSeen = count === 0 ? -1 : cells[at + BATCHES + (count - 1) * BATCH_CELLS + 1]!;
    const follows = first === lastSeen + 1 || (first === 0 && lastSeen === SEQUENCE_MAX);
    return follows ? ProducerCheck.NEW : ProducerCheck.OUT_OF_ORDER;
  }

  /**
   * Notes an appended batch.
   *
   * @param index log index of its last record, for undo
   * @param heardMs wall clock, 0 when it is not known
   */
  append(
    index: number,
    producerId: number,
    epoch: number,
    first: number,
    last: number,
    baseOffset: number,
    timestampMs: number,
    transactional: boolean,
    heardMs: number,
  ): void {
    if (this.#knows(producerId, baseOffset)) return;
    const at = this.#change(index, producerId, epoch, heardMs);
    const cells = this.#cells;
    cells[at + TIMESTAMP] = timestampMs;
    if (transactional && cells[at + TXN_FIRST]! < 0) this.#setOpen(at, producerId, baseOffset);
    let count = cells[at + COUNT]!;
    if (count === BATCHES_PER_PRODUCER) {
      cells.copyWithin(at + BATCHES, at + BATCHES + BATCH_CELLS, at + CELLS);
      count--;
    }
    const batch = at + BATCHES + count * BATCH_CELLS;
    cells[batch] = first;
    cells[batch + 1] = last;
    cells[batch + 2] = baseOffset;
    cells[batch + 3] = timestampMs;
    cells[at + COUNT] = count + 1;
  }

  /**
   * Notes a transaction marker: it may raise the epoch, and ends the open transaction.
   *
   * @param coordinatorEpoch of who wrote it
   */
  appendMarker(
    index: number,
    producerId: number,
    epoch: number,
    baseOffset: number,
    timestampMs: number,
    heardMs: number,
    isAbort: boolean,
    coordinatorEpoch: number,
  ): void {
    if (this.#knows(producerId, baseOffset)) return;
    const at = this.#change(index, producerId, epoch, heardMs);
    const cells = this.#cells;
    const firstOffset = cells[at + TXN_FIRST]!;
    cells[at + TIMESTAMP] = timestampMs;
    cells[at + COORDINATOR] = coordinatorEpoch;
    this.#hadTransactions = true;
    if (firstOffset < 0) return;
    this.#setOpen(at, producerId, -1);
    if (isAbort) this.#transactions.abort(producerId, firstOffset, baseOffset, index);
  }

  #setOpen(at: number, producerId: number, firstOffset: number): void {
    this.#cells[at + TXN_FIRST] = firstOffset;
    this.#transactions.setOpen(producerId, firstOffset);
    this.#hadTransactions = true;
    this.#firstUnstable = NOT_KNOWN;
  }

  /**
   * A later batch of the producer is known: the state came with a snapshot, and is ahead of the records that
   * follow it.
   */
  #knows(producerId: number, baseOffset: number): boolean {
    const slot = this.#slots.get(producerId);
    if (slot === undefined) return false;
    const at = slot * CELLS;
    const count = this.#cells[at + COUNT]!;
    return count > 0 &&
      this.#cells[at + BATCHES + (count - 1) * BATCH_CELLS + BASE_OFFSET_CELL]! >= baseOffset;
  }

  /** First offset of the oldest transaction that is open, or whose end could still be cut; -1 when there is none. */
  firstUnstable(): number {
    if (this.#firstUnstable === NOT_KNOWN) {
      let first = this.#transactions.firstOpen();
      const capacity = this.#undo.length / UNDO_CELLS;
      for (let i = 0; i < this.#undoCount; i++) {
        const state = ((this.#undoHead + i) % capacity) * UNDO_CELLS + 1;
        const offset = this.#undo[state + TXN_FIRST]!;
        if (this.#undo[state + EPOCH]! >= 0 && offset >= 0 && offset < first) first = offset;
      }
      this.#firstUnstable = first === Infinity ? -1 : first;
    }
    return this.#firstUnstable;
  }

  /** Some transaction was aborted. */
  get hasAborted(): boolean {
    return this.#transactions.abortedCount > 0;
  }

  /** Adds the aborted transactions with records in a range of offsets: of each the producer's id and the first offset. */
  collectAborted(fromOffset: number, untilOffset: number, into: number[]): void {
    this.#transactions.collectAborted(fromOffset, untilOffset, into);
  }

  /** See {@linkcode TransactionIndex.listAborted}. */
  listAborted(into: number[]): void {
    this.#transactions.listAborted(into);
  }

  /** See {@linkcode TransactionIndex.mayHaveForgotten}. */
  get mayHaveForgottenAborted(): boolean {
    return this.#transactions.mayHaveForgotten;
  }

  /** See {@linkcode TransactionIndex.forget}. */
  forgetAborted(markers: ReadonlySet<number>): void {
    this.#transactions.forget(markers);
  }

  /** Base offset of a producer's last batch; -1: it has none. */
  lastBatchOf(producerId: number): number {
    const at = (this.#slots.get(producerId) ?? -1) * CELLS;
    const count = at < 0 ? 0 : this.#cells[at + COUNT]!;
    if (count === 0) return -1;
    return this.#cells[at + BATCHES + (count - 1) * BATCH_CELLS + BASE_OFFSET_CELL]!;
  }

  /** The log starts at an offset now. */
  trim(startOffset: number): void {
    this.#transactions.trim(startOffset);
  }

  /** Appends up to `index` are committed and can no longer be cut. */
  commit(index: number): void {
    const capacity = this.#undo.length / UNDO_CELLS;
    while (this.#undoCount > 0 && this.#undo[this.#undoHead * UNDO_CELLS]! <= index) {
      if (this.#undo[this.#undoHead * UNDO_CELLS + 1 + TXN_FIRST]! >= 0) {
        this.#firstUnstable = NOT_KNOWN;
      }
      this.#undoHead = (this.#undoHead + 1) % capacity;
      this.#undoCount--;
    }
    // A replay leaves very many.
    if (this.#undoCount === 0 && capacity > CAPACITY_KEPT) this.#undo = new Float64Array(0);
  }

  /** Forgets appends beyond `index`. */
  truncate(index: number): void {
    const capacity = this.#undo.length / UNDO_CELLS;
    while (this.#undoCount > 0) {
      const from = ((this.#undoHead + this.#undoCount - 1) % capacity) * UNDO_CELLS;
      if (this.#undo[from]! <= index) break;
      this.#transactions.cut(this.#undo[from]!);
      this.#restore(from + 1);
      this.#undoCount--;
      this.#firstUnstable = NOT_KNOWN;
    }
  }

  /**
   * Drops producers that were not heard of for `expirationMs` and have no open transaction; returns how many.
   * Of whom it is not known, or by a clock that was ahead, the time runs from now.
   */
  expire(nowMs: number, expirationMs: number): number {
    let dropped = 0;
    for (const [producerId, slot] of this.#slots) {
      const at = slot * CELLS;
      const heardMs = this.#cells[at + HEARD]!;
      if (heardMs === 0 || heardMs > nowMs) this.#cells[at + HEARD] = nowMs;
      if (nowMs - this.#cells[at + HEARD]! < expirationMs) continue;
      if (this.#cells[at + TXN_FIRST]! >= 0) continue;
      this.#drop(producerId, slot);
      dropped++;
    }
    this.#shrink();
    return dropped;
  }

  /** Visits, for each producer without an open transaction, the time at which it was last heard of. */
  visitHeard(visit: (heardMs: number) => void): void {
    const cells = this.#cells;
    for (let at = 0; at < cells.length; at += CELLS) {
      if (cells[at + ID]! >= 0 && cells[at + TXN_FIRST]! < 0) visit(cells[at + HEARD]!);
    }
  }

  /** Drops at most `countMax` of those that were last heard of at `untilMs` or before (Infinity: any); returns how many. */
  forgetHeardUntil(untilMs: number, countMax: number): number {
    const cells = this.#cells;
    let dropped = 0;
    for (let at = 0; at < cells.length && dropped < countMax; at += CELLS) {
      const producerId = cells[at + ID]!;
      if (producerId < 0 || cells[at + TXN_FIRST]! >= 0) continue;
      if ((cells[at + HEARD]! || Infinity) > untilMs) continue;
      this.#drop(producerId, at / CELLS);
      dropped++;
    }
    this.#shrink();
    return dropped;
  }

  /** Forgets everything; also for a table that is given up. */
  clear(): void {
    if (this.#census !== null) this.#census.count -= this.#slots.size;
    this.#census?.leave(this);
    this.#transactions.clear();
    this.#hadTransactions = false;
    this.#firstUnstable = -1;
    this.#slots.clear();
    this.#free.length = 0;
    this.#cells = new Float64Array(0);
    this.#undo = new Float64Array(0);
    this.#undoHead = 0;
    this.#undoCount = 0;
  }

  /** Bytes of {@linkcode encode}. */
  encodedSize(): number {
    const version = this.#version;
    let size = HEAD_SIZES[version]!;
    for (const slot of this.#slots.values()) size += stateSize(this.#cells, slot * CELLS, version);
    const capacity = this.#undo.length / UNDO_CELLS;
    for (let i = 0; i < this.#undoCount; i++) {
      size += 8 +
        stateSize(this.#undo, ((this.#undoHead + i) % capacity) * UNDO_CELLS + 1, version);
    }
    return size + this.#transactions.abortedCount * ABORTED_SIZE;
  }

  /** Writes the table with its undo records (format: docs/formats/checkpoint_row.md); returns the end. */
  encode(view: DataView, at: number): number {
    const version = this.#version;
    view.setUint32(at, version, true);
    view.setUint32(at + 4, this.#slots.size, true);
    view.setUint32(at + 8, this.#undoCount, true);
    if (version > WITHOUT_TRANSACTIONS) {
      view.setUint32(at + 12, this.#transactions.abortedCount, true);
    }
    at += HEAD_SIZES[version]!;
    for (const slot of this.#slots.values()) {
      at = encodeState(view, at, version, this.#cells, slot * CELLS);
    }
    const capacity = this.#undo.length / UNDO_CELLS;
    for (let i = 0; i < this.#undoCount; i++) {
      const from = ((this.#undoHead + i) % capacity) * UNDO_CELLS;
      setInt64Le(view, at, this.#undo[from]!);
      at = encodeState(view, at + 8, version, this.#undo, from + 1);
    }
    return this.#transactions.encode(view, at);
  }

  get #version(): number {
    return this.#hadTransactions ? PRODUCERS_FORMAT_VERSION : WITHOUT_TRANSACTIONS;
  }

  /** Replaces the table by an encoded one; returns the end, or -1 when it cannot be read. */
  decode(view: DataView, at: number): number {
    this.clear();
    if (at + 12 > view.byteLength) return -1;
    const version = view.getUint32(at, true);
    if (version < FORMAT_VERSION_MIN || version > PRODUCERS_FORMAT_VERSION) return -1;
    const producers = view.getUint32(at + 4, true);
    const undos = view.getUint32(at + 8, true);
    if (at + HEAD_SIZES[version]! > view.byteLength) return -1;
    const hasTransactions = version > WITHOUT_TRANSACTIONS;
    const aborted = hasTransactions ? view.getUint32(at + 12, true) : 0;
    at += HEAD_SIZES[version]!;
    for (let i = 0; i < producers; i++) {
      if (!holdsState(view, at, version)) return -1;
      const producerId = getInt64Le(view, at);
      const slot = this.#slotFor(producerId);
      at = decodeState(view, at, version, this.#cells, slot * CELLS);
      const firstOffset = this.#cells[slot * CELLS + TXN_FIRST]!;
      if (firstOffset >= 0) this.#setOpen(slot * CELLS, producerId, firstOffset);
    }
    for (let i = 0; i < undos; i++) {
      if (!holdsState(view, at + 8, version)) return -1;
      const to = this.#pushUndo(getInt64Le(view, at));
      at = decodeState(view, at + 8, version, this.#undo, to);
    }
    this.#hadTransactions ||= hasTransactions;
    this.#firstUnstable = NOT_KNOWN;
    return this.#transactions.decode(view, at, aborted);
  }

  /** Saves the state of a producer, makes it one of `epoch`, and returns where its cells are. */
  #change(index: number, producerId: number, epoch: number, heardMs: number): number {
    const undo = this.#pushUndo(index);
    const at = this.#slotFor(producerId) * CELLS;
    const cells = this.#cells;
    for (let i = 0; i < CELLS; i++) this.#undo[undo + i] = cells[at + i]!;
    if (cells[at + EPOCH] !== epoch) {
      cells[at + EPOCH] = epoch;
      cells[at + COUNT] = 0;
      cells.fill(0, at + BATCHES, at + CELLS);
    }
    cells[at + HEARD] = heardMs;
    return at;
  }

  #slotFor(producerId: number): number {
    const known = this.#slots.get(producerId);
    if (known !== undefined) return known;
    const census = this.#census;
    if (census !== null) {
      census.makeRoom();
      census.count++;
      if (this.#slots.size === 0) census.enter(this);
    }
    const slot = this.#free.pop() ?? this.#slots.size;
    if ((slot + 1) * CELLS > this.#cells.length) {
      const grown = new Float64Array(Math.max(CELLS, this.#cells.length * 2));
      grown.set(this.#cells);
      for (let at = this.#cells.length; at < grown.length; at += CELLS) grown[at + ID] = -1;
      this.#cells = grown;
    }
    const at = slot * CELLS;
    this.#cells.fill(0, at, at + CELLS);
    this.#cells[at + ID] = producerId;
    this.#cells[at + EPOCH] = -1;
    this.#cells[at + TXN_FIRST] = -1;
    this.#cells[at + COORDINATOR] = -1;
    this.#slots.set(producerId, slot);
    return slot;
  }

  #drop(producerId: number, slot: number): void {
    this.#slots.delete(producerId);
    this.#transactions.setOpen(producerId, -1);
    this.#free.push(slot);
    this.#cells[slot * CELLS + ID] = -1;
    if (this.#census === null) return;
    this.#census.count--;
    if (this.#slots.size === 0) this.#census.leave(this);
  }

  /** Gives memory back that producers had who went. */
  #shrink(): void {
    const capacity = this.#cells.length / CELLS;
    if (capacity <= CAPACITY_KEPT || this.#slots.size * 4 > capacity) return;
    const cells = new Float64Array(Math.max(1, this.#slots.size * 2) * CELLS).fill(-1);
    let to = 0;
    for (const [producerId, slot] of this.#slots) {
      cells.set(this.#cells.subarray(slot * CELLS, (slot + 1) * CELLS), to * CELLS);
      this.#slots.set(producerId, to++);
    }
    this.#cells = cells;
    this.#free = [];
  }

  #pushUndo(index: number): number {
    const capacity = this.#undo.length / UNDO_CELLS;
    if (this.#undoCount === capacity) {
      const grown = new Float64Array(Math.max(4, capacity * 2) * UNDO_CELLS);
      for (let i = 0; i < this.#undoCount; i++) {
        const from = ((this.#undoHead + i) % capacity) * UNDO_CELLS;
        grown.set(this.#undo.subarray(from, from + UNDO_CELLS), i * UNDO_CELLS);
      }
      this.#undo = grown;
      this.#undoHead = 0;
    }
    const slot = (this.#undoHead + this.#undoCount) % (this.#undo.length / UNDO_CELLS);
    this.#undoCount++;
    this.#undo[slot * UNDO_CELLS] = index;
    return slot * UNDO_CELLS + 1;
  }

  #restore(from: number): void {
    const producerId = this.#undo[from + ID]!;
    if (this.#undo[from + EPOCH]! < 0) {
      const slot = this.#slots.get(producerId);
      if (slot !== undefined) this.#drop(producerId, slot);
      return;
    }
    const at = this.#slotFor(producerId) * CELLS;
    for (let i = 0; i < CELLS; i++) this.#cells[at + i] = this.#undo[from + i]!;
    this.#transactions.setOpen(producerId, this.#undo[from + TXN_FIRST]!);
  }
}

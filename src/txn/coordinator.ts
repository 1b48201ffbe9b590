/**
 * The coordinator of the transactional ids in one partition of `__transaction_state`.
 *
 * ```
 *                         partitions are added                        all markers written
 *   EMPTY, COMPLETE_* ───────────────────────> ONGOING ──> PREPARE_* ─────────────────────> COMPLETE_*
 *        │      ^                                 EndTxn, or its time is over: abort
 *        └──────┘ InitProducerId: a new epoch fences the producer before
 * ```
 *
 * The decision is the PREPARE record: from its commit on the transaction ends in this way, whoever coordinates it.
 * Markers are written after that, again and again until each partition has one. A state changes only in
 * {@linkcode TransactionCoordinator.replay}: what is asked for is appended, and answered when it is committed and replayed.
 * One change at a time: meanwhile others get CONCURRENT_TRANSACTIONS; only additions of partitions may follow each other.
 *
 * Lives on the shard that leads the partition, as a group coordinator does (`src/group/coordinator.ts`). Pure: time
 * comes with each call; the owner calls {@linkcode TransactionCoordinator.tick}.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import { ErrorCode } from "../wire/errors.ts";
import type { TransactionConfig } from "./config.ts";
import { PARTITIONS_PER_TRANSACTION_MAX, TRANSACTIONAL_IDS_MAX } from "./limits.ts";
import {
  decodeTransaction,
  NO_PARTITIONS,
  type TopicPartitions,
  type TransactionRecord,
  transactionRecord,
  TransactionState,
  type TransactionValue,
} from "./records.ts";
import {
  countOf,
  emptyValue,
  ENDS,
  EPOCH_EXHAUSTED,
  holdsAll,
  isEnding,
  isKnownId,
  isRepeatedEnd,
  NONE,
  type TransactionalProducer,
  union,
  verdictOf,
} from "./rules.ts";

/** Transactions whose producers' epochs rise with each of them (KIP-890). */
export const EPOCH_PER_TRANSACTION = 2;

/** The partition of `__transaction_state` that a coordinator writes to; as a group coordinator's. */
export interface TransactionLog {
  /** Appends records; `done`: 0 when they are committed and replayed, or an error code. */
  append(records: readonly TransactionRecord[], done: (errorCode: number) => void): void;
}

/** What is to be said in every partition of a transaction. */
export interface MarkerOrder {
  readonly transactionalId: string;
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly isCommit: boolean;
  readonly clientVersion: number;
  readonly partitions: TopicPartitions;
}

/** Writes markers until all partitions have theirs, or the coordinator is gone; then `done`. */
export type WriteMarkers = (order: MarkerOrder, done: (isWritten: boolean) => void) => void;

export interface TransactionTime {
  readonly nowMs: number;
  readonly wallMs: number;
}

/** The answer with which a producer goes on. */
export interface ProducerAnswer {
  readonly errorCode: number;
  readonly producerId: number;
  readonly producerEpoch: number;
}

/** One transactional id. */
export interface Transaction {
  readonly id: string;
  /** As last replayed; null: nothing is written yet. */
  value: TransactionValue | null;
  /** The newest value that was appended and is not replayed. */
  pending: TransactionValue | null;
  appendsInFlight: number;
  /** The epoch before the last one that InitProducerId gave; -1: none that counts. */
  lastEpoch: number;
  /** The last epoch was given by the coordinator, to fence the producer. */
  isFenced: boolean;
  /** Its markers are being written. */
  isMarking: boolean;
}

export interface TransactionCoordinatorOptions {
  readonly config: TransactionConfig;
  readonly log: TransactionLog;
  readonly writeMarkers: WriteMarkers;
}

type Phase = "loading" | "active" | "gone" | "offline";

const REFUSALS: Readonly<Record<Phase, ErrorCode>> = {
  active: ErrorCode.NONE,
  loading: ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
  offline: ErrorCode.COORDINATOR_NOT_AVAILABLE,
  gone: ErrorCode.NOT_COORDINATOR,
};

export class TransactionCoordinator {
  readonly #options: TransactionCoordinatorOptions;
  readonly #transactions = new Map<string, Transaction>();
  #phase: Phase = "loading";
  #nextTimeoutCheckMs = Infinity;
  #nextExpirationCheckMs = Infinity;
  #wallMs = 0;

  constructor(options: TransactionCoordinatorOptions) {
    this.#options = options;
  }

  get active(): boolean {
    return this.#phase === "active";
  }

  /** NONE when requests are served. */
  get refusal(): ErrorCode {
    return REFUSALS[this.#phase];
  }

  /** Every transactional id, for administration. */
  all(): Iterable<Transaction> {
    return this.#transactions.values();
  }

  find(transactionalId: string): Transaction | undefined {
    return this.#transactions.get(transactionalId);
  }

  /** Takes over a committed record of the partition; returns why it was skipped, or null. */
  replay(key: Uint8Array, value: Uint8Array | null): string | null {
    if (this.#phase === "gone") return null;
    const record = decodeTransaction(key, value);
    if (record.kind === "skipped") return record.problem;
    if (record.value === null) {
      const known = this.#transactions.get(record.id);
      if (known !== undefined) known.value = null;
      this.#dropIfVoid(known);
      return null;
    }
    this.#getOrMake(record.id).value = record.value;
    return null;
  }

  /** Records that rebuild the written state. */
  *snapshotRecords(): Generator<TransactionRecord> {
    for (const { id, value } of this.#transactions.values()) {
      if (value !== null) yield transactionRecord(id, value);
    }
  }

  /** The partition is replayed up to its end: begins to serve, and to write markers that are missing. */
  loaded(nowMs: number, wallMs: number): void {
    assert(this.#phase === "loading", "a coordinator was loaded twice");
    const { config } = this.#options;
    this.#phase = "active";
    this.#wallMs = wallMs;
    this.#nextTimeoutCheckMs = nowMs + config.timeoutCheckMs;
    this.#nextExpirationCheckMs = nowMs + config.expirationCheckMs;
    for (const transaction of this.#transactions.values()) this.#mark(transaction);
  }

  /** Nobody can lead the partition before an operator has acted. */
  takeOffline(): void {
    assert(this.#phase === "loading", "a coordinator that serves loses its partition first");
    this.#phase = "offline";
  }

  /** The partition is led elsewhere. */
  unload(): void {
    this.#phase = "gone";
    this.#transactions.clear();
  }

  nextDeadlineMs(): number {
    return Math.min(this.#nextTimeoutCheckMs, this.#nextExpirationCheckMs);
  }

  /** Aborts transactions whose time is over, and forgets ids that were not used for long. */
  tick({ nowMs, wallMs }: TransactionTime): void {
    if (this.#phase !== "active") return;
    this.#wallMs = wallMs;
    const { config } = this.#options;
    if (nowMs >= this.#nextTimeoutCheckMs) {
      this.#nextTimeoutCheckMs = nowMs + config.timeoutCheckMs;
      for (const transaction of this.#transactions.values()) {
        this.#abortIfLate(transaction);
        // Who is saying that it is over has all markers: more of them could meet the next transaction.
        if (transaction.pending === null) this.#mark(transaction);
      }
    }
    if (nowMs < this.#nextExpirationCheckMs) return;
    this.#nextExpirationCheckMs = nowMs + config.expirationCheckMs;
    for (const transaction of [...this.#transactions.values()]) this.#forgetIfIdle(transaction);
  }

  /** Whether the next InitProducerId or EndTxn of this id needs a producer id that nobody has. */
  needsProducerId(transactionalId: string): boolean {
    const value = this.#transactions.get(transactionalId)?.value ?? null;
    return value === null || value.producerEpoch >= EPOCH_EXHAUSTED - 1;
  }

  /**
   * Gives the producer an epoch that fences all before it.
   *
   * @param producer with id and epoch -1: it knows of none
   * @param freshProducerId that nobody has; -1: none was needed
   */
  initProducerId(
    { wallMs }: TransactionTime,
    producer: TransactionalProducer,
    timeoutMs: number,
    freshProducerId: number,
    respond: (answer: ProducerAnswer) => void,
  ): void {
    this.#wallMs = wallMs;
    const { transactionalId } = producer;
    const isNew = !this.#transactions.has(transactionalId);
    if (isNew && this.#transactions.size >= TRANSACTIONAL_IDS_MAX) {
      return respond(refused(ErrorCode.COORDINATOR_NOT_AVAILABLE));
    }
    const transaction = this.#getOrMake(transactionalId);
    if (transaction.pending !== null) {
      return respond(refused(ErrorCode.CONCURRENT_TRANSACTIONS));
    }
    const { value } = transaction;
    const knows = producer.producerId !== NONE;
    if (knows && value !== null && !isKnownId(value, producer)) {
      return respond(refused(ErrorCode.PRODUCER_FENCED));
    }
    const needsId = value === null || value.producerEpoch >= EPOCH_EXHAUSTED;
    if (needsId && freshProducerId < 0) {
      this.#dropIfVoid(transaction);
      return respond(refused(ErrorCode.CONCURRENT_TRANSACTIONS));
    }
    if (value === null) {
      const first = emptyValue(freshProducerId, 0, timeoutMs, wallMs);
      return this.#give(transaction, first, NONE, respond);
    }
    switch (value.state) {
      case TransactionState.PREPARE_COMMIT:
      case TransactionState.PREPARE_ABORT:
        return respond(refused(ErrorCode.CONCURRENT_TRANSACTIONS));
      case TransactionState.ONGOING:
        if (knows && producer.producerEpoch !== value.producerEpoch) {
          return respond(refused(ErrorCode.PRODUCER_FENCED));
        }
        this.#abort(transaction, value);
        // It comes again, and gets its epoch when the markers are written.
        return respond(refused(ErrorCode.CONCURRENT_TRANSACTIONS));
    }
    const { producerId, producerEpoch } = value;
    const epochs = knows ? this.#nextEpochs(transaction, value, producer.producerEpoch) : null;
    if (knows && epochs === null) return respond(refused(ErrorCode.PRODUCER_FENCED));
    if (epochs !== null && epochs.next === producerEpoch) {
      // A repeated question: the answer to the first one was lost.
      return respond({ errorCode: ErrorCode.NONE, producerId, producerEpoch });
    }
    const next = producerEpoch >= EPOCH_EXHAUSTED
      ? {
        ...emptyValue(freshProducerId, 0, timeoutMs, wallMs),
        previousProducerId: producerId,
      }
      : {
        ...emptyValue(producerId, producerEpoch + 1, timeoutMs, wallMs),
        previousProducerId: value.previousProducerId,
      };
    const kept = { ...next, clientVersion: value.clientVersion };
    this.#give(transaction, kept, epochs === null ? NONE : producerEpoch, respond);
  }

  /** Adds partitions to the producer's transaction, which begins with the first ones. */
  addPartitions(
    { wallMs }: TransactionTime,
    producer: TransactionalProducer,
    added: TopicPartitions,
    clientVersion: number,
    respond: (errorCode: number) => void,
  ): void {
    this.#wallMs = wallMs;
    const transaction = this.#transactions.get(producer.transactionalId);
    const problem = this.#problemOf(transaction, producer);
    if (problem !== ErrorCode.NONE) return respond(problem);
    const { pending } = transaction!;
    if (pending !== null && pending.state !== TransactionState.ONGOING) {
      return respond(ErrorCode.CONCURRENT_TRANSACTIONS);
    }
    const value = transaction!.value!;
    const latest = pending ?? value;
    if (isEnding(latest.state)) return respond(ErrorCode.CONCURRENT_TRANSACTIONS);
    const isOngoing = latest.state === TransactionState.ONGOING;
    if (value.state === TransactionState.ONGOING && holdsAll(value.partitions, added)) {
      return respond(ErrorCode.NONE);
    }
    const partitions = union(isOngoing ? latest.partitions : NO_PARTITIONS, added);
    if (countOf(partitions) > PARTITIONS_PER_TRANSACTION_MAX) {
      return respond(ErrorCode.INVALID_REQUEST);
    }
    this.#append(transaction!, {
      ...latest,
      state: TransactionState.ONGOING,
      partitions,
      startedMs: isOngoing ? latest.startedMs : wallMs,
      updatedMs: wallMs,
      clientVersion,
    }, respond);
  }

  /** Whether a partition belongs to the producer's ongoing transaction; `isIn` is asked when the producer is right. */
  verify(producer: TransactionalProducer): { errorCode: number; partitions: TopicPartitions } {
    const transaction = this.#transactions.get(producer.transactionalId);
    const problem = this.#problemOf(transaction, producer);
    const value = transaction?.value ?? null;
    if (problem !== ErrorCode.NONE || value === null) {
      return { errorCode: problem, partitions: NO_PARTITIONS };
    }
    if (isEnding((transaction!.pending ?? value).state)) {
      return { errorCode: ErrorCode.CONCURRENT_TRANSACTIONS, partitions: NO_PARTITIONS };
    }
    const isOngoing = value.state === TransactionState.ONGOING;
    return { errorCode: ErrorCode.NONE, partitions: isOngoing ? value.partitions : NO_PARTITIONS };
  }

  /**
   * Ends the producer's transaction.
   *
   * @param clientVersion 2: the producer's epoch rises with it
   */
  endTransaction(
    { wallMs }: TransactionTime,
    producer: TransactionalProducer,
    isCommit: boolean,
    clientVersion: number,
    freshProducerId: number,
    respond: (answer: ProducerAnswer) => void,
  ): void {
    this.#wallMs = wallMs;
    const transaction = this.#transactions.get(producer.transactionalId);
    const value = transaction?.value ?? null;
    if (transaction === undefined || value === null) {
      return respond(refused(ErrorCode.INVALID_PRODUCER_ID_MAPPING));
    }
    const rises = clientVersion >= EPOCH_PER_TRANSACTION;
    const isAgain = rises && !transaction.isFenced && isRepeatedEnd(value, producer);
    if (!isAgain) {
      const problem = this.#problemOf(transaction, producer);
      if (problem !== ErrorCode.NONE) return respond(refused(problem));
    }
    if (transaction.pending !== null) {
      return respond(refused(ErrorCode.CONCURRENT_TRANSACTIONS));
    }
    const verdict = verdictOf(value.state, isCommit, rises, isAgain);
    if (verdict === ErrorCode.NONE) {
      const { producerId, producerEpoch } = value;
      return respond({ errorCode: ErrorCode.NONE, producerId, producerEpoch });
    }
    if (verdict !== ENDS) return respond(refused(verdict));
    const isExhausted = rises && value.producerEpoch >= EPOCH_EXHAUSTED;
    if (isExhausted && freshProducerId < 0) {
      return respond(refused(ErrorCode.CONCURRENT_TRANSACTIONS));
    }
    const isOngoing = value.state === TransactionState.ONGOING;
    const next: TransactionValue = {
      ...value,
      producerEpoch: value.producerEpoch + (rises ? 1 : 0),
      nextProducerId: isExhausted ? freshProducerId : NONE,
      state: isCommit ? TransactionState.PREPARE_COMMIT : TransactionState.PREPARE_ABORT,
      partitions: isOngoing ? value.partitions : NO_PARTITIONS,
      startedMs: isOngoing ? value.startedMs : wallMs,
      updatedMs: wallMs,
      clientVersion,
    };
    this.#append(transaction, next, (errorCode) => {
      if (errorCode !== ErrorCode.NONE) return respond(refused(errorCode));
      transaction.isFenced = false;
      transaction.lastEpoch = NONE;
      respond({
        errorCode,
        producerId: isExhausted ? freshProducerId : next.producerId,
        producerEpoch: isExhausted ? 0 : next.producerEpoch,
      });
      this.#mark(transaction);
    });
  }

  /** Ends a transaction that its producer will not end: the next epoch fences it. */
  #abort(transaction: Transaction, value: TransactionValue): void {
    this.#append(transaction, {
      ...value,
      producerEpoch: value.producerEpoch + 1,
      state: TransactionState.PREPARE_ABORT,
      updatedMs: this.#wallMs,
    }, (errorCode) => {
      if (errorCode !== ErrorCode.NONE) return;
      transaction.isFenced = true;
      transaction.lastEpoch = NONE;
      this.#mark(transaction);
    });
  }

  #abortIfLate(transaction: Transaction): void {
    const { value, pending } = transaction;
    if (value?.state !== TransactionState.ONGOING || pending !== null) return;
    if (value.startedMs + value.timeoutMs <= this.#wallMs) this.#abort(transaction, value);
  }

  #forgetIfIdle(transaction: Transaction): void {
    const { value, pending, id } = transaction;
    if (value === null || pending !== null || transaction.appendsInFlight > 0) return;
    if (value.state === TransactionState.ONGOING || isEnding(value.state)) return;
    if (value.updatedMs + this.#options.config.idExpirationMs > this.#wallMs) return;
    transaction.pending = value;
    transaction.appendsInFlight++;
    this.#options.log.append([transactionRecord(id, null)], () => {
      this.#settle(transaction);
    });
  }

  /** Has the markers of a decided transaction written, and then says that it is over. */
  #mark(transaction: Transaction): void {
    const { value, id } = transaction;
    if (this.#phase !== "active" || value === null || transaction.isMarking) return;
    if (!isEnding(value.state)) return;
    transaction.isMarking = true;
    const isCommit = value.state === TransactionState.PREPARE_COMMIT;
    const { producerId, producerEpoch, clientVersion, partitions } = value;
    const order = { transactionalId: id, producerId, producerEpoch, isCommit, clientVersion };
    this.#options.writeMarkers({ ...order, partitions }, (isWritten) => {
      transaction.isMarking = false;
      if (isWritten) this.#complete(transaction, value);
    });
  }

  #complete(transaction: Transaction, value: TransactionValue): void {
    if (this.#phase !== "active" || transaction.value !== value) return;
    const isCommit = value.state === TransactionState.PREPARE_COMMIT;
    const rotates = value.nextProducerId >= 0;
    this.#append(transaction, {
      ...value,
      producerId: rotates ? value.nextProducerId : value.producerId,
      previousProducerId: rotates ? value.producerId : value.previousProducerId,
      nextProducerId: NONE,
      producerEpoch: rotates ? 0 : value.producerEpoch,
      state: isCommit ? TransactionState.COMPLETE_COMMIT : TransactionState.COMPLETE_ABORT,
      partitions: NO_PARTITIONS,
      updatedMs: this.#wallMs,
    }, () => {
      // Where it failed, the next tick has the markers written again: at once, a full disk would take them without end.
    });
  }

  #give(
    transaction: Transaction,
    value: TransactionValue,
    lastEpoch: number,
    respond: (answer: ProducerAnswer) => void,
  ): void {
    this.#append(transaction, value, (errorCode) => {
      if (errorCode !== ErrorCode.NONE) return respond(refused(errorCode));
      transaction.lastEpoch = lastEpoch;
      transaction.isFenced = false;
      const { producerId, producerEpoch } = value;
      respond({ errorCode, producerId, producerEpoch });
    });
  }

  /** The epoch after InitProducerId of a producer that names its own (KIP-360); null: another one has taken over. */
  #nextEpochs(
    { lastEpoch }: Transaction,
    { producerEpoch }: TransactionValue,
    expected: number,
  ): { readonly next: number } | null {
    if (expected === producerEpoch) return { next: producerEpoch + 1 };
    return expected === lastEpoch ? { next: producerEpoch } : null;
  }

  #problemOf(
    transaction: Transaction | undefined,
    { producerId, producerEpoch }: TransactionalProducer,
  ): ErrorCode {
    const value = transaction?.value ?? null;
    if (value === null || value.producerId !== producerId) {
      return ErrorCode.INVALID_PRODUCER_ID_MAPPING;
    }
    // The last epoch of an id is given to nobody: a transaction in it could not be ended by a later one.
    const isOwn = value.producerEpoch === producerEpoch && producerEpoch <= EPOCH_EXHAUSTED;
    return isOwn ? ErrorCode.NONE : ErrorCode.PRODUCER_FENCED;
  }

  #append(
    transaction: Transaction,
    value: TransactionValue,
    done: (errorCode: number) => void,
  ): void {
    transaction.pending = value;
    transaction.appendsInFlight++;
    this.#options.log.append([transactionRecord(transaction.id, value)], (errorCode) => {
      this.#settle(transaction);
      done(errorCode);
    });
  }

  #settle(transaction: Transaction): void {
    transaction.appendsInFlight--;
    if (transaction.appendsInFlight === 0) transaction.pending = null;
    this.#dropIfVoid(transaction);
  }

  #getOrMake(id: string): Transaction {
    let transaction = this.#transactions.get(id);
    if (transaction === undefined) {
      transaction = {
        id,
        value: null,
        pending: null,
        appendsInFlight: 0,
        lastEpoch: NONE,
        isFenced: false,
        isMarking: false,
      };
      this.#transactions.set(id, transaction);
    }
    return transaction;
  }

  #dropIfVoid(transaction: Transaction | undefined): void {
    if (transaction === undefined || transaction.value !== null) return;
    if (transaction.appendsInFlight === 0) this.#transactions.delete(transaction.id);
  }
}

function refused(errorCode: number): ProducerAnswer {
  return { errorCode, producerId: NONE, producerEpoch: NONE };
}

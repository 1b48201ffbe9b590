/**
 * One partition's part of a produce request, on the shard that owns the partition.
 *
 * The same code serves requests of this shard's connections and of another shard's: it checks the
 * batch and its records, appends it, and returns what to answer and what to wait for. The order of the checks
 * is Kafka's, and so are the codes; batches that only Gregor refuses are batches that consumers could not read
 * (`tests/conformance/records`). The batch's max timestamp is taken from its records, whatever the producer
 * wrote there.
 *
 * Errors: NOT_LEADER_OR_FOLLOWER, MESSAGE_TOO_LARGE, CORRUPT_MESSAGE,
 * INVALID_RECORD, INVALID_TIMESTAMP, UNSUPPORTED_COMPRESSION_TYPE, NOT_ENOUGH_REPLICAS,
 * INVALID_PRODUCER_EPOCH, OUT_OF_ORDER_SEQUENCE_NUMBER, KAFKA_STORAGE_ERROR. Of transactional batches also:
 * TRANSACTIONAL_ID_AUTHORIZATION_FAILED (the request names no transactional id), INVALID_TXN_STATE, TRANSACTION_ABORTABLE,
 * INVALID_PRODUCER_ID_MAPPING and NOT_ENOUGH_REPLICAS (their coordinator does not answer), see `transaction_guard.ts`.
 *
 * @module
 */

import type { Crc32c } from "../bytes/crc32c.ts";
import type { Memory } from "../bytes/memory.ts";
import { decodeUtf8Lossy } from "../bytes/utf8.ts";
import { type RecordRules, type RecordWalk, WalkStatus } from "../io/record_walk.ts";
import { LOG_BUSY, LOG_NO_SPACE, LOG_TOO_LARGE } from "../storage/log.ts";
import { lastSequenceOf, ProducerCheck } from "../storage/producer_table.ts";
import { checkBatch } from "../wire/check_batch.ts";
import { ErrorCode } from "../wire/errors.ts";
import {
  ATTRIBUTES_OFFSET,
  BATCH_HEADER_SIZE,
  BATCH_MAGIC,
  batchAttributes,
  batchBaseSequence,
  batchBaseTimestamp,
  batchCompression,
  batchIsTransactional,
  batchLastOffsetDelta,
  batchMagic,
  batchMaxTimestamp,
  batchProducerEpoch,
  batchProducerId,
  batchRecordCount,
  batchSize,
  Compression,
  LOG_APPEND_TIME_FLAG,
  setBatchCrc,
  setBatchCreateTime,
  setBatchLogAppendTime,
} from "../wire/record_batch.ts";
import { ACKS_ALL, type Partition } from "./partition.ts";
import { type Traffic, TrafficKind } from "../metrics/traffic.ts";
import type { RecordChecks } from "./record_checks.ts";
import { Cause, Refusal } from "./refusal.ts";
import type { TransactionGuard } from "./transaction_guard.ts";

const ZSTD_SINCE_VERSION = 7;
/** Producers from this version on leave it to the partition's leader to add the partition to the transaction (KIP-890). */
const IMPLICIT_ADDS_SINCE = 12;

/**
 * The log had no room, the walk of the records continues, or a transaction's coordinator is asked: keep the request and try
 * again when the log is writable, or that has ended.
 */
export const APPEND_BUSY = -1000;
/** The {@linkcode Cause} of each {@linkcode WalkStatus}. */
const CAUSES: readonly number[] = [
  Cause.NONE,
  Cause.MALFORMED,
  Cause.WRONG_OFFSETS,
  Cause.UNDECODABLE,
  Cause.TOO_LARGE,
  Cause.RECORDS,
  Cause.WINDOW,
];

/** What became of a batch; one per shard, valid until the next append. */
export class AppendOutcome {
  error = 0;
  baseOffset = -1;
  logAppendTimeMs = -1;
  logStartOffset = -1;
  /** The producer whose transaction's coordinator is asked, with APPEND_BUSY; -1: the batch waits for something else. */
  askingFor = -1;
  /** Answer when everything below is as safe as the request's acks ask for. */
  waitOffset = 0;
  /** Why the batch was refused; its cause is NONE when the error code suffices. */
  readonly refusal = new Refusal();

  /** Begins anew. */
  reset(error: number): void {
    this.error = error;
    this.baseOffset = -1;
    this.logAppendTimeMs = -1;
    this.logStartOffset = -1;
    this.askingFor = -1;
    this.refusal.cause = Cause.NONE;
  }
}

/** What of the request matters to each of its batches. */
export interface AppendRequest {
  readonly version: number;
  readonly acks: number;
  readonly wallMs: number;
  /** The producer's transactional id, in the region; -1: it has none. */
  readonly transactionalIdAddress: number;
  readonly transactionalIdLength: number;
}

export interface ProduceAppenderOptions {
  readonly memory: Memory;
  readonly crc32c: Crc32c;
  readonly checks: RecordChecks;
  /** Walk compressed batches, too (`produce.records.check`). */
  readonly checkCompressed: boolean;
  readonly transactions: TransactionGuard;
  /** Counts what is appended. */
  readonly traffic: Traffic;
}

export class ProduceAppender {
  readonly #memory: Memory;
  readonly #crc32c: Crc32c;
  readonly #checks: RecordChecks;
  readonly #checkCompressed: boolean;
  readonly #transactions: TransactionGuard;
  readonly #traffic: Traffic;
  readonly #rules: { -readonly [Name in keyof RecordRules]: RecordRules[Name] } = {
    keysRequired: false,
    oldestMs: 0,
    newestMs: 0,
  };
  readonly outcome = new AppendOutcome();

  constructor(options: ProduceAppenderOptions) {
    this.#memory = options.memory;
    this.#crc32c = options.crc32c;
    this.#checks = options.checks;
    this.#checkCompressed = options.checkCompressed;
    this.#transactions = options.transactions;
    this.#traffic = options.traffic;
  }

  /**
   * Appends the records at `address`; the answer is in {@linkcode outcome}.
   *
   * @param length bytes of the records, -1 for null
   * @returns the error code, or {@linkcode APPEND_BUSY}
   */
  append(partition: Partition, address: number, length: number, request: AppendRequest): number {
    const outcome = this.outcome;
    outcome.reset(ErrorCode.NONE);
    outcome.error = this.#append(partition, address, length, request);
    if (outcome.error !== APPEND_BUSY) this.#checks.forget(address);
    if (hidesStart(outcome.error)) outcome.logStartOffset = -1;
    return outcome.error;
  }

  /** The records at `address` have no partition here: they will not be tried again. */
  refuse(address: number, error: ErrorCode): void {
    this.outcome.reset(error);
    this.#checks.forget(address);
  }

  #append(partition: Partition, address: number, length: number, request: AppendRequest): number {
    if (partition.replica.readOnly) {
      this.outcome.refusal.storage(Cause.READ_ONLY);
      return ErrorCode.KAFKA_STORAGE_ERROR;
    }
    const { leading, undecided } = partition;
    // Whoever is elected and commits nothing for a while, because the others take nothing, keeps nobody waiting.
    const opening = partition.opening && undecided;
    if (!leading && !opening) {
      return undecided ? APPEND_BUSY : ErrorCode.NOT_LEADER_OR_FOLLOWER;
    }
    this.outcome.logStartOffset = partition.startOffset;
    if (request.acks === ACKS_ALL && partition.lacksReplicas) {
      return opening ? APPEND_BUSY : ErrorCode.NOT_ENOUGH_REPLICAS;
    }
    // Asked first: checking a batch reads all of it, and it would be checked again.
    const checks = this.#checks;
    if (checks.waits(address) || (partition.busy && !checks.hasEnded(address))) {
      return APPEND_BUSY;
    }
    const refused = this.#check(partition, address, length, request);
    if (refused !== ErrorCode.NONE) return refused;
    const view = this.#memory.view;
    const producerId = batchProducerId(view, address);
    if (producerId >= 0) {
      const known = this.#checkProducer(partition, address, producerId, request.wallMs);
      // A refusal that may not be repeated rests on what is committed, and so does what belongs to a transaction.
      const isEarly = known > ErrorCode.NONE || batchIsTransactional(view, address);
      if (opening && isEarly) return this.#keep(address, length);
      if (known >= 0) return known;
      const open = this.#checkTransaction(partition, address, producerId, request);
      if (open !== ErrorCode.NONE) {
        if (open === APPEND_BUSY) this.outcome.askingFor = producerId;
        if (open === APPEND_BUSY || opening) return this.#keep(address, length);
        this.outcome.logStartOffset = -1;
        return open;
      }
    }
    const log = partition.log;
    const baseOffset = partition.append(address, length, request.wallMs);
    if (baseOffset >= 0) {
      if (batchIsTransactional(view, address)) {
        this.#transactions.forget(log.groupId, producerId);
      }
      const { trafficRow } = partition.image.topic;
      this.#traffic.add(trafficRow, TrafficKind.PRODUCED_BYTES, length);
      this.#traffic.add(trafficRow, TrafficKind.PRODUCED_RECORDS, log.endOffset - baseOffset);
      this.outcome.baseOffset = baseOffset;
      this.outcome.waitOffset = log.endOffset;
      return ErrorCode.NONE;
    }
    if (baseOffset === LOG_TOO_LARGE) {
      this.outcome.refusal.overMemory(partition.replica.batchBytesMax);
      return ErrorCode.MESSAGE_TOO_LARGE;
    }
    if (baseOffset !== LOG_BUSY) {
      if (baseOffset === LOG_NO_SPACE) this.outcome.refusal.storage(Cause.NO_SPACE);
      else if (log.suspect) this.outcome.refusal.storage(Cause.READ_ONLY);
      return ErrorCode.KAFKA_STORAGE_ERROR;
    }
    return this.#keep(address, length);
  }

  /** The checked batch is tried again as if it had just come. */
  #keep(address: number, length: number): number {
    if (this.outcome.logAppendTimeMs >= 0) this.#unstamp(address, length);
    return APPEND_BUSY;
  }

  #check(
    partition: Partition,
    address: number,
    length: number,
    request: AppendRequest,
  ): number {
    const { view } = this.#memory;
    const { outcome } = this;
    const { limits } = partition;
    if (length < 0) return ErrorCode.INVALID_RECORD;
    // Anything else than one whole batch has another error, whatever its size.
    const isOneBatch = length >= BATCH_HEADER_SIZE && batchSize(view, address) === length;
    if (length > limits.batchSizeMax && isOneBatch) return ErrorCode.MESSAGE_TOO_LARGE;
    const broken = checkBatch(this.#memory, address, address + length, this.#crc32c);
    if (broken !== ErrorCode.NONE) {
      // Of these Kafka's requests are refused before they reach a log.
      if (!isOneBatch || batchMagic(view, address) !== BATCH_MAGIC) outcome.logStartOffset = -1;
      return broken;
    }
    const zstd = batchCompression(view, address) === Compression.ZSTD;
    if (zstd && request.version < ZSTD_SINCE_VERSION) {
      outcome.logStartOffset = -1;
      return ErrorCode.UNSUPPORTED_COMPRESSION_TYPE;
    }
    if (batchIsTransactional(view, address) && request.transactionalIdLength <= 0) {
      outcome.logStartOffset = -1;
      return ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
    }
    const compressed = batchCompression(view, address) !== Compression.NONE;
    if (compressed && !this.#checkCompressed) {
      return this.#checkUnseen(partition, address, length, request);
    }
    const stamped = (batchAttributes(view, address) & LOG_APPEND_TIME_FLAG) !== 0;
    const rules = this.#rules;
    rules.keysRequired = limits.keysRequired;
    rules.oldestMs = limits.logAppendTime ? -Infinity : request.wallMs - limits.beforeMaxMs;
    rules.newestMs = limits.logAppendTime ? Infinity : request.wallMs + limits.afterMaxMs;
    let maxTimestamp = this.#checks.soundMaxTimestampMs(address);
    if (Number.isNaN(maxTimestamp)) {
      const walk = this.#checks.check(address, length, rules);
      if (walk === null) return APPEND_BUSY;
      if (walk.status !== WalkStatus.SOUND) return this.#refuse(walk, rules, compressed);
      maxTimestamp = walk.maxTimestampMs;
    }
    if (limits.logAppendTime) return this.#stamp(address, length, stamped, request.wallMs);
    // The records' own timestamps count, not the header's.
    if (stamped || batchMaxTimestamp(view, address) !== maxTimestamp) {
      setBatchCreateTime(view, address, maxTimestamp);
      this.#setCrc(address, length);
    }
    return ErrorCode.NONE;
  }

  /** Writes the walk's result into the outcome; returns its code. */
  #refuse(walk: RecordWalk, rules: RecordRules, compressed: boolean): ErrorCode {
    const { refusal } = this.outcome;
    refusal.cause = CAUSES[walk.status]!;
    switch (walk.status) {
      case WalkStatus.REFUSED:
        refusal.take(walk, rules.oldestMs, rules.newestMs);
        return walk.outOfTimeCount > 0 ? ErrorCode.INVALID_TIMESTAMP : ErrorCode.INVALID_RECORD;
      case WalkStatus.TOO_LARGE:
        // On this error a producer splits the batch and sends it again.
        return ErrorCode.MESSAGE_TOO_LARGE;
      case WalkStatus.WRONG_OFFSETS:
        return compressed ? ErrorCode.UNKNOWN_SERVER_ERROR : ErrorCode.INVALID_RECORD;
      case WalkStatus.UNDECODABLE:
        return ErrorCode.UNKNOWN_SERVER_ERROR;
      default:
        return ErrorCode.INVALID_RECORD;
    }
  }

  /** A topic with the broker's times takes no batch that claims to have them already. */
  #stamp(address: number, length: number, stamped: boolean, wallMs: number): ErrorCode {
    const { view } = this.#memory;
    if (stamped) {
      this.outcome.refusal.stamped(batchRecordCount(view, address));
      return ErrorCode.INVALID_TIMESTAMP;
    }
    setBatchLogAppendTime(view, address, wallMs);
    this.#setCrc(address, length);
    this.outcome.logAppendTimeMs = wallMs;
    return ErrorCode.NONE;
  }

  /** It is checked again when there is room, and must not look as if its producer had stamped it. */
  #unstamp(address: number, length: number): void {
    const { view } = this.#memory;
    setBatchCreateTime(view, address, batchMaxTimestamp(view, address));
    this.#setCrc(address, length);
  }

  /** The header is believed. */
  #checkUnseen(
    partition: Partition,
    address: number,
    length: number,
    { wallMs }: AppendRequest,
  ): ErrorCode {
    const { view } = this.#memory;
    const { limits } = partition;
    const stamped = (batchAttributes(view, address) & LOG_APPEND_TIME_FLAG) !== 0;
    if (limits.logAppendTime) return this.#stamp(address, length, stamped, wallMs);
    if (stamped) return ErrorCode.INVALID_TIMESTAMP;
    const oldest = batchBaseTimestamp(view, address);
    const newest = batchMaxTimestamp(view, address);
    // A batch without timestamps (-1) is never too old, as in Kafka.
    const tooOld = oldest >= 0 && wallMs - oldest > limits.beforeMaxMs;
    const tooNew = newest - wallMs > limits.afterMaxMs;
    return tooOld || tooNew ? ErrorCode.INVALID_TIMESTAMP : ErrorCode.NONE;
  }

  /** Returns -1 when the batch is new, else what to answer. */
  #checkProducer(
    partition: Partition,
    address: number,
    producerId: number,
    wallMs: number,
  ): number {
    const { view } = this.#memory;
    const epoch = batchProducerEpoch(view, address);
    const first = batchBaseSequence(view, address);
    const records = batchLastOffsetDelta(view, address) + 1;
    const { producers } = partition.log;
    const last = lastSequenceOf(first, records);
    const verdict = producers.check(producerId, epoch, first, last, wallMs);
    switch (verdict) {
      case ProducerCheck.NEW:
        return -1;
      case ProducerCheck.DUPLICATE:
        // Answered like the original, and not before it is as safe.
        this.outcome.baseOffset = producers.duplicateOffset;
        // As in Kafka, and there for either type of timestamps.
        this.outcome.logAppendTimeMs = producers.duplicateTimestampMs;
        this.outcome.waitOffset = producers.duplicateOffset + records;
        return ErrorCode.NONE;
      case ProducerCheck.INVALID_EPOCH:
        return ErrorCode.INVALID_PRODUCER_EPOCH;
      default:
        return ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER;
    }
  }

  /** Whether a producer's transaction, or its want of one, lets the batch in; {@linkcode APPEND_BUSY}: that is being asked. */
  #checkTransaction(
    partition: Partition,
    address: number,
    producerId: number,
    request: AppendRequest,
  ): number {
    const { bytes, view } = this.#memory;
    const { producers, groupId } = partition.log;
    if (!batchIsTransactional(view, address)) {
      // As in Kafka: within a transaction everything belongs to it.
      const isWithin = producers.firstUnstable() >= 0 && producers.transactionOf(producerId) >= 0;
      return isWithin ? ErrorCode.INVALID_TXN_STATE : ErrorCode.NONE;
    }
    const producerEpoch = batchProducerEpoch(view, address);
    const isOpen = producers.transactionOf(producerId) >= 0;
    if (isOpen && producers.epochOf(producerId) === producerEpoch) return ErrorCode.NONE;
    if (producers.isFullOfTransactions) return ErrorCode.NOT_ENOUGH_REPLICAS;
    const { transactionalIdAddress: from, transactionalIdLength: length } = request;
    const transactionalId = decodeUtf8Lossy(bytes, from, from + length);
    const adds = request.version >= IMPLICIT_ADDS_SINCE;
    const question = { transactionalId, groupId, producerId, producerEpoch, adds };
    return this.#transactions.check(question, partition.leaderEpoch);
  }

  #setCrc(address: number, length: number): void {
    const from = address + ATTRIBUTES_OFFSET;
    setBatchCrc(this.#memory.view, address, this.#crc32c(from, length - ATTRIBUTES_OFFSET, 0));
  }
}

/** Whether the answer to a refused batch leaves out where the log starts, as Kafka's does. */
function hidesStart(error: number): boolean {
  return error === ErrorCode.MESSAGE_TOO_LARGE || error === ErrorCode.CORRUPT_MESSAGE ||
    error === ErrorCode.KAFKA_STORAGE_ERROR;
}

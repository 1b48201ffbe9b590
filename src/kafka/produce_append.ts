/**
 * One partition's part of a produce request, on the shard that owns the partition.
 *
 * The same code serves requests of this shard's connections and of another shard's: it checks the
 * batch, appends it, and says what to answer and what to wait for. The order of the checks is Kafka's.
 *
 * Errors: UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER, MESSAGE_TOO_LARGE, CORRUPT_MESSAGE,
 * INVALID_RECORD, INVALID_TIMESTAMP, UNSUPPORTED_COMPRESSION_TYPE, NOT_ENOUGH_REPLICAS,
 * INVALID_TXN_STATE (there is no transaction coordinator yet), INVALID_PRODUCER_EPOCH,
 * OUT_OF_ORDER_SEQUENCE_NUMBER, KAFKA_STORAGE_ERROR.
 *
 * @module
 */

import type { Crc32c } from "../bytes/crc32c.ts";
import type { Memory } from "../bytes/memory.ts";
import { LOG_BUSY, LOG_TOO_LARGE } from "../storage/log.ts";
import { lastSequenceOf, ProducerCheck } from "../storage/producer_table.ts";
import { checkBatch, checkRecords } from "../wire/check_batch.ts";
import { ErrorCode } from "../wire/errors.ts";
import {
  ATTRIBUTES_OFFSET,
  batchAttributes,
  batchBaseSequence,
  batchBaseTimestamp,
  batchCompression,
  batchIsTransactional,
  batchLastOffsetDelta,
  batchMaxTimestamp,
  batchProducerEpoch,
  batchProducerId,
  Compression,
  LOG_APPEND_TIME_FLAG,
  setBatchCrc,
  setBatchLogAppendTime,
} from "../wire/record_batch.ts";
import { RecordReader } from "../wire/record_reader.ts";
import type { Partition } from "./partition.ts";

/** Every in-sync replica, in Kafka's words; here: a durable majority. */
export const ACKS_ALL = -1;
const ZSTD_SINCE_VERSION = 7;
/** Replicas of every partition while there is one node. */
const REPLICAS = 1;

/** The log had no room: keep the request and try again when it is writable. */
export const APPEND_BUSY = -1000;

/** What became of a batch; one per shard, valid until the next append. */
export class AppendOutcome {
  error = 0;
  baseOffset = -1;
  logAppendTimeMs = -1;
  logStartOffset = -1;
  leaderEpoch = -1;
  /** Answer when everything below is committed. */
  waitOffset = 0;
}

/** What of the request matters to each of its batches. */
export interface AppendRequest {
  readonly version: number;
  readonly acks: number;
  readonly wallMs: number;
}

export class ProduceAppender {
  readonly #memory: Memory;
  readonly #crc32c: Crc32c;
  readonly #records = new RecordReader();
  readonly outcome = new AppendOutcome();

  constructor(memory: Memory, crc32c: Crc32c) {
    this.#memory = memory;
    this.#crc32c = crc32c;
  }

  /**
   * Appends the records at `address`; the answer stands in {@linkcode outcome}.
   *
   * @param length bytes of the records, -1 for null
   * @returns the error code, or {@linkcode APPEND_BUSY}
   */
  append(
    partition: Partition | undefined,
    address: number,
    length: number,
    request: AppendRequest,
  ): number {
    const outcome = this.outcome;
    outcome.baseOffset = -1;
    outcome.logAppendTimeMs = -1;
    outcome.logStartOffset = -1;
    outcome.leaderEpoch = -1;
    outcome.error = this.#append(partition, address, length, request);
    return outcome.error;
  }

  #append(
    partition: Partition | undefined,
    address: number,
    length: number,
    request: AppendRequest,
  ): number {
    if (partition === undefined || partition.gone) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
    if (partition.replica.readOnly) return ErrorCode.KAFKA_STORAGE_ERROR;
    if (!partition.leading) return ErrorCode.NOT_LEADER_OR_FOLLOWER;
    this.outcome.logStartOffset = partition.startOffset;
    this.outcome.leaderEpoch = partition.leaderEpoch;
    if (request.acks === ACKS_ALL && partition.limits.insyncReplicasMin > REPLICAS) {
      return ErrorCode.NOT_ENOUGH_REPLICAS;
    }
    // Asked first: checking a batch reads all of it, and it would be checked again.
    if (partition.log.busy) return APPEND_BUSY;
    const refused = this.#check(partition, address, length, request);
    if (refused !== ErrorCode.NONE) return refused;
    const view = this.#memory.view;
    const producerId = batchProducerId(view, address);
    if (producerId >= 0) {
      const known = this.#checkProducer(partition, address, producerId);
      if (known >= 0) return known;
    }
    const term = partition.leaderEpoch;
    const log = partition.log;
    const baseOffset = log.append(address, length, term, request.wallMs);
    if (baseOffset >= 0) {
      this.outcome.baseOffset = baseOffset;
      this.outcome.waitOffset = log.endOffset;
      return ErrorCode.NONE;
    }
    if (baseOffset === LOG_TOO_LARGE) return ErrorCode.MESSAGE_TOO_LARGE;
    return baseOffset === LOG_BUSY ? APPEND_BUSY : ErrorCode.KAFKA_STORAGE_ERROR;
  }

  #check(
    partition: Partition,
    address: number,
    length: number,
    request: AppendRequest,
  ): number {
    const { view } = this.#memory;
    const { limits } = partition;
    if (length > limits.batchSizeMax) return ErrorCode.MESSAGE_TOO_LARGE;
    if (length < 0) return ErrorCode.INVALID_RECORD;
    const broken = checkBatch(this.#memory, address, address + length, this.#crc32c);
    if (broken !== ErrorCode.NONE) return broken;
    const zstd = batchCompression(view, address) === Compression.ZSTD;
    if (zstd && request.version < ZSTD_SINCE_VERSION) return ErrorCode.UNSUPPORTED_COMPRESSION_TYPE;
    if (batchIsTransactional(view, address)) return ErrorCode.INVALID_TXN_STATE;
    const refused = checkRecords(this.#memory, address, this.#records, limits.keysRequired);
    if (refused !== ErrorCode.NONE) return refused;
    if (limits.logAppendTime) {
      this.#setLogAppendTime(address, length, request.wallMs);
      this.outcome.logAppendTimeMs = request.wallMs;
      return ErrorCode.NONE;
    }
    const stamped = (batchAttributes(view, address) & LOG_APPEND_TIME_FLAG) !== 0;
    if (stamped) return ErrorCode.INVALID_TIMESTAMP;
    const oldest = batchBaseTimestamp(view, address);
    const newest = batchMaxTimestamp(view, address);
    // A batch without timestamps (-1) is never too old, as in Kafka.
    const tooOld = oldest >= 0 && request.wallMs - oldest > limits.beforeMaxMs;
    const tooNew = newest - request.wallMs > limits.afterMaxMs;
    return tooOld || tooNew ? ErrorCode.INVALID_TIMESTAMP : ErrorCode.NONE;
  }

  /** Returns -1 when the batch is new, else what to answer. */
  #checkProducer(partition: Partition, address: number, producerId: number): number {
    const { view } = this.#memory;
    const epoch = batchProducerEpoch(view, address);
    const first = batchBaseSequence(view, address);
    const records = batchLastOffsetDelta(view, address) + 1;
    const { producers } = partition.log;
    const verdict = producers.check(producerId, epoch, first, lastSequenceOf(first, records));
    switch (verdict) {
      case ProducerCheck.NEW:
        return -1;
      case ProducerCheck.DUPLICATE:
        // Answered like the original, and not before it is committed.
        this.outcome.baseOffset = producers.duplicateOffset;
        this.outcome.waitOffset = producers.duplicateOffset + records;
        return ErrorCode.NONE;
      case ProducerCheck.INVALID_EPOCH:
        return ErrorCode.INVALID_PRODUCER_EPOCH;
      default:
        return ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER;
    }
  }

  #setLogAppendTime(address: number, length: number, wallMs: number): void {
    const { view } = this.#memory;
    setBatchLogAppendTime(view, address, wallMs);
    const from = address + ATTRIBUTES_OFFSET;
    setBatchCrc(view, address, this.#crc32c(from, length - ATTRIBUTES_OFFSET, 0));
  }
}

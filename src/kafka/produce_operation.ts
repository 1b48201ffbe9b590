/**
 * One produce request in progress: the answer of each partition, and the number still awaited.
 *
 * Pooled and reused; its arrays grow to the largest request seen. It outlives the request's frame: the
 * records are copied into logs at once, names are taken from the image, and the response is written
 * from here when its turn on the connection comes.
 *
 * @module
 */

import type { RangeList } from "../bytes/range_list.ts";
import { ErrorCode } from "../wire/errors.ts";
import {
  PRODUCE_PARTITION_SIZE_MAX,
  PRODUCE_RECORD_ERROR_SIZE_MAX,
  PRODUCE_RESPONSE_SIZE_MAX,
  PRODUCE_TOPIC_SIZE_MAX,
  type ProducePartitionResult,
  type ProduceRecordError,
  type ProduceResponseWriter,
} from "../wire/produce_response.ts";
import type { Connection } from "./connection.ts";
import { type AppendWaiter, errorOfLoss, type Loss } from "./append_waits.ts";
import { type LeaderHints, NO_LEADER, ResponseLeaders } from "./leader_hints.ts";
import type { Partition } from "./partition.ts";
import type { AppendOutcome } from "./produce_append.ts";
import { Cause, type RefusalText } from "./refusal.ts";
import type { ResponseSlot, StreamedResponse } from "./response.ts";

/** Parts that an operation has room for at first, and for which it is kept for reuse. */
const PARTS_AT_START = 8;
const PARTS_KEPT_MAX = 1024;
/** From this version on topics are named by id. */
const TOPIC_IDS_SINCE = 13;

/** Refused parts of one request that get a text; the others have only their code. */
const REFUSALS_TOLD_MAX = 64;
const NO_RECORD_ERRORS: readonly ProduceRecordError[] = [];

/** Takes an operation back when its response has left. */
export interface OperationPool {
  readonly writer: ProduceResponseWriter;
  readonly hints: LeaderHints;
  /** A partition of a request is answered with an error. */
  noteRefused(): void;
  recycle(operation: ProduceOperation): void;
}

/** What a request says of its producer; its text stays in the frame. */
export interface ProducerFields {
  readonly acks: number;
  readonly transactionalIdAddress: number;
  /** -1: none. */
  readonly transactionalIdLength: number;
}

export class ProduceOperation implements StreamedResponse, AppendWaiter {
  readonly #pool: OperationPool;
  connection: Connection | null = null;
  slot: ResponseSlot | null = null;
  version = 0;
  acks = 0;
  wallMs = 0;
  /** When it stops waiting for other replicas (monotonic). */
  deadlineMs = 0;

  // Topics, in the request's order.
  topicCount = 0;
  readonly #topicNames: string[] = [];
  readonly #topicIds: string[] = [];
  #topicParts = new Int32Array(PARTS_AT_START);
  #nameBytes = 0;

  // Parts: the partitions of all topics, in order.
  partCount = 0;
  #indexes = new Int32Array(PARTS_AT_START);
  #errors = new Int16Array(PARTS_AT_START);
  #baseOffsets = new Float64Array(PARTS_AT_START);
  #appendTimes = new Float64Array(PARTS_AT_START);
  #startOffsets = new Float64Array(PARTS_AT_START);
  /** Why parts were refused, by part; empty as a rule. */
  readonly #refusals = new Map<number, RefusalText>();
  #refusalBytes = 0;
  /** Parts were refused because this node does not lead them; the response names who does. */
  #misdirected = false;
  #leaders: ResponseLeaders | null = null;

  /** What is counted for it (bytes). */
  heapBytes = 0;
  /** Parts not answered yet, and one for the request itself while it is being taken. */
  pending = 0;
  /** The producer's transactional id, in the frame; -1: it has none. */
  transactionalIdAddress = 0;
  transactionalIdLength = -1;
  /** Who still needs the request's bytes: the sender of remote parts, and each part without room. */
  frameUsers = 0;
  /** {@linkcode frameTaken} as a function, created once. */
  readonly onFrameTaken: () => void = () => this.frameTaken();
  readonly #result: ProducePartitionResult = {
    index: 0,
    errorCode: 0,
    baseOffset: -1,
    logAppendTimeMs: -1,
    logStartOffset: -1,
    errorMessage: null,
    recordErrors: NO_RECORD_ERRORS,
    leaderId: -1,
    leaderEpoch: -1,
  };

  constructor(pool: OperationPool) {
    this.#pool = pool;
  }

  begin(
    connection: Connection,
    slot: ResponseSlot,
    { acks, transactionalIdAddress, transactionalIdLength }: ProducerFields,
    wallMs: number,
    deadlineMs: number,
  ): void {
    this.connection = connection;
    this.slot = slot;
    this.version = slot.apiVersion;
    this.acks = acks;
    this.transactionalIdAddress = transactionalIdAddress;
    this.transactionalIdLength = transactionalIdLength;
    this.wallMs = wallMs;
    this.deadlineMs = deadlineMs;
    this.topicCount = 0;
    this.partCount = 0;
    this.#nameBytes = 0;
    this.#refusalBytes = 0;
    if (this.#refusals.size > 0) this.#refusals.clear();
    this.#misdirected = false;
    this.#leaders = null;
    this.pending = 1;
    this.frameUsers = 1;
  }

  /** Worth keeping: a large request's arrays are not. */
  get isSmall(): boolean {
    return this.#indexes.length <= PARTS_KEPT_MAX && this.#topicNames.length <= PARTS_KEPT_MAX;
  }

  /** One user less of the request's bytes. */
  frameTaken(): void {
    this.frameUsers--;
    if (this.frameUsers === 0) this.connection!.frameDone();
  }

  addTopic(name: string, id: string): void {
    const at = this.topicCount++;
    if (at === this.#topicParts.length) this.#topicParts = doubled(this.#topicParts);
    this.#topicNames[at] = name;
    this.#topicIds[at] = id;
    this.#topicParts[at] = 0;
    // A character takes at most three bytes of UTF-8.
    this.#nameBytes += 3 * name.length;
  }

  /** Adds a partition of the last topic; returns the part's number. */
  addPart(partitionIndex: number): number {
    const part = this.partCount++;
    if (part === this.#indexes.length) this.#growParts();
    this.#indexes[part] = partitionIndex;
    this.#errors[part] = ErrorCode.NONE;
    this.#baseOffsets[part] = -1;
    this.#appendTimes[part] = -1;
    this.#startOffsets[part] = -1;
    this.#topicParts[this.topicCount - 1]!++;
    return part;
  }

  setError(part: number, error: number): void {
    this.#errors[part] = error;
    if (error === ErrorCode.NOT_LEADER_OR_FOLLOWER) this.#misdirected = true;
  }

  /** What the partition's shard answered. */
  setOutcome(part: number, outcome: AppendOutcome): void {
    this.setError(part, outcome.error);
    this.#baseOffsets[part] = outcome.baseOffset;
    this.#appendTimes[part] = outcome.logAppendTimeMs;
    this.#startOffsets[part] = outcome.logStartOffset;
    if (outcome.refusal.cause !== Cause.NONE) this.#explain(part, outcome.refusal.text());
  }

  /** Counts the part as answered once everything below `offset` is as safe as `acks` asks for. */
  awaitPart(part: number, partition: Partition, offset: number): void {
    if (partition.hasReached(offset, this.acks)) return;
    this.pending++;
    partition.awaitAppend(offset, this.acks, this, part, this.deadlineMs);
  }

  onReached(_part: number): void {
    this.settle();
  }

  onLost(part: number, loss: Loss): void {
    this.setError(part, errorOfLoss(loss));
    this.#baseOffsets[part] = -1;
    this.settle();
  }

  /** One thing less to wait for. */
  settle(): void {
    this.pending--;
    if (this.pending === 0) this.#finish();
  }

  inlineSizeMax(): number {
    if (this.#misdirected && this.#leaders === null) this.#nameLeaders();
    return PRODUCE_RESPONSE_SIZE_MAX + this.topicCount * PRODUCE_TOPIC_SIZE_MAX + this.#nameBytes +
      this.partCount * PRODUCE_PARTITION_SIZE_MAX + this.#refusalBytes +
      (this.#leaders?.sizeMax ?? 0);
  }

  write(address: number, correlationId: number, ranges: RangeList): number {
    const { writer } = this.#pool;
    const end = address + this.inlineSizeMax();
    writer.begin(address, end, this.version, correlationId, this.topicCount);
    let part = 0;
    for (let topic = 0; topic < this.topicCount; topic++) {
      const parts = this.#topicParts[topic]!;
      if (this.version >= TOPIC_IDS_SINCE) writer.topicByUuid(this.#topicIds[topic]!, parts);
      else writer.topicByText(this.#topicNames[topic]!, parts);
      for (let i = 0; i < parts; i++) writer.partition(this.#resultOf(part++));
      writer.endTopic();
    }
    const length = writer.end(0, this.#leaders?.endpoints ?? null);
    ranges.push(address, length);
    return length;
  }

  onSent(): void {
    this.connection = null;
    this.slot = null;
    this.#pool.recycle(this);
  }

  #finish(): void {
    const connection = this.connection!;
    const slot = this.slot!;
    if (this.acks === 0) {
      // No response: an error closes the connection, as in Kafka.
      for (let part = 0; part < this.partCount; part++) {
        if (this.#errors[part] === ErrorCode.NONE) continue;
        connection.shutdown();
        break;
      }
      this.onSent();
    } else {
      slot.streamed = this;
    }
    connection.answer(slot);
  }

  /** As late as possible: that a partition is lost may be known before who leads it. */
  #nameLeaders(): void {
    const leaders = this.#leaders = new ResponseLeaders(this.#pool.hints);
    let part = 0;
    for (let topic = 0; topic < this.topicCount; topic++) {
      for (let i = 0; i < this.#topicParts[topic]!; i++, part++) {
        if (this.#errors[part] !== ErrorCode.NOT_LEADER_OR_FOLLOWER) continue;
        leaders.add(part, this.#topicNames[topic]!, this.#indexes[part]!);
      }
    }
  }

  #resultOf(part: number): ProducePartitionResult {
    const result = this.#result;
    result.index = this.#indexes[part]!;
    result.errorCode = this.#errors[part]!;
    const failed = result.errorCode !== ErrorCode.NONE;
    if (failed) this.#pool.noteRefused();
    result.baseOffset = failed ? -1 : this.#baseOffsets[part]!;
    result.logAppendTimeMs = failed ? -1 : this.#appendTimes[part]!;
    result.logStartOffset = this.#startOffsets[part]!;
    const refusal = this.#refusals.size === 0 ? undefined : this.#refusals.get(part);
    result.errorMessage = refusal?.message ?? null;
    result.recordErrors = refusal?.records ?? NO_RECORD_ERRORS;
    const leader = this.#leaders?.of(part) ?? NO_LEADER;
    result.leaderId = leader.leaderId;
    result.leaderEpoch = leader.leaderEpoch;
    return result;
  }

  #explain(part: number, refusal: RefusalText): void {
    if (this.#refusals.size >= REFUSALS_TOLD_MAX) return;
    this.#refusals.set(part, refusal);
    // A character takes at most three bytes of UTF-8.
    this.#refusalBytes += 3 * refusal.message.length;
    for (const { message } of refusal.records) {
      this.#refusalBytes += PRODUCE_RECORD_ERROR_SIZE_MAX + 3 * message.length;
    }
  }

  #growParts(): void {
    this.#indexes = doubled(this.#indexes);
    this.#errors = doubled(this.#errors);
    this.#baseOffsets = doubled(this.#baseOffsets);
    this.#appendTimes = doubled(this.#appendTimes);
    this.#startOffsets = doubled(this.#startOffsets);
  }
}

function doubled<T extends Int16Array | Int32Array | Float64Array>(array: T): T {
  const larger = new (array.constructor as new (length: number) => T)(array.length * 2);
  larger.set(array);
  return larger;
}

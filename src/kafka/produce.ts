/**
 * Produce (key 0), versions 3 to 13 (0 to 2 are advertised for old librdkafka, and refused).
 *
 * Behaviour:
 * - acks 0, 1 and all; every acknowledgement waits until the records are durable on this node (acks=1), or committed
 *   and durable on `min.insync.replicas` replicas (acks=all), which is the same in a group of one. acks=0 has no
 *   response; an error closes the connection.
 * - acks=all is refused with NOT_ENOUGH_REPLICAS when fewer replicas keep up. When that happens behind the append, it is
 *   NOT_ENOUGH_REPLICAS_AFTER_APPEND once the records are committed. When the request's timeout is over:
 *   REQUEST_TIMED_OUT. Consumers see what is committed, whatever the acks.
 * - A partition that another node leads is refused with NOT_LEADER_OR_FOLLOWER, and so is what waits when this
 *   node ceases to lead. From version 10 on the answer names the leader (KIP-951), and also one that is being elected because
 *   this node has handed leadership over. While it is handed over, or comes to this node, requests wait instead.
 * - Requests of a connection are taken one after the other and may wait for their commits together.
 * - Topics of the broker's own (`__consumer_offsets`) take nothing from clients: INVALID_TOPIC_EXCEPTION, as
 *   in Kafka. So a coordinator reads back only its own records at a start.
 * - Partitions of other shards travel once per shard (`produce_remote.ts`); the rest is appended at once.
 * - When the journal has no room, the request waits here with its frame, and later requests wait in
 *   the sockets: nothing is refused for lack of room, except with KAFKA_STORAGE_ERROR on a full disk. A batch
 *   whose records take more than one slice to walk waits in the same way (`record_checks.ts`).
 * - The first batch of a producer's transaction in a partition waits until the transaction's coordinator knows of the
 *   partition (`transaction_guard.ts`); from version 12 on it is added there if need be (KIP-890).
 *
 * @module
 */

import { PARTITIONS_PER_REQUEST_MAX } from "../base/limits.ts";
import type { Memory } from "../bytes/memory.ts";
import { decodeUtf8Lossy } from "../bytes/utf8.ts";
import type { ClusterImage } from "../cluster/image.ts";
import { Slot } from "../metrics/catalog.ts";
import type { ShardRecorder } from "../metrics/recorder.ts";
import { ErrorCode } from "../wire/errors.ts";
import { ProduceReader } from "../wire/produce_reader.ts";
import { ProduceResponseWriter } from "../wire/produce_response.ts";
import { uuidFromBytes, ZERO_UUID } from "../wire/uuid.ts";
import type { Connection } from "./connection.ts";
import { HeldProducers } from "./held_producers.ts";
import type { LeaderHints } from "./leader_hints.ts";
import { ACKS_ALL, type PartitionDirectory } from "./partition.ts";
import { APPEND_BUSY, type ProduceAppender } from "./produce_append.ts";
import { type OperationPool, ProduceOperation } from "./produce_operation.ts";
import { HeapLane, PRODUCE_PART_HEAP, type RequestHeap } from "./request_heap.ts";
import type { ResponseSlot } from "./response.ts";
import type { InPlacePath } from "./server.ts";
import { requestBody } from "./request_body.ts";

const FLEXIBLE_SINCE = 9;
/** Parts that may wait for room in their logs before no more requests are accepted. */
const HELD_PARTS_MAX = 64;
/** Operations kept for reuse. */
const POOL_MAX = 4096;

/** Parts of requests that belong to other shards. */
export interface RemoteProduce {
  /** Whether parts for any other shard could be sent now. */
  ready(): boolean;
  /** Adds a part for `shard`; everything added leaves with {@linkcode send}. */
  add(shard: number, part: number, groupId: number, address: number, length: number): void;
  /**
   * Sends the added parts; each shard's answer settles the operation once.
   *
   * @param onTaken called when no shard needs the request's bytes any more; at once without parts
   */
  send(operation: ProduceOperation, onTaken: () => void): void;
}

/** What appends need to be tried again. */
export interface ProduceRoom {
  /** Appends of this many bytes would be taken now. */
  canAppend(bytes: number): boolean;
}

export interface ProduceOptions {
  readonly memory: Memory;
  readonly image: ClusterImage;
  readonly partitions: PartitionDirectory;
  readonly appender: ProduceAppender;
  readonly hints: LeaderHints;
  readonly remote: RemoteProduce;
  readonly room: ProduceRoom;
  readonly shard: number;
  readonly shardCount: number;
  readonly nowMs: () => number;
  readonly wallMs: () => number;
  readonly heap: RequestHeap;
  readonly recorder: ShardRecorder;
}

/** A part that has to wait, for room or for the walk of its records; in order with others of its log, which does not hold up other logs. */
interface HeldPart {
  readonly operation: ProduceOperation;
  readonly part: number;
  readonly groupId: number;
  readonly address: number;
  readonly length: number;
  /** It waits for a transaction's coordinator, or behind a batch that does. */
  asks: boolean;
  appended: boolean;
}

export class ProducePath implements InPlacePath, OperationPool {
  readonly writer: ProduceResponseWriter;
  readonly hints: LeaderHints;
  readonly #options: ProduceOptions;
  readonly #reader = new ProduceReader();
  readonly #pool: ProduceOperation[] = [];
  #held: HeldPart[] = [];
  /** Groups of the parts that are held; of those that wait for a coordinator, the producers only. */
  readonly #heldGroups = new Set<number>();
  readonly #heldProducers: HeldProducers;
  /** Held parts that wait for coordinators: their number is bounded by the guard, and they hold up no other client. */
  #askingCount = 0;

  constructor(options: ProduceOptions) {
    this.#options = options;
    this.hints = options.hints;
    this.#heldProducers = new HeldProducers(options.memory);
    this.writer = new ProduceResponseWriter(options.memory);
  }

  mayStart(size: number): boolean {
    const { room, remote } = this.#options;
    return this.#held.length - this.#askingCount < HELD_PARTS_MAX && room.canAppend(size) &&
      remote.ready();
  }

  start(connection: Connection, slot: ResponseSlot, address: number, length: number): boolean {
    const { memory } = this.#options;
    const version = slot.apiVersion;
    const end = address + length;
    const body = requestBody(memory, address, end, version >= FLEXIBLE_SINCE);
    const reader = this.#reader;
    if (body < 0 || !reader.open(memory, body, end, version)) return false;
    if (reader.partitionTotal > PARTITIONS_PER_REQUEST_MAX) return false;
    const operation = this.#pool.pop() ?? new ProduceOperation(this);
    const { nowMs, wallMs } = this.#options;
    const deadlineMs = nowMs() + Math.max(0, reader.timeoutMs);
    operation.begin(connection, slot, reader, wallMs(), deadlineMs);
    while (reader.nextTopic()) this.#takeTopic(operation);
    operation.heapBytes = PRODUCE_PART_HEAP * (operation.partCount + operation.topicCount);
    this.#options.heap.take(HeapLane.PRODUCE, operation.heapBytes);
    this.#options.remote.send(operation, operation.onFrameTaken);
    operation.settle();
    return true;
  }

  /** Tries again what had to wait. */
  retry(): void {
    if (this.#held.length === 0) return;
    // Whatever is appended now comes after what is held before it.
    this.#heldGroups.clear();
    this.#heldProducers.clear();
    for (let i = 0; i < this.#held.length; i++) {
      const held = this.#held[i]!;
      const { operation, part, groupId, address, length } = held;
      const isBehind = this.#isBehind(groupId, address, length);
      if (isBehind || !this.#append(operation, part, groupId, address, length)) {
        if (!isBehind) this.#hold(groupId);
        held.asks = !this.#heldGroups.has(groupId);
        continue;
      }
      held.appended = true;
      operation.frameTaken();
      operation.settle();
    }
    this.#held = this.#held.filter((each) => !each.appended);
    this.#askingCount = this.#held.filter((each) => each.asks).length;
  }

  /** The batch that the appender has just refused to take waits. */
  #hold(groupId: number): void {
    const { askingFor } = this.#options.appender.outcome;
    if (askingFor >= 0) this.#heldProducers.add(groupId, askingFor);
    else this.#heldGroups.add(groupId);
  }

  #isBehind(groupId: number, address: number, length: number): boolean {
    return this.#heldGroups.has(groupId) || this.#heldProducers.holds(groupId, address, length);
  }

  noteRefused(): void {
    this.#options.recorder.add(Slot.PRODUCE_REFUSED, 1);
  }

  recycle(operation: ProduceOperation): void {
    this.#options.heap.give(HeapLane.PRODUCE, operation.heapBytes);
    operation.heapBytes = 0;
    if (this.#pool.length < POOL_MAX && operation.isSmall) this.#pool.push(operation);
  }

  #takeTopic(operation: ProduceOperation): void {
    const reader = this.#reader;
    const { memory, image } = this.#options;
    const byId = reader.topicIdAddress >= 0;
    const handle = byId
      ? image.lookup.findId(memory.bytes, reader.topicIdAddress)
      : image.lookup.findName(memory.bytes, reader.topicNameAddress, reader.topicNameLength);
    const topic = image.topicByHandle(handle);
    if (topic !== undefined) operation.addTopic(topic.name, topic.id);
    else if (byId) operation.addTopic("", uuidFromBytes(memory.bytes, reader.topicIdAddress));
    else operation.addTopic(this.#topicName(), ZERO_UUID);
    const unknown = topic === undefined && byId
      ? ErrorCode.UNKNOWN_TOPIC_ID
      : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
    while (reader.nextPartition()) {
      const part = operation.addPart(reader.partitionIndex);
      const groupId = image.groupIdOf(handle, reader.partitionIndex);
      if (groupId < 0) operation.setError(part, unknown);
      else if (!acksValid(reader.acks)) operation.setError(part, ErrorCode.INVALID_REQUIRED_ACKS);
      else if (topic!.internal) operation.setError(part, ErrorCode.INVALID_TOPIC_EXCEPTION);
      else this.#takePart(operation, part, groupId);
    }
  }

  #takePart(operation: ProduceOperation, part: number, groupId: number): void {
    const { recordsAddress: address, recordsLength: length } = this.#reader;
    const shard = groupId % this.#options.shardCount;
    if (shard !== this.#options.shard) {
      this.#options.remote.add(shard, part, groupId, address, length);
    } else {
      const isBehind = this.#isBehind(groupId, address, length);
      if (!isBehind && this.#append(operation, part, groupId, address, length)) return;
      if (!isBehind) this.#hold(groupId);
      operation.pending++;
      operation.frameUsers++;
      const asks = !this.#heldGroups.has(groupId);
      if (asks) this.#askingCount++;
      this.#held.push({ operation, part, groupId, address, length, asks, appended: false });
    }
  }

  /** False when it has to wait. */
  #append(
    operation: ProduceOperation,
    part: number,
    groupId: number,
    address: number,
    length: number,
  ): boolean {
    const { appender, partitions } = this.#options;
    const partition = partitions.byGroup(groupId);
    if (partition === undefined) {
      appender.refuse(address, partitions.absenceOf(groupId));
      operation.setOutcome(part, appender.outcome);
      return true;
    }
    const error = appender.append(partition, address, length, operation);
    if (error === APPEND_BUSY) return false;
    operation.setOutcome(part, appender.outcome);
    if (error === ErrorCode.NONE) {
      operation.awaitPart(part, partition, appender.outcome.waitOffset);
    }
    return true;
  }

  #topicName(): string {
    const { topicNameAddress: from, topicNameLength: length } = this.#reader;
    return decodeUtf8Lossy(this.#options.memory.bytes, from, from + length);
  }
}

function acksValid(acks: number): boolean {
  return acks === ACKS_ALL || acks === 0 || acks === 1;
}

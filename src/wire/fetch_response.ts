/**
 * Writes a Fetch response (versions 4 to 18) into the region, piece by piece, without objects.
 *
 * The records are not copied here: they lie in the batch cache and are sent from there. On the wire
 * they stand between what `records` wrote and what `endPartition` writes, so that the caller sends:
 * the bytes up to {@linkcode FetchResponseWriter.at} after `records`, then the records, then what
 * follows. Call in this order:
 *
 * ```
 * begin                            size:int32 correlationId:int32 [tags] throttleTimeMs [error sessionId] topic count
 *   topicByName | topicById        name or id, partition count
 *     partition                    index error highWatermark lastStableOffset [logStartOffset] aborted count
 *       aborted ...                producerId firstOffset
 *     records                      [preferredReadReplica] length of the records
 *       ~~~ the records, sent from elsewhere ~~~
 *     endPartition                 [tags]
 *   endTopic                       [tags]
 * end                              [tags: node endpoints]; sets the size, records included
 * ```
 *
 * One writer per shard, reused: it holds nothing between `end` and the next `begin`.
 *
 * @module
 */

import type { ByteSource } from "../bytes/cursor.ts";
import { Writer } from "../bytes/writer.ts";
import { type NodeEndpoint, writeNodeEndpointTags, writeTopicName } from "./hot_response.ts";
import { type Uuid, UUID_SIZE, writeUuid } from "./uuid.ts";

const LOG_START_SINCE = 5;
const SESSIONS_SINCE = 7;
const PREFERRED_REPLICA_SINCE = 11;
const FLEXIBLE_SINCE = 12;
const NODE_ENDPOINTS_SINCE = 16;
const DIVERGING_EPOCH_TAG = 0;
const CURRENT_LEADER_TAG = 1;

/** Upper bound of the bytes around all topics, node endpoints not counted. */
export const FETCH_RESPONSE_SIZE_MAX = 40;
/** Upper bound of the bytes of one topic without its name. */
export const FETCH_TOPIC_SIZE_MAX = 32;
/** Upper bound of the bytes of one partition without aborted transactions and records. */
export const FETCH_PARTITION_SIZE_MAX = 96;
/** Bytes of one aborted transaction. */
export const FETCH_ABORTED_SIZE_MAX = 17;

/** One partition's answer, without its records. */
export interface FetchPartitionResult {
  index: number;
  errorCode: number;
  highWatermark: number;
  lastStableOffset: number;
  logStartOffset: number;
  /** Where the reader's log parts from this one; -1: it does not. */
  divergingEpoch: number;
  divergingEndOffset: number;
  /** Who leads, when this node does not; -1: not known, or not to be reported. */
  leaderId: number;
  leaderEpoch: number;
}

export class FetchResponseWriter {
  readonly #writer: Writer;
  readonly #target: ByteSource;
  #start = 0;
  #version = 0;
  #flexible = false;
  #recordBytes = 0;

  constructor(target: ByteSource) {
    this.#target = target;
    this.#writer = new Writer(target, 0, 0);
  }

  /** Where the next piece goes. */
  get at(): number {
    return this.#writer.at;
  }

  /** The room that was given did not suffice: nothing of it may be sent. */
  get overflow(): boolean {
    return this.#writer.overflow;
  }

  /** Starts a frame in `[address, end)`. */
  begin(address: number, end: number, version: number, head: FetchResponseHead): void {
    const writer = this.#writer;
    writer.reset(this.#target, address, end);
    this.#start = address;
    this.#version = version;
    this.#flexible = version >= FLEXIBLE_SINCE;
    this.#recordBytes = 0;
    writer.int32(0);
    writer.int32(head.correlationId);
    if (this.#flexible) writer.unsignedVarint(0);
    writer.int32(head.throttleTimeMs);
    if (version >= SESSIONS_SINCE) {
      writer.int16(head.errorCode);
      writer.int32(head.sessionId);
    }
    writer.arrayLength(head.topicCount, this.#flexible);
  }

  /** Opens a topic (up to version 12), its name copied from the region. */
  topicByName(nameAddress: number, nameLength: number, partitionCount: number): void {
    writeTopicName(this.#writer, nameAddress, nameLength, this.#flexible);
    this.#writer.arrayLength(partitionCount, this.#flexible);
  }

  /** Opens a topic (up to version 12), its name given as a string (from a session). */
  topicByText(name: string, partitionCount: number): void {
    this.#writer.string(name, this.#flexible);
    this.#writer.arrayLength(partitionCount, this.#flexible);
  }

  /** Opens a topic (from version 13 on), its id copied from the region. */
  topicById(idAddress: number, partitionCount: number): void {
    this.#writer.copyWithin(idAddress, UUID_SIZE);
    this.#writer.arrayLength(partitionCount, this.#flexible);
  }

  /** Opens a topic (from version 13 on), its id given as a uuid (from a session). */
  topicByUuid(id: Uuid, partitionCount: number): void {
    writeUuid(this.#writer, id);
    this.#writer.arrayLength(partitionCount, this.#flexible);
  }

  /** @param abortedCount aborted transactions that follow; -1: none, read uncommitted */
  partition(result: FetchPartitionResult, abortedCount: number): void {
    const writer = this.#writer;
    writer.int32(result.index);
    writer.int16(result.errorCode);
    writer.int64(result.highWatermark);
    writer.int64(result.lastStableOffset);
    if (this.#version >= LOG_START_SINCE) writer.int64(result.logStartOffset);
    writer.arrayLength(abortedCount, this.#flexible);
  }

  aborted(producerId: number, firstOffset: number): void {
    this.#writer.int64(producerId);
    this.#writer.int64(firstOffset);
    if (this.#flexible) this.#writer.unsignedVarint(0);
  }

  /**
   * @param preferredReadReplica -1: this one
   * @param length bytes of the records, which follow on the wire
   */
  records(preferredReadReplica: number, length: number): void {
    if (this.#version >= PREFERRED_REPLICA_SINCE) this.#writer.int32(preferredReadReplica);
    if (this.#flexible) this.#writer.unsignedVarint(length + 1);
    else this.#writer.int32(length);
    this.#recordBytes += length;
  }

  endPartition(result: FetchPartitionResult): void {
    if (!this.#flexible) return;
    const writer = this.#writer;
    const diverges = result.divergingEpoch >= 0;
    const leads = result.leaderId >= 0;
    writer.unsignedVarint((diverges ? 1 : 0) + (leads ? 1 : 0));
    if (diverges) {
      const start = writer.beginTag(DIVERGING_EPOCH_TAG);
      writer.int32(result.divergingEpoch);
      writer.int64(result.divergingEndOffset);
      writer.unsignedVarint(0);
      writer.endTag(start);
    }
    if (leads) {
      const start = writer.beginTag(CURRENT_LEADER_TAG);
      writer.int32(result.leaderId);
      writer.int32(result.leaderEpoch);
      writer.unsignedVarint(0);
      writer.endTag(start);
    }
  }

  endTopic(): void {
    if (this.#flexible) this.#writer.unsignedVarint(0);
  }

  /**
   * Closes the frame.
   *
   * @param endpoints where the leaders named in the partitions are; null for none
   * @returns the bytes written here, size included, records not
   */
  end(endpoints: readonly NodeEndpoint[] | null): number {
    const writer = this.#writer;
    if (this.#flexible) {
      writeNodeEndpointTags(writer, this.#version >= NODE_ENDPOINTS_SINCE ? endpoints : null);
    }
    const written = writer.at - this.#start;
    writer.view.setInt32(this.#start, written + this.#recordBytes - 4, false);
    return written;
  }
}

/** What a Fetch response says before its topics. */
export interface FetchResponseHead {
  correlationId: number;
  throttleTimeMs: number;
  errorCode: number;
  /** 0: no session. */
  sessionId: number;
  topicCount: number;
}

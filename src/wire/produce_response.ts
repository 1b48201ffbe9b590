/**
 * Writes a Produce response (versions 3 to 13) into the region, piece by piece, without objects.
 *
 * Call in this order; every piece is complete in itself and follows the one before:
 *
 * ```
 * begin                            size:int32 correlationId:int32 [tags]  topic count
 *   topicByName | topicById        name or id, partition count
 *     partition ...                index error baseOffset logAppendTimeMs [logStartOffset recordErrors message tags]
 *   endTopic                       [tags]
 * end                              throttleTimeMs [tags: node endpoints]; sets the size
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
const RECORD_ERRORS_SINCE = 8;
const FLEXIBLE_SINCE = 9;
const CURRENT_LEADER_SINCE = 10;
const CURRENT_LEADER_TAG = 0;

/** Upper bound of the bytes around all topics, node endpoints not counted. */
export const PRODUCE_RESPONSE_SIZE_MAX = 32;
/** Upper bound of the bytes of one topic without its name. */
export const PRODUCE_TOPIC_SIZE_MAX = 32;
/** Upper bound of the bytes of one partition without its message. */
export const PRODUCE_PARTITION_SIZE_MAX = 64;

/** A record that was refused, by its place in the batch. */
export interface ProduceRecordError {
  readonly index: number;
  readonly message: string;
}

/** Upper bound of the bytes of one record error without its message. */
export const PRODUCE_RECORD_ERROR_SIZE_MAX = 16;

/** One partition's result. */
export interface ProducePartitionResult {
  index: number;
  errorCode: number;
  /** -1 with an error. */
  baseOffset: number;
  /** -1 unless the topic takes the time of the append. */
  logAppendTimeMs: number;
  logStartOffset: number;
  errorMessage: string | null;
  recordErrors: readonly ProduceRecordError[];
  /** Who leads, when this node does not; -1: not known, or not to be reported. */
  leaderId: number;
  leaderEpoch: number;
}

export class ProduceResponseWriter {
  readonly #writer: Writer;
  readonly #target: ByteSource;
  #start = 0;
  #version = 0;
  #flexible = false;

  constructor(target: ByteSource) {
    this.#target = target;
    this.#writer = new Writer(target, 0, 0);
  }

  /** The room that was given did not suffice: nothing of it may be sent. */
  get overflow(): boolean {
    return this.#writer.overflow;
  }

  /** Starts a frame in `[address, end)`. */
  begin(
    address: number,
    end: number,
    version: number,
    correlationId: number,
    topicCount: number,
  ): void {
    const writer = this.#writer;
    writer.reset(this.#target, address, end);
    this.#start = address;
    this.#version = version;
    this.#flexible = version >= FLEXIBLE_SINCE;
    writer.int32(0);
    writer.int32(correlationId);
    if (this.#flexible) writer.unsignedVarint(0);
    writer.arrayLength(topicCount, this.#flexible);
  }

  /** Opens a topic (up to version 12), its name copied from the region. */
  topicByName(nameAddress: number, nameLength: number, partitionCount: number): void {
    writeTopicName(this.#writer, nameAddress, nameLength, this.#flexible);
    this.#writer.arrayLength(partitionCount, this.#flexible);
  }

  /** Opens a topic (up to version 12), its name given as a string. */
  topicByText(name: string, partitionCount: number): void {
    this.#writer.string(name, this.#flexible);
    this.#writer.arrayLength(partitionCount, this.#flexible);
  }

  /** Opens a topic (from version 13 on), its id given as a uuid. */
  topicByUuid(id: Uuid, partitionCount: number): void {
    writeUuid(this.#writer, id);
    this.#writer.arrayLength(partitionCount, this.#flexible);
  }

  /** Opens a topic (from version 13 on), its id copied from the region. */
  topicById(idAddress: number, partitionCount: number): void {
    this.#writer.copyWithin(idAddress, UUID_SIZE);
    this.#writer.arrayLength(partitionCount, this.#flexible);
  }

  partition(result: ProducePartitionResult): void {
    const writer = this.#writer;
    writer.int32(result.index);
    writer.int16(result.errorCode);
    writer.int64(result.baseOffset);
    writer.int64(result.logAppendTimeMs);
    if (this.#version >= LOG_START_SINCE) writer.int64(result.logStartOffset);
    if (this.#version >= RECORD_ERRORS_SINCE) {
      writer.arrayLength(result.recordErrors.length, this.#flexible);
      for (let i = 0; i < result.recordErrors.length; i++) {
        const { index, message } = result.recordErrors[i]!;
        writer.int32(index);
        writer.nullableString(message, this.#flexible);
        if (this.#flexible) writer.unsignedVarint(0);
      }
      writer.nullableString(result.errorMessage, this.#flexible);
    }
    if (!this.#flexible) return;
    if (this.#version < CURRENT_LEADER_SINCE || result.leaderId < 0) {
      writer.unsignedVarint(0);
      return;
    }
    writer.unsignedVarint(1);
    const start = writer.beginTag(CURRENT_LEADER_TAG);
    writer.int32(result.leaderId);
    writer.int32(result.leaderEpoch);
    writer.unsignedVarint(0);
    writer.endTag(start);
  }

  endTopic(): void {
    if (this.#flexible) this.#writer.unsignedVarint(0);
  }

  /**
   * Closes the frame.
   *
   * @param endpoints where the leaders named in the partitions are; null for none
   * @returns its bytes, size included
   */
  end(throttleTimeMs: number, endpoints: readonly NodeEndpoint[] | null): number {
    const writer = this.#writer;
    writer.int32(throttleTimeMs);
    if (this.#flexible) {
      writeNodeEndpointTags(writer, this.#version >= CURRENT_LEADER_SINCE ? endpoints : null);
    }
    writer.view.setInt32(this.#start, writer.at - this.#start - 4, false);
    return writer.at - this.#start;
  }
}

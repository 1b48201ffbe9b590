/**
 * Reads a Produce request (versions 3 to 13) where it lies, without making an object of it.
 *
 * {@linkcode ProduceReader.open} walks the whole body once and says whether it is well-formed,
 * before anything of it takes effect; then topics and partitions are visited in order. What is
 * found are addresses and lengths: the topic's name is looked up by its bytes, the records stay
 * where they were received. One reader per shard, reused; its fields are valid until its next move.
 *
 * ```
 * transactionalId:nullable string  acks:int16  timeoutMs:int32
 * [topics: name:string (3-12) | topicId:uuid (13)  [partitions: index:int32  records:nullable bytes]]
 * ```
 *
 * @module
 */

import { type ByteSource, Cursor } from "../bytes/cursor.ts";
import { UUID_SIZE } from "./uuid.ts";

export const PRODUCE_VERSION_MIN = 3;
export const PRODUCE_VERSION_MAX = 13;
const FLEXIBLE_SINCE = 9;
const TOPIC_IDS_SINCE = 13;
const NOTHING: ByteSource = { bytes: new Uint8Array(0), view: new DataView(new ArrayBuffer(0)) };

export class ProduceReader {
  /** -1: the producer is not transactional. */
  transactionalIdLength = -1;
  transactionalIdAddress = 0;
  acks = 0;
  timeoutMs = 0;
  topicCount = 0;
  /** Partitions of all topics. */
  partitionTotal = 0;

  /** The topic's name, -1 for the length where there is an id in its place. */
  topicNameLength = -1;
  topicNameAddress = 0;
  /** The 16 bytes of the topic's id, -1 where there is a name in its place. */
  topicIdAddress = -1;
  /** Partitions of this topic. */
  partitionCount = 0;

  partitionIndex = 0;
  recordsAddress = 0;
  /** Bytes of the records; -1: null. */
  recordsLength = -1;

  readonly #cursor = new Cursor(NOTHING, 0, 0);
  #flexible = false;
  #topicIds = false;
  #topicsAt = 0;
  #topicsLeft = 0;
  #partitionsLeft = 0;
  #insideTopic = false;

  /**
   * Starts with the body at `address`.
   *
   * @param end address after the last byte of the request
   * @returns false where it is malformed; nothing may be read then
   */
  open(source: ByteSource, address: number, end: number, version: number): boolean {
    const cursor = this.#cursor;
    cursor.reset(source, address, end);
    if (version < PRODUCE_VERSION_MIN || version > PRODUCE_VERSION_MAX) return false;
    this.#flexible = version >= FLEXIBLE_SINCE;
    this.#topicIds = version >= TOPIC_IDS_SINCE;
    this.topicNameLength = -1;
    this.topicIdAddress = -1;
    this.transactionalIdLength = cursor.nullableStringLength(this.#flexible);
    this.transactionalIdAddress = cursor.at;
    if (this.transactionalIdLength > 0) cursor.skip(this.transactionalIdLength);
    this.acks = cursor.int16();
    this.timeoutMs = cursor.int32();
    this.topicCount = cursor.arrayLength(this.#flexible);
    this.#topicsAt = cursor.at;
    this.rewind();
    this.partitionTotal = 0;
    while (this.nextTopic()) {
      this.partitionTotal += this.partitionCount;
      while (this.nextPartition());
    }
    if (this.#flexible) cursor.skipTags();
    // Bytes after the last field are ignored, as in Kafka.
    if (!cursor.ok()) return false;
    this.rewind();
    return true;
  }

  /** Stands before the first topic again. */
  rewind(): void {
    this.#cursor.at = this.#topicsAt;
    this.#topicsLeft = this.topicCount;
    this.#partitionsLeft = 0;
    this.#insideTopic = false;
  }

  /** Moves to the next topic, over partitions that were not visited; false after the last. */
  nextTopic(): boolean {
    if (this.#insideTopic) {
      while (this.nextPartition());
    }
    const cursor = this.#cursor;
    if (cursor.bad || this.#topicsLeft === 0) return false;
    this.#topicsLeft--;
    if (this.#topicIds) {
      this.topicIdAddress = cursor.at;
      cursor.skip(UUID_SIZE);
    } else {
      this.topicNameLength = cursor.stringLength(this.#flexible);
      this.topicNameAddress = cursor.at;
      cursor.skip(this.topicNameLength);
    }
    this.partitionCount = cursor.arrayLength(this.#flexible);
    this.#partitionsLeft = this.partitionCount;
    this.#insideTopic = true;
    return !cursor.bad;
  }

  /** Moves to the next partition of this topic; false after the last. */
  nextPartition(): boolean {
    const cursor = this.#cursor;
    if (cursor.bad || !this.#insideTopic) return false;
    if (this.#partitionsLeft === 0) {
      this.#insideTopic = false;
      if (this.#flexible) cursor.skipTags();
      return false;
    }
    this.#partitionsLeft--;
    this.partitionIndex = cursor.int32();
    this.recordsLength = cursor.nullableByteStringLength(this.#flexible);
    this.recordsAddress = cursor.at;
    if (this.recordsLength > 0) cursor.skip(this.recordsLength);
    if (this.#flexible) cursor.skipTags();
    return !cursor.bad;
  }
}

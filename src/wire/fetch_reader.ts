/**
 * Reads a Fetch request (versions 4 to 18) where it lies, without making an object of it.
 *
 * As with Produce, {@linkcode FetchReader.open} walks the whole body first. That is also how what
 * stands at its end (rack, replica state) is known before the first partition is visited. Then come
 * the topics and partitions to fetch, and after them those that a session shall forget. One reader
 * per shard, reused; its fields are valid until its next move.
 *
 * ```
 * replicaId:int32 (4-14)  maxWaitMs:int32  minBytes:int32  maxBytes:int32  isolationLevel:int8
 * sessionId:int32 sessionEpoch:int32 (7+)
 * [topics: name:string (4-12) | topicId:uuid (13+)
 *   [partitions: index:int32 currentLeaderEpoch:int32 (9+) fetchOffset:int64 lastFetchedEpoch:int32 (12+)
 *                logStartOffset:int64 (5+) maxBytes:int32  tags: 0 directoryId:uuid 1 highWatermark:int64]]
 * [forgotten: name | topicId [index:int32]] (7+)
 * rackId:string (11+)  tags: 0 clusterId:nullable string, 1 replicaState { replicaId:int32 epoch:int64 }
 * ```
 *
 * @module
 */

import { type ByteSource, Cursor } from "../bytes/cursor.ts";
import { UUID_SIZE } from "./uuid.ts";

export const FETCH_VERSION_MIN = 4;
export const FETCH_VERSION_MAX = 18;
const LOG_START_SINCE = 5;
const SESSIONS_SINCE = 7;
const LEADER_EPOCH_SINCE = 9;
const RACK_SINCE = 11;
const FLEXIBLE_SINCE = 12;
const TOPIC_IDS_SINCE = 13;
const REPLICA_STATE_SINCE = 15;
const REPLICA_STATE_TAG = 1;
const NOTHING: ByteSource = { bytes: new Uint8Array(0), view: new DataView(new ArrayBuffer(0)) };

export class FetchReader {
  /** -1: a consumer. */
  replicaId = -1;
  replicaEpoch = -1;
  maxWaitMs = 0;
  minBytes = 0;
  maxBytes = 0;
  /** 0: read uncommitted, 1: read committed. */
  isolationLevel = 0;
  sessionId = 0;
  sessionEpoch = -1;
  topicCount = 0;
  /** Partitions to fetch, of all topics. */
  partitionTotal = 0;
  /** Topics with partitions to forget. */
  forgottenTopicCount = 0;
  rackIdAddress = 0;
  rackIdLength = 0;

  /** The topic's name, -1 for the length where there is an id in its place. */
  topicNameLength = -1;
  topicNameAddress = 0;
  /** The 16 bytes of the topic's id, -1 where there is a name in its place. */
  topicIdAddress = -1;
  /** Partitions of this topic, to fetch or to forget. */
  partitionCount = 0;

  partitionIndex = 0;
  currentLeaderEpoch = -1;
  fetchOffset = 0;
  lastFetchedEpoch = -1;
  logStartOffset = -1;
  partitionMaxBytes = 0;

  readonly #cursor = new Cursor(NOTHING, 0, 0);
  #version = 0;
  #flexible = false;
  #topicsAt = 0;
  #forgottenAt = 0;
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
    if (version < FETCH_VERSION_MIN || version > FETCH_VERSION_MAX) return false;
    this.#version = version;
    this.#flexible = version >= FLEXIBLE_SINCE;
    this.#setDefaults();
    if (version < REPLICA_STATE_SINCE) this.replicaId = cursor.int32();
    this.maxWaitMs = cursor.int32();
    this.minBytes = cursor.int32();
    this.maxBytes = cursor.int32();
    this.isolationLevel = cursor.int8();
    if (version >= SESSIONS_SINCE) {
      this.sessionId = cursor.int32();
      this.sessionEpoch = cursor.int32();
    }
    this.topicCount = cursor.arrayLength(this.#flexible);
    this.#topicsAt = cursor.at;
    this.rewind();
    while (this.nextTopic()) {
      this.partitionTotal += this.partitionCount;
      while (this.nextPartition());
    }
    if (version >= SESSIONS_SINCE) {
      this.forgottenTopicCount = cursor.arrayLength(this.#flexible);
      this.#forgottenAt = cursor.at;
      this.startForgotten();
      while (this.nextForgottenTopic()) {
        while (this.nextForgottenPartition());
      }
    }
    if (version >= RACK_SINCE) {
      this.rackIdLength = cursor.stringLength(this.#flexible);
      this.rackIdAddress = cursor.at;
      cursor.skip(this.rackIdLength);
    }
    if (this.#flexible) this.#readTags();
    // Bytes after the last field are ignored, as in Kafka.
    if (!cursor.ok()) return false;
    this.rewind();
    return true;
  }

  /** Stands before the first topic to fetch. */
  rewind(): void {
    this.#start(this.#topicsAt, this.topicCount);
  }

  /** Moves to the next topic, over partitions that were not visited; false after the last. */
  nextTopic(): boolean {
    if (this.#insideTopic) {
      while (this.nextPartition());
    }
    return this.#openTopic();
  }

  /** Moves to the next partition of this topic; false after the last. */
  nextPartition(): boolean {
    if (!this.#openPartition()) return false;
    const cursor = this.#cursor;
    const version = this.#version;
    this.partitionIndex = cursor.int32();
    if (version >= LEADER_EPOCH_SINCE) this.currentLeaderEpoch = cursor.int32();
    this.fetchOffset = cursor.int64();
    if (version >= FLEXIBLE_SINCE) this.lastFetchedEpoch = cursor.int32();
    if (version >= LOG_START_SINCE) this.logStartOffset = cursor.int64();
    this.partitionMaxBytes = cursor.int32();
    if (this.#flexible) cursor.skipTags();
    return !cursor.bad;
  }

  /** Stands before the first topic to forget. */
  startForgotten(): void {
    this.#start(this.#forgottenAt, this.forgottenTopicCount);
  }

  nextForgottenTopic(): boolean {
    if (this.#insideTopic) {
      while (this.nextForgottenPartition());
    }
    return this.#openTopic();
  }

  nextForgottenPartition(): boolean {
    if (!this.#openPartition()) return false;
    this.partitionIndex = this.#cursor.int32();
    return !this.#cursor.bad;
  }

  #setDefaults(): void {
    this.replicaId = -1;
    this.replicaEpoch = -1;
    this.sessionId = 0;
    this.sessionEpoch = -1;
    this.partitionTotal = 0;
    this.forgottenTopicCount = 0;
    this.rackIdAddress = 0;
    this.rackIdLength = 0;
    this.topicNameLength = -1;
    this.topicIdAddress = -1;
    this.currentLeaderEpoch = -1;
    this.lastFetchedEpoch = -1;
    this.logStartOffset = -1;
  }

  #start(at: number, topics: number): void {
    this.#cursor.at = at;
    this.#topicsLeft = topics;
    this.#partitionsLeft = 0;
    this.#insideTopic = false;
  }

  #openTopic(): boolean {
    const cursor = this.#cursor;
    if (cursor.bad || this.#topicsLeft === 0) return false;
    this.#topicsLeft--;
    if (this.#version >= TOPIC_IDS_SINCE) {
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

  #openPartition(): boolean {
    const cursor = this.#cursor;
    if (cursor.bad || !this.#insideTopic) return false;
    if (this.#partitionsLeft > 0) {
      this.#partitionsLeft--;
      return true;
    }
    this.#insideTopic = false;
    if (this.#flexible) cursor.skipTags();
    return false;
  }

  #readTags(): void {
    const cursor = this.#cursor;
    for (let left = cursor.tagCount(); left > 0 && !cursor.bad; left--) {
      const tag = cursor.unsignedVarint();
      const end = cursor.tagEnd();
      if (tag === REPLICA_STATE_TAG && this.#version >= REPLICA_STATE_SINCE) {
        this.replicaId = cursor.int32();
        this.replicaEpoch = cursor.int64();
      }
      cursor.leaveTag(end);
    }
  }
}

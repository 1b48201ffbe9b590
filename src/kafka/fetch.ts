/**
 * Fetch (key 1), versions 4 to 18.
 *
 * Behaviour:
 * - Full fetches and incremental sessions (KIP-227), topics by name (to v12) or id (from v13).
 * - Long poll: answers when `min_bytes` are there, a partition has an error, or `max_wait_ms` is over.
 *   An unknown partition ends the wait only where no other is known.
 * - Whole batches up to the high watermark (or the last stable offset), the first batch always, however
 *   large. Records go from the batch cache to the socket; nothing is copied or parsed.
 * - Leader epoch fencing (KIP-320) and divergence by the last fetched epoch (KIP-595).
 * - A partition that another node leads is refused with NOT_LEADER_OR_FOLLOWER; from version 16 on the answer
 *   names the leader (KIP-951).
 * - Reading near by (KIP-392): a client with a rack is told by the leader which replica to ask, one in that rack that is in
 *   sync and has the offset (`replica.selector.class`); that answer has no records. A follower serves such clients what it
 *   knows to be committed, with its own high watermark. Beyond that OFFSET_NOT_AVAILABLE, beyond its log
 *   OFFSET_OUT_OF_RANGE, after which clients ask the leader.
 * - A session that names topics finds the topic that has the name at each request, one recreated after a
 *   deletion too; a session of ids knows only one incarnation, and answers UNKNOWN_TOPIC_OR_PARTITION for one that it
 *   has known, INCONSISTENT_TOPIC_ID where another has its name (UNKNOWN_TOPIC_ID otherwise). They do not mix
 *   (FETCH_SESSION_TOPIC_ID_ERROR).
 *
 * Deliberate gaps: a follower refuses clients without a rack, which can only have come by mistake. A request with a
 * replica id is refused per partition with NOT_LEADER_OR_FOLLOWER, because replicas use another protocol.
 *
 * @module
 */

import {
  FETCH_WAIT_MAX_MS,
  PARTITIONS_PER_REQUEST_MAX,
  WAITING_FETCHES_MAX,
} from "../base/limits.ts";
import type { Memory } from "../bytes/memory.ts";
import { decodeUtf8Lossy } from "../bytes/utf8.ts";
import type { ClusterImage } from "../cluster/image.ts";
import type { Timers } from "../io/timers.ts";
import { Slot } from "../metrics/catalog.ts";
import type { ShardRecorder } from "../metrics/recorder.ts";
import { TrafficKind } from "../metrics/traffic.ts";
import { ErrorCode } from "../wire/errors.ts";
import { FetchReader } from "../wire/fetch_reader.ts";
import { FetchResponseWriter } from "../wire/fetch_response.ts";
import { uuidFromBytes } from "../wire/uuid.ts";
import type { Connection } from "./connection.ts";
import { FetchFolds } from "./fetch_folds.ts";
import { FetchOperation } from "./fetch_operation.ts";
import type { FetchPart } from "./fetch_part.ts";
import { NO_RACK } from "./fetch_read.ts";
import {
  EPOCH_FINAL,
  EPOCH_INITIAL,
  FetchPartition,
  fetchPartitionKey,
  type FetchSession,
  type FetchSessions,
} from "./fetch_session.ts";
import type { LeaderHints } from "./leader_hints.ts";
import type { DataWaiter, PartitionDirectory } from "./partition.ts";
import { requestBody } from "./request_body.ts";
import { FETCH_PART_HEAP, HeapLane, type RequestHeap, UNKNOWN_PART_HEAP } from "./request_heap.ts";
import type { ResponseSlot } from "./response.ts";
import type { InPlacePath } from "./server.ts";

const SESSIONS_SINCE = 7;
const FLEXIBLE_SINCE = 12;
const TOPIC_IDS_SINCE = 13;
const POOL_MAX = 1024;

/** Parts of fetches that belong to other shards. */
export interface RemoteFetch {
  add(part: FetchPart): void;
  /** Asks the shards of the added parts; returns how many will call `operation.readDone()`. */
  send(operation: FetchOperation, maxBytes: number): number;
  /** Lets go of everything that was read for `operation`. */
  release(operation: FetchOperation): void;
  awaitData(part: FetchPart, waiter: DataWaiter): void;
}

export interface FetchOptions {
  readonly memory: Memory;
  readonly image: ClusterImage;
  readonly partitions: PartitionDirectory;
  readonly hints: LeaderHints;
  readonly remote: RemoteFetch;
  readonly sessions: FetchSessions;
  readonly timers: Timers;
  readonly nowMs: () => number;
  /** `fetch.max.bytes`. */
  readonly responseBytesMax: number;
  /** Clients are sent to replicas in their rack. */
  readonly isRackAware: boolean;
  readonly shard: number;
  readonly shardCount: number;
  readonly heap: RequestHeap;
  readonly recorder: ShardRecorder;
  /** Bytes of this shard's records that may be pinned now. */
  readonly pinRoom: () => number;
  /** Calls back once, when memory may have come free. */
  readonly whenReleased: (again: () => void) => void;
}

export class FetchPath implements InPlacePath {
  readonly partitions: PartitionDirectory;
  readonly hints: LeaderHints;
  readonly remote: RemoteFetch;
  readonly timers: Timers;
  readonly writer: FetchResponseWriter;
  readonly #options: FetchOptions;
  readonly #reader = new FetchReader();
  readonly #folds = new FetchFolds();
  readonly #pool: FetchOperation[] = [];
  #rereads: FetchOperation[] = [];
  #waiting = 0;
  #topicName = "";
  #topicId = "";

  constructor(options: FetchOptions) {
    this.#options = options;
    this.partitions = options.partitions;
    this.hints = options.hints;
    this.remote = options.remote;
    this.timers = options.timers;
    this.writer = new FetchResponseWriter(options.memory);
  }

  nowMs(): number {
    return this.#options.nowMs();
  }

  mayStart(): boolean {
    return true;
  }

  start(connection: Connection, slot: ResponseSlot, address: number, length: number): boolean {
    const { memory } = this.#options;
    const version = slot.apiVersion;
    const end = address + length;
    const body = requestBody(memory, address, end, version >= FLEXIBLE_SINCE);
    const reader = this.#reader;
    if (body < 0 || !reader.open(memory, body, end, version)) return false;
    if (reader.partitionTotal > PARTITIONS_PER_REQUEST_MAX) return false;
    const operation = this.#pool.pop() ?? new FetchOperation(this);
    operation.connection = connection;
    operation.slot = slot;
    operation.version = version;
    operation.maxWaitMs = Math.min(FETCH_WAIT_MAX_MS, Math.max(0, reader.maxWaitMs));
    operation.minBytes = reader.minBytes;
    operation.maxBytes = Math.min(Math.max(0, reader.maxBytes), this.#options.responseBytesMax);
    operation.isolation = reader.isolationLevel;
    operation.rack = reader.rackIdLength > 0 ? this.#rack() : "";
    operation.deadlineMs = this.nowMs() + operation.maxWaitMs;
    operation.sessionError = ErrorCode.NONE;
    operation.sessionId = 0;
    operation.session = null;
    operation.incremental = false;
    this.#takePartitions(operation);
    operation.heapBytes = this.#heapBytes(operation);
    this.#options.heap.take(HeapLane.FETCH, operation.heapBytes);
    connection.frameDone();
    operation.readAll();
    return true;
  }

  /** Whether one more fetch may wait for data. */
  mayWait(): boolean {
    return this.#waiting < WAITING_FETCHES_MAX;
  }

  /** Fetches that wait for data now. */
  get waitingCount(): number {
    return this.#waiting;
  }

  pinRoom(): number {
    return this.#options.pinRoom();
  }

  /** Notifies `waiter` when memory is freed, unless it no longer waits by then. */
  awaitMemory(waiter: DataWaiter): void {
    const epoch = waiter.waitEpoch;
    this.#options.whenReleased(() => {
      if (waiter.waitEpoch === epoch) waiter.onData();
    });
  }

  /** A part of an answer is as it will be sent. */
  noteAnswered(part: FetchPart): void {
    const { recorder, image } = this.#options;
    if (part.error !== ErrorCode.NONE) recorder.add(Slot.FETCH_REFUSED, 1);
    const { bytes, asked } = part;
    const row = bytes === 0 ? undefined : image.topicByHandle(asked.topicHandle)?.trafficRow;
    if (row === undefined) return;
    recorder.traffic.add(row, TrafficKind.FETCHED_BYTES, bytes);
    recorder.traffic.add(row, TrafficKind.FETCHED_RECORDS, part.nextOffset - asked.fetchOffset);
  }

  noteWaiting(change: number): void {
    this.#waiting += change;
  }

  queueReread(operation: FetchOperation): void {
    this.#rereads.push(operation);
  }

  /** Reads again for those that got news; once a turn. Returns whether there were any. */
  runRereads(): boolean {
    if (this.#rereads.length === 0) return false;
    const rereads = this.#rereads;
    this.#rereads = [];
    for (const operation of rereads) operation.reread();
    return true;
  }

  recycle(operation: FetchOperation): void {
    this.#options.heap.give(HeapLane.FETCH, operation.heapBytes);
    operation.heapBytes = 0;
    if (this.#pool.length < POOL_MAX) this.#pool.push(operation);
  }

  #heapBytes({ parts, partCount }: FetchOperation): number {
    let bytes = 0;
    for (let i = 0; i < partCount; i++) {
      bytes += parts[i]!.unknown ? UNKNOWN_PART_HEAP : FETCH_PART_HEAP;
    }
    return bytes;
  }

  #takePartitions(operation: FetchOperation): void {
    const reader = this.#reader;
    if (operation.version < SESSIONS_SINCE || reader.sessionEpoch === EPOCH_FINAL) {
      if (reader.sessionId !== 0) this.#options.sessions.close(reader.sessionId);
      this.#takeSessionless(operation);
      return;
    }
    if (reader.sessionEpoch === EPOCH_INITIAL) {
      if (reader.sessionId !== 0) this.#options.sessions.close(reader.sessionId);
      this.#beginSession(operation);
      return;
    }
    this.#continueSession(operation);
  }

  #takeSessionless(operation: FetchOperation): void {
    const reader = this.#reader;
    const folds = this.#folds;
    folds.begin(operation.version >= TOPIC_IDS_SINCE);
    while (reader.nextTopic()) {
      const handle = this.#takeTopic();
      folds.enter(this.#topicKey());
      while (reader.nextPartition()) {
        // Named twice, the last one counts, as in Kafka.
        const earlier = folds.find(operation, reader.partitionIndex);
        if (earlier !== null) this.#fill(earlier.asked, handle);
        else folds.note(this.#addPart(operation, this.#fill(new FetchPartition(), handle)));
      }
    }
    folds.clear();
  }

  #beginSession(operation: FetchOperation): void {
    const byId = operation.version >= TOPIC_IDS_SINCE;
    const { sessions } = this.#options;
    const fits = sessions.makeRoom(this.#reader.partitionTotal, this.nowMs());
    const session = fits ? sessions.create(this.nowMs(), byId) : null;
    if (session === null) {
      this.#takeSessionless(operation);
      return;
    }
    session.busy = true;
    operation.session = session;
    operation.sessionId = session.id;
    this.#update(session);
    for (const partition of session.partitions.values()) this.#addPart(operation, partition);
  }

  #continueSession(operation: FetchOperation): void {
    const reader = this.#reader;
    const session = this.#options.sessions.find(reader.sessionId);
    if (session === undefined) {
      operation.sessionError = ErrorCode.FETCH_SESSION_ID_NOT_FOUND;
      return;
    }
    if (session.nextEpoch !== reader.sessionEpoch || session.busy) {
      operation.sessionError = ErrorCode.INVALID_FETCH_SESSION_EPOCH;
      return;
    }
    if (session.byId !== operation.version >= TOPIC_IDS_SINCE) {
      operation.sessionError = ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR;
      return;
    }
    session.advance(this.nowMs());
    this.#options.sessions.touch(session);
    session.busy = true;
    if (!this.#options.sessions.makeRoom(reader.partitionTotal, this.nowMs())) {
      this.#options.sessions.close(session.id);
      operation.sessionError = ErrorCode.FETCH_SESSION_ID_NOT_FOUND;
      return;
    }
    operation.session = session;
    operation.sessionId = session.id;
    operation.incremental = true;
    this.#update(session);
    this.#forget(session);
    if (session.partitions.size === 0) {
      this.#endSession(operation, session);
      return;
    }
    for (const partition of session.partitions.values()) this.#addPart(operation, partition);
  }

  /**
   * A session that was told to forget its last partition is over, and the answer says so. What this request
   * names it answers, also where it forgets it; both as in Kafka.
   */
  #endSession(operation: FetchOperation, session: FetchSession): void {
    this.#options.sessions.close(session.id);
    operation.session = null;
    operation.sessionId = 0;
    operation.incremental = false;
    this.#reader.rewind();
    this.#takeSessionless(operation);
  }

  /** Adds or changes the partitions that the request names. */
  #update(session: FetchSession): void {
    const reader = this.#reader;
    while (reader.nextTopic()) {
      const handle = this.#takeTopic();
      const topic = this.#topicKey();
      while (reader.nextPartition()) {
        const key = fetchPartitionKey(topic, reader.partitionIndex);
        let partition = session.partitions.get(key);
        if (partition === undefined) {
          partition = new FetchPartition();
          this.#options.sessions.add(session, key, partition);
        }
        this.#fill(partition, handle);
      }
    }
  }

  #forget(session: FetchSession): void {
    const reader = this.#reader;
    reader.startForgotten();
    while (reader.nextForgottenTopic()) {
      this.#takeTopic();
      const topic = this.#topicKey();
      while (reader.nextForgottenPartition()) {
        this.#options.sessions.remove(session, fetchPartitionKey(topic, reader.partitionIndex));
      }
    }
  }

  /** Notes the name and id of the reader's topic; returns its handle. */
  #takeTopic(): number {
    const reader = this.#reader;
    const { memory, image } = this.#options;
    const byId = reader.topicIdAddress >= 0;
    const handle = byId
      ? image.lookup.findId(memory.bytes, reader.topicIdAddress)
      : image.lookup.findName(memory.bytes, reader.topicNameAddress, reader.topicNameLength);
    const topic = image.topicByHandle(handle);
    if (topic !== undefined) {
      this.#topicName = topic.name;
      this.#topicId = topic.id;
    } else if (byId) {
      this.#topicName = "";
      this.#topicId = uuidFromBytes(memory.bytes, reader.topicIdAddress);
    } else {
      const from = reader.topicNameAddress;
      this.#topicName = decodeUtf8Lossy(memory.bytes, from, from + reader.topicNameLength);
      this.#topicId = "";
    }
    return handle;
  }

  #rack(): string {
    const { rackIdAddress: from, rackIdLength: length } = this.#reader;
    return decodeUtf8Lossy(this.#options.memory.bytes, from, from + length);
  }

  /** The replicas of a partition in the client's rack, a bit each, if clients are sent there. */
  #near({ topicHandle, partition }: FetchPartition, rack: string): number {
    if (rack === "") return NO_RACK;
    const { image, isRackAware } = this.#options;
    const replicas = image.topicByHandle(topicHandle)?.partitions[partition]?.replicas ?? [];
    let near = 0;
    for (let at = 0; isRackAware && at < replicas.length; at++) {
      if (image.nodes.get(replicas[at]!)?.rack === rack) near |= 1 << at;
    }
    return near;
  }

  #topicKey(): string {
    return this.#reader.topicIdAddress >= 0 ? this.#topicId : this.#topicName;
  }

  #fill(partition: FetchPartition, handle: number): FetchPartition {
    const reader = this.#reader;
    partition.topicHandle = handle;
    // In a session of ids a topic that is gone keeps the name that it had.
    if (this.#topicName !== "") partition.topicName = this.#topicName;
    partition.topicId = this.#topicId;
    partition.partition = reader.partitionIndex;
    partition.fetchOffset = reader.fetchOffset;
    partition.maxBytes = reader.partitionMaxBytes;
    partition.currentLeaderEpoch = reader.currentLeaderEpoch;
    partition.lastFetchedEpoch = reader.lastFetchedEpoch;
    return partition;
  }

  #addPart(operation: FetchOperation, asked: FetchPartition): FetchPart {
    const { image, shard, shardCount } = this.#options;
    const part = operation.addPart(asked);
    const byId = operation.version >= TOPIC_IDS_SINCE;
    if (image.topicByHandle(asked.topicHandle) === undefined) this.#resolve(asked, byId);
    part.groupId = image.groupIdOf(asked.topicHandle, asked.partition);
    part.near = this.#near(asked, operation.rack);
    part.isRemote = false;
    if (part.groupId < 0) {
      part.knownError = this.#absenceOf(asked, byId);
      return part;
    }
    if (this.#reader.replicaId >= 0) part.knownError = ErrorCode.NOT_LEADER_OR_FOLLOWER;
    part.shard = part.groupId % shardCount;
    part.isRemote = part.shard !== shard;
    return part;
  }

  /** Of a topic that the session has known, Kafka looks for the name, which another topic may have by now. */
  #absenceOf({ topicName, partition }: FetchPartition, byId: boolean): ErrorCode {
    if (byId && topicName === "") return ErrorCode.UNKNOWN_TOPIC_ID;
    return this.#options.image.topicByName(topicName)?.partitions[partition] === undefined
      ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
      : ErrorCode.INCONSISTENT_TOPIC_ID;
  }

  /** A topic that was unknown, or is gone, since its session named it may exist by now. */
  #resolve(asked: FetchPartition, byId: boolean): void {
    const { image } = this.#options;
    const topic = byId ? image.topicById(asked.topicId) : image.topicByName(asked.topicName);
    if (topic === undefined) return;
    asked.topicHandle = topic.handle;
    asked.topicName = topic.name;
    asked.topicId = topic.id;
    // The session's state of the previous topic does not apply to this one.
    asked.sentHighWatermark = -1;
    asked.sentStartOffset = -1;
  }
}

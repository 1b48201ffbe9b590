/**
 * One fetch request on its way: read, perhaps wait for data, answer, and unpin.
 *
 * ```text
 *   reading    every partition is read on its shard
 *   deciding   enough bytes, an error, or no time left: answering; else: waiting
 *   waiting    for news of any partition, or for the deadline; then reading again. A change
 *              while other shards were still reading is seen here, because no news of it follows
 *   answering  the response is queued on the connection; its records are pinned in the batch cache
 * ```
 *
 * Pinned records have a budget of their own. Where it is used up, partitions are read without their
 * records; with those of others the answer is given as it is, else the operation waits for memory as it waits
 * for data. A wait ends early when its connection ends, or when the memory is needed that a later request
 * holds.
 *
 * Pooled. Local partitions are read through {@linkcode FetchRead}; those of other shards are asked for
 * together, one message per shard (`RemoteFetch`).
 *
 * @module
 */

import type { RangeList } from "../bytes/range_list.ts";
import { Timer } from "../io/timers.ts";
import { ErrorCode } from "../wire/errors.ts";
import {
  FETCH_ABORTED_SIZE_MAX,
  FETCH_PARTITION_SIZE_MAX,
  FETCH_RESPONSE_SIZE_MAX,
  FETCH_TOPIC_SIZE_MAX,
  type FetchPartitionResult,
  type FetchResponseHead,
} from "../wire/fetch_response.ts";
import type { Connection, ParkedRequest } from "./connection.ts";
import type { FetchPath } from "./fetch.ts";
import { FetchPart } from "./fetch_part.ts";
import { type FetchReadOwner, NO_RACK } from "./fetch_read.ts";
import { type FetchPartition, fetchPartitionKey, type FetchSession } from "./fetch_session.ts";
import { NO_LEADER, ResponseLeaders } from "./leader_hints.ts";
import { type DataWaiter, hasNews } from "./partition.ts";
import type { ResponseSlot, StreamedResponse } from "./response.ts";

const TOPIC_IDS_SINCE = 13;
const LEADERS_SINCE = 16;
/**
 * How long after its deadline an operation without data still waits to ask another shard, or for
 * memory (ms): longer than it takes to get that back from who stalls.
 */
const UNREAD_GRACE_MS = 5_000;
/** Parts that an operation keeps for its next use. */
const PARTS_KEPT_MAX = 256;
/** Numbers of aborted transactions in an answer; those of its first partition with records may be more. */
const ABORTED_CELLS_MAX = 65_536;

export class FetchOperation implements StreamedResponse, DataWaiter, FetchReadOwner, ParkedRequest {
  readonly #path: FetchPath;
  connection: Connection | null = null;
  slot: ResponseSlot | null = null;
  version = 0;
  maxWaitMs = 0;
  minBytes = 0;
  maxBytes = 0;
  isolation = 0;
  /** Where the client is; empty: it has not said. */
  rack = "";
  session: FetchSession | null = null;
  /** The session answers only changes. */
  incremental = false;
  sessionError = 0;
  /** What is counted for it (bytes). */
  heapBytes = 0;
  sessionId = 0;

  readonly parts: FetchPart[] = [];
  partCount = 0;
  deadlineMs = 0;
  waitEpoch = 0;
  #pendingReads = 0;
  #waiting = false;
  /** The next answer is the last, with whatever data there is. */
  #hurried = false;
  /** Records on this shard were left out, because no more could be pinned, or there was no memory to read them. */
  #starved = false;
  #rereadQueued = false;
  /** When the present wait ends: the deadline, or a little later. */
  #lateMs = 0;
  readonly #timer: Timer;
  readonly #head: FetchResponseHead = {
    correlationId: 0,
    throttleTimeMs: 0,
    errorCode: 0,
    sessionId: 0,
    topicCount: 0,
  };
  readonly #result: FetchPartitionResult = {
    index: 0,
    errorCode: 0,
    highWatermark: -1,
    lastStableOffset: -1,
    logStartOffset: -1,
    divergingEpoch: -1,
    divergingEndOffset: -1,
    leaderId: -1,
    leaderEpoch: -1,
  };
  /** Parts in the response, in order of topics. */
  readonly #answer: FetchPart[] = [];
  /** Partitions were refused because this node does not lead them; the response names who does. */
  #misdirected = false;
  #leaders: ResponseLeaders | null = null;
  #inlineSize = 0;

  constructor(path: FetchPath) {
    this.#path = path;
    this.#timer = new Timer(() => this.#onDeadline());
  }

  /** A part to fill, from the pool of this operation. */
  addPart(asked: FetchPartition): FetchPart {
    const at = this.partCount++;
    let part = this.parts[at];
    if (part === undefined) {
      part = new FetchPart();
      this.parts.push(part);
    }
    part.asked = asked;
    part.knownError = ErrorCode.NONE;
    part.answered = false;
    return part;
  }

  /** Reads every part; answers or waits when all have been read. */
  readAll(): void {
    this.#pendingReads = 1;
    const remote = this.#path.remote;
    // The first partition with data may give a batch that exceeds the limits.
    const pinRoom = this.#path.pinRoom();
    let first = pinRoom > 0;
    let room = Math.min(this.maxBytes, Math.max(0, pinRoom));
    this.#starved = false;
    for (let i = 0; i < this.partCount; i++) {
      const part = this.parts[i]!;
      if (part.knownError !== ErrorCode.NONE) continue;
      if (part.isRemote) {
        remote.add(part);
        continue;
      }
      this.#ask(part, first, room);
      if (part.read.start(this.#path.partitions, part.groupId, this)) {
        if (pinRoom <= 0 && part.read.hasMore) this.#starved = true;
        room -= part.bytes;
        if (part.bytes > 0) first = false;
      } else {
        this.#pendingReads++;
        room -= part.read.maxBytes;
        first = false;
      }
    }
    this.#pendingReads += remote.send(this, this.maxBytes);
    this.readDone();
  }

  onFetchRead(): void {
    this.readDone();
  }

  /** One read (or one shard) less to wait for. */
  readDone(): void {
    this.#pendingReads--;
    if (this.#pendingReads === 0) this.#decide();
  }

  onData(): void {
    this.#readAgain();
  }

  endWait(): void {
    this.#hurried = true;
    this.#readAgain();
  }

  inlineSizeMax(): number {
    if (this.#misdirected && this.#leaders === null) this.#nameLeaders();
    return this.#inlineSize + (this.#leaders?.sizeMax ?? 0);
  }

  write(address: number, correlationId: number, ranges: RangeList): number {
    const { writer } = this.#path;
    const head = this.#head;
    head.correlationId = correlationId;
    head.errorCode = this.sessionError;
    head.sessionId = this.sessionId;
    head.topicCount = this.#countTopics();
    writer.begin(address, address + this.inlineSizeMax(), this.version, head);
    let from = address;
    for (let i = 0; i < this.#answer.length;) {
      const first = this.#answer[i]!.asked;
      let end = i + 1;
      while (end < this.#answer.length && this.#isSameTopic(this.#answer[end]!.asked, first)) end++;
      if (this.#isById) writer.topicByUuid(first.topicId, end - i);
      else writer.topicByText(first.topicName, end - i);
      for (; i < end; i++) from = this.#writePart(i, from, ranges);
      writer.endTopic();
    }
    const length = writer.end(this.#leaders?.endpoints ?? null);
    ranges.push(from, address + length - from);
    return length;
  }

  onSent(): void {
    this.releaseReads();
    this.connection = null;
    this.slot = null;
    this.session = null;
    this.#answer.length = 0;
    this.#misdirected = false;
    this.#leaders = null;
    this.partCount = 0;
    this.#hurried = false;
    if (this.parts.length > PARTS_KEPT_MAX) this.parts.length = PARTS_KEPT_MAX;
    this.#path.recycle(this);
  }

  /** Unpins everything that was read. */
  releaseReads(): void {
    for (let i = 0; i < this.partCount; i++) {
      this.parts[i]!.releaseRead();
    }
    this.#path.remote.release(this);
  }

  #ask(part: FetchPart, minOneBatch: boolean, room: number): void {
    const { asked, read } = part;
    read.fetchOffset = asked.fetchOffset;
    read.maxBytes = Math.max(0, Math.min(asked.maxBytes, room));
    read.minOneBatch = minOneBatch;
    read.isolation = this.isolation;
    read.currentLeaderEpoch = asked.currentLeaderEpoch;
    read.lastFetchedEpoch = asked.lastFetchedEpoch;
    read.near = part.near;
  }

  #decide(): void {
    let bytes = 0;
    let urgent = false;
    let known = 0;
    if (this.connection!.closing) {
      this.#abandon();
      return;
    }
    let unread = false;
    let lacksCredit = false;
    for (let i = 0; i < this.partCount; i++) {
      const part = this.parts[i]!;
      // Unknown topics are answered together with the others, as Kafka does. A consumer that still
      // has a deleted partition would ask again and again without a pause otherwise.
      if (part.unknown) continue;
      known++;
      if (part.error !== ErrorCode.NONE || part.diverges || part.preferredReplica >= 0) {
        urgent = true;
      }
      if (part.isRemote && part.knownError === ErrorCode.NONE) {
        unread ||= part.remote.unread;
        lacksCredit ||= part.remote.lacksCredit;
      } else if (part.knownError === ErrorCode.NONE && part.read.lacksMemory) {
        this.#starved = true;
      }
      bytes += part.bytes;
    }
    unread ||= this.#starved;
    // Who lacks memory on one shard keeps none on another: two that read again and again would each hold
    // what the other lacks, and nobody else would find any.
    const enough = bytes > 0
      ? bytes >= this.minBytes || (unread && !lacksCredit)
      : bytes >= this.minBytes && !unread;
    // Partitions that were not read have no answer yet, and are read shortly.
    const late = lacksCredit || (unread && bytes === 0);
    this.#lateMs = this.deadlineMs + (late ? UNREAD_GRACE_MS : 0);
    const inTime = this.#path.nowMs() < this.#lateMs;
    if (
      urgent || known === 0 || enough || !inTime || this.#hurried || !this.#path.mayWait()
    ) {
      this.#finish();
      return;
    }
    this.releaseReads();
    this.#wait();
  }

  #wait(): void {
    this.#waiting = true;
    this.connection!.parked = this;
    this.#path.noteWaiting(1);
    for (let i = 0; i < this.partCount; i++) {
      const part = this.parts[i]!;
      if (part.unknown) continue;
      if (part.isRemote) {
        this.#path.remote.awaitData(part, this);
        continue;
      }
      const partition = this.#path.partitions.byGroup(part.groupId);
      if (hasNews(partition, part.read.highWatermark, part.near !== NO_RACK)) {
        this.#readAgain();
        return;
      }
      partition!.awaitData(this);
    }
    if (this.#starved) this.#path.awaitMemory(this);
    this.#path.timers.schedule(this.#timer, this.#lateMs);
  }

  #onDeadline(): void {
    this.#readAgain();
  }

  /** Ends the wait; the reads happen once, at the end of this turn. */
  #readAgain(): void {
    if (!this.#waiting || this.#rereadQueued) return;
    this.#rereadQueued = true;
    this.#waiting = false;
    this.connection!.parked = null;
    this.waitEpoch++;
    this.#path.noteWaiting(-1);
    this.#path.timers.cancel(this.#timer);
    this.#path.queueReread(this);
  }

  /** Called by the path at the end of the turn. */
  reread(): void {
    this.#rereadQueued = false;
    if (this.connection!.closing) this.#abandon();
    else this.readAll();
  }

  /** Nobody is left to be answered: the session's state stays as it was. */
  #abandon(): void {
    if (this.session !== null) this.session.busy = false;
    this.#giveToConnection();
  }

  #giveToConnection(): void {
    const slot = this.slot!;
    slot.streamed = this;
    this.connection!.answer(slot);
  }

  #finish(): void {
    let room = this.maxBytes;
    let names = 0;
    let given = false;
    let aborted = 0;
    for (let i = 0; i < this.partCount; i++) {
      const part = this.parts[i]!;
      const bytes = part.bytes;
      // Each shard's first batch may exceed the limits; of the whole answer only the first may.
      const isCrowded = aborted + part.aborted.length > ABORTED_CELLS_MAX;
      if (given && (isCrowded || bytes > Math.min(room, part.asked.maxBytes))) {
        part.dropRecords();
      } else if (bytes > 0) {
        room = Math.max(0, room - bytes);
        given = true;
        aborted += part.aborted.length;
      }
      part.answered = !this.incremental || isNews(part);
      if (!part.answered) continue;
      this.#path.noteAnswered(part);
      this.#answer.push(part);
      if (this.version >= LEADERS_SINCE && isMisdirected(part.error)) this.#misdirected = true;
      names += 3 * part.asked.topicName.length;
      noteSent(part);
    }
    this.#answer.sort(this.#isById ? byTopicId : byTopicName);
    this.#inlineSize = FETCH_RESPONSE_SIZE_MAX + names +
      this.#answer.length * (FETCH_PARTITION_SIZE_MAX + FETCH_TOPIC_SIZE_MAX) +
      aborted / 2 * FETCH_ABORTED_SIZE_MAX;
    this.#finishSession();
    this.#giveToConnection();
  }

  /** As late as possible: that a partition is lost may be known before who leads it. */
  #nameLeaders(): void {
    const leaders = this.#leaders = new ResponseLeaders(this.#path.hints);
    for (let i = 0; i < this.#answer.length; i++) {
      const { error, asked } = this.#answer[i]!;
      if (isMisdirected(error)) leaders.add(i, asked.topicName, asked.partition);
    }
  }

  #finishSession(): void {
    const { session } = this;
    if (session === null) return;
    session.busy = false;
    for (let i = 0; i < this.#answer.length; i++) {
      const part = this.#answer[i]!;
      if (part.bytes === 0) continue;
      const { asked } = part;
      session.rotate(
        fetchPartitionKey(this.#isById ? asked.topicId : asked.topicName, asked.partition),
      );
    }
  }

  /** The request names its topics by id. */
  get #isById(): boolean {
    return this.version >= TOPIC_IDS_SINCE;
  }

  /** Of a topic that came or went one partition may know what the other does not: its name, or its id. */
  #isSameTopic(a: FetchPartition, b: FetchPartition): boolean {
    return this.#isById ? a.topicId === b.topicId : a.topicName === b.topicName;
  }

  #countTopics(): number {
    let count = 0;
    for (let i = 0; i < this.#answer.length; i++) {
      if (i === 0 || !this.#isSameTopic(this.#answer[i - 1]!.asked, this.#answer[i]!.asked)) {
        count++;
      }
    }
    return count;
  }

  /** Writes a part of the answer; returns where the next inline piece begins. */
  #writePart(at: number, from: number, ranges: RangeList): number {
    const { writer } = this.#path;
    const part = this.#answer[at]!;
    const result = this.#result;
    result.index = part.asked.partition;
    result.errorCode = part.error;
    const unknown = part.knownError !== ErrorCode.NONE;
    const answer = part.isRemote ? part.remote : part.read;
    result.highWatermark = unknown ? -1 : answer.highWatermark;
    result.lastStableOffset = unknown ? -1 : answer.lastStableOffset;
    result.logStartOffset = unknown ? -1 : answer.startOffset;
    result.divergingEpoch = unknown ? -1 : answer.divergingEpoch;
    result.divergingEndOffset = unknown ? -1 : answer.divergingEndOffset;
    const leader = this.#leaders?.of(at) ?? NO_LEADER;
    result.leaderId = leader.leaderId;
    result.leaderEpoch = leader.leaderEpoch;
    // An empty list where it was asked for and something was read; and, as in Kafka, of what nobody knows.
    const isRead = this.isolation !== 0 && result.errorCode === ErrorCode.NONE;
    const isNowhere = part.unknown && result.errorCode !== ErrorCode.INCONSISTENT_TOPIC_ID;
    const { aborted } = part;
    writer.partition(result, isRead || isNowhere ? aborted.length / 2 : -1);
    if (isRead) {
      for (let i = 0; i < aborted.length; i += 2) writer.aborted(aborted[i]!, aborted[i + 1]!);
    }
    const bytes = part.bytes;
    writer.records(part.preferredReplica, bytes);
    if (bytes === 0) {
      writer.endPartition(result);
      return from;
    }
    ranges.push(from, writer.at - from);
    if (part.isRemote) {
      const { addresses, lengths } = part.remote;
      for (let i = 0; i < addresses.length; i++) ranges.push(addresses[i]!, lengths[i]!);
    } else {
      const { log } = part.read;
      for (let i = 0; i < log.extentCount; i++) ranges.push(log.addresses[i]!, log.lengths[i]!);
    }
    const next = writer.at;
    writer.endPartition(result);
    return next;
  }
}

function byTopicName(a: FetchPart, b: FetchPart): number {
  if (a.asked.topicName === b.asked.topicName) return 0;
  return a.asked.topicName < b.asked.topicName ? -1 : 1;
}

function byTopicId(a: FetchPart, b: FetchPart): number {
  if (a.asked.topicId === b.asked.topicId) return 0;
  return a.asked.topicId < b.asked.topicId ? -1 : 1;
}

/** Whether another node leads, or may. */
function isMisdirected(error: number): boolean {
  return error === ErrorCode.NOT_LEADER_OR_FOLLOWER || error === ErrorCode.FENCED_LEADER_EPOCH;
}

function isNews(part: FetchPart): boolean {
  const { asked } = part;
  return part.bytes > 0 || part.error !== ErrorCode.NONE || part.diverges ||
    part.preferredReplica >= 0 ||
    part.highWatermark !== asked.sentHighWatermark || part.startOffset !== asked.sentStartOffset ||
    asked.sentError !== ErrorCode.NONE;
}

function noteSent(part: FetchPart): void {
  const { asked } = part;
  asked.sentError = part.error;
  asked.sentHighWatermark = part.highWatermark;
  asked.sentStartOffset = part.startOffset;
}

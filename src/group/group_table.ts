/**
 * All groups of one coordinator, and what its parts share: time, timers, random numbers, the log, and the
 * answers that wait until the state is whole.
 *
 * Written state changes only in {@linkcode GroupTable.replay}, the same code while loading and later.
 * {@linkcode GroupTable.append} asks the log for a batch; the log replays it once it is committed and
 * then calls back, and only then is the client answered.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import type { LogFields } from "../base/logger.ts";
import type { Random } from "../base/prng.ts";
import { Timer, Timers } from "../io/timers.ts";
import { ErrorCode } from "../wire/errors.ts";
import type { GroupConfig } from "./config.ts";
import type { GroupWorld } from "./consumer/config.ts";
import { ConsumerGroup } from "./consumer/consumer_group.ts";
import { changeRecord } from "./consumer/records.ts";
import type { Change } from "./consumer/types.ts";
import { Group, GroupState } from "./group.ts";
import { GROUPS_PER_COORDINATOR_MAX } from "./limits.ts";
import type { Respond } from "./member.ts";
import { PendingOffsets } from "./pending_offsets.ts";
import {
  decodeRecord,
  type GroupRecord,
  groupRecord,
  offsetRecord,
  pendingRecord,
} from "./records.ts";

/** The partition of `__consumer_offsets` that a coordinator writes to. */
export interface CoordinatorLog {
  /**
   * Appends the records as one batch, all or nothing, after everything appended before.
   *
   * Calls `done` exactly once: with 0 after the batch is committed *and* replayed, in the order of the
   * appends, or with an error code when it never will be.
   */
  append(
    records: readonly GroupRecord[],
    done: (errorCode: number) => void,
    producer?: RecordsProducer | null,
  ): void;
}

/** The producer in whose transaction records are written; null: in none. */
export interface RecordsProducer {
  readonly producerId: number;
  readonly producerEpoch: number;
}

/** Takes a line about a group; see `src/base/event_log.ts`. */
export type GroupListener = (message: string, fields: LogFields) => void;

export class GroupTable {
  readonly config: GroupConfig;
  readonly random: Random;
  readonly world: GroupWorld;
  readonly timers = new Timers();
  readonly groups = new Map<string, Group>();
  /** Offsets in transactions that have not ended. */
  readonly pending = new PendingOffsets();
  /** The clock's monotonic time at the latest entry (ms). */
  nowMs = 0;
  /** The wall clock at the latest entry (ms since the epoch). */
  wallMs = 0;
  #log: CoordinatorLog;
  #answers: (() => void)[] = [];
  #flushing = false;

  /** Told, for people, that a group was formed or that its last member left. */
  readonly onGroup: GroupListener;

  constructor(
    config: GroupConfig,
    random: Random,
    log: CoordinatorLog,
    world: GroupWorld,
    onGroup: GroupListener = () => {},
  ) {
    this.onGroup = onGroup;
    this.config = config;
    this.random = random;
    this.world = world;
    this.#log = log;
  }

  /** The group, made if need be; null when there are too many. */
  getOrCreate(groupId: string): Group | null {
    let group = this.groups.get(groupId);
    if (group !== undefined) return group;
    if (this.groups.size >= GROUPS_PER_COORDINATOR_MAX) return null;
    group = new Group(groupId);
    group.stateTimestampMs = this.wallMs;
    this.groups.set(groupId, group);
    return group;
  }

  /** Forgets a group that nothing is left of. */
  dropIfVoid(group: Group): void {
    if (!group.isVoid || this.groups.get(group.groupId) !== group) return;
    this.cancel(group.joinTimer);
    this.cancel(group.syncTimer);
    group.state = GroupState.DEAD;
    this.groups.delete(group.groupId);
  }

  /** Answers a request when the present entry has done all its changes. */
  answer<Response>(respond: Respond<Response>, response: Response): void {
    this.#answers.push(() => respond(response));
  }

  /** Sends the answers; what they cause may answer further requests. */
  flush(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    while (this.#answers.length > 0) {
      const answers = this.#answers;
      this.#answers = [];
      for (const send of answers) send();
    }
    this.#flushing = false;
  }

  /** Appends `records` about `group`; `done` runs after commit and replay, or with the log's error. */
  append(
    group: Group,
    records: readonly GroupRecord[],
    done: (errorCode: number) => void,
    producer: RecordsProducer | null = null,
  ): void {
    assert(records.length > 0, "an empty batch was appended");
    group.appendsInFlight++;
    this.#log.append(records, (errorCode) => {
      group.appendsInFlight--;
      done(errorCode);
      this.dropIfVoid(group);
      this.flush();
    }, producer);
  }

  /** Applies a committed record; returns why it was skipped, or null. */
  replay(key: Uint8Array, value: Uint8Array | null): string | null {
    const record = decodeRecord(key, value);
    if (record.kind === "skipped") return record.problem;
    if (record.kind === "pending") {
      return this.replayPending(record.producerId, record.key, record.value);
    }
    if (record.kind === "offset") this.pending.supersede(record);
    let group = this.groups.get(record.groupId);
    if (group === undefined) {
      const isNothing = record.kind === "change"
        ? record.change === null || record.change.value === null
        : record.value === null;
      if (isNothing) return null;
      // The limit holds for what clients ask for, not for what is written.
      group = new Group(record.groupId);
      this.groups.set(record.groupId, group);
    }
    if (record.kind === "offset") {
      group.offsets.replay(record.topic, record.partition, record.value);
    } else if (record.kind === "change") {
      if (record.change !== null) replayChange(group, record.change);
    } else {
      group.metadata = record.value;
    }
    this.dropIfVoid(group);
    return null;
  }

  /** Notes a committed record of a producer's transaction; returns why it was skipped, or null. */
  replayPending(producerId: number, key: Uint8Array, value: Uint8Array | null): string | null {
    const record = decodeRecord(key, value);
    if (record.kind === "skipped") return record.problem;
    if (record.kind !== "offset" || record.value === null) {
      return "a transaction holds something else than an offset";
    }
    const { groupId, topic, partition, value: offset } = record;
    this.pending.add(producerId, { groupId, topic, partition, value: offset });
    return null;
  }

  /** A producer's transaction has ended: what it committed counts from now on. */
  endTransaction(producerId: number, isCommit: boolean): void {
    for (const offset of this.pending.take(producerId)) {
      if (!isCommit) continue;
      const { groupId, topic, partition, value, stamp } = offset;
      this.pending.supersede(offset, stamp);
      let group = this.groups.get(groupId);
      if (group === undefined) this.groups.set(groupId, group = new Group(groupId));
      group.offsets.replay(topic, partition, value);
    }
  }

  /**
   * Records that rebuild the written state; groups that change while they are drawn may come either way. Offsets in
   * transactions are taken now: those of a transaction that ends meanwhile are needed when its end is applied again.
   */
  snapshotRecords(): Iterable<GroupRecord> {
    const pending = this.pending.all();
    return this.#snapshotRecords(pending);
  }

  *#snapshotRecords(pending: ReturnType<PendingOffsets["all"]>): Generator<GroupRecord> {
    for (const { groupId, metadata, consumer, offsets } of this.groups.values()) {
      for (const change of consumer?.written.all() ?? []) yield changeRecord(groupId, change);
      if (metadata !== null) yield groupRecord(groupId, metadata);
      for (const [topic, partitions] of offsets.topics()) {
        for (const [partition, value] of partitions) {
          yield offsetRecord({ groupId, topic, partition }, value);
        }
      }
    }
    // Behind the offsets outside of transactions, which would be taken for newer.
    for (const [producerId, offset] of pending) {
      yield pendingRecord(producerId, offset, offset.value);
    }
  }

  /** Sets `timer` to fire after `delayMs`; makes one if there is none yet. */
  schedule(timer: Timer | null, delayMs: number, onFire: () => void): Timer {
    const scheduled = timer ?? new Timer(onFire);
    this.timers.schedule(scheduled, this.nowMs + delayMs);
    return scheduled;
  }

  cancel(timer: Timer | null): void {
    if (timer !== null) this.timers.cancel(timer);
  }

  /** A random id of the form that Kafka gives members (an RFC 9562 version 4 uuid). */
  randomUuid(): string {
    const word = (): string => this.random.nextUint32().toString(16).padStart(8, "0");
    const hex = word() + word() + word() + word();
    const variant = ((Number.parseInt(hex[16]!, 16) & 3) | 8).toString(16);
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-` +
      `${variant}${hex.slice(17, 20)}-${hex.slice(20)}`;
  }
}

function replayChange(group: Group, change: Change): void {
  const consumer = group.consumer ??= new ConsumerGroup();
  consumer.written.apply(change);
  if (consumer.isVoid) group.consumer = null;
}

/** The error for a member when the log refused the group's records. */
export function groupErrorOf(appendError: number): number {
  switch (appendError) {
    case ErrorCode.UNKNOWN_TOPIC_OR_PARTITION:
    case ErrorCode.NOT_ENOUGH_REPLICAS:
    case ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND:
    case ErrorCode.REQUEST_TIMED_OUT:
      return ErrorCode.COORDINATOR_NOT_AVAILABLE;
    case ErrorCode.NOT_LEADER_OR_FOLLOWER:
    case ErrorCode.KAFKA_STORAGE_ERROR:
      return ErrorCode.NOT_COORDINATOR;
    case ErrorCode.MESSAGE_TOO_LARGE:
    case ErrorCode.RECORD_LIST_TOO_LARGE:
    case ErrorCode.INVALID_FETCH_SIZE:
      return ErrorCode.UNKNOWN_SERVER_ERROR;
    default:
      return appendError;
  }
}

/** The error for a client when the log refused its offsets. */
export function commitErrorOf(appendError: number): number {
  switch (appendError) {
    case ErrorCode.MESSAGE_TOO_LARGE:
    case ErrorCode.RECORD_LIST_TOO_LARGE:
    case ErrorCode.INVALID_FETCH_SIZE:
      return ErrorCode.INVALID_COMMIT_OFFSET_SIZE;
    default:
      return groupErrorOf(appendError);
  }
}

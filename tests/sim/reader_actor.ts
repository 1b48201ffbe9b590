/**
 * Simulated consumers of the new group protocol (KIP-848): they join, read what they are given, give up what they must,
 * commit what they got to, and leave.
 *
 * All of a group write in one {@linkcode ReaderBook}, which holds that
 * - no partition is read by two of them at a time;
 * - neither a member's epoch nor a committed offset goes back;
 * - who reads a partition can commit its offset.
 *
 * A reader that was not answered, or whose connection ended, begins anew as another member: what it had is nobody's
 * until the coordinator ends its session.
 *
 * @module
 */

import { ErrorCode } from "../../src/wire/errors.ts";
import {
  CONSUMER_GROUP_HEARTBEAT,
  OFFSET_COMMIT,
  OFFSET_FETCH,
} from "../../src/wire/generated/apis.ts";
import { newConsumerGroupHeartbeatRequest } from "../../src/wire/generated/consumer_group_heartbeat_request.ts";
import {
  newOffsetCommitRequest,
  newOffsetCommitRequestPartition,
} from "../../src/wire/generated/offset_commit_request.ts";
import {
  newOffsetFetchRequest,
  newOffsetFetchRequestGroup,
} from "../../src/wire/generated/offset_fetch_request.ts";
import { ZERO_UUID } from "../../src/wire/uuid.ts";
import { Actor, type SimTopic, type Stage } from "./actor.ts";
import { expect } from "./sim_failure.ts";

/** The settings of the brokers: members are removed when they are silent for this long. */
export const READER_SESSION_MS = 6_000;
/** A reader that was last heard of before this may have lost what it reads without knowing it. */
const TRUSTED_MS = 4_000;
const HEARTBEAT_VERSION = 1;
const COMMIT_VERSION = 9;
const FETCH_VERSION = 9;

/** What has become of one partition. */
interface Entry {
  reader: ReaderActor | null;
  sent: number;
  acknowledged: number;
  /** Commits without an answer may come through later than others. */
  isUncertain: boolean;
}

/** Of one group, over one topic. */
export class ReaderBook {
  readonly groupId: string;
  readonly topic: SimTopic;
  readonly #entries: Entry[] = [];
  nextMember = 0;

  constructor(groupId: string, topic: SimTopic) {
    this.groupId = groupId;
    this.topic = topic;
  }

  entry(partition: number): Entry {
    return this.#entries[partition] ??= {
      reader: null,
      sent: -1,
      acknowledged: -1,
      isUncertain: false,
    };
  }

  get partitionCount(): number {
    return this.#entries.length;
  }
}

export class ReaderActor extends Actor {
  readonly #book: ReaderBook;
  #memberId = "";
  #epoch = 0;
  #owned = new Set<number>();
  /** When the last heartbeat that was answered was sent (virtual ms). */
  #heardOfMs = -Infinity;
  /** The partition of the commit that is open, or -1. */
  #open = -1;

  constructor(stage: Stage, seed: number, book: ReaderBook) {
    super(stage, seed);
    this.#book = book;
    this.#rename();
  }

  override get idle(): boolean {
    return this.openRequests === 0;
  }

  /** Nobody but it can be reading what it has. */
  get #isTrusted(): boolean {
    return this.stage.cluster.nowMs < this.#heardOfMs + TRUSTED_MS;
  }

  protected override act(): void {
    if (this.openRequests > 0 || this.stage.draining || this.#book.topic.id === "") return;
    if (this.#coordinator < 0) return;
    const kind = this.random.nextBelow(100);
    if (kind < 15) this.#fetchOffsets();
    else if (this.#epoch === 0 || kind < 55) this.#heartbeat();
    else if (kind < 58) this.#leave();
    else this.#commit();
  }

  protected override forget(): void {
    if (this.#open >= 0) this.#book.entry(this.#open).isUncertain = true;
    this.#open = -1;
    this.#rename();
  }

  /** Looks at the committed offsets once more; `done` when it has the answer. */
  verify(done: () => void): void {
    if (this.#coordinator >= 0) this.#fetchOffsets(done);
  }

  get #coordinator(): number {
    return this.coordinatorOf(this.#book.groupId);
  }

  /** It is another member from now on, and reads nothing. */
  #rename(): void {
    this.#give(new Set());
    this.#epoch = 0;
    this.#memberId = `${this.#book.groupId}-member-${this.#book.nextMember++}`;
  }

  #heartbeat(): void {
    const { groupId, topic } = this.#book;
    const sentMs = this.stage.cluster.nowMs;
    const isJoin = this.#epoch === 0;
    const isByRegex = isJoin && this.chance(30);
    const partitions = [...this.#owned];
    const request = newConsumerGroupHeartbeatRequest({
      groupId,
      memberId: this.#memberId,
      memberEpoch: this.#epoch,
      rebalanceTimeoutMs: isJoin ? READER_SESSION_MS : -1,
      subscribedTopicNames: isJoin && !isByRegex ? [topic.name] : null,
      subscribedTopicRegex: isByRegex ? topic.name : null,
      topicPartitions: partitions.length === 0 ? [] : [{ topicId: topic.id, partitions }],
    });
    this.ask(CONSUMER_GROUP_HEARTBEAT, HEARTBEAT_VERSION, request, (response) => {
      const { errorCode, memberEpoch, assignment } = response;
      this.#observe(errorCode);
      if (errorCode !== ErrorCode.NONE) return this.#mayRefuse(errorCode);
      this.#observe(memberEpoch);
      expect(
        memberEpoch >= this.#epoch && memberEpoch > 0,
        () => `${this.#memberId}: epoch ${memberEpoch} after ${this.#epoch}`,
      );
      this.#epoch = memberEpoch;
      this.#heardOfMs = sentMs;
      if (assignment === null) return;
      const own = assignment.topicPartitions.find(({ topicId }) => topicId === topic.id);
      this.#give(new Set(own?.partitions ?? []));
    }, this.#coordinator);
  }

  /** It reads these partitions from now on, and no others. */
  #give(partitions: Set<number>): void {
    for (const partition of this.#owned) {
      const entry = this.#book.entry(partition);
      if (!partitions.has(partition) && entry.reader === this) entry.reader = null;
    }
    for (const partition of partitions) {
      const entry = this.#book.entry(partition);
      const other = entry.reader;
      expect(
        other === null || other === this || !other.#isTrusted,
        () => `${this.#memberId} and ${other!.#memberId} read partition ${partition}`,
      );
      entry.reader = this;
    }
    this.#owned = partitions;
  }

  #commit(): void {
    if (this.#owned.size === 0) return;
    const { groupId, topic } = this.#book;
    const partition = this.pick([...this.#owned]);
    const entry = this.#book.entry(partition);
    const offset = entry.sent + 1 + this.random.nextBelow(10);
    entry.sent = offset;
    this.#open = partition;
    const partitions = [newOffsetCommitRequestPartition({
      partitionIndex: partition,
      committedOffset: offset,
    })];
    const request = newOffsetCommitRequest({
      groupId,
      generationIdOrMemberEpoch: this.#epoch,
      memberId: this.#memberId,
      topics: [{ name: topic.name, topicId: ZERO_UUID, partitions }],
    });
    this.ask(OFFSET_COMMIT, COMMIT_VERSION, request, (response) => {
      const { errorCode } = response.topics[0]!.partitions[0]!;
      this.#observe(errorCode);
      this.#open = -1;
      expect(
        errorCode !== ErrorCode.STALE_MEMBER_EPOCH || !this.#isTrusted,
        () => `${this.#memberId} reads partition ${partition}, and may not commit`,
      );
      if (errorCode === ErrorCode.NONE) entry.acknowledged = Math.max(entry.acknowledged, offset);
      else if (errorCode !== ErrorCode.UNKNOWN_TOPIC_OR_PARTITION) this.#mayRefuse(errorCode);
    }, this.#coordinator);
  }

  #fetchOffsets(done: () => void = () => {}): void {
    const { groupId, topic, partitionCount } = this.#book;
    const partitionIndexes = Array.from({ length: partitionCount }, (_, index) => index);
    const before = partitionIndexes.map((index) => this.#book.entry(index).acknowledged);
    const topics = [{ name: topic.name, topicId: ZERO_UUID, partitionIndexes }];
    const request = newOffsetFetchRequest({
      groups: [newOffsetFetchRequestGroup({ groupId, topics })],
    });
    this.ask(OFFSET_FETCH, FETCH_VERSION, request, (response) => {
      const group = response.groups[0]!;
      this.#observe(group.errorCode);
      if (group.errorCode !== ErrorCode.NONE) return this.#mayRefuse(group.errorCode);
      for (const { partitionIndex, committedOffset } of group.topics[0]!.partitions) {
        this.#observe(committedOffset);
        const { sent, isUncertain } = this.#book.entry(partitionIndex);
        const acknowledged = before[partitionIndex]!;
        expect(
          (committedOffset >= acknowledged || isUncertain) && committedOffset <= sent,
          () =>
            `${groupId}/${partitionIndex}: committed is ${committedOffset}, acknowledged ` +
            `${acknowledged}, sent ${sent}`,
        );
      }
      done();
    }, this.#coordinator);
  }

  #leave(): void {
    const request = newConsumerGroupHeartbeatRequest({
      groupId: this.#book.groupId,
      memberId: this.#memberId,
      memberEpoch: -1,
    });
    // It reads nothing from the moment at which it says so.
    this.#give(new Set());
    this.ask(CONSUMER_GROUP_HEARTBEAT, HEARTBEAT_VERSION, request, ({ errorCode }) => {
      this.#observe(errorCode);
      if (errorCode !== ErrorCode.NONE) this.#mayRefuse(errorCode);
      this.#rename();
    }, this.#coordinator);
  }

  #mayRefuse(errorCode: number): void {
    this.misled(errorCode);
    switch (errorCode) {
      case ErrorCode.UNKNOWN_MEMBER_ID:
      case ErrorCode.GROUP_ID_NOT_FOUND:
      case ErrorCode.FENCED_MEMBER_EPOCH:
      case ErrorCode.STALE_MEMBER_EPOCH:
        this.#rename();
        return;
      default: {
        const fine: number[] = [
          ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
          ErrorCode.COORDINATOR_NOT_AVAILABLE,
          ErrorCode.NOT_COORDINATOR,
          ErrorCode.KAFKA_STORAGE_ERROR,
          // A broker that has not heard yet that the cluster's version is finalized.
          ErrorCode.UNSUPPORTED_VERSION,
        ];
        expect(fine.includes(errorCode), () => `${this.#book.groupId} refuses with ${errorCode}`);
        // What it was answered may have been written all the same: it begins anew.
        this.#rename();
      }
    }
  }

  #observe(value: number): void {
    this.stage.checker.observe(value);
  }
}

/**
 * OffsetCommit, OffsetFetch and OffsetDelete: the offsets that groups keep.
 *
 * - The committing client is checked as a member of the present generation, unless the group is empty and the
 *   commit names no generation (generation -1): a consumer that assigns its own partitions, or a tool.
 *   Such a commit creates the group if necessary.
 * - A commit by a member extends its session, like a heartbeat.
 * - While the group awaits its assignment nobody may commit (REBALANCE_IN_PROGRESS); while members
 *   still join, those of the last generation may.
 * - Readers see only offsets that are committed in the log, never pending ones.
 * - Members of a group of the new protocol are checked by `consumer/offset_rules.ts`.
 * - A commit in a producer's transaction counts when the transaction is committed (`pending_offsets.ts`).
 *
 * @module
 */

import { ErrorCode } from "../wire/errors.ts";
import type {
  OffsetCommitRequest,
  OffsetCommitRequestPartition,
} from "../wire/generated/offset_commit_request.ts";
import {
  newOffsetCommitResponse,
  newOffsetCommitResponsePartition,
  newOffsetCommitResponseTopic,
  type OffsetCommitResponse,
} from "../wire/generated/offset_commit_response.ts";
import type { OffsetDeleteRequest } from "../wire/generated/offset_delete_request.ts";
import {
  newOffsetDeleteResponse,
  newOffsetDeleteResponsePartition,
  newOffsetDeleteResponseTopic,
  type OffsetDeleteResponse,
} from "../wire/generated/offset_delete_response.ts";
import { type CommitVerdict, commitVerdict } from "./consumer/offset_rules.ts";
import type { GroupContext } from "./context.ts";
import { type Group, GroupState } from "./group.ts";
import { commitErrorOf, type GroupTable, type RecordsProducer } from "./group_table.ts";
import { PENDING_OFFSETS_MAX } from "./limits.ts";
import type { Respond } from "./member.ts";
import { memberError } from "./membership.ts";
import type { Rebalancer } from "./rebalance.ts";
import { type CommittedOffset, type GroupRecord, offsetRecord } from "./records.ts";

/** First version in which a group that does not exist has an error of its own. */
const GROUP_ID_NOT_FOUND_VERSION = 9;

export class OffsetHandling {
  #table: GroupTable;
  #rebalancer: Rebalancer;

  constructor(table: GroupTable, rebalancer: Rebalancer) {
    this.#table = table;
    this.#rebalancer = rebalancer;
  }

  /** The caller has checked that the topics exist, and named those that came with an id. */
  commit(
    context: GroupContext,
    request: OffsetCommitRequest,
    respond: Respond<OffsetCommitResponse>,
    producer: RecordsProducer | null = null,
  ): void {
    const known = this.#table.groups.get(request.groupId) ?? null;
    const consumer = known?.asConsumer ?? null;
    const verdict = consumer === null
      ? this.#commitError(context, known, request, producer !== null)
      : commitVerdict(consumer.written, request, context.version, producer !== null);
    const errorCode = typeof verdict === "number" ? verdict : ErrorCode.NONE;
    const group = errorCode === ErrorCode.NONE
      ? known ?? this.#table.getOrCreate(request.groupId)
      : known;
    const isFull = producer !== null && this.#table.pending.size >= PENDING_OFFSETS_MAX;
    if (group === null || errorCode !== ErrorCode.NONE || isFull) {
      const code = errorCode === ErrorCode.NONE ? ErrorCode.COORDINATOR_NOT_AVAILABLE : errorCode;
      this.#table.answer(respond, commitResponse(request, () => code));
      if (group !== null) this.#table.dropIfVoid(group);
      return;
    }
    const member = group.members.get(request.memberId);
    if (member !== undefined) this.#rebalancer.touch(group, member);
    this.#append(group, request, respond, producer, typeof verdict === "number" ? null : verdict);
    this.#table.dropIfVoid(group);
  }

  /** The caller has checked that the topics exist. */
  remove(request: OffsetDeleteRequest, respond: Respond<OffsetDeleteResponse>): void {
    const group = this.#table.groups.get(request.groupId);
    const errorCode = this.#removeError(group, request.groupId);
    if (group === undefined || errorCode !== ErrorCode.NONE) {
      this.#table.answer(respond, newOffsetDeleteResponse({ errorCode }));
      return;
    }
    const records: GroupRecord[] = [];
    for (const { name, partitions } of request.topics) {
      if (group.isSubscribedTo(name)) continue;
      for (const { partitionIndex: partition } of partitions) {
        const place = { groupId: group.groupId, topic: name, partition };
        if (!group.offsets.isKnown(name, partition) && !this.#table.pending.has(place)) continue;
        records.push(offsetRecord(place, null));
      }
    }
    const answer = (code: number): void => {
      if (code !== ErrorCode.NONE) {
        this.#table.answer(respond, newOffsetDeleteResponse({ errorCode: commitErrorOf(code) }));
        return;
      }
      const topics = request.topics.map(({ name, partitions }) =>
        newOffsetDeleteResponseTopic({
          name,
          partitions: partitions.map(({ partitionIndex }) =>
            newOffsetDeleteResponsePartition({
              partitionIndex,
              errorCode: subscribed.has(name)
                ? ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC
                : ErrorCode.NONE,
            })
          ),
        })
      );
      this.#table.answer(respond, newOffsetDeleteResponse({ topics }));
    };
    const names = request.topics.map((topic) => topic.name);
    const subscribed = new Set(names.filter((name) => group.isSubscribedTo(name)));
    if (records.length === 0) return answer(ErrorCode.NONE);
    group.lingers = true;
    this.#table.append(group, records, answer);
  }

  #commitError(
    context: GroupContext,
    group: Group | null,
    request: OffsetCommitRequest,
    isTransactional: boolean,
  ): number {
    const generation = request.generationIdOrMemberEpoch;
    if (group === null) {
      if (generation < 0) return ErrorCode.NONE;
      return context.version >= GROUP_ID_NOT_FOUND_VERSION
        ? ErrorCode.GROUP_ID_NOT_FOUND
        : ErrorCode.ILLEGAL_GENERATION;
    }
    if (group.state === GroupState.DEAD) return ErrorCode.COORDINATOR_NOT_AVAILABLE;
    if (generation < 0 && group.state === GroupState.EMPTY) return ErrorCode.NONE;
    if (generation < 0 && request.memberId === "" && request.groupInstanceId === null) {
      // A client outside the group may not overwrite its members' commits; a transaction's producer is fenced by its id.
      return isTransactional ? ErrorCode.NONE : ErrorCode.UNKNOWN_MEMBER_ID;
    }
    const errorCode = memberError(group, request.memberId, request.groupInstanceId);
    if (errorCode !== ErrorCode.NONE) return errorCode;
    if (generation !== group.generation) return ErrorCode.ILLEGAL_GENERATION;
    return group.state === GroupState.COMPLETING_REBALANCE && !isTransactional
      ? ErrorCode.REBALANCE_IN_PROGRESS
      : ErrorCode.NONE;
  }

  #append(
    group: Group,
    request: OffsetCommitRequest,
    respond: Respond<OffsetCommitResponse>,
    producer: RecordsProducer | null,
    verdictOf: Exclude<CommitVerdict, number> | null,
  ): void {
    const { wallMs, config, world } = this.#table;
    const problemOf = (topic: string, partition: OffsetCommitRequestPartition): number => {
      if ((partition.committedMetadata?.length ?? 0) > config.offsetMetadataSizeMax) {
        return ErrorCode.OFFSET_METADATA_TOO_LARGE;
      }
      if (verdictOf === null) return ErrorCode.NONE;
      return verdictOf(world.topics.byName(topic)?.id ?? "", partition.partitionIndex);
    };
    const problems = request.topics.map(({ name, partitions }) =>
      partitions.map((partition) => problemOf(name, partition))
    );
    const expireTimestampMs = request.retentionTimeMs < 0 ? -1 : wallMs + request.retentionTimeMs;
    const records: GroupRecord[] = [];
    const begun: { topic: string; partition: number }[] = [];
    for (const [topicAt, topic] of request.topics.entries()) {
      for (const [at, partition] of topic.partitions.entries()) {
        if (problems[topicAt]![at] !== ErrorCode.NONE) continue;
        const place = { topic: topic.name, partition: partition.partitionIndex };
        const value: CommittedOffset = {
          offset: partition.committedOffset,
          leaderEpoch: partition.committedLeaderEpoch,
          metadata: partition.committedMetadata ?? "",
          commitTimestampMs: partition.commitTimestamp < 0 ? wallMs : partition.commitTimestamp,
          expireTimestampMs,
        };
        records.push(offsetRecord({ groupId: group.groupId, ...place }, value));
        begun.push(place);
        group.offsets.begin(place.topic, place.partition);
      }
    }
    const answer = (errorCode: number): void => {
      for (const { topic, partition } of begun) group.offsets.end(topic, partition);
      const response = commitResponse(
        request,
        (_partition, topicAt, at) => problems[topicAt]![at] || commitErrorOf(errorCode),
      );
      this.#table.answer(respond, response);
    };
    if (records.length === 0) answer(ErrorCode.NONE);
    else this.#table.append(group, records, answer, producer);
  }

  #removeError(group: Group | undefined, groupId: string): number {
    if (groupId === "") return ErrorCode.INVALID_GROUP_ID;
    if (group === undefined || group.state === GroupState.DEAD) return ErrorCode.GROUP_ID_NOT_FOUND;
    if (group.isEmpty || group.consumer !== null || group.isConsumerGroup) return ErrorCode.NONE;
    return ErrorCode.NON_EMPTY_GROUP;
  }
}

/** A response with one error for each partition. */
export function commitResponse(
  request: OffsetCommitRequest,
  errorOf: (partition: OffsetCommitRequestPartition, topicAt: number, at: number) => number,
): OffsetCommitResponse {
  const topics = request.topics.map((topic, topicAt) =>
    newOffsetCommitResponseTopic({
      name: topic.name,
      topicId: topic.topicId,
      partitions: topic.partitions.map((partition, at) =>
        newOffsetCommitResponsePartition({
          partitionIndex: partition.partitionIndex,
          errorCode: errorOf(partition, topicAt, at),
        })
      ),
    })
  );
  return newOffsetCommitResponse({ topics });
}

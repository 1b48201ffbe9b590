/**
 * The coordinator of the groups in one partition of `__consumer_offsets`.
 *
 * Lives on the shard that leads the partition, from the moment it begins to lead until it stops: first
 * *loading* (every record of the partition is replayed), then *active* after
 * {@linkcode GroupCoordinator.loaded}, and *gone* after {@linkcode GroupCoordinator.unload}. A
 * later leadership creates a new one. Where nobody can lead the partition, it is *offline* from the beginning.
 *
 * Requests are answered through `respond`, exactly once each, at once or later: when their records are
 * committed and replayed, or when a rebalance ends. Pure: time comes with each call, chance from the
 * `Random`, and the owner calls {@linkcode GroupCoordinator.tick} at the latest at
 * {@linkcode GroupCoordinator.nextDeadlineMs}.
 *
 * Which part does what: `group.ts` (one group's state), `rebalance.ts` (phases and sessions), `join.ts`,
 * `membership.ts` (sync, heartbeat, leave), `offset_commit.ts`, `offset_fetch.ts`, `offset_expiry.ts`,
 * `consumer/` (groups of the new protocol), `group_listing.ts`, `group_loading.ts`, `records.ts` (bytes), `group_table.ts` (what they share).
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import type { Random } from "../base/prng.ts";
import { ErrorCode } from "../wire/errors.ts";
import {
  type DescribedGroup as DescribedConsumerGroup,
  newDescribedGroup as newDescribedConsumerGroup,
} from "../wire/generated/consumer_group_describe_response.ts";
import type { ConsumerGroupHeartbeatRequest } from "../wire/generated/consumer_group_heartbeat_request.ts";
import {
  type ConsumerGroupHeartbeatResponse,
  newConsumerGroupHeartbeatResponse,
} from "../wire/generated/consumer_group_heartbeat_response.ts";
import {
  type DeletableGroupResult,
  newDeletableGroupResult,
} from "../wire/generated/delete_groups_response.ts";
import {
  type DescribedGroup,
  newDescribedGroup,
} from "../wire/generated/describe_groups_response.ts";
import type { HeartbeatRequest } from "../wire/generated/heartbeat_request.ts";
import {
  type HeartbeatResponse,
  newHeartbeatResponse,
} from "../wire/generated/heartbeat_response.ts";
import type { JoinGroupRequest } from "../wire/generated/join_group_request.ts";
import type { JoinGroupResponse } from "../wire/generated/join_group_response.ts";
import type { LeaveGroupRequest } from "../wire/generated/leave_group_request.ts";
import {
  type LeaveGroupResponse,
  newLeaveGroupResponse,
} from "../wire/generated/leave_group_response.ts";
import type { ListGroupsRequest } from "../wire/generated/list_groups_request.ts";
import {
  type ListGroupsResponse,
  newListGroupsResponse,
} from "../wire/generated/list_groups_response.ts";
import type { OffsetCommitRequest } from "../wire/generated/offset_commit_request.ts";
import type { OffsetCommitResponse } from "../wire/generated/offset_commit_response.ts";
import type { OffsetDeleteRequest } from "../wire/generated/offset_delete_request.ts";
import {
  newOffsetDeleteResponse,
  type OffsetDeleteResponse,
} from "../wire/generated/offset_delete_response.ts";
import type { OffsetFetchRequestGroup } from "../wire/generated/offset_fetch_request.ts";
import {
  newOffsetFetchResponseGroup,
  type OffsetFetchResponseGroup,
} from "../wire/generated/offset_fetch_response.ts";
import type { SyncGroupRequest } from "../wire/generated/sync_group_request.ts";
import {
  newSyncGroupResponse,
  type SyncGroupResponse,
} from "../wire/generated/sync_group_response.ts";
import type { GroupConfig } from "./config.ts";
import type { GroupWorld } from "./consumer/config.ts";
import { describeConsumerGroup } from "./consumer/describe.ts";
import { ConsumerHeartbeats } from "./consumer/heartbeat.ts";
import { ConsumerGroupKeeper } from "./consumer/keeper.ts";
import { ClassicMembers } from "./consumer/classic_members.ts";
import { Migration } from "./consumer/migration.ts";
import type { GroupContext } from "./context.ts";
import { GroupState } from "./group.ts";
import { describeGroup, listGroups } from "./group_listing.ts";
import { startGroups } from "./group_loading.ts";
import {
  type CoordinatorLog,
  groupErrorOf,
  type GroupListener,
  GroupTable,
  type RecordsProducer,
} from "./group_table.ts";
import { JoinHandling, refusedJoin } from "./join.ts";
import type { Respond } from "./member.ts";
import { MembershipHandling } from "./membership.ts";
import { commitResponse, OffsetHandling } from "./offset_commit.ts";
import { deleteGroup, expireOffsets, forgetTopics } from "./offset_expiry.ts";
import { fetchOffsets } from "./offset_fetch.ts";
import { Rebalancer } from "./rebalance.ts";

export interface GroupCoordinatorOptions {
  readonly config: GroupConfig;
  readonly random: Random;
  readonly log: CoordinatorLog;
  readonly world: GroupWorld;
  readonly onGroup?: GroupListener;
}

type Phase = "loading" | "active" | "gone" | "offline";

export class GroupCoordinator {
  #table: GroupTable;
  #rebalancer: Rebalancer;
  #join: JoinHandling;
  #membership: MembershipHandling;
  #offsets: OffsetHandling;
  #keeper: ConsumerGroupKeeper;
  #consumers: ConsumerHeartbeats;
  #classicMembers: ClassicMembers;
  #phase: Phase = "loading";
  #nextExpiryMs = Infinity;

  constructor(options: GroupCoordinatorOptions) {
    const { config, random, log, world, onGroup } = options;
    this.#table = new GroupTable(config, random, log, world, onGroup);
    this.#keeper = new ConsumerGroupKeeper(this.#table);
    this.#rebalancer = new Rebalancer(this.#table);
    const migration = new Migration(this.#table, this.#keeper, this.#rebalancer);
    this.#consumers = new ConsumerHeartbeats(this.#table, this.#keeper, migration);
    this.#classicMembers = new ClassicMembers(this.#table, this.#keeper, migration);
    this.#join = new JoinHandling(this.#table, this.#rebalancer);
    this.#membership = new MembershipHandling(this.#table, this.#rebalancer);
    this.#offsets = new OffsetHandling(this.#table, this.#rebalancer);
  }

  /** Everything is replayed and requests are served. */
  get active(): boolean {
    return this.#phase === "active";
  }

  /** For inspection: the groups and what they share. */
  get table(): GroupTable {
    return this.#table;
  }

  /**
   * Takes over a committed record of the partition, while loading and after each commit of its own, in
   * offset order. The bytes are not kept.
   *
   * @returns why the record makes no sense and was skipped; null when it was applied
   */
  replay(key: Uint8Array, value: Uint8Array | null): string | null {
    return this.#phase === "gone" ? null : this.#table.replay(key, value);
  }

  /** The same of a record in a producer's transaction: it counts when that is committed. */
  replayPending(producerId: number, key: Uint8Array, value: Uint8Array | null): string | null {
    return this.#phase === "gone" ? null : this.#table.replayPending(producerId, key, value);
  }

  /** A producer's transaction has ended in this partition. */
  endTransaction(producerId: number, isCommit: boolean): void {
    if (this.#phase !== "gone") this.#table.endTransaction(producerId, isCommit);
  }

  /** The partition is replayed up to its end: begins to serve. */
  loaded(nowMs: number, wallMs: number): void {
    assert(this.#phase === "loading", "a coordinator was loaded twice");
    this.#setTime(nowMs, wallMs);
    this.#phase = "active";
    this.#nextExpiryMs = nowMs + this.#table.config.offsetsRetentionCheckMs;
    startGroups(this.#table, this.#rebalancer, this.#keeper);
    this.#table.flush();
  }

  /** Nobody can lead the partition before an operator has acted: clients are told that there is no coordinator. */
  takeOffline(): void {
    assert(this.#phase === "loading", "a coordinator that serves loses its partition first");
    this.#phase = "offline";
  }

  /** The partition is led elsewhere: waiting members get NOT_COORDINATOR and look for their coordinator. */
  unload(): void {
    if (this.#phase === "gone") return;
    this.#phase = "gone";
    this.#nextExpiryMs = Infinity;
    for (const group of this.#table.groups.values()) {
      this.#table.cancel(group.joinTimer);
      this.#table.cancel(group.syncTimer);
      for (const memberId of [...group.pendingJoins.keys()]) {
        this.#rebalancer.removePending(group, memberId);
      }
      for (const member of [...group.members.values()]) {
        this.#rebalancer.dropMember(group, member, ErrorCode.NOT_COORDINATOR);
      }
      if (group.consumer !== null) this.#keeper.stop(group.consumer, ErrorCode.NOT_COORDINATOR);
      group.state = GroupState.DEAD;
    }
    this.#table.groups.clear();
    this.#table.flush();
  }

  /** Ends sessions and waits that are due at `nowMs`. */
  tick(nowMs: number, wallMs: number): void {
    if (this.#phase !== "active") return;
    this.#setTime(nowMs, wallMs);
    this.#table.timers.run(nowMs);
    if (nowMs >= this.#nextExpiryMs) {
      this.#nextExpiryMs = nowMs + this.#table.config.offsetsRetentionCheckMs;
      expireOffsets(this.#table, this.#keeper);
    }
    this.#table.flush();
  }

  /** When {@linkcode GroupCoordinator.tick} has something to do (monotonic ms), or Infinity. */
  nextDeadlineMs(): number {
    return Math.min(this.#table.timers.nextDeadlineMs(), this.#nextExpiryMs);
  }

  joinGroup(
    context: GroupContext,
    request: JoinGroupRequest,
    respond: Respond<JoinGroupResponse>,
  ): void {
    const errorCode = this.#enter(context);
    const group = this.#table.groups.get(request.groupId);
    if (errorCode === ErrorCode.NONE && group?.consumer != null) {
      const asClassic = (): void => this.#join.join(context, request, respond);
      this.#classicMembers.join(group, group.consumer, context, request, respond, asClassic);
    } else if (errorCode === ErrorCode.NONE) this.#join.join(context, request, respond);
    else respond(refusedJoin(context.version, request.memberId, errorCode));
    this.#table.flush();
  }

  consumerHeartbeat(
    context: GroupContext,
    request: ConsumerGroupHeartbeatRequest,
    respond: Respond<ConsumerGroupHeartbeatResponse>,
  ): void {
    const errorCode = this.#enter(context);
    if (errorCode === ErrorCode.NONE) this.#consumers.heartbeat(context, request, respond);
    else respond(newConsumerGroupHeartbeatResponse({ errorCode }));
    this.#table.flush();
  }

  syncGroup(
    context: GroupContext,
    request: SyncGroupRequest,
    respond: Respond<SyncGroupResponse>,
  ): void {
    const errorCode = this.#enter(context);
    const group = this.#table.groups.get(request.groupId);
    if (errorCode === ErrorCode.NONE && group?.consumer != null) {
      this.#classicMembers.sync(group, group.consumer, request, respond);
    } else if (errorCode === ErrorCode.NONE) this.#membership.sync(request, respond);
    else respond(newSyncGroupResponse({ errorCode }));
    this.#table.flush();
  }

  heartbeat(
    context: GroupContext,
    request: HeartbeatRequest,
    respond: Respond<HeartbeatResponse>,
  ): void {
    const errorCode = this.#enter(context);
    const group = this.#table.groups.get(request.groupId);
    if (errorCode === ErrorCode.NONE && group?.consumer != null) {
      this.#classicMembers.heartbeat(group, group.consumer, request, respond);
    } else if (errorCode === ErrorCode.NONE) this.#membership.heartbeat(request, respond);
    else if (errorCode === ErrorCode.COORDINATOR_LOAD_IN_PROGRESS) {
      // As Kafka: the member need not know that its coordinator has moved.
      respond(newHeartbeatResponse());
    } else respond(newHeartbeatResponse({ errorCode }));
    this.#table.flush();
  }

  leaveGroup(
    context: GroupContext,
    request: LeaveGroupRequest,
    respond: Respond<LeaveGroupResponse>,
  ): void {
    const errorCode = this.#enter(context);
    const group = this.#table.groups.get(request.groupId);
    if (errorCode === ErrorCode.NONE && group?.consumer != null) {
      this.#classicMembers.leave(group, group.consumer, context, request, respond);
    } else if (errorCode === ErrorCode.NONE) this.#membership.leave(context, request, respond);
    else respond(newLeaveGroupResponse({ errorCode }));
    this.#table.flush();
  }

  /** The topics must exist; those of version 10 must have been given their names. */
  offsetCommit(
    context: GroupContext,
    request: OffsetCommitRequest,
    respond: Respond<OffsetCommitResponse>,
  ): void {
    const errorCode = this.#enter(context);
    if (errorCode === ErrorCode.NONE) this.#offsets.commit(context, request, respond);
    else respond(commitResponse(request, () => errorCode));
    this.#table.flush();
  }

  /** The same in a producer's transaction, which its coordinator must have been asked about. */
  transactionalCommit(
    context: GroupContext,
    request: OffsetCommitRequest,
    producer: RecordsProducer,
    respond: Respond<OffsetCommitResponse>,
  ): void {
    const errorCode = this.#enter(context);
    if (errorCode === ErrorCode.NONE) this.#offsets.commit(context, request, respond, producer);
    else respond(commitResponse(request, () => errorCode));
    this.#table.flush();
  }

  /**
   * What one group has committed; topics of version 10 must have been given their names.
   *
   * @param requiresStable nothing is said of partitions with an offset in a transaction that has not ended
   */
  offsetFetch(
    context: GroupContext,
    request: OffsetFetchRequestGroup,
    requiresStable = false,
  ): OffsetFetchResponseGroup {
    const errorCode = this.#enter(context);
    if (errorCode === ErrorCode.NONE) return fetchOffsets(this.#table, request, requiresStable);
    return newOffsetFetchResponseGroup({ groupId: request.groupId, errorCode });
  }

  /** The topics must exist. */
  offsetDelete(
    context: GroupContext,
    request: OffsetDeleteRequest,
    respond: Respond<OffsetDeleteResponse>,
  ): void {
    const errorCode = this.#enter(context);
    if (errorCode === ErrorCode.NONE) this.#offsets.remove(request, respond);
    else respond(newOffsetDeleteResponse({ errorCode }));
    this.#table.flush();
  }

  /** Offline: none, as where no node has the partition; the others are listed. */
  listGroups(context: GroupContext, request: ListGroupsRequest): ListGroupsResponse {
    if (this.#phase === "offline") return newListGroupsResponse();
    const errorCode = this.#enter(context);
    if (errorCode !== ErrorCode.NONE) return newListGroupsResponse({ errorCode });
    return newListGroupsResponse({ groups: listGroups(this.#table, request) });
  }

  describeGroup(context: GroupContext, groupId: string): DescribedGroup {
    const errorCode = this.#enter(context);
    if (errorCode === ErrorCode.NONE) return describeGroup(this.#table, groupId, context.version);
    return newDescribedGroup({ groupId, errorCode });
  }

  describeConsumerGroup(context: GroupContext, groupId: string): DescribedConsumerGroup {
    const errorCode = this.#enter(context);
    if (errorCode === ErrorCode.NONE) return describeConsumerGroup(this.#table, groupId);
    return newDescribedConsumerGroup({ groupId, errorCode });
  }

  deleteGroup(
    context: GroupContext,
    groupId: string,
    respond: Respond<DeletableGroupResult>,
  ): void {
    const answer = (errorCode: number): void =>
      this.#table.answer(respond, newDeletableGroupResult({ groupId, errorCode }));
    const errorCode = this.#enter(context);
    if (errorCode !== ErrorCode.NONE) answer(errorCode);
    else {
      deleteGroup(this.#table, this.#keeper, groupId, (error) => answer(groupErrorOf(error)));
    }
    this.#table.flush();
  }

  /** Topics are gone from the cluster: forgets what groups had committed of them. */
  topicsDeleted(topics: readonly string[]): void {
    if (this.#phase !== "active") return;
    forgetTopics(this.#table, topics);
    this.#table.flush();
  }

  #enter(context: GroupContext): number {
    this.#setTime(context.nowMs, context.wallMs);
    switch (this.#phase) {
      case "active":
        return ErrorCode.NONE;
      case "loading":
        return ErrorCode.COORDINATOR_LOAD_IN_PROGRESS;
      case "offline":
        return ErrorCode.COORDINATOR_NOT_AVAILABLE;
      case "gone":
        return ErrorCode.NOT_COORDINATOR;
    }
  }

  #setTime(nowMs: number, wallMs: number): void {
    this.#table.nowMs = Math.max(this.#table.nowMs, nowMs);
    this.#table.wallMs = wallMs;
  }
}

/**
 * JoinGroup, SyncGroup, Heartbeat and LeaveGroup of members that speak the classic protocol in a consumer group.
 *
 * To such a member every new assignment is a generation, whose number is its member epoch: its heartbeat is answered
 * REBALANCE_IN_PROGRESS, it joins again at once (nobody is waited for), and SyncGroup gives it its partitions. It never
 * leads. What it has to give up it gives up by joining without it, in one JoinGroup where it rebalances eagerly, and in
 * two where it cooperates.
 *
 * @module
 */

import { ErrorCode } from "../../wire/errors.ts";
import type { HeartbeatRequest } from "../../wire/generated/heartbeat_request.ts";
import {
  type HeartbeatResponse,
  newHeartbeatResponse,
} from "../../wire/generated/heartbeat_response.ts";
import type { JoinGroupRequest } from "../../wire/generated/join_group_request.ts";
import {
  type JoinGroupResponse,
  newJoinGroupResponse,
} from "../../wire/generated/join_group_response.ts";
import type { LeaveGroupRequest } from "../../wire/generated/leave_group_request.ts";
import {
  type LeaveGroupResponse,
  newLeaveGroupResponse,
  newMemberResponse,
} from "../../wire/generated/leave_group_response.ts";
import type { SyncGroupRequest } from "../../wire/generated/sync_group_request.ts";
import {
  newSyncGroupResponse,
  type SyncGroupResponse,
} from "../../wire/generated/sync_group_response.ts";
import type { GroupContext } from "../context.ts";
import { CONSUMER_PROTOCOL_TYPE, type Group } from "../group.ts";
import type { GroupTable } from "../group_table.ts";
import { KNOWN_ID_VERSION, refusedJoin, termsOf } from "../join.ts";
import {
  MEMBER_ID_PREFIX_MAX,
  MEMBER_PROTOCOLS_SIZE_MAX,
  MEMBERS_PER_GROUP_MAX,
  PROTOCOLS_PER_MEMBER_MAX,
} from "../limits.ts";
import { type MemberTerms, protocolsSize, type Respond } from "../member.ts";
import { SINGLE_LEAVE_VERSION_MAX } from "../membership.ts";
import type { ConsumerGroup, Round } from "./consumer_group.ts";
import { byId, embeddedVersion, readSubscription, writeAssignment } from "./embedded.ts";
import type { ConsumerGroupKeeper } from "./keeper.ts";
import { readsOther, saysOther } from "./member_rules.ts";
import type { Migration } from "./migration.ts";
import type { ConsumerGroupView } from "./state.ts";
import { type MemberInfo, MemberState, partitionsOf } from "./types.ts";

export class ClassicMembers {
  readonly #table: GroupTable;
  readonly #keeper: ConsumerGroupKeeper;
  readonly #migration: Migration;

  constructor(table: GroupTable, keeper: ConsumerGroupKeeper, migration: Migration) {
    this.#table = table;
    this.#keeper = keeper;
    this.#migration = migration;
  }

  /** @param asClassic goes on where the group had no members, and is a classic one from now on */
  join(
    group: Group,
    consumer: ConsumerGroup,
    context: GroupContext,
    request: JoinGroupRequest,
    respond: Respond<JoinGroupResponse>,
    asClassic: () => void,
  ): void {
    const refuse = (errorCode: number, memberId = request.memberId): void =>
      this.#table.answer(respond, refusedJoin(context.version, memberId, errorCode));
    this.#keeper.add(group, consumer, (round) => {
      if (round.view.members.size === 0) {
        this.#keeper.end(round);
        round.isLast = true;
        return round.whenWritten((errorCode) => {
          if (errorCode !== ErrorCode.NONE) return refuse(errorCode);
          group.consumer = null;
          asClassic();
        });
      }
      const joined = this.#join(round, context, request);
      round.whenWritten((errorCode) => {
        if (errorCode !== ErrorCode.NONE) refuse(errorCode);
        else if (typeof joined === "number") refuse(joined);
        else if (joined.isIdOnly) refuse(ErrorCode.MEMBER_ID_REQUIRED, joined.memberId);
        else this.#table.answer(respond, joined.response!);
      });
    }, refuse);
  }

  sync(
    group: Group,
    consumer: ConsumerGroup,
    request: SyncGroupRequest,
    respond: Respond<SyncGroupResponse>,
  ): void {
    const refuse = (errorCode: number): void =>
      this.#table.answer(respond, newSyncGroupResponse({ errorCode }));
    this.#keeper.add(group, consumer, (round) => {
      const { view } = round;
      const { memberId } = request;
      const errorCode = this.#syncError(view, request);
      if (errorCode !== ErrorCode.NONE) {
        if (errorCode === ErrorCode.REBALANCE_IN_PROGRESS) {
          this.#keeper.awaitClassic(group, consumer, memberId, false);
        }
        return round.whenWritten(() => refuse(errorCode));
      }
      this.#keeper.endPatience(consumer, memberId);
      this.#keeper.touch(group, consumer, memberId);
      const protocol = view.members.get(memberId)!.classic!.supportedProtocols[0]!;
      const assignment = writeAssignment(
        partitionsOf(view.currentOf(memberId).assigned),
        embeddedVersion(protocol.metadata),
        this.#table.world.topics,
      );
      const response = newSyncGroupResponse({
        protocolType: CONSUMER_PROTOCOL_TYPE,
        protocolName: protocol.name,
        assignment,
      });
      round.whenWritten((error) =>
        error === ErrorCode.NONE ? this.#table.answer(respond, response) : refuse(error)
      );
    }, refuse);
  }

  heartbeat(
    group: Group,
    consumer: ConsumerGroup,
    request: HeartbeatRequest,
    respond: Respond<HeartbeatResponse>,
  ): void {
    const answer = (errorCode: number): void =>
      this.#table.answer(respond, newHeartbeatResponse({ errorCode }));
    this.#keeper.add(group, consumer, (round) => {
      const { view } = round;
      const { memberId, groupInstanceId, generationId } = request;
      const problem = this.#memberError(view, memberId, groupInstanceId, generationId);
      if (problem !== ErrorCode.NONE) return round.whenWritten(() => answer(problem));
      this.#keeper.touch(group, consumer, memberId);
      this.#keeper.raiseEpoch(round, false);
      this.#keeper.assign(round);
      const mustJoin = this.#mustJoin(view, memberId);
      if (mustJoin) this.#keeper.awaitClassic(group, consumer, memberId, false);
      round.whenWritten((error) =>
        answer(error || (mustJoin ? ErrorCode.REBALANCE_IN_PROGRESS : ErrorCode.NONE))
      );
    }, answer);
  }

  /** Takes out members of either protocol, as an operator does with Kafka's tools, too. */
  leave(
    group: Group,
    consumer: ConsumerGroup,
    context: GroupContext,
    request: LeaveGroupRequest,
    respond: Respond<LeaveGroupResponse>,
  ): void {
    const refuse = (errorCode: number): void =>
      this.#table.answer(respond, newLeaveGroupResponse({ errorCode }));
    const isSingle = context.version <= SINGLE_LEAVE_VERSION_MAX;
    const leaving = isSingle
      ? [{ memberId: request.memberId, groupInstanceId: null }]
      : request.members;
    this.#keeper.add(group, consumer, (round) => {
      const members = leaving.map(({ memberId, groupInstanceId }) =>
        newMemberResponse({
          memberId,
          groupInstanceId,
          errorCode: this.#leave(round, memberId, groupInstanceId),
        })
      );
      this.#migration.downgradeIfClassic(round);
      round.whenWritten((error) => {
        if (error !== ErrorCode.NONE) return refuse(error);
        if (isSingle) return refuse(members[0]!.errorCode);
        this.#table.answer(respond, newLeaveGroupResponse({ members }));
      });
    }, refuse);
  }

  #leave(round: Round, memberId: string, instanceId: string | null): number {
    const { view } = round;
    const known = instanceId === null ? memberId : view.staticMemberId(instanceId);
    if (known === null || !view.members.has(known)) return ErrorCode.UNKNOWN_MEMBER_ID;
    if (instanceId !== null && memberId !== "" && memberId !== known) {
      return ErrorCode.FENCED_INSTANCE_ID;
    }
    this.#keeper.remove(round, known);
    return ErrorCode.NONE;
  }

  #join(
    round: Round,
    context: GroupContext,
    request: JoinGroupRequest,
  ): number | { memberId: string; isIdOnly: boolean; response?: JoinGroupResponse } {
    const { view, group, consumer } = round;
    const { groupInstanceId } = request;
    const terms = termsOf(context, request);
    const errorCode = this.#joinError(round, request, terms);
    if (errorCode !== ErrorCode.NONE) return errorCode;
    const subscription = readSubscription(terms.protocols[0]!.metadata);
    if (subscription === null) return ErrorCode.INCONSISTENT_GROUP_PROTOCOL;
    const formerId = groupInstanceId === null ? null : view.staticMemberId(groupInstanceId);
    let { memberId } = request;
    if (memberId === "") {
      const prefix = (groupInstanceId ?? context.clientId ?? "").slice(0, MEMBER_ID_PREFIX_MAX);
      memberId = `${prefix}-${this.#table.randomUuid()}`;
      if (groupInstanceId === null && context.version >= KNOWN_ID_VERSION) {
        return { memberId, isIdOnly: true };
      }
    }
    const former = view.members.get(formerId ?? memberId) ?? null;
    const info: MemberInfo = {
      instanceId: groupInstanceId,
      rackId: subscription.rackId,
      clientId: context.clientId ?? "",
      clientHost: context.clientHost,
      topicNames: [...new Set(subscription.topics)].sort(),
      topicRegex: null,
      rebalanceTimeoutMs: terms.rebalanceTimeoutMs,
      serverAssignor: null,
      classic: { sessionTimeoutMs: terms.sessionTimeoutMs, supportedProtocols: terms.protocols },
    };
    if (formerId !== null && formerId !== memberId) {
      this.#keeper.replaceStatic(round, formerId, memberId, view.targetEpoch.epoch);
    }
    const isResubscribed = former === null || readsOther(former, info);
    const isOther = former === null || saysOther(former, info) || !sameTerms(former, terms);
    if (isOther) round.change({ kind: "member", memberId, value: info });
    if (former?.topicRegex != null) {
      this.#keeper.subscriptions.changeRegex(round, memberId, former.topicRegex, null);
    }
    this.#keeper.raiseEpoch(round, isResubscribed);
    this.#keeper.assign(round);
    // Who names an old generation, or none, has given up everything.
    const { ownedPartitions, generationId } = subscription;
    const isPresent = generationId === view.currentOf(memberId).epoch;
    const owned = byId(isPresent ? ownedPartitions : [], this.#table.world.topics);
    const current = this.#keeper.advance(round, memberId, isResubscribed, owned);
    this.#keeper.touch(group, consumer, memberId);
    this.#keeper.awaitClassic(group, consumer, memberId, true);
    this.#migration.downgradeIfClassic(round);
    const response = newJoinGroupResponse({
      memberId,
      generationId: current.epoch,
      protocolType: CONSUMER_PROTOCOL_TYPE,
      protocolName: terms.protocols[0]!.name,
    });
    return { memberId, isIdOnly: false, response };
  }

  #joinError({ view, group }: Round, request: JoinGroupRequest, terms: MemberTerms): number {
    const { config } = this.#table;
    const { memberId, groupInstanceId, sessionTimeoutMs } = request;
    if (
      sessionTimeoutMs < config.sessionTimeoutMinMs || sessionTimeoutMs > config.sessionTimeoutMaxMs
    ) return ErrorCode.INVALID_SESSION_TIMEOUT;
    if (
      terms.protocols.length > PROTOCOLS_PER_MEMBER_MAX ||
      protocolsSize(terms.protocols) > MEMBER_PROTOCOLS_SIZE_MAX
    ) return ErrorCode.INVALID_REQUEST;
    const known = groupInstanceId === null ? null : view.staticMemberId(groupInstanceId);
    const isKnown = known !== null || view.members.has(memberId);
    const sizeMax = Math.min(this.#keeper.configOf(group).sizeMax, MEMBERS_PER_GROUP_MAX);
    if (!isKnown && view.members.size >= sizeMax) return ErrorCode.GROUP_MAX_SIZE_REACHED;
    if (request.protocolType !== CONSUMER_PROTOCOL_TYPE || terms.protocols.length === 0) {
      return ErrorCode.INCONSISTENT_GROUP_PROTOCOL;
    }
    const isShared = view.classicCount === 0 ||
      terms.protocols.some(({ name }) => isOfAll(view, name, memberId));
    if (!isShared) return ErrorCode.INCONSISTENT_GROUP_PROTOCOL;
    if (memberId === "" || groupInstanceId === null) return ErrorCode.NONE;
    if (known === null) return ErrorCode.UNKNOWN_MEMBER_ID;
    return known === memberId ? ErrorCode.NONE : ErrorCode.FENCED_INSTANCE_ID;
  }

  #syncError(view: ConsumerGroupView, request: SyncGroupRequest): number {
    const { memberId, groupInstanceId, generationId, protocolType, protocolName } = request;
    const errorCode = this.#memberError(view, memberId, groupInstanceId, generationId);
    if (errorCode !== ErrorCode.NONE) return errorCode;
    const protocols = view.members.get(memberId)!.classic!.supportedProtocols;
    const isKnown = (protocolType === null || protocolType === CONSUMER_PROTOCOL_TYPE) &&
      (protocolName === null || protocols.some(({ name }) => name === protocolName));
    if (!isKnown) return ErrorCode.INCONSISTENT_GROUP_PROTOCOL;
    const isUnrevoked = view.currentOf(memberId).state === MemberState.UNREVOKED;
    return view.targetEpoch.epoch > generationId && !isUnrevoked
      ? ErrorCode.REBALANCE_IN_PROGRESS
      : ErrorCode.NONE;
  }

  #memberError(
    view: ConsumerGroupView,
    memberId: string,
    instanceId: string | null,
    generation: number,
  ): number {
    const known = instanceId === null ? memberId : view.staticMemberId(instanceId);
    if (known === null) return ErrorCode.UNKNOWN_MEMBER_ID;
    if (known !== memberId) return ErrorCode.FENCED_INSTANCE_ID;
    // One of the new protocol does not ask this way.
    if (view.members.get(memberId)?.classic == null) return ErrorCode.UNKNOWN_MEMBER_ID;
    return generation === view.currentOf(memberId).epoch
      ? ErrorCode.NONE
      : ErrorCode.ILLEGAL_GENERATION;
  }

  /** There is something for the member to give up, or to get. */
  #mustJoin(view: ConsumerGroupView, memberId: string): boolean {
    const { epoch, state, assigned } = view.currentOf(memberId);
    if (epoch < view.targetEpoch.epoch || state === MemberState.UNREVOKED) return true;
    if (state !== MemberState.UNRELEASED) return false;
    for (const [topicId, partitions] of view.targetOf(memberId)) {
      for (const partition of partitions) {
        if (assigned.get(topicId)?.has(partition)) continue;
        if (view.ownerOf(topicId, partition) !== null) return false;
      }
    }
    return true;
  }
}

/** Whether every classic member but `except` has the protocol. */
function isOfAll(view: ConsumerGroupView, name: string, except: string): boolean {
  for (const [memberId, { classic }] of view.members) {
    if (classic === null || memberId === except) continue;
    if (!classic.supportedProtocols.some((protocol) => protocol.name === name)) return false;
  }
  return true;
}

function sameTerms({ classic }: MemberInfo, terms: MemberTerms): boolean {
  if (classic === null || classic.sessionTimeoutMs !== terms.sessionTimeoutMs) return false;
  const own = classic.supportedProtocols;
  return own.length === terms.protocols.length &&
    own.every(({ name, metadata }, at) => {
      const other = terms.protocols[at]!;
      return other.name === name && other.metadata.length === metadata.length &&
        other.metadata.every((byte, index) => byte === metadata[index]);
    });
}

/**
 * ConsumerGroupHeartbeat: members come, say what they read and have, learn what they are to have, and leave.
 *
 * One heartbeat, in this order (all in one {@linkcode Round}):
 * 1. the member is looked up, made, or fenced; a static one may take its predecessor's place;
 * 2. what it reads is noted; regular expressions are looked up;
 * 3. the group epoch rises when what members read changed, or the topics that they read;
 * 4. a new target assignment is made, at most one per `group.consumer.assignment.interval.ms`;
 * 5. the member goes as far towards its target as others let it (`reconcile.ts`).
 *
 * Members that are not heard of within the session timeout, or that do not give up partitions within their rebalance
 * timeout, are removed (`keeper.ts`). Nothing is told before it is committed.
 *
 * @module
 */

import { ErrorCode } from "../../wire/errors.ts";
import type { ConsumerGroupHeartbeatRequest } from "../../wire/generated/consumer_group_heartbeat_request.ts";
import {
  type ConsumerGroupHeartbeatResponse,
  newConsumerGroupHeartbeatResponse,
} from "../../wire/generated/consumer_group_heartbeat_response.ts";
import type { GroupContext } from "../context.ts";
import { GroupState } from "../group.ts";
import type { GroupTable } from "../group_table.ts";
import {
  GROUP_SUBSCRIPTIONS_SIZE_MAX,
  MEMBER_SUBSCRIPTION_SIZE_MAX,
  MEMBERS_PER_GROUP_MAX,
} from "../limits.ts";
import type { Respond } from "../member.ts";
import { ConsumerGroup, type Round } from "./consumer_group.ts";
import type { ConsumerGroupKeeper } from "./keeper.ts";
import type { Migration } from "./migration.ts";
import {
  describedBy,
  epochProblem,
  readsOther,
  saysOther,
  staticProblem,
  takeoverProblem,
  unknownProblem,
} from "./member_rules.ts";
import { type Refusal, refusal } from "./refusal.ts";
import { requestProblem } from "./request_problem.ts";
import {
  type Assignment,
  type Current,
  LEFT_STATIC_EPOCH,
  type MemberInfo,
  memberSize,
  MemberState,
  NO_PARTITIONS,
  partitionsOf,
  sameOwned,
} from "./types.ts";

type Answer = Respond<ConsumerGroupHeartbeatResponse>;

/** One heartbeat while it is decided. */
interface Beat {
  readonly context: GroupContext;
  readonly request: ConsumerGroupHeartbeatRequest;
  readonly memberId: string;
  readonly owned: Assignment | null;
}

/** The answer to a heartbeat, or why there is none. */
type Outcome = { readonly response: ConsumerGroupHeartbeatResponse } | {
  readonly refused: Refusal;
};

export class ConsumerHeartbeats {
  readonly #table: GroupTable;
  readonly #keeper: ConsumerGroupKeeper;
  readonly #migration: Migration;

  constructor(table: GroupTable, keeper: ConsumerGroupKeeper, migration: Migration) {
    this.#table = table;
    this.#keeper = keeper;
    this.#migration = migration;
  }

  heartbeat(
    context: GroupContext,
    request: ConsumerGroupHeartbeatRequest,
    respond: Answer,
  ): void {
    const refuse = (problem: Refusal): void =>
      this.#table.answer(respond, newConsumerGroupHeartbeatResponse({ ...problem }));
    const problem = requestProblem(context.version, request) ??
      this.#keeper.subscriptions.regexProblem(request.subscribedTopicRegex) ??
      this.#groupProblem(request);
    if (problem !== null) return refuse(problem);
    const group = this.#table.getOrCreate(request.groupId);
    if (group === null) return refuse(refusal(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS));
    const consumer = group.consumer ??= new ConsumerGroup();
    const memberId = request.memberId === "" ? this.#table.randomUuid() : request.memberId;
    const owned = request.topicPartitions === null ? null : new Map(
      request.topicPartitions.map(({ topicId, partitions }) => [topicId, partitions]),
    );
    const beat: Beat = { context, request, memberId, owned };
    // In its first round, before anybody else is in it.
    const isUpgrade = consumer.isVoid && group.members.size > 0;
    this.#keeper.add(group, consumer, (round) => {
      if (isUpgrade) this.#migration.upgrade(round);
      const outcome = request.memberEpoch < 0 ? this.#leave(round, beat) : this.#take(round, beat);
      round.whenWritten((errorCode) => {
        if (errorCode !== ErrorCode.NONE) refuse(refusal(errorCode));
        else if ("refused" in outcome) refuse(outcome.refused);
        else this.#table.answer(respond, outcome.response);
      });
    }, (errorCode) => refuse(refusal(errorCode)));
  }

  /** Why there is no group of this kind to take part in; null when there is, or may be. */
  #groupProblem({ groupId, memberEpoch }: ConsumerGroupHeartbeatRequest): Refusal | null {
    const known = this.#table.groups.get(groupId);
    if (known === undefined) {
      if (memberEpoch === 0) return null;
      const what = memberEpoch < 0 ? "Group" : "Consumer group";
      return refusal(ErrorCode.GROUP_ID_NOT_FOUND, `${what} ${groupId} not found.`);
    }
    if (known.consumer !== null) return null;
    if (memberEpoch === 0 && known.state === GroupState.EMPTY) return null;
    if (memberEpoch === 0) return this.#migration.upgradeProblem(known);
    const message = `Group ${groupId} is not a consumer group.`;
    return refusal(ErrorCode.GROUP_ID_NOT_FOUND, message);
  }

  #leave(round: Round, { request, memberId }: Beat): Outcome {
    const { instanceId, memberEpoch } = request;
    const { view, group } = round;
    const problem = instanceId === null
      ? unknownProblem(view, group.groupId, memberId)
      : staticProblem(view, memberId, instanceId);
    if (problem !== null) return { refused: problem };
    if (memberEpoch === LEFT_STATIC_EPOCH) {
      const current = view.currentOf(memberId);
      const value: Current = { ...current, epoch: memberEpoch, revoking: NO_PARTITIONS };
      round.change({ kind: "current", memberId, value });
    } else {
      this.#keeper.remove(round, memberId);
      this.#keeper.afterRemoval(round);
    }
    return { response: newConsumerGroupHeartbeatResponse({ memberId, memberEpoch }) };
  }

  #take(round: Round, beat: Beat): Outcome {
    const { view, group } = round;
    const { memberId, request, owned } = beat;
    const problem = this.#membershipProblem(round, beat);
    if (problem !== null) return { refused: problem };
    const { instanceId } = request;
    const formerId = instanceId === null ? null : view.staticMemberId(instanceId);
    const former = view.members.get(formerId ?? memberId) ?? null;
    const info = describedBy(former, request, beat.context);
    const tooMuch = this.#sizeProblem(round, former, info);
    if (tooMuch !== null) return { refused: tooMuch };

    if (view.group === null) this.#migration.replaceEmpty(round);
    if (formerId !== null && formerId !== memberId) {
      this.#keeper.replaceStatic(round, formerId, memberId, 0);
    }
    if (former === null || saysOther(former, info)) {
      round.change({ kind: "member", memberId, value: info });
    }
    const isResubscribed = former === null || readsOther(former, info);
    const { subscriptions } = this.#keeper;
    subscriptions.changeRegex(round, memberId, former?.topicRegex ?? null, info.topicRegex);
    subscriptions.refreshRegexes(round);
    this.#keeper.raiseEpoch(round, isResubscribed);
    this.#keeper.assign(round);
    const before = view.currentOf(memberId);
    const current = this.#keeper.advance(round, memberId, isResubscribed, owned);
    this.#keeper.touch(group, round.consumer, memberId);
    return {
      response: newConsumerGroupHeartbeatResponse({
        memberId,
        memberEpoch: current.epoch,
        heartbeatIntervalMs: this.#keeper.configOf(group).heartbeatIntervalMs,
        assignment: isFull(request) || !sameOwned(before.assigned, current.assigned)
          ? { topicPartitions: listed(current) }
          : null,
      }),
    };
  }

  /** Why this member may not take part; null when it may. */
  #membershipProblem({ view, group }: Round, beat: Beat): Refusal | null {
    const { memberId, owned, request: { memberEpoch, instanceId } } = beat;
    const { groupId } = group;
    const isKnown = view.members.has(memberId) ||
      instanceId !== null && view.staticMemberId(instanceId) !== null;
    const sizeMax = Math.min(this.#keeper.configOf(group).sizeMax, MEMBERS_PER_GROUP_MAX);
    if (!isKnown && view.members.size >= sizeMax) {
      const message = `The consumer group has reached its maximum capacity of ${sizeMax} members.`;
      return refusal(ErrorCode.GROUP_MAX_SIZE_REACHED, message);
    }
    if (memberEpoch === 0) return takeoverProblem(view, memberId, instanceId);
    const problem = instanceId === null
      ? unknownProblem(view, groupId, memberId)
      : staticProblem(view, memberId, instanceId);
    if (problem !== null) return problem;
    const current = view.currentOf(memberId);
    const known = Object.values<number>(MemberState);
    if (!known.includes(current.state) && (owned === null || owned.size > 0)) {
      const message = "The consumer group member is in a unknown state. " +
        "The member must abandon all its partitions and rejoin.";
      return refusal(ErrorCode.FENCED_MEMBER_EPOCH, message);
    }
    return epochProblem(current, memberEpoch, owned);
  }

  /** Why there is no room for what a member says of itself; null when there is. */
  #sizeProblem(round: Round, former: MemberInfo | null, info: MemberInfo): Refusal | null {
    if (former !== null && !saysOther(former, info)) return null;
    const size = memberSize(info);
    if (size > MEMBER_SUBSCRIPTION_SIZE_MAX) {
      return refusal(ErrorCode.INVALID_REQUEST, "The member's subscription is too large.");
    }
    const before = former === null ? 0 : memberSize(former);
    const isFull = size > before &&
      round.view.membersSize + size - before > GROUP_SUBSCRIPTIONS_SIZE_MAX;
    if (isFull || !this.#keeper.subscriptions.hasRoomFor(round, info.topicRegex)) {
      return refusal(
        ErrorCode.GROUP_MAX_SIZE_REACHED,
        "The consumer group has no room for a further subscription.",
      );
    }
    return null;
  }
}

/** A request that says everything, as a member sends it that lost the last answer. */
function isFull(request: ConsumerGroupHeartbeatRequest): boolean {
  if (request.memberEpoch === 0) return true;
  return request.rebalanceTimeoutMs !== -1 && request.topicPartitions !== null &&
    (request.subscribedTopicNames !== null || request.subscribedTopicRegex !== null);
}

function listed({ assigned }: Current): { topicId: string; partitions: number[] }[] {
  return [...partitionsOf(assigned)].map(([topicId, partitions]) => ({
    topicId,
    partitions: [...partitions],
  }));
}

/**
 * JoinGroup: a member asks to take part in the next generation.
 *
 * - A member without an id gets one. From version 4 on a dynamic member has to join again with it
 *   (MEMBER_ID_REQUIRED, KIP-394), so that a client that retries does not leave phantom members.
 * - A static member (KIP-345) is known by its instance id: a restarted process takes the place of
 *   the former one, which is fenced. In a stable group nobody rebalances for that, unless the
 *   protocol would change. From version 9 on the leader's successor learns that it leads but need not
 *   assign (KIP-814); before, it learns that another member leads.
 * - A known member whose terms did not change gets the present generation again; the leader's
 *   JoinGroup always rebalances a stable group, because only the leader watches the topics.
 * - `rebalance.ts` answers the requests that are parked here.
 *
 * @module
 */

import { ErrorCode } from "../wire/errors.ts";
import type { JoinGroupRequest } from "../wire/generated/join_group_request.ts";
import {
  type JoinGroupResponse,
  newJoinGroupResponse,
} from "../wire/generated/join_group_response.ts";
import { newSyncGroupResponse } from "../wire/generated/sync_group_response.ts";
import type { GroupContext } from "./context.ts";
import { type Group, GroupState } from "./group.ts";
import { groupErrorOf, type GroupTable } from "./group_table.ts";
import {
  GROUP_PROTOCOLS_SIZE_MAX,
  MEMBER_ID_PREFIX_MAX,
  MEMBER_PROTOCOLS_SIZE_MAX,
  MEMBERS_PER_GROUP_MAX,
  PROTOCOLS_PER_MEMBER_MAX,
} from "./limits.ts";
import { copyProtocols, Member, type MemberTerms, protocolsSize, type Respond } from "./member.ts";
import { memberError } from "./membership.ts";
import type { Rebalancer } from "./rebalance.ts";
import { groupRecord } from "./records.ts";

type Answer = Respond<JoinGroupResponse>;

/** First version in which a dynamic member must come back with the id it was given. */
export const KNOWN_ID_VERSION = 4;
/** First version in which names may be null. */
const NULLABLE_NAME_VERSION = 7;
/** First version with the flag that a leader need not assign. */
const SKIP_ASSIGNMENT_VERSION = 9;

/** One JoinGroup under way: the member, its terms, and how to answer. */
interface Joining {
  readonly context: GroupContext;
  readonly request: JoinGroupRequest;
  readonly terms: MemberTerms;
  readonly answer: Answer;
}

export class JoinHandling {
  #table: GroupTable;
  #rebalancer: Rebalancer;

  constructor(table: GroupTable, rebalancer: Rebalancer) {
    this.#table = table;
    this.#rebalancer = rebalancer;
  }

  join(context: GroupContext, request: JoinGroupRequest, respond: Answer): void {
    const answer: Answer = (response) => {
      if (context.version < NULLABLE_NAME_VERSION) response.protocolName ??= "";
      respond(response);
    };
    const refuse = (errorCode: number): void => this.#refuse(answer, errorCode, request.memberId);
    const { config } = this.#table;
    if (request.groupId === "") return refuse(ErrorCode.INVALID_GROUP_ID);
    if (
      request.sessionTimeoutMs < config.sessionTimeoutMinMs ||
      request.sessionTimeoutMs > config.sessionTimeoutMaxMs
    ) return refuse(ErrorCode.INVALID_SESSION_TIMEOUT);
    if (
      request.protocols.length > PROTOCOLS_PER_MEMBER_MAX ||
      protocolsSize(request.protocols) > MEMBER_PROTOCOLS_SIZE_MAX
    ) return refuse(ErrorCode.INVALID_REQUEST);

    const known = this.#table.groups.get(request.groupId) ?? null;
    if (known === null && request.memberId !== "") return refuse(ErrorCode.UNKNOWN_MEMBER_ID);
    const group = known ?? this.#table.getOrCreate(request.groupId);
    if (group === null) return refuse(ErrorCode.COORDINATOR_NOT_AVAILABLE);
    if (group.state === GroupState.DEAD) return refuse(ErrorCode.COORDINATOR_NOT_AVAILABLE);

    const terms = termsOf(context, request);
    if (!this.#hasRoom(group, request.memberId, terms)) {
      this.#refuse(answer, ErrorCode.GROUP_MAX_SIZE_REACHED, "");
      // A member that lost its place must not be waited for.
      const former = group.members.get(request.memberId);
      if (former !== undefined) {
        this.#rebalancer.dropMember(group, former, ErrorCode.GROUP_MAX_SIZE_REACHED);
        this.#rebalancer.afterLeaving(group);
      }
    } else if (!group.supports(request.protocolType, terms.protocols)) {
      refuse(ErrorCode.INCONSISTENT_GROUP_PROTOCOL);
    } else {
      const joining: Joining = { context, request, terms, answer };
      if (request.memberId === "") this.#joinNew(group, joining);
      else this.#joinKnown(group, joining);
      if (known === null && !group.isVoid) this.#writeNewGroup(group);
    }
    this.#table.dropIfVoid(group);
  }

  #refuse(answer: Answer, errorCode: number, memberId: string): void {
    const protocolName = null;
    this.#table.answer(
      answer,
      newJoinGroupResponse({ errorCode, memberId, protocolName, generationId: -1 }),
    );
  }

  #hasRoom(group: Group, memberId: string, terms: MemberTerms): boolean {
    const sizeMax = Math.min(this.#table.config.groupSizeMax, MEMBERS_PER_GROUP_MAX);
    const member = group.members.get(memberId);
    if (member === undefined && group.members.size > 0) {
      // Memory limits newcomers only: members have been let in.
      if (group.protocolsSize + protocolsSize(terms.protocols) > GROUP_PROTOCOLS_SIZE_MAX) {
        return false;
      }
    }
    if (
      memberId === "" && group.members.size + group.pendingJoins.size >= MEMBERS_PER_GROUP_MAX
    ) return false;
    switch (group.state) {
      case GroupState.PREPARING_REBALANCE:
        // Waiting members are in. Of the others, the first to come back keep their places: a group that
        // was made smaller by a new limit loses those that come last.
        return (member !== undefined && member.join !== null) || group.awaitingJoinCount < sizeMax;
      case GroupState.COMPLETING_REBALANCE:
      case GroupState.STABLE:
        return member !== undefined || group.members.size < sizeMax;
      default:
        return true;
    }
  }

  #joinNew(group: Group, joining: Joining): void {
    const { request, context } = joining;
    // The prefix is for people to read; uncut, the longest client id would make no string of Kafka.
    const prefix = (request.groupInstanceId ?? context.clientId ?? "").slice(
      0,
      MEMBER_ID_PREFIX_MAX,
    );
    const memberId = `${prefix}-${this.#table.randomUuid()}`;
    if (request.groupInstanceId !== null) {
      const formerId = group.staticMemberId(request.groupInstanceId);
      if (formerId === null) this.#add(group, memberId, joining);
      else this.#replaceStatic(group, group.members.get(formerId)!, memberId, joining);
    } else if (context.version >= KNOWN_ID_VERSION) {
      this.#rebalancer.addPending(group, memberId, request.sessionTimeoutMs);
      this.#refuse(joining.answer, ErrorCode.MEMBER_ID_REQUIRED, memberId);
    } else {
      this.#add(group, memberId, joining);
    }
  }

  #joinKnown(group: Group, joining: Joining): void {
    const { request, terms, answer } = joining;
    if (group.pendingJoins.has(request.memberId)) {
      if (request.groupInstanceId !== null) {
        // Only dynamic members are ever sent back with an id.
        return this.#refuse(answer, ErrorCode.UNKNOWN_MEMBER_ID, request.memberId);
      }
      this.#rebalancer.removePending(group, request.memberId);
      return this.#add(group, request.memberId, joining);
    }
    const errorCode = memberError(group, request.memberId, request.groupInstanceId);
    if (errorCode !== ErrorCode.NONE) return this.#refuse(answer, errorCode, request.memberId);

    const member = group.members.get(request.memberId)!;
    const changed = !member.matches(terms.protocols);
    const leads = group.leaderId === member.id;
    switch (group.state) {
      case GroupState.PREPARING_REBALANCE:
        return this.#rebalancer.rejoinMember(group, member, terms, answer);
      case GroupState.COMPLETING_REBALANCE:
        if (changed) return this.#rebalancer.rejoinMember(group, member, terms, answer);
        break;
      case GroupState.STABLE:
        if (changed || leads) return this.#rebalancer.rejoinMember(group, member, terms, answer);
        break;
      default:
        return this.#refuse(answer, ErrorCode.UNKNOWN_MEMBER_ID, request.memberId);
    }
    // It may not have received the answer to its last JoinGroup: the same again.
    this.#rebalancer.touch(group, member);
    this.#table.answer(answer, this.#rebalancer.joinResponseFor(group, member));
  }

  #add(group: Group, memberId: string, joining: Joining): void {
    const { context, request, terms, answer } = joining;
    const member = new Member({
      id: memberId,
      instanceId: request.groupInstanceId,
      clientId: context.clientId ?? "",
      clientHost: context.clientHost,
    }, terms);
    this.#rebalancer.addMember(group, member, request.protocolType, answer);
  }

  #replaceStatic(group: Group, member: Member, memberId: string, joining: Joining): void {
    const formerId = member.id;
    const formerLeaderId = group.leaderId ?? "";
    const formerTerms = member.terms;
    this.#fence(group, member);
    group.renameStatic(member, memberId);
    member.clientId = joining.context.clientId ?? "";
    member.clientHost = joining.context.clientHost;
    this.#rebalancer.setTerms(group, member, joining.terms);
    this.#rebalancer.touch(group, member);

    if (group.state !== GroupState.STABLE || group.selectProtocol() !== group.protocolName) {
      this.#rebalancer.parkJoin(group, member, joining.answer);
      this.#rebalancer.rebalance(group);
      return;
    }
    // Not parked with the group: the present generation goes on. What is written is the new id.
    const assignments = new Map([...group.members.values()].map((m) => [m.id, m.assignment]));
    const generation = group.generation;
    const record = groupRecord(group.groupId, group.metadataWith(assignments, new Uint8Array(0)));
    this.#table.append(group, [record], (appendError) => {
      const isMember = group.members.get(memberId) === member && member.join === null;
      const isPresent = group.generation === generation;
      if (appendError !== 0) {
        this.#refuse(joining.answer, groupErrorOf(appendError), "");
        if (!isMember || !isPresent) return;
        // The client will ask again as an unknown member; until then the former id is the valid one.
        group.renameStatic(member, formerId);
        this.#rebalancer.setTerms(group, member, formerTerms);
      } else if (!isMember) {
        this.#refuse(joining.answer, ErrorCode.UNKNOWN_MEMBER_ID, "");
      } else if (group.state === GroupState.PREPARING_REBALANCE) {
        // Somebody else began a rebalance meanwhile: this is the member's part in it.
        this.#rebalancer.parkJoin(group, member, joining.answer);
        this.#rebalancer.completeJoinIfAllJoined(group);
      } else if (isPresent) {
        this.#answerReplaced(group, member, formerLeaderId, joining);
      } else {
        this.#table.answer(joining.answer, this.#rebalancer.joinResponseFor(group, member));
      }
    });
  }

  #answerReplaced(group: Group, member: Member, formerLeaderId: string, joining: Joining): void {
    const response = this.#rebalancer.joinResponseFor(group, member);
    if (joining.context.version >= SKIP_ASSIGNMENT_VERSION) {
      response.skipAssignment = group.leaderId === member.id;
    } else {
      // A client of that version would assign if it learned that it leads.
      response.leader = formerLeaderId;
      response.members = [];
    }
    this.#table.answer(joining.answer, response);
  }

  /** Two processes with one instance id: the former one must stop. */
  #fence(group: Group, member: Member): void {
    const errorCode = ErrorCode.FENCED_INSTANCE_ID;
    const join = group.unpark(member);
    if (join !== null) {
      this.#table.answer(join, newJoinGroupResponse({ errorCode, memberId: member.id }));
    }
    this.#rebalancer.answerSync(member, newSyncGroupResponse({ errorCode }));
  }

  /** Kafka writes a group down when it is first heard of, so that it exists after a restart. */
  #writeNewGroup(group: Group): void {
    const record = groupRecord(group.groupId, {
      protocolType: "",
      generation: 0,
      protocol: null,
      leader: null,
      currentStateTimestamp: group.stateTimestampMs,
      members: [],
    });
    this.#table.append(group, [record], () => {});
  }
}

/** The answer to a JoinGroup that is refused before a coordinator has seen it. */
export function refusedJoin(
  version: number,
  memberId: string,
  errorCode: number,
): JoinGroupResponse {
  const protocolName = version < NULLABLE_NAME_VERSION ? "" : null;
  return newJoinGroupResponse({ errorCode, memberId, protocolName, generationId: -1 });
}

/** What a member says of itself with a JoinGroup. */
export function termsOf(context: GroupContext, request: JoinGroupRequest): MemberTerms {
  return {
    rebalanceTimeoutMs: context.version === 0
      ? request.sessionTimeoutMs
      : Math.max(request.rebalanceTimeoutMs, 0),
    sessionTimeoutMs: request.sessionTimeoutMs,
    protocols: copyProtocols(request.protocols),
  };
}

/**
 * The phases of a generation: which members are awaited, when the wait ends, who is removed, and who is answered.
 *
 * Join phase (PreparingRebalance): every member's JoinGroup is parked until all members and all
 * pending ones have joined, or the longest rebalance timeout is over; dynamic members that did not come
 * are removed, static ones stay. A group that was empty waits instead for
 * `group.initial.rebalance.delay.ms`, and again as long as new members come, at most one
 * rebalance timeout.
 *
 * Sync phase (CompletingRebalance): SyncGroup is parked until the leader's assignment is committed.
 * Members that have not sent it when the rebalance timeout is over are removed.
 *
 * Sessions: a member that is parked is alive as long as the rebalance takes; one that is not must be
 * heard of within its session timeout. A member without an id cannot be heard of: its JoinGroup is
 * given up after {@linkcode NEW_MEMBER_JOIN_TIMEOUT_MS}.
 *
 * @module
 */

import { Timer } from "../io/timers.ts";
import { ErrorCode } from "../wire/errors.ts";
import {
  type JoinGroupResponse,
  type JoinGroupResponseMember,
  newJoinGroupResponse,
  newJoinGroupResponseMember,
} from "../wire/generated/join_group_response.ts";
import {
  newSyncGroupResponse,
  type SyncGroupResponse,
} from "../wire/generated/sync_group_response.ts";
import { type Group, GroupState } from "./group.ts";
import type { GroupTable } from "./group_table.ts";
import { NEW_MEMBER_JOIN_TIMEOUT_MS } from "./limits.ts";
import { type Member, type MemberTerms, NO_BYTES, type Respond } from "./member.ts";
import { groupRecord } from "./records.ts";

export class Rebalancer {
  #table: GroupTable;

  constructor(table: GroupTable) {
    this.#table = table;
  }

  /** A member comes in; its JoinGroup is parked. */
  addMember(
    group: Group,
    member: Member,
    protocolType: string,
    join: Respond<JoinGroupResponse>,
  ): void {
    if (
      group.state === GroupState.PREPARING_REBALANCE && group.previousState === GroupState.EMPTY
    ) {
      group.newMemberAdded = true;
    }
    group.add(member, protocolType);
    this.parkJoin(group, member, join);
    this.rebalance(group);
  }

  /** A known member joins again, perhaps with other terms; its JoinGroup is parked. */
  rejoinMember(
    group: Group,
    member: Member,
    terms: MemberTerms,
    join: Respond<JoinGroupResponse>,
  ): void {
    this.setTerms(group, member, terms);
    this.parkJoin(group, member, join);
    this.rebalance(group);
  }

  setTerms(group: Group, member: Member, terms: MemberTerms): void {
    group.setProtocols(member, terms.protocols);
    member.rebalanceTimeoutMs = terms.rebalanceTimeoutMs;
    member.sessionTimeoutMs = terms.sessionTimeoutMs;
  }

  parkJoin(group: Group, member: Member, join: Respond<JoinGroupResponse>): void {
    const replaced = group.park(member, join);
    if (replaced !== null) {
      // A client that gave up waiting and asks again; the older answer is of no use to anybody.
      const errorCode = ErrorCode.REBALANCE_IN_PROGRESS;
      this.#table.answer(replaced, newJoinGroupResponse({ errorCode, memberId: member.id }));
    }
    if (member.isNew) this.#scheduleSession(group, member, NEW_MEMBER_JOIN_TIMEOUT_MS);
    else this.#table.cancel(member.sessionTimer);
  }

  /** Starts a rebalance, or looks whether the one that runs can end. */
  rebalance(group: Group): void {
    if (
      group.state === GroupState.PREPARING_REBALANCE || group.state === GroupState.DEAD
    ) {
      this.completeJoinIfAllJoined(group);
    } else {
      this.#prepare(group);
    }
  }

  completeJoinIfAllJoined(group: Group): void {
    if (
      group.state === GroupState.PREPARING_REBALANCE &&
      group.previousState !== GroupState.EMPTY && group.hasAllMembersJoined
    ) {
      this.#completeJoin(group);
    }
  }

  /** The member was heard of: its session begins again. A member that waits here has no session to lose. */
  touch(group: Group, member: Member): void {
    if (member.join !== null || member.sync !== null) return;
    this.#scheduleSession(group, member, member.sessionTimeoutMs);
  }

  /** Takes a member out and answers what it has parked; the caller rebalances. */
  dropMember(group: Group, member: Member, errorCode: number): void {
    const join = group.unpark(member);
    // Without its id, so that a client that is still there joins as a new member.
    if (join !== null) this.#table.answer(join, newJoinGroupResponse({ errorCode }));
    this.answerSync(member, newSyncGroupResponse({ errorCode }));
    this.#table.cancel(member.sessionTimer);
    group.remove(member);
  }

  /** Members have left: goes on without them. */
  afterLeaving(group: Group): void {
    if (group.state === GroupState.STABLE || group.state === GroupState.COMPLETING_REBALANCE) {
      this.#prepare(group);
    } else {
      this.completeJoinIfAllJoined(group);
    }
    this.#table.dropIfVoid(group);
  }

  /** A member got an id and is expected to return with it. */
  addPending(group: Group, memberId: string, sessionTimeoutMs: number): void {
    const timer = new Timer(() => {
      group.pendingJoins.delete(memberId);
      this.afterLeavingPending(group);
    });
    group.pendingJoins.set(memberId, timer);
    this.#table.schedule(timer, sessionTimeoutMs, timer.onFire);
  }

  /** Nobody is expected with this id any more. */
  removePending(group: Group, memberId: string): void {
    this.#table.cancel(group.pendingJoins.get(memberId) ?? null);
    group.pendingJoins.delete(memberId);
  }

  afterLeavingPending(group: Group): void {
    this.completeJoinIfAllJoined(group);
    this.#table.dropIfVoid(group);
  }

  /** The group is about to become one of the other protocol: nobody is waited for, and who waits begins again. */
  sendAway(group: Group): void {
    this.#table.cancel(group.joinTimer);
    this.#table.cancel(group.syncTimer);
    for (const memberId of [...group.pendingJoins.keys()]) this.removePending(group, memberId);
    const errorCode = ErrorCode.REBALANCE_IN_PROGRESS;
    for (const member of group.members.values()) {
      const join = group.unpark(member);
      const { id: memberId } = member;
      if (join !== null) this.#table.answer(join, newJoinGroupResponse({ errorCode, memberId }));
      this.answerSync(member, newSyncGroupResponse({ errorCode }));
      this.#table.cancel(member.sessionTimer);
    }
  }

  /** It did not: all members join again. */
  takeBack(group: Group): void {
    for (const member of group.members.values()) this.touch(group, member);
    if (group.members.size > 0) this.rebalance(group);
  }

  answerSync(member: Member, response: SyncGroupResponse): void {
    const sync = member.sync;
    member.sync = null;
    if (sync !== null) this.#table.answer(sync, response);
  }

  /** The member sent SyncGroup in this generation. */
  removePendingSync(group: Group, member: Member): void {
    group.pendingSyncs.delete(member.id);
    if (group.pendingSyncs.size === 0) this.#table.cancel(group.syncTimer);
  }

  /** The assignment is committed: every waiting member gets its part. */
  becomeStable(group: Group): void {
    const written = new Map(group.metadata!.members.map((member) => [member.memberId, member]));
    group.transitionTo(GroupState.STABLE, this.#table.wallMs);
    if (!group.announced) {
      group.announced = true;
      const { groupId, generation } = group;
      const fields = { group: groupId, members: group.members.size, generation };
      this.#table.onGroup("Group formed", fields);
    }
    for (const member of group.members.values()) {
      member.assignment = written.get(member.id)?.assignment ?? NO_BYTES;
      if (member.sync === null) continue;
      this.answerSync(
        member,
        newSyncGroupResponse({
          protocolType: group.protocolType,
          protocolName: group.protocolName,
          assignment: member.assignment,
        }),
      );
      this.touch(group, member);
    }
  }

  /** The assignment is void: every member that waits for it has to join again. */
  failSyncs(group: Group, errorCode: number): void {
    for (const member of group.members.values()) {
      member.assignment = NO_BYTES;
      if (member.sync === null) continue;
      this.answerSync(member, newSyncGroupResponse({ errorCode }));
      this.touch(group, member);
    }
  }

  /** The answer to a member's JoinGroup in the present generation. */
  joinResponseFor(group: Group, member: Member): JoinGroupResponse {
    return newJoinGroupResponse({
      generationId: group.generation,
      protocolType: group.protocolType,
      protocolName: group.protocolName,
      leader: group.leaderId ?? "",
      memberId: member.id,
      members: group.leaderId === member.id ? this.membersOf(group) : [],
    });
  }

  /** The members as the leader sees them. */
  membersOf(group: Group): JoinGroupResponseMember[] {
    return [...group.members.values()].map((member) =>
      newJoinGroupResponseMember({
        memberId: member.id,
        groupInstanceId: member.instanceId,
        metadata: member.metadataFor(group.protocolName),
      })
    );
  }

  #prepare(group: Group): void {
    const table = this.#table;
    if (group.state === GroupState.COMPLETING_REBALANCE) {
      this.failSyncs(group, ErrorCode.REBALANCE_IN_PROGRESS);
    }
    table.cancel(group.syncTimer);
    const isInitial = group.state === GroupState.EMPTY;
    group.transitionTo(GroupState.PREPARING_REBALANCE, table.wallMs);
    if (isInitial) {
      group.newMemberAdded = false;
      const delayMs = table.config.initialRebalanceDelayMs;
      this.#awaitMoreMembers(group, delayMs, Math.max(group.rebalanceTimeoutMs - delayMs, 0));
    } else if (group.hasAllMembersJoined) {
      this.#completeJoin(group);
    } else {
      this.#scheduleJoinEnd(group);
    }
  }

  #awaitMoreMembers(group: Group, delayMs: number, remainingMs: number): void {
    this.#table.cancel(group.joinTimer);
    const onFire = () => {
      if (!group.newMemberAdded || remainingMs === 0) {
        this.#completeJoin(group);
        return;
      }
      group.newMemberAdded = false;
      const nextMs = Math.min(this.#table.config.initialRebalanceDelayMs, remainingMs);
      this.#awaitMoreMembers(group, nextMs, Math.max(remainingMs - nextMs, 0));
    };
    group.joinTimer = this.#table.schedule(null, delayMs, onFire);
  }

  #scheduleJoinEnd(group: Group): void {
    this.#table.cancel(group.joinTimer);
    group.joinTimer = this.#table.schedule(null, group.rebalanceTimeoutMs, () => {
      this.#completeJoin(group);
    });
  }

  #completeJoin(group: Group): void {
    const table = this.#table;
    table.cancel(group.joinTimer);
    if (group.state !== GroupState.PREPARING_REBALANCE) return;
    for (const member of [...group.members.values()]) {
      if (member.join === null && !member.isStatic) {
        this.dropMember(group, member, ErrorCode.UNKNOWN_MEMBER_ID);
      }
    }
    if (group.members.size > 0 && !group.electJoinedLeader()) {
      // Only static members are left and none has come: their sessions decide how long that lasts.
      this.#scheduleJoinEnd(group);
      return;
    }
    group.nextGeneration(table.wallMs);
    if (group.members.size > 0) {
      this.#beginSync(group);
      return;
    }
    if (group.announced) {
      group.announced = false;
      table.onGroup("Group emptied", { group: group.groupId, generation: group.generation });
    }
    this.#writeEmpty(group);
  }

  #beginSync(group: Group): void {
    for (const member of group.members.values()) {
      member.isNew = false;
      const join = group.unpark(member);
      if (join !== null) this.#table.answer(join, this.joinResponseFor(group, member));
      this.touch(group, member);
      group.pendingSyncs.add(member.id);
    }
    this.#table.cancel(group.syncTimer);
    group.syncTimer = this.#table.schedule(null, group.rebalanceTimeoutMs, () => {
      this.#onSyncExpired(group);
    });
  }

  #writeEmpty(group: Group): void {
    const record = groupRecord(group.groupId, group.metadataWith(new Map(), NO_BYTES));
    // When this fails, the next coordinator finds the former members, and their sessions expire there.
    this.#table.append(group, [record], () => {});
  }

  #onSyncExpired(group: Group): void {
    if (
      group.state !== GroupState.COMPLETING_REBALANCE && group.state !== GroupState.STABLE
    ) return;
    for (const memberId of [...group.pendingSyncs]) {
      const member = group.members.get(memberId);
      if (member !== undefined) this.dropMember(group, member, ErrorCode.UNKNOWN_MEMBER_ID);
    }
    this.afterLeaving(group);
  }

  #scheduleSession(group: Group, member: Member, timeoutMs: number): void {
    member.sessionTimer = this.#table.schedule(member.sessionTimer, timeoutMs, () => {
      this.#onSessionExpired(group, member);
    });
  }

  #onSessionExpired(group: Group, member: Member): void {
    if (group.members.get(member.id) !== member) return;
    this.dropMember(group, member, ErrorCode.UNKNOWN_MEMBER_ID);
    this.afterLeaving(group);
  }
}

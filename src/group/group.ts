/**
 * One group: its written state, and its state in memory.
 *
 * ```text
 *             first member joins            everybody joined, or time is up
 *   Empty ------------------------> PreparingRebalance --------------------> CompletingRebalance
 *     ^                               ^    |                                   |    |
 *     |   nobody is left when time    |    |    a member joins, leaves, fails  |    | the leader's
 *     +------ is up ------------------|----+    <------------------------------+    | assignment is
 *                                     |                                             v committed
 *                                     +-------------------------------------------- Stable
 *   any --> Dead: nothing is left of the group, or the coordinator has gone
 * ```
 *
 * `metadata` and `offsets` are the *written* part: they change only when a committed record is
 * replayed. All other state is soft: it is rebuilt from `metadata` when a coordinator takes over, and parked
 * requests are lost with their connections anyway.
 *
 * This class keeps its members consistent (leader, static ids, protocol counts, parked joins). It has no
 * timers and answers nobody: `rebalance.ts` does.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import type { Timer } from "../io/timers.ts";
import type { JoinGroupResponse } from "../wire/generated/join_group_response.ts";
import type { ConsumerGroup } from "./consumer/consumer_group.ts";
import { type Member, type MemberProtocol, protocolsSize, type Respond } from "./member.ts";
import { OffsetTable } from "./offset_table.ts";
import type { GroupMetadata } from "./records.ts";
import { subscribedTopicsOf } from "./subscription.ts";

/** Kafka's names, as ListGroups and DescribeGroups print them. */
export const GroupState = {
  EMPTY: "Empty",
  PREPARING_REBALANCE: "PreparingRebalance",
  COMPLETING_REBALANCE: "CompletingRebalance",
  STABLE: "Stable",
  DEAD: "Dead",
} as const;
export type GroupState = typeof GroupState[keyof typeof GroupState];

/** The protocol type of consumers. */
export const CONSUMER_PROTOCOL_TYPE = "consumer";

export class Group {
  readonly groupId: string;

  // Written.
  /** The last committed record of the group; null: never written, or deleted. */
  metadata: GroupMetadata | null = null;
  readonly offsets = new OffsetTable();

  /** Its other half, where it is one of the new protocol (KIP-848); what is soft below is then that of a new classic group. */
  consumer: ConsumerGroup | null = null;

  // Soft.
  state: GroupState = GroupState.EMPTY;
  /** The state before this one: a rebalance out of Empty waits for more members. */
  previousState: GroupState = GroupState.EMPTY;
  /** When the group came into its state (wall ms); -1: written by an old broker, not known. */
  stateTimestampMs = -1;
  generation = 0;
  /** Null: no member ever joined; its offsets are those of simple consumers. */
  protocolType: string | null = null;
  protocolName: string | null = null;
  leaderId: string | null = null;
  readonly members = new Map<string, Member>();
  /** Members that must return with the id that they were given (JoinGroup v4), and until when. */
  readonly pendingJoins = new Map<string, Timer>();
  /** Members that have not sent SyncGroup in this generation. */
  readonly pendingSyncs = new Set<string>();
  /** Topics of the current generation; null: not known (not a consumer group, or unreadable). */
  subscribedTopics: ReadonlySet<string> | null = null;
  /** A member came while an initial rebalance waits: it waits on. */
  newMemberAdded = false;
  joinTimer: Timer | null = null;
  syncTimer: Timer | null = null;
  /** It was said that the group was formed, and not yet that it is empty. */
  announced = false;
  /** Appends that are not yet answered. */
  appendsInFlight = 0;
  /** The generation whose assignment is being appended, -1: none. */
  assigningGeneration = -1;
  /** Bytes of all members' protocols. */
  protocolsSize = 0;
  /** Its last offset was taken from it: as in Kafka it is listed on, until the next check for expired ones. */
  lingers = false;

  #awaitingJoinCount = 0;
  #staticIds = new Map<string, string>();
  #supporters = new Map<string, number>();

  constructor(groupId: string) {
    this.groupId = groupId;
  }

  get awaitingJoinCount(): number {
    return this.#awaitingJoinCount;
  }

  get hasAllMembersJoined(): boolean {
    return this.#awaitingJoinCount === this.members.size && this.pendingJoins.size === 0;
  }

  /** The most patient member's (ms). */
  get rebalanceTimeoutMs(): number {
    let timeoutMs = 0;
    for (const member of this.members.values()) {
      timeoutMs = Math.max(timeoutMs, member.rebalanceTimeoutMs);
    }
    return timeoutMs;
  }

  get isConsumerGroup(): boolean {
    return this.protocolType === CONSUMER_PROTOCOL_TYPE;
  }

  /** Nothing written, nobody here, nothing under way: the group need not exist. */
  get isVoid(): boolean {
    return !this.lingers && this.metadata === null && this.consumer === null &&
      this.offsets.size === 0 &&
      this.appendsInFlight === 0 &&
      this.members.size === 0 && this.pendingJoins.size === 0;
  }

  /** Its other half as far as that is committed: one that is on its way, from a classic group perhaps, is nothing yet. */
  get asConsumer(): ConsumerGroup | null {
    return this.consumer === null || this.consumer.written.isVoid ? null : this.consumer;
  }

  /** Who takes part. */
  get memberCount(): number {
    return this.asConsumer?.written.members.size ?? this.members.size;
  }

  /** Nobody takes part. */
  get isEmpty(): boolean {
    if (this.consumer !== null) return this.consumer.ahead.members.size === 0;
    return this.state === GroupState.EMPTY;
  }

  transitionTo(state: GroupState, wallMs: number): void {
    this.previousState = this.state;
    this.state = state;
    this.stateTimestampMs = wallMs;
  }

  /** Its members are those of a consumer group from now on. */
  forgetMembers(): void {
    this.become(new Group(this.groupId));
  }

  /** Takes over what is soft of another one. */
  become(other: Group): void {
    this.members.clear();
    this.pendingSyncs.clear();
    this.#staticIds.clear();
    this.#supporters.clear();
    this.protocolsSize = 0;
    this.#awaitingJoinCount = 0;
    this.leaderId = null;
    for (const member of other.members.values()) this.add(member, other.protocolType ?? "");
    this.protocolType = other.protocolType;
    this.protocolName = other.protocolName;
    this.generation = other.generation;
    this.assigningGeneration = -1;
    this.subscribedTopics = subscribedTopicsOf(this);
    this.announced = this.members.size > 0;
    this.previousState = other.state;
    this.state = other.state;
    this.stateTimestampMs = other.stateTimestampMs;
  }

  staticMemberId(instanceId: string): string | null {
    return this.#staticIds.get(instanceId) ?? null;
  }

  /** Whether a member with these protocols can take part. */
  supports(protocolType: string, protocols: readonly MemberProtocol[]): boolean {
    if (this.members.size === 0) return protocolType !== "" && protocols.length > 0;
    if (protocolType !== this.protocolType) return false;
    return protocols.some(({ name }) => this.#supporters.get(name) === this.members.size);
  }

  add(member: Member, protocolType: string): void {
    assert(!this.members.has(member.id), "a member was added twice");
    if (this.members.size === 0) this.protocolType = protocolType;
    this.members.set(member.id, member);
    if (member.instanceId !== null) this.#staticIds.set(member.instanceId, member.id);
    this.leaderId ??= member.id;
    this.#count(member.protocols, 1);
  }

  /** Takes a member out; its parked requests must have been answered. */
  remove(member: Member): void {
    assert(member.join === null && member.sync === null, "a parked request was forgotten");
    if (!this.members.delete(member.id)) return;
    if (member.instanceId !== null) this.#staticIds.delete(member.instanceId);
    this.pendingSyncs.delete(member.id);
    this.#count(member.protocols, -1);
    if (this.leaderId === member.id) this.leaderId = this.members.keys().next().value ?? null;
  }

  /** Changes what a member supports. */
  setProtocols(member: Member, protocols: readonly MemberProtocol[]): void {
    this.#count(member.protocols, -1);
    member.protocols = protocols;
    this.#count(protocols, 1);
  }

  /** Gives a static member another id: its process was restarted. */
  renameStatic(member: Member, id: string): void {
    assert(member.instanceId !== null, "a dynamic member was renamed");
    const entries = [...this.members];
    // In place, so that the order of members (and with it the next leader) stays.
    this.members.clear();
    for (const [key, value] of entries) this.members.set(value === member ? id : key, value);
    if (this.leaderId === member.id) this.leaderId = id;
    if (this.pendingSyncs.delete(member.id)) this.pendingSyncs.add(id);
    this.#staticIds.set(member.instanceId, id);
    member.id = id;
  }

  /** Parks a JoinGroup; returns the one it replaces, which the caller answers. */
  park(member: Member, join: Respond<JoinGroupResponse>): Respond<JoinGroupResponse> | null {
    const replaced = member.join;
    if (replaced === null) this.#awaitingJoinCount++;
    member.join = join;
    return replaced;
  }

  /** Takes the parked JoinGroup out, to be answered. */
  unpark(member: Member): Respond<JoinGroupResponse> | null {
    const join = member.join;
    if (join !== null) this.#awaitingJoinCount--;
    member.join = null;
    return join;
  }

  /** Makes sure that the leader takes part; false when nobody who joined could lead. */
  electJoinedLeader(): boolean {
    if (this.leaderId === null) return false;
    if (this.members.get(this.leaderId)!.join !== null) return true;
    for (const member of this.members.values()) {
      if (member.join === null) continue;
      this.leaderId = member.id;
      return true;
    }
    return false;
  }

  /** The protocol that most members like best among those that all support. */
  selectProtocol(): string {
    const candidates = new Set<string>();
    for (const [name, count] of this.#supporters) {
      if (count === this.members.size) candidates.add(name);
    }
    const votes = new Map<string, number>();
    let selected = "";
    for (const member of this.members.values()) {
      const name = member.vote(candidates);
      assert(name !== null, "a member supports no protocol of the group");
      const count = (votes.get(name) ?? 0) + 1;
      votes.set(name, count);
      if (count > (votes.get(selected) ?? 0)) selected = name;
    }
    return selected;
  }

  /** Everybody who takes part is known: the next generation begins. */
  nextGeneration(wallMs: number): void {
    this.generation = this.generation === 0x7fff_ffff ? 1 : this.generation + 1;
    this.pendingSyncs.clear();
    this.assigningGeneration = -1;
    const empty = this.members.size === 0;
    this.protocolName = empty ? null : this.selectProtocol();
    this.subscribedTopics = subscribedTopicsOf(this);
    this.transitionTo(empty ? GroupState.EMPTY : GroupState.COMPLETING_REBALANCE, wallMs);
  }

  isSubscribedTo(topic: string): boolean {
    if (this.consumer !== null) return this.consumer.ahead.subscribedTopics().has(topic);
    return this.subscribedTopics?.has(topic) ?? this.isConsumerGroup;
  }

  /** The group as it is to be written, `assignments` by member id. */
  metadataWith(assignments: ReadonlyMap<string, Uint8Array>, none: Uint8Array): GroupMetadata {
    return {
      protocolType: this.protocolType ?? "",
      generation: this.generation,
      protocol: this.protocolName,
      leader: this.leaderId,
      currentStateTimestamp: this.stateTimestampMs,
      members: [...this.members.values()].map((member) => ({
        memberId: member.id,
        groupInstanceId: member.instanceId,
        clientId: member.clientId,
        clientHost: member.clientHost,
        rebalanceTimeout: member.rebalanceTimeoutMs,
        sessionTimeout: member.sessionTimeoutMs,
        subscription: member.metadataFor(this.protocolName),
        assignment: assignments.get(member.id) ?? none,
      })),
    };
  }

  #count(protocols: readonly MemberProtocol[], step: 1 | -1): void {
    this.protocolsSize += step * protocolsSize(protocols);
    for (const { name } of protocols) {
      const count = (this.#supporters.get(name) ?? 0) + step;
      if (count === 0) this.#supporters.delete(name);
      else this.#supporters.set(name, count);
    }
  }
}

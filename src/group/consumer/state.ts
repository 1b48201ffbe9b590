/**
 * The state of one consumer group, as its records say, and what follows from them: who has a partition, which member
 * has an instance id, which topics are read.
 *
 * A group has two of them. `written` changes only when a committed record is replayed. `ahead` is that, and what is on its
 * way to the log; requests are decided by it (`consumer_group.ts`).
 *
 * @module
 */

import { isReconciled } from "./reconcile.ts";
import {
  type Assignment,
  type Change,
  type Current,
  type GroupEpoch,
  LEFT_STATIC_EPOCH,
  type MemberInfo,
  memberSize,
  MemberState,
  NO_ASSIGNMENT,
  NO_PARTITIONS,
  type OwnedPartitions,
  type ResolvedRegex,
  type TargetEpoch,
} from "./types.ts";

/** Kafka's names, as ListGroups and ConsumerGroupDescribe print them. */
export const ConsumerGroupState = {
  EMPTY: "Empty",
  ASSIGNING: "Assigning",
  RECONCILING: "Reconciling",
  STABLE: "Stable",
} as const;
export type ConsumerGroupState = typeof ConsumerGroupState[keyof typeof ConsumerGroupState];

const NO_EPOCH: TargetEpoch = { epoch: 0, timestampMs: 0 };

/** Of a group that is not written yet. */
const FIRST_EPOCH = 1;

/** A member that has just come. */
const NOTHING_YET: Current = {
  epoch: 0,
  previousEpoch: -1,
  state: MemberState.STABLE,
  assigned: NO_PARTITIONS,
  revoking: NO_PARTITIONS,
};

export class ConsumerGroupRecords {
  /** Null: the group is not written. */
  group: GroupEpoch | null = null;
  targetEpoch: TargetEpoch = NO_EPOCH;
  readonly members = new Map<string, MemberInfo>();
  readonly targets = new Map<string, Assignment>();
  readonly currents = new Map<string, Current>();
  readonly regexes = new Map<string, ResolvedRegex>();

  /** The group epoch. As in Kafka, the first one that a member meets is the one after this. */
  get epoch(): number {
    return this.group?.epoch ?? FIRST_EPOCH;
  }

  /** Nothing is written of it. */
  get isVoid(): boolean {
    return this.group === null && this.targetEpoch === NO_EPOCH && this.members.size === 0 &&
      this.targets.size === 0 && this.currents.size === 0 && this.regexes.size === 0;
  }

  get state(): ConsumerGroupState {
    if (this.members.size === 0) return ConsumerGroupState.EMPTY;
    const { epoch } = this.targetEpoch;
    if (this.epoch > epoch) return ConsumerGroupState.ASSIGNING;
    for (const memberId of this.members.keys()) {
      if (!isReconciled(this.currentOf(memberId), epoch)) return ConsumerGroupState.RECONCILING;
    }
    return ConsumerGroupState.STABLE;
  }

  currentOf(memberId: string): Current {
    return this.currents.get(memberId) ?? NOTHING_YET;
  }

  targetOf(memberId: string): Assignment {
    return this.targets.get(memberId) ?? NO_ASSIGNMENT;
  }

  apply(change: Change): void {
    switch (change.kind) {
      case "groupEpoch":
        this.group = change.value;
        return;
      case "targetEpoch":
        this.targetEpoch = change.value ?? NO_EPOCH;
        return;
      case "member":
        return put(this.members, change.memberId, change.value);
      case "target":
        return put(this.targets, change.memberId, change.value);
      case "current":
        return put(this.currents, change.memberId, change.value);
      case "regex":
        return put(this.regexes, change.regex, change.value);
    }
  }

  /** Changes that rebuild it. */
  *all(): Generator<Change> {
    // Members come before what they have, and the group before everything, as a coordinator writes them.
    if (this.group !== null) yield { kind: "groupEpoch", value: this.group };
    for (const [memberId, value] of this.members) yield { kind: "member", memberId, value };
    for (const [regex, value] of this.regexes) yield { kind: "regex", regex, value };
    if (this.targetEpoch !== NO_EPOCH) yield { kind: "targetEpoch", value: this.targetEpoch };
    for (const [memberId, value] of this.targets) yield { kind: "target", memberId, value };
    for (const [memberId, value] of this.currents) yield { kind: "current", memberId, value };
  }

  /** Changes after which nothing of it is left. */
  *tombstones(): Generator<Change> {
    for (const memberId of this.currents.keys()) yield { kind: "current", memberId, value: null };
    for (const memberId of this.targets.keys()) yield { kind: "target", memberId, value: null };
    if (this.targetEpoch !== NO_EPOCH) yield { kind: "targetEpoch", value: null };
    for (const memberId of this.members.keys()) yield { kind: "member", memberId, value: null };
    for (const regex of this.regexes.keys()) yield { kind: "regex", regex, value: null };
    if (this.group !== null) yield { kind: "groupEpoch", value: null };
  }

  /** The topics that a member reads, those of its regular expression too. */
  topicsOf(member: MemberInfo): Set<string> {
    const names = new Set(member.topicNames);
    if (member.topicRegex !== null) {
      for (const topic of this.regexes.get(member.topicRegex)?.topics ?? []) names.add(topic);
    }
    return names;
  }

  /** The topics that some member reads. */
  subscribedTopics(): Set<string> {
    const names = new Set<string>();
    for (const { topics } of this.regexes.values()) for (const topic of topics) names.add(topic);
    for (const { topicNames } of this.members.values()) {
      for (const topic of topicNames) names.add(topic);
    }
    return names;
  }
}

/** Records, and what follows from them. */
export class ConsumerGroupView extends ConsumerGroupRecords {
  readonly #staticIds = new Map<string, string>();
  /** The members that have partitions, or have to give them up, by topic id and partition. */
  readonly #owners = new Map<string, Map<number, string>>();
  #classicCount = 0;
  #membersSize = 0;
  /** Until members or regular expressions change. */
  #topics: Set<string> | null = null;

  static of(records: ConsumerGroupRecords): ConsumerGroupView {
    const view = new ConsumerGroupView();
    for (const change of records.all()) view.apply(change);
    return view;
  }

  /** Members that speak the classic protocol. */
  get classicCount(): number {
    return this.#classicCount;
  }

  /** Characters of what all members say of themselves. */
  get membersSize(): number {
    return this.#membersSize;
  }

  override apply(change: Change): void {
    if (change.kind === "member") this.#replaceMember(change.memberId, change.value);
    if (change.kind === "member" || change.kind === "regex") this.#topics = null;
    if (change.kind === "current") this.#replaceCurrent(change.memberId, change.value);
    super.apply(change);
  }

  override subscribedTopics(): Set<string> {
    return this.#topics ??= super.subscribedTopics();
  }

  staticMemberId(instanceId: string): string | null {
    return this.#staticIds.get(instanceId) ?? null;
  }

  ownerOf(topicId: string, partition: number): string | null {
    return this.#owners.get(topicId)?.get(partition) ?? null;
  }

  /** A static member that said that it would come back. */
  isAway(memberId: string): boolean {
    return this.currentOf(memberId).epoch === LEFT_STATIC_EPOCH;
  }

  /** Whether nobody but `memberId` uses the regular expression. */
  isRegexOnlyOf(regex: string, memberId: string): boolean {
    for (const [id, { topicRegex }] of this.members) {
      if (id !== memberId && topicRegex === regex) return false;
    }
    return true;
  }

  #replaceMember(memberId: string, value: MemberInfo | null): void {
    const former = this.members.get(memberId);
    if (former !== undefined) this.#membersSize -= memberSize(former);
    if (value !== null) this.#membersSize += memberSize(value);
    if (former?.classic != null) this.#classicCount--;
    if (value?.classic != null) this.#classicCount++;
    if (former?.instanceId != null && this.#staticIds.get(former.instanceId) === memberId) {
      this.#staticIds.delete(former.instanceId);
    }
    if (value?.instanceId != null) this.#staticIds.set(value.instanceId, memberId);
  }

  #replaceCurrent(memberId: string, value: Current | null): void {
    const former = this.currents.get(memberId);
    if (former !== undefined) {
      this.#disown(memberId, former.assigned);
      this.#disown(memberId, former.revoking);
    }
    if (value === null) return;
    this.#own(memberId, value.assigned);
    this.#own(memberId, value.revoking);
  }

  #own(memberId: string, partitions: OwnedPartitions): void {
    for (const [topicId, list] of partitions) {
      let owners = this.#owners.get(topicId);
      if (owners === undefined) this.#owners.set(topicId, owners = new Map());
      for (const partition of list.keys()) owners.set(partition, memberId);
    }
  }

  #disown(memberId: string, partitions: OwnedPartitions): void {
    for (const [topicId, list] of partitions) {
      const owners = this.#owners.get(topicId);
      if (owners === undefined) continue;
      for (const partition of list.keys()) {
        if (owners.get(partition) === memberId) owners.delete(partition);
      }
      if (owners.size === 0) this.#owners.delete(topicId);
    }
  }
}

function put<Value>(map: Map<string, Value>, key: string, value: Value | null): void {
  if (value === null) map.delete(key);
  else map.set(key, value);
}

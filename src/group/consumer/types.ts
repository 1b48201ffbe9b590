/**
 * What a consumer group (KIP-848) is made of: members, the target assignment that the coordinator computed, and
 * what each member has at present.
 *
 * Values are never changed in place; a change makes a new one.
 *
 * @module
 */

/** Partitions by topic id, each list ascending, none empty. */
export type Assignment = ReadonlyMap<string, readonly number[]>;

/** Partitions by topic id, each with the member epoch at which its member got it (KIP-1251); no topic is empty. */
export type OwnedPartitions = ReadonlyMap<string, ReadonlyMap<number, number>>;

export const NO_ASSIGNMENT: Assignment = new Map();
export const NO_PARTITIONS: OwnedPartitions = new Map();

/** The group itself. */
export interface GroupEpoch {
  /** Rises whenever the target assignment has to be made anew. */
  readonly epoch: number;
  /** Of the topics that members read; another one says that they changed. */
  readonly metadataHash: number;
  /** Wall clock (ms); -1: not known. */
  readonly creationTimeMs: number;
}

/** The group epoch that the target assignment is for. */
export interface TargetEpoch {
  readonly epoch: number;
  /** When it was made (wall ms); 0: not known. */
  readonly timestampMs: number;
}

/** One protocol of a member that speaks the classic one. */
export interface ClassicProtocol {
  readonly name: string;
  readonly metadata: Uint8Array;
}

/** What a member of a consumer group that speaks the classic protocol says of itself. */
export interface ClassicTerms {
  readonly sessionTimeoutMs: number;
  readonly supportedProtocols: readonly ClassicProtocol[];
}

/** A member, as it described itself. */
export interface MemberInfo {
  readonly instanceId: string | null;
  readonly rackId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  /** Ascending, each once. */
  readonly topicNames: readonly string[];
  /** Null and "": none. */
  readonly topicRegex: string | null;
  readonly rebalanceTimeoutMs: number;
  readonly serverAssignor: string | null;
  /** Null: it speaks the new protocol. */
  readonly classic: ClassicTerms | null;
}

/** Characters that a member's words take. */
export function memberSize(member: MemberInfo): number {
  let size = (member.topicRegex?.length ?? 0) + (member.rackId?.length ?? 0);
  for (const name of member.topicNames) size += name.length;
  for (const { name, metadata } of member.classic?.supportedProtocols ?? []) {
    size += name.length + metadata.length;
  }
  return size;
}

/** How far a member is on its way to its target; the numbers are Kafka's. */
export const MemberState = {
  /** It has what its epoch gives it. */
  STABLE: 0,
  /** It has to give partitions up, and stays at its epoch until it has. */
  UNREVOKED: 1,
  /** It waits for partitions that other members have not given up. */
  UNRELEASED: 2,
} as const;

/** What a member has. */
export interface Current {
  readonly epoch: number;
  /** The epoch before; a member that missed the last answer comes with it. */
  readonly previousEpoch: number;
  /** One of {@linkcode MemberState}; a later release may have written others. */
  readonly state: number;
  readonly assigned: OwnedPartitions;
  /** What it must give up first. */
  readonly revoking: OwnedPartitions;
}

/** The topics that a regular expression fits. */
export interface ResolvedRegex {
  /** Ascending. */
  readonly topics: readonly string[];
  readonly version: number;
  /** Wall clock (ms). */
  readonly timestampMs: number;
}

/** One written change of a consumer group; null for what is no more. */
export type Change =
  | { readonly kind: "groupEpoch"; readonly value: GroupEpoch | null }
  | { readonly kind: "member"; readonly memberId: string; readonly value: MemberInfo | null }
  | { readonly kind: "targetEpoch"; readonly value: TargetEpoch | null }
  | { readonly kind: "target"; readonly memberId: string; readonly value: Assignment | null }
  | { readonly kind: "current"; readonly memberId: string; readonly value: Current | null }
  | { readonly kind: "regex"; readonly regex: string; readonly value: ResolvedRegex | null };

/** A member's epoch that says that it is away and will come back (a static one, KIP-345). */
export const LEFT_STATIC_EPOCH = -2;
/** ... that it leaves for good. */
export const LEFT_EPOCH = -1;

/** What of a topic counts for a group. */
export interface TopicFacts {
  readonly id: string;
  readonly name: string;
  readonly partitionCount: number;
  /** The racks of a partition's replicas; none where nodes have no rack. */
  racksOf(partition: number): readonly string[];
}

/** The cluster's topics, as a coordinator sees them. */
export interface GroupTopics {
  /** Grows when topics, partitions or racks changed. */
  readonly version: number;
  byName(name: string): TopicFacts | null;
  nameOf(id: string): string | null;
  names(): Iterable<string>;
}

/** The same partitions, whatever their epochs. */
export function sameAssignment(a: Assignment, b: Assignment): boolean {
  if (a.size !== b.size) return false;
  for (const [topicId, partitions] of a) {
    const others = b.get(topicId);
    if (others === undefined || others.length !== partitions.length) return false;
    if (partitions.some((partition, at) => others[at] !== partition)) return false;
  }
  return true;
}

/** The same partitions, with the same epochs. */
export function sameOwned(a: OwnedPartitions, b: OwnedPartitions): boolean {
  if (a.size !== b.size) return false;
  for (const [topicId, partitions] of a) {
    const others = b.get(topicId);
    if (others === undefined || others.size !== partitions.size) return false;
    for (const [partition, epoch] of partitions) if (others.get(partition) !== epoch) return false;
  }
  return true;
}

/** Partitions without their epochs. */
export function partitionsOf(...lists: readonly OwnedPartitions[]): Assignment {
  const result = new Map<string, number[]>();
  for (const owned of lists) {
    for (const [topicId, partitions] of owned) {
      const all = [...result.get(topicId) ?? [], ...partitions.keys()];
      result.set(topicId, all.sort((a, b) => a - b));
    }
  }
  return result;
}

/**
 * One partition as the metadata says: which nodes hold it, and which should.
 *
 * A partition is created on some nodes. From then on its replicas change one change at a time, by records of the
 * controller; the members of its Raft group follow (`shard/member_steward.ts`), and when they have arrived, the next
 * record says that they have.
 *
 * ```text
 *   replicas 1 2 3                                     as created
 *   replicas 1 2 4 3   adding 4   removing 3           a change is wanted: node 4 makes a log, node 3 keeps its own
 *   replicas 1 2 4                                     the group's members are 1 2 4: node 3 deletes its log
 *
 *   replicas 2         forced                          the majority was given up: node 2 goes on alone
 * ```
 *
 * A node that leaves and comes back to a partition is another member of the group, because it has deleted what it once
 * acknowledged: `since` tells the two apart. So does `life` for a node that lost its disk. The log of a replica has the
 * incarnation `1 + since`: a log of an earlier time is not taken for it.
 *
 * @module
 */

import type { Member } from "../raft/configuration.ts";
import { partitionMembers, replicaIncarnation } from "./members.ts";
import type { TopicImage } from "./image.ts";
import type { PartitionChangeRecord } from "./records.ts";

/** A node that holds the partition. */
export interface PartitionReplica {
  readonly nodeId: number;
  /** Which life of the node is meant (`memberIncarnation`); 0: any. */
  readonly life: number;
  /** The change by which it became a replica; 0: the creation. */
  readonly since: number;
}

/** How a partition is created. */
export interface PartitionCreation {
  readonly topic: TopicImage;
  readonly index: number;
  /** The Raft group that holds it. */
  readonly groupId: number;
  readonly replicas: readonly number[];
  /** Which life of each of these nodes is meant; empty: any. */
  readonly incarnations: readonly number[];
  /** Its leader epochs are above it; 0 when absent. */
  readonly epochFloor?: number;
}

export class PartitionImage {
  readonly topic: TopicImage;
  readonly index: number;
  readonly groupId: number;
  /** Its leader epochs are above this. */
  readonly epochFloor: number;
  /** As created; they are also the first voters of the group. */
  readonly created: Pick<PartitionCreation, "replicas" | "incarnations">;
  /** Members that the group began with, the preferred leader first. */
  readonly founders: readonly Member[];
  #holders: readonly PartitionReplica[];
  #replicas: readonly number[];
  #adding: readonly number[] = [];
  #removing: readonly number[] = [];
  #change = 0;
  #isForced = false;

  constructor(creation: PartitionCreation) {
    const { topic, index, groupId, replicas, incarnations } = creation;
    this.epochFloor = creation.epochFloor ?? 0;
    this.topic = topic;
    this.index = index;
    this.groupId = groupId;
    this.created = { replicas, incarnations };
    this.founders = partitionMembers({ replicas, incarnations });
    this.#holders = replicas.map((nodeId, at) => ({
      nodeId,
      life: incarnations[at] ?? 0,
      since: 0,
    }));
    this.#replicas = replicas;
  }

  /** The nodes that hold it: those that should, the preferred leader first, then those on their way out. */
  get replicas(): readonly number[] {
    return this.#replicas;
  }

  get holders(): readonly PartitionReplica[] {
    return this.#holders;
  }

  /** Replicas that are not voters yet. */
  get adding(): readonly number[] {
    return this.#adding;
  }

  /** Replicas on their way out. */
  get removing(): readonly number[] {
    return this.#removing;
  }

  /** How often it was changed. */
  get change(): number {
    return this.#change;
  }

  /** Its majority was given up: the one replica that is left goes on alone, without asking the others. */
  get isForced(): boolean {
    return this.#isForced;
  }

  /** The members of its group are on their way to what is wanted. */
  get isChanging(): boolean {
    return this.#adding.length > 0 || this.#removing.length > 0;
  }

  /** Nodes that should hold it, the preferred leader first. */
  get target(): number[] {
    return this.#replicas.filter((nodeId) => !this.#removing.includes(nodeId));
  }

  holderOf(nodeId: number): PartitionReplica | null {
    return this.#holders.find((holder) => holder.nodeId === nodeId) ?? null;
  }

  /** A node as the member of the group that it is to be; null: it holds nothing. */
  memberOf(nodeId: number): Member | null {
    const holder = this.holderOf(nodeId);
    return holder === null ? null : { node: nodeId, incarnation: this.#incarnationOf(holder) };
  }

  /**
   * Members that a log begins with. Where all others have left, the one replica has a log that says so, unless it lost
   * it: then the group begins again with it, empty.
   */
  get beginners(): readonly Member[] {
    const isOneOfLater = this.#holders.length === 1 && this.#holders[0]!.since > 0;
    return isOneOfLater ? this.wantedMembers : this.founders;
  }

  /** The members that its group should have. */
  get wantedMembers(): Member[] {
    return this.#holders
      .filter(({ nodeId }) => !this.#removing.includes(nodeId))
      .map((holder) => ({ node: holder.nodeId, incarnation: this.#incarnationOf(holder) }));
  }

  /**
   * This node as a member of the group: its incarnation there; null: it is none, in its present life.
   *
   * @param life of the node
   */
  incarnationOf(nodeId: number, life: number): number | null {
    const holder = this.holderOf(nodeId);
    if (holder === null) return null;
    // There is nobody whom a forgotten vote could mislead.
    const isAny = holder.life === 0 || (this.#change === 0 && this.#holders.length === 1);
    return isAny || holder.life === life ? this.#incarnationOf(holder) : null;
  }

  /** For `ClusterImage.replay`. */
  apply({ change, replicas, adding, removing, forced }: PartitionChangeRecord): void {
    this.#change = change;
    this.#isForced = forced;
    this.#holders = replicas;
    this.#replicas = replicas.map(({ nodeId }) => nodeId);
    this.#adding = adding;
    this.#removing = removing;
  }

  #incarnationOf({ nodeId, life, since }: PartitionReplica): number {
    if (since > 0) return replicaIncarnation(life, since);
    return this.founders.find(({ node }) => node === nodeId)?.incarnation ?? life;
  }
}

/**
 * Who leads each partition, and which of its replicas keep up, as this shard last heard: volatile, reported by the
 * replicas, not a record.
 *
 * Raft groups elect their leaders themselves; the metadata log does not say. The reports come from this node's own
 * replicas and from the leaders on other nodes.
 *
 * @module
 */

import type { PartitionImage } from "./image.ts";

const UNKNOWN = -1;
/** Replicas in sync are a bit each, in the order of the partition's replicas; no bit: not known. */
export const IN_SYNC_UNKNOWN = 0;
export const IN_SYNC_BITS = 16;

/** Groups of one page. Ids are never given out twice, and may be far apart. */
const PAGE_GROUPS = 1024;
/** Pages that there may be (about 160 MiB): of a group on a further one no leader is known. */
const PAGES_MAX = 16_384;

/** What is known of groups with consecutive ids. */
class Page {
  readonly leaders = new Int32Array(PAGE_GROUPS).fill(UNKNOWN);
  readonly epochs = new Int32Array(PAGE_GROUPS).fill(UNKNOWN);
  readonly inSync = new Uint16Array(PAGE_GROUPS);
}

export class LeaderTable {
  readonly #nodeId: number;
  readonly #pages = new Map<number, Page>();
  #latestEpoch = 0;

  /** @param nodeId this node: nobody else says that it leads no longer */
  constructor(nodeId = UNKNOWN) {
    this.#nodeId = nodeId;
  }

  /**
   * Notes a group's leader, -1 when nobody leads. Older epochs than the known one are ignored; and since an epoch has
   * one leader at most, who does not know it says nothing about an epoch whose leader is known: unless that is this
   * node, which then has stopped leading within the epoch.
   *
   * @param inSync the replicas that keep up, as the leader says; unknown: as before
   */
  note(groupId: number, leaderId: number, epoch: number, inSync = IN_SYNC_UNKNOWN): void {
    const page = this.#pageOf(groupId) ?? this.#addPage(groupId);
    if (page === null) return;
    const at = groupId % PAGE_GROUPS;
    const known = page.epochs[at]!;
    if (epoch < known) return;
    const isOwn = page.leaders[at] === this.#nodeId;
    if (epoch === known && leaderId === UNKNOWN && !isOwn) return;
    page.leaders[at] = leaderId;
    page.epochs[at] = epoch;
    this.#latestEpoch = Math.max(this.#latestEpoch, epoch);
    if (inSync !== IN_SYNC_UNKNOWN) page.inSync[at] = inSync;
  }

  /** The largest epoch of any group that was heard of. */
  get latestEpoch(): number {
    return this.#latestEpoch;
  }

  /** The node that leads a group, as far as this shard was told; else -1. */
  knownLeaderOf(groupId: number): number {
    return this.#pageOf(groupId)?.leaders[groupId % PAGE_GROUPS] ?? UNKNOWN;
  }

  /** The node that clients should ask: the leader, -1 while none is known. Nobody else than its one replica can lead. */
  leaderOf(partition: PartitionImage): number {
    const leaderId = this.knownLeaderOf(partition.groupId);
    const isOnOneNode = partition.replicas.length === 1;
    return leaderId === UNKNOWN && isOnOneNode ? partition.replicas[0]! : leaderId;
  }

  /** The replicas that keep up with the leader, as the last one said; a leader always does, and so does a replica without others. */
  inSyncOf(partition: PartitionImage): number[] {
    const { groupId, replicas } = partition;
    const inSync = this.#pageOf(groupId)?.inSync[groupId % PAGE_GROUPS] ?? IN_SYNC_UNKNOWN;
    const leaderId = this.leaderOf(partition);
    return replicas.filter((node, at) => (inSync >> at & 1) === 1 || node === leaderId);
  }

  /** The leader's epoch, -1 when unknown. */
  epochOf({ groupId }: PartitionImage): number {
    return this.#pageOf(groupId)?.epochs[groupId % PAGE_GROUPS] ?? UNKNOWN;
  }

  #pageOf(groupId: number): Page | undefined {
    return this.#pages.get(Math.floor(groupId / PAGE_GROUPS));
  }

  #addPage(groupId: number): Page | null {
    if (this.#pages.size >= PAGES_MAX) return null;
    const page = new Page();
    this.#pages.set(Math.floor(groupId / PAGE_GROUPS), page);
    return page;
  }
}

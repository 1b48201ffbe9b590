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

export class LeaderTable {
  readonly #nodeId: number;
  #leaders = new Int32Array(64).fill(UNKNOWN);
  #epochs = new Int32Array(64).fill(UNKNOWN);
  #inSync = new Uint16Array(64);
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
    if (groupId >= this.#leaders.length) this.#grow(groupId);
    const known = this.#epochs[groupId]!;
    if (epoch < known) return;
    const isOwn = this.#leaders[groupId] === this.#nodeId;
    if (epoch === known && leaderId === UNKNOWN && !isOwn) return;
    this.#leaders[groupId] = leaderId;
    this.#epochs[groupId] = epoch;
    this.#latestEpoch = Math.max(this.#latestEpoch, epoch);
    if (inSync !== IN_SYNC_UNKNOWN) this.#inSync[groupId] = inSync;
  }

  /** The largest epoch of any group that was heard of. */
  get latestEpoch(): number {
    return this.#latestEpoch;
  }

  /** The node that leads a group, as far as this shard was told; else -1. */
  knownLeaderOf(groupId: number): number {
    return this.#leaders[groupId] ?? UNKNOWN;
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
    const inSync = this.#inSync[groupId] ?? IN_SYNC_UNKNOWN;
    const leaderId = this.leaderOf(partition);
    return replicas.filter((node, at) => (inSync >> at & 1) === 1 || node === leaderId);
  }

  /** The leader's epoch, -1 when unknown. */
  epochOf(partition: PartitionImage): number {
    return this.#epochs[partition.groupId] ?? UNKNOWN;
  }

  #grow(groupId: number): void {
    let capacity = this.#leaders.length;
    while (capacity <= groupId) capacity *= 2;
    const leaders = new Int32Array(capacity).fill(UNKNOWN);
    const epochs = new Int32Array(capacity).fill(UNKNOWN);
    const inSync = new Uint16Array(capacity);
    leaders.set(this.#leaders);
    epochs.set(this.#epochs);
    inSync.set(this.#inSync);
    this.#leaders = leaders;
    this.#epochs = epochs;
    this.#inSync = inSync;
  }
}

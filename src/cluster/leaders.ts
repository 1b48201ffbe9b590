/**
 * Who leads each partition, as this shard last heard: volatile, reported by the replicas, not a record.
 *
 * Raft groups elect their leaders themselves; the metadata log does not say. The reports come from this node's own
 * replicas and from the leaders on other nodes.
 *
 * @module
 */

import type { PartitionImage } from "./image.ts";

const UNKNOWN = -1;

export class LeaderTable {
  #leaders = new Int32Array(64).fill(UNKNOWN);
  #epochs = new Int32Array(64).fill(UNKNOWN);

  /**
   * Notes a group's leader, -1 when nobody leads. Older epochs than the known one are ignored; and since an epoch has
   * one leader at most, who does not know it says nothing about an epoch whose leader is known.
   */
  note(groupId: number, leaderId: number, epoch: number): void {
    if (groupId >= this.#leaders.length) this.#grow(groupId);
    const known = this.#epochs[groupId]!;
    if (epoch < known || (epoch === known && leaderId === UNKNOWN)) return;
    this.#leaders[groupId] = leaderId;
    this.#epochs[groupId] = epoch;
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

  /** The leader's epoch, -1 when unknown. */
  epochOf(partition: PartitionImage): number {
    return this.#epochs[partition.groupId] ?? UNKNOWN;
  }

  #grow(groupId: number): void {
    let capacity = this.#leaders.length;
    while (capacity <= groupId) capacity *= 2;
    const leaders = new Int32Array(capacity).fill(UNKNOWN);
    const epochs = new Int32Array(capacity).fill(UNKNOWN);
    leaders.set(this.#leaders);
    epochs.set(this.#epochs);
    this.#leaders = leaders;
    this.#epochs = epochs;
  }
}

/**
 * What a replica needs of its shard.
 *
 * @module
 */

import type { Random } from "../base/prng.ts";
import type { Timer } from "../io/timers.ts";
import type { RaftTiming } from "../raft/limits.ts";
import type { RaftMessage } from "../raft/message.ts";
import type { GroupReplica } from "./group_replica.ts";

/** What replicas need of their shard; `shard_replication.ts` is it. */
export interface ReplicaHost {
  readonly nodeId: number;
  /** Of this node, as a member of groups. */
  readonly incarnation: number;
  readonly random: Random;
  readonly timing: RaftTiming;
  /** `replica.lag.time.max.ms`. */
  readonly inSyncMs: number;
  /** The disk is overdue. */
  readonly isStalled: boolean;
  nowMs(): number;
  schedule(timer: Timer, atMs: number): void;
  cancel(timer: Timer): void;
  /** Calls {@linkcode GroupReplica.settle} at the end of this turn. */
  settleLater(replica: GroupReplica): void;
  sendRow(replica: GroupReplica, node: number, message: RaftMessage): void;
  replicate(replica: GroupReplica, node: number, fromIndex: number, bytesMax: number): void;
  sendSnapshot(replica: GroupReplica, node: number): void;
  /** The members that the replica wants to hear of changed. */
  onMembers(replica: GroupReplica, before: readonly number[], now: readonly number[]): void;
  /** The largest batch that a frame to a node can hold (bytes). */
  batchBytesMaxOf(node: number): number;
  /** A node refuses what this node sends it, because its disk is full. */
  onPeerFull(replica: GroupReplica, node: number): void;
  /** The log is not the group's any more (`RaftGroup.isOverruled`). Once. */
  onOverruled(replica: GroupReplica): void;
  onClosed(replica: GroupReplica): void;
}

/**
 * A group of one for tests that have a log and no shard.
 *
 * @module
 */

import { Xoshiro128 } from "../base/prng.ts";
import { RAFT_TIMING } from "../raft/limits.ts";
import type { Log } from "../storage/log.ts";
import { GroupReplica } from "./group_replica.ts";
import type { ReplicaHost } from "./replica_host.ts";

/** @param termFloor the first term of a log that had none yet is above it */
export function groupOfOne(log: Log, nodeId: number, termFloor = 0): GroupReplica {
  const host: ReplicaHost = {
    nodeId,
    incarnation: 1,
    random: new Xoshiro128(1),
    timing: RAFT_TIMING,
    inSyncMs: 30_000,
    isStalled: false,
    nowMs: () => 0,
    schedule: () => {},
    cancel: () => {},
    // What it could not say within a call is said with the next notice of the log.
    settleLater: () => {},
    sendRow: () => {},
    replicate: () => {},
    sendSnapshot: () => {},
    onMembers: () => {},
    batchBytesMaxOf: () => Infinity,
    onPeerFull: () => {},
    onOverruled: () => {},
    onClosed: () => {},
  };
  return new GroupReplica(host, log, { groupId: log.groupId, voters: [], termFloor });
}

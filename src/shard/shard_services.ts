/**
 * What handlers may use of a shard, made of its parts.
 *
 * @module
 */

import type { ControllerService } from "../cluster/controller_service.ts";
import { type Task, until } from "../io/task.ts";
import type { Caller } from "../kafka/router.ts";
import type { Services, StorageTrouble } from "../kafka/services.ts";
import { shardOfGroupId } from "./partition_table.ts";
import type { Shard } from "./shard.ts";
import { UNNAMED } from "./shard_options.ts";

/** Whoever asks is this node itself. */
export const NO_CALLER: Caller = { clientId: null, clientHost: "" };

/** @param nextTurn ends with the shard's next turn */
export function shardServices(of: Shard, nextTurn: () => Task<void>): Services {
  const { mailboxes, nodeId, disk, dataDir } = of.options;
  const { shard, shardCount } = mailboxes;
  return {
    shard,
    shardCount,
    nodeId,
    versions: of.versions,
    image: of.image,
    leaders: of.leaders,
    live: of.live,
    program: of.options.program ?? UNNAMED,
    get controller(): ControllerService | null {
      return of.controller;
    },
    get metadataReadOnly(): boolean {
      return of.metadataReadOnly;
    },
    get trouble(): StorageTrouble {
      return of.trouble;
    },
    partitions: of.partitions,
    groups: of.groups,
    transactions: of.transactions.coordinators,
    regexes: of.options.regexes,
    markers: of.transactions.markers,
    admitToTransaction: (...question) => of.transactions.guard.admit(...question),
    dataDirectory: {
      path: dataDir,
      freeBytes: () => disk.freeBytes(),
      totalBytes: () => disk.totalBytes(),
    },
    recoverMetadata: () => until((done) => of.seat.recoverMetadata(done)),
    isMetadataMemberThere: (member) => of.seat.isMemberThere(member),
    nextTurn,
    moveLeader: (partition, target, waitMs) => of.leadership.moveTo(partition, target, waitMs),
    shardOfGroup: (groupId: number) => shardOfGroupId(groupId, shardCount),
    call: (api, version, request) => of.router.call(api, version, NO_CALLER, request),
  };
}

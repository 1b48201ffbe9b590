/**
 * How the process's file descriptors are shared out, so that clients cannot take those that data needs.
 *
 * ```text
 *   0        used     fixed                              RLIMIT_NOFILE
 *   | runtime | shards | data files | links | connections |
 * ```
 *
 * A connection beyond its share is closed when it is accepted. Without shares, connections could take the
 * descriptor that a segment's file needs.
 *
 * @module
 */

import { CONNECTIONS_PER_SHARD_MAX, RPC_CONNECTIONS_MAX } from "../base/limits.ts";
import { OPEN_FILES_MAX_DEFAULT } from "../storage/file_table.ts";

/** What a shard's thread needs besides its journal and checkpoint slots: ring, events, the runtime's own. */
const PER_SHARD = 10;
/** The two checkpoint slots of a shard. */
const SLOTS = 2;
/** For files that are open for moments (manifest, directories to flush, new journals) and the admin address. */
const SPARE = 24;
/** Fewer data files per shard, or connections in all, are of no use. */
const OPEN_FILES_MIN = 8;
const CONNECTIONS_MIN = 8;
/** Data files get this share of the rest, up to the number that is useful. */
const DATA_SHARE = 1 / 3;
/** Connections with other nodes get this share of what nobody needs to be of use. */
const LINKS_SHARE = 1 / 4;

export interface DescriptorShares {
  /** Segments and indexes that each shard keeps open. */
  readonly openFilesPerShard: number;
  /** Connections of clients, of all shards. */
  readonly connectionsMax: number;
  /** Connections with other nodes that each shard may have; 0 where the node is alone. */
  readonly linksPerShard: number;
}

/**
 * Shares out `limit` descriptors, of which `used` are taken.
 *
 * @param extents files of a shard's journal
 * @param alone other nodes cannot connect
 * @returns the shares, or how large the limit must be at least
 */
export function shareDescriptors(
  limit: number,
  used: number,
  shards: number,
  extents: number,
  alone: boolean,
): DescriptorShares | number {
  const fixed = fixedDescriptors(used, shards, extents);
  const needed = descriptorsNeeded(used, shards, extents);
  if (limit < needed) return needed;
  const rest = limit - fixed;
  const files = Math.min(OPEN_FILES_MAX_DEFAULT, Math.floor(rest * DATA_SHARE / shards));
  const openFilesPerShard = Math.max(OPEN_FILES_MIN, files);
  const linksMax = alone ? 0 : Math.floor((limit - needed) * LINKS_SHARE / shards);
  const linksPerShard = Math.min(linksMax, RPC_CONNECTIONS_MAX);
  const connections = rest - shards * (openFilesPerShard + linksPerShard);
  return {
    openFilesPerShard,
    linksPerShard,
    connectionsMax: Math.min(connections, shards * CONNECTIONS_PER_SHARD_MAX),
  };
}

/** The least limit with which a node of so many shards starts; `used` descriptors are taken. */
export function descriptorsNeeded(used: number, shards: number, extents: number): number {
  return fixedDescriptors(used, shards, extents) + shards * OPEN_FILES_MIN + CONNECTIONS_MIN;
}

function fixedDescriptors(used: number, shards: number, extents: number): number {
  return used + shards * (PER_SHARD + SLOTS + extents) + SPARE;
}

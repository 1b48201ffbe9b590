/**
 * What the controller's shard knows of the cluster beyond the metadata: who can be reached, and whether anybody leads.
 *
 * @module
 */

import { CONTROLLER_GROUP_ID } from "../cluster/records.ts";
import type { Shard } from "./shard.ts";

/** Nobody is known to lead the metadata. */
export function lacksController({ partitions, leaders, live }: Shard): boolean {
  const own = partitions.byGroup(CONTROLLER_GROUP_ID)?.replica;
  if (own !== undefined) return !own.leading && own.leaderId < 0 && !own.readOnly;
  const leader = leaders.knownLeaderOf(CONTROLLER_GROUP_ID);
  return leader < 0 || !live.isAlive(leader);
}

/** Registered nodes that cannot be reached. */
export function unreachableNodes({ image, live }: Shard): number[] {
  return [...image.nodes.keys()].filter((nodeId) => !live.isAlive(nodeId));
}

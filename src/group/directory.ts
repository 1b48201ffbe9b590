/**
 * Where groups are, as handlers see it.
 *
 * @module
 */

import type { GroupCoordinator } from "./coordinator.ts";

/** The coordinators of a shard, and the way to those of other shards. */
export interface GroupDirectory {
  /** The group's coordinator, perhaps still loading; null when this shard does not lead its partition. */
  coordinatorFor(groupId: string): GroupCoordinator | null;
  /**
   * Whether what the group's coordinator has in memory may be told. Where its node has lost the connections to a majority, the
   * others have news of that, and another coordinator may be there already, of whose commits this one has not heard.
   */
  isInTouch(groupId: string): boolean;
  /**
   * The shard that owns the group's partition; any shard when there is none (the offsets topic is not
   * made yet, or another node holds the partition), where the answer will be NOT_COORDINATOR.
   */
  shardOfGroup(groupId: string): number;
  /** Every coordinator of this shard. */
  all(): Iterable<GroupCoordinator>;
}

/**
 * The way of requests about groups: to the shard that owns the group's partition of
 * `__consumer_offsets`.
 *
 * @module
 */

import type { ShardRoute } from "./handler.ts";
import type { Services } from "./services.ts";

/** READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS and ALTER_CONFIGS, as bits. */
export const GROUP_OPERATIONS = (1 << 3) | (1 << 6) | (1 << 8) | (1 << 10) | (1 << 11);

/** To the shard of the one group that the request names. */
export const ON_GROUP_SHARD: ShardRoute<{ readonly groupId: string }> = {
  kind: "shard",
  shardOf: (request, services) => services.groups.shardOfGroup(request.groupId),
};

/** The items of each shard that owns the group of some. */
export function splitByGroup<Item>(
  services: Services,
  items: readonly Item[],
  groupIdOf: (item: Item) => string,
): Map<number, Item[]> {
  const parts = new Map<number, Item[]>();
  for (const item of items) {
    const shard = services.groups.shardOfGroup(groupIdOf(item));
    const part = parts.get(shard);
    if (part === undefined) parts.set(shard, [item]);
    else part.push(item);
  }
  return parts;
}

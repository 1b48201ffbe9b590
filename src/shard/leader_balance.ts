/**
 * Which partitions are led by a node although another one should lead them: placement spreads the preferred leaders, and
 * after restarts the nodes that stayed lead everything.
 *
 * @module
 */

import type { ClusterImage, PartitionImage } from "../cluster/image.ts";
import type { LeaderTable } from "../cluster/leaders.ts";

/** The partitions that `nodeId` leads and should not; in turn one of each node that should, so that none waits for all. */
export function misplacedLeaders(
  image: Pick<ClusterImage, "topics">,
  leaders: LeaderTable,
  nodeId: number,
): PartitionImage[] {
  const byPreferred = new Map<number, PartitionImage[]>();
  for (const { partitions } of image.topics.values()) {
    for (const partition of partitions) {
      const preferred = partition.replicas[0]!;
      if (preferred === nodeId || leaders.leaderOf(partition) !== nodeId) continue;
      const found = byPreferred.get(preferred);
      if (found === undefined) byPreferred.set(preferred, [partition]);
      else found.push(partition);
    }
  }
  const misplaced: PartitionImage[] = [];
  const queues = [...byPreferred.values()];
  for (let at = 0; queues.some((queue) => at < queue.length); at++) {
    for (const queue of queues) if (at < queue.length) misplaced.push(queue[at]!);
  }
  return misplaced;
}

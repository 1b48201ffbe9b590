/**
 * What the log says of a damaged log of a partition whose loss is accepted, or cannot be.
 *
 * @module
 */

import { LogLevel } from "../base/logger.ts";
import { CONTROLLER_GROUP_ID } from "../cluster/records.ts";
import type { Partition } from "../kafka/partition.ts";
import { replicaDamageRemedy } from "./node_health.ts";
import type { Shard } from "./shard.ts";

/** Says that a damaged log is written to again, or that it is not because other nodes have its records. */
export function tellDamaged(shard: Shard, { log, image }: Partition, isAccepted: boolean): void {
  const isMetadata = image.groupId === CONTROLLER_GROUP_ID;
  const { logger, nodeId } = shard.options;
  if (isAccepted) {
    const fields = { log: log.directory };
    logger.log(LogLevel.WARN, "Accepted a damaged log: it is writable again", fields);
    return;
  }
  const noted = isMetadata ? shard.seat.notedKeepers?.map((keeper) => keeper.nodeId) : null;
  const keepers = noted ?? image.replicas;
  const others = keepers.filter((node) => node !== nodeId).join(", ");
  logger.log(
    LogLevel.ERROR,
    "The loss of a damaged log is not accepted, because other nodes have its records, and this one must not vote as if " +
      "it had them: it takes no part in its partition",
    { log: log.directory, others, remedy: replicaDamageRemedy(image, nodeId) },
  );
}

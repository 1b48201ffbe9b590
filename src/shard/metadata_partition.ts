/**
 * Group 0: the partition that holds the cluster's metadata. It belongs to no topic of the image, because
 * the image comes out of it.
 *
 * @module
 */

import type { Settings } from "../base/settings.ts";
import type { GroupMember } from "../cluster/members.ts";
import { TopicConfig } from "../cluster/topic_config.ts";
import { PartitionImage, TopicImage } from "../cluster/image.ts";
import { CONTROLLER_GROUP_ID } from "../cluster/records.ts";
import { METADATA_TOPIC } from "../cluster/topic_names.ts";
import type { Partition } from "../kafka/partition.ts";
import { PartitionLimits } from "../kafka/partition_limits.ts";
import { ZERO_UUID } from "../wire/uuid.ts";
import type { PartitionTable } from "./partition_table.ts";

/**
 * Opens group 0 on this shard, making its log at the first start.
 *
 * @param voters of its first configuration; none: this node alone
 * @param incarnation of this node as a member; null: as the first configuration says
 */
export function controllerPartition(
  partitions: PartitionTable,
  settings: Settings,
  voters: readonly GroupMember[],
  incarnation: number | null,
): Partition {
  // Kept whole: a command refers to those before it.
  const config = new TopicConfig(new Map([["cleanup.policy", ""]]), settings);
  const topic = new TopicImage({ topicId: ZERO_UUID, name: METADATA_TOPIC }, -1, config);
  const image = new PartitionImage({
    topic,
    index: 0,
    groupId: CONTROLLER_GROUP_ID,
    replicas: voters.map(({ node }) => node),
    incarnations: voters.map(({ incarnation }) => incarnation),
  });
  topic.partitions.push(image);
  return partitions.open(image, new PartitionLimits(config), incarnation);
}

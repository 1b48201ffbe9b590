/**
 * Creates the coordinators' topics: on first use, with settings of their own.
 *
 * @module
 */

import type { NewTopic } from "./create_topics.ts";
import type { ClusterImage } from "./image.ts";
import { OFFSETS_TOPIC, TRANSACTIONS_TOPIC } from "./topic_names.ts";

/** The definition of an internal topic that is not there yet; null for a name that is none of them. */
export function internalTopic(name: string, image: ClusterImage): NewTopic | null {
  const { settings } = image;
  const replicas = (wanted: number) => Math.max(1, Math.min(wanted, image.nodes.size));
  if (name === OFFSETS_TOPIC) {
    return {
      name,
      numPartitions: settings.number("offsets.topic.num.partitions"),
      replicationFactor: replicas(settings.number("offsets.topic.replication.factor")),
      assignments: [],
      configs: [
        { name: "cleanup.policy", value: "compact" },
        { name: "compression.type", value: "producer" },
        segmentBytes(settings.number("offsets.topic.segment.bytes")),
      ],
    };
  }
  if (name === TRANSACTIONS_TOPIC) {
    const replicationFactor = replicas(settings.number("transaction.state.log.replication.factor"));
    const insync = Math.min(replicationFactor, settings.number("transaction.state.log.min.isr"));
    return {
      name,
      numPartitions: settings.number("transaction.state.log.num.partitions"),
      replicationFactor,
      assignments: [],
      configs: [
        { name: "cleanup.policy", value: "compact" },
        { name: "compression.type", value: "uncompressed" },
        { name: "min.insync.replicas", value: `${insync}` },
        { name: "unclean.leader.election.enable", value: "false" },
        segmentBytes(settings.number("transaction.state.log.segment.bytes")),
      ],
    };
  }
  return null;
}

/** A segment has at least a mebibyte (`segment.bytes`), whatever the broker setting allows. */
function segmentBytes(wanted: number): { readonly name: string; readonly value: string } {
  return { name: "segment.bytes", value: `${Math.max(wanted, 2 ** 20)}` };
}

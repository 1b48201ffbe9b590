/**
 * Reads consumers' metadata for their leader in one respect: the topics that they read, so that offsets of topics
 * in use are neither deleted nor expired. Nothing else of a member's metadata is ever parsed, and
 * of other protocol types not even this.
 *
 * @module
 */

import { Cursor } from "../bytes/cursor.ts";
import { decodeConsumerProtocolSubscription } from "../wire/generated/consumer_protocol_subscription.ts";
import type { Group } from "./group.ts";

/**
 * The topics of a subscription; null when it cannot be read.
 *
 * Whatever version it says it has, the fields of the first one come first, and more is not looked at: some
 * clients name a later version and leave its fields out.
 */
export function topicsOfSubscription(metadata: Uint8Array): string[] | null {
  const cursor = Cursor.of(metadata);
  cursor.int16();
  const subscription = decodeConsumerProtocolSubscription(cursor, 0);
  return cursor.ok() ? subscription.topics : null;
}

/** The topics of all members; null when they are not known. */
export function subscribedTopicsOf(group: Group): ReadonlySet<string> | null {
  if (!group.isConsumerGroup) return null;
  const topics = new Set<string>();
  for (const member of group.members.values()) {
    const own = topicsOfSubscription(member.metadataFor(group.protocolName));
    if (own === null) return null;
    for (const topic of own) topics.add(topic);
  }
  return topics;
}

/**
 * The one look into what consumers tell their leader: which topics they read, so that offsets of topics
 * in use are neither deleted nor expired. Nothing else of a member's metadata is ever parsed, and
 * of other protocol types not even this.
 *
 * @module
 */

import { Cursor } from "../bytes/cursor.ts";
import { decodeConsumerProtocolSubscription } from "../wire/generated/consumer_protocol_subscription.ts";
import type { Group } from "./group.ts";

/** The newest version of the subscription; its successors only append fields. */
const VERSION_MAX = 3;

/** The topics of a subscription; null when it cannot be read. */
export function topicsOfSubscription(metadata: Uint8Array): string[] | null {
  const cursor = Cursor.of(metadata);
  const version = cursor.int16();
  if (!cursor.ok() || version < 0) return null;
  const subscription = decodeConsumerProtocolSubscription(cursor, Math.min(version, VERSION_MAX));
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

/**
 * The consumers' protocol inside the classic one: what members with assignors of their own say to each other. The
 * coordinator reads and writes it only where members of both protocols share a group.
 *
 * @module
 */

import { Cursor } from "../../bytes/cursor.ts";
import { Writer } from "../../bytes/writer.ts";
import {
  decodeConsumerProtocolAssignment,
  encodeConsumerProtocolAssignment,
} from "../../wire/generated/consumer_protocol_assignment.ts";
import {
  type ConsumerProtocolSubscription,
  decodeConsumerProtocolSubscription,
} from "../../wire/generated/consumer_protocol_subscription.ts";
import type { Assignment, GroupTopics } from "./types.ts";

/** The last one that there is; who says a later one has the fields of this one, too. */
const VERSION_MAX = 3;

function versionOf(cursor: Cursor): number {
  const version = cursor.int16();
  if (version < 0) cursor.fail();
  return Math.min(Math.max(version, 0), VERSION_MAX);
}

/** What a member reads; null when that cannot be read. */
export function readSubscription(metadata: Uint8Array): ConsumerProtocolSubscription | null {
  const cursor = Cursor.of(metadata);
  const subscription = decodeConsumerProtocolSubscription(cursor, versionOf(cursor));
  return cursor.ok() ? subscription : null;
}

/** The version of the protocol that a member speaks. */
export function embeddedVersion(metadata: Uint8Array): number {
  return versionOf(Cursor.of(metadata));
}

/** What a leader gave a member, by topic id, without topics that are gone; null when it cannot be read. */
export function readAssignment(bytes: Uint8Array, topics: GroupTopics): Assignment | null {
  if (bytes.length === 0) return new Map();
  const cursor = Cursor.of(bytes);
  const { assignedPartitions } = decodeConsumerProtocolAssignment(cursor, versionOf(cursor));
  return cursor.ok() ? byId(assignedPartitions, topics) : null;
}

/** Partitions that are named by topic, by topic id. */
export function byId(
  named: readonly { readonly topic: string; readonly partitions: readonly number[] }[],
  topics: GroupTopics,
): Assignment {
  const result = new Map<string, number[]>();
  for (const { topic, partitions } of named) {
    const facts = topics.byName(topic);
    if (facts === null || partitions.length === 0) continue;
    const known = partitions.filter((partition) => partition < facts.partitionCount);
    result.set(facts.id, [...new Set(known)].sort((a, b) => a - b));
  }
  return result;
}

/** What a member is given, in the version that it speaks. */
export function writeAssignment(
  assignment: Assignment,
  version: number,
  topics: GroupTopics,
): Uint8Array {
  const assignedPartitions: { topic: string; partitions: number[] }[] = [];
  for (const [topicId, partitions] of assignment) {
    const topic = topics.nameOf(topicId);
    if (topic !== null) assignedPartitions.push({ topic, partitions: [...partitions] });
  }
  const out = new Writer();
  out.int16(version);
  encodeConsumerProtocolAssignment(out, version, { assignedPartitions, userData: null });
  return out.copyBytes();
}

/**
 * The partition of `__consumer_offsets` that a group belongs to: Kafka's rule, so that tools that read
 * the topic find the group.
 *
 * @module
 */

import { assert } from "../base/assert.ts";

/** The hash of a text as the Java platform defines it: over UTF-16 units, in 32 bits, signed. */
export function javaStringHash(text: string): number {
  let hash = 0;
  for (let i = 0; i < text.length; i++) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) | 0;
  return hash;
}

/**
 * The partition of a group.
 *
 * @param partitionCount partitions of `__consumer_offsets`
 */
export function groupPartition(groupId: string, partitionCount: number): number {
  assert(partitionCount > 0, "the offsets topic has no partition");
  const hash = javaStringHash(groupId);
  // The smallest int has no positive counterpart; Kafka takes 0 for it.
  return hash === -0x8000_0000 ? 0 : Math.abs(hash) % partitionCount;
}

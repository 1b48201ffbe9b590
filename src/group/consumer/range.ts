/**
 * The `range` assignor: each topic is cut into runs of neighbouring partitions, one per member that reads it.
 *
 * Members stand in the same order for every topic, static ones first, and the first ones get one partition more where it
 * does not come out even. A member therefore has the same partition numbers of all topics with as many partitions and
 * the same readers, so that what belongs together by key can be joined.
 *
 * @module
 */

import { type Assigned, type AssignorInput, inOrder } from "./assignor.ts";

export function assignRanges({ members, topics }: AssignorInput): Assigned {
  const ordered = inOrder(members);
  const result = new Map(ordered.map(({ memberId }) => [memberId, new Map<string, number[]>()]));
  for (const [topicId, { partitionCount }] of topics) {
    const readers = ordered.filter(({ topicIds }) => topicIds.has(topicId));
    if (readers.length === 0) continue;
    const share = Math.floor(partitionCount / readers.length);
    const more = partitionCount % readers.length;
    let next = 0;
    for (const [at, { memberId }] of readers.entries()) {
      const count = at < more ? share + 1 : share;
      if (count === 0) break;
      const first = next;
      result.get(memberId)!.set(topicId, Array.from({ length: count }, (_, i) => first + i));
      next += count;
    }
  }
  return result;
}

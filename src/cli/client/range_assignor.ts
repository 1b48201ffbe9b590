/**
 * Kafka's range assignor: topic by topic, each subscriber gets a run of neighbouring partitions, the
 * first ones one more where it does not come out even. All members must compute the same, so members
 * are taken in the order of their ids.
 *
 * @module
 */

import type { TopicPartition } from "./groups.ts";

export interface Subscriber {
  readonly memberId: string;
  readonly topics: readonly string[];
}

/** Partitions of every member, by member id. */
export function assignRange(
  subscribers: readonly Subscriber[],
  partitionCounts: ReadonlyMap<string, number>,
): Map<string, TopicPartition[]> {
  const assignment = new Map<string, TopicPartition[]>(
    subscribers.map(({ memberId }) => [memberId, []]),
  );
  const topics = [...new Set(subscribers.flatMap((one) => one.topics))].sort();
  for (const topic of topics) {
    const readers = subscribers
      .filter((one) => one.topics.includes(topic))
      .map((one) => one.memberId)
      .sort();
    const count = partitionCounts.get(topic) ?? 0;
    const share = Math.floor(count / readers.length);
    const extra = count % readers.length;
    let partition = 0;
    readers.forEach((memberId, at) => {
      for (let left = share + (at < extra ? 1 : 0); left > 0; left--) {
        assignment.get(memberId)!.push({ topic, partition: partition++ });
      }
    });
  }
  return assignment;
}

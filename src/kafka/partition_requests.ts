/**
 * Requests about partitions that many shards own: cutting them up, and putting the answers together.
 *
 * A shard is given the partitions that it owns, topic by topic; an unknown partition is answered
 * by the shard that was asked. The merged answer is in the order of the request, whichever shard
 * answered first.
 *
 * @module
 */

import type { TopicImage } from "../cluster/image.ts";
import { ErrorCode } from "../wire/errors.ts";
import { AnswerQueues } from "./answer_queues.ts";
import { type Partition, refusalOf } from "./partition.ts";
import type { Services } from "./services.ts";

/** A topic of a request, in terms that all these APIs share. */
export interface TopicPart<Item> {
  readonly name: string;
  readonly partitions: readonly Item[];
}

/**
 * Each topic once, with all its partitions in the order of the request; topics without any are left out.
 * Kafka's brokers answer so where they look at partitions one by one.
 */
export function foldTopics<Item>(
  topics: readonly TopicPart<Item>[],
): { name: string; partitions: Item[] }[] {
  const folded = new Map<string, Item[]>();
  for (const { name, partitions } of topics) {
    if (partitions.length === 0) continue;
    const known = folded.get(name);
    if (known === undefined) folded.set(name, [...partitions]);
    else known.push(...partitions);
  }
  return [...folded].map(([name, partitions]) => ({ name, partitions }));
}

/** One item per partition: of those that name it, the last. */
export function lastOfEach<Item>(
  partitions: readonly Item[],
  indexOf: (item: Item) => number,
): Item[] {
  return [...new Map(partitions.map((item) => [indexOf(item), item])).values()];
}

/** The topics of each shard that owns some of their partitions. */
export function splitTopics<Item>(
  services: Services,
  topics: readonly TopicPart<Item>[],
  indexOf: (item: Item) => number,
): Map<number, { name: string; partitions: Item[] }[]> {
  const parts = new Map<number, { name: string; partitions: Item[] }[]>();
  for (const { name, partitions } of topics) {
    const topic = services.image.topicByName(name);
    for (const item of partitions) {
      const shard = shardOf(services, topic, indexOf(item));
      let part = parts.get(shard);
      if (part === undefined) parts.set(shard, part = []);
      const last = part.at(-1);
      if (last !== undefined && last.name === name) last.partitions.push(item);
      else part.push({ name, partitions: [item] });
    }
  }
  return parts;
}

/** The topics' results in the order of the request; each result is taken once. */
export function mergeTopics<Item, Result>(
  topics: readonly TopicPart<Item>[],
  answers: Iterable<TopicPart<Result>>,
  indexes: { of(item: Item): number; in(result: Result): number },
): { name: string; partitions: Result[] }[] {
  const results = new AnswerQueues<Result>();
  for (const { name, partitions } of answers) {
    for (const result of partitions) results.add(`${name}/${indexes.in(result)}`, result);
  }
  return topics.map(({ name, partitions }) => ({
    name,
    partitions: partitions.flatMap((item) => {
      const result = results.take(`${name}/${indexes.of(item)}`);
      return result === undefined ? [] : [result];
    }),
  }));
}

/** A partition that this shard owns and serves, or the error that says why not. */
export type FoundPartition =
  | { readonly partition: Partition; readonly error: typeof ErrorCode.NONE }
  | { readonly partition: null; readonly error: ErrorCode };

/**
 * Finds the partition that a client means.
 *
 * @param currentLeaderEpoch the epoch that the client believes in, -1 for none
 */
export function findPartition(
  services: Services,
  topicName: string,
  index: number,
  currentLeaderEpoch: number,
): FoundPartition {
  const image = services.image.topicByName(topicName)?.partitions[index];
  if (image === undefined) return refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION);
  const partition = services.partitions.byGroup(image.groupId);
  if (partition === undefined) return refused(ErrorCode.NOT_LEADER_OR_FOLLOWER);
  const error = refusalOf(partition, currentLeaderEpoch);
  return error === ErrorCode.NONE ? { partition, error } : refused(error);
}

function refused(error: ErrorCode): FoundPartition {
  return { partition: null, error };
}

function shardOf(services: Services, topic: TopicImage | undefined, index: number): number {
  const partition = topic?.partitions[index];
  return partition === undefined ? services.shard : services.shardOfGroup(partition.groupId);
}

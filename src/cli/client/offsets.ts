/**
 * Start and end offsets of partitions, and offsets by time.
 *
 * @module
 */

import { LIST_OFFSETS } from "../../wire/generated/apis.ts";
import {
  newListOffsetsPartition,
  newListOffsetsRequest,
  newListOffsetsTopic,
} from "../../wire/generated/list_offsets_request.ts";
import type { Cluster } from "./cluster.ts";
import { brokerRefusal } from "./outcome.ts";

/** Instead of a time: the end of the log (after the last committed record). */
export const AT_END = -1;
/** Instead of a time: the first offset that is still there. */
export const AT_START = -2;

const READ_UNCOMMITTED = 0;
const READ_COMMITTED = 1;

export interface PartitionTime {
  readonly topic: string;
  readonly partition: number;
  /** {@linkcode AT_START}, {@linkcode AT_END}, or milliseconds since the epoch. */
  readonly time: number;
}

export interface PartitionOffset {
  readonly topic: string;
  readonly partition: number;
  /** -1 where no record is as young as the time asked for. */
  readonly offset: number;
}

/**
 * Asks the leaders; the answers come in the order of `wanted`.
 *
 * @param isReadCommitted the end is that of a reader who is shown no open transaction: the last stable offset
 */
export async function listOffsets(
  cluster: Cluster,
  wanted: readonly PartitionTime[],
  isReadCommitted = false,
): Promise<PartitionOffset[]> {
  const found = new Map<string, number>();
  await cluster.retrying(async () => {
    for (const [leader, items] of await cluster.byLeader(wanted)) {
      const connection = await cluster.node(leader);
      const topics = Map.groupBy(items, (item) => item.topic);
      const request = newListOffsetsRequest({
        replicaId: -1,
        isolationLevel: isReadCommitted ? READ_COMMITTED : READ_UNCOMMITTED,
        topics: [...topics].map(([name, partitions]) =>
          newListOffsetsTopic({
            name,
            partitions: partitions.map(({ partition, time }) =>
              newListOffsetsPartition({ partitionIndex: partition, timestamp: time })
            ),
          })
        ),
      });
      const response = await connection.call(LIST_OFFSETS, request, { maxVersion: 9 });
      for (const topic of response.topics) {
        for (const one of topic.partitions) {
          if (one.errorCode !== 0) {
            throw brokerRefusal(
              `list offsets of ${topic.name}/${one.partitionIndex}`,
              one.errorCode,
            );
          }
          found.set(`${topic.name}/${one.partitionIndex}`, one.offset);
        }
      }
    }
  });
  return wanted.map(({ topic, partition }) => ({
    topic,
    partition,
    offset: found.get(`${topic}/${partition}`) ?? -1,
  }));
}

/** First offset and end of every partition named; keys are `topic/partition`. */
export async function listRanges(
  cluster: Cluster,
  partitions: readonly { readonly topic: string; readonly partition: number }[],
): Promise<Map<string, { readonly start: number; readonly end: number }>> {
  if (partitions.length === 0) return new Map();
  const at = (time: number) => partitions.map((one) => ({ ...one, time }));
  const starts = await listOffsets(cluster, at(AT_START));
  const ends = await listOffsets(cluster, at(AT_END));
  return new Map(
    starts.map(({ topic, partition, offset }, index) => [
      `${topic}/${partition}`,
      { start: offset, end: ends[index]!.offset },
    ]),
  );
}

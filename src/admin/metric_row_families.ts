/**
 * The metrics of topics, partitions and groups, made of the rows that shards told.
 *
 * The lag of a group is found here: its coordinator knows what was committed, and each partition's shard where its records
 * end, or its leader on another node. While the end of one of its partitions is not known, the group's lag is not told at
 * all, because a part of it would be a wrong number.
 *
 * @module
 */

import {
  COMMITTED_OFFSET,
  GROUP_CONSUMERS,
  GROUP_LAG_MAX,
  GROUP_LAG_SUM,
  GROUP_TOPICS,
  LEADERSHIP_CHANGES,
  MAX_OFFSET,
  PARTITION_LEADER,
  PARTITION_TERM,
  RECORDS_FETCHED,
  RECORDS_PRODUCED,
  REQUEST_BYTES,
  START_OFFSET,
  TOPIC_PARTITIONS,
  TOPIC_REPLICAS,
  UNDER_REPLICATED_REPLICAS,
} from "../metrics/catalog.ts";
import { TRAFFIC_KINDS, TrafficKind } from "../metrics/traffic.ts";
import type { CollectedRows } from "../shard/metric_collector.ts";
import type { GroupRow, PartitionRow } from "../shard/metric_rows.ts";
import type { EndRow } from "../shard/remote_ends.ts";
import type { Families, Sample } from "./metrics_page.ts";

/** Redpanda's namespace of topics that clients see. */
const NAMESPACE = "kafka";
/** Shown for topics beyond those that are counted one by one; no topic has such a name. */
const OTHERS = "(others)";

/** The metrics in the order of the page; shards are summed up where it is the public one. */
export function rowFamilies({ shards }: CollectedRows, isPublic: boolean): Families {
  const parts = shards.flat();
  const partitions = parts.flatMap((part) => part.partitions ?? []);
  const groups = parts.flatMap((part) => part.groups ?? []);
  const shapes = parts.flatMap((part) => part.shapes ?? []);
  const traffic = isPublic ? summedTraffic(shards) : trafficByShard(shards);
  const lags = lagsOf(groups, partitions, parts.flatMap((part) => part.ends ?? []));
  const known = groups.filter((_, at) => lags[at] !== null);
  const knownLags = lags.filter((lag) => lag !== null);
  const count = (kind: TrafficKind): Sample[] =>
    traffic.map(({ topic, shard, values }) => [[NAMESPACE, topic, ...shard], values[kind]!]);
  const ofGroup = (of: readonly GroupRow[], value: (group: GroupRow, at: number) => number) =>
    of.map((group, at): Sample => [[group.group], value(group, at)]);
  return [
    [
      REQUEST_BYTES,
      traffic.flatMap(({ topic, shard, values }): Sample[] => [
        [[NAMESPACE, topic, "produce", ...shard], values[TrafficKind.PRODUCED_BYTES]!],
        [[NAMESPACE, topic, "consume", ...shard], values[TrafficKind.FETCHED_BYTES]!],
      ]),
    ],
    [RECORDS_PRODUCED, count(TrafficKind.PRODUCED_RECORDS)],
    [RECORDS_FETCHED, count(TrafficKind.FETCHED_RECORDS)],
    [LEADERSHIP_CHANGES, count(TrafficKind.LEADERSHIPS)],
    [TOPIC_PARTITIONS, shapes.map((one): Sample => [[NAMESPACE, one.topic], one.partitions])],
    [TOPIC_REPLICAS, shapes.map((one): Sample => [[NAMESPACE, one.topic], one.replicas])],
    [MAX_OFFSET, ofPartitions(partitions, ({ highWatermark }) => highWatermark)],
    [START_OFFSET, ofPartitions(partitions, ({ startOffset }) => startOffset)],
    [PARTITION_LEADER, ofPartitions(partitions, ({ leads }) => leads ? 1 : 0)],
    [PARTITION_TERM, ofPartitions(partitions, ({ epoch }) => epoch)],
    [
      UNDER_REPLICATED_REPLICAS,
      ofPartitions(partitions.filter(({ leads }) => leads), ({ lagging }) => lagging),
    ],
    [COMMITTED_OFFSET, committedOffsets(groups)],
    [GROUP_CONSUMERS, ofGroup(groups, ({ members }) => members)],
    [GROUP_TOPICS, ofGroup(groups, ({ topics }) => topics)],
    [GROUP_LAG_SUM, ofGroup(known, (_, at) => knownLags[at]!.sum)],
    [GROUP_LAG_MAX, ofGroup(known, (_, at) => knownLags[at]!.max)],
  ];
}

/** What was counted of a topic, by one shard or by all. */
interface TopicTraffic {
  readonly topic: string;
  /** The value of the label of the shard; none: all of them. */
  readonly shard: readonly string[];
  readonly values: readonly number[];
}

function trafficByShard(shards: CollectedRows["shards"]): TopicTraffic[] {
  return shards.flatMap((parts, shard) =>
    parts.flatMap((part) => part.topics ?? []).map(({ topic, traffic }) => ({
      topic: topic === "" ? OTHERS : topic,
      shard: [String(shard)],
      values: traffic,
    }))
  );
}

function summedTraffic(shards: CollectedRows["shards"]): TopicTraffic[] {
  const sums = new Map<string, number[]>();
  for (const { topic, values } of trafficByShard(shards)) {
    const sum = sums.get(topic) ?? new Array<number>(TRAFFIC_KINDS).fill(0);
    sums.set(topic, sum.map((value, kind) => value + values[kind]!));
  }
  return [...sums].map(([topic, values]) => ({ topic, shard: [], values }));
}

function* ofPartitions(
  partitions: readonly PartitionRow[],
  value: (row: PartitionRow) => number,
): Generator<Sample> {
  for (const row of partitions) {
    yield [[NAMESPACE, row.topic, String(row.partition)], value(row)];
  }
}

function* committedOffsets(groups: readonly GroupRow[]): Generator<Sample> {
  for (const { group, offsets } of groups) {
    for (const { topic, partition, offset } of offsets) {
      yield [[group, topic, String(partition)], offset];
    }
  }
}

interface Lag {
  readonly sum: number;
  readonly max: number;
}

/** The lag of each group; null where the end of a partition is not known. */
function lagsOf(
  groups: readonly GroupRow[],
  partitions: readonly PartitionRow[],
  remote: readonly EndRow[],
): (Lag | null)[] {
  const ends = new Map<string, number>();
  for (const { topic, partition, offset } of remote) ends.set(`${topic}/${partition}`, offset);
  for (const { topic, partition, highWatermark } of partitions) {
    ends.set(`${topic}/${partition}`, highWatermark);
  }
  return groups.map(({ offsets, isWhole }) => {
    if (!isWhole) return null;
    let sum = 0;
    let max = 0;
    for (const { topic, partition, offset } of offsets) {
      const end = ends.get(`${topic}/${partition}`);
      if (end === undefined) return null;
      const lag = Math.max(0, end - offset);
      sum += lag;
      max = Math.max(max, lag);
    }
    return { sum, max };
  });
}

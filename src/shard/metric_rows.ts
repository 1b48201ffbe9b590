/**
 * What a shard tells of topics, partitions, groups and the cluster when somebody asks for metrics.
 *
 * The rows go to the control thread in parts, a few hundred in a turn, so that 10,000 partitions hold up nobody. What is
 * beyond the limits of a page (`metrics/limits.ts`) is not told.
 *
 * @module
 */

import type { ImageListener } from "../cluster/image.ts";
import { CONTROLLER_GROUP_ID } from "../cluster/records.ts";
import type { Task } from "../io/task.ts";
import { CONTROLLER_SHARD } from "../kafka/handler.ts";
import type { Partition } from "../kafka/partition.ts";
import { Slot } from "../metrics/catalog.ts";
import {
  GROUP_OFFSETS_SHOWN_MAX,
  GROUPS_SHOWN_MAX,
  PARTITIONS_SHOWN_MAX,
  ROWS_PER_TURN,
  TOPICS_SHOWN_MAX,
} from "../metrics/limits.ts";
import { OTHERS_ROW, type Traffic, TRAFFIC_KINDS, type TrafficKind } from "../metrics/traffic.ts";
import { unreachableNodes } from "./cluster_view.ts";
import { type EndRow, RemoteEnds } from "./remote_ends.ts";
import type { Shard } from "./shard.ts";

/** What goes in and out of a topic here. */
export interface TopicRow {
  readonly topic: string;
  /** By `TrafficKind`. */
  readonly traffic: readonly number[];
}

/** A replica of this node. */
export interface PartitionRow {
  readonly topic: string;
  readonly partition: number;
  readonly highWatermark: number;
  readonly startOffset: number;
  readonly leads: boolean;
  readonly epoch: number;
  /** Replicas that do not keep up; of use where this node leads. */
  readonly lagging: number;
}

export interface CommittedRow {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/** A group that this shard coordinates. */
export interface GroupRow {
  readonly group: string;
  readonly members: number;
  readonly topics: number;
  readonly offsets: readonly CommittedRow[];
  /** No offset was left out. */
  readonly isWhole: boolean;
}

/** The cluster, as its controller knows it. */
export interface ClusterRow {
  readonly brokers: number;
  readonly unreachable: number;
  readonly topics: number;
  readonly partitions: number;
  readonly unavailable: number;
}

/** How a topic is laid out. */
export interface TopicShape {
  readonly topic: string;
  readonly partitions: number;
  readonly replicas: number;
}

/** A part of what a shard tells. */
export interface MetricRows {
  readonly topics?: readonly TopicRow[];
  readonly partitions?: readonly PartitionRow[];
  readonly groups?: readonly GroupRow[];
  /** Ends of partitions of groups that this node has no replica of. */
  readonly ends?: readonly EndRow[];
  readonly shapes?: readonly TopicShape[];
  /** Told by the controller alone. */
  readonly cluster?: ClusterRow;
  readonly isController?: boolean;
  readonly disk?: { readonly freeBytes: number; readonly totalBytes: number };
  /** What was left out. */
  readonly leftOff?: Readonly<Record<"topics" | "partitions" | "groups" | "offsets", number>>;
}

/** Gives topics their rows in a shard's count of traffic. */
export function trafficRows(traffic: Traffic): ImageListener {
  return {
    topicAdded: (topic) => topic.trafficRow = traffic.open(),
    topicRemoved: (topic) => {
      traffic.close(topic.trafficRow);
      // The row may soon belong to another topic; whoever still holds this one must not count there.
      topic.trafficRow = OTHERS_ROW;
    },
  };
}

/** Tells rows in parts by `tell`; the result is the last part. */
export function* collectMetrics(shard: Shard, tell: (rows: MetricRows) => void): Task<MetricRows> {
  const topics = yield* inSlices(shard, topicRows(shard), TOPICS_SHOWN_MAX, (rows) => {
    tell({ topics: rows });
  });
  const partitions = yield* collectPartitions(shard, (rows) => tell({ partitions: rows }));
  const offsets = { left: GROUP_OFFSETS_SHOWN_MAX, off: 0 };
  const remote = new RemoteEnds(shard);
  const groups = yield* inSlices(shard, groupRows(shard, offsets), GROUPS_SHOWN_MAX, (rows) => {
    remote.note(rows);
    tell({ groups: rows });
  });
  const ends = yield* remote.ask();
  const leftOff = { topics, partitions, groups, offsets: offsets.off };
  const { disk, mailboxes } = shard.options;
  if (mailboxes.shard !== CONTROLLER_SHARD) return { leftOff, ends };
  const node = { freeBytes: disk.freeBytes(), totalBytes: disk.totalBytes() };
  const isController = shard.controller?.active === true;
  if (!isController) return { leftOff, ends, disk: node, isController };
  yield* inSlices(shard, topicShapes(shard), TOPICS_SHOWN_MAX, (shapes) => tell({ shapes }));
  const cluster = yield* clusterRow(shard);
  return { leftOff, ends, disk: node, isController, cluster };
}

/** Draws rows, some in each turn, up to `max`; returns how many more there were. */
function* inSlices<Row>(
  shard: Shard,
  rows: Iterable<Row>,
  max: number,
  tell: (rows: Row[]) => void,
): Task<number> {
  let slice: Row[] = [];
  let count = 0;
  let beyond = 0;
  for (const row of rows) {
    if (count === max) {
      beyond++;
      continue;
    }
    count++;
    slice.push(row);
    if (slice.length < ROWS_PER_TURN) continue;
    tell(slice);
    slice = [];
    yield* shard.later.next();
  }
  if (slice.length > 0) tell(slice);
  return beyond;
}

function* topicRows({ image, recorder: { traffic } }: Shard): Iterable<TopicRow> {
  const rowOf = (row: number): number[] =>
    Array.from({ length: TRAFFIC_KINDS }, (_, kind) => traffic.get(row, kind as TrafficKind));
  const others = rowOf(OTHERS_ROW);
  if (others.some((count) => count > 0)) yield { topic: "", traffic: others };
  for (const { name, trafficRow } of image.topics.values()) {
    if (trafficRow !== OTHERS_ROW) yield { topic: name, traffic: rowOf(trafficRow) };
  }
}

/** Rows of partitions; counts on the way how many are as they should be, and records that at the end. */
function* collectPartitions(shard: Shard, tell: (rows: PartitionRow[]) => void): Task<number> {
  const counts = { leading: 0, groups: 0, leaderless: 0, offline: 0, lagging: 0, belowMin: 0 };
  const rows = partitionRows(shard, counts);
  const beyond = yield* inSlices(shard, rows, PARTITIONS_SHOWN_MAX, tell);
  const { recorder } = shard;
  recorder.set(Slot.LEADING, counts.leading);
  recorder.set(Slot.GROUPS, counts.groups);
  recorder.set(Slot.LEADERLESS, counts.leaderless);
  recorder.set(Slot.OFFLINE, counts.offline);
  recorder.set(Slot.UNDER_REPLICATED, counts.lagging);
  recorder.set(Slot.BELOW_MINIMUM, counts.belowMin);
  return beyond;
}

function* partitionRows(
  { partitions }: Shard,
  counts: {
    leading: number;
    groups: number;
    leaderless: number;
    offline: number;
    lagging: number;
    belowMin: number;
  },
): Iterable<PartitionRow> {
  for (const partition of partitions.all()) {
    const { image, replica } = partition;
    counts.groups++;
    if (replica.leading) counts.leading++;
    if (image.groupId === CONTROLLER_GROUP_ID) continue;
    const lagging = laggingReplicas(partition);
    if (lagging > 0) counts.lagging++;
    if (replica.leading && partition.lacksReplicas) counts.belowMin++;
    if (replica.readOnly) counts.offline++;
    else if (!replica.leading && replica.leaderId < 0) counts.leaderless++;
    yield {
      topic: image.topic.name,
      partition: image.index,
      highWatermark: partition.highWatermark,
      startOffset: partition.startOffset,
      leads: replica.leading,
      epoch: replica.term,
      lagging,
    };
  }
}

/** Of a partition that this node leads. */
function laggingReplicas({ image, replica }: Partition): number {
  if (!replica.leading) return 0;
  const wanted = Math.max(image.replicas.length, replica.voterCount);
  return Math.max(0, wanted - replica.inSyncCount);
}

function* groupRows(
  { groups }: Shard,
  offsets: { left: number; off: number },
): Iterable<GroupRow> {
  for (const coordinator of groups.all()) {
    // While it loads it knows a part.
    if (!coordinator.active) continue;
    for (const group of coordinator.table.groups.values()) {
      const committed: CommittedRow[] = [];
      for (const [topic, partitions] of group.offsets.topics()) {
        for (const [partition, { offset }] of partitions) {
          if (offsets.left > 0) committed.push({ topic, partition, offset });
          else offsets.off++;
          offsets.left--;
        }
      }
      yield {
        group: group.groupId,
        members: group.memberCount,
        topics: group.offsets.topics().size,
        offsets: committed,
        isWhole: committed.length === group.offsets.size,
      };
    }
  }
}

function* topicShapes({ image }: Shard): Iterable<TopicShape> {
  for (const { name, partitions } of image.topics.values()) {
    const replicas = partitions[0]?.replicas.length ?? 0;
    yield { topic: name, partitions: partitions.length, replicas };
  }
}

function* clusterRow(shard: Shard): Task<ClusterRow> {
  const { image, leaders, live } = shard;
  let unavailable = 0;
  let looked = 0;
  for (const topic of [...image.topics.values()]) {
    for (const partition of topic.partitions) {
      const leader = leaders.leaderOf(partition);
      if (leader < 0 || !live.isAlive(leader)) unavailable++;
      if (++looked % ROWS_PER_TURN === 0) yield* shard.later.next();
    }
  }
  return {
    brokers: image.nodes.size,
    unreachable: unreachableNodes(shard).length,
    topics: image.topics.size,
    partitions: image.partitionCount,
    unavailable,
  };
}

/**
 * The ends of partitions that groups of this shard read, and of which this node has no replica: their leaders are asked when
 * somebody asks for metrics.
 *
 * A leader that does not answer within a moment, or whose program does not know this question, leaves its partitions out.
 *
 * @module
 */

import { all, type Task } from "../io/task.ts";
import { ErrorCode } from "../wire/errors.ts";
import { LIST_OFFSETS } from "../wire/generated/apis.ts";
import {
  type ListOffsetsRequest,
  newListOffsetsPartition,
  newListOffsetsRequest,
  newListOffsetsTopic,
} from "../wire/generated/list_offsets_request.ts";
import type { CommittedRow, GroupRow } from "./metric_rows.ts";
import { askNode } from "./node_requests.ts";
import type { Shard } from "./shard.ts";

/** A version that every program knows which serves this question at all. */
const VERSION = 7;
/** Kafka's word for the end of a partition. */
const LATEST = -1;
/** A leader has so long to answer (ms). */
const WAIT_MS = 1_000;
/** Partitions in one request, and requests under way. */
const PARTITIONS_PER_REQUEST = 500;
const REQUESTS_AT_ONCE = 16;

/** A partition and the offset of its end. */
export type EndRow = CommittedRow;

/** Partitions of one node, by topic. */
type Asked = Map<string, number[]>;

export class RemoteEnds {
  readonly #shard: Shard;
  readonly #wanted = new Map<string, { readonly topic: string; readonly partition: number }>();

  constructor(shard: Shard) {
    this.#shard = shard;
  }

  /** Groups whose partitions' ends have to be known. */
  note(groups: readonly GroupRow[]): void {
    const { image, options: { nodeId } } = this.#shard;
    for (const { offsets } of groups) {
      for (const { topic, partition } of offsets) {
        const replicas = image.topicByName(topic)?.partitions[partition]?.replicas;
        if (replicas === undefined || replicas.includes(nodeId)) continue;
        this.#wanted.set(`${topic}/${partition}`, { topic, partition });
      }
    }
  }

  /** Asks the leaders. */
  *ask(): Task<EndRow[]> {
    const requests = [...this.#requests()];
    const tasks = requests.map(([node, request]) => this.#askOne(node, request));
    return (yield* all(tasks, REQUESTS_AT_ONCE)).flat();
  }

  *#askOne(node: number, request: ListOffsetsRequest): Task<EndRow[]> {
    const response = yield* askNode(this.#shard, node, LIST_OFFSETS, VERSION, request, WAIT_MS);
    const ends: EndRow[] = [];
    for (const { name, partitions } of response?.topics ?? []) {
      for (const { partitionIndex, errorCode, offset } of partitions) {
        if (errorCode !== ErrorCode.NONE) continue;
        ends.push({ topic: name, partition: partitionIndex, offset });
      }
    }
    return ends;
  }

  *#requests(): Iterable<[number, ListOffsetsRequest]> {
    const { image, leaders } = this.#shard;
    const byNode = new Map<number, { asked: Asked; count: number }>();
    for (const { topic, partition } of this.#wanted.values()) {
      const place = image.topicByName(topic)?.partitions[partition];
      const leader = place === undefined ? -1 : leaders.leaderOf(place);
      if (leader < 0) continue;
      let one = byNode.get(leader);
      if (one === undefined) byNode.set(leader, one = { asked: new Map(), count: 0 });
      const partitions = one.asked.get(topic);
      if (partitions === undefined) one.asked.set(topic, [partition]);
      else partitions.push(partition);
      if (++one.count < PARTITIONS_PER_REQUEST) continue;
      yield [leader, requestOf(one.asked)];
      byNode.delete(leader);
    }
    for (const [leader, { asked }] of byNode) yield [leader, requestOf(asked)];
  }
}

function requestOf(asked: Asked): ListOffsetsRequest {
  return newListOffsetsRequest({
    replicaId: -1,
    topics: [...asked].map(([name, partitions]) =>
      newListOffsetsTopic({
        name,
        partitions: partitions.map((partitionIndex) =>
          newListOffsetsPartition({ partitionIndex, timestamp: LATEST })
        ),
      })
    ),
  });
}

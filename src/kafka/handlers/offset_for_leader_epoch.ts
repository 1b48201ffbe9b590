/**
 * OffsetForLeaderEpoch (key 23), versions 0 to 4: where an epoch ends (KIP-320).
 *
 * - Answers the greatest epoch that is not greater than the one asked for, with the offset where it ends; the
 *   log's end for the current one; -1 and -1 when there is none.
 * - v1: the answer names the epoch. v2: the client's leader epoch fences. Runs on the shards that own the partitions.
 *
 * Gaps: replicas do not use this API, so the replica id of v3 is ignored.
 *
 * @module
 */

import { ErrorCode } from "../../wire/errors.ts";
import { OFFSET_FOR_LEADER_EPOCH } from "../../wire/generated/apis.ts";
import type {
  OffsetForLeaderEpochRequest,
  OffsetForLeaderPartition,
} from "../../wire/generated/offset_for_leader_epoch_request.ts";
import {
  type EpochEndOffset,
  newEpochEndOffset,
  newOffsetForLeaderEpochResponse,
  type OffsetForLeaderEpochResponse,
} from "../../wire/generated/offset_for_leader_epoch_response.ts";
import type { Handler } from "../handler.ts";
import { findPartition, mergeTopics, splitTopics } from "../partition_requests.ts";
import type { Services } from "../services.ts";

interface Named<Item> {
  readonly topic: string;
  readonly partitions: Item[];
}

export const OFFSET_FOR_LEADER_EPOCH_HANDLER: Handler<
  OffsetForLeaderEpochRequest,
  OffsetForLeaderEpochResponse
> = {
  api: OFFSET_FOR_LEADER_EPOCH,
  minVersion: 0,
  maxVersion: 4,
  route: {
    kind: "split",
    split(request, services) {
      const parts = splitTopics(services, request.topics.map(toPart), (item) => item.partition);
      return new Map(
        [...parts].map(([shard, topics]) => [shard, { ...request, topics: topics.map(fromPart) }]),
      );
    },
    merge(request, responses) {
      const answers = responses.flatMap((response) => response.topics.map(toPart));
      const topics = mergeTopics(request.topics.map(toPart), answers, {
        of: (item) => item.partition,
        in: (result) => result.partition,
      });
      return newOffsetForLeaderEpochResponse({ topics: topics.map(fromPart) });
    },
  },
  // deno-lint-ignore require-yield -- epochs are in memory.
  *handle({ services }, request) {
    const topics = request.topics.map(({ topic, partitions }) => ({
      topic,
      partitions: partitions.map((item) => epochEnd(services, topic, item)),
    }));
    return newOffsetForLeaderEpochResponse({ topics });
  },
};

function epochEnd(
  services: Services,
  topic: string,
  item: OffsetForLeaderPartition,
): EpochEndOffset {
  const found = findPartition(services, topic, item.partition, item.currentLeaderEpoch);
  if (found.partition === null) {
    return newEpochEndOffset({ partition: item.partition, errorCode: found.error });
  }
  const end = { term: -1, endOffset: -1 };
  found.partition.log.endOffsetForEpoch(item.leaderEpoch, end);
  return newEpochEndOffset({
    partition: item.partition,
    errorCode: ErrorCode.NONE,
    leaderEpoch: end.term,
    endOffset: end.endOffset,
  });
}

function toPart<Item>({ topic, partitions }: Named<Item>): { name: string; partitions: Item[] } {
  return { name: topic, partitions };
}

function fromPart<Item>(part: { name: string; partitions: Item[] }): Named<Item> {
  return { topic: part.name, partitions: part.partitions };
}

/**
 * DescribeProducers (key 61), version 0: who has written to a partition with sequence numbers.
 *
 * - Answers every producer that the partition remembers, in the order of their ids. The coordinator epoch is that of its last
 *   marker; -1: there was none.
 * - A follower answers too, from what it has, as in Kafka.
 * - Runs on the shards that own the partitions.
 *
 * @module
 */

import { topicNameProblem } from "../../cluster/topic_names.ts";
import { ErrorCode, errorInfo } from "../../wire/errors.ts";
import { DESCRIBE_PRODUCERS } from "../../wire/generated/apis.ts";
import type { DescribeProducersRequest } from "../../wire/generated/describe_producers_request.ts";
import {
  type DescribeProducersResponse,
  newDescribeProducersResponse,
  newPartitionResponse,
  type PartitionResponse,
} from "../../wire/generated/describe_producers_response.ts";
import type { Handler } from "../handler.ts";
import { findPartition, mergeTopics, splitTopics } from "../partition_requests.ts";
import type { Services } from "../services.ts";
import { Once } from "./once.ts";

export const DESCRIBE_PRODUCERS_HANDLER: Handler<
  DescribeProducersRequest,
  DescribeProducersResponse
> = {
  api: DESCRIBE_PRODUCERS,
  minVersion: 0,
  maxVersion: 0,
  route: {
    kind: "split",
    split(request, services) {
      const parts = splitTopics(services, request.topics.map(toPart), (index) => index);
      return new Map(
        [...parts].map(([shard, topics]) => [shard, {
          topics: topics.map(({ name, partitions }) => ({ name, partitionIndexes: partitions })),
        }]),
      );
    },
    merge(request, responses) {
      const answers = responses.flatMap((response) => response.topics);
      const topics = mergeTopics(request.topics.map(toPart), answers, {
        of: (index) => index,
        in: (result) => result.partitionIndex,
      });
      return newDescribeProducersResponse({ topics });
    },
  },
  // deno-lint-ignore require-yield -- producers are in memory.
  *handle({ services }, request) {
    const described = new Once<PartitionResponse>();
    const topics = request.topics.map(({ name, partitionIndexes }) => ({
      name,
      partitions: partitionIndexes.map((index) =>
        described.of(`${name}/${index}`, () => describe(services, name, index))
      ),
    }));
    return newDescribeProducersResponse({ topics });
  },
};

function describe(services: Services, name: string, partitionIndex: number): PartitionResponse {
  const { partition: led, error } = findPartition(services, name, partitionIndex, -1);
  const groupId = services.image.topicByName(name)?.partitions[partitionIndex]?.groupId ?? -1;
  const partition = led ?? services.partitions.byGroup(groupId);
  if (partition === undefined) {
    return newPartitionResponse({ partitionIndex, ...refusalOf(services, name, error) });
  }
  const activeProducers = [...partition.log.producers.summaries()].map((producer) => ({
    producerId: producer.producerId,
    producerEpoch: producer.epoch,
    lastSequence: producer.lastSequence,
    lastTimestamp: producer.lastTimestampMs,
    coordinatorEpoch: producer.coordinatorEpoch,
    currentTxnStartOffset: producer.transactionFirstOffset,
  })).sort((a, b) => a.producerId - b.producerId);
  return newPartitionResponse({ partitionIndex, activeProducers });
}

function refusalOf(
  services: Services,
  name: string,
  errorCode: ErrorCode,
): { errorCode: ErrorCode; errorMessage: string | null } {
  const nameProblem = topicNameProblem(name);
  if (nameProblem !== null) {
    return { errorCode: ErrorCode.INVALID_TOPIC_EXCEPTION, errorMessage: nameProblem };
  }
  const isKnown = services.image.topicByName(name) !== undefined;
  return { errorCode, errorMessage: isKnown ? null : errorInfo(errorCode).message };
}

function toPart(
  { name, partitionIndexes }: { readonly name: string; readonly partitionIndexes: number[] },
): { name: string; partitions: number[] } {
  return { name, partitions: partitionIndexes };
}

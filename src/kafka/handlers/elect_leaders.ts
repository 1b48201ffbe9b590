/**
 * ElectLeaders (key 43), versions 0 to 2: asks for the preferred leader, or for any leader at all.
 *
 * - The present leader hands leadership to the preferred replica, on whichever node it is; the answer waits until this
 *   node knows of the new leader, or until the request's timeout (REQUEST_TIMED_OUT).
 * - A partition that its preferred replica leads: ELECTION_NOT_NEEDED. One whose preferred replica cannot be reached or
 *   does not keep up: PREFERRED_LEADER_NOT_AVAILABLE. No list means all partitions, of which those that need no election
 *   are left out; their topics are named.
 * - An unclean election (type 1, v1) of a partition that has a leader: ELECTION_NOT_NEEDED. Of one that has none:
 *   ELIGIBLE_LEADERS_NOT_AVAILABLE. A Raft group elects a leader by itself as soon as a majority can be reached, and
 *   never one that lacks committed records.
 *
 * @module
 */

import type { PartitionImage } from "../../cluster/image.ts";
import { all, type Task } from "../../io/task.ts";
import { ErrorCode, errorInfo } from "../../wire/errors.ts";
import { ELECT_LEADERS } from "../../wire/generated/apis.ts";
import type {
  ElectLeadersRequest,
  TopicPartitions,
} from "../../wire/generated/elect_leaders_request.ts";
import {
  type ElectLeadersResponse,
  newElectLeadersResponse,
  type PartitionResult,
} from "../../wire/generated/elect_leaders_response.ts";
import type { Handler } from "../handler.ts";
import { mergeTopics, splitTopics, type TopicPart } from "../partition_requests.ts";
import type { Services } from "../services.ts";
import { reachableLeader } from "../topic_views.ts";

const PREFERRED = 0;
const UNCLEAN = 1;
/** Elections of one request that a shard has under way at once. */
const ELECTIONS_AT_ONCE = 16;
/** The longest that a request waits (ms). */
const WAIT_MAX_MS = 60_000;

export const ELECT_LEADERS_HANDLER: Handler<ElectLeadersRequest, ElectLeadersResponse> = {
  api: ELECT_LEADERS,
  minVersion: 0,
  maxVersion: 2,
  route: {
    kind: "split",
    split(request, services) {
      if (!isServed(request)) return new Map();
      const asked = request.topicPartitions?.map(toPart) ??
        [...services.image.topics.values()].map(({ name, partitions }) => ({
          name,
          partitions: partitions.map(({ index }) => index),
        }));
      const parts = splitTopics(services, asked, (index) => index);
      return new Map(
        [...parts].map(([shard, topics]) => [shard, {
          ...request,
          topicPartitions: topics.map(({ name: topic, partitions }) => ({ topic, partitions })),
        }]),
      );
    },
    merge(request, responses) {
      const { electionType, topicPartitions } = request;
      if (!isServed(request)) {
        // As in Kafka no list at all is looked at before the type of the election.
        if (topicPartitions?.length === 0) return newElectLeadersResponse();
        return refuseAll(electionType, topicPartitions ?? []);
      }
      const answers = responses.flatMap(({ replicaElectionResults }) =>
        replicaElectionResults.map(({ topic, partitionResult }) => ({
          name: topic,
          partitions: partitionResult,
        }))
      );
      const topics = topicPartitions === null
        ? needed(answers)
        : mergeTopics(topicPartitions.map(toPart), answers, {
          of: (index) => index,
          in: (result) => result.partitionId,
        });
      return newElectLeadersResponse({
        replicaElectionResults: topics.map(({ name, partitions }) => ({
          topic: name,
          partitionResult: partitions,
        })),
      });
    },
  },
  *handle({ services }, { electionType, topicPartitions, timeoutMs }) {
    const waitMs = Math.max(0, Math.min(timeoutMs, WAIT_MAX_MS));
    const replicaElectionResults = [];
    for (const { topic, partitions } of topicPartitions ?? []) {
      const elections = partitions.map((index) =>
        elect(services, topic, index, electionType, waitMs)
      );
      const partitionResult = yield* all(elections, ELECTIONS_AT_ONCE);
      replicaElectionResults.push({ topic, partitionResult });
    }
    return newElectLeadersResponse({ replicaElectionResults });
  },
};

function isServed({ electionType, topicPartitions }: ElectLeadersRequest): boolean {
  return topicPartitions?.length !== 0 &&
    (electionType === PREFERRED || electionType === UNCLEAN);
}

/** Of all partitions those that needed an election; all topics are named. */
function needed(answers: readonly TopicPart<PartitionResult>[]) {
  const topics = new Map<string, PartitionResult[]>();
  for (const { name, partitions } of answers) {
    const results = topics.get(name) ?? [];
    topics.set(name, results);
    results.push(
      ...partitions.filter(({ errorCode }) => errorCode !== ErrorCode.ELECTION_NOT_NEEDED),
    );
  }
  return [...topics].map(([name, partitions]) => ({
    name,
    partitions: partitions.sort((a, b) => a.partitionId - b.partitionId),
  }));
}

function* elect(
  services: Services,
  topic: string,
  index: number,
  electionType: number,
  waitMs: number,
): Task<PartitionResult> {
  const partition = services.image.topicByName(topic)?.partitions[index];
  const errorCode = yield* outcomeOf(services, partition, electionType, waitMs);
  const errorMessage = messageOf(services, topic, index, errorCode);
  return { partitionId: index, errorCode, errorMessage };
}

function* outcomeOf(
  services: Services,
  partition: PartitionImage | undefined,
  electionType: number,
  waitMs: number,
): Task<ErrorCode> {
  if (partition === undefined) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
  const leader = reachableLeader(services, partition);
  if (electionType === UNCLEAN) {
    return leader >= 0 ? ErrorCode.ELECTION_NOT_NEEDED : ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE;
  }
  const preferred = partition.replicas[0]!;
  if (leader === preferred) return ErrorCode.ELECTION_NOT_NEEDED;
  const isThere = preferred === services.nodeId || services.live.isAlive(preferred);
  if (leader < 0 || !isThere) return ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE;
  return yield* services.moveLeader(partition, preferred, waitMs);
}

function messageOf(
  { image }: Services,
  topic: string,
  index: number,
  errorCode: ErrorCode,
): string | null {
  if (errorCode === ErrorCode.NONE) return null;
  if (errorCode !== ErrorCode.UNKNOWN_TOPIC_OR_PARTITION) return errorInfo(errorCode).message;
  return image.topicByName(topic) === undefined
    ? `No such topic as ${topic}`
    : `No such partition as ${topic}-${index}`;
}

function refuseAll(
  electionType: number,
  asked: readonly TopicPartitions[],
): ElectLeadersResponse {
  const errorCode = ErrorCode.INVALID_REQUEST;
  const errorMessage = `Unknown election type ${electionType}`;
  return newElectLeadersResponse({
    errorCode,
    replicaElectionResults: asked.map(({ topic, partitions }) => ({
      topic,
      partitionResult: partitions.map((partitionId) => ({ partitionId, errorCode, errorMessage })),
    })),
  });
}

function toPart(
  { topic, partitions }: TopicPartitions,
): { name: string; partitions: number[] } {
  return { name: topic, partitions };
}

/**
 * ElectLeaders (key 43), versions 0 to 2: asks for the preferred leader, or for any leader at all.
 *
 * - A partition that its preferred replica leads: ELECTION_NOT_NEEDED. No list means all partitions, of
 *   which those that need no election are left out; their topics are named.
 * - An unclean election (type 1, v1) is never needed: a Raft group elects a leader by itself and never one
 *   that lacks committed records.
 *
 * Gaps: leadership is not moved to the preferred replica on request yet: PREFERRED_LEADER_NOT_AVAILABLE.
 *
 * @module
 */

import type { PartitionImage } from "../../cluster/image.ts";
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
import { type Handler, LOCAL } from "../handler.ts";
import type { Services } from "../services.ts";

const PREFERRED = 0;
const UNCLEAN = 1;

export const ELECT_LEADERS_HANDLER: Handler<ElectLeadersRequest, ElectLeadersResponse> = {
  api: ELECT_LEADERS,
  minVersion: 0,
  maxVersion: 2,
  route: LOCAL,
  // deno-lint-ignore require-yield -- nothing is elected.
  *handle({ services }, { electionType, topicPartitions }) {
    // As in Kafka no list at all is looked at before the type of the election.
    if (topicPartitions?.length === 0) return newElectLeadersResponse();
    if (electionType !== PREFERRED && electionType !== UNCLEAN) {
      return refuseAll(electionType, topicPartitions ?? []);
    }
    const { image } = services;
    const all = topicPartitions === null;
    const asked = topicPartitions ??
      [...image.topics.values()].map(({ name, partitions }) => ({
        topic: name,
        partitions: partitions.map(({ index }) => index),
      }));
    const replicaElectionResults = asked.map(({ topic, partitions }) => ({
      topic,
      partitionResult: partitions.map((index) => {
        const partition = image.topicByName(topic)?.partitions[index];
        const errorCode = errorOf(services, partition, electionType);
        return result(index, errorCode, messageOf(services, topic, index, errorCode));
      }).filter(({ errorCode }) => !all || errorCode !== ErrorCode.ELECTION_NOT_NEEDED),
    }));
    return newElectLeadersResponse({ replicaElectionResults });
  },
};

function errorOf(
  services: Services,
  partition: PartitionImage | undefined,
  electionType: number,
): ErrorCode {
  if (partition === undefined) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
  const preferred = services.leaders.leaderOf(partition) === partition.replicas[0];
  if (electionType === UNCLEAN || preferred) return ErrorCode.ELECTION_NOT_NEEDED;
  return ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE;
}

function messageOf(
  { image }: Services,
  topic: string,
  index: number,
  errorCode: ErrorCode,
): string {
  if (errorCode !== ErrorCode.UNKNOWN_TOPIC_OR_PARTITION) return errorInfo(errorCode).message;
  return image.topicByName(topic) === undefined
    ? `No such topic as ${topic}`
    : `No such partition as ${topic}-${index}`;
}

function refuseAll(
  electionType: number,
  asked: readonly TopicPartitions[],
): ElectLeadersResponse {
  const message = `Unknown election type ${electionType}`;
  return newElectLeadersResponse({
    errorCode: ErrorCode.INVALID_REQUEST,
    replicaElectionResults: asked.map(({ topic, partitions }) => ({
      topic,
      partitionResult: partitions.map((index) => result(index, ErrorCode.INVALID_REQUEST, message)),
    })),
  });
}

function result(
  partitionId: number,
  errorCode: ErrorCode,
  errorMessage: string,
): PartitionResult {
  return { partitionId, errorCode, errorMessage };
}

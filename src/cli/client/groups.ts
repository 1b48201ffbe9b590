/**
 * Consumer groups from the outside: their list, members and committed offsets.
 *
 * @module
 */

import { Cursor } from "../../bytes/cursor.ts";
import { ErrorCode } from "../../wire/errors.ts";
import {
  CONSUMER_GROUP_DESCRIBE,
  DESCRIBE_GROUPS,
  LIST_GROUPS,
  OFFSET_COMMIT,
  OFFSET_FETCH,
} from "../../wire/generated/apis.ts";
import { newConsumerGroupDescribeRequest } from "../../wire/generated/consumer_group_describe_request.ts";
import { decodeConsumerProtocolAssignment } from "../../wire/generated/consumer_protocol_assignment.ts";
import { newDescribeGroupsRequest } from "../../wire/generated/describe_groups_request.ts";
import { newListGroupsRequest } from "../../wire/generated/list_groups_request.ts";
import {
  newOffsetCommitRequest,
  newOffsetCommitRequestPartition,
  newOffsetCommitRequestTopic,
} from "../../wire/generated/offset_commit_request.ts";
import {
  newOffsetFetchRequest,
  newOffsetFetchRequestGroup,
  newOffsetFetchRequestTopic,
  newOffsetFetchRequestTopics,
} from "../../wire/generated/offset_fetch_request.ts";
import type { Cluster } from "./cluster.ts";
import type { Connection } from "./connection.ts";
import { brokerRefusal } from "./outcome.ts";

/** Highest versions that name topics rather than give their ids. */
const OFFSET_COMMIT_NAMES = 9;
const OFFSET_FETCH_NAMES = 9;
/** First version with a list of groups. */
const OFFSET_FETCH_GROUPS = 8;

export interface ListedGroup {
  readonly name: string;
  readonly state: string;
  readonly type: string;
  readonly protocolType: string;
}

export interface Member {
  readonly memberId: string;
  readonly instanceId: string | null;
  readonly clientId: string;
  readonly host: string;
  readonly partitions: readonly TopicPartition[];
}

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

export interface DescribedGroup {
  readonly name: string;
  readonly state: string;
  readonly type: string;
  readonly assignor: string;
  /** Node id. */
  readonly coordinator: number;
  readonly members: readonly Member[];
}

export interface CommittedOffset extends TopicPartition {
  readonly offset: number;
  readonly metadata: string;
}

/** Every group of every node, by name. */
export async function listGroups(cluster: Cluster): Promise<ListedGroup[]> {
  const { brokers } = await cluster.places([]);
  const found: ListedGroup[] = [];
  for (const broker of brokers) {
    const connection = await cluster.node(broker.nodeId);
    await cluster.retrying(async () => {
      const response = await connection.call(LIST_GROUPS, newListGroupsRequest());
      if (response.errorCode !== 0) throw brokerRefusal("list groups", response.errorCode);
      for (const group of response.groups) {
        found.push({
          name: group.groupId,
          state: group.groupState,
          type: group.groupType,
          protocolType: group.protocolType,
        });
      }
    });
  }
  return found.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** One group, of the classic or the new protocol. */
export async function describeGroup(cluster: Cluster, name: string): Promise<DescribedGroup> {
  return await cluster.retrying(async () => {
    const { nodeId, connection } = await cluster.coordinator(name);
    return await describeConsumerGroup(connection, nodeId, name) ??
      await describeClassicGroup(connection, nodeId, name);
  });
}

/** Null when it is not a group of the new protocol. */
async function describeConsumerGroup(
  connection: Connection,
  coordinator: number,
  name: string,
): Promise<DescribedGroup | null> {
  if (connection.versionOf(CONSUMER_GROUP_DESCRIBE) < 0) return null;
  const request = newConsumerGroupDescribeRequest({ groupIds: [name] });
  const group = (await connection.call(CONSUMER_GROUP_DESCRIBE, request)).groups[0];
  if (
    group === undefined || group.errorCode === ErrorCode.GROUP_ID_NOT_FOUND ||
    group.errorCode === ErrorCode.UNSUPPORTED_VERSION
  ) return null;
  if (group.errorCode !== 0) {
    throw brokerRefusal(`describe group ${name}`, group.errorCode, group.errorMessage);
  }
  return {
    name,
    state: group.groupState,
    type: "consumer",
    assignor: group.assignorName,
    coordinator,
    members: group.members.map((member) => ({
      memberId: member.memberId,
      instanceId: member.instanceId,
      clientId: member.clientId,
      host: member.clientHost,
      partitions: member.assignment.topicPartitions.flatMap(({ topicName, partitions }) =>
        partitions.map((partition) => ({ topic: topicName, partition }))
      ),
    })),
  };
}

async function describeClassicGroup(
  connection: Connection,
  coordinator: number,
  name: string,
): Promise<DescribedGroup> {
  const request = newDescribeGroupsRequest({ groups: [name] });
  const group = (await connection.call(DESCRIBE_GROUPS, request)).groups[0];
  const code = group?.errorCode ?? ErrorCode.GROUP_ID_NOT_FOUND;
  if (group === undefined || code !== 0) {
    throw brokerRefusal(`describe group ${name}`, code, group?.errorMessage ?? null);
  }
  // Before version 6, a group that does not exist is described as one that is dead.
  if (group.groupState === "Dead") {
    throw brokerRefusal(`describe group ${name}`, ErrorCode.GROUP_ID_NOT_FOUND);
  }
  return {
    name,
    state: group.groupState,
    type: "classic",
    assignor: group.protocolData,
    coordinator,
    members: group.members.map((member) => ({
      memberId: member.memberId,
      instanceId: member.groupInstanceId,
      clientId: member.clientId,
      host: member.clientHost,
      partitions: readAssignment(member.memberAssignment),
    })),
  };
}

/** The partitions in a member's assignment; none where it cannot be read (not a consumer's). */
export function readAssignment(bytes: Uint8Array): TopicPartition[] {
  if (bytes.length < 2) return [];
  const cursor = Cursor.of(bytes);
  // A version that is not known yet keeps what the last known one had.
  const version = Math.min(cursor.int16(), 3);
  if (version < 0) return [];
  const assignment = decodeConsumerProtocolAssignment(cursor, version);
  if (!cursor.ok()) return [];
  return assignment.assignedPartitions.flatMap(({ topic, partitions }) =>
    partitions.map((partition) => ({ topic, partition }))
  );
}

/** A group's committed offsets: for `partitions`, or all of them (null). */
export async function committedOffsets(
  cluster: Cluster,
  name: string,
  partitions: readonly TopicPartition[] | null = null,
): Promise<CommittedOffset[]> {
  const byTopic = partitions === null ? null : [...Map.groupBy(partitions, (one) => one.topic)].map(
    ([topic, ones]) => ({ name: topic, partitionIndexes: ones.map((one) => one.partition) }),
  );
  return await cluster.retrying(async () => {
    const { connection } = await cluster.coordinator(name);
    const version = connection.versionOf(OFFSET_FETCH, OFFSET_FETCH_NAMES);
    const isList = version >= OFFSET_FETCH_GROUPS;
    const request = isList
      ? newOffsetFetchRequest({
        groups: [
          newOffsetFetchRequestGroup({
            groupId: name,
            topics: byTopic?.map((topic) => newOffsetFetchRequestTopics(topic)) ?? null,
          }),
        ],
      })
      : newOffsetFetchRequest({
        groupId: name,
        topics: byTopic?.map((topic) => newOffsetFetchRequestTopic(topic)) ?? null,
      });
    const response = await connection.call(OFFSET_FETCH, request, {
      maxVersion: OFFSET_FETCH_NAMES,
    });
    const answer = isList ? response.groups[0]! : response;
    if (answer.errorCode !== 0) {
      throw brokerRefusal(`read the offsets of group ${name}`, answer.errorCode);
    }
    const committed: CommittedOffset[] = [];
    for (const topic of answer.topics) {
      for (const one of topic.partitions) {
        if (one.errorCode !== 0) {
          throw brokerRefusal(`read the offsets of group ${name}`, one.errorCode);
        }
        if (one.committedOffset < 0) continue;
        committed.push({
          topic: topic.name,
          partition: one.partitionIndex,
          offset: one.committedOffset,
          metadata: one.metadata ?? "",
        });
      }
    }
    return committed;
  });
}

/** Who commits: a member of a generation, or nobody (a tool, to a group without members). */
export interface Committer {
  readonly generation: number;
  readonly memberId: string;
}

/** Commits offsets for a group. */
export async function commitOffsets(
  cluster: Cluster,
  name: string,
  offsets: readonly (TopicPartition & { readonly offset: number })[],
  committer: Committer = { generation: -1, memberId: "" },
): Promise<void> {
  const topics = [...Map.groupBy(offsets, (one) => one.topic)].map(([topic, ones]) =>
    newOffsetCommitRequestTopic({
      name: topic,
      partitions: ones.map(({ partition, offset }) =>
        newOffsetCommitRequestPartition({
          partitionIndex: partition,
          committedOffset: offset,
          committedMetadata: "",
        })
      ),
    })
  );
  await cluster.retrying(async () => {
    const { connection } = await cluster.coordinator(name);
    const request = newOffsetCommitRequest({
      groupId: name,
      generationIdOrMemberEpoch: committer.generation,
      memberId: committer.memberId,
      topics,
    });
    const response = await connection.call(OFFSET_COMMIT, request, {
      maxVersion: OFFSET_COMMIT_NAMES,
    });
    for (const one of response.topics.flatMap((topic) => topic.partitions)) {
      if (one.errorCode !== 0) {
        throw brokerRefusal(`commit offsets of group ${name}`, one.errorCode);
      }
    }
  });
}

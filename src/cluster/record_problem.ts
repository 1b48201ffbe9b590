/**
 * Finds metadata records that contradict an image.
 *
 * A log is input: disks return wrong bytes, and records after a lost part of a log refer to missing ones. So a
 * record is checked before it changes anything, and one that contradicts the image is skipped with a reason
 * for people. It never ends a start, and never changes valid state.
 *
 * @module
 */

import { GROUP_CONFIGS, isGroupConfigName } from "../base/group_configs.ts";
import { refuseSetting } from "../base/setting.ts";
import { isSettingName, settingProblem, SETTINGS } from "../base/settings.ts";
import { ZERO_UUID } from "../wire/uuid.ts";
import { ResourceType } from "./config_table.ts";
import { type ClusterImage, NodeState } from "./image.ts";
import { VERSION_FEATURE } from "./logical_version.ts";
import {
  type ConfigRecord,
  EPOCH_FLOOR_MAX,
  FIRST_GROUP_ID,
  type MetadataRecord,
  type PartitionChangeRecord,
  type PartitionRecord,
  RecordType,
  type TopicRecord,
} from "./records.ts";
import { isTopicConfigName, topicConfigProblem } from "./topic_config.ts";
import { topicNameProblem } from "./topic_names.ts";

/** No cluster gets as far as this; what does would leave no ids for what comes next. */
const GROUP_ID_MAX = 2_000_000_000;
const PRODUCER_ID_MAX = 2 ** 52;

/** Why `image` cannot take `record` over; null when it can. */
export function recordProblem(image: ClusterImage, record: MetadataRecord): string | null {
  switch (record.type) {
    case RecordType.CLUSTER:
      return image.clusterId === "" ? null : "the cluster has an id already";
    case RecordType.NODE: {
      const { nodeId, logicalVersion } = record.body;
      if (nodeId < 0) return `a node with the id ${nodeId}`;
      return logicalVersion >= 0 ? null : `node ${nodeId} is at logical version ${logicalVersion}`;
    }
    case RecordType.TOPIC:
      return topicProblem(image, record.body);
    case RecordType.TOPIC_REMOVED: {
      const { topicId, epochFloor } = record.body;
      if (image.topicById(topicId) === undefined) return `no topic has the id ${topicId}`;
      return epochProblem(epochFloor);
    }
    case RecordType.PARTITION:
      return partitionProblem(image, record.body);
    case RecordType.PARTITION_CHANGE:
      return changeProblem(image, record.body);
    case RecordType.NODE_STATE: {
      const { nodeId, state } = record.body;
      if (!image.nodes.has(nodeId)) return `the state of node ${nodeId}, which is unknown`;
      const isKnown = state >= NodeState.ACTIVE && state <= NodeState.FILLING;
      return isKnown ? null : `node ${nodeId} is in state ${state}`;
    }
    case RecordType.CONFIG:
      return configProblem(record.body);
    case RecordType.PRODUCER_IDS: {
      const { nextProducerId: next } = record.body;
      if (next > PRODUCER_ID_MAX) return `producer ids from ${next} on`;
      return next >= image.nextProducerId ? null : `producer ids go back to ${next}`;
    }
    case RecordType.GROUP_IDS: {
      const { nextGroupId: next } = record.body;
      if (next > GROUP_ID_MAX) return `group ids from ${next} on`;
      if (next < image.nextGroupId) return `group ids go back to ${next}`;
      return epochProblem(record.body.epochFloor);
    }
    case RecordType.FEATURE_LEVEL: {
      const { name, level } = record.body;
      const goesBack = name === VERSION_FEATURE && level < image.finalizedVersion;
      return goesBack ? `the logical version goes back to ${level}` : null;
    }
    case RecordType.GROUPS_REMOVED: {
      const wrong = record.body.groupIds.find((id) =>
        id < FIRST_GROUP_ID || id >= image.nextGroupId || image.partitionByGroup(id) !== undefined
      );
      return wrong === undefined
        ? null
        : `group ${wrong} is removed, and holds a partition or was never used`;
    }
    default:
      return null;
  }
}

function epochProblem(epochFloor: number): string | null {
  return epochFloor >= 0 && epochFloor <= EPOCH_FLOOR_MAX
    ? null
    : `leader epochs up to ${epochFloor}`;
}

function topicProblem(image: ClusterImage, { name, topicId }: TopicRecord): string | null {
  if (topicId === ZERO_UUID) return `topic '${name}' has no id`;
  if (image.topicByName(name) !== undefined) return `there is a topic '${name}' already`;
  if (image.topicById(topicId) !== undefined) return `topic id ${topicId} is in use`;
  return topicNameProblem(name);
}

function partitionProblem(image: ClusterImage, record: PartitionRecord): string | null {
  const { topicId, partitionIndex, groupId, replicas, incarnations } = record;
  const topic = image.topicById(topicId);
  if (topic === undefined) {
    return `partition ${partitionIndex} of topic id ${topicId}, which is unknown`;
  }
  const what = `partition ${partitionIndex} of '${topic.name}'`;
  if (partitionIndex !== topic.partitions.length) {
    return `${what} comes where ${topic.partitions.length} is next`;
  }
  if (groupId < FIRST_GROUP_ID || groupId > GROUP_ID_MAX) return `${what} is in group ${groupId}`;
  const late = epochProblem(record.epochFloor);
  if (late !== null) return `${what} follows ${late}`;
  if (image.partitionByGroup(groupId) !== undefined) {
    return `${what} is in group ${groupId}, which holds another one`;
  }
  if (image.removedGroups.has(groupId)) return `${what} is in group ${groupId}, which was removed`;
  const isOdd = replicas.length === 0 || replicas.some((id) => id < 0) ||
    (incarnations.length > 0 && incarnations.length !== replicas.length) ||
    new Set(replicas).size < replicas.length;
  return isOdd ? `${what} is on the nodes [${replicas}]` : null;
}

function changeProblem(image: ClusterImage, record: PartitionChangeRecord): string | null {
  const { topicId, partitionIndex, change, replicas, adding, removing, forced } = record;
  const topic = image.topicById(topicId);
  const partition = topic?.partitions[partitionIndex];
  if (topic === undefined || partition === undefined) {
    return `a change of partition ${partitionIndex} of topic id ${topicId}, which is unknown`;
  }
  const what = `change ${change} of partition ${partitionIndex} of '${topic.name}'`;
  if (change <= partition.change) return `${what} comes after change ${partition.change}`;
  const nodes = replicas.map(({ nodeId }) => nodeId);
  const isHeld = (nodeId: number): boolean => nodes.includes(nodeId);
  const isOdd = nodes.length <= removing.length || new Set(nodes).size < nodes.length ||
    !adding.every(isHeld) || !removing.every(isHeld) || (forced && nodes.length !== 1) ||
    replicas.some(({ nodeId, life, since }) =>
      nodeId < 0 || life < 0 || since < 0 || since > change
    );
  return isOdd ? `${what} puts it on the nodes [${nodes}], without [${removing}]` : null;
}

function configProblem(record: ConfigRecord): string | null {
  const { resourceType, name, value } = record;
  if (value === null) return null;
  // Names that are not known here take no effect, whatever they say.
  if (resourceType === ResourceType.TOPIC && isTopicConfigName(name)) {
    return topicConfigProblem(name, value);
  }
  if (resourceType === ResourceType.BROKER && isSettingName(name)) {
    return settingProblem(name, value);
  }
  if (resourceType === ResourceType.GROUP && isGroupConfigName(name)) {
    return refuseSetting(name, SETTINGS[GROUP_CONFIGS[name].setting], value);
  }
  return null;
}

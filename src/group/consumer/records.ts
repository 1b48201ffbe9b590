/**
 * The records of a consumer group in `__consumer_offsets`, byte for byte as Kafka writes them.
 *
 * ```text
 * key    int16 kind | group [, member id or regular expression]      value  int16 version | fields, or a tombstone
 *
 *  3  the group                  epoch, hash of the topics, time of its making
 *  4  its topics                 not written since Kafka 4.1; skipped
 *  5  a member                   what it says of itself
 *  6  the target assignment      the group epoch that it is for, and when it was made
 *  7  a member's target          partitions
 *  8  what a member has          epochs, state, partitions with the epochs at which it got them
 * 16  a regular expression       the topics that it fits
 * ```
 *
 * @module
 */

import type { Cursor } from "../../bytes/cursor.ts";
import { Cursor as Reader } from "../../bytes/cursor.ts";
import { Writer } from "../../bytes/writer.ts";
import {
  decodeConsumerGroupCurrentMemberAssignmentValue,
  encodeConsumerGroupCurrentMemberAssignmentValue,
} from "../../wire/generated/consumer_group_current_member_assignment_value.ts";
import {
  decodeConsumerGroupKey,
  encodeConsumerGroupKey,
} from "../../wire/generated/consumer_group_key.ts";
import {
  decodeConsumerGroupMemberMetadataValue,
  encodeConsumerGroupMemberMetadataValue,
} from "../../wire/generated/consumer_group_member_metadata_value.ts";
import {
  decodeConsumerGroupMetadataValue,
  encodeConsumerGroupMetadataValue,
} from "../../wire/generated/consumer_group_metadata_value.ts";
import {
  decodeConsumerGroupPartKey,
  encodeConsumerGroupPartKey,
} from "../../wire/generated/consumer_group_part_key.ts";
import {
  decodeConsumerGroupRegularExpressionValue,
  encodeConsumerGroupRegularExpressionValue,
} from "../../wire/generated/consumer_group_regular_expression_value.ts";
import {
  decodeConsumerGroupTargetAssignmentMemberValue,
  encodeConsumerGroupTargetAssignmentMemberValue,
} from "../../wire/generated/consumer_group_target_assignment_member_value.ts";
import {
  decodeConsumerGroupTargetAssignmentMetadataValue,
  encodeConsumerGroupTargetAssignmentMetadataValue,
} from "../../wire/generated/consumer_group_target_assignment_metadata_value.ts";
import type { Assignment, Change, Current, MemberInfo, OwnedPartitions } from "./types.ts";

const Kind = {
  GROUP: 3,
  TOPICS: 4,
  MEMBER: 5,
  TARGET_EPOCH: 6,
  TARGET: 7,
  CURRENT: 8,
  REGEX: 16,
} as const;

const VALUE_VERSION = 0;

/** Partitions as records list them. */
interface ListedPartitions {
  topicId: string;
  partitions: number[];
  assignmentEpochs?: number[] | null;
}

/** Whether keys of this version belong to consumer groups. */
export function isConsumerGroupKind(version: number): boolean {
  return Object.values<number>(Kind).includes(version);
}

/** The record that says `change` of a group. */
export function changeRecord(
  groupId: string,
  change: Change,
): { key: Uint8Array; value: Uint8Array | null } {
  return { key: keyOf(groupId, change), value: valueOf(change) };
}

/**
 * What a record behind its key's version says.
 *
 * @returns the group and the change, null for the change where there is nothing to keep; or what is wrong with it
 */
export function readChange(
  kind: number,
  key: Cursor,
  value: Uint8Array | null,
): { groupId: string; change: Change | null } | { problem: string } {
  const isPart = kind !== Kind.GROUP && kind !== Kind.TOPICS && kind !== Kind.TARGET_EPOCH;
  const { group: groupId, part } = isPart
    ? decodeConsumerGroupPartKey(key, kind)
    : { ...decodeConsumerGroupKey(key, kind), part: "" };
  if (!key.ok()) return { problem: `the key of a record of kind ${kind} cannot be read` };
  if (kind === Kind.TOPICS) return { groupId, change: null };
  if (value === null) return { groupId, change: tombstoneOf(kind, part) };
  const body = Reader.of(value);
  const version = body.int16();
  const change = changeOf(kind, part, body, version);
  if (!body.ok()) {
    return { problem: `a record of kind ${kind} of group '${groupId}' cannot be read` };
  }
  const problem = problemOf(change);
  return problem === null
    ? { groupId, change }
    : { problem: `a record of kind ${kind} of group '${groupId}' makes no sense: ${problem}` };
}

function keyOf(groupId: string, change: Change): Uint8Array {
  const out = new Writer();
  const whole = (kind: number): void => {
    out.int16(kind);
    encodeConsumerGroupKey(out, kind, { group: groupId });
  };
  const ofPart = (kind: number, part: string): void => {
    out.int16(kind);
    encodeConsumerGroupPartKey(out, kind, { group: groupId, part });
  };
  switch (change.kind) {
    case "groupEpoch":
      whole(Kind.GROUP);
      break;
    case "targetEpoch":
      whole(Kind.TARGET_EPOCH);
      break;
    case "member":
      ofPart(Kind.MEMBER, change.memberId);
      break;
    case "target":
      ofPart(Kind.TARGET, change.memberId);
      break;
    case "current":
      ofPart(Kind.CURRENT, change.memberId);
      break;
    case "regex":
      ofPart(Kind.REGEX, change.regex);
      break;
  }
  return out.copyBytes();
}

function valueOf(change: Change): Uint8Array | null {
  if (change.value === null) return null;
  const out = new Writer();
  out.int16(VALUE_VERSION);
  switch (change.kind) {
    case "groupEpoch":
      encodeConsumerGroupMetadataValue(out, VALUE_VERSION, change.value);
      break;
    case "targetEpoch":
      encodeConsumerGroupTargetAssignmentMetadataValue(out, VALUE_VERSION, {
        assignmentEpoch: change.value.epoch,
        assignmentTimestamp: change.value.timestampMs,
      });
      break;
    case "member":
      encodeConsumerGroupMemberMetadataValue(out, VALUE_VERSION, memberFields(change.value));
      break;
    case "target":
      encodeConsumerGroupTargetAssignmentMemberValue(out, VALUE_VERSION, {
        topicPartitions: [...change.value].map(([topicId, partitions]) => ({
          topicId,
          partitions: [...partitions],
        })),
      });
      break;
    case "current":
      encodeConsumerGroupCurrentMemberAssignmentValue(out, VALUE_VERSION, {
        memberEpoch: change.value.epoch,
        previousMemberEpoch: change.value.previousEpoch,
        state: change.value.state,
        assignedPartitions: listed(change.value.assigned),
        partitionsPendingRevocation: listed(change.value.revoking),
      });
      break;
    case "regex":
      encodeConsumerGroupRegularExpressionValue(out, VALUE_VERSION, {
        topics: [...change.value.topics],
        version: change.value.version,
        timestamp: change.value.timestampMs,
      });
      break;
  }
  return out.copyBytes();
}

function memberFields(member: MemberInfo) {
  return {
    instanceId: member.instanceId,
    rackId: member.rackId,
    clientId: member.clientId,
    clientHost: member.clientHost,
    subscribedTopicNames: [...member.topicNames],
    subscribedTopicRegex: member.topicRegex,
    rebalanceTimeoutMs: member.rebalanceTimeoutMs,
    serverAssignor: member.serverAssignor,
    classicMemberMetadata: member.classic === null ? null : {
      sessionTimeoutMs: member.classic.sessionTimeoutMs,
      supportedProtocols: [...member.classic.supportedProtocols],
    },
  };
}

function tombstoneOf(kind: number, part: string): Change {
  switch (kind) {
    case Kind.GROUP:
      return { kind: "groupEpoch", value: null };
    case Kind.TARGET_EPOCH:
      return { kind: "targetEpoch", value: null };
    case Kind.MEMBER:
      return { kind: "member", memberId: part, value: null };
    case Kind.TARGET:
      return { kind: "target", memberId: part, value: null };
    case Kind.CURRENT:
      return { kind: "current", memberId: part, value: null };
    default:
      return { kind: "regex", regex: part, value: null };
  }
}

function changeOf(kind: number, part: string, body: Cursor, version: number): Change {
  switch (kind) {
    case Kind.GROUP:
      return { kind: "groupEpoch", value: decodeConsumerGroupMetadataValue(body, version) };
    case Kind.TARGET_EPOCH: {
      const fields = decodeConsumerGroupTargetAssignmentMetadataValue(body, version);
      const { assignmentEpoch: epoch, assignmentTimestamp: timestampMs } = fields;
      return { kind: "targetEpoch", value: { epoch, timestampMs } };
    }
    case Kind.MEMBER:
      return { kind: "member", memberId: part, value: readMember(body, version) };
    case Kind.TARGET: {
      const fields = decodeConsumerGroupTargetAssignmentMemberValue(body, version);
      return { kind: "target", memberId: part, value: assignmentOf(fields.topicPartitions) };
    }
    case Kind.CURRENT:
      return { kind: "current", memberId: part, value: readCurrent(body, version) };
    default: {
      const fields = decodeConsumerGroupRegularExpressionValue(body, version);
      const { topics, timestamp: timestampMs } = fields;
      return {
        kind: "regex",
        regex: part,
        value: { topics: [...topics].sort(), version: fields.version, timestampMs },
      };
    }
  }
}

function readMember(body: Cursor, version: number): MemberInfo {
  const fields = decodeConsumerGroupMemberMetadataValue(body, version);
  const classic = fields.classicMemberMetadata;
  return {
    instanceId: fields.instanceId,
    rackId: fields.rackId,
    clientId: fields.clientId,
    clientHost: fields.clientHost,
    topicNames: [...new Set(fields.subscribedTopicNames)].sort(),
    topicRegex: fields.subscribedTopicRegex,
    rebalanceTimeoutMs: fields.rebalanceTimeoutMs,
    serverAssignor: fields.serverAssignor,
    classic: classic === null ? null : {
      sessionTimeoutMs: classic.sessionTimeoutMs,
      // The bytes are borrowed from the record.
      supportedProtocols: classic.supportedProtocols.map(({ name, metadata }) => ({
        name,
        metadata: metadata.slice(),
      })),
    },
  };
}

function readCurrent(body: Cursor, version: number): Current {
  const fields = decodeConsumerGroupCurrentMemberAssignmentValue(body, version);
  const { memberEpoch } = fields;
  return {
    epoch: memberEpoch,
    previousEpoch: fields.previousMemberEpoch,
    state: fields.state,
    assigned: ownedOf(fields.assignedPartitions, memberEpoch),
    revoking: ownedOf(fields.partitionsPendingRevocation, memberEpoch),
  };
}

/** What no coordinator would have written; null when nothing is. */
function problemOf(change: Change): string | null {
  if (change.kind === "groupEpoch" || change.kind === "targetEpoch") {
    const epoch = change.value?.epoch ?? 0;
    return epoch < 0 ? `epoch ${epoch}` : null;
  }
  if (change.kind === "member") {
    const classic = change.value?.classic ?? null;
    if (classic === null) return null;
    const { sessionTimeoutMs, supportedProtocols } = classic;
    const names = new Set(supportedProtocols.map(({ name }) => name));
    if (names.size < supportedProtocols.length) return "a classic member with a protocol twice";
    if (supportedProtocols.length === 0) return "a classic member without a protocol";
    return sessionTimeoutMs < 0 ? `a session timeout of ${sessionTimeoutMs} ms` : null;
  }
  if (change.kind !== "current" || change.value === null) return null;
  const { assigned, revoking, epoch } = change.value;
  // -2: a static member that is away.
  if (epoch < -2) return `member epoch ${epoch}`;
  for (const [topicId, partitions] of revoking) {
    for (const partition of partitions.keys()) {
      if (assigned.get(topicId)?.has(partition)) {
        return `partition ${partition} is both assigned and to be revoked`;
      }
    }
  }
  return null;
}

function listed(owned: OwnedPartitions) {
  return [...owned].map(([topicId, partitions]) => ({
    topicId,
    partitions: [...partitions.keys()],
    assignmentEpochs: [...partitions.values()],
  }));
}

function assignmentOf(list: readonly ListedPartitions[]): Assignment {
  const result = new Map<string, number[]>();
  for (const { topicId, partitions } of list) {
    if (partitions.length === 0) continue;
    result.set(topicId, [...new Set(partitions)].sort((a, b) => a - b));
  }
  return result;
}

/** Releases before 4.3 did not write the epochs: a member had its partitions since its present one, at the latest. */
function ownedOf(list: readonly ListedPartitions[], memberEpoch: number): OwnedPartitions {
  const result = new Map<string, Map<number, number>>();
  for (const { topicId, partitions, assignmentEpochs } of list) {
    if (partitions.length === 0) continue;
    const epochs = assignmentEpochs ?? [];
    result.set(
      topicId,
      new Map(partitions.map((partition, at) => [partition, epochs[at] ?? memberEpoch])),
    );
  }
  return result;
}

/**
 * The records of `__consumer_offsets`, byte for byte as Kafka writes them.
 *
 * ```text
 * key    int16 version | fields           0, 1: a committed offset   2: a group
 * value  int16 version | fields           null: the key is forgotten (a tombstone)
 *
 * consumer group    3 to 8, 16: see `consumer/records.ts`
 *
 * committed offset  key   group, topic, partition
 *                   value offset, leader epoch, metadata, commit time [, expiry]
 * group             key   group
 *                   value protocol type, generation, protocol, leader, time of the state, members
 * ```
 *
 * A coordinator's snapshot also holds offsets of transactions that have not ended (`pending_offsets.ts`), in a form of
 * its own: key version -2, the producer's id (int64), and the key of the committed offset.
 *
 * Values are written in version 3, which every tool reads (1 for an offset with an expiry of its own,
 * which only version 1 can carry); versions 0 to 4 are read.
 *
 * A log's contents are input: clients once could write to the topic, and disks return wrong bytes. A record of
 * an unknown kind, one that cannot be read, or a group that no coordinator writes (a member twice) is returned
 * as `skipped` with the reason, and the reader continues after it.
 *
 * @module
 */

import { Cursor } from "../bytes/cursor.ts";
import { setInt64 } from "../bytes/int64.ts";
import { Writer } from "../bytes/writer.ts";
import {
  decodeGroupMetadataKey,
  encodeGroupMetadataKey,
  newGroupMetadataKey,
} from "../wire/generated/group_metadata_key.ts";
import {
  decodeGroupMetadataValue,
  encodeGroupMetadataValue,
  type GroupMetadataValue,
} from "../wire/generated/group_metadata_value.ts";
import {
  decodeOffsetCommitKey,
  encodeOffsetCommitKey,
  newOffsetCommitKey,
} from "../wire/generated/offset_commit_key.ts";
import {
  decodeOffsetCommitValue,
  encodeOffsetCommitValue,
  newOffsetCommitValue,
} from "../wire/generated/offset_commit_value.ts";
import { isConsumerGroupKind, readChange } from "./consumer/records.ts";
import type { Change } from "./consumer/types.ts";
import { MEMBERS_PER_GROUP_MAX } from "./limits.ts";

const OFFSET_KEY_VERSION = 1;
const GROUP_KEY_VERSION = 2;
const PENDING_KEY_VERSION = -2;
const PENDING_HEAD_SIZE = 10;
const OFFSET_VALUE_VERSION = 3;
const OFFSET_VALUE_VERSION_WITH_EXPIRY = 1;
const GROUP_VALUE_VERSION = 3;

/** One record to append; a null value is a tombstone. */
export interface GroupRecord {
  readonly key: Uint8Array;
  readonly value: Uint8Array | null;
}

/** What is kept about a committed offset. */
export interface CommittedOffset {
  readonly offset: number;
  /** -1: unknown. */
  readonly leaderEpoch: number;
  /** The client's note. */
  readonly metadata: string;
  /** Wall clock (ms since the epoch). */
  readonly commitTimestampMs: number;
  /** Wall clock; -1: the broker's retention decides. */
  readonly expireTimestampMs: number;
}

/** The members, generation and assignment of a group, as last written. */
export type GroupMetadata = Readonly<GroupMetadataValue>;

/** What a record says. */
export type DecodedRecord =
  | {
    readonly kind: "offset";
    readonly groupId: string;
    readonly topic: string;
    readonly partition: number;
    readonly value: CommittedOffset | null;
  }
  | {
    readonly kind: "pending";
    readonly producerId: number;
    readonly key: Uint8Array;
    readonly value: Uint8Array | null;
  }
  /** Of a group of the new protocol; null: nothing that is kept. */
  | { readonly kind: "change"; readonly groupId: string; readonly change: Change | null }
  | { readonly kind: "group"; readonly groupId: string; readonly value: GroupMetadata | null }
  /** Nothing that a coordinator could take over; `problem` says why, for people. */
  | { readonly kind: "skipped"; readonly problem: string };

const writer = (version: number): Writer => {
  const result = new Writer();
  result.int16(version);
  return result;
};

function offsetKey(groupId: string, topic: string, partition: number): Uint8Array {
  const out = writer(OFFSET_KEY_VERSION);
  const key = newOffsetCommitKey({ group: groupId, topic, partition });
  encodeOffsetCommitKey(out, OFFSET_KEY_VERSION, key);
  return out.copyBytes();
}

/** The commit of an offset; a tombstone for `value` null. */
export function offsetRecord(
  at: { groupId: string; topic: string; partition: number },
  value: CommittedOffset | null,
): GroupRecord {
  const key = offsetKey(at.groupId, at.topic, at.partition);
  if (value === null) return { key, value: null };
  const version = value.expireTimestampMs < 0
    ? OFFSET_VALUE_VERSION
    : OFFSET_VALUE_VERSION_WITH_EXPIRY;
  const out = writer(version);
  const fields = newOffsetCommitValue({
    offset: value.offset,
    leaderEpoch: value.leaderEpoch,
    metadata: value.metadata,
    commitTimestamp: value.commitTimestampMs,
    expireTimestamp: value.expireTimestampMs,
  });
  if (version < OFFSET_VALUE_VERSION) fields.leaderEpoch = -1;
  encodeOffsetCommitValue(out, version, fields);
  return { key, value: out.copyBytes() };
}

/** An offset of a transaction that has not ended, for a snapshot. */
export function pendingRecord(
  producerId: number,
  at: { groupId: string; topic: string; partition: number },
  offset: CommittedOffset,
): GroupRecord {
  const { key, value } = offsetRecord(at, offset);
  const pending = new Uint8Array(PENDING_HEAD_SIZE + key.length);
  const view = new DataView(pending.buffer);
  view.setInt16(0, PENDING_KEY_VERSION, false);
  setInt64(view, 2, producerId);
  pending.set(key, PENDING_HEAD_SIZE);
  return { key: pending, value };
}

/** The state of a group; a tombstone for `value` null. */
export function groupRecord(groupId: string, value: GroupMetadata | null): GroupRecord {
  const out = writer(GROUP_KEY_VERSION);
  encodeGroupMetadataKey(out, GROUP_KEY_VERSION, newGroupMetadataKey({ group: groupId }));
  const key = out.copyBytes();
  if (value === null) return { key, value: null };
  const body = writer(GROUP_VALUE_VERSION);
  encodeGroupMetadataValue(body, GROUP_VALUE_VERSION, value);
  return { key, value: body.copyBytes() };
}

function skip(problem: string): DecodedRecord {
  return { kind: "skipped", problem };
}

/** Reads a record of the topic; nothing in the result refers to the bytes given. */
export function decodeRecord(key: Uint8Array, value: Uint8Array | null): DecodedRecord {
  const cursor = Cursor.of(key);
  const version = cursor.int16();
  if (!cursor.ok()) return skip("the key is too short");
  if (version === 0 || version === OFFSET_KEY_VERSION) {
    const { group, topic, partition } = decodeOffsetCommitKey(cursor, version);
    if (!cursor.ok()) return skip("the key of an offset cannot be read");
    if (partition < 0) return skip(`an offset of partition ${partition}`);
    const at = { kind: "offset", groupId: group, topic, partition } as const;
    if (value === null) return { ...at, value: null };
    const body = Cursor.of(value);
    const fields = decodeOffsetCommitValue(body, body.int16());
    if (!body.ok()) return skip(`a committed offset of group '${group}' cannot be read`);
    const committed = {
      offset: fields.offset,
      leaderEpoch: fields.leaderEpoch,
      metadata: fields.metadata,
      commitTimestampMs: fields.commitTimestamp,
      expireTimestampMs: fields.expireTimestamp,
    };
    return { ...at, value: committed };
  }
  if (version === PENDING_KEY_VERSION) {
    const producerId = cursor.int64();
    if (!cursor.ok()) return skip("the key of an offset in a transaction cannot be read");
    return { kind: "pending", producerId, key: key.slice(PENDING_HEAD_SIZE), value };
  }
  if (isConsumerGroupKind(version)) {
    const read = readChange(version, cursor, value);
    return "problem" in read ? skip(read.problem) : { kind: "change", ...read };
  }
  if (version !== GROUP_KEY_VERSION) return skip(`records of kind ${version} are not kept here`);
  const { group } = decodeGroupMetadataKey(cursor, version);
  if (!cursor.ok()) return skip("the key of a group cannot be read");
  if (value === null) return { kind: "group", groupId: group, value: null };
  const body = Cursor.of(value);
  const fields = decodeGroupMetadataValue(body, body.int16());
  if (!body.ok()) return skip(`the state of group '${group}' cannot be read`);
  const problem = groupProblem(fields);
  if (problem !== null) return skip(`the state of group '${group}' makes no sense: ${problem}`);
  for (const member of fields.members) {
    member.subscription = member.subscription.slice();
    member.assignment = member.assignment.slice();
  }
  return { kind: "group", groupId: group, value: fields };
}

/** What no coordinator would have written of a group; null when nothing is. */
function groupProblem(group: GroupMetadata): string | null {
  if (group.generation < 0) return `generation ${group.generation}`;
  const memberIds = new Set<string>();
  const instanceIds = new Set<string>();
  for (const { memberId, groupInstanceId, sessionTimeout } of group.members) {
    if (memberId === "") return "a member without an id";
    if (memberIds.has(memberId)) return `member '${memberId}' twice`;
    memberIds.add(memberId);
    if (sessionTimeout < 0) return `a session timeout of ${sessionTimeout} ms`;
    if (groupInstanceId === null) continue;
    if (instanceIds.has(groupInstanceId)) return `static member '${groupInstanceId}' twice`;
    instanceIds.add(groupInstanceId);
  }
  if (group.members.length > MEMBERS_PER_GROUP_MAX) return `${group.members.length} members`;
  return null;
}

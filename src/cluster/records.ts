/**
 * The records of the metadata log (Raft group 0): everything the cluster agrees on is a sequence of
 * these, and `ClusterImage` is the resulting state.
 *
 * A *command* (create these topics, change that configuration) appends its records as one value, so
 * that they commit, and are replayed, together or not at all:
 *
 * ```
 * command := format:uint8 (1)  count:uvarint  record*count
 * record  := type:uvarint  version:uvarint  body
 * body    := as in src/wire/schemas/<type>.json, flexible encoding
 * ```
 *
 * Fields added to a record are tagged, and older programs skip them. A format, record type or record
 * version that this program does not know was written by a newer one and must not be skipped: the
 * whole command is refused (with a reason, see {@linkcode decodeCommand}), and the node does not start. A command
 * that cannot be read is skipped, and so is a record that contradicts the image
 * (`record_problem.ts`): both are reported.
 *
 * @module
 */

import { assert, unreachable } from "../base/assert.ts";
import { Cursor } from "../bytes/cursor.ts";
import { Writer } from "../bytes/writer.ts";
import {
  type ClusterRecord,
  decodeClusterRecord,
  encodeClusterRecord,
} from "../wire/generated/cluster_record.ts";
import {
  type ConfigRecord,
  decodeConfigRecord,
  encodeConfigRecord,
} from "../wire/generated/config_record.ts";
import {
  decodeFeatureLevelRecord,
  encodeFeatureLevelRecord,
  type FeatureLevelRecord,
} from "../wire/generated/feature_level_record.ts";
import {
  decodeGroupIdsRecord,
  encodeGroupIdsRecord,
  type GroupIdsRecord,
} from "../wire/generated/group_ids_record.ts";
import {
  decodeGroupsRemovedRecord,
  encodeGroupsRemovedRecord,
  type GroupsRemovedRecord,
} from "../wire/generated/groups_removed_record.ts";
import {
  decodeNodeRecord,
  encodeNodeRecord,
  type NodeRecord,
} from "../wire/generated/node_record.ts";
import {
  decodeNodeRemovedRecord,
  encodeNodeRemovedRecord,
  type NodeRemovedRecord,
} from "../wire/generated/node_removed_record.ts";
import {
  decodeNodeStateRecord,
  encodeNodeStateRecord,
  type NodeStateRecord,
} from "../wire/generated/node_state_record.ts";
import {
  decodePartitionChangeRecord,
  encodePartitionChangeRecord,
  type PartitionChangeRecord,
} from "../wire/generated/partition_change_record.ts";
import {
  decodePartitionRecord,
  encodePartitionRecord,
  type PartitionRecord,
} from "../wire/generated/partition_record.ts";
import {
  decodeProducerIdsRecord,
  encodeProducerIdsRecord,
  type ProducerIdsRecord,
} from "../wire/generated/producer_ids_record.ts";
import {
  decodeTopicRecord,
  encodeTopicRecord,
  type TopicRecord,
} from "../wire/generated/topic_record.ts";
import {
  decodeTopicRemovedRecord,
  encodeTopicRemovedRecord,
  type TopicRemovedRecord,
} from "../wire/generated/topic_removed_record.ts";
import { CHANGES_SINCE_VERSION, OWN_VERSIONS } from "./logical_version.ts";

export type {
  ClusterRecord,
  ConfigRecord,
  FeatureLevelRecord,
  GroupIdsRecord,
  GroupsRemovedRecord,
  NodeRecord,
  NodeRemovedRecord,
  NodeStateRecord,
  PartitionChangeRecord,
  PartitionRecord,
  ProducerIdsRecord,
  TopicRecord,
  TopicRemovedRecord,
};

/** Numbers of the record types in the log, never reused; the schemas' `apiKey`. */
export const RecordType = {
  CLUSTER: 1,
  NODE: 2,
  NODE_REMOVED: 3,
  TOPIC: 4,
  TOPIC_REMOVED: 5,
  PARTITION: 6,
  CONFIG: 7,
  PRODUCER_IDS: 8,
  GROUP_IDS: 9,
  FEATURE_LEVEL: 10,
  GROUPS_REMOVED: 11,
  PARTITION_CHANGE: 12,
  NODE_STATE: 13,
} as const;

/** The logical version from which on a record of this type may be written; programs below refuse it. */
export function recordSince(type: MetadataRecord["type"]): number {
  const isLater = type === RecordType.PARTITION_CHANGE || type === RecordType.NODE_STATE;
  return isLater ? CHANGES_SINCE_VERSION : 0;
}

/** The controller's own group. */
export const CONTROLLER_GROUP_ID = 0;

/** No leader epoch is passed by that is later: those of the partitions that come then need room. */
export const EPOCH_FLOOR_MAX = 2_000_000_000;

/** Ids of partitions' groups start here. */
export const FIRST_GROUP_ID = 1;

interface Entry<Type extends number, Body> {
  readonly type: Type;
  readonly body: Body;
}

/** One record of the metadata log. */
export type MetadataRecord =
  | Entry<typeof RecordType.CLUSTER, ClusterRecord>
  | Entry<typeof RecordType.NODE, NodeRecord>
  | Entry<typeof RecordType.NODE_REMOVED, NodeRemovedRecord>
  | Entry<typeof RecordType.TOPIC, TopicRecord>
  | Entry<typeof RecordType.TOPIC_REMOVED, TopicRemovedRecord>
  | Entry<typeof RecordType.PARTITION, PartitionRecord>
  | Entry<typeof RecordType.CONFIG, ConfigRecord>
  | Entry<typeof RecordType.PRODUCER_IDS, ProducerIdsRecord>
  | Entry<typeof RecordType.GROUP_IDS, GroupIdsRecord>
  | Entry<typeof RecordType.FEATURE_LEVEL, FeatureLevelRecord>
  | Entry<typeof RecordType.GROUPS_REMOVED, GroupsRemovedRecord>
  | Entry<typeof RecordType.PARTITION_CHANGE, PartitionChangeRecord>
  | Entry<typeof RecordType.NODE_STATE, NodeStateRecord>;

/** A command's records, or why they cannot be read. */
export type DecodedCommand =
  | { readonly ok: true; readonly records: readonly MetadataRecord[] }
  | { readonly ok: false; readonly problem: string; readonly newer: boolean };

const FORMAT = 1;
/** The version in which every record type is written today. */
const RECORD_VERSION = 0;

/** Largest command (bytes): as a record batch it stays below Kafka's default limit of a mebibyte. */
export const COMMAND_BYTES_MAX = 768 * 1024;

/** Format and count. */
const HEADER_BYTES_MAX = 6;

/** Collects the records of one command, up to {@linkcode COMMAND_BYTES_MAX}. */
export class CommandWriter {
  readonly #writer = new Writer();
  readonly #bytesMax: number;
  #count = 0;

  constructor(bytesMax: number = COMMAND_BYTES_MAX) {
    this.#bytesMax = bytesMax;
  }

  /** Records added. */
  get count(): number {
    return this.#count;
  }

  /** Adds all of `records`, or none when they do not fit; says which. */
  add(records: readonly MetadataRecord[]): boolean {
    const writer = this.#writer;
    const before = writer.at;
    for (const record of records) {
      writer.unsignedVarint(record.type);
      writer.unsignedVarint(RECORD_VERSION);
      encodeBody(writer, record);
      if (writer.size + HEADER_BYTES_MAX <= this.#bytesMax) continue;
      writer.at = before;
      return false;
    }
    this.#count += records.length;
    return true;
  }

  /** The command. */
  finish(): Uint8Array {
    assert(this.#count > 0, "a command has records");
    const command = new Writer();
    command.int8(FORMAT);
    command.unsignedVarint(this.#count);
    command.raw(this.#writer.borrowBytes());
    return command.copyBytes();
  }
}

/** Serialises the records of one command, however many. */
export function encodeCommand(records: readonly MetadataRecord[]): Uint8Array {
  const writer = new CommandWriter(Infinity);
  writer.add(records);
  return writer.finish();
}

/**
 * Reads what {@linkcode encodeCommand} wrote. Keeps nothing of `bytes`.
 *
 * @param logicalVersion of the reader
 */
export function decodeCommand(
  bytes: Uint8Array,
  logicalVersion = OWN_VERSIONS.max,
): DecodedCommand {
  const cursor = Cursor.of(bytes);
  const format = cursor.int8();
  if (cursor.ok() && format > FORMAT) return newer(`format ${format} of the metadata log`);
  if (format !== FORMAT) return damaged("the format is missing");
  const count = cursor.unsignedVarint();
  const records: MetadataRecord[] = [];
  while (records.length < count && cursor.ok()) {
    const type = cursor.unsignedVarint();
    const version = cursor.unsignedVarint();
    if (cursor.bad) break;
    if (version > RECORD_VERSION) {
      return newer(`version ${version} of metadata record type ${type}`);
    }
    const record = decodeBody(cursor, type);
    if (record === null || recordSince(record.type) > logicalVersion) {
      return newer(`metadata record type ${type}`);
    }
    records.push(record);
  }
  if (!cursor.atEnd()) {
    return damaged(`record ${records.length} of ${count} does not end as it should`);
  }
  return { ok: true, records };
}

function newer(what: string): DecodedCommand {
  const problem = `Cannot read ${what}: it was written by a newer version of Gregor`;
  return { ok: false, problem, newer: true };
}

function damaged(what: string): DecodedCommand {
  return { ok: false, problem: `Cannot read a command of the metadata log: ${what}`, newer: false };
}

function encodeBody(writer: Writer, record: MetadataRecord): void {
  switch (record.type) {
    case RecordType.CLUSTER:
      return encodeClusterRecord(writer, RECORD_VERSION, record.body);
    case RecordType.NODE:
      return encodeNodeRecord(writer, RECORD_VERSION, record.body);
    case RecordType.NODE_REMOVED:
      return encodeNodeRemovedRecord(writer, RECORD_VERSION, record.body);
    case RecordType.TOPIC:
      return encodeTopicRecord(writer, RECORD_VERSION, record.body);
    case RecordType.TOPIC_REMOVED:
      return encodeTopicRemovedRecord(writer, RECORD_VERSION, record.body);
    case RecordType.PARTITION:
      return encodePartitionRecord(writer, RECORD_VERSION, record.body);
    case RecordType.CONFIG:
      return encodeConfigRecord(writer, RECORD_VERSION, record.body);
    case RecordType.PRODUCER_IDS:
      return encodeProducerIdsRecord(writer, RECORD_VERSION, record.body);
    case RecordType.GROUP_IDS:
      return encodeGroupIdsRecord(writer, RECORD_VERSION, record.body);
    case RecordType.FEATURE_LEVEL:
      return encodeFeatureLevelRecord(writer, RECORD_VERSION, record.body);
    case RecordType.GROUPS_REMOVED:
      return encodeGroupsRemovedRecord(writer, RECORD_VERSION, record.body);
    case RecordType.PARTITION_CHANGE:
      return encodePartitionChangeRecord(writer, RECORD_VERSION, record.body);
    case RecordType.NODE_STATE:
      return encodeNodeStateRecord(writer, RECORD_VERSION, record.body);
    default:
      unreachable("a metadata record has one of the known types");
  }
}

/** Null for a type that this program does not know. */
function decodeBody(cursor: Cursor, type: number): MetadataRecord | null {
  switch (type) {
    case RecordType.CLUSTER:
      return { type, body: decodeClusterRecord(cursor, RECORD_VERSION) };
    case RecordType.NODE:
      return { type, body: decodeNodeRecord(cursor, RECORD_VERSION) };
    case RecordType.NODE_REMOVED:
      return { type, body: decodeNodeRemovedRecord(cursor, RECORD_VERSION) };
    case RecordType.TOPIC:
      return { type, body: decodeTopicRecord(cursor, RECORD_VERSION) };
    case RecordType.TOPIC_REMOVED:
      return { type, body: decodeTopicRemovedRecord(cursor, RECORD_VERSION) };
    case RecordType.PARTITION:
      return { type, body: decodePartitionRecord(cursor, RECORD_VERSION) };
    case RecordType.CONFIG:
      return { type, body: decodeConfigRecord(cursor, RECORD_VERSION) };
    case RecordType.PRODUCER_IDS:
      return { type, body: decodeProducerIdsRecord(cursor, RECORD_VERSION) };
    case RecordType.GROUP_IDS:
      return { type, body: decodeGroupIdsRecord(cursor, RECORD_VERSION) };
    case RecordType.FEATURE_LEVEL:
      return { type, body: decodeFeatureLevelRecord(cursor, RECORD_VERSION) };
    case RecordType.GROUPS_REMOVED:
      return { type, body: decodeGroupsRemovedRecord(cursor, RECORD_VERSION) };
    case RecordType.PARTITION_CHANGE:
      return { type, body: decodePartitionChangeRecord(cursor, RECORD_VERSION) };
    case RecordType.NODE_STATE:
      return { type, body: decodeNodeStateRecord(cursor, RECORD_VERSION) };
    default:
      return null;
  }
}

/**
 * What each field of a request is set to: values that are right, at the edge, and without sense.
 *
 * By the field's name where the name says what it is, by its type otherwise. Names of topics and groups
 * that do not exist carry the case's prefix, because asking for them may make them.
 *
 * @module
 */

import type { CatalogField } from "../../../src/wire/catalog_entry.ts";
import { ZERO_UUID } from "../../../src/wire/uuid.ts";
import type { Json } from "./case.ts";
import { isIn } from "./message_builder.ts";

const INT8S = [-128, -1, 0, 1, 2, 3, 127];
const INT16S = [-32768, -2, -1, 0, 1, 2, 32767];
const INT32S = [-2147483648, -2, -1, 0, 1, 3, 2147483647];
const INT64S = [-(2 ** 63), -3, -2, -1, 0, 1, 4, 2 ** 53, 2 ** 63];
const TEXTS = ["", " ", "$cother", "ä\u0000", "$c~300"];

const TOPICS = [
  "orders",
  "empty",
  "$cunknown",
  "",
  ".",
  "..",
  "$c b",
  "$cä",
  "$c~249",
  "$c~250",
  "__consumer_offsets",
];
const TOPIC_IDS = ["%id:orders%", "%id:empty%", ZERO_UUID, "0123456789abcdef0123456789abcdef"];
const GROUPS = ["idle", "live", "$cunknown", "", " ", "$c~300"];
const MEMBERS = ["", "$cmember", "%id:orders%"];
const PARTITIONS = [0, 1, 3, -1, -2147483648, 2147483647];
const EPOCHS = ["%epoch%", "%epoch+1%", -1, -2, 2147483647];
const CONFIGS = [
  "retention.ms",
  "preallocate",
  "min.cleanable.dirty.ratio",
  "leader.replication.throttled.replicas",
  "compression.type",
  "max.message.bytes ",
  "num.io.threads",
  "advertised.listeners",
  "cleanup.policy",
  "max.message.bytes",
  "min.insync.replicas",
  "segment.bytes",
  "$cunknown",
  "",
  "log.retention.ms",
];
const CONFIG_VALUES = [
  "",
  "1",
  "-1",
  "0",
  "compact",
  "delete",
  "compact,delete",
  "compact,compact",
  "true",
  "9223372036854775808",
  "1.5",
  " 5 ",
];
const RESOURCE_TYPES = [-1, 0, 1, 2, 3, 4, 8, 16, 32, 64, 127];
const RESOURCE_NAMES = ["orders", "1", "", "2", "$cunknown", "-1", "a b", "__consumer_offsets"];
/** Those that Kafka's controller may or may not keep to are left out: up to some ms. */
const TIMEOUTS = [5_000, 2147483647];
const SESSIONS = [-1, 0, 5999, 6000, 1_800_000, 1_800_001, 2147483647];

const BATCH = { records: [{ key: "k", value: "v" }] };

/** By name; `Message.name` wins over `name`. */
const BY_NAME: Readonly<Record<string, readonly Json[]>> = {
  topic: TOPICS,
  topicName: TOPICS,
  topicNames: TOPICS,
  name: TOPICS,
  topicId: TOPIC_IDS,
  groupId: GROUPS,
  groups: GROUPS,
  groupsNames: GROUPS,
  key: GROUPS,
  coordinatorKeys: GROUPS,
  keyType: [-128, -1, 0, 1, 2, 3, 127],
  memberId: MEMBERS,
  groupInstanceId: ["", "$cinstance", "$ci", " ", "..", "a/b", "$c~250"],
  partition: PARTITIONS,
  partitions: PARTITIONS,
  partitionIndex: PARTITIONS,
  partitionIndexes: PARTITIONS,
  index: PARTITIONS,
  currentLeaderEpoch: EPOCHS,
  leaderEpoch: EPOCHS,
  lastFetchedEpoch: EPOCHS,
  resourceType: RESOURCE_TYPES,
  resourceTypes: RESOURCE_TYPES,
  resourceName: RESOURCE_NAMES,
  configurationKeys: CONFIGS,
  configOperation: [-1, 0, 1, 2, 3, 4, 127],
  value: CONFIG_VALUES,
  timestamp: [-(2 ** 63), -100, -6, -5, -4, -3, -2, -1, 0, "%now%", "%now+1%", 2 ** 63],
  isolationLevel: [-128, -1, 0, 1, 2, 127],
  acks: [-32768, -2, -1, 0, 1, 2, 32767],
  timeoutMs: TIMEOUTS,
  maxWaitMs: [-2147483648, -1, 0, 1, 100],
  minBytes: [-2147483648, -1, 0, 1, 100],
  sessionTimeoutMs: SESSIONS,
  rebalanceTimeoutMs: [-2147483648, -1, 0, 100],
  transactionTimeoutMs: [-1, 0, 1, 900_000, 900_001, 2147483647],
  transactionalId: ["$ctxn", ""],
  protocolType: ["consumer", "", "connect", "$ctype"],
  protocolName: ["range", "", "roundrobin"],
  statesFilter: ["Stable", "stable", "Empty", "Dead", "nonsense", ""],
  typesFilter: ["classic", "Classic", "consumer", "share", "nonsense", ""],
  metadata: [{ text: "" }, { text: "opaque" }, { subscription: ["orders"] }],
  committedMetadata: ["", "note", "$c~4096", "$c~4097"],
  committedLeaderEpoch: [-2, -1, 0, 7, 2147483647],
  committedOffset: [-2, -1, 0, 1, 2 ** 53],
  retentionTimeMs: [-2, -1, 0, 1, 86_400_000],
  fetchOffset: [-2, -1, 0, 1, 3, 4, 5, 6, 2 ** 53, 2 ** 63],
  partitionMaxBytes: [-1, 0, 1, 100, 2147483647],
  maxBytes: [-1, 0, 1, 100, 2147483647],
  assignment: [{ text: "" }, { text: "mine" }],
  records: [
    { batches: [] },
    { batches: [BATCH] },
    { batches: [BATCH, BATCH] },
    { batches: [{ records: [] }] },
    { hex: "00" },
    { text: "nonsense of some length, longer than the header of a batch, which has 61 bytes" },
  ],
  numPartitions: [-2147483648, -2, -1, 0, 1, 3],
  count: [-2147483648, -1, 0, 1, 2, 3, 4],
  replicationFactor: [-32768, -2, -1, 0, 1, 2, 32767],
  brokerIds: [1, 2, -1, 2147483647],
  replicas: [1, 2, -1, 2147483647],
  replicaId: [-2147483648, -3, -2, -1, 0, 1, 5],
  electionType: [-1, 0, 1, 2, 127],
  endpointType: [-1, 0, 1, 2, 3, 127],
  clientSoftwareName: ["", "a", "a-b.c", "-a", "a b", "ä"],
  clientSoftwareVersion: ["", "1", "1.0-x", "-1", "1 0"],
  nodeId: [-2, -1, 0, 1, 2, 2147483647],
  "AlterableConfig.name": CONFIGS,
  "CreatableTopicConfig.name": CONFIGS,
  "CreatableTopic.name": [
    "$ct",
    "orders",
    "",
    ".",
    "..",
    "$c b",
    "$cä",
    "$c~249",
    "$c~250",
    "$c.",
    "__consumer_offsets",
  ],
  "JoinGroupRequestProtocol.name": ["range", "", "roundrobin"],
  "CreatableReplicaAssignment.partitionIndex": [0, 1, 2, -1],
  "JoinGroupRequest.groupId": ["", " ", "$cg", "$c~300"],
  "SyncGroupRequest.groupId": ["", " ", "$cg", "$cunknown"],
  // None of those that there are: what follows would meet other levels.
  "FeatureUpdateKey.feature": ["", "unknown.version", "$cfeature"],
  // Never the one that is there.
  "UnregisterBrokerRequest.brokerId": [-2147483648, -1, 0, 2, 2147483647],
  "DeleteGroupsRequest.groupsNames": ["$cunknown", "", "live"],
};

/** What a field of `struct` may be set to; for an array's field, what its elements may be. */
export function valuesOf(struct: string, field: CatalogField, version: number): readonly Json[] {
  const nullable = field.nullable !== undefined && isIn(version, field.nullable);
  const values = BY_NAME[`${struct}.${field.name}`] ?? namedValues(field) ?? byType(field.type);
  return nullable && !field.type.startsWith("[]") ? [null, ...values] : values;
}

/** A name is good only for the types that it is meant for. */
function namedValues({ name, type }: CatalogField): readonly Json[] | undefined {
  const values = BY_NAME[name];
  const element = type.replace(/^\[\]/, "");
  const isMeant = (value: Json): boolean => {
    if (element === "string" || element === "uuid") return typeof value === "string";
    if (element === "bytes" || element === "records") return typeof value === "object";
    return typeof value === "number" || isPlaceholder(value);
  };
  return values?.every(isMeant) ? values : undefined;
}

/** What stands for a number that differs between brokers, or from run to run. */
function isPlaceholder(value: Json): boolean {
  return typeof value === "string" && /^%(?:epoch|now).*%$/.test(value);
}

function byType(type: string): readonly Json[] {
  switch (type.replace(/^\[\]/, "")) {
    case "bool":
      return [true, false];
    case "int8":
      return INT8S;
    case "int16":
      return INT16S;
    case "int32":
    case "uint16":
    case "uint32":
      return INT32S;
    case "int64":
      return INT64S;
    case "string":
      return TEXTS;
    case "uuid":
      return TOPIC_IDS;
    case "bytes":
    case "records":
      return [{ hex: "" }, { hex: "00" }, { text: "text" }];
    default:
      return [];
  }
}

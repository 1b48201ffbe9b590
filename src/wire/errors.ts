/**
 * The error codes of the Kafka protocol: one table, from which the constants and the texts come.
 *
 * A protocol outcome is a number that is returned, never an exception. *Retriable* says that a
 * client may send the same request again (after a refresh of its metadata, where that is the
 * matter).
 *
 * @module
 */

/** The message is what tools print and what a response carries that has room for one. */
type Row = readonly [name: string, code: number, retriable: boolean, message: string];

const R = true;
const F = false;

const ROWS = [
  ["UNKNOWN_SERVER_ERROR", -1, F, "The server met a condition that it does not expect"],
  ["NONE", 0, F, "Success"],
  ["OFFSET_OUT_OF_RANGE", 1, F, "The offset is outside of the partition's log"],
  ["CORRUPT_MESSAGE", 2, R, "A checksum or a size of the records is wrong"],
  ["UNKNOWN_TOPIC_OR_PARTITION", 3, R, "This server does not host this topic-partition."],
  ["INVALID_FETCH_SIZE", 4, F, "The fetch size is not valid"],
  ["LEADER_NOT_AVAILABLE", 5, R, "The partition has no leader at the moment"],
  ["NOT_LEADER_OR_FOLLOWER", 6, R, "This server does not lead or hold the partition"],
  ["REQUEST_TIMED_OUT", 7, R, "The request's time ran out"],
  ["BROKER_NOT_AVAILABLE", 8, F, "The broker is not available"],
  ["REPLICA_NOT_AVAILABLE", 9, R, "The replica is not available"],
  ["MESSAGE_TOO_LARGE", 10, F, "A record batch is larger than the server takes"],
  ["STALE_CONTROLLER_EPOCH", 11, F, "The controller has a newer epoch"],
  ["OFFSET_METADATA_TOO_LARGE", 12, F, "The metadata of a committed offset is too large"],
  ["NETWORK_EXCEPTION", 13, R, "The connection broke before there was a response"],
  ["COORDINATOR_LOAD_IN_PROGRESS", 14, R, "The coordinator is still loading"],
  ["COORDINATOR_NOT_AVAILABLE", 15, R, "The coordinator is not available"],
  ["NOT_COORDINATOR", 16, R, "This server is not the coordinator"],
  [
    "INVALID_TOPIC_EXCEPTION",
    17,
    F,
    "The operation is not valid for this topic, or its name is not",
  ],
  ["RECORD_LIST_TOO_LARGE", 18, F, "The record batch is larger than a segment may be"],
  ["NOT_ENOUGH_REPLICAS", 19, R, "Fewer replicas are in sync than required"],
  ["NOT_ENOUGH_REPLICAS_AFTER_APPEND", 20, R, "Written, but to fewer replicas than required"],
  ["INVALID_REQUIRED_ACKS", 21, F, "The number of acknowledgements asked for is not valid"],
  ["ILLEGAL_GENERATION", 22, F, "The generation is not the group's"],
  ["INCONSISTENT_GROUP_PROTOCOL", 23, F, "The member has no protocol in common with the group"],
  ["INVALID_GROUP_ID", 24, F, "The group id is not valid"],
  ["UNKNOWN_MEMBER_ID", 25, F, "The coordinator does not know this member"],
  ["INVALID_SESSION_TIMEOUT", 26, F, "The session timeout is outside of the allowed range"],
  ["REBALANCE_IN_PROGRESS", 27, F, "The group is rebalancing: rejoin"],
  ["INVALID_COMMIT_OFFSET_SIZE", 28, F, "The offsets to commit are larger than allowed"],
  ["TOPIC_AUTHORIZATION_FAILED", 29, F, "Not authorized for the topic"],
  ["GROUP_AUTHORIZATION_FAILED", 30, F, "Not authorized for the group"],
  ["CLUSTER_AUTHORIZATION_FAILED", 31, F, "Not authorized for the cluster"],
  ["INVALID_TIMESTAMP", 32, F, "A record's timestamp is outside of the allowed range"],
  ["UNSUPPORTED_SASL_MECHANISM", 33, F, "The server does not have this SASL mechanism"],
  ["ILLEGAL_SASL_STATE", 34, F, "The request does not fit the state of authentication"],
  ["UNSUPPORTED_VERSION", 35, F, "The server does not have this version of the API"],
  ["TOPIC_ALREADY_EXISTS", 36, F, "A topic of this name exists"],
  ["INVALID_PARTITIONS", 37, F, "The number of partitions is not valid"],
  ["INVALID_REPLICATION_FACTOR", 38, F, "The replication factor is not valid or not possible"],
  ["INVALID_REPLICA_ASSIGNMENT", 39, F, "The replica assignment is not valid"],
  ["INVALID_CONFIG", 40, F, "A configuration value is not valid"],
  ["NOT_CONTROLLER", 41, R, "This server is not the controller"],
  ["INVALID_REQUEST", 42, F, "The request contradicts itself or the protocol"],
  ["UNSUPPORTED_FOR_MESSAGE_FORMAT", 43, F, "The message format on the server cannot do this"],
  ["POLICY_VIOLATION", 44, F, "A policy of the cluster forbids it"],
  ["OUT_OF_ORDER_SEQUENCE_NUMBER", 45, F, "The producer's sequence has a gap"],
  ["DUPLICATE_SEQUENCE_NUMBER", 46, F, "The producer's batch is a duplicate"],
  ["INVALID_PRODUCER_EPOCH", 47, F, "The producer's epoch is old"],
  ["INVALID_TXN_STATE", 48, F, "The transaction's state does not allow it"],
  ["INVALID_PRODUCER_ID_MAPPING", 49, F, "The producer id is not the transactional id's"],
  ["INVALID_TRANSACTION_TIMEOUT", 50, F, "The transaction timeout is longer than allowed"],
  ["CONCURRENT_TRANSACTIONS", 51, R, "Another operation on the transaction is going on"],
  ["TRANSACTION_COORDINATOR_FENCED", 52, F, "Another coordinator has taken over the transaction"],
  ["TRANSACTIONAL_ID_AUTHORIZATION_FAILED", 53, F, "Not authorized for the transactional id"],
  ["SECURITY_DISABLED", 54, F, "Security is switched off"],
  ["OPERATION_NOT_ATTEMPTED", 55, F, "Not tried, since another part of the request failed"],
  ["KAFKA_STORAGE_ERROR", 56, R, "The disk failed or is full, or the partition is damaged"],
  ["LOG_DIR_NOT_FOUND", 57, F, "The server does not have this log directory"],
  ["SASL_AUTHENTICATION_FAILED", 58, F, "SASL authentication failed"],
  ["UNKNOWN_PRODUCER_ID", 59, F, "The server knows nothing of the producer id"],
  ["REASSIGNMENT_IN_PROGRESS", 60, F, "The partition is being reassigned"],
  ["DELEGATION_TOKEN_AUTH_DISABLED", 61, F, "Delegation tokens are switched off"],
  ["DELEGATION_TOKEN_NOT_FOUND", 62, F, "There is no such delegation token"],
  ["DELEGATION_TOKEN_OWNER_MISMATCH", 63, F, "The principal is not the owner of the token"],
  ["DELEGATION_TOKEN_REQUEST_NOT_ALLOWED", 64, F, "Token requests are not allowed here"],
  ["DELEGATION_TOKEN_AUTHORIZATION_FAILED", 65, F, "Not authorized for the delegation token"],
  ["DELEGATION_TOKEN_EXPIRED", 66, F, "The delegation token has expired"],
  ["INVALID_PRINCIPAL_TYPE", 67, F, "The principal's type is not supported"],
  ["NON_EMPTY_GROUP", 68, F, "The group has members"],
  ["GROUP_ID_NOT_FOUND", 69, F, "There is no such group"],
  ["FETCH_SESSION_ID_NOT_FOUND", 70, R, "There is no such fetch session"],
  ["INVALID_FETCH_SESSION_EPOCH", 71, R, "The epoch of the fetch session is not the expected one"],
  ["LISTENER_NOT_FOUND", 72, R, "The leader has no listener of this name"],
  ["TOPIC_DELETION_DISABLED", 73, F, "Deleting topics is switched off"],
  ["FENCED_LEADER_EPOCH", 74, R, "The leader epoch is older than the server's"],
  ["UNKNOWN_LEADER_EPOCH", 75, R, "The leader epoch is newer than the server's"],
  ["UNSUPPORTED_COMPRESSION_TYPE", 76, F, "The compression is not supported here"],
  ["STALE_BROKER_EPOCH", 77, F, "The broker's epoch has changed"],
  ["OFFSET_NOT_AVAILABLE", 78, R, "The leader does not know its high watermark yet"],
  ["MEMBER_ID_REQUIRED", 79, F, "Join again with the member id of this response"],
  ["PREFERRED_LEADER_NOT_AVAILABLE", 80, R, "The preferred leader is not available"],
  ["GROUP_MAX_SIZE_REACHED", 81, F, "The group has as many members as it may have"],
  ["FENCED_INSTANCE_ID", 82, F, "Another member has taken over the group instance id"],
  ["ELIGIBLE_LEADERS_NOT_AVAILABLE", 83, R, "No replica may become leader"],
  ["ELECTION_NOT_NEEDED", 84, R, "Leader election not needed for topic partition."],
  ["NO_REASSIGNMENT_IN_PROGRESS", 85, F, "The partition is not being reassigned"],
  ["GROUP_SUBSCRIBED_TO_TOPIC", 86, F, "The group is subscribed to the topic"],
  ["INVALID_RECORD", 87, F, "A record is not valid"],
  ["UNSTABLE_OFFSET_COMMIT", 88, R, "Offsets of an open transaction are not yet stable"],
  ["THROTTLING_QUOTA_EXCEEDED", 89, R, "The quota is used up"],
  ["PRODUCER_FENCED", 90, F, "A newer producer has the same transactional id"],
  ["RESOURCE_NOT_FOUND", 91, F, "There is no such resource"],
  ["DUPLICATE_RESOURCE", 92, F, "The resource exists, or is named twice"],
  ["UNACCEPTABLE_CREDENTIAL", 93, F, "The credential does not meet the rules"],
  ["INCONSISTENT_VOTER_SET", 94, F, "Only one of sender and receiver is a voter"],
  ["INVALID_UPDATE_VERSION", 95, F, "The version of the update is not valid"],
  ["FEATURE_UPDATE_FAILED", 96, F, "The features could not be updated"],
  ["PRINCIPAL_DESERIALIZATION_FAILURE", 97, F, "A forwarded principal could not be read"],
  ["SNAPSHOT_NOT_FOUND", 98, F, "There is no such snapshot"],
  ["POSITION_OUT_OF_RANGE", 99, F, "The position is outside of the snapshot"],
  ["UNKNOWN_TOPIC_ID", 100, R, "This server does not host this topic ID."],
  ["DUPLICATE_BROKER_REGISTRATION", 101, F, "Another broker is registered with the id"],
  ["BROKER_ID_NOT_REGISTERED", 102, F, "No broker is registered with the id"],
  ["INCONSISTENT_TOPIC_ID", 103, R, "The topic id in the log is another one"],
  ["INCONSISTENT_CLUSTER_ID", 104, F, "The cluster id is another one"],
  ["TRANSACTIONAL_ID_NOT_FOUND", 105, F, "There is no such transactional id"],
  ["FETCH_SESSION_TOPIC_ID_ERROR", 106, R, "The fetch session mixes topic ids and names"],
  ["INELIGIBLE_REPLICA", 107, F, "The replica may not be in the in-sync set"],
  ["NEW_LEADER_ELECTED", 108, F, "The change has elected a new leader"],
  ["OFFSET_MOVED_TO_TIERED_STORAGE", 109, F, "The offset is in tiered storage"],
  ["FENCED_MEMBER_EPOCH", 110, F, "The member's epoch is not the coordinator's: join again"],
  ["UNRELEASED_INSTANCE_ID", 111, F, "Another member still has the group instance id"],
  ["UNSUPPORTED_ASSIGNOR", 112, F, "The group has no such assignor"],
  ["STALE_MEMBER_EPOCH", 113, F, "The member's epoch is old: wait for the next heartbeat"],
  ["MISMATCHED_ENDPOINT_TYPE", 114, F, "The request went to the wrong kind of endpoint"],
  ["UNSUPPORTED_ENDPOINT_TYPE", 115, F, "The kind of endpoint is not supported"],
  ["UNKNOWN_CONTROLLER_ID", 116, F, "The controller id is not known"],
  ["UNKNOWN_SUBSCRIPTION_ID", 117, F, "The telemetry subscription is not the current one"],
  ["TELEMETRY_TOO_LARGE", 118, F, "The telemetry is larger than allowed"],
  ["INVALID_REGISTRATION", 119, F, "The registration is not valid"],
  ["TRANSACTION_ABORTABLE", 120, F, "The transaction must be aborted"],
  ["INVALID_RECORD_STATE", 121, F, "The record's state does not allow the acknowledgement"],
  ["SHARE_SESSION_NOT_FOUND", 122, R, "There is no such share session"],
  ["INVALID_SHARE_SESSION_EPOCH", 123, R, "The epoch of the share session is not the expected one"],
  ["FENCED_STATE_EPOCH", 124, F, "The epoch of the share state is old"],
  ["INVALID_VOTER_KEY", 125, F, "The voter's id and directory do not belong together"],
  ["DUPLICATE_VOTER", 126, F, "The voter is in the set already"],
  ["VOTER_NOT_FOUND", 127, F, "The voter is not in the set"],
  ["INVALID_REGULAR_EXPRESSION", 128, F, "The regular expression is not valid"],
  ["REBOOTSTRAP_REQUIRED", 129, F, "The client must start again from its bootstrap servers"],
  ["STREAMS_INVALID_TOPOLOGY", 130, F, "The topology is not valid"],
  ["STREAMS_INVALID_TOPOLOGY_EPOCH", 131, F, "The topology's epoch is not valid"],
  ["STREAMS_TOPOLOGY_FENCED", 132, F, "The topology's epoch is old"],
  ["SHARE_SESSION_LIMIT_REACHED", 133, R, "There are as many share sessions as there may be"],
  // From here on new in Kafka 4.4: not compared with its library, as those before are.
  ["GROUP_DELETION_FAILED", 134, F, "The group could not be deleted"],
  [
    "STREAMS_TOPOLOGY_DESCRIPTION_UPDATE_FAILED",
    135,
    F,
    "The topology's description was not taken",
  ],
  ["CONTROLLER_ID_NOT_REGISTERED", 136, F, "No controller is registered with the id"],
] as const satisfies readonly Row[];

type Name = (typeof ROWS)[number][0];

/** The codes by name, as in `ErrorCode.NONE`. */
export const ErrorCode = Object.fromEntries(
  ROWS.map((row) => [row[0], row[1]]),
) as { readonly [Row in (typeof ROWS)[number] as Row[0]]: Row[1] };

/** One of the codes of {@linkcode ErrorCode}. */
export type ErrorCode = (typeof ErrorCode)[Name];

/** What is known of an error code. */
export interface ErrorInfo {
  readonly name: string;
  readonly code: number;
  /** A client may send the request again. */
  readonly retriable: boolean;
  readonly message: string;
}

const BY_CODE: ReadonlyMap<number, ErrorInfo> = new Map(
  (ROWS as readonly Row[]).map(([name, code, retriable, message]) => [
    code,
    { name, code, retriable, message },
  ]),
);

/** The entry of `code`; that of UNKNOWN_SERVER_ERROR for a code that is none. */
export function errorInfo(code: number): ErrorInfo {
  return BY_CODE.get(code) ?? BY_CODE.get(-1)!;
}

/** All entries, by ascending code. */
export function errorInfos(): readonly ErrorInfo[] {
  return [...BY_CODE.values()];
}

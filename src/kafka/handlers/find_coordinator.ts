/**
 * FindCoordinator (key 10), versions 0 to 6: the node that coordinates a group or a transactional id.
 *
 * - A group (type 0, all there is in v0): the leader of its partition of `__consumer_offsets`. The
 *   topic is created at the first request.
 * - COORDINATOR_NOT_AVAILABLE as long as the topic is being created or the leader's address is not known, and
 *   where the group's partition is damaged, so that nothing can be written to it.
 * - A transactional id (type 1): the same with `__transaction_state`. While nodes are there that have no transactions
 *   (`gregor.version`), TRANSACTIONAL_ID_AUTHORIZATION_FAILED and a text: it ends `initTransactions` at once, where clients would
 *   try again for ever after any other error.
 * - v4: many keys at once.
 *
 * Gaps: no share groups (type 2, v6): INVALID_REQUEST.
 *
 * @module
 */

import type { PartitionImage } from "../../cluster/image.ts";
import { OFFSETS_TOPIC, TRANSACTIONS_TOPIC } from "../../cluster/topic_names.ts";
import { groupPartition } from "../../group/group_partition.ts";
import type { Task } from "../../io/task.ts";
import { ErrorCode, errorInfo } from "../../wire/errors.ts";
import { FIND_COORDINATOR } from "../../wire/generated/apis.ts";
import type { FindCoordinatorRequest } from "../../wire/generated/find_coordinator_request.ts";
import {
  type Coordinator,
  type FindCoordinatorResponse,
  newCoordinator,
  newFindCoordinatorResponse,
} from "../../wire/generated/find_coordinator_response.ts";
import { type Handler, LOCAL } from "../handler.ts";
import type { Services } from "../services.ts";
import { createOnDemand } from "../topic_creation.ts";
import { kafkaAddressOf, reachableLeader } from "../topic_views.ts";
import { hasTransactions, transactionPartition } from "../transaction_routes.ts";

const KeyType = { GROUP: 0, TRANSACTION: 1 } as const;

const NO_TRANSACTIONS_MESSAGE =
  "the cluster has no transactions before all its nodes have them: produce without a transactional.id (idempotence works)";

const READ_ONLY_MESSAGE =
  "the partition that keeps it is read-only, because damage may have taken some of its records: the " +
  "broker's log has details, and a start with --accept-loss makes it writable";

/** First version with many keys. */
const KEYS_VERSION = 4;

export const FIND_COORDINATOR_HANDLER: Handler<FindCoordinatorRequest, FindCoordinatorResponse> = {
  api: FIND_COORDINATOR,
  minVersion: 0,
  maxVersion: 6,
  route: LOCAL,
  *handle({ services, version }, request) {
    const keys = version >= KEYS_VERSION ? request.coordinatorKeys : [request.key];
    if (request.keyType === KeyType.GROUP) yield* makeTopic(services, OFFSETS_TOPIC);
    if (request.keyType === KeyType.TRANSACTION && hasTransactions(services)) {
      yield* makeTopic(services, TRANSACTIONS_TOPIC);
    }
    const coordinators = keys.map((key) => find(services, request.keyType, key));
    if (version >= KEYS_VERSION) return newFindCoordinatorResponse({ coordinators });
    const { errorCode, errorMessage, nodeId, host, port } = coordinators[0]!;
    // Where there is no error, these versions say so, and later ones say nothing.
    const message = errorCode === ErrorCode.NONE ? "NONE" : errorMessage;
    return newFindCoordinatorResponse({ errorCode, errorMessage: message, nodeId, host, port });
  },
};

function* makeTopic(services: Services, name: string): Task<void> {
  if (services.image.topicByName(name) !== undefined) return;
  // Whatever the result, the image says whether the topic exists.
  yield* createOnDemand(services, [name]);
}

function find(services: Services, keyType: number, key: string): Coordinator {
  if (keyType === KeyType.TRANSACTION && !hasTransactions(services)) {
    const errorCode = ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
    return refused(key, errorCode, NO_TRANSACTIONS_MESSAGE);
  }
  const isTransaction = keyType === KeyType.TRANSACTION;
  if (keyType !== KeyType.GROUP && !isTransaction) return refused(key, ErrorCode.INVALID_REQUEST);
  const partition = isTransaction
    ? transactionPartition(services, key)
    : partitionOf(services, key);
  if (partition !== null && services.trouble.readOnlyGroups.has(partition.groupId)) {
    return refused(key, ErrorCode.COORDINATOR_NOT_AVAILABLE, READ_ONLY_MESSAGE);
  }
  const nodeId = partition === null ? -1 : reachableLeader(services, partition);
  if (nodeId < 0) return refused(key, ErrorCode.COORDINATOR_NOT_AVAILABLE);
  const node = services.image.nodes.get(nodeId);
  const address = node === undefined ? null : kafkaAddressOf(node);
  if (address === null) return refused(key, ErrorCode.COORDINATOR_NOT_AVAILABLE);
  const { host, port } = address;
  return newCoordinator({ key, nodeId, host, port });
}

/** The partition that keeps a group; null as long as the topic does not exist. */
function partitionOf({ image }: Services, key: string): PartitionImage | null {
  const topic = image.topicByName(OFFSETS_TOPIC);
  if (topic === undefined || topic.partitions.length === 0) return null;
  return topic.partitions[groupPartition(key, topic.partitions.length)]!;
}

function refused(
  key: string,
  errorCode: number,
  errorMessage: string = errorInfo(errorCode).message,
): Coordinator {
  return newCoordinator({ key, nodeId: -1, host: "", port: -1, errorCode, errorMessage });
}

/**
 * Metadata (key 3), versions 0 to 13: nodes, topics, and who leads their partitions.
 *
 * - All topics: an empty list in v0, a null list from v1 on; an empty list from v1 on is no topics.
 * - Topics that do not exist are created when the broker (`auto.create.topics.enable`) and, from v4 on,
 *   the client allow it; the answer waits for the creation.
 * - By topic id from v12 on: UNKNOWN_TOPIC_ID without a name. As in Kafka topics that are asked for by name are left
 *   out of the answer then. In v10 and v11 a request with an id is refused, later one with a topic by nothing.
 * - Authorized operations are all there are when asked for (v8), else the value for "not asked".
 *
 * - Nodes that cannot be reached are left out. A partition of which no leader is known that can be reached: leader -1
 *   and LEADER_NOT_AVAILABLE. The controller is -1 while none is known.
 * - In sync are the replicas that had everything within `replica.lag.time.max.ms`, as the leader tells every node; of a
 *   partition without a leader those that the last one named.
 *
 * @module
 */

import type { TopicImage } from "../../cluster/image.ts";
import { topicNameProblem } from "../../cluster/topic_names.ts";
import type { Task } from "../../io/task.ts";
import { ErrorCode } from "../../wire/errors.ts";
import { METADATA } from "../../wire/generated/apis.ts";
import type {
  MetadataRequest,
  MetadataRequestTopic,
} from "../../wire/generated/metadata_request.ts";
import {
  type MetadataResponse,
  type MetadataResponseTopic,
  newMetadataResponse,
  newMetadataResponseTopic,
} from "../../wire/generated/metadata_response.ts";
import { ZERO_UUID } from "../../wire/uuid.ts";
import { type Handler, LOCAL, type RequestContext } from "../handler.ts";
import { createOnDemand } from "../topic_creation.ts";
import {
  CLUSTER_OPERATIONS,
  controllerIdOf,
  kafkaAddresses,
  OPERATIONS_NOT_ASKED,
  TOPIC_OPERATIONS,
  viewPartition,
} from "../topic_views.ts";

/** Topics that are described in one turn. */
const TOPICS_PER_TURN = 256;
/** First version that asks for topics by id. */
const TOPIC_IDS_SINCE = 12;

export const METADATA_HANDLER: Handler<MetadataRequest, MetadataResponse> = {
  api: METADATA,
  minVersion: 0,
  maxVersion: 13,
  route: LOCAL,
  rows: {
    of: ({ topics }) => topics,
    with: (response, topics) => ({ ...response, topics: topics as MetadataResponseTopic[] }),
    bytesBehind: (version) => (version >= 8 && version <= 10 ? 4 : 0) + (version >= 13 ? 2 : 0),
  },
  *handle(context, request) {
    const { services, version } = context;
    const { image } = services;
    const isRefused = version < TOPIC_IDS_SINCE ? isNameless : isNothing;
    if (!hasIds(context, request) && request.topics?.some(isRefused)) return refuse(request);
    const all = request.topics === null || (version === 0 && request.topics.length === 0);
    const topics = all
      ? yield* inTurns(
        context,
        [...image.topics.values()],
        (topic) => viewTopic(context, request, topic),
      )
      : yield* namedTopics(context, request);
    return newMetadataResponse({
      brokers: kafkaAddresses(image, (nodeId) => services.live.isAlive(nodeId)),
      clusterId: image.clusterId === "" ? null : image.clusterId,
      controllerId: controllerIdOf(services),
      topics,
      clusterAuthorizedOperations:
        version >= 8 && version <= 10 && request.includeClusterAuthorizedOperations
          ? CLUSTER_OPERATIONS
          : OPERATIONS_NOT_ASKED,
    });
  },
};

/** By an id, or by nothing. */
function isNameless({ name, topicId }: MetadataRequestTopic): boolean {
  return name === null || topicId !== ZERO_UUID;
}

function isNothing({ name, topicId }: MetadataRequestTopic): boolean {
  return name === null && topicId === ZERO_UUID;
}

/** Whether the request asks by ids, in a version that can. */
function hasIds({ version }: RequestContext, { topics }: MetadataRequest): boolean {
  return version >= TOPIC_IDS_SINCE && topics !== null &&
    topics.some(({ topicId }) => topicId !== ZERO_UUID);
}

/** Nothing but the topics as they were asked for, as Kafka refuses them. */
function refuse(request: MetadataRequest): MetadataResponse {
  const errorCode = ErrorCode.INVALID_REQUEST;
  const topics = request.topics!.map(({ name, topicId }) =>
    newMetadataResponseTopic({ errorCode, name: name ?? "", topicId })
  );
  return newMetadataResponse({ errorCode, topics });
}

function* namedTopics(
  context: RequestContext,
  request: MetadataRequest,
): Task<MetadataResponseTopic[]> {
  const { image } = context.services;
  const topics = request.topics!;
  if (hasIds(context, request)) {
    const ids = new Set(topics.map(({ topicId }) => topicId).filter((id) => id !== ZERO_UUID));
    return yield* inTurns(context, [...ids], (topicId) => {
      const topic = image.topicById(topicId);
      if (topic !== undefined) return viewTopic(context, request, topic);
      const errorCode = ErrorCode.UNKNOWN_TOPIC_ID;
      return newMetadataResponseTopic({ errorCode, name: null, topicId });
    });
  }
  const names = [...new Set(topics.map(({ name }) => name!))];
  const missing = names.filter((name) => image.topicByName(name) === undefined);
  const errors = missing.length === 0
    ? new Map<string, number>()
    : yield* createMissing(context, request, missing);
  return yield* inTurns(context, names, (name) => {
    const topic = image.topicByName(name);
    if (topic !== undefined) return viewTopic(context, request, topic);
    const errorCode = errors.get(name) ?? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
    return missingTopic(context, request, name, errorCode);
  });
}

/** What `view` makes of each item, of some in each turn. */
function* inTurns<Item>(
  { services }: RequestContext,
  items: readonly Item[],
  view: (item: Item) => MetadataResponseTopic,
): Task<MetadataResponseTopic[]> {
  const views: MetadataResponseTopic[] = [];
  for (const item of items) {
    views.push(view(item));
    if (views.length % TOPICS_PER_TURN === 0) yield* services.nextTurn();
  }
  return views;
}

/** Creates topics that may be created; returns the error for each name that does not exist afterwards. */
function* createMissing(
  context: RequestContext,
  request: MetadataRequest,
  names: readonly string[],
): Task<Map<string, number>> {
  const { services } = context;
  const { image } = services;
  const allowed = image.settings.boolean("auto.create.topics.enable") &&
    (context.version < 4 || request.allowAutoTopicCreation);
  const errors = new Map<string, number>();
  const wanted: string[] = [];
  for (const name of names) {
    if (topicNameProblem(name) !== null) errors.set(name, ErrorCode.INVALID_TOPIC_EXCEPTION);
    else if (!allowed) errors.set(name, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION);
    else wanted.push(name);
  }
  for (const [name, error] of yield* createOnDemand(services, wanted)) {
    errors.set(name, creationError(error));
  }
  return errors;
}

/** What a client of Metadata understands of a creation that did not show up in the image. */
function creationError(errorCode: number): number {
  switch (errorCode) {
    // Created, by us or by somebody else, but not known here yet; or not created yet: retry.
    case ErrorCode.NONE:
    case ErrorCode.TOPIC_ALREADY_EXISTS:
    case ErrorCode.NOT_CONTROLLER:
      return ErrorCode.LEADER_NOT_AVAILABLE;
    case ErrorCode.INVALID_PARTITIONS:
    case ErrorCode.POLICY_VIOLATION:
      return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
    default:
      return errorCode;
  }
}

function missingTopic(
  context: RequestContext,
  request: MetadataRequest,
  name: string,
  errorCode: number,
): MetadataResponseTopic {
  const topicAuthorizedOperations = topicOperations(context, request);
  return newMetadataResponseTopic({ errorCode, name, topicAuthorizedOperations });
}

function topicOperations({ version }: RequestContext, request: MetadataRequest): number {
  return version >= 8 && request.includeTopicAuthorizedOperations
    ? TOPIC_OPERATIONS
    : OPERATIONS_NOT_ASKED;
}

function viewTopic(
  context: RequestContext,
  request: MetadataRequest,
  topic: TopicImage,
): MetadataResponseTopic {
  return newMetadataResponseTopic({
    name: topic.name,
    topicId: topic.id,
    isInternal: topic.internal,
    partitions: topic.partitions.map((partition) => viewPartition(context.services, partition)),
    topicAuthorizedOperations: topicOperations(context, request),
  });
}

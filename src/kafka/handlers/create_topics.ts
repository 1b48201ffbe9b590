/**
 * CreateTopics (key 19), versions 0 to 7: makes topics.
 *
 * - Each topic succeeds or fails alone; those that succeed are entries of the metadata log, of up to
 *   {@linkcode TOPICS_PER_TURN} topics each, and the answer waits for their commit, and then once, for a while, for the
 *   leaders of all that was made.
 * - v1: may be a trial, and errors have words.
 * - v4: partitions and replication factor may be -1 for the defaults.
 * - v5: the answer has the partitions, the replication factor and every config in force.
 * - v7: the answer has the topic's id.
 *
 * Gaps: the request's timeout is ignored (the answer waits for the commit); no quota on creation.
 *
 * @module
 */

import { describeTopicConfigs } from "../../cluster/config_description.ts";
import type { Outcome } from "../../cluster/command.ts";
import { type CreateTopicResult, TopicCreation } from "../../cluster/create_topics.ts";
import { ErrorCode } from "../../wire/errors.ts";
import { CREATE_TOPICS } from "../../wire/generated/apis.ts";
import type { CreateTopicsRequest } from "../../wire/generated/create_topics_request.ts";
import {
  type CreatableTopicResult,
  type CreateTopicsResponse,
  newCreatableTopicResult,
  newCreateTopicsResponse,
} from "../../wire/generated/create_topics_response.ts";
import { controllerRefusal, onController, settle } from "../controller_answer.ts";
import { type Handler, ON_CONTROLLER } from "../handler.ts";
import type { Services } from "../services.ts";

/** Topics that are created by one command, in one turn. */
const TOPICS_PER_TURN = 32;

export const CREATE_TOPICS_HANDLER: Handler<CreateTopicsRequest, CreateTopicsResponse> = {
  api: CREATE_TOPICS,
  minVersion: 0,
  maxVersion: 7,
  route: ON_CONTROLLER,
  rows: {
    of: ({ topics }) => topics,
    with: (response, topics) => ({ ...response, topics: topics as CreatableTopicResult[] }),
    bytesBehind: () => 0,
  },
  *handle({ services }, request) {
    const creation = new TopicCreation(request.topics, request.validateOnly);
    const topics: CreatableTopicResult[] = [];
    for (let at = 0; at < request.topics.length; at += TOPICS_PER_TURN) {
      if (at > 0) yield* services.nextTurn();
      const part = request.topics.slice(at, at + TOPICS_PER_TURN);
      const executed = yield* onController(services, (command) => creation.create(command, part));
      const { error, message } = controllerRefusal(services);
      const results = executed?.result ?? part.map(({ name }) => ({ name, error, message }));
      for (const result of results) topics.push(shown(services, result));
    }
    const isMade = topics.some(({ errorCode }) => errorCode === ErrorCode.NONE);
    if (isMade && !request.validateOnly) yield* settle(services);
    for (const result of creation.duplicates()) topics.push(shown(services, result));
    return newCreateTopicsResponse({ topics });
  },
};

function shown(
  { image }: Services,
  result: CreateTopicResult | (Outcome & { readonly name: string }),
): CreatableTopicResult {
  if (!("topicId" in result) || result.error !== ErrorCode.NONE) {
    const { name, error: errorCode, message: errorMessage } = result;
    return newCreatableTopicResult({ name, errorCode, errorMessage });
  }
  const configs = describeTopicConfigs(image, result.configs).map((config) => ({
    name: config.name,
    value: config.value,
    readOnly: config.readOnly,
    configSource: config.source,
    isSensitive: false,
  }));
  return newCreatableTopicResult({
    name: result.name,
    errorMessage: null,
    topicId: result.topicId,
    numPartitions: result.partitionCount,
    replicationFactor: result.replicationFactor,
    configs,
  });
}

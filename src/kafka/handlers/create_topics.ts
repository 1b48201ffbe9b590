/**
 * CreateTopics (key 19), versions 0 to 7: makes topics.
 *
 * - Each topic succeeds or fails alone; all that succeed are one entry of the metadata log, and the answer
 *   waits for its commit.
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
import { createTopics } from "../../cluster/create_topics.ts";
import { ErrorCode } from "../../wire/errors.ts";
import { CREATE_TOPICS } from "../../wire/generated/apis.ts";
import type { CreateTopicsRequest } from "../../wire/generated/create_topics_request.ts";
import {
  type CreateTopicsResponse,
  newCreatableTopicResult,
  newCreateTopicsResponse,
} from "../../wire/generated/create_topics_response.ts";
import { controllerRefusal, onController } from "../controller_answer.ts";
import { type Handler, ON_CONTROLLER } from "../handler.ts";

export const CREATE_TOPICS_HANDLER: Handler<CreateTopicsRequest, CreateTopicsResponse> = {
  api: CREATE_TOPICS,
  minVersion: 0,
  maxVersion: 7,
  route: ON_CONTROLLER,
  *handle({ services }, request) {
    const executed = yield* onController(
      services,
      (command) => createTopics(command, request.topics, request.validateOnly),
    );
    if (executed === null) {
      const { error: errorCode, message: errorMessage } = controllerRefusal(services);
      const topics = request.topics.map(({ name }) =>
        newCreatableTopicResult({ name, errorCode, errorMessage })
      );
      return newCreateTopicsResponse({ topics });
    }
    const topics = executed.result.map((result) => {
      if (result.error !== ErrorCode.NONE) {
        const { name, error: errorCode, message: errorMessage } = result;
        return newCreatableTopicResult({ name, errorCode, errorMessage });
      }
      const configs = describeTopicConfigs(services.image, result.configs).map((config) => ({
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
    });
    return newCreateTopicsResponse({ topics });
  },
};

/**
 * DeleteTopics (key 20), versions 0 to 6: removes topics with their data.
 *
 * - Each topic succeeds or fails alone; the answer waits for the commit, the files are removed later.
 * - By name; from v6 on by name or id. An unknown name is UNKNOWN_TOPIC_OR_PARTITION, an unknown id
 *   UNKNOWN_TOPIC_ID.
 * - Where deletion is switched off: TOPIC_DELETION_DISABLED, before v3 INVALID_REQUEST.
 *
 * Gaps: the request's timeout is ignored. Internal topics are refused with
 * TOPIC_AUTHORIZATION_FAILED, which Kafka leaves to its authorizer.
 *
 * @module
 */

import { deleteTopics } from "../../cluster/delete_topics.ts";
import { ErrorCode } from "../../wire/errors.ts";
import { DELETE_TOPICS } from "../../wire/generated/apis.ts";
import type { DeleteTopicsRequest } from "../../wire/generated/delete_topics_request.ts";
import {
  type DeleteTopicsResponse,
  newDeletableTopicResult,
  newDeleteTopicsResponse,
} from "../../wire/generated/delete_topics_response.ts";
import { ZERO_UUID } from "../../wire/uuid.ts";
import { controllerRefusal, onController } from "../controller_answer.ts";
import { type Handler, ON_CONTROLLER } from "../handler.ts";

export const DELETE_TOPICS_HANDLER: Handler<DeleteTopicsRequest, DeleteTopicsResponse> = {
  api: DELETE_TOPICS,
  minVersion: 0,
  maxVersion: 6,
  route: ON_CONTROLLER,
  *handle({ services, version }, request) {
    const references = version >= 6
      ? request.topics
      : request.topicNames.map((name) => ({ name, topicId: ZERO_UUID }));
    const executed = yield* onController(services, (command) => deleteTopics(command, references));
    const results = executed?.result ?? references.map((reference) => ({
      ...reference,
      ...controllerRefusal(services),
    }));
    const responses = results.map(({ name, topicId, error, message }) => {
      const disabled = error === ErrorCode.TOPIC_DELETION_DISABLED && version < 3;
      return newDeletableTopicResult({
        name,
        topicId,
        errorCode: disabled ? ErrorCode.INVALID_REQUEST : error,
        errorMessage: version >= 5 ? message : null,
      });
    });
    return newDeleteTopicsResponse({ responses });
  },
};

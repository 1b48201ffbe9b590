/**
 * Topics that are created on demand: Metadata's auto-creation, the coordinators' own.
 *
 * @module
 */

import type { Task } from "../io/task.ts";
import { ErrorCode } from "../wire/errors.ts";
import { CREATE_TOPICS } from "../wire/generated/apis.ts";
import {
  newCreatableTopic,
  newCreateTopicsRequest,
} from "../wire/generated/create_topics_request.ts";
import type { Services } from "./services.ts";

/** The version in which the controller is asked. */
const CREATE_TOPICS_VERSION = 7;
const CREATE_TIMEOUT_MS = 30_000;

/**
 * Creates topics with the broker's defaults, internal ones with their own settings.
 *
 * @returns the error of CreateTopics by name; TOPIC_ALREADY_EXISTS means that somebody was faster
 */
export function* createOnDemand(
  services: Services,
  names: readonly string[],
): Task<Map<string, number>> {
  const errors = new Map<string, number>();
  if (names.length === 0) return errors;
  // The controller knows best how many nodes there are.
  const topics = names.map((name) =>
    newCreatableTopic({ name, numPartitions: -1, replicationFactor: -1 })
  );
  const request = newCreateTopicsRequest({ topics, timeoutMs: CREATE_TIMEOUT_MS });
  const response = yield* services.call(CREATE_TOPICS, CREATE_TOPICS_VERSION, request);
  if (response === null) {
    for (const name of names) errors.set(name, ErrorCode.INVALID_REQUEST);
    return errors;
  }
  for (const { name, errorCode } of response.topics) errors.set(name, errorCode);
  return errors;
}

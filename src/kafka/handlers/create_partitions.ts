/**
 * CreatePartitions (key 37), versions 0 to 3: adds partitions to topics.
 *
 * - `count` is the total wanted, which has to be more than there are.
 * - Each topic succeeds or fails alone; the answer waits for the commit.
 *
 * Gaps: the request's timeout is ignored; no quota (THROTTLING_QUOTA_EXCEEDED). The partitions of
 * internal topics are fixed, because coordinators are found by hash over their count.
 *
 * @module
 */

import { createPartitions } from "../../cluster/create_topics.ts";
import { ErrorCode } from "../../wire/errors.ts";
import { CREATE_PARTITIONS } from "../../wire/generated/apis.ts";
import type { CreatePartitionsRequest } from "../../wire/generated/create_partitions_request.ts";
import {
  type CreatePartitionsResponse,
  newCreatePartitionsResponse,
} from "../../wire/generated/create_partitions_response.ts";
import { controllerRefusal, onController, settle } from "../controller_answer.ts";
import { type Handler, ON_CONTROLLER } from "../handler.ts";

export const CREATE_PARTITIONS_HANDLER: Handler<
  CreatePartitionsRequest,
  CreatePartitionsResponse
> = {
  api: CREATE_PARTITIONS,
  minVersion: 0,
  maxVersion: 3,
  route: ON_CONTROLLER,
  *handle({ services }, request) {
    const topics = request.topics.map(({ name, count, assignments }) => ({
      name,
      count,
      assignments: assignments?.map((assignment) => assignment.brokerIds) ?? null,
    }));
    const executed = yield* onController(
      services,
      (command) => createPartitions(command, topics, request.validateOnly),
    );
    const results = executed?.result ?? topics.map(({ name }) => ({
      name,
      ...controllerRefusal(services),
    }));
    const isMade = results.some(({ error }) => error === ErrorCode.NONE);
    if (isMade && !request.validateOnly) yield* settle(services);
    return newCreatePartitionsResponse({
      results: results.map(({ name, error, message }) => ({
        name,
        errorCode: error,
        errorMessage: message,
      })),
    });
  },
};

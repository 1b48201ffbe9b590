/**
 * IncrementalAlterConfigs (key 44), versions 0 and 1: changes single configs.
 *
 * - Resources: topics, one broker, all brokers (empty name). Operations: SET, DELETE, and APPEND and
 *   SUBTRACT for lists.
 * - Each resource succeeds or fails alone, and as a whole; the answer waits for the commit.
 *
 * Gaps: broker loggers, client metrics and groups have no configs here (INVALID_REQUEST). A broker
 * setting that is read only at start-up is refused with INVALID_REQUEST, as in Kafka.
 *
 * @module
 */

import { alterConfigs } from "../../cluster/alter_configs.ts";
import { INCREMENTAL_ALTER_CONFIGS } from "../../wire/generated/apis.ts";
import type { IncrementalAlterConfigsRequest } from "../../wire/generated/incremental_alter_configs_request.ts";
import {
  type IncrementalAlterConfigsResponse,
  newIncrementalAlterConfigsResponse,
} from "../../wire/generated/incremental_alter_configs_response.ts";
import { controllerRefusal, onController } from "../controller_answer.ts";
import { type Handler, ON_CONTROLLER } from "../handler.ts";

export const INCREMENTAL_ALTER_CONFIGS_HANDLER: Handler<
  IncrementalAlterConfigsRequest,
  IncrementalAlterConfigsResponse
> = {
  api: INCREMENTAL_ALTER_CONFIGS,
  minVersion: 0,
  maxVersion: 1,
  route: ON_CONTROLLER,
  *handle({ services }, request) {
    const resources = request.resources.map(({ resourceType, resourceName, configs }) => ({
      resourceType,
      resourceName,
      changes: configs.map(({ name, configOperation, value }) => ({
        name,
        operation: configOperation,
        value,
      })),
    }));
    const executed = yield* onController(
      services,
      (command) => alterConfigs(command, resources, request.validateOnly),
    );
    const results = executed?.result ?? resources.map((resource) => ({
      ...resource,
      ...controllerRefusal(services),
    }));
    return newIncrementalAlterConfigsResponse({
      responses: results.map(({ error, message, resourceType, resourceName }) => ({
        errorCode: error,
        errorMessage: message,
        resourceType,
        resourceName,
      })),
    });
  },
};

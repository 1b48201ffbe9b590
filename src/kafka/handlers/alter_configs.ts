/**
 * AlterConfigs (key 33), versions 0 to 2: replaces the whole configuration of resources.
 *
 * Kafka has deprecated it, older tools still send it. What the request does not name is removed; apart
 * from that it does what IncrementalAlterConfigs does, with the same gaps.
 *
 * @module
 */

import { replaceConfigs } from "../../cluster/alter_configs.ts";
import { ALTER_CONFIGS } from "../../wire/generated/apis.ts";
import type { AlterConfigsRequest } from "../../wire/generated/alter_configs_request.ts";
import {
  type AlterConfigsResponse,
  newAlterConfigsResponse,
} from "../../wire/generated/alter_configs_response.ts";
import { controllerRefusal, onController } from "../controller_answer.ts";
import { type Handler, ON_CONTROLLER } from "../handler.ts";

export const ALTER_CONFIGS_HANDLER: Handler<AlterConfigsRequest, AlterConfigsResponse> = {
  api: ALTER_CONFIGS,
  minVersion: 0,
  maxVersion: 2,
  route: ON_CONTROLLER,
  *handle({ services }, request) {
    const executed = yield* onController(
      services,
      (command) => replaceConfigs(command, request.resources, request.validateOnly),
    );
    const results = executed?.result ?? request.resources.map((resource) => ({
      ...resource,
      ...controllerRefusal(services),
    }));
    return newAlterConfigsResponse({
      responses: results.map(({ error, message, resourceType, resourceName }) => ({
        errorCode: error,
        errorMessage: message,
        resourceType,
        resourceName,
      })),
    });
  },
};

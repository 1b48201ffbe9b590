/**
 * ListConfigResources (key 74), versions 0 and 1: which resources may be configured.
 *
 * - v0 lists client metrics subscriptions alone, of which there are none.
 * - v1: topics, brokers and broker loggers, or those types that are asked for. Groups are listed that have
 *   something set, and of client metrics there are none; any other type is UNSUPPORTED_VERSION, as in Kafka.
 *
 * Gaps: broker loggers are listed, as Kafka's tools expect, but have no configs.
 *
 * @module
 */

import { ResourceType } from "../../cluster/config_table.ts";
import { ErrorCode } from "../../wire/errors.ts";
import { LIST_CONFIG_RESOURCES } from "../../wire/generated/apis.ts";
import type { ListConfigResourcesRequest } from "../../wire/generated/list_config_resources_request.ts";
import {
  type ConfigResource,
  type ListConfigResourcesResponse,
  newListConfigResourcesResponse,
} from "../../wire/generated/list_config_resources_response.ts";
import { type Handler, LOCAL } from "../handler.ts";

const LISTED: readonly number[] = [
  ResourceType.TOPIC,
  ResourceType.BROKER,
  ResourceType.BROKER_LOGGER,
  ResourceType.CLIENT_METRICS,
  ResourceType.GROUP,
];

export const LIST_CONFIG_RESOURCES_HANDLER: Handler<
  ListConfigResourcesRequest,
  ListConfigResourcesResponse
> = {
  api: LIST_CONFIG_RESOURCES,
  minVersion: 0,
  maxVersion: 1,
  route: LOCAL,
  // deno-lint-ignore require-yield -- answered from the image.
  *handle({ services, version }, request) {
    if (version === 0) return newListConfigResourcesResponse();
    const types = new Set(request.resourceTypes.length === 0 ? LISTED : request.resourceTypes);
    for (const type of types) {
      if (LISTED.includes(type)) continue;
      return newListConfigResourcesResponse({ errorCode: ErrorCode.UNSUPPORTED_VERSION });
    }
    const { image } = services;
    const nodeNames = [...image.nodes.keys()].sort((a, b) => a - b).map((nodeId) => `${nodeId}`);
    const configResources: ConfigResource[] = [];
    const list = (resourceType: number, names: Iterable<string>): void => {
      if (!types.has(resourceType)) return;
      for (const resourceName of names) configResources.push({ resourceName, resourceType });
    };
    list(ResourceType.TOPIC, image.topics.keys());
    list(ResourceType.BROKER, nodeNames);
    list(ResourceType.BROKER_LOGGER, nodeNames);
    list(ResourceType.GROUP, image.configs.resourceNames(ResourceType.GROUP));
    return newListConfigResourcesResponse({ configResources });
  },
};

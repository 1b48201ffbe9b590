/**
 * DescribeConfigs (key 32), versions 0 to 4: configurations, with the source of each value.
 *
 * - Topics; groups, whether they exist or not; this broker by its id (every setting); all brokers by an empty name (what was set for all).
 * - A list of keys selects; no list, or in Kafka's clients an empty one, is everything.
 * - v0 says whether a value is the default (Kafka 3.9 always says no). v1: sources, and synonyms when asked for. v3: types, and documentation when asked for.
 *
 * Gaps: another broker's id is refused with INVALID_REQUEST, because only that broker knows its start-up
 * settings; clients ask the broker itself. Broker loggers and client metrics have no configs here (INVALID_REQUEST), and
 * groups have those of consumer groups alone.
 *
 * @module
 */

import {
  type ConfigDescription,
  ConfigSource,
  describeAllBrokersConfigs,
  describeBrokerConfigs,
  describeGroupConfigs,
  describeTopicConfigs,
} from "../../cluster/config_description.ts";
import { ALL_BROKERS, noConfigsOf, ResourceType } from "../../cluster/config_table.ts";
import { topicNameProblem } from "../../cluster/topic_names.ts";
import { ErrorCode } from "../../wire/errors.ts";
import { DESCRIBE_CONFIGS } from "../../wire/generated/apis.ts";
import type {
  DescribeConfigsRequest,
  DescribeConfigsResource,
} from "../../wire/generated/describe_configs_request.ts";
import {
  type DescribeConfigsResourceResult,
  type DescribeConfigsResponse,
  type DescribeConfigsResult,
  newDescribeConfigsResponse,
  newDescribeConfigsResult,
} from "../../wire/generated/describe_configs_response.ts";
import { Once } from "./once.ts";
import { type Handler, LOCAL, type RequestContext } from "../handler.ts";

/** Resources that are described in one turn. */
const RESOURCES_PER_TURN = 64;

interface Refusal {
  readonly errorCode: number;
  readonly errorMessage: string;
}

export const DESCRIBE_CONFIGS_HANDLER: Handler<DescribeConfigsRequest, DescribeConfigsResponse> = {
  api: DESCRIBE_CONFIGS,
  minVersion: 0,
  maxVersion: 4,
  route: LOCAL,
  rows: {
    of: ({ results }) => results,
    with: (response, results) => ({ ...response, results: results as DescribeConfigsResult[] }),
    bytesBehind: () => 0,
  },
  *handle(context, request) {
    const described = new Once<ConfigDescription[] | Refusal>();
    const shownWhole = new Once<DescribeConfigsResourceResult[]>();
    const answer = (resource: DescribeConfigsResource): DescribeConfigsResult => {
      const { resourceType, resourceName, configurationKeys } = resource;
      const name = `${resourceType} ${resourceName}`;
      const found = described.of(name, () => describe(context, resourceType, resourceName));
      if (!Array.isArray(found)) {
        return newDescribeConfigsResult({ ...found, resourceType, resourceName });
      }
      const show = (config: ConfigDescription) => shown(config, request);
      let configs: DescribeConfigsResourceResult[];
      if (configurationKeys === null || configurationKeys.length === 0) {
        configs = shownWhole.of(name, () => found.map(show));
      } else {
        const keys = new Set(configurationKeys);
        configs = found.filter((config) => keys.has(config.name)).map(show);
      }
      return newDescribeConfigsResult({ errorMessage: "", resourceType, resourceName, configs });
    };
    const results: DescribeConfigsResult[] = [];
    for (const resource of request.resources) {
      results.push(answer(resource));
      if (results.length % RESOURCES_PER_TURN === 0) yield* context.services.nextTurn();
    }
    return newDescribeConfigsResponse({ results });
  },
};

function describe(
  { services }: RequestContext,
  resourceType: number,
  resourceName: string,
): ConfigDescription[] | Refusal {
  const { image } = services;
  if (resourceType === ResourceType.TOPIC) {
    const problem = topicNameProblem(resourceName);
    if (problem !== null) return refusal(ErrorCode.INVALID_TOPIC_EXCEPTION, problem);
    if (image.topicByName(resourceName) === undefined) {
      const message = `there is no topic '${resourceName}'`;
      return refusal(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, message);
    }
    return describeTopicConfigs(image, image.configs.get(ResourceType.TOPIC, resourceName));
  }
  if (resourceType === ResourceType.BROKER) {
    if (resourceName === ALL_BROKERS) return describeAllBrokersConfigs(image);
    if (resourceName === `${services.nodeId}`) return describeBrokerConfigs(image);
    const message = /^[+-]?\d{1,10}$/.test(resourceName)
      ? `Unexpected broker id, expected ${services.nodeId} or empty string, but received ${
        Number(resourceName)
      }`
      : `Broker id must be an integer, but it is: ${resourceName}`;
    return refusal(ErrorCode.INVALID_REQUEST, message);
  }
  if (resourceType === ResourceType.GROUP) {
    if (resourceName === "") {
      return refusal(ErrorCode.INVALID_REQUEST, "Group name must not be empty");
    }
    return describeGroupConfigs(image, image.configs.get(ResourceType.GROUP, resourceName));
  }
  return refusal(ErrorCode.INVALID_REQUEST, noConfigsOf(resourceType));
}

function shown(
  config: ConfigDescription,
  request: DescribeConfigsRequest,
): DescribeConfigsResourceResult {
  return {
    name: config.name,
    value: config.value,
    readOnly: config.readOnly,
    isDefault: config.source === ConfigSource.DEFAULT,
    configSource: config.source,
    isSensitive: false,
    synonyms: request.includeSynonyms ? [...config.synonyms] : [],
    configType: config.typeId,
    documentation: request.includeDocumentation ? config.documentation : null,
  };
}

function refusal(errorCode: number, errorMessage: string): Refusal {
  return { errorCode, errorMessage };
}

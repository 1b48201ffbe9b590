/**
 * Reading and changing configs of topics and brokers.
 *
 * @module
 */

import { DESCRIBE_CONFIGS, INCREMENTAL_ALTER_CONFIGS } from "../../wire/generated/apis.ts";
import {
  newDescribeConfigsRequest,
  newDescribeConfigsResource,
} from "../../wire/generated/describe_configs_request.ts";
import {
  newAlterableConfig,
  newAlterConfigsResource,
  newIncrementalAlterConfigsRequest,
} from "../../wire/generated/incremental_alter_configs_request.ts";
import type { Cluster } from "./cluster.ts";
import { brokerRefusal } from "./outcome.ts";

/** Kafka's numbers for what can be configured. */
export const RESOURCE_TOPIC = 2;
export const RESOURCE_BROKER = 4;

const OPERATION_SET = 0;
const OPERATION_DELETE = 1;

const SOURCE_NAMES: Readonly<Record<number, string>> = {
  1: "topic",
  2: "broker",
  3: "cluster",
  4: "start",
  5: "default",
  6: "logger",
  8: "group",
};

export interface Config {
  readonly name: string;
  readonly value: string | null;
  /** Where the value comes from: topic, broker, cluster, start (flags or file), default. */
  readonly source: string;
  readonly isReadOnly: boolean;
}

/** A thing that has configs; the name of a broker is its node id, empty for the whole cluster. */
export interface Configured {
  readonly type: number;
  readonly name: string;
}

/** Every config of a resource, by name. */
export async function describeConfigs(cluster: Cluster, what: Configured): Promise<Config[]> {
  const response = await cluster.any.call(
    DESCRIBE_CONFIGS,
    newDescribeConfigsRequest({
      resources: [
        newDescribeConfigsResource({
          resourceType: what.type,
          resourceName: what.name,
          configurationKeys: null,
        }),
      ],
    }),
  );
  const [result] = response.results;
  if (result === undefined) return [];
  if (result.errorCode !== 0) {
    throw brokerRefusal(
      `read the configs of ${nameOf(what)}`,
      result.errorCode,
      result.errorMessage,
    );
  }
  return result.configs
    .map((config) => ({
      name: config.name,
      value: config.isSensitive ? null : config.value,
      source: SOURCE_NAMES[config.configSource] ?? `source ${config.configSource}`,
      isReadOnly: config.readOnly,
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Sets some configs and removes others, all or none. */
export async function alterConfigs(
  cluster: Cluster,
  what: Configured,
  change: { readonly set: ReadonlyMap<string, string>; readonly unset: readonly string[] },
): Promise<void> {
  const configs = [
    ...[...change.set].map(([name, value]) =>
      newAlterableConfig({ name, value, configOperation: OPERATION_SET })
    ),
    ...change.unset.map((name) =>
      newAlterableConfig({ name, value: null, configOperation: OPERATION_DELETE })
    ),
  ];
  const request = newIncrementalAlterConfigsRequest({
    resources: [
      newAlterConfigsResource({ resourceType: what.type, resourceName: what.name, configs }),
    ],
  });
  const response = await cluster.callController(
    (controller) => controller.call(INCREMENTAL_ALTER_CONFIGS, request),
    ({ responses }) => responses.map(({ errorCode }) => errorCode),
  );
  for (const { errorCode, errorMessage } of response.responses) {
    if (errorCode !== 0) {
      throw brokerRefusal(`change the configs of ${nameOf(what)}`, errorCode, errorMessage);
    }
  }
}

function nameOf(what: Configured): string {
  if (what.type === RESOURCE_TOPIC) return `topic ${what.name}`;
  return what.name === "" ? "the cluster" : `node ${what.name}`;
}

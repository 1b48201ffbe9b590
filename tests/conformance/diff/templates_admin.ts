/**
 * Templates of configs and of what describes the cluster.
 *
 * @module
 */

import { type JsonObject, type Step, step } from "./case.ts";
import type { Template } from "./template.ts";
import { OWN_TOPIC } from "./templates_topics.ts";

const OWN_CONFIGS: Step = step("DescribeConfigs", 4, {
  resources: [{
    resourceType: 2,
    resourceName: "$ct",
    configurationKeys: [
      "retention.ms",
      "cleanup.policy",
      "max.message.bytes",
      "leader.replication.throttled.replicas",
    ],
  }],
});

/** What describes resources. */
function describing(...resources: JsonObject[]): Template {
  return { api: "DescribeConfigs", request: { resources, includeSynonyms: true } };
}

/** What changes a config of the case's own topic. */
function altering(api: "AlterConfigs" | "IncrementalAlterConfigs", config: JsonObject): Template {
  return {
    api,
    changes: "topics",
    before: OWN_TOPIC,
    request: { resources: [{ resourceType: 2, resourceName: "$ct", configs: [config] }] },
    after: [OWN_CONFIGS],
  };
}

/** What would change a config of brokers, and does not. */
function validating(api: "AlterConfigs" | "IncrementalAlterConfigs", config: JsonObject): Template {
  const resources = [{ resourceType: 4, resourceName: "", configs: [config] }];
  return { api, changes: "nothing", request: { validateOnly: true, resources } };
}

export const ADMIN_TEMPLATES: readonly Template[] = [
  { api: "ApiVersions", request: { clientSoftwareName: "diff", clientSoftwareVersion: "1" } },
  { api: "DescribeCluster", request: {} },
  {
    api: "DescribeQuorum",
    request: { topics: [{ topicName: "__cluster_metadata", partitions: [{ partitionIndex: 0 }] }] },
  },
  { api: "UnregisterBroker", request: { brokerId: 77 } },
  {
    api: "UpdateFeatures",
    to: 0,
    request: { featureUpdates: [{ feature: "unknown.version", maxVersionLevel: 1 }] },
  },
  {
    api: "UpdateFeatures",
    from: 1,
    request: {
      featureUpdates: [{ feature: "unknown.version", maxVersionLevel: 1, upgradeType: 1 }],
      validateOnly: true,
    },
  },
  {
    api: "AlterReplicaLogDirs",
    request: { dirs: [{ path: "/nowhere", topics: [{ name: "orders", partitions: [0] }] }] },
  },
  { api: "ListConfigResources", request: { resourceTypes: [2] } },
  { api: "ListConfigResources", from: 1, request: {} },
  describing({
    resourceType: 2,
    resourceName: "orders",
    configurationKeys: ["retention.ms", "cleanup.policy"],
  }),
  describing({ resourceType: 4, resourceName: "1", configurationKeys: ["log.retention.ms"] }),
  describing(
    { resourceType: 2, resourceName: "compacted", configurationKeys: null },
    { resourceType: 4, resourceName: "", configurationKeys: null },
  ),
  altering("AlterConfigs", { name: "retention.ms", value: "5000" }),
  { ...validating("AlterConfigs", { name: "num.io.threads", value: "9" }), isAlike: true },
  altering("IncrementalAlterConfigs", { name: "retention.ms", configOperation: 0, value: "5000" }),
  altering("IncrementalAlterConfigs", {
    name: "cleanup.policy",
    configOperation: 2,
    value: "compact",
  }),
  {
    ...altering("IncrementalAlterConfigs", {
      name: "leader.replication.throttled.replicas",
      configOperation: 2,
      value: "0:1,1:1",
    }),
    isAlike: true,
  },
  validating("IncrementalAlterConfigs", {
    name: "num.io.threads",
    configOperation: 0,
    value: "9",
  }),
];

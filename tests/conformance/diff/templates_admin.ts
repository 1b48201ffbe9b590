/**
 * Templates of configs and of what describes the cluster.
 *
 * @module
 */

import { type Step, step } from "./case.ts";
import type { Template } from "./template.ts";
import { OWN_TOPIC } from "./templates_data.ts";

const OWN_CONFIGS: Step = step("DescribeConfigs", 4, {
  resources: [{
    resourceType: 2,
    resourceName: "$ct",
    configurationKeys: ["retention.ms", "cleanup.policy", "max.message.bytes"],
  }],
});

export const ADMIN_TEMPLATES: readonly Template[] = [
  { api: "ApiVersions", request: { clientSoftwareName: "diff", clientSoftwareVersion: "1" } },
  { api: "DescribeCluster", request: {} },
  { api: "ListConfigResources", request: { resourceTypes: [2] } },
  { api: "ListConfigResources", from: 1, request: {} },
  {
    api: "DescribeConfigs",
    request: {
      resources: [{
        resourceType: 2,
        resourceName: "orders",
        configurationKeys: ["retention.ms", "cleanup.policy"],
      }],
    },
  },
  {
    api: "DescribeConfigs",
    request: {
      resources: [{ resourceType: 4, resourceName: "1", configurationKeys: ["log.retention.ms"] }],
      includeSynonyms: true,
    },
  },
  {
    api: "AlterConfigs",
    changes: "topics",
    before: OWN_TOPIC,
    request: {
      resources: [{
        resourceType: 2,
        resourceName: "$ct",
        configs: [{ name: "retention.ms", value: "5000" }],
      }],
    },
    after: [OWN_CONFIGS],
  },
  {
    api: "IncrementalAlterConfigs",
    changes: "topics",
    before: OWN_TOPIC,
    request: {
      resources: [{
        resourceType: 2,
        resourceName: "$ct",
        configs: [{ name: "retention.ms", configOperation: 0, value: "5000" }],
      }],
    },
    after: [OWN_CONFIGS],
  },
  {
    api: "IncrementalAlterConfigs",
    changes: "topics",
    before: OWN_TOPIC,
    request: {
      resources: [{
        resourceType: 2,
        resourceName: "$ct",
        configs: [{ name: "cleanup.policy", configOperation: 2, value: "compact" }],
      }],
    },
    after: [OWN_CONFIGS],
  },
];

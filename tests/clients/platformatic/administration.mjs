/**
 * The command `admin` of ../README.md, over a topic that exists and has records.
 *
 * @module
 */

import {
  AclOperations,
  AclPermissionTypes,
  ConfigResourceTypes,
  FindCoordinatorKeyTypes,
  ListOffsetTimestamps,
  ResourcePatternTypes,
  ResourceTypes,
} from "@platformatic/kafka";
import { Steps } from "../shared/steps.mjs";

const SET = 0;
const EXACT = 0;

/**
 * @param {import("../shared/program.mjs").Options} options
 * @param {import("@platformatic/kafka").Admin} admin
 */
export async function administrate(options, admin) {
  const steps = new Steps();
  await cluster(options, admin, steps);
  await configs(options, admin, steps);
  await partitions(options, admin, steps);
  await groups(options, admin, steps);
  await security(options, admin, steps);
  await steps.must("deleteTopics", () => admin.deleteTopics({ topics: [options.topic] }));
  return steps.result;
}

async function cluster({ topic }, admin, steps) {
  await steps.must("metadata", () => admin.metadata({ topics: [topic] }));
  await steps.must("listTopics", () => admin.listTopics({ includeInternals: true }));
  const dirs = { topics: [{ name: topic, partitions: [0] }] };
  await steps.must("describeLogDirs", () => admin.describeLogDirs(dirs));
}

async function configs({ topic }, admin, steps) {
  const resource = { resourceType: ConfigResourceTypes.TOPIC, resourceName: topic };
  const config = { name: "retention.ms", value: "3600000" };
  await steps.must("alterConfigs", () =>
    admin.alterConfigs({
      resources: [{ ...resource, configs: [config] }],
    }));
  await steps.must("incrementalAlterConfigs", () =>
    admin.incrementalAlterConfigs({
      resources: [{ ...resource, configs: [{ ...config, configOperation: SET }] }],
    }));
  await steps.must("describeConfigs", () =>
    admin.describeConfigs({
      resources: [resource],
      includeSynonyms: true,
    }));
}

async function partitions({ topic, partitions, baseMs }, admin, steps) {
  const grown = [{ name: topic, count: partitions + 1 }];
  await steps.must("createPartitions", () => admin.createPartitions({ topics: grown }));
  const { EARLIEST, LATEST, MAX } = ListOffsetTimestamps;
  for (const timestamp of [EARLIEST, LATEST, MAX, BigInt(baseMs)]) {
    const topics = [{ name: topic, partitions: [{ partitionIndex: 0, timestamp }] }];
    await steps.must("listOffsets", () => admin.listOffsets({ topics }));
  }
  const records = [{ name: topic, partitions: [{ partition: 0, offset: 1n }] }];
  await steps.must("deleteRecords", () => admin.deleteRecords({ topics: records }));
}

async function groups({ topic, group }, admin, steps) {
  const groupId = `${topic}-admin`;
  // Partition 1 is there since createPartitions. A group is gone with its last offset in some brokers.
  const partitionOffsets = [0, 1].map((partition) => ({ partition, offset: 1n }));
  const offsets = [{ name: topic, partitionOffsets }];
  await steps.must(
    "alterConsumerGroupOffsets",
    () => admin.alterConsumerGroupOffsets({ groupId, topics: offsets }),
  );
  await steps.must(
    "listConsumerGroupOffsets",
    () => admin.listConsumerGroupOffsets({ groups: [groupId] }),
  );
  const keyType = FindCoordinatorKeyTypes.GROUP;
  await steps.must("findCoordinator", () => admin.findCoordinator({ keyType, keys: [groupId] }));
  await steps.must("listGroups", () => admin.listGroups());
  await steps.must("describeGroups", () => admin.describeGroups({ groups: [groupId] }));
  if (group !== "") {
    await steps.may("describeGroups of members", () => admin.describeGroups({ groups: [group] }));
  }
  const committed = [{ name: topic, partitionIndexes: [0] }];
  await steps.must(
    "deleteConsumerGroupOffsets",
    () => admin.deleteConsumerGroupOffsets({ groupId, topics: committed }),
  );
  await steps.must("deleteGroups", () => admin.deleteGroups({ groups: [groupId] }));
}

async function security({ topic }, admin, steps) {
  const acl = {
    resourceType: ResourceTypes.TOPIC,
    resourceName: topic,
    resourcePatternType: ResourcePatternTypes.LITERAL,
    principal: "User:tests",
    host: "*",
    operation: AclOperations.READ,
    permissionType: AclPermissionTypes.ALLOW,
  };
  await steps.may("createAcls", () => admin.createAcls({ creations: [acl] }));
  await steps.may("describeAcls", () => admin.describeAcls({ filter: acl }));
  await steps.may("deleteAcls", () => admin.deleteAcls({ filters: [acl] }));
  const entities = [{ entityType: "user", entityName: "tests" }];
  const ops = [{ key: "producer_byte_rate", value: 1e6, remove: false }];
  await steps.may(
    "alterClientQuotas",
    () => admin.alterClientQuotas({ entries: [{ entities, ops }] }),
  );
  const components = [{ entityType: "user", matchType: EXACT, match: "tests" }];
  await steps.may("describeClientQuotas", () => admin.describeClientQuotas({ components }));
}

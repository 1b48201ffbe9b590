/**
 * The command `admin` of ../README.md, over a topic that exists and has records.
 *
 * @module
 */

import kafkajs from "kafkajs";
import { Steps } from "../shared/steps.mjs";

const {
  AclOperationTypes,
  AclPermissionTypes,
  AclResourceTypes,
  ConfigResourceTypes,
  ResourcePatternTypes,
} = kafkajs;

/**
 * @param {import("../shared/program.mjs").Options} options
 * @param {import("kafkajs").Admin} admin connected
 */
export async function administrate(options, admin) {
  const steps = new Steps();
  await cluster(options, admin, steps);
  await configs(options, admin, steps);
  await partitions(options, admin, steps);
  await groups(options, admin, steps);
  await acls(options, admin, steps);
  await steps.must("deleteTopics", () => admin.deleteTopics({ topics: [options.topic] }));
  return steps.result;
}

async function cluster({ topic }, admin, steps) {
  await steps.must("describeCluster", () => admin.describeCluster());
  await steps.must("listTopics", () => admin.listTopics());
  await steps.must("fetchTopicMetadata", () => admin.fetchTopicMetadata({ topics: [topic] }));
}

async function configs({ topic }, admin, steps) {
  const resource = { type: ConfigResourceTypes.TOPIC, name: topic };
  const configEntries = [{ name: "retention.ms", value: "3600000" }];
  await steps.must("alterConfigs", () =>
    admin.alterConfigs({
      validateOnly: false,
      resources: [{ ...resource, configEntries }],
    }));
  await steps.must("describeConfigs", () =>
    admin.describeConfigs({
      includeSynonyms: true,
      resources: [resource],
    }));
}

async function partitions({ topic, partitions, baseMs }, admin, steps) {
  const topicPartitions = [{ topic, count: partitions + 1 }];
  await steps.must("createPartitions", () => admin.createPartitions({ topicPartitions }));
  await steps.must("fetchTopicOffsets", () => admin.fetchTopicOffsets(topic));
  await steps.must(
    "fetchTopicOffsetsByTimestamp",
    () => admin.fetchTopicOffsetsByTimestamp(topic, baseMs),
  );
  const records = { topic, partitions: [{ partition: 0, offset: "1" }] };
  await steps.must("deleteTopicRecords", () => admin.deleteTopicRecords(records));
  const reassigned = [{ topic, partitions: [0] }];
  await steps.must(
    "listPartitionReassignments",
    () => admin.listPartitionReassignments({ topics: reassigned }),
  );
  const { brokers: [{ nodeId }] } = await admin.describeCluster();
  const partitionAssignment = [{ partition: 0, replicas: [nodeId] }];
  await steps.may(
    "alterPartitionReassignments",
    () => admin.alterPartitionReassignments({ topics: [{ topic, partitionAssignment }] }),
  );
  await steps.must("createTopics, refused", async () => {
    if (await admin.createTopics({ topics: [{ topic }] })) throw new Error("created twice");
  });
}

async function groups({ topic, group }, admin, steps) {
  const groupId = `${topic}-admin`;
  const offsets = { groupId, topic, partitions: [{ partition: 0, offset: "1" }] };
  await steps.must("setOffsets", () => admin.setOffsets(offsets));
  await steps.must("fetchOffsets", () => admin.fetchOffsets({ groupId, topics: [topic] }));
  await steps.must("listGroups", () => admin.listGroups());
  await steps.must("describeGroups", () => admin.describeGroups([groupId]));
  if (group !== "") {
    await steps.may("describeGroups of members", () => admin.describeGroups([group]));
  }
  await steps.must("deleteGroups", () => admin.deleteGroups([groupId]));
}

async function acls({ topic }, admin, steps) {
  const acl = {
    resourceType: AclResourceTypes.TOPIC,
    resourceName: topic,
    resourcePatternType: ResourcePatternTypes.LITERAL,
    principal: "User:tests",
    host: "*",
    operation: AclOperationTypes.READ,
    permissionType: AclPermissionTypes.ALLOW,
  };
  await steps.may("createAcls", () => admin.createAcls({ acl: [acl] }));
  await steps.may("describeAcls", () => admin.describeAcls(acl));
  await steps.may("deleteAcls", () => admin.deleteAcls({ filters: [acl] }));
}

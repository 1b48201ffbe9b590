import { strict as assert } from "node:assert";
import { ResourceType } from "../../cluster/config_table.ts";
import { createTopics } from "../../cluster/create_topics.ts";
import { raiseVersion } from "../../cluster/features.ts";
import { OWN_VERSIONS } from "../../cluster/logical_version.ts";
import { testNode } from "../../cluster/test_cluster.ts";
import { Cursor } from "../../bytes/cursor.ts";
import { ErrorCode } from "../../wire/errors.ts";
import { newAlterReplicaLogDirsRequest } from "../../wire/generated/alter_replica_log_dirs_request.ts";
import { newAlterConfigsRequest } from "../../wire/generated/alter_configs_request.ts";
import { newApiVersionsRequest } from "../../wire/generated/api_versions_request.ts";
import { newCreatePartitionsRequest } from "../../wire/generated/create_partitions_request.ts";
import {
  newCreatableTopic,
  newCreateTopicsRequest,
} from "../../wire/generated/create_topics_request.ts";
import { newDeleteTopicsRequest } from "../../wire/generated/delete_topics_request.ts";
import { newDescribeClusterRequest } from "../../wire/generated/describe_cluster_request.ts";
import { newDescribeConfigsRequest } from "../../wire/generated/describe_configs_request.ts";
import { newElectLeadersRequest } from "../../wire/generated/elect_leaders_request.ts";
import { newListPartitionReassignmentsRequest } from "../../wire/generated/list_partition_reassignments_request.ts";
import { newDescribeTopicPartitionsRequest } from "../../wire/generated/describe_topic_partitions_request.ts";
import { newIncrementalAlterConfigsRequest } from "../../wire/generated/incremental_alter_configs_request.ts";
import { newInitProducerIdRequest } from "../../wire/generated/init_producer_id_request.ts";
import {
  newFeatureUpdateKey,
  newUpdateFeaturesRequest,
  type UpdateFeaturesRequest,
} from "../../wire/generated/update_features_request.ts";
import { newListConfigResourcesRequest } from "../../wire/generated/list_config_resources_request.ts";
import { ZERO_UUID } from "../../wire/uuid.ts";
import type { Handler } from "../handler.ts";
import { TestBroker } from "../test_services.ts";
import { ALTER_CONFIGS_HANDLER } from "./alter_configs.ts";
import { ALTER_REPLICA_LOG_DIRS_HANDLER } from "./alter_replica_log_dirs.ts";
import { apiVersionsHandler } from "./api_versions.ts";
import { CREATE_PARTITIONS_HANDLER } from "./create_partitions.ts";
import { CREATE_TOPICS_HANDLER } from "./create_topics.ts";
import { DELETE_TOPICS_HANDLER } from "./delete_topics.ts";
import { DESCRIBE_CLUSTER_HANDLER } from "./describe_cluster.ts";
import { DESCRIBE_CONFIGS_HANDLER } from "./describe_configs.ts";
import { DESCRIBE_TOPIC_PARTITIONS_HANDLER } from "./describe_topic_partitions.ts";
import { ELECT_LEADERS_HANDLER } from "./elect_leaders.ts";
import { LIST_PARTITION_REASSIGNMENTS_HANDLER } from "./list_partition_reassignments.ts";
import { INCREMENTAL_ALTER_CONFIGS_HANDLER } from "./incremental_alter_configs.ts";
import { INIT_PRODUCER_ID_HANDLER } from "./init_producer_id.ts";
import { LIST_CONFIG_RESOURCES_HANDLER } from "./list_config_resources.ts";
import { UPDATE_FEATURES_HANDLER } from "./update_features.ts";

function eachVersion<Request, Response>(
  handler: Handler<Request, Response>,
  what: string,
  test: (version: number) => void,
): void {
  for (let version = handler.minVersion; version <= handler.maxVersion; version++) {
    Deno.test(`${handler.api.name} v${version} ${what}`, () => test(version));
  }
}

const API_VERSIONS_HANDLER = apiVersionsHandler(() => [
  { apiKey: 18, minVersion: 0, maxVersion: 5 },
  { apiKey: 0, minVersion: 0, maxVersion: 13 },
  { apiKey: 20_000, minVersion: 0, maxVersion: 0 },
]);

Deno.test("ApiVersions shows Gregor's own APIs to its command line alone", () => {
  const broker = new TestBroker();
  const keysFor = (clientSoftwareName: string): number[] => {
    const request = newApiVersionsRequest({ clientSoftwareName, clientSoftwareVersion: "1" });
    return broker.ask(API_VERSIONS_HANDLER, 3, request).apiKeys.map(({ apiKey }) => apiKey);
  };
  assert.deepEqual(keysFor("librdkafka"), [0, 18]);
  assert.deepEqual(keysFor("gregor-cli"), [0, 18, 20_000]);
});

eachVersion(API_VERSIONS_HANDLER, "advertises what is served, by key", (version) => {
  const broker = new TestBroker();
  const fields = version >= 3
    ? { clientSoftwareName: "apache-kafka-java", clientSoftwareVersion: "4.1.0" }
    : {};
  const response = broker.ask(API_VERSIONS_HANDLER, version, newApiVersionsRequest(fields));
  assert.equal(response.errorCode, ErrorCode.NONE);
  const levels = response.supportedFeatures.map(({ name, maxVersion }) => [name, maxVersion]);
  const own = [["gregor.version", OWN_VERSIONS.max], ["metadata.version", 30]];
  const later = [["group.version", 1], ["transaction.version", 2]];
  const shown = version < 3 ? [] : version < 4 ? own : [...own, ...later].sort();
  assert.deepEqual(levels.sort(), shown);
  assert.deepEqual(response.apiKeys, [
    { apiKey: 0, minVersion: 0, maxVersion: 13 },
    { apiKey: 18, minVersion: 0, maxVersion: 5 },
  ]);
  assert.equal(response.finalizedFeaturesEpoch, version >= 3 ? 0 : -1);
  if (version < 3) return;
  broker.cluster.run(raiseVersion);
  const raised = broker.ask(API_VERSIONS_HANDLER, version, newApiVersionsRequest(fields));
  assert.equal(raised.finalizedFeaturesEpoch, OWN_VERSIONS.max);
  const finalized = raised.finalizedFeatures.map(({ name, maxVersionLevel }) => [
    name,
    maxVersionLevel,
  ]);
  assert.deepEqual(finalized.sort(), [...own, ...later].sort());
  for (const clientSoftwareName of ["", "-x", "a b", "x-"]) {
    const request = newApiVersionsRequest({ ...fields, clientSoftwareName });
    const refused = broker.ask(API_VERSIONS_HANDLER, version, request);
    assert.equal(refused.errorCode, ErrorCode.INVALID_REQUEST);
  }
  if (version < 5) return;
  const errorOf = (clusterId: string | null, nodeId: number) =>
    broker.ask(
      API_VERSIONS_HANDLER,
      version,
      newApiVersionsRequest({ ...fields, clusterId, nodeId }),
    ).errorCode;
  assert.equal(errorOf(broker.cluster.image.clusterId, 0), ErrorCode.NONE);
  assert.equal(errorOf("another", 0), ErrorCode.REBOOTSTRAP_REQUIRED);
  assert.equal(errorOf(broker.cluster.image.clusterId, 1), ErrorCode.REBOOTSTRAP_REQUIRED);
  assert.equal(errorOf(null, 0), ErrorCode.INVALID_REQUEST);
  assert.equal(errorOf(broker.cluster.image.clusterId, -1), ErrorCode.INVALID_REQUEST);
});

Deno.test("ApiVersions answers a version that it does not know in v0, with its own versions", () => {
  const cursor = Cursor.of(API_VERSIONS_HANDLER.unsupportedVersion!());
  const response = API_VERSIONS_HANDLER.api.decodeResponse(cursor, 0);
  assert.equal(cursor.atEnd(), true);
  assert.equal(response.errorCode, ErrorCode.UNSUPPORTED_VERSION);
  assert.deepEqual(response.apiKeys.map(({ apiKey }) => apiKey), [18]);
});

eachVersion(CREATE_TOPICS_HANDLER, "creates topics and shows them", (version) => {
  const broker = new TestBroker();
  const request = newCreateTopicsRequest({
    topics: [
      newCreatableTopic({
        name: "t",
        numPartitions: 2,
        replicationFactor: 1,
        configs: [{ name: "retention.ms", value: "77" }],
      }),
      newCreatableTopic({ name: "t2", numPartitions: 2, replicationFactor: 9 }),
    ],
  });
  const [good, bad] = broker.ask(CREATE_TOPICS_HANDLER, version, request).topics;
  const image = broker.cluster.image.topicByName("t")!;
  assert.equal(good!.errorCode, ErrorCode.NONE);
  // v0 has no messages: what is read is the codec's default.
  assert.equal(good!.errorMessage, version >= 1 ? null : "");
  assert.equal(good!.topicId, version >= 7 ? image.id : ZERO_UUID);
  assert.equal(good!.numPartitions, version >= 5 ? 2 : -1);
  assert.equal(good!.replicationFactor, version >= 5 ? 1 : -1);
  if (version >= 5) {
    const configs = new Map(good!.configs!.map((config) => [config.name, config]));
    assert.deepEqual(configs.get("retention.ms"), {
      name: "retention.ms",
      value: "77",
      readOnly: false,
      configSource: 1,
      isSensitive: false,
    });
    assert.equal(configs.get("cleanup.policy")!.configSource, 5);
    assert.ok(configs.size > 20);
  }
  assert.equal(bad!.errorCode, ErrorCode.INVALID_REPLICATION_FACTOR);
  assert.match(bad!.errorMessage!, version >= 1 ? /1 broker/ : /^$/);
  const dryRun = newCreateTopicsRequest({ ...request, validateOnly: version >= 1 });
  const [exists] = broker.ask(CREATE_TOPICS_HANDLER, version, dryRun).topics;
  assert.equal(exists!.errorCode, ErrorCode.TOPIC_ALREADY_EXISTS);
  broker.cluster.service.resign();
  const [refused] = broker.ask(CREATE_TOPICS_HANDLER, version, request).topics;
  assert.equal(refused!.errorCode, ErrorCode.NOT_CONTROLLER);
});

eachVersion(DELETE_TOPICS_HANDLER, "deletes topics", (version) => {
  const broker = new TestBroker();
  broker.addTopic("a", 1);
  broker.addTopic("b", 1);
  const { id } = broker.cluster.image.topicByName("b")!;
  const request = version >= 6
    ? newDeleteTopicsRequest({
      topics: [
        { name: "a", topicId: ZERO_UUID },
        { name: null, topicId: id },
        { name: "none", topicId: ZERO_UUID },
        { name: null, topicId: "00000000000000000000000000000009" },
      ],
    })
    : newDeleteTopicsRequest({ topicNames: ["a", "b", "none"] });
  const { responses } = broker.ask(DELETE_TOPICS_HANDLER, version, request);
  const expected: [string | null, ErrorCode][] = [
    ["a", ErrorCode.NONE],
    ["b", ErrorCode.NONE],
    ["none", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
  ];
  if (version >= 6) expected.push([null, ErrorCode.UNKNOWN_TOPIC_ID]);
  assert.deepEqual(responses.map(({ name, errorCode }) => [name, errorCode]), expected);
  assert.equal(responses[1]!.topicId, version >= 6 ? id : ZERO_UUID);
  assert.equal(responses[2]!.errorMessage === null, version < 5);
  assert.equal(broker.cluster.image.topics.size, 0);
});

eachVersion(DELETE_TOPICS_HANDLER, "says that deletion is switched off", (version) => {
  const broker = new TestBroker({ settings: { "delete.topic.enable": "false" } });
  broker.addTopic("a", 1);
  const request = version >= 6
    ? newDeleteTopicsRequest({ topics: [{ name: "a", topicId: ZERO_UUID }] })
    : newDeleteTopicsRequest({ topicNames: ["a"] });
  const { responses } = broker.ask(DELETE_TOPICS_HANDLER, version, request);
  const disabled = version >= 3 ? ErrorCode.TOPIC_DELETION_DISABLED : ErrorCode.INVALID_REQUEST;
  assert.equal(responses[0]!.errorCode, disabled);
});

eachVersion(CREATE_PARTITIONS_HANDLER, "adds partitions", (version) => {
  const broker = new TestBroker();
  broker.addTopic("t", 1);
  const request = newCreatePartitionsRequest({
    topics: [
      { name: "t", count: 3, assignments: [{ brokerIds: [0] }, { brokerIds: [0] }] },
      { name: "none", count: 2, assignments: null },
    ],
  });
  const { results } = broker.ask(CREATE_PARTITIONS_HANDLER, version, request);
  assert.deepEqual(results.map(({ name, errorCode }) => [name, errorCode]), [
    ["t", ErrorCode.NONE],
    ["none", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
  ]);
  assert.equal(broker.cluster.image.topicByName("t")!.partitions.length, 3);
});

interface Resource {
  readonly resourceType: number;
  readonly resourceName: string;
}

const TOPIC: Resource = { resourceType: ResourceType.TOPIC, resourceName: "t" };
const NODE_0: Resource = { resourceType: ResourceType.BROKER, resourceName: "0" };
const ALL_NODES: Resource = { resourceType: ResourceType.BROKER, resourceName: "" };

eachVersion(INCREMENTAL_ALTER_CONFIGS_HANDLER, "changes configs", (version) => {
  const broker = new TestBroker();
  broker.addTopic("t", 1);
  const configs = [{ name: "retention.ms", configOperation: 0, value: "5" }];
  const unknown = { resourceType: ResourceType.CLIENT_METRICS, resourceName: "g" };
  const request = newIncrementalAlterConfigsRequest({
    resources: [{ ...TOPIC, configs }, { ...unknown, configs }],
  });
  const { responses } = broker.ask(INCREMENTAL_ALTER_CONFIGS_HANDLER, version, request);
  assert.deepEqual(responses[0], { ...TOPIC, errorCode: ErrorCode.NONE, errorMessage: null });
  assert.equal(responses[1]!.errorCode, ErrorCode.INVALID_REQUEST);
  assert.match(responses[1]!.errorMessage!, /\bCLIENT_METRICS\b/, "named, not numbered");
  assert.equal(broker.cluster.image.topicByName("t")!.config.number("retention.ms"), 5);
});

eachVersion(ALTER_CONFIGS_HANDLER, "replaces configs", (version) => {
  const broker = new TestBroker();
  broker.addTopic("t", 1);
  for (const name of ["retention.ms", "segment.ms"]) {
    const configs = [{ name, value: "5" }];
    const request = newAlterConfigsRequest({ resources: [{ ...TOPIC, configs }] });
    const { responses } = broker.ask(ALTER_CONFIGS_HANDLER, version, request);
    assert.equal(responses[0]!.errorCode, ErrorCode.NONE);
  }
  const set = broker.cluster.image.configs.get(ResourceType.TOPIC, "t");
  assert.deepEqual([...set], [["segment.ms", "5"]]);
});

eachVersion(DESCRIBE_CONFIGS_HANDLER, "shows values, their sources and synonyms", (version) => {
  const broker = new TestBroker({ settings: { "log.retention.ms": "1" } });
  broker.addTopic("t", 1);
  const set = (resource: Resource, name: string, value: string) =>
    broker.ask(
      INCREMENTAL_ALTER_CONFIGS_HANDLER,
      1,
      newIncrementalAlterConfigsRequest({
        resources: [{ ...resource, configs: [{ name, configOperation: 0, value }] }],
      }),
    );
  set(ALL_NODES, "log.retention.ms", "2");
  set(NODE_0, "log.retention.ms", "3");
  set(TOPIC, "retention.ms", "4");
  const describe = (resource: Resource, keys: string[] | null, extras: boolean) =>
    broker.ask(
      DESCRIBE_CONFIGS_HANDLER,
      version,
      newDescribeConfigsRequest({
        resources: [{ ...resource, configurationKeys: keys }],
        includeSynonyms: extras && version >= 1,
        includeDocumentation: extras && version >= 3,
      }),
    ).results[0]!;
  const [topicConfig] = describe(TOPIC, ["retention.ms"], true).configs;
  if (version === 0) {
    assert.deepEqual([topicConfig!.value, topicConfig!.isDefault], ["4", false]);
    const [unset] = describe(TOPIC, ["segment.ms"], false).configs;
    assert.equal(unset!.isDefault, true);
    return;
  }
  assert.deepEqual(topicConfig!.synonyms, [
    { name: "retention.ms", value: "4", source: 1 },
    { name: "log.retention.ms", value: "3", source: 2 },
    { name: "log.retention.ms", value: "2", source: 3 },
    { name: "log.retention.ms", value: "1", source: 4 },
  ]);
  const [followed] = describe(TOPIC, ["segment.bytes"], true).configs;
  assert.deepEqual(followed!.synonyms, [
    { name: "log.segment.bytes", value: "1073741824", source: 5 },
  ]);
  assert.equal(topicConfig!.value, "4");
  assert.equal(topicConfig!.configSource, 1);
  assert.equal(topicConfig!.configType, version >= 3 ? 5 : 0);
  assert.equal(topicConfig!.documentation!.length > 0, version >= 3);
  assert.equal(describe(TOPIC, null, false).errorMessage, "");
  const [nodeConfig] = describe(NODE_0, ["log.retention.ms"], false).configs;
  assert.deepEqual([nodeConfig!.value, nodeConfig!.configSource], ["3", 2]);
  assert.deepEqual(nodeConfig!.synonyms, []);
  const all = describe(ALL_NODES, null, false).configs;
  assert.deepEqual(all.map(({ name, value, configSource }) => [name, value, configSource]), [
    ["log.retention.ms", "2", 3],
  ]);
  assert.ok(describe(TOPIC, null, false).configs.length > 20);
  const [idle] = describe(NODE_0, ["num.io.threads"], true).configs;
  assert.deepEqual([idle!.value, idle!.configSource, idle!.readOnly], ["8", 5, false]);
  assert.match(idle!.documentation!, version >= 3 ? /^No effect: / : /^$/);
  const [unset] = describe(NODE_0, ["log.roll.jitter.ms"], true).configs;
  assert.deepEqual([unset!.value, unset!.synonyms], [null, []], "null is no synonym");
  const settings = describe(NODE_0, [], false).configs;
  assert.ok(settings.length > 40);
  assert.equal(settings.find(({ name }) => name === "group.max.size")!.readOnly, true);
  const errorOf = (resourceType: number, resourceName: string) =>
    describe({ resourceType, resourceName }, null, false).errorCode;
  assert.equal(errorOf(ResourceType.TOPIC, "none"), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION);
  assert.equal(errorOf(ResourceType.TOPIC, "a b"), ErrorCode.INVALID_TOPIC_EXCEPTION);
  assert.equal(errorOf(ResourceType.BROKER, "1"), ErrorCode.INVALID_REQUEST);
  assert.equal(errorOf(ResourceType.BROKER_LOGGER, "0"), ErrorCode.INVALID_REQUEST);
});

eachVersion(DESCRIBE_CLUSTER_HANDLER, "shows the cluster", (version) => {
  const broker = new TestBroker({ nodes: [testNode(1), testNode(0, "r")] });
  const request = newDescribeClusterRequest({ includeClusterAuthorizedOperations: true });
  const response = broker.ask(DESCRIBE_CLUSTER_HANDLER, version, request);
  assert.equal(response.errorCode, ErrorCode.NONE);
  assert.equal(response.clusterId, broker.cluster.image.clusterId);
  assert.equal(response.clusterAuthorizedOperations, 8096);
  assert.deepEqual(response.brokers.map(({ brokerId, port, rack }) => [brokerId, port, rack]), [
    [0, 9092, "r"],
    [1, 9093, null],
  ]);
  if (version < 1) return;
  for (
    const [endpointType, error] of [
      [2, ErrorCode.MISMATCHED_ENDPOINT_TYPE],
      [9, ErrorCode.UNSUPPORTED_ENDPOINT_TYPE],
    ] as const
  ) {
    const refused = broker.ask(
      DESCRIBE_CLUSTER_HANDLER,
      version,
      newDescribeClusterRequest({ endpointType }),
    );
    assert.equal(refused.errorCode, error);
  }
});

Deno.test("DescribeTopicPartitions v0 pages through all partitions exactly once", () => {
  const broker = new TestBroker();
  broker.addTopic("b", 5);
  broker.addTopic("a", 3);
  broker.addTopic("c", 1);
  for (const responsePartitionLimit of [1, 2, 3, 4, 9, 100]) {
    const seen: string[] = [];
    let cursor: { topicName: string; partitionIndex: number } | null = null;
    let pageCount = 0;
    do {
      const request = newDescribeTopicPartitionsRequest({ responsePartitionLimit, cursor });
      const response = broker.ask(DESCRIBE_TOPIC_PARTITIONS_HANDLER, 0, request);
      for (const topic of response.topics) {
        for (const { partitionIndex } of topic.partitions) seen.push(topic.name! + partitionIndex);
      }
      assert.ok(response.topics.reduce((sum, topic) => sum + topic.partitions.length, 0) > 0);
      cursor = response.nextCursor;
      pageCount++;
    } while (cursor !== null);
    assert.deepEqual(seen, ["a0", "a1", "a2", "b0", "b1", "b2", "b3", "b4", "c0"]);
    assert.equal(pageCount, Math.ceil(9 / responsePartitionLimit));
  }
});

Deno.test("DescribeTopicPartitions v0 answers unknown topics, and continues after a deleted one", () => {
  const broker = new TestBroker();
  broker.addTopic("a", 2);
  broker.addTopic("c", 2);
  const ask = (names: string[], cursor: { topicName: string; partitionIndex: number } | null) =>
    broker.ask(
      DESCRIBE_TOPIC_PARTITIONS_HANDLER,
      0,
      newDescribeTopicPartitionsRequest({ topics: names.map((name) => ({ name })), cursor }),
    ).topics.map(({ name, errorCode, partitions, topicAuthorizedOperations }) => {
      assert.equal(topicAuthorizedOperations, 3576);
      return [name, errorCode, partitions.length];
    });
  assert.deepEqual(ask(["none", "c", "bad name", "a", "a"], null), [
    ["a", ErrorCode.NONE, 2],
    ["bad name", ErrorCode.INVALID_TOPIC_EXCEPTION, 0],
    ["c", ErrorCode.NONE, 2],
    ["none", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, 0],
  ]);
  assert.deepEqual(ask([], { topicName: "b", partitionIndex: 7 }), [["c", ErrorCode.NONE, 2]]);
});

eachVersion(INIT_PRODUCER_ID_HANDLER, "gives every producer an id of its own", (version) => {
  const broker = new TestBroker({ shardCount: 2 });
  const commandCount = broker.cluster.commands.length;
  const ids = new Set<number>();
  for (let i = 0; i < 1001; i++) {
    const request = newInitProducerIdRequest({ transactionalId: null });
    const response = broker.ask(INIT_PRODUCER_ID_HANDLER, version, request, i % 2);
    assert.equal(response.errorCode, ErrorCode.NONE);
    assert.equal(response.producerEpoch, 0);
    ids.add(response.producerId);
  }
  assert.equal(ids.size, 1001);
  assert.equal(broker.cluster.commands.length, commandCount + 2, "one record per 1000 ids");
  broker.cluster.service.resign();
  broker.cluster.service.activate();
  const request = newInitProducerIdRequest({ transactionalId: null });
  const { producerId } = broker.ask(INIT_PRODUCER_ID_HANDLER, version, request);
  assert.equal(producerId, 2000, "a new reign takes a new block");
});

eachVersion(
  INIT_PRODUCER_ID_HANDLER,
  "checks transactional ids, and gives producers",
  (version) => {
    const broker = new TestBroker();
    const ask = (transactionalId: string, transactionTimeoutMs = 60_000) => {
      const request = newInitProducerIdRequest({ transactionalId, transactionTimeoutMs });
      return broker.ask(INIT_PRODUCER_ID_HANDLER, version, request);
    };
    assert.equal(ask("").errorCode, ErrorCode.INVALID_REQUEST);
    for (const timeoutMs of [-1, 0, 900_001]) {
      assert.equal(ask("tx", timeoutMs).errorCode, ErrorCode.INVALID_TRANSACTION_TIMEOUT);
    }
    const { producerId } = ask("tx");
    assert.notEqual(producerId, -1);
    assert.deepEqual({ ...ask("tx") }, { ...ask("other"), producerId, producerEpoch: 1 });
    broker.cluster.service.resign();
    const request = newInitProducerIdRequest({ transactionalId: null });
    const { errorCode } = broker.ask(INIT_PRODUCER_ID_HANDLER, version, request);
    assert.equal(errorCode, ErrorCode.COORDINATOR_NOT_AVAILABLE);
  },
);

eachVersion(LIST_CONFIG_RESOURCES_HANDLER, "lists resources by type", (version) => {
  const broker = new TestBroker();
  broker.addTopic("t", 1);
  const ask = (resourceTypes: number[]) =>
    broker.ask(
      LIST_CONFIG_RESOURCES_HANDLER,
      version,
      newListConfigResourcesRequest({ resourceTypes }),
    );
  if (version === 0) {
    assert.deepEqual(ask([]).configResources, []);
    return;
  }
  assert.deepEqual(ask([]).configResources, [
    { resourceName: "t", resourceType: ResourceType.TOPIC },
    { resourceName: "0", resourceType: ResourceType.BROKER },
    { resourceName: "0", resourceType: ResourceType.BROKER_LOGGER },
  ]);
  assert.deepEqual(ask([ResourceType.BROKER]).configResources, [
    { resourceName: "0", resourceType: ResourceType.BROKER },
  ]);
  assert.equal(ask([77]).errorCode, ErrorCode.UNSUPPORTED_VERSION);
});

eachVersion(
  ELECT_LEADERS_HANDLER,
  "moves leaders to preferred replicas, and says where that is not needed or cannot be",
  (version) => {
    const broker = new TestBroker({ nodes: [testNode(0), testNode(1)] });
    broker.addTopic("t", 3);
    const [, moved, stuck] = broker.cluster.image.topicByName("t")!.partitions;
    broker.leaders.note(moved!.groupId, 1, 4);
    broker.leaders.note(stuck!.groupId, 1, 4);
    broker.unmovable.set(stuck!.groupId, ErrorCode.REQUEST_TIMED_OUT);
    const ask = (topicPartitions: { topic: string; partitions: number[] }[] | null, type = 0) =>
      broker.ask(
        ELECT_LEADERS_HANDLER,
        version,
        newElectLeadersRequest({ topicPartitions, electionType: type }),
      );
    const resultsOf = (response: ReturnType<typeof ask>) =>
      response.replicaElectionResults.flatMap(({ partitionResult }) =>
        partitionResult.map(({ partitionId, errorCode }) => [partitionId, errorCode])
      );
    assert.deepEqual(resultsOf(ask([{ topic: "t", partitions: [0, 1, 2, 9] }])), [
      [0, ErrorCode.ELECTION_NOT_NEEDED],
      [1, ErrorCode.NONE],
      [2, ErrorCode.REQUEST_TIMED_OUT],
      [9, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
    ]);
    assert.equal(broker.leaders.knownLeaderOf(moved!.groupId), 0);
    assert.deepEqual(resultsOf(ask(null)), [[2, ErrorCode.REQUEST_TIMED_OUT]]);
    broker.live.note(1, false);
    assert.deepEqual(resultsOf(ask([{ topic: "t", partitions: [2] }])), [
      [2, ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE],
    ]);
    if (version < 1) return;
    assert.deepEqual(resultsOf(ask(null, 1)), [[2, ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE]]);
    assert.deepEqual(resultsOf(ask([{ topic: "t", partitions: [1] }], 1)), [
      [1, ErrorCode.ELECTION_NOT_NEEDED],
    ]);
    assert.deepEqual(resultsOf(ask([{ topic: "t", partitions: [0] }], 7)), [
      [0, ErrorCode.INVALID_REQUEST],
    ]);
    assert.equal(ask([], 7).errorCode, ErrorCode.NONE);
  },
);

Deno.test("ListPartitionReassignments v0 has none", () => {
  const request = newListPartitionReassignmentsRequest({ topics: null });
  const response = new TestBroker().ask(LIST_PARTITION_REASSIGNMENTS_HANDLER, 0, request);
  assert.deepEqual(
    [response.errorCode, response.errorMessage, response.topics],
    [ErrorCode.NONE, null, []],
  );
});

eachVersion(UPDATE_FEATURES_HANDLER, "answers for all updates of a request", (version) => {
  const broker = new TestBroker();
  const ask = (maxVersionLevel: number, rest: Partial<UpdateFeaturesRequest> = {}) => {
    const featureUpdates = [newFeatureUpdateKey({ feature: "gregor.version", maxVersionLevel })];
    const request = newUpdateFeaturesRequest({ featureUpdates, ...rest });
    return broker.ask(UPDATE_FEATURES_HANDLER, version, request);
  };
  const { image } = broker.cluster;
  const refused = ask(77);
  assert.equal(refused.errorCode, ErrorCode.INVALID_UPDATE_VERSION);
  assert.equal(
    refused.errorMessage,
    "The update failed for all features since the following feature had an error: Invalid update version 77 for " +
      `feature gregor.version. Local controller 0 only supports versions 1-${OWN_VERSIONS.max}`,
  );
  assert.deepEqual(refused.results, []);
  if (version > 0) assert.equal(ask(2, { validateOnly: true }).errorCode, ErrorCode.NONE);
  assert.equal(image.finalizedVersion, 0);
  const done = ask(2);
  assert.deepEqual([done.errorCode, done.errorMessage], [ErrorCode.NONE, null]);
  assert.deepEqual(
    done.results,
    version > 1 ? [] : [{ feature: "gregor.version", errorCode: 0, errorMessage: null }],
  );
  assert.equal(image.finalizedVersion, 2);
  const allowDowngrade = version === 0;
  const upgradeType = version === 0 ? 1 : 2;
  const down = { feature: "gregor.version", maxVersionLevel: 1, allowDowngrade, upgradeType };
  const { errorMessage } = ask(1, { featureUpdates: [down] });
  assert.match(errorMessage!, /might delete metadata/);
  broker.cluster.service.resign();
  assert.equal(ask(3).errorCode, ErrorCode.NOT_CONTROLLER);
});

eachVersion(ALTER_REPLICA_LOG_DIRS_HANDLER, "knows one directory", (version) => {
  const broker = new TestBroker({ nodes: [testNode(0), testNode(1)] });
  broker.addTopic("t", 1);
  broker.cluster.run((context) => {
    const topic = { name: "u", numPartitions: -1, replicationFactor: -1, configs: [] };
    return createTopics(context, [{
      ...topic,
      assignments: [{ partitionIndex: 0, brokerIds: [1] }],
    }], false);
  });
  const topics = [{ name: "t", partitions: [0, 5] }, { name: "u", partitions: [0] }];
  const ask = (dirs: { path: string; topics: { name: string; partitions: number[] }[] }[]) =>
    broker.ask(ALTER_REPLICA_LOG_DIRS_HANDLER, version, newAlterReplicaLogDirsRequest({ dirs }))
      .results.map(({ topicName, partitions }) => [
        topicName,
        partitions.map(({ partitionIndex, errorCode }) => [partitionIndex, errorCode]),
      ]);
  const { LOG_DIR_NOT_FOUND, NONE, REPLICA_NOT_AVAILABLE, UNKNOWN_TOPIC_OR_PARTITION } = ErrorCode;
  assert.deepEqual(ask([{ path: "/data", topics }]), [
    ["t", [[0, NONE], [5, UNKNOWN_TOPIC_OR_PARTITION]]],
    ["u", [[0, REPLICA_NOT_AVAILABLE]]],
  ]);
  assert.deepEqual(ask([{ path: "/elsewhere", topics: [topics[1]!] }]), [
    ["u", [[0, LOG_DIR_NOT_FOUND]]],
  ]);
  assert.deepEqual(ask([]), []);
});

import { strict as assert } from "node:assert";
import { createTopics } from "../../cluster/create_topics.ts";
import { testNode } from "../../cluster/test_cluster.ts";
import { ErrorCode } from "../../wire/errors.ts";
import { newDescribeClusterRequest } from "../../wire/generated/describe_cluster_request.ts";
import { newMetadataRequest } from "../../wire/generated/metadata_request.ts";
import type { MetadataRequestTopic } from "../../wire/generated/metadata_request.ts";
import { ZERO_UUID } from "../../wire/uuid.ts";
import { TestBroker } from "../test_services.ts";
import { DESCRIBE_CLUSTER_HANDLER } from "./describe_cluster.ts";
import { METADATA_HANDLER } from "./metadata.ts";

const VERSIONS = Array.from({ length: 14 }, (_, version) => version);

function named(...names: string[]): MetadataRequestTopic[] {
  return names.map((name) => ({ name, topicId: ZERO_UUID }));
}

for (const version of VERSIONS) {
  Deno.test(`Metadata v${version} shows nodes, topics and partitions`, () => {
    const broker = new TestBroker({ nodes: [testNode(0, "r0"), testNode(1)] });
    broker.addTopic("t", 2);
    broker.addTopic("__consumer_offsets", 1);
    const { groupId } = broker.cluster.image.topicByName("t")!.partitions[0]!;
    broker.leaders.note(groupId, 0, 5);
    const response = broker.ask(
      METADATA_HANDLER,
      version,
      newMetadataRequest({ topics: named("t", "__consumer_offsets", "t") }),
    );
    assert.equal(response.errorCode, 0);
    assert.deepEqual(response.brokers, [
      { nodeId: 0, host: "127.0.0.1", port: 9092, rack: version >= 1 ? "r0" : null },
      { nodeId: 1, host: "127.0.0.1", port: 9093, rack: null },
    ]);
    assert.equal(response.clusterId, version >= 2 ? broker.cluster.image.clusterId : null);
    assert.equal(response.controllerId, version >= 1 ? 0 : -1);
    assert.deepEqual(response.topics.map((topic) => [topic.name, topic.isInternal]), [
      ["t", false],
      ["__consumer_offsets", version >= 1],
    ]);
    const [topic] = response.topics;
    assert.equal(
      topic!.topicId,
      version >= 10 ? broker.cluster.image.topicByName("t")!.id : ZERO_UUID,
    );
    assert.deepEqual(topic!.partitions.map((partition) => partition.leaderEpoch), [
      version >= 7 ? 5 : -1,
      -1,
    ]);
    assert.deepEqual(topic!.partitions[1], {
      errorCode: 0,
      partitionIndex: 1,
      leaderId: 0,
      leaderEpoch: -1,
      replicaNodes: [0],
      isrNodes: [0],
      offlineReplicas: [],
    });
  });

  Deno.test(`Metadata v${version} distinguishes all topics from no topics`, () => {
    const broker = new TestBroker();
    broker.addTopic("a", 1);
    broker.addTopic("b", 1);
    const namesOf = (topics: MetadataRequestTopic[] | null) =>
      broker.ask(METADATA_HANDLER, version, newMetadataRequest({ topics })).topics
        .map((topic) => topic.name);
    assert.deepEqual(namesOf([]), version === 0 ? ["a", "b"] : []);
    if (version >= 1) assert.deepEqual(namesOf(null), ["a", "b"]);
  });

  Deno.test(`Metadata v${version} creates topics where broker and client allow it`, () => {
    const broker = new TestBroker({ settings: { "num.partitions": "3" } });
    const request = (allowAutoTopicCreation: boolean, ...names: string[]) =>
      broker.ask(
        METADATA_HANDLER,
        version,
        newMetadataRequest({ topics: named(...names), allowAutoTopicCreation }),
      );
    if (version >= 4) {
      const [refused] = request(false, "new").topics;
      assert.equal(refused!.errorCode, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION);
      assert.equal(refused!.name, "new");
      assert.equal(broker.cluster.image.topicByName("new"), undefined);
    }
    const { topics } = request(true, "new", "bad name", "ne_w", "new");
    assert.deepEqual(
      topics.map(({ name, errorCode, partitions }) => [name, errorCode, partitions.length]),
      [
        ["new", ErrorCode.NONE, 3],
        ["bad name", ErrorCode.INVALID_TOPIC_EXCEPTION, 0],
        ["ne_w", ErrorCode.NONE, 3],
      ],
    );
  });

  Deno.test(`Metadata v${version} creates nothing where the broker forbids it`, () => {
    const broker = new TestBroker({ settings: { "auto.create.topics.enable": "false" } });
    const request = newMetadataRequest({ topics: named("new") });
    const [topic] = broker.ask(METADATA_HANDLER, version, request).topics;
    assert.equal(topic!.errorCode, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION);
    assert.equal(broker.cluster.image.topics.size, 0);
  });

  if (version >= 8) {
    Deno.test(`Metadata v${version} shows authorized operations when asked`, () => {
      const broker = new TestBroker();
      broker.addTopic("t", 1);
      const ask = (asked: boolean) =>
        broker.ask(
          METADATA_HANDLER,
          version,
          newMetadataRequest({
            topics: named("t", "bad name"),
            includeTopicAuthorizedOperations: asked,
            includeClusterAuthorizedOperations: asked && version <= 10,
          }),
        );
      assert.equal(ask(false).topics[0]!.topicAuthorizedOperations, -2147483648);
      // Of a topic that there cannot be, too.
      assert.deepEqual(
        ask(true).topics.map(({ topicAuthorizedOperations }) => topicAuthorizedOperations),
        [3576, 3576],
      );
      assert.equal(ask(false).clusterAuthorizedOperations, -2147483648);
      assert.equal(
        ask(true).clusterAuthorizedOperations,
        version <= 10 ? 8096 : -2147483648,
      );
    });
  }

  if (version >= 10) {
    Deno.test(`Metadata v${version} by topic id`, () => {
      const broker = new TestBroker();
      broker.addTopic("t", 1);
      const { id } = broker.cluster.image.topicByName("t")!;
      const stranger = "00000000000000000000000000000007";
      const topics = [{ name: null, topicId: id }, { name: null, topicId: stranger }];
      const response = broker.ask(METADATA_HANDLER, version, newMetadataRequest({ topics }));
      const answers = response.topics.map(({ name, topicId, errorCode }) => [
        name,
        topicId,
        errorCode,
      ]);
      const refused = ErrorCode.INVALID_REQUEST;
      assert.deepEqual(
        answers,
        version >= 12
          ? [["t", id, ErrorCode.NONE], [null, stranger, ErrorCode.UNKNOWN_TOPIC_ID]]
          : [["", id, refused], ["", stranger, refused]],
      );
      assert.equal(response.brokers.length, version >= 12 ? 1 : 0);
    });
  }
}

Deno.test("Metadata answers only what is asked for by id where anything is, as Kafka does", () => {
  const broker = new TestBroker();
  broker.addTopic("t", 1);
  broker.addTopic("u", 1);
  const { id } = broker.cluster.image.topicByName("t")!;
  const namesOf = (topics: MetadataRequestTopic[]) =>
    broker.ask(METADATA_HANDLER, 12, newMetadataRequest({ topics })).topics
      .map(({ name }) => name);
  assert.deepEqual(namesOf([...named("u"), { name: null, topicId: id }]), ["t"]);
  // Beside an id a name says nothing, and hides nothing.
  assert.deepEqual(namesOf([...named("u"), { name: "u", topicId: id }]), ["t"]);
  assert.deepEqual(namesOf([{ name: null, topicId: ZERO_UUID }, { name: "new", topicId: id }]), [
    "t",
  ]);
  assert.equal(broker.cluster.image.topicByName("new"), undefined);
});

Deno.test("Metadata refuses a request with a topic by neither id nor name", () => {
  const broker = new TestBroker();
  broker.addTopic("t", 1);
  const topics = [...named("t"), { name: null, topicId: ZERO_UUID }];
  const response = broker.ask(METADATA_HANDLER, 13, newMetadataRequest({ topics }));
  const refused = ErrorCode.INVALID_REQUEST;
  assert.equal(response.errorCode, refused);
  assert.deepEqual(response.topics.map(({ name, errorCode }) => [name, errorCode]), [
    ["t", refused],
    ["", refused],
  ]);
  assert.equal(response.brokers.length, 0);
});

Deno.test("Metadata makes internal topics with settings of their own", () => {
  const broker = new TestBroker({ settings: { "offsets.topic.num.partitions": "5" } });
  const request = newMetadataRequest({
    topics: named("__consumer_offsets", "__transaction_state"),
  });
  const { topics } = broker.ask(METADATA_HANDLER, 12, request);
  assert.deepEqual(topics.map((topic) => [topic.errorCode, topic.partitions.length]), [
    [0, 5],
    [0, 50],
  ]);
  const { config } = broker.cluster.image.topicByName("__consumer_offsets")!;
  assert.equal(config.isCompacted && !config.isDeleted, true);
  assert.equal(config.number("segment.bytes"), 100 * 2 ** 20);
});

Deno.test("Metadata asks clients to come again while a new topic is not known here", () => {
  const broker = new TestBroker();
  broker.cluster.service.resign();
  const request = newMetadataRequest({ topics: named("new") });
  const [topic] = broker.ask(METADATA_HANDLER, 12, request).topics;
  assert.equal(topic!.errorCode, ErrorCode.LEADER_NOT_AVAILABLE);
});

Deno.test("Metadata says why a topic cannot be made", () => {
  const broker = new TestBroker({ settings: { "default.replication.factor": "3" } });
  const request = newMetadataRequest({ topics: named("new") });
  const [topic] = broker.ask(METADATA_HANDLER, 12, request).topics;
  assert.equal(topic!.errorCode, ErrorCode.INVALID_REPLICATION_FACTOR);
});

Deno.test("Metadata shows no leader where none is known that can be reached, and the replicas in sync that leaders tell of", () => {
  const broker = new TestBroker({ nodes: [testNode(0), testNode(1), testNode(2)] });
  broker.cluster.run((context) =>
    createTopics(context, [{ ...topic("t"), numPartitions: 3, replicationFactor: 3 }], false)
  );
  const { partitions } = broker.cluster.image.topicByName("t")!;
  broker.live.note(1, false);
  broker.live.note(2, false);
  const bit = (partition: number, node: number): number =>
    1 << partitions[partition]!.replicas.indexOf(node);
  broker.leaders.note(partitions[0]!.groupId, 0, 4, bit(0, 0) | bit(0, 2));
  broker.leaders.note(partitions[1]!.groupId, 2, 4, bit(1, 0) | bit(1, 2));
  const request = newMetadataRequest({ topics: named("t") });
  const response = broker.ask(METADATA_HANDLER, 12, request);
  assert.deepEqual(response.brokers.map(({ nodeId }) => nodeId), [0]);
  const views = response.topics[0]!.partitions;
  assert.deepEqual(views.map(({ errorCode, leaderId }) => [errorCode, leaderId]), [
    [ErrorCode.NONE, 0],
    [ErrorCode.LEADER_NOT_AVAILABLE, -1],
    [ErrorCode.LEADER_NOT_AVAILABLE, -1],
  ]);
  assert.deepEqual(views.map(({ isrNodes }) => isrNodes.toSorted()), [[0, 2], [0], []]);
  assert.deepEqual(views.map(({ offlineReplicas }) => offlineReplicas.toSorted()), [
    [1, 2],
    [1, 2],
    [1, 2],
  ]);
  // Another epoch, whose leader has not said yet who keeps up.
  broker.leaders.note(partitions[1]!.groupId, 1, 5);
  broker.live.note(1, true);
  const [, next] = broker.ask(METADATA_HANDLER, 12, request).topics[0]!.partitions;
  assert.deepEqual([next!.leaderId, next!.isrNodes.toSorted()], [1, [0, 1, 2]]);
  broker.leaders.note(0, 1, 9);
  broker.live.note(1, false);
  assert.equal(broker.ask(METADATA_HANDLER, 12, request).controllerId, -1, "it is not there");
  broker.live.note(1, true);
  assert.equal(broker.ask(METADATA_HANDLER, 12, request).controllerId, 1);
  broker.leaders.note(0, -1, 10);
  assert.equal(broker.ask(METADATA_HANDLER, 12, request).controllerId, -1);
});

Deno.test("DescribeCluster leaves out nodes that cannot be reached, or shows them as fenced", () => {
  const broker = new TestBroker({ nodes: [testNode(0), testNode(1)] });
  broker.live.note(1, false);
  const shown = (version: number, includeFencedBrokers: boolean) =>
    broker.ask(
      DESCRIBE_CLUSTER_HANDLER,
      version,
      newDescribeClusterRequest({ includeFencedBrokers }),
    ).brokers.map(({ brokerId, isFenced }) => [brokerId, isFenced]);
  assert.deepEqual(shown(1, false), [[0, false]]);
  assert.deepEqual(shown(2, true), [[0, false], [1, true]]);
});

function topic(name: string) {
  return { name, numPartitions: -1, replicationFactor: -1, assignments: [], configs: [] };
}

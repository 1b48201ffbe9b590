import { strict as assert } from "node:assert";
import { ErrorCode } from "../wire/errors.ts";
import { ZERO_UUID } from "../wire/uuid.ts";
import { VOTERS_MAX } from "../raft/limits.ts";
import { createPartitions, createTopics, type NewTopic } from "./create_topics.ts";
import { alterReplicas } from "./reassign.ts";
import { TestCluster, type TestClusterOptions, testNode } from "./test_cluster.ts";

function newTopic(name: string, fields: Partial<NewTopic> = {}): NewTopic {
  return {
    name,
    numPartitions: -1,
    replicationFactor: -1,
    assignments: [],
    configs: [],
    ...fields,
  };
}

function assign(...brokers: number[][]): NewTopic["assignments"] {
  return brokers.map((brokerIds, partitionIndex) => ({ partitionIndex, brokerIds }));
}

const THREE_NODES: TestClusterOptions = { nodes: [testNode(0), testNode(1), testNode(2)] };

interface Case {
  readonly when: string;
  readonly topic: NewTopic;
  readonly cluster?: TestClusterOptions;
  readonly error: ErrorCode;
  readonly message: RegExp;
}

const REFUSALS: Case[] = [
  ["", /empty/],
  [".", /is not allowed/],
  ["..", /is not allowed/],
  ["a".repeat(250), /max allowed length 249/],
  ["white space", /other than/],
  ["ünïcode", /other than/],
  ["a/b", /other than/],
].map(([name, message]) => ({
  when: `the name is '${name}'`,
  topic: newTopic(name as string),
  error: ErrorCode.INVALID_TOPIC_EXCEPTION,
  message: message as RegExp,
}));

REFUSALS.push(
  {
    when: "the topic exists",
    topic: newTopic("taken.topic"),
    error: ErrorCode.TOPIC_ALREADY_EXISTS,
    message: /already exists/,
  },
  {
    when: "the name differs from another only in '.' and '_'",
    topic: newTopic("taken_topic"),
    error: ErrorCode.INVALID_TOPIC_EXCEPTION,
    message: /collides with 'taken.topic'/,
  },
  {
    when: "the name is that of the cluster's own log",
    topic: newTopic("__cluster_metadata"),
    error: ErrorCode.TOPIC_AUTHORIZATION_FAILED,
    message: /own log/,
  },
  {
    when: "there are no partitions",
    topic: newTopic("t", { numPartitions: 0 }),
    error: ErrorCode.INVALID_PARTITIONS,
    message: /positive/,
  },
  {
    when: "the number of partitions is -2",
    topic: newTopic("t", { numPartitions: -2 }),
    error: ErrorCode.INVALID_PARTITIONS,
    message: /positive/,
  },
  {
    when: "there are more partitions than a request may create",
    topic: newTopic("t", { numPartitions: 10_001 }),
    error: ErrorCode.POLICY_VIOLATION,
    message: /10000 partitions/,
  },
  {
    when: "the nodes have no room",
    cluster: { partitionsPerNodeMax: 10 },
    topic: newTopic("t", { numPartitions: 10 }),
    error: ErrorCode.INVALID_PARTITIONS,
    message: /each may hold 10/,
  },
  {
    when: "there are no replicas",
    topic: newTopic("t", { replicationFactor: 0 }),
    error: ErrorCode.INVALID_REPLICATION_FACTOR,
    message: /larger than 0/,
  },
  {
    when: "there are more replicas than brokers",
    cluster: THREE_NODES,
    topic: newTopic("t", { replicationFactor: 4 }),
    error: ErrorCode.INVALID_REPLICATION_FACTOR,
    message: /is 4, but the cluster has 3/,
  },
  {
    when: "the configuration is unknown",
    topic: newTopic("t", { configs: [{ name: "no.such.config", value: "1" }] }),
    error: ErrorCode.INVALID_CONFIG,
    message: /no.such.config/,
  },
  {
    when: "a configuration's value is not valid",
    topic: newTopic("t", { configs: [{ name: "retention.ms", value: "long" }] }),
    error: ErrorCode.INVALID_CONFIG,
    message: /retention.ms/,
  },
  {
    when: "a configuration has no value",
    topic: newTopic("t", { configs: [{ name: "retention.ms", value: null }] }),
    error: ErrorCode.INVALID_CONFIG,
    message: /retention.ms/,
  },
  {
    when: "an assignment comes with a replication factor",
    topic: newTopic("t", { assignments: assign([0]), replicationFactor: 1 }),
    error: ErrorCode.INVALID_REQUEST,
    message: /replication factor was not set to -1/,
  },
  {
    when: "an assignment comes with a number of partitions",
    topic: newTopic("t", { assignments: assign([0]), numPartitions: 1 }),
    error: ErrorCode.INVALID_REQUEST,
    message: /numPartitions was not set to -1/,
  },
  {
    when: "a partition is assigned to nobody",
    topic: newTopic("t", { assignments: assign([]) }),
    error: ErrorCode.INVALID_REPLICA_ASSIGNMENT,
    message: /an empty replica list/,
  },
  {
    when: "a partition is assigned to an unknown broker",
    topic: newTopic("t", { assignments: assign([7]) }),
    error: ErrorCode.INVALID_REPLICA_ASSIGNMENT,
    message: /broker 7, but no such broker is registered/,
  },
  {
    when: "a partition is assigned to a broker twice",
    topic: newTopic("t", { assignments: assign([0, 0]) }),
    error: ErrorCode.INVALID_REPLICA_ASSIGNMENT,
    message: /the broker 0 more than once/,
  },
  {
    when: "assignments differ in length",
    cluster: THREE_NODES,
    topic: newTopic("t", { assignments: assign([0, 1], [2]) }),
    error: ErrorCode.INVALID_REPLICA_ASSIGNMENT,
    message: /1 replica\(s\), but .* have 2/,
  },
  {
    when: "assigned partitions have gaps",
    topic: newTopic("t", {
      assignments: [
        { partitionIndex: 0, brokerIds: [0] },
        { partitionIndex: 2, brokerIds: [0] },
      ],
    }),
    error: ErrorCode.INVALID_REPLICA_ASSIGNMENT,
    message: /consecutive 0-based/,
  },
  {
    when: "assigned partitions have gaps, and one is assigned to nobody",
    topic: newTopic("t", { assignments: [{ partitionIndex: -1, brokerIds: [] }] }),
    error: ErrorCode.INVALID_REPLICA_ASSIGNMENT,
    message: /an empty replica list/,
  },
  {
    when: "a partition is assigned twice",
    topic: newTopic("t", {
      assignments: [
        { partitionIndex: 0, brokerIds: [0] },
        { partitionIndex: 0, brokerIds: [0] },
      ],
    }),
    error: ErrorCode.INVALID_REPLICA_ASSIGNMENT,
    message: /multiple manual partition assignments for partition 0/,
  },
);

for (const { when, topic, cluster: options, error, message } of REFUSALS) {
  Deno.test(`createTopics() refuses with ${error} when ${when}`, () => {
    const cluster = new TestCluster(options);
    cluster.run((context) => createTopics(context, [newTopic("taken.topic")], false));
    const commandCount = cluster.commands.length;
    for (const validateOnly of [true, false]) {
      const results = cluster.run((context) => createTopics(context, [topic], validateOnly));
      assert.equal(results.length, 1);
      assert.equal(results[0]!.error, error);
      assert.match(results[0]!.message!, message);
      assert.equal(results[0]!.topicId, ZERO_UUID);
      assert.equal(results[0]!.partitionCount, -1);
    }
    assert.equal(cluster.commands.length, commandCount, "a refusal writes nothing");
  });
}

Deno.test("createTopics() uses the defaults, answers what it made, and configures before partitions", () => {
  const settings = { "num.partitions": "3", "default.replication.factor": "2" };
  const cluster = new TestCluster({ ...THREE_NODES, settings });
  const calls: string[] = [];
  cluster.image.listen({
    topicAdded: (topic) => calls.push(`topic ${topic.name}`),
    partitionAdded: ({ topic, index }) =>
      calls.push(`partition ${index} segment.bytes=${topic.config.number("segment.bytes")}`),
  });
  const topic = newTopic("t", { configs: [{ name: "segment.bytes", value: "2097152" }] });
  const [result] = cluster.run((context) => createTopics(context, [topic], false));
  assert.equal(result!.error, ErrorCode.NONE);
  assert.equal(result!.partitionCount, 3);
  assert.equal(result!.replicationFactor, 2);
  const image = cluster.image.topicByName("t")!;
  assert.equal(image.id, result!.topicId);
  assert.equal(cluster.image.topicById(image.id), image);
  assert.deepEqual(calls, [
    "topic t",
    "partition 0 segment.bytes=2097152",
    "partition 1 segment.bytes=2097152",
    "partition 2 segment.bytes=2097152",
  ]);
  assert.deepEqual(image.partitions.map((partition) => partition.groupId), [1, 2, 3]);
});

Deno.test("createTopics() only validates when asked to", () => {
  const cluster = new TestCluster();
  const commandCount = cluster.commands.length;
  const topics = [newTopic("t", { numPartitions: 4 })];
  const [result] = cluster.run((context) => createTopics(context, topics, true));
  assert.deepEqual(
    { error: result!.error, partitionCount: result!.partitionCount, topicId: result!.topicId },
    { error: ErrorCode.NONE, partitionCount: 4, topicId: ZERO_UUID },
  );
  assert.equal(cluster.image.topics.size, 0);
  assert.equal(cluster.commands.length, commandCount);
});

Deno.test("createTopics() answers each topic of a request alone, and one command holds them all", () => {
  const cluster = new TestCluster();
  const commandCount = cluster.commands.length;
  const names = ["a.b", "twice", "a_b", "", "twice", "c"];
  const results = cluster.run((context) =>
    createTopics(context, names.map((name) => newTopic(name)), false)
  );
  assert.deepEqual(results.map(({ name, error }) => [name, error]), [
    ["a.b", ErrorCode.NONE],
    ["a_b", ErrorCode.INVALID_TOPIC_EXCEPTION],
    ["", ErrorCode.INVALID_TOPIC_EXCEPTION],
    ["c", ErrorCode.NONE],
    ["twice", ErrorCode.INVALID_REQUEST],
  ]);
  assert.equal(cluster.commands.length, commandCount + 1);
  assert.deepEqual([...cluster.image.topics.keys()], ["a.b", "c"]);
});

Deno.test("createTopics() keeps room for later topics when one does not fit", () => {
  const cluster = new TestCluster({ partitionsPerNodeMax: 10 });
  const topics = [
    newTopic("large", { numPartitions: 11 }),
    newTopic("assigned", { assignments: assign(...Array.from({ length: 11 }, () => [0])) }),
    newTopic("small", { numPartitions: 10 }),
  ];
  const results = cluster.run((context) => createTopics(context, topics, false));
  assert.deepEqual(results.map((result) => result.error), [
    ErrorCode.INVALID_PARTITIONS,
    ErrorCode.INVALID_PARTITIONS,
    ErrorCode.NONE,
  ]);
});

Deno.test("createTopics() places replicas as assigned", () => {
  const cluster = new TestCluster(THREE_NODES);
  const topics = [newTopic("t", { assignments: assign([2, 0], [1, 2]) })];
  const [result] = cluster.run((context) => createTopics(context, topics, false));
  assert.equal(result!.replicationFactor, 2);
  const replicas = cluster.image.topicByName("t")!.partitions.map((partition) =>
    partition.replicas
  );
  assert.deepEqual(replicas, [[2, 0], [1, 2]]);
});

Deno.test("createTopics() spreads replicas and leaders evenly, and over racks", () => {
  const nodes = [testNode(0, "a"), testNode(1, "a"), testNode(2, "b"), testNode(3, "b")];
  const cluster = new TestCluster({ nodes });
  const topics = [newTopic("t", { numPartitions: 40, replicationFactor: 2 })];
  cluster.run((context) => createTopics(context, topics, false));
  const replicaCounts = [0, 0, 0, 0];
  const leaderCounts = [0, 0, 0, 0];
  for (const { replicas } of cluster.image.topicByName("t")!.partitions) {
    assert.equal(new Set(replicas).size, 2);
    assert.notEqual(replicas[0]! < 2, replicas[1]! < 2, "one replica in each rack");
    leaderCounts[replicas[0]!]!++;
    for (const nodeId of replicas) replicaCounts[nodeId]!++;
  }
  assert.deepEqual(replicaCounts, [20, 20, 20, 20]);
  assert.deepEqual(leaderCounts, [10, 10, 10, 10]);
});

Deno.test("createPartitions() adds partitions with new group ids", () => {
  const cluster = new TestCluster();
  cluster.run((context) => createTopics(context, [newTopic("t"), newTopic("u")], false));
  const wanted = [{ name: "t", count: 3, assignments: null }];
  const validated = cluster.run((context) => createPartitions(context, wanted, true));
  assert.equal(validated[0]!.error, ErrorCode.NONE);
  assert.equal(cluster.image.topicByName("t")!.partitions.length, 1);
  const [result] = cluster.run((context) => createPartitions(context, wanted, false));
  assert.equal(result!.error, ErrorCode.NONE);
  const groups = cluster.image.topicByName("t")!.partitions.map((partition) => partition.groupId);
  assert.deepEqual(groups, [1, 3, 4]);
  assert.equal(cluster.image.partitionByGroup(4)!.index, 2);
});

Deno.test("createPartitions() refuses what is not an increase, and bad assignments", () => {
  const cluster = new TestCluster({ ...THREE_NODES, partitionsPerNodeMax: 20 });
  const topics = [
    newTopic("t", { numPartitions: 2, replicationFactor: 2 }),
    newTopic("__consumer_offsets", { numPartitions: 1 }),
  ];
  cluster.run((context) => createTopics(context, topics, false));
  const cases: [string, number, number[][] | null, ErrorCode][] = [
    ["nowhere", 5, null, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
    ["__consumer_offsets", 5, null, ErrorCode.INVALID_PARTITIONS],
    ["t", 2, null, ErrorCode.INVALID_PARTITIONS],
    ["t", 1, null, ErrorCode.INVALID_PARTITIONS],
    ["t", -1, null, ErrorCode.INVALID_PARTITIONS],
    ["t", 40, null, ErrorCode.INVALID_PARTITIONS],
    ["t", 20_000, null, ErrorCode.POLICY_VIOLATION],
    ["t", 3, [[0, 1], [1, 2]], ErrorCode.INVALID_REPLICA_ASSIGNMENT],
    ["t", 3, [[0]], ErrorCode.INVALID_REPLICA_ASSIGNMENT],
    ["t", 3, [[]], ErrorCode.INVALID_REPLICA_ASSIGNMENT],
    ["t", 3, [[0, 9]], ErrorCode.INVALID_REPLICA_ASSIGNMENT],
    ["t", 3, [[0, 0]], ErrorCode.INVALID_REPLICA_ASSIGNMENT],
    ["t", 3, [[2, 1]], ErrorCode.NONE],
  ];
  for (const [name, count, assignments, error] of cases) {
    const [result] = cluster.run((context) =>
      createPartitions(context, [{ name, count, assignments }], true)
    );
    assert.equal(result!.error, error, `${name} ${count} ${JSON.stringify(assignments)}`);
    const isSilent = error === ErrorCode.NONE || error === ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
    assert.equal(result!.message === null, isSilent);
  }
  const twice = [{ name: "t", count: 3, assignments: null }, {
    name: "t",
    count: 4,
    assignments: null,
  }];
  const results = cluster.run((context) => createPartitions(context, twice, false));
  assert.deepEqual(results.map((result) => result.error), [ErrorCode.INVALID_REQUEST]);
  assert.equal(cluster.image.topicByName("t")!.partitions.length, 2);
});

Deno.test("new partitions go to nodes that can be reached, as long as there are enough", () => {
  const cluster = new TestCluster(THREE_NODES);
  const [one, two, all] = [1, 2, 3].map((replicationFactor) =>
    newTopic(`t${replicationFactor}`, { numPartitions: 6, replicationFactor })
  );
  const run = (topic: NewTopic) =>
    cluster.run((context) =>
      createTopics({ ...context, isAlive: (id) => id !== 0 }, [topic], false)
    );
  const replicasOf = (name: string) =>
    cluster.image.topicByName(name)!.partitions.map(({ replicas }) => replicas);
  for (const topic of [one!, two!, all!]) assert.equal(run(topic)[0]!.error, ErrorCode.NONE);
  assert.ok([...replicasOf("t1"), ...replicasOf("t2")].every((nodes) => !nodes.includes(0)));
  for (const nodes of replicasOf("t3")) {
    assert.equal(nodes.length, 3);
    assert.notEqual(nodes[0], 0, "who cannot be reached should not lead");
  }
});

Deno.test("a coordinator's topic that is left to the cluster has settings of its own, and a replica on each node", () => {
  const cluster = new TestCluster(THREE_NODES);
  const [made] = cluster.run((context) =>
    createTopics(context, [newTopic("__consumer_offsets")], false)
  );
  assert.deepEqual([made!.error, made!.partitionCount, made!.replicationFactor], [0, 50, 3]);
  assert.equal(made!.configs.get("cleanup.policy"), "compact");
});

Deno.test("a partition has as many replicas as a group has voters, and not more", () => {
  const ids = Array.from({ length: VOTERS_MAX + 1 }, (_, id) => id);
  const cluster = new TestCluster({ nodes: ids.map((id) => testNode(id)) });
  const outcome = (wanted: Partial<NewTopic>): [number, string | null] => {
    const [result] = cluster.run((context) =>
      createTopics(context, [newTopic("t", wanted)], false)
    );
    return [result!.error, result!.message];
  };
  assert.deepEqual(outcome({ numPartitions: 1, replicationFactor: 16 }), [
    ErrorCode.INVALID_REPLICATION_FACTOR,
    "the replication factor is 16, and 15 at most",
  ]);
  const words = "a partition has 16 replicas, and 15 at most";
  assert.deepEqual(outcome({ assignments: [{ partitionIndex: 0, brokerIds: ids }] }), [
    ErrorCode.INVALID_REPLICA_ASSIGNMENT,
    words,
  ]);
  assert.equal(outcome({ numPartitions: 1, replicationFactor: 15 })[0], ErrorCode.NONE);
  const target = { topic: "t", index: 0, replicas: ids };
  const refused = cluster.run((context) => alterReplicas(context, target, true));
  assert.deepEqual([refused.error, refused.message], [ErrorCode.INVALID_REPLICA_ASSIGNMENT, words]);
});

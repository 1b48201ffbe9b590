import { strict as assert } from "node:assert";
import { Xoshiro128 } from "../base/prng.ts";
import { ErrorCode } from "../wire/errors.ts";
import { ZERO_UUID } from "../wire/uuid.ts";
import { alterConfigs, ConfigOperation, replaceConfigs } from "./alter_configs.ts";
import type { CommandContext } from "./command.ts";
import { ResourceType } from "./config_table.ts";
import { createPartitions, createTopics } from "./create_topics.ts";
import { deleteTopics } from "./delete_topics.ts";
import { ClusterImage } from "./image.ts";
import { newUuid } from "./ids.ts";
import { raiseVersion } from "./features.ts";
import { registerNode, reserveGroupIds } from "./membership.ts";
import { allocateProducerIds, PRODUCER_ID_BLOCK_SIZE, ProducerIdBlock } from "./producer_ids.ts";
import {
  COMMAND_BYTES_MAX,
  decodeCommand,
  encodeCommand,
  type MetadataRecord,
  RecordType,
} from "./records.ts";
import { replayCommand, TestCluster, testNode } from "./test_cluster.ts";

function topicNamed(name: string) {
  return { name, numPartitions: -1, replicationFactor: -1, assignments: [], configs: [] };
}

function create(...names: string[]) {
  return (context: CommandContext) => createTopics(context, names.map(topicNamed), false);
}

function snapshotOf(image: ClusterImage): MetadataRecord[] {
  return [...image.snapshotRecords()];
}

Deno.test("the first command forms the cluster, a restart changes nothing", () => {
  const cluster = new TestCluster();
  assert.match(cluster.image.clusterId, /^[A-Za-z0-9_-]{22}$/);
  assert.equal(cluster.commands.length, 1);
  cluster.run((context) => registerNode(context, testNode(0)));
  assert.equal(cluster.commands.length, 1, "the same node again is no news");
  cluster.run((context) => registerNode(context, testNode(0, "rack-1")));
  assert.equal(cluster.image.nodes.get(0)!.rack, "rack-1");
});

Deno.test("deleteTopics() deletes by name and by id, each topic alone", () => {
  const cluster = new TestCluster();
  cluster.run(create("a", "b", "c", "d", "__consumer_offsets"));
  const removed: string[] = [];
  cluster.image.listen({ topicRemoved: (topic) => removed.push(topic.name) });
  const idOf = (name: string) => cluster.image.topicByName(name)!.id;
  const stranger = newUuid(new Xoshiro128(99));
  const topics = [
    { name: "a", topicId: ZERO_UUID },
    { name: null, topicId: idOf("b") },
    { name: "none", topicId: ZERO_UUID },
    { name: null, topicId: stranger },
    { name: null, topicId: ZERO_UUID },
    { name: "c", topicId: idOf("c") },
    { name: "c", topicId: idOf("c") },
    { name: "d", topicId: ZERO_UUID },
    { name: "d", topicId: ZERO_UUID },
    { name: "__consumer_offsets", topicId: ZERO_UUID },
    { name: null, topicId: idOf("a") },
  ];
  const results = cluster.run((context) => deleteTopics(context, topics));
  assert.deepEqual(results.map((result) => [result.name, result.error]), [
    ["a", ErrorCode.NONE],
    ["b", ErrorCode.NONE],
    ["none", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
    [null, ErrorCode.UNKNOWN_TOPIC_ID],
    [null, ErrorCode.INVALID_REQUEST],
    ["c", ErrorCode.INVALID_REQUEST],
    ["c", ErrorCode.INVALID_REQUEST],
    ["d", ErrorCode.INVALID_REQUEST],
    ["__consumer_offsets", ErrorCode.TOPIC_AUTHORIZATION_FAILED],
    [null, ErrorCode.INVALID_REQUEST],
  ]);
  assert.deepEqual(removed, ["a", "b"]);
  assert.deepEqual([...cluster.image.topics.keys()], ["c", "d", "__consumer_offsets"]);
});

Deno.test("deleteTopics() is refused where deletion is switched off", () => {
  const cluster = new TestCluster({ settings: { "delete.topic.enable": "false" } });
  cluster.run(create("a"));
  const [result] = cluster.run((context) =>
    deleteTopics(context, [{ name: "a", topicId: ZERO_UUID }])
  );
  assert.equal(result!.error, ErrorCode.TOPIC_DELETION_DISABLED);
  assert.ok(cluster.image.topicByName("a"));
});

Deno.test("a topic made again has a new id, new group ids, a new handle and no old configuration", () => {
  const cluster = new TestCluster();
  const topic = { ...topicNamed("t"), configs: [{ name: "retention.ms", value: "5" }] };
  cluster.run((context) => createTopics(context, [topic], false));
  const before = cluster.image.topicByName("t")!;
  assert.equal(before.config.number("retention.ms"), 5);
  cluster.run((context) => deleteTopics(context, [{ name: "t", topicId: ZERO_UUID }]));
  assert.equal(before.alive, false);
  const bytes = new TextEncoder().encode("t");
  assert.equal(cluster.image.lookup.findName(bytes, 0, 1), -1);
  cluster.run(create("t"));
  const after = cluster.image.topicByName("t")!;
  assert.notEqual(after.id, before.id);
  assert.equal(after.config.number("retention.ms"), 7 * 86_400_000);
  assert.ok(after.partitions[0]!.groupId > before.partitions[0]!.groupId);
  assert.equal(cluster.image.lookup.findName(bytes, 0, 1), after.handle);
  assert.equal(cluster.image.groupIdOf(after.handle, 0), after.partitions[0]!.groupId);
  assert.equal(cluster.image.groupIdOf(before.handle, 0), -1);
  assert.equal(cluster.image.groupIdOf(after.handle, 1), -1);
  assert.equal(cluster.image.groupIdOf(after.handle, -1), -1);
});

Deno.test("group ids stay used across a snapshot, also those of the last topics", () => {
  const cluster = new TestCluster();
  cluster.run(create("a", "b"));
  cluster.run((context) => deleteTopics(context, [{ name: "b", topicId: ZERO_UUID }]));
  const copy = new ClusterImage(0, new Map());
  for (const record of cluster.image.snapshotRecords()) copy.replay(record);
  assert.equal(copy.nextGroupId, 3);
});

Deno.test("the epochs of a removed topic's partitions are below those of all later ones, also across a snapshot", () => {
  const cluster = new TestCluster();
  cluster.run(create("a", "b"));
  assert.equal(cluster.image.topicByName("b")!.partitions[0]!.epochFloor, 0);
  // After many elections, of which no record tells.
  cluster.latestEpoch = 500;
  cluster.run((context) => deleteTopics(context, [{ name: "b", topicId: ZERO_UUID }]));
  cluster.latestEpoch = 3;
  cluster.run(create("b"));
  const floor = cluster.image.topicByName("b")!.partitions[0]!.epochFloor;
  assert.ok(floor >= 500, `${floor}`);
  const copy = new ClusterImage(0, new Map());
  for (const record of cluster.image.snapshotRecords()) copy.replay(record);
  assert.equal(copy.epochFloor, floor);
  assert.equal(copy.topicByName("b")!.partitions[0]!.epochFloor, floor);
  cluster.run((context) => deleteTopics(context, [{ name: "b", topicId: ZERO_UUID }]));
  const again = new ClusterImage(0, new Map());
  for (const record of cluster.image.snapshotRecords()) again.replay(record);
  assert.equal(again.epochFloor, floor);
});

Deno.test("no group gets the id of a log that the metadata log knows nothing of", () => {
  const cluster = new TestCluster();
  cluster.run(create("a"));
  cluster.run((context) => reserveGroupIds(context, 50));
  cluster.run((context) => reserveGroupIds(context, 20));
  cluster.run(create("b"));
  assert.equal(cluster.image.topicByName("b")!.partitions[0]!.groupId, 50);
});

const TOPIC = { resourceType: ResourceType.TOPIC, resourceName: "t" };
const NODE_0 = { resourceType: ResourceType.BROKER, resourceName: "0" };
const ALL_NODES = { resourceType: ResourceType.BROKER, resourceName: "" };
const { SET, DELETE, APPEND, SUBTRACT } = ConfigOperation;

type Change = [name: string, operation: number, value: string | null];

function alter(
  cluster: TestCluster,
  resource: { resourceType: number; resourceName: string },
  changes: Change[],
  validateOnly = false,
) {
  const listed = changes.map(([name, operation, value]) => ({ name, operation, value }));
  const [result] = cluster.run((context) =>
    alterConfigs(context, [{ ...resource, changes: listed }], validateOnly)
  );
  return result!;
}

Deno.test("alterConfigs() sets, deletes, appends and subtracts", () => {
  const cluster = new TestCluster();
  cluster.run(create("t"));
  const changed: number[] = [];
  cluster.image.listen({
    topicConfigChanged: (topic) => changed.push(topic.config.number("retention.ms")),
  });
  const topic = cluster.image.topicByName("t")!;
  assert.equal(alter(cluster, TOPIC, [["retention.ms", SET, "1000"]]).error, ErrorCode.NONE);
  assert.equal(topic.config.number("retention.ms"), 1000);
  assert.deepEqual(changed, [1000]);
  alter(cluster, TOPIC, [["cleanup.policy", APPEND, "compact"]]);
  assert.equal(topic.config.text("cleanup.policy"), "delete,compact", "appended to the default");
  alter(cluster, TOPIC, [["cleanup.policy", APPEND, "compact"]]);
  assert.equal(topic.config.text("cleanup.policy"), "delete,compact", "an element is there once");
  alter(cluster, TOPIC, [["cleanup.policy", SUBTRACT, "delete"], ["retention.ms", DELETE, null]]);
  assert.equal(topic.config.isCompacted, true);
  assert.equal(topic.config.isDeleted, false);
  assert.equal(topic.config.number("retention.ms"), 7 * 86_400_000);
  const commandCount = cluster.commands.length;
  alter(cluster, TOPIC, [["retention.ms", DELETE, null], ["cleanup.policy", SET, "compact"]]);
  assert.equal(cluster.commands.length, commandCount, "what changes nothing writes nothing");
  alter(cluster, TOPIC, [["retention.ms", SET, "7"]], true);
  assert.equal(cluster.commands.length, commandCount, "a dry run writes nothing");
});

Deno.test("alterConfigs() refuses resources and changes that make no sense", () => {
  const cluster = new TestCluster();
  cluster.run(create("t"));
  const cases: [{ resourceType: number; resourceName: string }, Change[], ErrorCode][] = [
    [{ ...TOPIC, resourceName: "none" }, [], ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
    // Values are looked at before the topic, names that come twice before everything.
    [
      { ...TOPIC, resourceName: "none" },
      [["cleanup.policy", SET, "burn"]],
      ErrorCode.INVALID_CONFIG,
    ],
    [TOPIC, [["retention.ms", APPEND, "1"], ["retention.ms", SET, "1"]], ErrorCode.INVALID_REQUEST],
    [{ ...TOPIC, resourceName: "" }, [], ErrorCode.INVALID_REQUEST],
    [{ ...TOPIC, resourceName: "." }, [], ErrorCode.INVALID_TOPIC_EXCEPTION],
    [TOPIC, [["cleanup.policy", APPEND, ""]], ErrorCode.INVALID_CONFIG],
    [{ ...NODE_0, resourceName: "5" }, [], ErrorCode.INVALID_REQUEST],
    [{ ...NODE_0, resourceName: "x" }, [], ErrorCode.INVALID_REQUEST],
    [
      { resourceType: ResourceType.BROKER_LOGGER, resourceName: "0" },
      [],
      ErrorCode.INVALID_REQUEST,
    ],
    [{ resourceType: 77, resourceName: "t" }, [], ErrorCode.INVALID_REQUEST],
    [TOPIC, [["retention.ms", SET, "soon"]], ErrorCode.INVALID_CONFIG],
    [TOPIC, [["no.such", SET, "1"]], ErrorCode.INVALID_CONFIG],
    [TOPIC, [["retention.ms", SET, null]], ErrorCode.INVALID_REQUEST],
    [TOPIC, [["retention.ms", 9, "1"]], ErrorCode.INVALID_REQUEST],
    [TOPIC, [["retention.ms", APPEND, "1"]], ErrorCode.INVALID_CONFIG],
    [TOPIC, [["retention.ms", SUBTRACT, "1"]], ErrorCode.INVALID_CONFIG],
    [TOPIC, [["cleanup.policy", APPEND, "burn"]], ErrorCode.INVALID_CONFIG],
    [TOPIC, [["retention.ms", SET, "1"], ["retention.ms", SET, "2"]], ErrorCode.INVALID_REQUEST],
    [
      TOPIC,
      [["min.compaction.lag.ms", SET, "20"], ["max.compaction.lag.ms", SET, "10"]],
      ErrorCode.INVALID_CONFIG,
    ],
    [
      TOPIC,
      [["leader.replication.throttled.replicas", SET, "0:1,".repeat(10_000)]],
      ErrorCode.INVALID_CONFIG,
    ],
    [TOPIC, [["leader.replication.throttled.replicas", SET, "0"]], ErrorCode.INVALID_CONFIG],
    [ALL_NODES, [["num.io.threads", APPEND, "1"]], ErrorCode.INVALID_CONFIG],
    [ALL_NODES, [["log.retention.ms", SET, "0"]], ErrorCode.INVALID_REQUEST],
    [ALL_NODES, [["no.such.setting", SET, "1"]], ErrorCode.INVALID_CONFIG],
    [ALL_NODES, [["group.max.size", SET, "9"]], ErrorCode.INVALID_REQUEST],
    [ALL_NODES, [["log.retention.ms", SET, "x"]], ErrorCode.INVALID_REQUEST],
  ];
  const commandCount = cluster.commands.length;
  for (const [resource, changes, error] of cases) {
    const result = alter(cluster, resource, changes);
    assert.equal(result.error, error, JSON.stringify([resource, changes]).slice(0, 200));
    assert.ok(result.message!.length > 10);
  }
  const twice = [{ ...TOPIC, changes: [] }, { ...TOPIC, changes: [] }];
  const results = cluster.run((context) => alterConfigs(context, twice, false));
  assert.deepEqual(
    results.map((result) => result.error),
    [ErrorCode.INVALID_REQUEST, ErrorCode.INVALID_REQUEST],
  );
  assert.equal(cluster.commands.length, commandCount);
});

Deno.test("broker configuration: a node's own value wins over all nodes' over its start-up's", () => {
  const cluster = new TestCluster({ settings: { "log.retention.ms": "1" } });
  cluster.run(create("t"));
  const topic = cluster.image.topicByName("t")!;
  assert.equal(topic.config.number("retention.ms"), 1);
  alter(cluster, ALL_NODES, [["log.retention.ms", SET, "2"]]);
  assert.equal(topic.config.number("retention.ms"), 2);
  alter(cluster, NODE_0, [["log.retention.ms", SET, "3"]]);
  assert.equal(topic.config.number("retention.ms"), 3);
  assert.equal(cluster.image.settings.number("log.retention.ms"), 3);
  alter(cluster, TOPIC, [["retention.ms", SET, "4"]]);
  assert.equal(topic.config.number("retention.ms"), 4);
  alter(cluster, TOPIC, [["retention.ms", DELETE, null]]);
  alter(cluster, NODE_0, [["log.retention.ms", DELETE, null]]);
  assert.equal(topic.config.number("retention.ms"), 2);
  alter(cluster, ALL_NODES, [["log.retention.ms", DELETE, null]]);
  assert.equal(topic.config.number("retention.ms"), 1);
});

Deno.test("replaceConfigs() sets what is named and removes the rest", () => {
  const cluster = new TestCluster();
  cluster.run(create("t"));
  alter(cluster, TOPIC, [["retention.ms", SET, "1"], ["segment.ms", SET, "2"]]);
  const replace = (configs: { name: string; value: string | null }[]) =>
    cluster.run((context) => replaceConfigs(context, [{ ...TOPIC, configs }], false))[0]!;
  const name = "retention.ms";
  assert.equal(replace([{ name, value: "9" }]).error, ErrorCode.NONE);
  const set = cluster.image.configs.get(ResourceType.TOPIC, "t");
  assert.deepEqual([...set], [[name, "9"]]);
  assert.equal(replace([{ name, value: null }]).error, ErrorCode.INVALID_REQUEST);
  assert.equal(replace([{ name, value: "bad" }]).error, ErrorCode.INVALID_CONFIG);
  assert.equal(
    replace([{ name, value: "1" }, { name, value: "2" }]).error,
    ErrorCode.INVALID_REQUEST,
  );
  assert.deepEqual([...set], [[name, "9"]]);
  replace([]);
  assert.equal(cluster.image.configs.get(ResourceType.TOPIC, "t").size, 0);
});

Deno.test("producer ids come in blocks that never overlap", () => {
  const cluster = new TestCluster();
  assert.equal(cluster.run(allocateProducerIds), 0);
  assert.equal(cluster.run(allocateProducerIds), PRODUCER_ID_BLOCK_SIZE);
  assert.equal(cluster.image.nextProducerId, 2 * PRODUCER_ID_BLOCK_SIZE);
  const block = new ProducerIdBlock();
  assert.equal(block.take(), -1);
  block.refill(5000);
  const ids = Array.from({ length: PRODUCER_ID_BLOCK_SIZE }, () => block.take());
  assert.deepEqual([ids[0], ids.at(-1), block.take()], [5000, 5999, -1]);
});

Deno.test("execute() decides against what is in flight and answers when it is committed", () => {
  const cluster = new TestCluster();
  cluster.autoCommit = false;
  const first = cluster.start(create("t"));
  const second = cluster.start(create("t"));
  const dryRun = cluster.start((context) => createTopics(context, [topicNamed("u")], true));
  assert.equal(cluster.pendingCount, 1, "a refusal appends nothing");
  assert.equal(cluster.image.topicByName("t"), undefined);
  assert.deepEqual([first.answer, second.answer, dryRun.answer], [undefined, undefined, undefined]);
  const third = cluster.start(create("v"));
  cluster.commit(1);
  assert.equal(first.answer!.result[0]!.error, ErrorCode.NONE);
  assert.equal(second.answer!.result[0]!.error, ErrorCode.TOPIC_ALREADY_EXISTS);
  assert.equal(dryRun.answer!.result[0]!.error, ErrorCode.NONE);
  assert.equal(third.answer, undefined);
  cluster.commit(1);
  assert.equal(third.answer!.result[0]!.error, ErrorCode.NONE);
});

Deno.test("execute() answers null for records that the log refused, and restarts from the committed ones", () => {
  const cluster = new TestCluster();
  cluster.autoCommit = false;
  const kept = cluster.start(create("kept"));
  const lost = cluster.start(create("lost"));
  const waiting = cluster.start(create("lost"));
  cluster.fail(1);
  assert.equal(lost.answer, null);
  const next = cluster.start(create("kept", "lost"));
  assert.equal(cluster.pendingCount, 1, "nothing is decided while an older append is open");
  cluster.commit(1);
  assert.deepEqual(
    [kept.answer, waiting.answer],
    [null, null],
    "they were decided with the lost one",
  );
  assert.equal(next.answer, undefined);
  cluster.commit(1);
  assert.deepEqual(next.answer!.result.map(({ name, error }) => [name, error]), [
    ["kept", ErrorCode.TOPIC_ALREADY_EXISTS],
    ["lost", ErrorCode.NONE],
  ]);
});

Deno.test("execute() answers null where this node does not lead", () => {
  const cluster = new TestCluster();
  cluster.autoCommit = false;
  const open = cluster.start(create("t"));
  cluster.service.resign();
  assert.equal(cluster.service.active, false);
  const refused = cluster.start(create("u"));
  cluster.commit(1);
  assert.deepEqual([open.answer, refused.answer], [null, null]);
  cluster.service.activate();
  cluster.autoCommit = true;
  assert.deepEqual(cluster.run(create("t", "u")).map(({ error }) => error), [
    ErrorCode.TOPIC_ALREADY_EXISTS,
    ErrorCode.NONE,
  ]);
});

Deno.test("a request too large for one command is refused, and leaves no trace", () => {
  const cluster = new TestCluster({ partitionsPerNodeMax: 40_000 });
  const long = "0:1,".repeat(2_500);
  const name = "leader.replication.throttled.replicas";
  const configured = (topic: string) => ({
    ...topicNamed(topic),
    configs: [{ name, value: long }],
  });
  const topics = Array.from({ length: 100 }, (_, i) => configured(`t${i}`));
  const results = cluster.run((context) => createTopics(context, topics, false));
  const made = results.filter(({ error }) => error === ErrorCode.NONE).length;
  assert.ok(made > 60 && made < 100, `${made} topics fit`);
  assert.ok(
    results.slice(made).every(({ error, message }) =>
      error === ErrorCode.POLICY_VIOLATION && message!.includes("786432 bytes")
    ),
  );
  assert.equal(cluster.image.topics.size, made);
  assert.equal(cluster.image.loadOf(0).replicas, made);
  assert.ok(cluster.commands.at(-1)!.length <= COMMAND_BYTES_MAX);
  const changes = [{ name, operation: SET, value: long.replaceAll("0", "2") }];
  const resources = Array.from({ length: made }, (_, i) => ({
    resourceType: ResourceType.TOPIC,
    resourceName: `t${i}`,
    changes,
  }));
  const altered = cluster.run((context) => alterConfigs(context, [...resources], false));
  assert.ok(altered.every(({ error }) => error === ErrorCode.NONE));
  const many = Array.from(
    { length: 3 },
    (_, i) => ({ ...topicNamed(`p${i}`), numPartitions: 10_000 }),
  );
  const partitions = cluster.run((context) => createTopics(context, many, false));
  assert.deepEqual(partitions.map(({ error }) => error), [
    ErrorCode.NONE,
    ErrorCode.POLICY_VIOLATION,
    ErrorCode.POLICY_VIOLATION,
  ]);
});

Deno.test("decodeCommand() refuses what a newer version wrote, and what is damaged", () => {
  const bytes = encodeCommand([{ type: RecordType.CLUSTER, body: { clusterId: "x" } }]);
  const problemOf = (change: (copy: Uint8Array) => Uint8Array | void) => {
    const copy = bytes.slice();
    const decoded = decodeCommand(change(copy) ?? copy);
    assert.equal(decoded.ok, false);
    return decoded.ok ? null : { newer: decoded.newer, problem: decoded.problem };
  };
  assert.deepEqual(problemOf((copy) => void (copy[0] = 2)), {
    newer: true,
    problem:
      "Cannot read format 2 of the metadata log: it was written by a newer version of Gregor",
  });
  assert.match(problemOf((copy) => void (copy[2] = 99))!.problem, /metadata record type 99/);
  assert.match(
    problemOf((copy) => void (copy[3] = 1))!.problem,
    /version 1 of metadata record type 1/,
  );
  for (let size = 0; size < bytes.length; size++) {
    assert.equal(problemOf((copy) => copy.subarray(0, size))!.newer, false);
  }
  assert.equal(problemOf((copy) => new Uint8Array([...copy, 0]))!.newer, false);
});

function randomCommand(random: Xoshiro128): (context: CommandContext) => void {
  const name = () => `t${random.nextBelow(12)}${random.nextBelow(2) === 0 ? "." : "_"}x`;
  const resource = () =>
    random.nextBelow(3) > 0
      ? { resourceType: ResourceType.TOPIC, resourceName: name() }
      : { resourceType: ResourceType.BROKER, resourceName: ["", "0", "1"][random.nextBelow(3)]! };
  switch (random.nextBelow(8)) {
    case 0:
    case 1:
    case 2: {
      const configs = random.nextBelow(2) === 0 ? [] : [{ name: "retention.ms", value: "9" }];
      const numPartitions = random.nextBelow(5) - 1;
      const topics = [{ ...topicNamed(name()), configs, numPartitions }, topicNamed(name())];
      return (context) => createTopics(context, topics, random.nextBelow(4) === 0);
    }
    case 3:
      return (context) => deleteTopics(context, [{ name: name(), topicId: ZERO_UUID }]);
    case 4:
      return (context) =>
        createPartitions(
          context,
          [{ name: name(), count: random.nextBelow(6), assignments: null }],
          false,
        );
    case 5: {
      const { resourceType, resourceName } = resource();
      const config = resourceType === ResourceType.TOPIC ? "segment.ms" : "log.roll.ms";
      const change = {
        name: config,
        operation: random.nextBelow(2),
        value: `${1 + random.nextBelow(3)}`,
      };
      return (context) =>
        alterConfigs(context, [{ resourceType, resourceName, changes: [change] }], false);
    }
    case 6:
      return (context) => allocateProducerIds(context);
    default:
      return (context) => {
        raiseVersion(context);
        registerNode(context, testNode(random.nextBelow(3), [null, "r"][random.nextBelow(2)]!));
      };
  }
}

Deno.test("images agree: ahead, committed, replayed from the log, and rebuilt from a snapshot", () => {
  for (let seed = 1; seed <= 40; seed++) {
    const random = new Xoshiro128(seed);
    const cluster = new TestCluster({ seed, nodes: [testNode(0), testNode(1)] });
    for (let step = 0; step < 60; step++) {
      cluster.autoCommit = random.nextBelow(3) > 0;
      cluster.start(randomCommand(random));
      if (random.nextBelow(8) === 0) cluster.fail(random.nextBelow(cluster.pendingCount + 1));
      if (random.nextBelow(20) === 0) {
        cluster.service.resign();
        cluster.service.activate();
      }
    }
    cluster.autoCommit = true;
    cluster.commit(cluster.pendingCount);
    assert.equal(cluster.pendingCount, 0);
    const { image } = cluster;
    const replayed = new ClusterImage(0, new Map());
    for (const command of cluster.commands) replayCommand(replayed, command);
    const rebuilt = new ClusterImage(0, new Map());
    for (const record of image.snapshotRecords()) {
      replayCommand(rebuilt, encodeCommand([record]));
    }
    const expected = snapshotOf(image);
    assert.deepEqual(snapshotOf(replayed), expected, `seed ${seed}: replayed`);
    assert.deepEqual(snapshotOf(rebuilt), expected, `seed ${seed}: rebuilt`);
    let ahead: MetadataRecord[] = [];
    cluster.start((context) => (ahead = snapshotOf(context.image)));
    assert.deepEqual(ahead, expected, `seed ${seed}: ahead`);
    checkInvariants(image, cluster.commands, seed);
    for (const [name, topic] of image.topics) {
      const values = [topic, rebuilt.topicByName(name)!].map(({ config }) =>
        [config.number("retention.ms"), config.number("segment.ms")].join()
      );
      assert.equal(values[0], values[1], `seed ${seed}: ${name}`);
    }
  }
});

function checkInvariants(image: ClusterImage, commands: readonly Uint8Array[], seed: number) {
  const groups = new Set<number>();
  const ids = new Set<string>();
  for (const command of commands) {
    const decoded = decodeCommand(command);
    assert.ok(decoded.ok);
    for (const record of decoded.records) {
      if (record.type === RecordType.PARTITION) {
        assert.ok(!groups.has(record.body.groupId), `seed ${seed}: a group id is used once`);
        groups.add(record.body.groupId);
      } else if (record.type === RecordType.TOPIC) {
        assert.ok(!ids.has(record.body.topicId), `seed ${seed}: a topic id is used once`);
        ids.add(record.body.topicId);
      }
    }
  }
  let partitionCount = 0;
  const loads = new Map<number, { replicas: number; leaders: number }>();
  for (const topic of image.topics.values()) {
    assert.ok(topic.partitions.length > 0, `seed ${seed}: a topic has partitions`);
    for (const [index, partition] of topic.partitions.entries()) {
      partitionCount++;
      for (const [at, nodeId] of partition.replicas.entries()) {
        const { replicas, leaders } = loads.get(nodeId) ?? { replicas: 0, leaders: 0 };
        loads.set(nodeId, { replicas: replicas + 1, leaders: leaders + (at === 0 ? 1 : 0) });
      }
      assert.equal(partition.index, index);
      assert.equal(image.partitionByGroup(partition.groupId), partition);
      assert.equal(image.groupIdOf(topic.handle, index), partition.groupId);
    }
  }
  assert.equal(image.partitionCount, partitionCount);
  for (const nodeId of image.nodes.keys()) {
    assert.deepEqual(image.loadOf(nodeId), loads.get(nodeId) ?? { replicas: 0, leaders: 0 });
  }
  assert.equal(image.lookup.count, image.topics.size);
}

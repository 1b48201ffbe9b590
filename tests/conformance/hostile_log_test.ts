/**
 * State machines that replay a log in which anything stands: random bytes, records whose fields say what they
 * like, records in any order. Nothing is ever thrown; what makes no sense is passed over; and what comes out can
 * serve: members expire, groups rebalance, topics are made.
 *
 * `GREGOR_HOSTILE_LOG_SEEDS` seeds are run; a failure names its seed.
 */

import { strict as assert } from "node:assert";
import { type Random, Xoshiro128 } from "../../src/base/prng.ts";
import { Writer } from "../../src/bytes/writer.ts";
import { createTopics } from "../../src/cluster/create_topics.ts";
import { ClusterImage } from "../../src/cluster/image.ts";
import { encodeCommand, type MetadataRecord, RecordType } from "../../src/cluster/records.ts";
import { registerNode } from "../../src/cluster/membership.ts";
import { TestCluster, testNode } from "../../src/cluster/test_cluster.ts";
import { TestMember } from "../../src/group/consumer/test_member.ts";
import { TestCoordinator } from "../../src/group/test_coordinator.ts";
import type { GroupRecord } from "../../src/group/records.ts";
import { replayCommand } from "../../src/shard/metadata_feed.ts";
import { newConsumerGroupHeartbeatRequest } from "../../src/wire/generated/consumer_group_heartbeat_request.ts";
import { newListGroupsRequest } from "../../src/wire/generated/list_groups_request.ts";
import { ZERO_UUID } from "../../src/wire/uuid.ts";
import { catalogEntry, HostileMessages } from "./malformed/hostile_message.ts";

const SEEDS = Number(Deno.env.get("GREGOR_HOSTILE_LOG_SEEDS") ?? 100);
const RECORDS = 60;
const UUIDS = [ZERO_UUID, "1".repeat(32), "2".repeat(32), "3".repeat(32)];
const STRINGS = [
  "",
  "g",
  "orders",
  "t",
  "u",
  "a.b",
  "a_b",
  "m",
  "n",
  "range",
  "consumer",
  "x".repeat(300),
];
const CONFIGS = [
  "retention.ms",
  "segment.bytes",
  "cleanup.policy",
  "num.partitions",
  "-1",
  "abc",
  "1048576",
];

function hostile(random: Random): HostileMessages {
  const subscription = Uint8Array.of(0, 1, 0, 0, 0, 1, 0, 1, 116);
  return new HostileMessages(random, {
    strings: [...STRINGS, ...CONFIGS],
    uuids: UUIDS,
    bytes: [new Uint8Array(0), Uint8Array.of(1, 2, 3), subscription, new Uint8Array(2000)],
  });
}

function bytesOf(random: Random, sizeMax: number): Uint8Array {
  return Uint8Array.from({ length: random.nextBelow(sizeMax) }, () => random.nextBelow(256));
}

/** Changes a byte, cuts, or leaves alone. */
function spoil(random: Random, bytes: Uint8Array): Uint8Array {
  const die = random.nextBelow(10);
  if (die === 0) return bytes.slice(0, random.nextBelow(bytes.length + 1));
  if (die === 1 && bytes.length > 0) bytes[random.nextBelow(bytes.length)] = random.nextBelow(256);
  return bytes;
}

function dataMessage(random: Random, name: string, versions: number, prefix: number): Uint8Array {
  const entry = catalogEntry(name);
  const version = random.nextBelow(versions);
  const writer = new Writer();
  writer.int16(prefix < 0 ? version : prefix);
  try {
    entry.encode(writer, version, hostile(random).message(entry, version));
  } catch (error) {
    // A version that cannot carry the value.
    if (!(error instanceof RangeError)) throw error;
  }
  return writer.copyBytes();
}

/** Records of groups whose coordinator assigns: the kind, and the forms of key and value. */
const CONSUMER_GROUP_KINDS = [
  [3, "ConsumerGroupKey", "ConsumerGroupMetadataValue"],
  [5, "ConsumerGroupPartKey", "ConsumerGroupMemberMetadataValue"],
  [6, "ConsumerGroupKey", "ConsumerGroupTargetAssignmentMetadataValue"],
  [7, "ConsumerGroupPartKey", "ConsumerGroupTargetAssignmentMemberValue"],
  [8, "ConsumerGroupPartKey", "ConsumerGroupCurrentMemberAssignmentValue"],
  [16, "ConsumerGroupPartKey", "ConsumerGroupRegularExpressionValue"],
] as const;

function consumerGroupRecordOf(random: Random): GroupRecord {
  const [kind, keyForm, valueForm] =
    CONSUMER_GROUP_KINDS[random.nextBelow(CONSUMER_GROUP_KINDS.length)]!;
  const entry = catalogEntry(keyForm);
  const writer = new Writer();
  writer.int16(kind);
  entry.encode(writer, kind, hostile(random).message(entry, kind));
  const value = random.nextBelow(8) === 0 ? null : dataMessage(random, valueForm, 1, -1);
  return {
    key: spoil(random, writer.copyBytes()),
    value: value === null ? null : spoil(random, value),
  };
}

function groupRecordOf(random: Random): GroupRecord {
  if (random.nextBelow(2) === 0) return consumerGroupRecordOf(random);
  if (random.nextBelow(10) === 0) return { key: bytesOf(random, 30), value: bytesOf(random, 60) };
  const isGroup = random.nextBelow(2) === 0;
  const key = isGroup
    ? dataMessage(random, "GroupMetadataKey", 1, 2)
    : dataMessage(random, "OffsetCommitKey", 2, 1);
  const value = isGroup
    ? dataMessage(random, "GroupMetadataValue", 5, -1)
    : dataMessage(random, "OffsetCommitValue", 5, -1);
  const gone = random.nextBelow(8) === 0;
  return { key: spoil(random, key), value: gone ? null : spoil(random, value) };
}

Deno.test(`a coordinator serves whatever its log holds, ${SEEDS} seeds`, () => {
  let taken = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    try {
      const random = new Xoshiro128(seed);
      const test = new TestCoordinator({}, seed);
      test.world.setTopic("t", 3);
      for (let i = 0; i < RECORDS; i++) test.log.records.push(groupRecordOf(random));
      const probe = test.create();
      for (const { key, value } of test.log.records) {
        if (probe.replay(key, value) === null) taken++;
      }
      test.restart();
      const { coordinator } = test;
      assert(coordinator.active);
      coordinator.listGroups(test.context(5), newListGroupsRequest());
      for (const groupId of [...coordinator.table.groups.keys()]) {
        coordinator.describeGroup(test.context(6), groupId);
        coordinator.describeConsumerGroup(test.context(1), groupId);
        for (const memberId of ["m", "n", "fresh"]) {
          const words = { group: groupId, topics: ["t", "orders"] };
          new TestMember(test, memberId, words).joining();
          test.coordinator.consumerHeartbeat(
            test.context(1),
            newConsumerGroupHeartbeatRequest({ groupId, memberId, memberEpoch: 1 }),
            () => {},
          );
        }
        test.join({ group: groupId });
        test.join({ group: groupId, instanceId: "m" });
      }
      for (let i = 0; i < 5; i++) test.advance(100_000);
      test.restart();
      test.advance(2 ** 31);
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
  }
  assert.ok(taken > SEEDS * 5, "hardly any record made sense");
});

const METADATA_TYPES = Object.entries({
  ClusterRecord: RecordType.CLUSTER,
  NodeRecord: RecordType.NODE,
  NodeRemovedRecord: RecordType.NODE_REMOVED,
  TopicRecord: RecordType.TOPIC,
  TopicRemovedRecord: RecordType.TOPIC_REMOVED,
  PartitionRecord: RecordType.PARTITION,
  ConfigRecord: RecordType.CONFIG,
  ProducerIdsRecord: RecordType.PRODUCER_IDS,
  GroupIdsRecord: RecordType.GROUP_IDS,
  FeatureLevelRecord: RecordType.FEATURE_LEVEL,
  GroupsRemovedRecord: RecordType.GROUPS_REMOVED,
});

function metadataRecordOf(random: Random): MetadataRecord {
  const [name, type] = METADATA_TYPES[random.nextBelow(METADATA_TYPES.length)]!;
  const body = hostile(random).message(catalogEntry(name), 0) as Record<string, unknown>;
  if (type === RecordType.PARTITION && random.nextBelow(2) === 0) {
    // Now and then one that fits.
    body.partitionIndex = random.nextBelow(2);
    body.groupId = 1 + random.nextBelow(5);
    body.replicas = [0];
  }
  return { type, body } as unknown as MetadataRecord;
}

Deno.test(`an image takes over what makes sense and goes on, ${SEEDS} seeds`, () => {
  let taken = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    try {
      const random = new Xoshiro128(seed);
      const cluster = new TestCluster({ seed });
      for (let i = 0; i < RECORDS; i++) {
        const command = encodeCommand([metadataRecordOf(random), metadataRecordOf(random)]);
        const bytes = random.nextBelow(10) === 0 ? bytesOf(random, 60) : spoil(random, command);
        const problems = replayCommand(cluster.image, bytes);
        if (problems.length === 0) taken++;
      }
      const copy = new ClusterImage(0, new Map());
      for (const record of cluster.image.snapshotRecords()) assert.equal(copy.replay(record), null);
      assert.deepEqual([...copy.snapshotRecords()], [...cluster.image.snapshotRecords()]);
      // The controller's own image starts again from the one that was fed.
      cluster.service.resign();
      cluster.service.activate();
      cluster.run((context) => {
        registerNode(context, testNode(0));
        const topic = {
          name: "new",
          numPartitions: 3,
          replicationFactor: 1,
          assignments: [],
          configs: [],
        };
        const [created] = createTopics(context, [topic], false);
        assert.equal(created!.error, 0, created!.message ?? "");
      });
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
  }
  assert.ok(taken > SEEDS * 5, "hardly any command made sense");
});

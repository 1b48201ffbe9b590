import { strict as assert } from "node:assert";
import { createTopics } from "./create_topics.ts";
import { controllerMembers, memberIncarnation, partitionMembers } from "./members.ts";
import { registerNode } from "./membership.ts";
import { RecordType } from "./records.ts";
import { TestCluster, testNode } from "./test_cluster.ts";

const OLD_LIFE = `0000abcd${"1".repeat(24)}`;
const NEW_LIFE = `ffffffff${"1".repeat(24)}`;

function topicOn(name: string, ...brokerIds: number[]) {
  const assignments = [{ partitionIndex: 0, brokerIds }];
  return { name, numPartitions: -1, replicationFactor: -1, assignments, configs: [] };
}

Deno.test("memberIncarnation() is positive, and differs where the beginning of the uuid does", () => {
  assert.equal(memberIncarnation("0".repeat(32)), 1);
  assert.equal(memberIncarnation(OLD_LIFE), 0xabcd);
  assert.equal(memberIncarnation(NEW_LIFE), 0x7fffffff);
});

Deno.test("a partition keeps the lives that its nodes had when it was made; a snapshot says the same", () => {
  const nodes = [0, 1, 2].map((nodeId) => ({ ...testNode(nodeId), incarnation: OLD_LIFE }));
  const cluster = new TestCluster({ nodes });
  cluster.run((context) => createTopics(context, [topicOn("before", 2, 0, 1)], false));
  cluster.run((context) => registerNode(context, { ...nodes[0]!, incarnation: NEW_LIFE }));
  cluster.run((context) => createTopics(context, [topicOn("after", 2, 0, 1)], false));
  const membersOf = (name: string) => cluster.image.topicByName(name)!.partitions[0]!.founders;
  const old = memberIncarnation(OLD_LIFE);
  assert.deepEqual(membersOf("before"), [
    { node: 2, incarnation: old },
    { node: 0, incarnation: old },
    { node: 1, incarnation: old },
  ]);
  assert.deepEqual(membersOf("after").map(({ incarnation }) => incarnation), [
    old,
    memberIncarnation(NEW_LIFE),
    old,
  ]);
  const snapshot = [...cluster.image.snapshotRecords()];
  const kept = snapshot.flatMap(({ type, body }) =>
    type === RecordType.PARTITION ? [body.incarnations] : []
  );
  assert.deepEqual(kept, [[old, old, old], [old, memberIncarnation(NEW_LIFE), old]]);
});

Deno.test("a group on one node belongs to whoever has that id", () => {
  assert.deepEqual(partitionMembers({ replicas: [4], incarnations: [99] }), [
    { node: 4, incarnation: 0 },
  ]);
  assert.deepEqual(controllerMembers([{ nodeId: 4, incarnation: OLD_LIFE }]), [
    { node: 4, incarnation: 0 },
  ]);
});

Deno.test("the first founders, five at most, are the voters of the metadata log's group", () => {
  const founders = [1, 2, 3, 4, 5, 6, 7].map((nodeId) => ({ nodeId, incarnation: OLD_LIFE }));
  const members = controllerMembers(founders);
  assert.deepEqual(members.map(({ node }) => node), [1, 2, 3, 4, 5]);
  assert.ok(members.every(({ incarnation }) => incarnation === 0xabcd));
});

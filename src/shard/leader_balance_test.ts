import { strict as assert } from "node:assert";
import { createTopics } from "../cluster/create_topics.ts";
import { LeaderTable } from "../cluster/leaders.ts";
import { TestCluster, testNode } from "../cluster/test_cluster.ts";
import { misplacedLeaders } from "./leader_balance.ts";

Deno.test("misplacedLeaders() names what this node leads for others, one of each of them in turn", () => {
  const cluster = new TestCluster({ nodes: [testNode(0), testNode(1), testNode(2)] });
  const topic = { name: "t", replicationFactor: 3, assignments: [], configs: [] };
  cluster.run((context) => createTopics(context, [{ ...topic, numPartitions: 9 }], false));
  const { partitions } = cluster.image.topicByName("t")!;
  const leaders = new LeaderTable();
  assert.deepEqual(misplacedLeaders(cluster.image, leaders, 0), [], "nobody leads");
  for (const { groupId } of partitions) leaders.note(groupId, 0, 1);
  const preferred = misplacedLeaders(cluster.image, leaders, 0).map(({ replicas }) => replicas[0]);
  assert.deepEqual(preferred, [1, 2, 1, 2, 1, 2]);
  assert.deepEqual(misplacedLeaders(cluster.image, leaders, 1), []);
  for (const { groupId, replicas } of partitions) leaders.note(groupId, replicas[0]!, 2);
  assert.deepEqual(misplacedLeaders(cluster.image, leaders, 0), []);
});

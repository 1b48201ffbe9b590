/** Numbers that other nodes send, or that a damaged data directory says: none of them ends the controller. */

import { strict as assert } from "node:assert";
import fc from "../../tests/harness/fast_check.ts";
import { createTopics } from "../cluster/create_topics.ts";
import { deleteTopics } from "../cluster/delete_topics.ts";
import { planChanges } from "../cluster/moves.ts";
import { emitChange } from "../cluster/reassign.ts";
import { LeaderTable } from "../cluster/leaders.ts";
import { TestCluster, testNode } from "../cluster/test_cluster.ts";
import { runTask } from "../io/task.ts";
import { TERM_MAX } from "../raft/limits.ts";
import { ZERO_UUID } from "../wire/uuid.ts";
import { LeaderFeed } from "./leader_feed.ts";
import type { PeerSender } from "./peer_sender.ts";
import { decodeRegistration, encodeRegistration, register } from "./registration.ts";

const ID = "A".repeat(22);

/** Creates a topic and deletes it. */
function use(cluster: TestCluster, name: string): void {
  cluster.run((context) => {
    const topic = { name, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] };
    createTopics(context, [topic], false);
  });
  cluster.run((context) => {
    for (const { partition, target } of planChanges(context.image, () => true)) {
      emitChange(context, partition, target);
    }
  });
  cluster.run((context) => deleteTopics(context, [{ name, topicId: ZERO_UUID }]));
}

/** A controller that hears who leads what from the frames of another node. */
function hearing() {
  const cluster = new TestCluster({ nodes: [testNode(0), testNode(1)] });
  const leaders = new LeaderTable(0);
  const feed = new LeaderFeed({
    sender: {} as PeerSender,
    led: () => [],
    onLeader: (groupId, node, epoch, inSync) => {
      leaders.note(groupId, node, epoch, inSync);
      cluster.latestEpoch = leaders.latestEpoch;
    },
  });
  const hear = (groupId: number, epoch: number, inSync: number): boolean => {
    const view = new DataView(new ArrayBuffer(12));
    view.setUint32(0, groupId, true);
    view.setUint32(4, epoch, true);
    view.setUint32(8, inSync, true);
    return feed.onFrame(1, view, 0, 12);
  };
  return { cluster, hear };
}

Deno.test("topics are created and deleted, whatever leader epochs a node has said", () => {
  for (const epoch of [1_999_999_990, 2_000_000_000, 2_000_000_001, TERM_MAX, 2 ** 31 - 1]) {
    const { cluster, hear } = hearing();
    hear(7, epoch, 1);
    use(cluster, "t");
    const again = { ...testNode(1), incarnation: "f".repeat(32) };
    use(cluster, "u");
    runTask(
      register({ controller: cluster.service, clusterId: ID, isAlive: () => false }, {
        node: again,
        firstFreeGroupId: 1,
      }),
      () => {},
    );
    use(cluster, "v");
    assert.equal(cluster.image.nodes.get(1)!.incarnation, again.incarnation);
  }
  const u32 = fc.integer({ min: 0, max: 0xffffffff });
  fc.assert(fc.property(u32, u32, u32, (groupId, epoch, inSync) => {
    const { cluster, hear } = hearing();
    hear(groupId, epoch, inSync);
    use(cluster, "t");
  }));
});

Deno.test("a node whose logs have ids that nobody gave out is refused; the controller's own are believed", () => {
  const cluster = new TestCluster({ nodes: [testNode(0)] });
  const ask = (isOwn: boolean, nodeId: number) => {
    let refusal: string | null | undefined;
    const options = { controller: cluster.service, clusterId: ID, isAlive: () => true, isOwn };
    const registration = { node: testNode(nodeId), firstFreeGroupId: 1_000_000_000 };
    runTask(register(options, registration), (answer) => refusal = answer!.refusal);
    return refusal;
  };
  assert.match(
    ask(false, 1)!,
    /node 1 has logs of groups up to 999999999, and the cluster has given/,
  );
  assert.equal(cluster.image.nextGroupId, 1);
  assert.equal(ask(true, 0), null);
  assert.equal(cluster.image.nextGroupId, 1_000_000_000);
  use(cluster, "t");
});

Deno.test("whatever a node registers, the controller goes on", () => {
  const i32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
  const strange = fc.record({
    nodeId: fc.oneof(i32, fc.integer({ min: 0, max: 3 })),
    logicalVersion: i32,
    logicalVersionMin: i32,
    port: i32,
    firstFreeGroupId: i32,
    isOwn: fc.boolean(),
  });
  fc.assert(fc.property(fc.array(strange, { maxLength: 6 }), (nodes) => {
    const cluster = new TestCluster({ nodes: [testNode(0), testNode(1)] });
    for (const { nodeId, port, firstFreeGroupId, isOwn, ...versions } of nodes) {
      const endpoints = ["kafka", "rpc"].map((name) => ({ name, host: "h", port }));
      const node = { ...testNode(0), nodeId, endpoints, ...versions };
      const registration = decodeRegistration(encodeRegistration({ node, firstFreeGroupId }));
      if (registration === null) continue;
      const options = { controller: cluster.service, clusterId: ID, isAlive: () => false, isOwn };
      runTask(register(options, registration), () => {});
      use(cluster, "t");
    }
  }));
});

import { strict as assert } from "node:assert";
import { createTopics } from "./create_topics.ts";
import { NodeState } from "./image.ts";
import { endFilling, registerNode, removeNode, setNodeState } from "./membership.ts";
import { filledNodes, MOVES_MAX, planChanges } from "./moves.ts";
import { completeChange, emitChange } from "./reassign.ts";
import { ErrorCode } from "../wire/errors.ts";
import { TestCluster, testNode } from "./test_cluster.ts";

const ALIVE = () => true;

function create(on: TestCluster, name: string, partitions: number, replicas: number): void {
  on.run((context) => {
    const topic = {
      name,
      numPartitions: partitions,
      replicationFactor: replicas,
      assignments: [],
      configs: [],
    };
    assert.equal(createTopics(context, [topic], false)[0]!.error, ErrorCode.NONE);
  });
}

function nodes(racks: readonly (string | null)[]): TestCluster {
  return new TestCluster({
    nodes: racks.map((rack, id) => ({
      ...testNode(id, rack),
      incarnation: `a${id}`.padEnd(32, "0"),
    })),
  });
}

/** Does what is planned, and finishes it, until nothing is; how many rounds that took. */
function settle(on: TestCluster): number {
  for (let rounds = 0;; rounds++) {
    assert(rounds < 1_000, "the plans do not end");
    const plan = planChanges(on.image, ALIVE);
    if (plan.length === 0) return rounds;
    on.run((context) => {
      for (const { partition, target } of planChanges(context.image, ALIVE)) {
        emitChange(context, partition, target);
      }
    });
    for (const topic of on.image.topics.values()) {
      for (const { groupId, change, isChanging } of topic.partitions) {
        if (isChanging) on.run((context) => completeChange(context, groupId, change));
      }
    }
  }
}

function setState(on: TestCluster, nodeId: number, state: NodeState): ErrorCode {
  return on.run((context) => setNodeState(context, nodeId, state))!.error;
}

Deno.test("a decommissioned node empties itself, a few partitions at a time, evenly", () => {
  const on = nodes([null, null, null, null, null]);
  create(on, "t", 100, 3);
  assert.equal(setState(on, 2, NodeState.DECOMMISSIONING), ErrorCode.NONE);
  assert.equal(planChanges(on.image, ALIVE).length, MOVES_MAX);
  assert.equal(on.run((context) => removeNode(context, 2))!.error, ErrorCode.INVALID_REQUEST);
  settle(on);
  const counts = [0, 1, 2, 3, 4].map((id) => on.image.loadOf(id).replicas);
  assert.equal(counts[2], 0);
  const others = counts.filter((_, id) => id !== 2);
  assert(Math.max(...others) - Math.min(...others) <= 1, `${counts}`);
  create(on, "later", 10, 3);
  assert.equal(on.image.loadOf(2).replicas, 0, "it gets nothing new");
  assert.equal(on.run((context) => removeNode(context, 2))!.error, ErrorCode.NONE);
  assert(!on.image.nodes.has(2));
});

Deno.test("a node that dies while partitions move to it can be decommissioned: they go elsewhere, and others after them", () => {
  const on = nodes([null, null, null]);
  create(on, "t", 40, 3);
  on.run((context) => registerNode(context, { ...testNode(3), incarnation: "a3".padEnd(32, "0") }));
  const begin = (isAlive: (nodeId: number) => boolean) => {
    on.run((context) => {
      for (const { partition, target } of planChanges(context.image, isAlive)) {
        emitChange(context, partition, target);
      }
    });
  };
  begin(ALIVE);
  const { partitions } = on.image.topicByName("t")!;
  assert.equal(partitions.filter(({ adding }) => adding.includes(3)).length, MOVES_MAX);
  const isAlive = (nodeId: number) => nodeId !== 3;
  assert.deepEqual(planChanges(on.image, isAlive), [], "no more than that at once");
  setState(on, 3, NodeState.DECOMMISSIONING);
  begin(isAlive);
  assert(partitions.every(({ target }) => !target.includes(3)));
  assert.deepEqual(planChanges(on.image, isAlive), [], "once");
  for (const { groupId, change, isChanging } of partitions) {
    if (isChanging) on.run((context) => completeChange(context, groupId, change));
  }
  assert.equal(on.image.loadOf(3).replicas, 0);
  assert.equal(on.run((context) => removeNode(context, 3))!.error, ErrorCode.NONE);
});

Deno.test("who takes over is on a rack that has no other replica, as long as there is one", () => {
  const on = nodes(["a", "a", "b", "b", "c", "c"]);
  create(on, "t", 30, 3);
  setState(on, 4, NodeState.DECOMMISSIONING);
  settle(on);
  for (const { replicas } of on.image.topicByName("t")!.partitions) {
    const racks = new Set(replicas.map((id) => on.image.nodes.get(id)!.rack));
    assert.equal(racks.size, 3, `${replicas}`);
  }
});

Deno.test("a decommission that is taken back leaves the rest where it is, and one without other nodes waits", () => {
  const on = nodes([null, null, null]);
  create(on, "t", 10, 3);
  assert.equal(setState(on, 0, NodeState.DECOMMISSIONING), ErrorCode.NONE);
  assert.equal(planChanges(on.image, ALIVE).length, 0, "three replicas need three nodes");
  assert.equal(setState(on, 0, NodeState.ACTIVE), ErrorCode.NONE);
  assert.equal(settle(on), 0);
  assert.equal(on.image.loadOf(0).replicas, 10);
  assert.equal(setState(on, 9, NodeState.ACTIVE), ErrorCode.BROKER_ID_NOT_REGISTERED);
});

Deno.test("nodes that cannot be reached get nothing", () => {
  const on = nodes([null, null, null, null, null]);
  create(on, "t", 20, 2);
  setState(on, 0, NodeState.DECOMMISSIONING);
  const plan = planChanges(on.image, (id) => id !== 4);
  assert(plan.length > 0);
  for (const { partition, target } of plan) {
    const added = target.filter((id) => !partition.replicas.includes(id));
    assert(!added.includes(4) && !added.includes(0), `${target}`);
  }
});

Deno.test("a node that lost its disk holds its partitions as another member, at once", () => {
  const on = nodes([null, null, null]);
  create(on, "t", 40, 3);
  create(on, "single", 3, 1);
  const again = { ...testNode(1), incarnation: "b1".padEnd(32, "0") };
  on.run((context) => registerNode(context, again));
  const plan = planChanges(on.image, ALIVE);
  assert.equal(plan.length, 40, "nobody else has what was on it alone");
  settle(on);
  assert(
    on.image.topicByName("t")!.partitions.every(({ holders }) =>
      holders.find(({ nodeId }) => nodeId === 1)!.since === 1
    ),
  );
});

Deno.test("a life that is over and on its way out is nobody's work any more: a new node ends to fill", () => {
  const on = nodes([null, null, null]);
  create(on, "t", 3, 3);
  const [partition] = on.image.topicByName("t")!.partitions;
  on.run((context) => emitChange(context, partition!, [0, 1]));
  const again = { ...testNode(2), incarnation: "b".repeat(32) };
  on.run((context) => registerNode(context, again));
  // The others hold what they should; this change waits for its group.
  on.run((context) => {
    for (const { partition, target } of planChanges(context.image, ALIVE)) {
      emitChange(context, partition, target);
    }
  });
  assert.equal(partition!.isChanging, true);
  const last = { ...testNode(3), incarnation: "c".repeat(32) };
  on.run((context) => registerNode(context, last));
  assert.equal(on.image.stateOf(3), NodeState.FILLING);
  for (let round = 0; round < 10; round++) {
    on.run((context) => {
      for (const { partition, target } of planChanges(context.image, ALIVE)) {
        emitChange(context, partition, target);
      }
    });
    for (const one of on.image.topicByName("t")!.partitions) {
      const isMoving = one.isChanging && one !== partition;
      if (isMoving) on.run((context) => completeChange(context, one.groupId, one.change));
    }
  }
  assert.deepEqual(planChanges(on.image, ALIVE), []);
  assert.deepEqual(filledNodes(on.image), [3]);
});

Deno.test("a node that is added takes its share over, from those that have most, and then is like the others", () => {
  const on = nodes(["a", "b", "c"]);
  create(on, "t", 20, 3);
  create(on, "single", 30, 1);
  on.run((context) =>
    registerNode(context, { ...testNode(3, "a"), incarnation: "b3".padEnd(32, "0") })
  );
  assert.equal(on.image.stateOf(3), NodeState.FILLING);
  assert.deepEqual(filledNodes(on.image), [3], "asked when nothing is planned");
  const first = planChanges(on.image, ALIVE);
  assert.equal(first.length, MOVES_MAX);
  settle(on);
  const counts = [0, 1, 2, 3].map((id) => on.image.loadOf(id).replicas);
  assert(counts[3]! >= 22 && Math.max(...counts) <= 25, `${counts}`);
  for (const { replicas } of on.image.topicByName("t")!.partitions) {
    assert.equal(new Set(replicas.map((id) => on.image.nodes.get(id)!.rack)).size, 3);
  }
  on.run((context) => endFilling(context, 3));
  assert.equal(on.image.stateOf(3), NodeState.ACTIVE);
  assert.equal(settle(on), 0);
});

Deno.test("a node that is added becomes the preferred leader of its share, and not of all that it takes over", () => {
  const on = nodes([null, null, null]);
  create(on, "t", 40, 3);
  on.run((context) => registerNode(context, { ...testNode(3), incarnation: "b3".padEnd(32, "0") }));
  settle(on);
  const leads = [0, 1, 2, 3].map((id) => on.image.loadOf(id).leaders);
  assert(Math.max(...leads) - Math.min(...leads) <= 4, `${leads}`);
  assert(on.image.loadOf(3).replicas >= 30);
});

Deno.test("a node that is added to an empty cluster, or where that is switched off, takes nothing over", () => {
  const empty = nodes([null]);
  empty.run((context) => registerNode(context, testNode(1)));
  assert.equal(empty.image.stateOf(1), NodeState.ACTIVE);
  const off = new TestCluster({ settings: { "new.nodes.take.partitions": "false" } });
  create(off, "t", 10, 1);
  off.run((context) => registerNode(context, testNode(1)));
  assert.equal(off.image.stateOf(1), NodeState.ACTIVE);
  assert.equal(settle(off), 0);
});

Deno.test("internal topics of a node alone are raised when there are three, and others are left", () => {
  const on = nodes([null]);
  create(on, "__consumer_offsets", 4, 1);
  create(on, "t", 4, 1);
  on.run((context) => registerNode(context, { ...testNode(1), incarnation: "b1".padEnd(32, "0") }));
  settle(on);
  assert.equal(on.image.topicByName("__consumer_offsets")!.partitions[0]!.replicas.length, 1);
  on.run((context) => registerNode(context, { ...testNode(2), incarnation: "b2".padEnd(32, "0") }));
  settle(on);
  const counts = (name: string) =>
    on.image.topicByName(name)!.partitions.map(({ replicas }) => replicas.length);
  assert.deepEqual(counts("__consumer_offsets"), [3, 3, 3, 3]);
  assert.deepEqual(counts("t"), [1, 1, 1, 1]);
});

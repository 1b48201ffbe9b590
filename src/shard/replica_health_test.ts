import { strict as assert } from "node:assert";
import { NodeHealth } from "./node_health.ts";
import { type ReplicaHealth, ReplicaWatch, type WatchedReplica } from "./replica_health.ts";

type State = WatchedReplica["replica"];

const LED: State = {
  leaderId: 0,
  leading: true,
  readOnly: false,
  overruled: false,
  inSyncCount: 3,
  voterCount: 3,
};
const FOLLOWING: State = { ...LED, leaderId: 1, leading: false };
const LOST: State = { ...FOLLOWING, leaderId: -1 };

Deno.test("a shard tells what is so at two looks in a row, and that it is over", () => {
  const told: ReplicaHealth[] = [];
  let replicas: WatchedReplica[] = [];
  let noController = false;
  let down: number[] = [];
  const watch = new ReplicaWatch({
    replicas: () => replicas,
    noController: () => noController,
    down: () => down,
    tell: (health) => told.push(health),
  });
  const set = (...states: State[]): void => {
    replicas = states.map((replica, at) => {
      return { name: `t/${at}`, wanted: replica.voterCount, replica };
    });
  };
  set(LED, FOLLOWING, { ...LED, voterCount: 1, inSyncCount: 1 });
  watch.look();
  watch.look();
  assert.deepEqual(told, []);
  // An election: nobody hears of it.
  set(LED, LOST);
  watch.look();
  set(LED, FOLLOWING);
  watch.look();
  assert.deepEqual(told, []);
  set({ ...LED, inSyncCount: 2 }, LOST, { ...LOST, readOnly: true }, {
    ...FOLLOWING,
    overruled: true,
  });
  noController = true;
  down = [2];
  watch.look();
  watch.look();
  watch.look();
  assert.deepEqual(told, [{
    leaderless: { count: 1, names: ["t/1"] },
    underReplicated: { count: 1, names: ["t/0"] },
    overruled: { count: 1, names: ["t/3"] },
    noController: true,
    down: [2],
  }]);
  set(LED, FOLLOWING);
  noController = false;
  down = [];
  watch.look();
  assert.deepEqual(told.at(-1), {
    leaderless: { count: 0, names: [] },
    underReplicated: { count: 0, names: [] },
    overruled: { count: 0, names: [] },
    noController: false,
    down: [],
  });
});

Deno.test("a replica that is filled anew, and has no vote, is missing", () => {
  const told: ReplicaHealth[] = [];
  const replicas = [
    { name: "t/0", wanted: 3, replica: { ...LED, voterCount: 2, inSyncCount: 2 } },
    { name: "t/1", wanted: 2, replica: { ...LED, voterCount: 1, inSyncCount: 1 } },
    { name: "t/2", wanted: 1, replica: { ...LED, voterCount: 1, inSyncCount: 1 } },
    // On its way from three to two: what leaves is needed until it has left.
    { name: "t/3", wanted: 2, replica: { ...LED, voterCount: 3, inSyncCount: 2 } },
  ];
  const watch = new ReplicaWatch({
    replicas: () => replicas,
    noController: () => false,
    down: () => [],
    tell: (health) => told.push(health),
  });
  watch.look();
  watch.look();
  assert.deepEqual(told[0]!.underReplicated, { count: 3, names: ["t/0", "t/1", "t/3"] });
});

Deno.test("a probe hears what keeps the node from serving, and what is wrong elsewhere, with what to do", () => {
  const lines: string[] = [];
  const logger = {
    log: (_level: number, message: string, fields = {}) =>
      lines.push(`${message} ${JSON.stringify(fields)}`),
  };
  const health = new NodeHealth(logger, "/d", () => 0);
  const none = { count: 0, names: [] };
  const whole = {
    leaderless: none,
    underReplicated: none,
    overruled: none,
    noController: false,
    down: [],
  };
  health.noteStarting("no answer yet from h:1");
  assert.equal(health.problems()[0]!.message, "Not started yet: no answer yet from h:1");
  health.noteStarting(null);
  assert.deepEqual(health.problems(), []);

  health.updateReplicas(0, { ...whole, noController: true, down: [1, 2] });
  health.updateReplicas(1, { ...whole, leaderless: { count: 25, names: ["a/0", "a/1"] } });
  assert.deepEqual(health.problems().map(({ kind }) => kind), ["no-controller", "leaderless"]);
  assert.match(health.problems()[0]!.message, /No node leads the cluster's metadata/);
  assert.match(health.problems()[1]!.message, /^25 partitions of this node have no leader/);
  assert.deepEqual(health.problems()[1]!.partitions, ["a/0", "a/1"]);
  assert.match(health.problems()[1]!.remedy, /gregor partition describe TOPIC/);
  assert.deepEqual(health.warnings().map(({ message }) => message), [
    "Nodes 1, 2 cannot be reached",
  ]);
  assert.match(health.warnings()[0]!.remedy, /gregor cluster nodes/);
  assert.equal(lines.length, 3, lines.join("\n"));

  health.updateReplicas(1, { ...whole, underReplicated: { count: 1, names: ["b/0"] } });
  health.updateReplicas(0, { ...whole, down: [2] });
  assert.deepEqual(health.problems(), []);
  assert.deepEqual(health.warnings().map(({ message }) => message), [
    "Node 2 cannot be reached",
    "1 partition led by this node has replicas that do not keep up",
  ]);
  health.updateReplicas(0, { ...whole, overruled: { count: 2, names: ["c/0", "c/1"] } });
  health.updateReplicas(1, whole);
  assert.deepEqual(health.warnings().map(({ message, partitions }) => [message, partitions]), [[
    "2 partitions went on without records that this node has of them: these replicas take part in nothing",
    ["c/0", "c/1"],
  ]]);
  health.updateReplicas(1, whole);
  health.updateReplicas(0, whole);
  assert.deepEqual(health.warnings(), []);
  assert.match(lines.at(-1)!, /The cluster is whole again/);
});

import { strict as assert } from "node:assert";
import { runTask } from "../io/task.ts";
import { raiseVersion } from "../cluster/features.ts";
import { OWN_VERSIONS } from "../cluster/logical_version.ts";
import { NODES_MAX } from "../cluster/members.ts";
import { registerNode } from "../cluster/membership.ts";
import { TestCluster, testNode } from "../cluster/test_cluster.ts";
import {
  decodeRegistration,
  decodeRegistrationAnswer,
  encodeRegistration,
  encodeRegistrationAnswer,
  register,
  type Registration,
  type RegistrationAnswer,
} from "./registration.ts";

const DONE = { refusal: null, offset: 0 };

function registered(
  cluster: TestCluster,
  registration: Registration,
  isAlive: (nodeId: number) => boolean = () => true,
): RegistrationAnswer | null | undefined {
  let answer: RegistrationAnswer | null | undefined;
  const clusterId = "A".repeat(22);
  const options = { controller: cluster.service, clusterId, isAlive };
  runTask(register(options, registration), (value) => answer = value);
  return answer;
}

Deno.test("a node registers, and again with what changed about it", () => {
  const cluster = new TestCluster({ nodes: [testNode(0)] });
  const { clusterId } = cluster.image;
  assert.deepEqual(registered(cluster, { node: testNode(3), firstFreeGroupId: 9 }), {
    refusal: null,
    offset: 0,
  });
  assert.deepEqual(cluster.image.nodes.get(3), testNode(3));
  assert.equal(cluster.image.nextGroupId, 9);
  assert.equal(cluster.image.clusterId, clusterId, "a cluster keeps its id");
  const moved = { ...testNode(3), endpoints: [{ name: "rpc", host: "h", port: 7 }] };
  assert.deepEqual(registered(cluster, { node: moved, firstFreeGroupId: 1 }, () => false), DONE);
  assert.deepEqual(cluster.image.nodes.get(3), moved);
  const commands = cluster.commands.length;
  registered(cluster, { node: moved, firstFreeGroupId: 1 });
  assert.equal(cluster.commands.length, commands, "no news, no record");
});

Deno.test("a second node with an id that runs is refused; after a lost disk the id is taken up again", () => {
  const cluster = new TestCluster({ nodes: [testNode(0), testNode(3)] });
  const node = { ...testNode(3), incarnation: "f".repeat(32) };
  const elsewhere = { ...node, endpoints: [{ name: "rpc", host: "h", port: 7 }] };
  const answer = registered(cluster, { node: elsewhere, firstFreeGroupId: 1 });
  assert.match(answer!.refusal!, /another node with the id 3 is running at 127.0.0.1:33148/);
  assert.deepEqual(cluster.image.nodes.get(3), testNode(3));
  const isAlive = (nodeId: number) => nodeId !== 3;
  assert.deepEqual(registered(cluster, { node: elsewhere, firstFreeGroupId: 1 }, isAlive), DONE);
  assert.deepEqual(cluster.image.nodes.get(3), elsewhere);
});

Deno.test("who takes up an id where it was is not refused for a connection that has just gone", () => {
  const cluster = new TestCluster({ nodes: [testNode(0), testNode(3)] });
  const node = { ...testNode(3), incarnation: "f".repeat(32) };
  assert.deepEqual(registered(cluster, { node, firstFreeGroupId: 1 }), DONE);
  assert.deepEqual(cluster.image.nodes.get(3), node);
});

Deno.test("whether another life of a node runs is waited for, unless this one is where that was", () => {
  const cluster = new TestCluster({ nodes: [testNode(0), testNode(3)] });
  const again = { ...testNode(3), incarnation: "f".repeat(32) };
  const elsewhere = { ...again, endpoints: [{ name: "rpc", host: "h", port: 7 }] };
  const asked = (node: typeof again, isAlive: boolean) => {
    let answer: RegistrationAnswer | null | undefined;
    const options = {
      controller: cluster.service,
      clusterId: "A".repeat(22),
      isAlive: () => isAlive,
      isConnected: () => false,
    };
    runTask(register(options, { node, firstFreeGroupId: 1 }), (value) => answer = value);
    return answer;
  };
  assert.equal(asked(elsewhere, true), null);
  assert.deepEqual(cluster.image.nodes.get(3), testNode(3));
  assert.deepEqual(asked(elsewhere, false), DONE);
  assert.deepEqual(asked(again, true), DONE, "the address leads to another process now");
});

Deno.test("a copied data directory is refused while the other one runs, and taken when it does not", () => {
  const cluster = new TestCluster({ nodes: [testNode(0), testNode(3)] });
  const moved = { ...testNode(3), endpoints: [{ name: "rpc", host: "h", port: 7 }] };
  const answer = registered(cluster, { node: moved, firstFreeGroupId: 1 });
  assert.match(
    answer!.refusal!,
    /node 3 is running at 127.0.0.1:33148 with a copy of this data directory: stop one/,
  );
  assert.deepEqual(cluster.image.nodes.get(3), testNode(3));
  assert.deepEqual(registered(cluster, { node: moved, firstFreeGroupId: 1 }, () => false), DONE);
  assert.deepEqual(cluster.image.nodes.get(3), moved);
});

Deno.test("a node whose program cannot follow the cluster's version is refused, and one for which there is no room", () => {
  const cluster = new TestCluster({ nodes: [testNode(0)] });
  cluster.run(raiseVersion);
  const { max } = OWN_VERSIONS;
  const older = { ...testNode(1), logicalVersion: max - 1 };
  const { refusal } = registered(cluster, { node: older, firstFreeGroupId: 1 })!;
  assert.match(
    refusal!,
    new RegExp(
      `works at logical version ${max} \\(gregor\\.version\\), and this program .* ${
        max - 1
      } at most`,
    ),
  );
  assert.equal(cluster.image.nodes.get(1), undefined);
  cluster.run((context) => {
    for (let id = 1; id < NODES_MAX; id++) registerNode(context, testNode(id));
  });
  const registration = { node: testNode(NODES_MAX), firstFreeGroupId: 1 };
  assert.match(registered(cluster, registration)!.refusal!, /has 100 nodes, and 100 at most$/);
  const again = { node: { ...testNode(5), rack: "r" }, firstFreeGroupId: 1 };
  assert.deepEqual(registered(cluster, again), DONE, "who is one of them comes back");
});

Deno.test("with the last founder the version rises", () => {
  const cluster = new TestCluster({ nodes: [testNode(0)] });
  const asked = (nodeId: number, isComplete: boolean) => {
    const options = {
      controller: cluster.service,
      clusterId: "A".repeat(22),
      isAlive: () => true,
      isComplete: () => isComplete,
    };
    runTask(register(options, { node: testNode(nodeId), firstFreeGroupId: 1 }), () => {});
    return cluster.image.finalizedVersion;
  };
  assert.equal(asked(1, false), 0);
  assert.equal(asked(2, true), OWN_VERSIONS.max);
});

Deno.test("who is not the controller registers nobody", () => {
  const cluster = new TestCluster();
  cluster.service.resign();
  assert.equal(registered(cluster, { node: testNode(3), firstFreeGroupId: 1 }), null);
});

Deno.test("registrations and answers are read as written; what makes no sense is not", () => {
  const registration = { node: testNode(3, "r"), firstFreeGroupId: 12 };
  const bytes = encodeRegistration(registration);
  assert.deepEqual(decodeRegistration(bytes), registration);
  for (let size = 0; size < bytes.length; size++) {
    assert.equal(decodeRegistration(bytes.slice(0, size)), null);
  }
  assert.equal(
    decodeRegistration(encodeRegistration({ ...registration, firstFreeGroupId: -1 })),
    null,
  );
  for (const answer of [{ refusal: null, offset: 7 }, { refusal: "no", offset: 0 }]) {
    assert.deepEqual(decodeRegistrationAnswer(encodeRegistrationAnswer(answer)), answer);
  }
  assert.equal(decodeRegistrationAnswer(new Uint8Array(0)), null);
  assert.equal(decodeRegistrationAnswer(Uint8Array.of(7, 1)), null);
});

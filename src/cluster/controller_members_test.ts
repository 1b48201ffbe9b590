import { strict as assert } from "node:assert";
import {
  type Configuration,
  decodeConfiguration,
  encodeConfiguration,
  isValid,
} from "../raft/configuration.ts";
import { LEARNERS_MAX } from "../raft/limits.ts";
import { nextMembers } from "../raft/next_members.ts";
import { type ControllerMembersOptions, wantedControllerMembers } from "./controller_members.ts";
import {
  CHANGES_SINCE_VERSION,
  FEW_LEARNERS_MAX,
  MANY_LEARNERS_SINCE_VERSION,
  OWN_VERSIONS,
} from "./logical_version.ts";
import { controllerMembers, memberIncarnation, NODES_MAX } from "./members.ts";
import type { NodeRecord } from "./records.ts";
import { testNode } from "./test_cluster.ts";

/** Lives whose first digits differ. */
function node(nodeId: number, rack: string | null = null, life = "a"): NodeRecord {
  return { ...testNode(nodeId, rack), incarnation: `${life}${nodeId}`.padEnd(32, "0") };
}

/** The members that nodes should be, founded by the first `founders` of them, which vote. */
function wanted(
  nodes: readonly NodeRecord[],
  founders: number,
  rest: Partial<ControllerMembersOptions> = {},
): string {
  const founding = nodes.slice(0, founders);
  const { voters, learners } = wantedControllerMembers({
    nodes: new Map(nodes.map((one) => [one.nodeId, one])),
    removedNodes: new Set(),
    founders: founding,
    voters: controllerMembers(founding),
    isAlive: () => true,
    logicalVersion: OWN_VERSIONS.max,
    isLeaving: () => false,
    isGivenUp: () => false,
    ...rest,
  });
  const ids = (members: typeof voters) => members.map(({ node }) => node).join(" ");
  return `${ids(voters)} / ${ids(learners)}`;
}

const NODES = [0, 1, 2, 3, 4, 5].map((nodeId) => node(nodeId));

Deno.test("one, three or five nodes vote, and all others learn", () => {
  assert.equal(wanted(NODES.slice(0, 1), 1), "0 / ");
  assert.equal(wanted(NODES.slice(0, 2), 1), "0 / 1");
  assert.equal(wanted(NODES.slice(0, 3), 1), "0 1 2 / ");
  assert.equal(wanted(NODES.slice(0, 4), 3), "0 1 2 / 3");
  assert.equal(wanted(NODES, 3), "0 1 2 3 4 / 5");
  assert.equal(wanted(NODES.slice(0, 2), 2), "0 1 / ", "nobody loses its vote");
  assert.equal(wanted(NODES.slice(0, 4), 4), "0 1 2 3 / ");
});

Deno.test("a life that was given up neither votes nor learns, though it is registered and there; another one does", () => {
  const isGivenUp = ({ nodeId }: NodeRecord): boolean => nodeId === 1;
  assert.equal(wanted(NODES.slice(0, 3), 1, { isGivenUp }), "0 2 / ");
  assert.equal(wanted(NODES.slice(0, 3), 3, { isGivenUp }), "0 2 / ");
  assert.equal(wanted(NODES.slice(0, 4), 3, { isGivenUp }), "0 2 3 / ");
  assert.equal(wanted(NODES.slice(0, 2), 1, { isGivenUp }), "0 / ");
});

Deno.test("votes go to nodes that can be reached, on racks that have none", () => {
  assert.equal(wanted(NODES.slice(0, 4), 1, { isAlive: (id) => id !== 1 }), "0 2 3 / 1");
  const racks = [node(0, "a"), node(1, "a"), node(2, "b"), node(3, "c")];
  assert.equal(wanted(racks, 1), "0 2 3 / 1");
});

Deno.test("a founder that has not registered yet keeps its vote; one that left does not", () => {
  const voters = controllerMembers(NODES.slice(0, 3));
  const nodes = new Map([[1, NODES[1]!]]);
  assert.equal(wanted(NODES.slice(0, 3), 3, { nodes, voters }), "0 1 2 / ");
  const removedNodes = new Set([0]);
  assert.equal(wanted(NODES.slice(0, 3), 3, { nodes, voters, removedNodes }), "1 2 / ");
});

Deno.test("who lost its disk votes again only as another member, and who leaves not at all", () => {
  const again = node(1, null, "b");
  const nodes = new Map([NODES[0]!, again, NODES[2]!].map((one) => [one.nodeId, one]));
  const founders = NODES.slice(0, 3);
  const { voters } = wantedControllerMembers({
    nodes,
    removedNodes: new Set(),
    founders,
    voters: controllerMembers(founders),
    isAlive: () => true,
    logicalVersion: OWN_VERSIONS.max,
    isLeaving: () => false,
    isGivenUp: () => false,
  });
  assert.deepEqual(voters.map((member) => member.node), [0, 2, 1]);
  assert.equal(voters[2]!.incarnation, memberIncarnation(again.incarnation));
  assert.equal(wanted(NODES.slice(0, 4), 3, { isLeaving: (id) => id === 0 }), "1 2 3 / 0");
});

Deno.test("the only founder is a member without an incarnation in its first life, and with one in the next", () => {
  const member = (life: string) =>
    wantedControllerMembers({
      nodes: new Map([0, 1, 2].map((id) => [id, node(id, null, id === 0 ? life : "a")])),
      removedNodes: new Set(),
      founders: [node(0)],
      voters: [{ node: 0, incarnation: 0 }],
      isAlive: () => true,
      logicalVersion: OWN_VERSIONS.max,
      isLeaving: () => false,
      isGivenUp: () => false,
    }).voters.find((one) => one.node === 0)!.incarnation;
  assert.equal(member("a"), 0);
  assert.equal(member("b"), memberIncarnation(node(0, null, "b").incarnation));
});

Deno.test("of many nodes all are members; before all programs know many, twenty are", () => {
  const nodes = Array.from({ length: NODES_MAX }, (_, nodeId) => node(nodeId));
  const options = {
    nodes: new Map(nodes.map((one) => [one.nodeId, one])),
    removedNodes: new Set<number>(),
    founders: nodes.slice(0, 3),
    isAlive: () => true,
    isLeaving: () => false,
    isGivenUp: () => false,
  };
  for (
    const { logicalVersion, members, learnersMax } of [
      {
        logicalVersion: MANY_LEARNERS_SINCE_VERSION,
        members: NODES_MAX,
        learnersMax: LEARNERS_MAX,
      },
      { logicalVersion: CHANGES_SINCE_VERSION, members: 20, learnersMax: FEW_LEARNERS_MAX },
    ]
  ) {
    let now: Configuration = {
      voters: controllerMembers(options.founders),
      outgoing: [],
      learners: [],
    };
    for (let step = 0; step < 9; step++) {
      const wanted = wantedControllerMembers({ ...options, logicalVersion, voters: now.voters });
      const next = nextMembers(now, wanted, () => true);
      if (next === null) break;
      assert(next.learners.length <= learnersMax, "nobody refuses a step on the way");
      now = { ...next, outgoing: [] };
      assert(isValid(now));
      assert.deepEqual(decodeConfiguration(encodeConfiguration(now)), now);
    }
    assert.equal(now.voters.length, 5);
    assert.equal(now.voters.length + now.learners.length, members);
  }
});

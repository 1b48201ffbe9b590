import { strict as assert } from "node:assert";
import {
  type DescribedMember,
  type DescribedReplica,
  newDescribedMember,
  newDescribedReplica,
} from "../wire/generated/describe_replicas_response.ts";
import type { ReplicaReport } from "./client/replicas.ts";
import { judgePartition, longest } from "./partition_describe.ts";

const NAME = { topic: "orders", partition: 0 };

function member(nodeId: number, more: Partial<DescribedMember> = {}): DescribedMember {
  return newDescribedMember({ nodeId, part: "voter", isUp: true, ...more });
}

function report(node: number, more: Partial<DescribedReplica> = {}): ReplicaReport {
  const replica = newDescribedReplica({
    role: "follower",
    term: 5,
    leaderId: 1,
    endOffset: 100,
    commitOffset: 90,
    lastIndex: 105,
    lastTerm: 5,
    members: [member(0), member(1), member(2)],
    ...more,
  });
  return { node, replica };
}

Deno.test("a leader's word counts for the others, each replica's own for itself", () => {
  const members = [
    member(0, { state: "following", matchOffset: 70, heardMs: 3 }),
    member(1, { state: "leader", matchOffset: 100, heardMs: 0 }),
    member(2, { state: "probing", matchOffset: -1, heardMs: -1, isUp: false }),
    member(3, { part: "learner", state: "snapshot", matchOffset: -1, heardMs: 40 }),
  ];
  const state = judgePartition(NAME, [
    report(0, { endOffset: 80 }),
    report(1, { role: "leader", members }),
    { node: 2, replica: null },
    // It missed that it was replaced.
    report(3, { role: "leader", term: 4, endOffset: 500 }),
  ]);
  assert.deepEqual([state.leader, state.epoch, state.committed], [1, 5, 90]);
  assert.deepEqual(
    state.replicas.map(({ node, part, state, end, lag }) => [node, part, state, end, lag]),
    [
      [0, "voter", "following", 80, 30],
      [1, "voter", "leader", 100, null],
      [2, "voter", "down", null, null],
      [3, "learner", "snapshot", 500, null],
    ],
  );
  assert.deepEqual(state.replicas.map(({ heardMs }) => heardMs), [3, null, null, 40]);
  assert.equal(state.advice, null);
});

Deno.test("without a leader it is said whether a majority is there, and who has to come back", () => {
  const lost = judgePartition(NAME, [
    report(0, {
      role: "candidate",
      leaderId: -1,
      members: [member(0), member(1, { isUp: false }), member(2, { isUp: false })],
    }),
    { node: 1, replica: null },
    { node: 2, replica: null },
  ]);
  assert.equal(lost.leader, -1);
  assert.deepEqual(lost.replicas.map(({ state }) => state), ["candidate", "down", "down"]);
  assert.equal(
    lost.advice,
    "Nobody leads: 2 of its 3 replicas are needed, and 1 answers. Start nodes 1, 2 again. " +
      "If they are gone for good, `gregor partition recover` says what can be done.",
  );
  const electing = judgePartition(NAME, [report(0), report(1), { node: 2, replica: null }]);
  assert.match(electing.advice!, /a majority of the replicas answers: an election takes a second/);
  const nobody = judgePartition(NAME, [0, 1].map((node) => ({ node, replica: null })));
  assert.match(nobody.advice!, /Nobody leads/);
});

Deno.test("the furthest log is that of the latest term, then the longest", () => {
  const answers = [
    report(0, { lastTerm: 4, lastIndex: 900 }),
    report(1, { lastTerm: 5, lastIndex: 10 }),
    report(2, { lastTerm: 5, lastIndex: 11 }),
  ].map(({ node, replica }) => ({ node, replica: replica! }));
  assert.equal(longest(answers)!.node, 2);
  assert.equal(longest([]), null);
});

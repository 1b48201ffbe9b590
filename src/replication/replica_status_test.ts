import { strict as assert } from "node:assert";
import { members, simple } from "../raft/test_cluster.ts";
import { Solo } from "../raft/test_solo.ts";
import { statusOf } from "./replica_status.ts";

const HOST = { nodeId: 1, nowMs: () => 0 };
const EMPTY = {
  durableEndOffset: 0,
  startIndex: 0,
  lastIndex: 0,
  suspect: false,
  offsetAt: () => 0,
};

function ownPart({ group }: Solo): string | undefined {
  const { members } = statusOf(group, EMPTY, HOST, false);
  return members.find(({ node }) => node === HOST.nodeId)?.part;
}

Deno.test("a replica in whose configuration another life of its node votes does not call itself a voter", () => {
  assert.equal(ownPart(new Solo(simple(1, 2, 3))), "voter");
  const formerLife = [{ node: 1, incarnation: 5 }, ...members(2, 3)];
  const wiped = new Solo({ voters: formerLife, outgoing: [], learners: [] });
  assert.equal(ownPart(wiped), "none");
  const learner = new Solo({ voters: members(2, 3), outgoing: [], learners: members(1) });
  assert.equal(ownPart(learner), "learner");
  const moved = new Solo({ voters: members(2, 3), outgoing: members(1, 2, 3), learners: [] });
  assert.equal(ownPart(moved), "leaving");
});

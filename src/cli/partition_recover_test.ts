import { strict as assert } from "node:assert";
import {
  newDescribedMember,
  newDescribedReplica,
} from "../wire/generated/describe_replicas_response.ts";
import type { ReplicaReport } from "./client/replicas.ts";
import { chooseSurvivor, describeLoss, votersOf } from "./partition_recover.ts";

const NAME = { topic: "orders", partition: 0 };

/** What a node says of its replica in a group of the voters 1 and 2, and the learner 3. */
function report(
  node: number,
  lastIndex: number,
  more: { role?: string; part?: string } = {},
): ReplicaReport {
  const parts = ["voter", "voter", "learner"];
  const members = parts.map((part, at) =>
    newDescribedMember({
      nodeId: at + 1,
      part: at + 1 === node ? more.part ?? part : part,
      incarnation: 10 + at,
      wasVoter: at === 0,
    })
  );
  const { role = "follower" } = more;
  return { node, replica: newDescribedReplica({ role, lastTerm: 1, lastIndex, members }) };
}

const chosen = (reports: readonly ReplicaReport[], wanted: number | null = null): number =>
  chooseSurvivor(NAME, reports, wanted).node;

Deno.test("the furthest voter goes on; a learner where no voter is left; a damaged one only where it is named", () => {
  assert.equal(chosen([report(1, 5), report(2, 7), report(3, 9)]), 2);
  assert.equal(
    chosen([{ node: 1, replica: null }, report(2, 7, { role: "read-only" }), report(3, 9)]),
    3,
  );
  assert.equal(chosen([report(2, 7, { role: "read-only" }), report(3, 9)], 2), 2);
  // A node that lost its disk is no member in its present life.
  assert.equal(chosen([report(1, 0, { part: "none" }), report(2, 7)]), 2);
  assert.throws(
    () => chosen([report(1, 0, { part: "none" }), report(2, 7, { role: "read-only" })]),
    /no replica of orders\/0 answers that could go on/,
  );
});

Deno.test("the voters are those of the furthest replica, and which of them are damaged is told", () => {
  const voters = votersOf([
    report(1, 5, { role: "read-only" }),
    { node: 2, replica: null },
    report(3, 9),
  ]);
  assert.deepEqual(voters, [
    { nodeId: 1, incarnation: 10, isVoter: true, wasVoter: true, isDamaged: true },
    { nodeId: 2, incarnation: 11, isVoter: true, wasVoter: false, isDamaged: false },
  ]);
  assert.deepEqual(votersOf([{ node: 1, replica: null }]), []);
});

Deno.test("what is said before anything is lost names who does not answer, who lost the disk, and whose log is damaged", () => {
  const survivor = (reports: readonly ReplicaReport[]) => {
    const { node, replica } = reports.find(({ node }) => node === 2)!;
    return { node, replica: replica! };
  };
  const damaged = [report(1, 5, { role: "read-only" }), report(2, 7)];
  assert.match(
    describeLoss(NAME, [...damaged, report(3, 9)], survivor(damaged)),
    /of its 3 replicas, damage has cut the log of node 1\.\n.*\n.*lost, if node 1 had acknowledged any/,
  );
  const gone = [report(1, 0, { part: "none" }), report(2, 7), { node: 3, replica: null }];
  assert.match(
    describeLoss(NAME, gone, survivor(gone)),
    /of its 3 replicas, node 3 do not answer, the disk of node 1 is lost\./,
  );
});

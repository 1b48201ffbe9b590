import { strict as assert } from "node:assert";
import { newDescribedMember } from "../wire/generated/describe_replicas_response.ts";
import { judge, lacksVoters } from "./cluster_health.ts";
import { NodeState } from "./client/node_states.ts";

function metadata(...parts: string[]) {
  return { members: parts.map((part, nodeId) => newDescribedMember({ nodeId, part })) };
}

function nodes(...states: NodeState[]) {
  return states.map((state) => ({ state }));
}

Deno.test("a node that is still being filled with the metadata is missed among its voters", () => {
  const { ACTIVE, MAINTENANCE, DECOMMISSIONING } = NodeState;
  const three = nodes(ACTIVE, MAINTENANCE, ACTIVE);
  assert(!lacksVoters(metadata("voter", "voter", "voter"), three));
  assert(lacksVoters(metadata("voter", "voter", "learner"), three));
  assert(!lacksVoters(metadata("voter"), nodes(ACTIVE)));
  assert(
    !lacksVoters(metadata("voter", "learner", "learner"), nodes(ACTIVE, ACTIVE, DECOMMISSIONING)),
  );
  assert(
    !lacksVoters(
      metadata("voter", "voter", "voter", "learner"),
      nodes(ACTIVE, ACTIVE, ACTIVE, ACTIVE),
    ),
  );
  assert(!lacksVoters(null, three), "nobody could be asked");
  const places = { clusterId: "c", controllerId: 0, brokers: [], topics: [] };
  const { isHealthy, underReplicated } = judge(places, [], new Set(), true);
  assert.deepEqual([isHealthy, underReplicated], [false, ["__cluster_metadata/0"]]);
  assert(judge(places).isHealthy);
});

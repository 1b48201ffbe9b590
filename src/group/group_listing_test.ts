import { strict as assert } from "node:assert";
import { newListGroupsRequest } from "../wire/generated/list_groups_request.ts";
import { GROUP, TestCoordinator } from "./test_coordinator.ts";

function list(test: TestCoordinator, statesFilter: string[], typesFilter: string[] = []): string[] {
  const request = newListGroupsRequest({ statesFilter, typesFilter });
  return test.coordinator.listGroups(test.context(5), request).groups.map((group) => group.groupId);
}

Deno.test("listGroups() filters by state and type, whatever their case", () => {
  const test = new TestCoordinator();
  test.stable(1);
  test.commit({ t: [1] }, { groupId: "simple" });
  assert.deepEqual(list(test, []).sort(), [GROUP, "simple"]);
  assert.deepEqual(list(test, ["STABLE"]), [GROUP]);
  assert.deepEqual(list(test, ["Empty", "Dead"]), ["simple"]);
  assert.deepEqual(list(test, ["no such state"]), []);
  assert.deepEqual(list(test, ["Stable"], ["Classic"]), [GROUP]);
  assert.deepEqual(list(test, [], ["consumer"]), []);
});

Deno.test("describeGroup() shows the subscriptions of stable groups alone, and assignments always", () => {
  const test = new TestCoordinator();
  const { ids } = test.stable(1);
  const describe = () => test.coordinator.describeGroup(test.context(6), GROUP);
  const stable = describe();
  assert.equal(stable.protocolData, "range");
  assert.equal(stable.protocolType, "consumer");
  const [member] = stable.members;
  assert.deepEqual([member!.memberId, member!.clientId, member!.clientHost], [
    ids[0],
    "client",
    "/127.0.0.1",
  ]);
  assert.deepEqual([member!.memberMetadata.length, member!.memberAssignment.length], [1, 2]);
  test.join();
  test.join({ memberId: ids[0]! });
  const rebalancing = describe();
  assert.equal(rebalancing.groupState, "PreparingRebalance");
  assert.equal(rebalancing.protocolData, "");
  assert.equal(rebalancing.members[0]!.memberMetadata.length, 0);
  assert.equal(rebalancing.members[0]!.memberAssignment.length, 2);
});

Deno.test("describeGroup() of a group that does not exist is an error from version 6 on", () => {
  const test = new TestCoordinator();
  const old = test.coordinator.describeGroup(test.context(5), "none");
  assert.deepEqual([old.errorCode, old.groupState, old.errorMessage], [0, "Dead", null]);
  const now = test.coordinator.describeGroup(test.context(6), "none");
  assert.deepEqual([now.errorCode, now.groupState, now.errorMessage], [
    69,
    "Dead",
    "Group none not found.",
  ]);
});

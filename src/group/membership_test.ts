import { strict as assert } from "node:assert";
import { ErrorCode } from "../wire/errors.ts";
import { newLeaveGroupRequest } from "../wire/generated/leave_group_request.ts";
import type { LeaveGroupResponse } from "../wire/generated/leave_group_response.ts";
import { decode, GROUP, TestCoordinator } from "./test_coordinator.ts";

Deno.test("SyncGroup checks group, member, generation and protocol", () => {
  const test = new TestCoordinator();
  assert.equal(test.sync("m", 1).get().errorCode, ErrorCode.UNKNOWN_MEMBER_ID);
  const { ids, generation } = test.stable(1);
  const id = ids[0]!;
  const cases: [Parameters<TestCoordinator["sync"]>, number][] = [
    [["ghost", generation], ErrorCode.UNKNOWN_MEMBER_ID],
    [[id, generation - 1], ErrorCode.ILLEGAL_GENERATION],
    [[id, generation + 1], ErrorCode.ILLEGAL_GENERATION],
    [[id, generation, {}, { protocolType: "connect" }], ErrorCode.INCONSISTENT_GROUP_PROTOCOL],
    [[id, generation, {}, { protocolName: "sticky" }], ErrorCode.INCONSISTENT_GROUP_PROTOCOL],
    [[id, generation, {}, { protocolType: "consumer", protocolName: "range" }], 0],
    [[id, generation], 0],
  ];
  for (const [words, errorCode] of cases) {
    assert.equal(test.sync(...words).get().errorCode, errorCode);
  }
});

Deno.test("a stable group's SyncGroup gives the present assignment, whatever it brings", () => {
  const test = new TestCoordinator();
  const { ids, generation } = test.stable(1);
  const records = test.log.records.length;
  const again = test.sync(ids[0]!, generation, { [ids[0]!]: "other" }).get();
  assert.equal(decode(again.assignment), "a0");
  assert.equal(test.log.records.length, records);
});

Deno.test("a second SyncGroup of a parked member answers the first, and is not appended again", () => {
  const test = new TestCoordinator();
  const { memberId } = test.joinDynamic();
  test.advance(0);
  test.log.held = true;
  const first = test.sync(memberId, 1, { [memberId]: "x" });
  const second = test.sync(memberId, 1, { [memberId]: "x" });
  assert.equal(first.get().errorCode, ErrorCode.REBALANCE_IN_PROGRESS);
  assert.equal(test.log.waiting, 1);
  test.log.release();
  assert.equal(decode(second.get().assignment), "x");
});

Deno.test("Heartbeat checks group, member and generation", () => {
  const test = new TestCoordinator();
  assert.equal(test.heartbeat("m", 1), ErrorCode.UNKNOWN_MEMBER_ID);
  const { memberId } = test.joinDynamic();
  assert.equal(test.heartbeat(memberId, 0), ErrorCode.REBALANCE_IN_PROGRESS);
  test.advance(0);
  assert.equal(test.state(), "CompletingRebalance");
  assert.equal(test.heartbeat(memberId, 1), 0, "the member may not have synced yet");
  assert.equal(test.heartbeat(memberId, 0), ErrorCode.ILLEGAL_GENERATION);
  assert.equal(test.heartbeat("ghost", 1), ErrorCode.UNKNOWN_MEMBER_ID);
});

Deno.test("LeaveGroup lets members go at once, and the others rebalance", () => {
  const test = new TestCoordinator();
  const { ids, generation } = test.stable(3);
  const left = test.leave({ memberId: ids[0]! }, { memberId: "ghost" }, { memberId: ids[2]! });
  assert.equal(left.errorCode, 0);
  assert.deepEqual(left.members.map((m) => [m.memberId, m.errorCode]), [
    [ids[0], 0],
    ["ghost", ErrorCode.UNKNOWN_MEMBER_ID],
    [ids[2], 0],
  ]);
  assert.equal(test.heartbeat(ids[1]!, generation), ErrorCode.REBALANCE_IN_PROGRESS);
  const join = test.join({ memberId: ids[1]! }).get();
  assert.equal(join.generationId, generation + 1);
  assert.equal(join.leader, ids[1]);
  test.leave({ memberId: ids[1]! });
  assert.equal(test.state(), "Empty");
});

Deno.test("LeaveGroup of a pending member, and of one whose JoinGroup is parked", () => {
  const test = new TestCoordinator();
  const { ids } = test.stable(1);
  const pending = test.join().get().memberId;
  const { memberId, join } = test.joinDynamic();
  assert.deepEqual(
    test.leave({ memberId: pending }, { memberId }).members.map((m) => m.errorCode),
    [0, 0],
  );
  assert.equal(join.get().errorCode, ErrorCode.UNKNOWN_MEMBER_ID);
  const again = test.join({ memberId: ids[0]! });
  assert.equal(again.get().generationId, 2, "nobody else is waited for");
  test.assertNothingForgotten();
});

Deno.test("a parked SyncGroup of a member that leaves is answered", () => {
  const test = new TestCoordinator();
  test.joinDynamic();
  const b = test.joinDynamic();
  test.advance(0);
  const sync = test.sync(b.memberId, 1);
  test.leave({ memberId: b.memberId });
  assert.equal(sync.get().errorCode, ErrorCode.UNKNOWN_MEMBER_ID);
});

Deno.test("LeaveGroup before version 3 has one member and one error", () => {
  const test = new TestCoordinator();
  const { ids } = test.stable(1);
  const leave = (memberId: string, groupId = GROUP) => {
    const pending = test.pending<LeaveGroupResponse>("LeaveGroup");
    const request = newLeaveGroupRequest({ groupId, memberId });
    test.coordinator.leaveGroup(test.context(2), request, pending.respond);
    assert.deepEqual(pending.get().members, []);
    return pending.get().errorCode;
  };
  assert.equal(leave("", ""), ErrorCode.INVALID_GROUP_ID);
  assert.equal(leave("ghost"), ErrorCode.UNKNOWN_MEMBER_ID);
  assert.equal(leave("ghost", "no such group"), ErrorCode.UNKNOWN_MEMBER_ID);
  assert.equal(leave(ids[0]!), 0);
  assert.equal(test.state(), "Empty");
});

Deno.test("LeaveGroup of a group that does not exist says so of every member", () => {
  const test = new TestCoordinator();
  const left = test.leave({ memberId: "a" }, { instanceId: "b" });
  assert.equal(left.errorCode, 0);
  assert.deepEqual(left.members.map((m) => [m.memberId, m.groupInstanceId, m.errorCode]), [
    ["a", null, ErrorCode.UNKNOWN_MEMBER_ID],
    ["", "b", ErrorCode.UNKNOWN_MEMBER_ID],
  ]);
});

import { strict as assert } from "node:assert";
import { ErrorCode } from "../wire/errors.ts";
import type { JoinGroupResponse } from "../wire/generated/join_group_response.ts";
import { decode, type JoinWords, TestCoordinator } from "./test_coordinator.ts";

/** A stable group of the static members "one" (which leads) and "two". */
function stable(words: JoinWords = {}): { test: TestCoordinator; one: string; two: string } {
  const test = new TestCoordinator();
  const joins = ["one", "two"].map((instanceId) => test.join({ ...words, instanceId }));
  test.advance(0);
  const [one, two] = joins.map((join) => join.get().memberId) as [string, string];
  assert.equal(joins[0]!.get().leader, one);
  test.sync(one, 1, { [one]: "p1", [two]: "p2" }, { instanceId: "one" });
  assert.equal(decode(test.sync(two, 1, {}, { instanceId: "two" }).get().assignment), "p2");
  return { test, one, two };
}

Deno.test("a static member gets its id and its place in one JoinGroup", () => {
  const { test, one } = stable();
  assert.match(one, /^one-/);
  assert.deepEqual(test.group().metadata!.members.map((m) => m.groupInstanceId), ["one", "two"]);
});

Deno.test("a static follower that restarted takes its old place without a rebalance", () => {
  const { test, one, two } = stable();
  const again = test.join({ instanceId: "two" }).get();
  assert.equal(again.errorCode, 0);
  assert.equal(again.generationId, 1);
  assert.equal(again.leader, one);
  assert.equal(again.skipAssignment, false);
  assert.notEqual(again.memberId, two);
  assert.equal(test.state(), "Stable");
  const ids = test.group().metadata!.members.map((m) => m.memberId);
  assert.deepEqual(ids, [one, again.memberId], "the new id is written");
  const sync = test.sync(again.memberId, 1, {}, { instanceId: "two" }).get();
  assert.equal(decode(sync.assignment), "p2");
});

Deno.test("the former process of a static member is fenced", () => {
  const { test, two } = stable();
  test.join({ instanceId: "two" });
  const fenced = ErrorCode.FENCED_INSTANCE_ID;
  assert.equal(test.heartbeat(two, 1, "two"), fenced);
  assert.equal(test.sync(two, 1, {}, { instanceId: "two" }).get().errorCode, fenced);
  assert.equal(test.join({ memberId: two, instanceId: "two" }).get().errorCode, fenced);
  const commit = { memberId: two, groupInstanceId: "two", generationIdOrMemberEpoch: 1 };
  assert.equal(test.commitError({ t: [1] }, commit), fenced);
  assert.equal(test.leave({ memberId: two, instanceId: "two" }).members[0]!.errorCode, fenced);
  assert.equal(test.heartbeat(two, 1), ErrorCode.UNKNOWN_MEMBER_ID, "without its instance id");
  assert.equal(test.heartbeat(two, 1, "three"), ErrorCode.UNKNOWN_MEMBER_ID);
});

Deno.test("a static leader that restarted leads on and need not assign, from version 9 on", () => {
  for (const version of [9, 8]) {
    const { test, one, two } = stable();
    const again = test.join({ instanceId: "one", version }).get();
    assert.equal(test.state(), "Stable");
    assert.equal(test.group().leaderId, again.memberId);
    if (version === 9) {
      assert.equal(again.skipAssignment, true);
      assert.equal(again.leader, again.memberId);
      assert.deepEqual(again.members.map((m) => m.memberId), [again.memberId, two]);
    } else {
      assert.equal(again.skipAssignment, false);
      assert.equal(again.leader, one, "an old client must not believe that it leads");
      assert.deepEqual(again.members, []);
    }
  }
});

Deno.test("a static member that restarted rebalances where the protocol would change", () => {
  const { test } = stable({ protocols: { a: "", b: "" } });
  const again = test.join({ instanceId: "two", protocols: { b: "" } });
  assert.equal(again.answered, false);
  assert.equal(test.state(), "PreparingRebalance");
});

Deno.test("a static member that restarted while the assignment is awaited makes all join again", () => {
  const test = new TestCoordinator();
  const first = test.join({ instanceId: "one" });
  const second = test.join({ instanceId: "two" });
  test.advance(0);
  const sync = test.sync(second.get().memberId, 1, {}, { instanceId: "two" });
  const again = test.join({ instanceId: "two" });
  assert.equal(sync.get().errorCode, ErrorCode.FENCED_INSTANCE_ID);
  const rejoin = test.join({ memberId: first.get().memberId, instanceId: "one" });
  assert.equal(rejoin.get().generationId, 2);
  assert.equal(again.get().generationId, 2);
});

Deno.test("a parked JoinGroup of the former process is fenced", () => {
  const { test, two } = stable();
  const parked = test.join({ memberId: two, instanceId: "two", protocols: { range: "new" } });
  const again = test.join({ instanceId: "two" });
  assert.equal(parked.get().errorCode, ErrorCode.FENCED_INSTANCE_ID);
  assert.equal(parked.get().memberId, two);
  assert.equal(again.answered, false);
});

Deno.test("when the new id cannot be written the former one stays", () => {
  const { test, two } = stable();
  test.log.failWith = ErrorCode.NOT_ENOUGH_REPLICAS;
  const refused = test.join({ instanceId: "two", protocols: { range: "new" } }).get();
  assert.equal(refused.errorCode, ErrorCode.COORDINATOR_NOT_AVAILABLE);
  assert.equal(refused.memberId, "");
  assert.equal(test.heartbeat(two, 1, "two"), 0);
  assert.equal(decode(test.group().members.get(two)!.protocols[0]!.metadata), "r");
});

Deno.test("a rebalance that begins while the new id is written takes the member along", () => {
  const { test, one } = stable();
  test.log.held = true;
  const again = test.join({ instanceId: "two" });
  const leader = test.join({ memberId: one, instanceId: "one" });
  assert.equal(test.state(), "PreparingRebalance");
  test.log.held = false;
  test.log.release();
  assert.equal(again.get().generationId, 2);
  assert.equal(leader.get().generationId, 2);
});

Deno.test("a static member that does not come keeps its place until its session ends", () => {
  const words = { sessionMs: 60_000, rebalanceMs: 10_000 };
  const { test, one, two } = stable(words);
  const join = test.join({ ...words, memberId: one, instanceId: "one" });
  test.advance(10_000);
  assert.equal(join.get().generationId, 2);
  assert.deepEqual(join.get().members.map((m) => m.memberId), [one, two]);
});

Deno.test("with static members alone and none of them here, the rebalance waits", () => {
  const words = { sessionMs: 60_000, rebalanceMs: 10_000 };
  const { test, one } = stable(words);
  const guest = test.joinDynamic(words);
  test.leave({ memberId: guest.memberId });
  assert.equal(test.state(), "PreparingRebalance");
  test.advance(25_000);
  assert.equal(test.state(), "PreparingRebalance");
  assert.equal(test.group().members.size, 2);
  const join = test.join({ ...words, memberId: one, instanceId: "one" });
  test.advance(10_000);
  assert.equal(join.get().generationId, 2);
});

Deno.test("an operator removes a static member by its instance id alone", () => {
  const { test, one } = stable();
  const left = test.leave({ instanceId: "two" }, { instanceId: "three" });
  assert.deepEqual(left.members.map((m) => m.errorCode), [0, ErrorCode.UNKNOWN_MEMBER_ID]);
  const join: JoinGroupResponse = test.join({ memberId: one, instanceId: "one" }).get();
  assert.deepEqual(join.members.map((m) => m.groupInstanceId), ["one"]);
});

Deno.test("a static member that restarted has not synced when its former process had not", () => {
  const test = new TestCoordinator();
  const words = { sessionMs: 60_000, rebalanceMs: 10_000 };
  const [one, two] = ["one", "two"].map((instanceId) => test.join({ ...words, instanceId }));
  test.advance(0);
  const { memberId } = one!.get();
  test.sync(memberId, 1, { [memberId]: "p1" }, { instanceId: "one" });
  assert.equal(test.state(), "Stable");
  const again = test.join({ ...words, instanceId: "two" }).get();
  assert.notEqual(again.memberId, two!.get().memberId);
  test.advance(10_000);
  assert.equal(test.state(), "PreparingRebalance");
  assert.deepEqual([...test.group().members.keys()], [memberId]);
});

import { strict as assert } from "node:assert";
import { ErrorCode } from "../wire/errors.ts";
import { decode, TestCoordinator } from "./test_coordinator.ts";

Deno.test("a dynamic member is sent back with an id, then joins, syncs and heartbeats", () => {
  const test = new TestCoordinator();
  const first = test.join().get();
  assert.equal(first.errorCode, ErrorCode.MEMBER_ID_REQUIRED);
  assert.match(
    first.memberId,
    /^client-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
  );
  const join = test.join({ memberId: first.memberId });
  assert.equal(join.answered, false);
  test.advance(0);
  const joined = join.get();
  assert.equal(joined.errorCode, 0);
  assert.equal(joined.generationId, 1);
  assert.equal(joined.leader, first.memberId);
  assert.equal(joined.protocolType, "consumer");
  assert.equal(joined.protocolName, "range");
  assert.deepEqual(joined.members.map((m) => [m.memberId, decode(m.metadata)]), [
    [first.memberId, "r"],
  ]);
  const sync = test.sync(first.memberId, 1, { [first.memberId]: "p0" }).get();
  assert.equal(sync.errorCode, 0);
  assert.equal(decode(sync.assignment), "p0");
  assert.equal(test.state(), "Stable");
  assert.equal(test.heartbeat(first.memberId, 1), 0);
  test.assertNothingForgotten();
});

Deno.test("JoinGroup refuses what no group can take", () => {
  const test = new TestCoordinator({ groupSizeMax: 5 });
  const big = new Uint8Array(1024 * 1024);
  const many = Object.fromEntries(Array.from({ length: 65 }, (_, at) => [`p${at}`, "m"]));
  const cases: [string, Parameters<TestCoordinator["join"]>[0], number][] = [
    ["empty group id", { group: "" }, ErrorCode.INVALID_GROUP_ID],
    ["short session", { sessionMs: 5_999 }, ErrorCode.INVALID_SESSION_TIMEOUT],
    ["long session", { sessionMs: 1_800_001 }, ErrorCode.INVALID_SESSION_TIMEOUT],
    ["no protocol type", { type: "" }, ErrorCode.INCONSISTENT_GROUP_PROTOCOL],
    ["no protocols", { protocols: {} }, ErrorCode.INCONSISTENT_GROUP_PROTOCOL],
    ["unknown group", { memberId: "m" }, ErrorCode.UNKNOWN_MEMBER_ID],
    ["large metadata", { protocols: { range: big } }, ErrorCode.INVALID_REQUEST],
    ["many protocols", { protocols: many }, ErrorCode.INVALID_REQUEST],
  ];
  for (const [what, words, errorCode] of cases) {
    const response = test.join(words).get();
    assert.equal(response.errorCode, errorCode, what);
    assert.equal(response.generationId, -1, what);
    assert.equal(test.coordinator.table.groups.size, 0, `${what}: no group is left behind`);
  }
  assert.equal(test.join({ sessionMs: 6_000 }).get().errorCode, ErrorCode.MEMBER_ID_REQUIRED);
  assert.equal(test.join({ sessionMs: 1_800_000 }).get().errorCode, ErrorCode.MEMBER_ID_REQUIRED);
});

Deno.test("before version 4 a member joins at once; names are never null before version 7", () => {
  for (let version = 0; version < 7; version++) {
    const test = new TestCoordinator();
    const refused = test.join({ version, group: "" }).get();
    assert.equal(refused.protocolName, "");
    const first = test.join({ version });
    assert.equal(first.answered, version >= 4);
    if (version < 4) {
      test.advance(0);
      assert.equal(first.get().errorCode, 0);
    }
  }
  const refused = new TestCoordinator().join({ version: 7, group: "" }).get();
  assert.equal(refused.protocolName, null);
});

Deno.test("JoinGroup v0 takes the session timeout as rebalance timeout", () => {
  const test = new TestCoordinator();
  test.join({ version: 0, sessionMs: 7_000, rebalanceMs: -1 });
  assert.equal(test.group().rebalanceTimeoutMs, 7_000);
});

Deno.test("a member id begins with the client's id, or the instance's", () => {
  const test = new TestCoordinator();
  assert.match(test.join({ clientId: "app" }).get().memberId, /^app-/);
  assert.match(test.join({ clientId: null }).get().memberId, /^-/);
  test.join({ instanceId: "static-1" });
  assert.match([...test.group().members.keys()][0]!, /^static-1-/);
});

Deno.test("a pending member that does not come back is forgotten after its session timeout", () => {
  const test = new TestCoordinator();
  const { memberId } = test.join({ sessionMs: 6_000 }).get();
  test.advance(5_999);
  assert.equal(test.group().pendingJoins.has(memberId), true);
  test.advance(1);
  assert.equal(test.group().pendingJoins.size, 0);
  assert.equal(test.join({ memberId }).get().errorCode, ErrorCode.UNKNOWN_MEMBER_ID);
});

Deno.test("a rebalance waits for pending members, and goes on when they do not come", () => {
  const test = new TestCoordinator();
  const { ids } = test.stable(1);
  const pending = test.join({ sessionMs: 6_000 }).get().memberId;
  const rejoin = test.join({ memberId: ids[0]! });
  assert.equal(rejoin.answered, false, "the pending member is expected");
  test.advance(5_999);
  assert.equal(rejoin.answered, false);
  test.advance(1);
  assert.equal(rejoin.get().generationId, 2);
  assert.equal(rejoin.get().members.some((m) => m.memberId === pending), false);
});

Deno.test("a known member with an unknown id is refused", () => {
  const test = new TestCoordinator();
  test.stable(1);
  assert.equal(test.join({ memberId: "ghost" }).get().errorCode, ErrorCode.UNKNOWN_MEMBER_ID);
});

Deno.test("a member without a protocol that all support is refused", () => {
  const test = new TestCoordinator();
  test.stable(1, { protocols: { range: "r", sticky: "s" } });
  const join = (protocols: Record<string, string>, type = "consumer") =>
    test.join({ protocols, type }).get().errorCode;
  assert.equal(join({ other: "o" }), ErrorCode.INCONSISTENT_GROUP_PROTOCOL);
  assert.equal(join({ range: "r" }, "connect"), ErrorCode.INCONSISTENT_GROUP_PROTOCOL);
  assert.equal(join({ sticky: "s" }), ErrorCode.MEMBER_ID_REQUIRED);
});

Deno.test("the protocol is the one most members like best among those that all support", () => {
  const cases: [Record<string, string>[], string][] = [
    [[{ a: "", b: "" }, { a: "", b: "" }, { b: "", a: "" }], "a"],
    [[{ a: "", b: "" }, { b: "", a: "" }, { b: "", a: "" }], "b"],
    [[{ a: "", b: "" }, { a: "", b: "" }, { b: "" }], "b"],
    [[{ a: "", b: "" }, { c: "", b: "" }], "b"],
  ];
  for (const [members, expected] of cases) {
    const test = new TestCoordinator();
    const joins = members.map((protocols) => test.join({ version: 3, protocols }));
    test.advance(0);
    for (const join of joins) assert.equal(join.get().protocolName, expected);
    assert.equal(new Set(joins.map((join) => join.get().leader)).size, 1);
  }
});

Deno.test("in a stable group a follower with the same terms gets the generation again", () => {
  const test = new TestCoordinator();
  const { ids, generation } = test.stable(2);
  const again = test.join({ memberId: ids[1]! }).get();
  assert.equal(again.generationId, generation);
  assert.deepEqual(again.members, []);
  assert.equal(again.leader, ids[0]);
  assert.equal(test.state(), "Stable");
});

Deno.test("in a stable group a rebalance begins with the leader, or with changed terms", () => {
  for (const which of ["leader", "changed"]) {
    const test = new TestCoordinator();
    const { ids, generation } = test.stable(2);
    const memberId = which === "leader" ? ids[0]! : ids[1]!;
    const other = which === "leader" ? ids[1]! : ids[0]!;
    const protocols = { range: which === "leader" ? "r" : "other topics" };
    const join = test.join({ memberId, protocols });
    assert.equal(test.state(), "PreparingRebalance");
    assert.equal(test.heartbeat(other, generation), ErrorCode.REBALANCE_IN_PROGRESS);
    const second = test.join({ memberId: other });
    assert.equal(join.get().generationId, generation + 1);
    assert.equal(second.get().generationId, generation + 1);
    const leader = [join, second].find((j) => j.get().members.length > 0)!.get();
    assert.equal(leader.members.length, 2);
  }
});

Deno.test("while the assignment is awaited the same terms are answered again, others rebalance", () => {
  const test = new TestCoordinator();
  const { memberId, join } = test.joinDynamic();
  test.advance(0);
  assert.equal(test.state(), "CompletingRebalance");
  const again = test.join({ memberId }).get();
  assert.deepEqual({ ...again }, { ...join.get() });
  const sync = test.sync("nobody", 1);
  assert.equal(sync.get().errorCode, ErrorCode.UNKNOWN_MEMBER_ID);
  const changed = test.join({ memberId, protocols: { range: "new" } });
  assert.equal(changed.get().generationId, 2);
});

Deno.test("a second JoinGroup of a parked member answers the first", () => {
  const test = new TestCoordinator();
  const { ids } = test.stable(2);
  const first = test.join({ memberId: ids[0]! });
  const second = test.join({ memberId: ids[0]! });
  assert.equal(first.get().errorCode, ErrorCode.REBALANCE_IN_PROGRESS);
  test.join({ memberId: ids[1]! });
  assert.equal(second.get().generationId, 2);
  test.assertNothingForgotten();
});

Deno.test("group.max.size turns newcomers away, and keeps members", () => {
  const test = new TestCoordinator({ groupSizeMax: 2 });
  const { ids } = test.stable(2);
  const refused = test.join().get();
  assert.equal(refused.errorCode, ErrorCode.GROUP_MAX_SIZE_REACHED);
  assert.equal(refused.memberId, "");
  const rejoins = ids.map((memberId) => test.join({ memberId }));
  for (const join of rejoins) assert.equal(join.get().errorCode, 0);
});

Deno.test("while members join, the last to come is the one too many", () => {
  const test = new TestCoordinator({ groupSizeMax: 2 });
  const joins = [0, 1, 2].map(() => test.join({ version: 3 }));
  assert.equal(joins[2]!.get().errorCode, ErrorCode.GROUP_MAX_SIZE_REACHED);
  test.advance(0);
  assert.equal(joins[0]!.get().members.length, 2);
});

Deno.test("a new group is written down when it is first heard of", () => {
  const test = new TestCoordinator();
  test.join();
  assert.equal(test.log.records.length, 1);
  assert.equal(test.group().metadata!.generation, 0);
  assert.deepEqual(test.group().metadata!.members, []);
});

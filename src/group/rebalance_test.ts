import { strict as assert } from "node:assert";
import { ErrorCode } from "../wire/errors.ts";
import { decode, TestCoordinator } from "./test_coordinator.ts";

Deno.test("an empty group waits for more members, as long as more come", () => {
  const test = new TestCoordinator({ initialRebalanceDelayMs: 3_000 });
  const first = test.join({ version: 3, rebalanceMs: 10_000 });
  test.advance(2_999);
  const second = test.join({ version: 3, rebalanceMs: 10_000 });
  test.advance(1);
  assert.equal(first.answered, false, "a member came: another delay");
  test.advance(2_999);
  assert.equal(first.answered, false);
  test.advance(1);
  assert.equal(first.get().generationId, 1);
  assert.equal(second.get().generationId, 1);
  assert.equal(first.get().members.length, 2);
});

Deno.test("the initial wait ends at the rebalance timeout, whoever still comes", () => {
  const test = new TestCoordinator({ initialRebalanceDelayMs: 3_000 });
  const first = test.join({ version: 3, rebalanceMs: 7_000 });
  for (let i = 0; i < 6; i++) {
    test.advance(1_000);
    test.join({ version: 3, rebalanceMs: 7_000 });
  }
  test.advance(999);
  assert.equal(first.answered, false);
  test.advance(1);
  assert.equal(first.get().members.length, 7);
});

Deno.test("a rebalance ends when everybody has joined", () => {
  const test = new TestCoordinator();
  const { ids, generation } = test.stable(3);
  const joins = [test.join({ memberId: ids[1]!, protocols: { range: "changed" } })];
  for (const memberId of [ids[0]!, ids[2]!]) {
    assert.equal(joins[0]!.answered, false);
    joins.push(test.join({ memberId }));
  }
  for (const join of joins) assert.equal(join.get().generationId, generation + 1);
});

Deno.test("a rebalance ends at the longest rebalance timeout, without those who did not come", () => {
  const test = new TestCoordinator();
  const { ids } = test.stable(2, { rebalanceMs: 30_000, sessionMs: 60_000 });
  const { join } = test.joinDynamic({ rebalanceMs: 20_000, sessionMs: 60_000 });
  test.advance(29_999);
  assert.equal(join.answered, false);
  test.advance(1);
  assert.equal(join.get().generationId, 2);
  assert.deepEqual(join.get().members.map((m) => m.memberId), [join.get().memberId]);
  assert.equal(test.heartbeat(ids[0]!, 2), ErrorCode.UNKNOWN_MEMBER_ID);
});

Deno.test("a member that is silent for its session timeout is removed, and the others rebalance", () => {
  const test = new TestCoordinator();
  const { ids, generation } = test.stable(2, { sessionMs: 10_000 });
  test.advance(9_000);
  assert.equal(test.heartbeat(ids[0]!, generation), 0);
  test.advance(1_000);
  assert.equal(test.state(), "PreparingRebalance");
  assert.equal(test.heartbeat(ids[0]!, generation), ErrorCode.REBALANCE_IN_PROGRESS);
  assert.equal(test.heartbeat(ids[1]!, generation), ErrorCode.UNKNOWN_MEMBER_ID);
  const join = test.join({ memberId: ids[0]! });
  assert.equal(join.get().generationId, generation + 1);
});

Deno.test("the group becomes empty when the last member's session ends, and says so in the log", () => {
  const test = new TestCoordinator();
  const { generation } = test.stable(1);
  test.advance(10_000);
  assert.equal(test.state(), "Empty");
  const metadata = test.group().metadata!;
  assert.equal(metadata.generation, generation + 1);
  assert.equal(metadata.protocol, null);
  assert.equal(metadata.leader, null);
  assert.equal(metadata.protocolType, "consumer");
  assert.deepEqual(metadata.members, []);
});

Deno.test("heartbeats that come in time keep a session for ever, also during a rebalance", () => {
  const test = new TestCoordinator();
  const { ids, generation } = test.stable(2, { sessionMs: 6_000, rebalanceMs: 100_000 });
  for (let i = 0; i < 10; i++) {
    test.advance(5_000);
    for (const id of ids) assert.equal(test.heartbeat(id, generation), 0);
  }
  const join = test.join({ memberId: ids[0]! });
  for (let i = 0; i < 10; i++) {
    test.advance(5_000);
    assert.equal(test.heartbeat(ids[1]!, generation), ErrorCode.REBALANCE_IN_PROGRESS);
  }
  assert.equal(join.answered, false);
  assert.equal(test.group().members.size, 2);
});

Deno.test("a parked member needs no heartbeat", () => {
  const test = new TestCoordinator();
  const { ids } = test.stable(2, { sessionMs: 6_000, rebalanceMs: 100_000 });
  const join = test.join({ memberId: ids[0]! });
  for (let i = 0; i < 6; i++) {
    test.advance(5_000);
    test.heartbeat(ids[1]!, 1);
  }
  assert.equal(join.answered, false);
  assert.equal(test.group().members.has(ids[0]!), true);
});

Deno.test("a new member's JoinGroup is given up after five minutes", () => {
  const test = new TestCoordinator();
  const { ids } = test.stable(1, { sessionMs: 600_000, rebalanceMs: 900_000 });
  const join = test.join({ version: 3, rebalanceMs: 900_000 });
  test.advance(299_999);
  assert.equal(join.answered, false);
  test.advance(1);
  assert.equal(join.get().errorCode, ErrorCode.UNKNOWN_MEMBER_ID);
  assert.equal(join.get().memberId, "");
  assert.deepEqual([...test.group().members.keys()], ids);
});

Deno.test("who does not sync within the rebalance timeout is removed", () => {
  const test = new TestCoordinator();
  const a = test.joinDynamic({ rebalanceMs: 20_000, sessionMs: 30_000 });
  const b = test.joinDynamic({ rebalanceMs: 20_000, sessionMs: 30_000 });
  test.advance(0);
  const sync = test.sync(a.memberId, 1, { [a.memberId]: "x" });
  assert.equal(sync.get().errorCode, 0);
  assert.equal(test.state(), "Stable");
  test.advance(19_999);
  assert.equal(test.group().members.size, 2);
  test.advance(1);
  assert.equal(test.group().members.has(b.memberId), false);
  assert.equal(test.state(), "PreparingRebalance");
});

Deno.test("a leader that never syncs makes the others join again", () => {
  const test = new TestCoordinator();
  const a = test.joinDynamic({ rebalanceMs: 20_000, sessionMs: 30_000 });
  const b = test.joinDynamic({ rebalanceMs: 20_000, sessionMs: 30_000 });
  test.advance(0);
  const sync = test.sync(b.memberId, 1);
  assert.equal(sync.answered, false);
  test.advance(20_000);
  assert.equal(sync.get().errorCode, ErrorCode.REBALANCE_IN_PROGRESS);
  assert.equal(test.group().members.has(a.memberId), false);
  const join = test.join({ memberId: b.memberId });
  assert.equal(join.get().generationId, 2);
  assert.equal(join.get().leader, b.memberId);
});

Deno.test("a member that joins meanwhile makes parked SyncGroups join again", () => {
  const test = new TestCoordinator();
  const a = test.joinDynamic();
  const b = test.joinDynamic();
  test.advance(0);
  const sync = test.sync(b.memberId, 1);
  test.joinDynamic();
  assert.equal(sync.get().errorCode, ErrorCode.REBALANCE_IN_PROGRESS);
  assert.equal(test.sync(a.memberId, 1).get().errorCode, ErrorCode.REBALANCE_IN_PROGRESS);
});

Deno.test("another member leads when the leader does not come back", () => {
  const test = new TestCoordinator();
  const words = { sessionMs: 60_000, rebalanceMs: 30_000 };
  const { ids } = test.stable(3, words);
  const second = test.join({ ...words, memberId: ids[1]!, protocols: { range: "x" } });
  const third = test.join({ ...words, memberId: ids[2]! });
  test.advance(30_000);
  assert.equal(second.get().leader, ids[1]);
  assert.equal(third.get().leader, ids[1]);
  assert.equal(second.get().members.length, 2);
});

Deno.test("everybody gets exactly what the leader assigned, when it is committed", () => {
  const test = new TestCoordinator();
  const joins = [0, 1, 2].map(() => test.joinDynamic());
  test.advance(0);
  const [a, b, c] = joins.map((joined) => joined.memberId) as [string, string, string];
  test.log.held = true;
  const early = test.sync(b, 1);
  const leader = test.sync(a, 1, { [a]: "one", [b]: "two", ghost: "none" });
  assert.equal(early.answered, false);
  assert.equal(test.state(), "CompletingRebalance");
  test.log.held = false;
  test.log.release();
  assert.equal(test.state(), "Stable");
  assert.equal(decode(leader.get().assignment), "one");
  assert.equal(decode(early.get().assignment), "two");
  const late = test.sync(c, 1).get();
  assert.equal(late.errorCode, 0);
  assert.equal(late.assignment.length, 0, "nothing was assigned to it");
  assert.equal(late.protocolName, "range");
  assert.equal(late.protocolType, "consumer");
});

Deno.test("a failed append of the assignment makes everybody join again", () => {
  const cases: [number, number][] = [
    [ErrorCode.NOT_ENOUGH_REPLICAS, ErrorCode.COORDINATOR_NOT_AVAILABLE],
    [ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.NOT_COORDINATOR],
    [ErrorCode.MESSAGE_TOO_LARGE, ErrorCode.UNKNOWN_SERVER_ERROR],
  ];
  for (const [appendError, errorCode] of cases) {
    const test = new TestCoordinator();
    const a = test.joinDynamic();
    const b = test.joinDynamic();
    test.advance(0);
    const before = test.group().metadata;
    test.log.failWith = appendError;
    const parked = test.sync(b.memberId, 1);
    const leader = test.sync(a.memberId, 1, { [a.memberId]: "x" });
    assert.equal(leader.get().errorCode, errorCode);
    assert.equal(parked.get().errorCode, errorCode);
    assert.equal(test.state(), "PreparingRebalance");
    assert.equal(test.group().metadata, before, "nothing was written");
  }
});

Deno.test("an assignment that commits after the next rebalance began is history", () => {
  const test = new TestCoordinator();
  const a = test.joinDynamic();
  test.advance(0);
  test.log.held = true;
  const sync = test.sync(a.memberId, 1, { [a.memberId]: "old" });
  const b = test.joinDynamic();
  assert.equal(sync.get().errorCode, ErrorCode.REBALANCE_IN_PROGRESS);
  test.log.held = false;
  test.log.release();
  assert.equal(test.state(), "PreparingRebalance");
  assert.equal(test.group().metadata!.generation, 1, "it was written all the same");
  test.join({ memberId: a.memberId });
  assert.equal(b.join.get().generationId, 2);
});

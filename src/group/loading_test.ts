import { strict as assert } from "node:assert";
import { ErrorCode } from "../wire/errors.ts";
import { newListGroupsRequest } from "../wire/generated/list_groups_request.ts";
import { newOffsetFetchRequestGroup } from "../wire/generated/offset_fetch_request.ts";
import { groupRecord } from "./records.ts";
import { decode, GROUP, TestCoordinator, writtenState } from "./test_coordinator.ts";

Deno.test("a loaded group is stable in its generation, and its members stay", () => {
  const test = new TestCoordinator();
  const { ids, generation } = test.stable(2);
  test.commit({ t: [7] }, { memberId: ids[0]!, generationIdOrMemberEpoch: generation });
  const before = writtenState(test.coordinator);
  test.restart();
  assert.deepEqual(writtenState(test.coordinator), before);
  assert.equal(test.state(), "Stable");
  assert.equal(test.group().leaderId, ids[0]);
  assert.equal(test.committed("t", 0), 7);
  for (const id of ids) assert.equal(test.heartbeat(id, generation), 0);
  assert.equal(decode(test.sync(ids[1]!, generation).get().assignment), "a1");
  const follower = test.join({ memberId: ids[1]! }).get();
  assert.equal(follower.generationId, generation, "its terms are those that were written");
});

Deno.test("sessions of loaded members begin again, and end", () => {
  const test = new TestCoordinator();
  const { ids, generation } = test.stable(1, { sessionMs: 10_000 });
  test.advance(9_000);
  test.restart();
  test.advance(9_999);
  assert.equal(test.heartbeat(ids[0]!, generation), 0);
  test.advance(10_000);
  assert.equal(test.state(), "Empty");
  assert.equal(test.group().generation, generation + 1);
});

Deno.test("generations never go back, not across a restart of an empty group", () => {
  const test = new TestCoordinator();
  const { ids, generation } = test.stable(1);
  test.leave({ memberId: ids[0]! });
  test.restart();
  assert.equal(test.state(), "Empty");
  const { join } = test.joinDynamic();
  test.advance(0);
  assert.equal(join.get().generationId, generation + 2);
});

Deno.test("while loading, requests get a retriable error, and heartbeats pass", () => {
  const test = new TestCoordinator();
  const { ids } = test.stable(1);
  test.coordinator.unload();
  test.coordinator = test.create();
  const loading = ErrorCode.COORDINATOR_LOAD_IN_PROGRESS;
  assert.equal(test.join().get().errorCode, loading);
  assert.equal(test.sync(ids[0]!, 1).get().errorCode, loading);
  assert.equal(test.heartbeat(ids[0]!, 1), 0);
  assert.equal(test.leave({ memberId: ids[0]! }).errorCode, loading);
  assert.equal(test.commitError({ t: [1] }), loading);
  const fetch = newOffsetFetchRequestGroup({ groupId: GROUP, topics: null });
  assert.equal(test.coordinator.offsetFetch(test.context(8), fetch).errorCode, loading);
  const list = test.coordinator.listGroups(test.context(5), newListGroupsRequest());
  assert.equal(list.errorCode, loading);
  assert.equal(test.coordinator.describeGroup(test.context(6), GROUP).errorCode, loading);
  assert.equal(test.coordinator.nextDeadlineMs(), Infinity);
});

Deno.test("unload() answers everybody who waits", () => {
  const test = new TestCoordinator();
  const { ids } = test.stable(2);
  const join = test.join({ memberId: ids[0]! });
  test.coordinator.unload();
  assert.equal(join.get().errorCode, ErrorCode.NOT_COORDINATOR);
  assert.equal(test.heartbeat(ids[1]!, 1), ErrorCode.NOT_COORDINATOR);

  const other = new TestCoordinator();
  other.joinDynamic();
  const b = other.joinDynamic();
  other.advance(0);
  const sync = other.sync(b.memberId, 1);
  other.log.held = true;
  const leader = other.sync(other.group().leaderId!, 1, { [b.memberId]: "x" });
  other.coordinator.unload();
  assert.equal(sync.get().errorCode, ErrorCode.NOT_COORDINATOR);
  assert.equal(leader.get().errorCode, ErrorCode.NOT_COORDINATOR);
  other.log.release();
  other.assertNothingForgotten();
  assert.equal(other.coordinator.nextDeadlineMs(), Infinity);
});

Deno.test("a commit that is on its way when the coordinator goes is answered by the log", () => {
  const test = new TestCoordinator();
  test.log.held = true;
  const pending = test.commit({ t: [1] });
  test.coordinator.unload();
  assert.equal(pending.answered, false);
  test.log.failWith = ErrorCode.NOT_LEADER_OR_FOLLOWER;
  test.log.release();
  const { errorCode } = pending.get().topics[0]!.partitions[0]!;
  assert.equal(errorCode, ErrorCode.NOT_COORDINATOR);
});

Deno.test("a loaded group that has become too large rebalances", () => {
  const test = new TestCoordinator();
  const { ids } = test.stable(3);
  (test as { config: unknown }).config = { ...test.config, groupSizeMax: 2 };
  test.restart();
  assert.equal(test.state(), "PreparingRebalance");
  const joins = ids.map((memberId) => test.join({ memberId }));
  assert.equal(joins[2]!.get().errorCode, ErrorCode.GROUP_MAX_SIZE_REACHED);
  assert.equal(joins[0]!.get().members.length, 2);
});

Deno.test("records of unknown kinds are skipped, with a reason", () => {
  const test = new TestCoordinator();
  const problem = test.coordinator.replay(Uint8Array.of(0, 9, 0, 1, 65), null);
  assert.equal(problem, "records of kind 9 are not kept here");
});

Deno.test("a forged group is skipped: the coordinator loads, and earlier records count", () => {
  const test = new TestCoordinator();
  const { ids, generation } = test.stable(2);
  const { metadata } = test.group();
  const twice = { ...metadata!, members: [metadata!.members[0]!, metadata!.members[0]!] };
  const forged = groupRecord(GROUP, { ...twice, generation: 99 });
  assert.match(
    test.coordinator.replay(forged.key, forged.value)!,
    /makes no sense: member '.+' twice/,
  );
  test.log.records.push(forged);
  test.restart();
  assert.equal(test.state(), "Stable");
  assert.equal(test.heartbeat(ids[1]!, generation), 0);
});

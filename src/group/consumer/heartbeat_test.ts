import { strict as assert } from "node:assert";
import { ErrorCode } from "../../wire/errors.ts";
import { GROUP, TestCoordinator } from "../test_coordinator.ts";
import { settle, TestMember } from "./test_member.ts";
import type { GroupConfig } from "../config.ts";

function testWith(topics: Readonly<Record<string, number>>, config: Partial<GroupConfig> = {}) {
  const test = new TestCoordinator(config);
  for (const [name, count] of Object.entries(topics)) test.world.setTopic(name, count);
  return test;
}

function groupOf(test: TestCoordinator) {
  return test.coordinator.describeConsumerGroup(test.context(1), GROUP);
}

Deno.test("a first member gets everything at once", () => {
  const test = testWith({ t: 3 });
  const member = new TestMember(test, "a").join();
  assert.equal(member.epoch, 2);
  assert.equal(member.has, "t/0 t/1 t/2");
  const group = groupOf(test);
  assert.equal(group.groupState, "Stable");
  assert.deepEqual([group.groupEpoch, group.assignmentEpoch], [2, 2]);
  assert.equal(group.assignorName, "uniform");
});

Deno.test("a second member gets its share when the first has given it up", () => {
  const test = testWith({ t: 4 });
  const first = new TestMember(test, "a").join();
  const second = new TestMember(test, "b").join();
  assert.equal(second.has, "", "nothing is free yet");
  assert.equal(groupOf(test).groupState, "Reconciling");
  const told = first.send({}).get();
  assert.equal(told.memberEpoch, 2, "it stays at its epoch until it has given up");
  assert.equal(told.assignment!.topicPartitions[0]!.partitions.length, 2);
  assert.equal(second.beat().assignment, null, "the first still has them");
  first.heed(told);
  assert.equal(first.beat().memberEpoch, 3);
  second.beat();
  assert.equal(second.epoch, 3);
  assert.equal(first.owned.values().next().value!.size, 2);
  assert.equal(second.owned.values().next().value!.size, 2);
  settle(test, [first, second]);
  assert.equal(groupOf(test).groupState, "Stable");
});

Deno.test("a member that leaves gives its partitions to the others", () => {
  const test = testWith({ t: 4 });
  const [a, b] = [new TestMember(test, "a").join(), new TestMember(test, "b").join()];
  settle(test, [a, b]);
  assert.equal(b.leave().memberEpoch, -1);
  settle(test, [a]);
  assert.equal(a.has, "t/0 t/1 t/2 t/3");
  assert.equal(b.send({}).get().errorCode, ErrorCode.UNKNOWN_MEMBER_ID);
  assert.equal(test.group().memberCount, 1);
  assert.deepEqual(test.events, ["Group formed"]);
  assert.equal(a.leave().errorCode, 0);
  assert.equal(groupOf(test).groupState, "Empty");
  assert.deepEqual(test.events, ["Group formed", "Group emptied"]);
});

Deno.test("a silent member is removed when its session is over", () => {
  const test = testWith({ t: 2 });
  const [a, b] = [new TestMember(test, "a").join(), new TestMember(test, "b").join()];
  settle(test, [a, b]);
  for (let ms = 0; ms < 60_000; ms += 5_000) {
    test.advance(5_000);
    a.beat();
  }
  assert.equal(a.has, "t/0 t/1");
  assert.equal(b.send({}).get().errorCode, ErrorCode.UNKNOWN_MEMBER_ID);
});

Deno.test("a member that does not give up partitions is removed after its rebalance timeout", () => {
  const test = testWith({ t: 2 });
  const a = new TestMember(test, "a", { rebalanceMs: 10_000 }).join();
  const b = new TestMember(test, "b").join();
  assert.equal(a.send({}).get().memberEpoch, 2);
  test.advance(9_999);
  assert.equal(a.send({}).get().errorCode, 0);
  test.advance(1);
  assert.equal(a.send({}).get().errorCode, ErrorCode.UNKNOWN_MEMBER_ID);
  settle(test, [b]);
  assert.equal(b.has, "t/0 t/1");
});

Deno.test("a member with another epoch is fenced, unless it missed the last answer", () => {
  const test = testWith({ t: 2 });
  const a = new TestMember(test, "a").join();
  new TestMember(test, "b").join();
  assert.equal(a.send({ memberEpoch: 3 }).get().errorCode, ErrorCode.FENCED_MEMBER_EPOCH);
  a.beat();
  const lost = a.send({ topicPartitions: a.listed }).get();
  assert.equal(lost.memberEpoch, 3, "a does not hear of it");
  const again = a.send({ topicPartitions: a.listed, memberEpoch: 2 }).get();
  assert.equal(again.memberEpoch, 3);
  const all = [{ topicId: a.listed[0]!.topicId, partitions: [0, 1] }];
  const greedy = a.send({ topicPartitions: all, memberEpoch: 2 }).get();
  assert.equal(greedy.errorCode, ErrorCode.FENCED_MEMBER_EPOCH, "it lost one of them since");
  assert.equal(a.send({ memberEpoch: 2 }).get().errorCode, ErrorCode.FENCED_MEMBER_EPOCH);
});

Deno.test("a static member's successor gets its place, and nobody else's partitions move", () => {
  const test = testWith({ t: 4 });
  const a = new TestMember(test, "a", { instanceId: "one" }).join();
  const b = new TestMember(test, "b").join();
  settle(test, [a, b]);
  const [had, epoch] = [a.has, groupOf(test).groupEpoch];
  const early = new TestMember(test, "c", { instanceId: "one" }).joining().get();
  assert.equal(early.errorCode, ErrorCode.UNRELEASED_INSTANCE_ID);
  assert.equal(a.leave(-2).memberEpoch, -2);
  const c = new TestMember(test, "c", { instanceId: "one" }).join();
  assert.equal(c.has, had);
  assert.equal(groupOf(test).groupEpoch, epoch);
  assert.equal(b.beat().assignment, null);
  assert.equal(a.send({}).get().errorCode, ErrorCode.FENCED_INSTANCE_ID);
});

Deno.test("a static member that does not come back is removed", () => {
  const test = testWith({ t: 2 });
  const a = new TestMember(test, "a", { instanceId: "one" }).join();
  a.leave(-2);
  test.advance(45_000);
  assert.equal(groupOf(test).groupState, "Empty");
});

Deno.test("requests that make no sense are refused, in Kafka's words", () => {
  const test = testWith({ t: 1 });
  const a = new TestMember(test, "a");
  const cases: [Parameters<TestMember["send"]>[0], number, string][] = [
    [{ groupId: "" }, 42, "GroupId can't be empty."],
    [{ memberId: "" }, 42, "MemberId can't be empty."],
    [{ instanceId: "" }, 42, "InstanceId can't be empty."],
    [{ rackId: "" }, 42, "RackId can't be empty."],
    [{ memberId: "m".repeat(5_000) }, 42, "MemberId is too long."],
    [{ instanceId: "i".repeat(5_000) }, 42, "InstanceId is too long."],
    [{ rebalanceTimeoutMs: -1 }, 42, "RebalanceTimeoutMs must be provided in first request."],
    [{ topicPartitions: null }, 42, "TopicPartitions must be empty when (re-)joining."],
    [
      { subscribedTopicNames: null, subscribedTopicRegex: null },
      42,
      "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
    ],
    [{ memberEpoch: -2 }, 42, "InstanceId can't be null."],
    [{ memberEpoch: -3 }, 42, "MemberEpoch is invalid."],
    [
      { serverAssignor: "no" },
      ErrorCode.UNSUPPORTED_ASSIGNOR,
      "ServerAssignor no is not supported. Supported assignors: uniform, range.",
    ],
    [{ memberEpoch: 5 }, ErrorCode.GROUP_ID_NOT_FOUND, "Consumer group orders not found."],
  ];
  for (const [fields, errorCode, message] of cases) {
    const response = a.send({ ...a.whole, topicPartitions: [], ...fields }).get();
    assert.deepEqual([response.errorCode, response.errorMessage], [errorCode, message]);
  }
  const broken = new TestMember(test, "a", { regex: "(" }).joining().get();
  assert.equal(broken.errorCode, ErrorCode.INVALID_REGULAR_EXPRESSION);
  assert.equal(test.log.records.length, 0);
  assert.equal(test.coordinator.table.groups.size, 0);
});

Deno.test("members that read by regular expression get topics that come later", () => {
  const test = testWith({ "in-a": 1, out: 1 });
  const a = new TestMember(test, "a", { regex: "in-.*" }).join();
  assert.equal(a.has, "in-a/0");
  test.world.setTopic("in-b", 2);
  a.beat();
  settle(test, [a]);
  assert.equal(a.has, "in-a/0 in-b/0 in-b/1");
  test.world.removeTopic("in-a");
  test.advance(10_000);
  settle(test, [a]);
  assert.equal(a.has, "in-b/0 in-b/1");
});

Deno.test("more partitions are given out, and a new topic of a known name", () => {
  const test = testWith({ t: 1 });
  const a = new TestMember(test, "a", { topics: ["t", "later"] }).join();
  test.world.setTopic("t", 3);
  settle(test, [a]);
  assert.equal(a.has, "t/0 t/1 t/2");
  test.world.setTopic("later", 1);
  settle(test, [a]);
  assert.equal(a.has, "later/0 t/0 t/1 t/2");
});

Deno.test("target assignments are made at most once per interval", () => {
  const test = testWith({ t: 4 });
  test.world.config = { ...test.world.config, assignmentIntervalMs: 1_000 };
  const a = new TestMember(test, "a").join();
  assert.equal(a.has, "t/0 t/1 t/2 t/3", "the first one at once");
  const b = new TestMember(test, "b").join();
  assert.equal(groupOf(test).groupState, "Assigning");
  assert.equal(a.beat().assignment, null);
  test.advance(1_000);
  settle(test, [a, b]);
  assert.equal(a.owned.values().next().value!.size, 2);
});

Deno.test("a coordinator that takes over goes on where the other one was", () => {
  const test = testWith({ t: 4 });
  const [a, b] = [new TestMember(test, "a").join(), new TestMember(test, "b").join()];
  a.beat();
  const before = groupOf(test);
  test.restart();
  assert.deepEqual(groupOf(test), before);
  settle(test, [a, b]);
  const epoch = groupOf(test).groupEpoch;
  test.restart();
  assert.equal(a.beat().assignment, null);
  assert.equal(groupOf(test).groupEpoch, epoch, "nobody rebalances for it");
  test.restart();
  test.advance(45_000);
  assert.equal(groupOf(test).groupState, "Empty", "sessions begin again");
});

Deno.test("what cannot be written did not happen", () => {
  const test = testWith({ t: 2 });
  const a = new TestMember(test, "a").join();
  test.log.failWith = ErrorCode.NOT_ENOUGH_REPLICAS;
  const b = new TestMember(test, "b");
  assert.equal(b.joining().get().errorCode, ErrorCode.COORDINATOR_NOT_AVAILABLE);
  test.log.failWith = 0;
  assert.equal(a.beat().assignment, null);
  assert.equal(groupOf(test).groupEpoch, 2);
  b.join();
  assert.equal(groupOf(test).groupEpoch, 3);
});

Deno.test("heartbeats that come while records are on their way are decided on them, in one batch", () => {
  const test = testWith({ t: 6 });
  test.log.held = true;
  const members = ["a", "b", "c"].map((id) => new TestMember(test, id));
  const joins = members.map((member) => member.joining());
  assert.equal(test.log.waiting, 1);
  test.log.release(1);
  assert.equal(joins[0]!.answered, true);
  assert.equal(joins[1]!.answered, false);
  assert.equal(test.log.waiting, 1, "two members in one batch");
  test.log.held = false;
  test.log.release();
  for (const [at, member] of members.entries()) member.heed(joins[at]!.get());
  settle(test, members);
  assert.deepEqual(members.map(({ has }) => has.split(" ").length), [2, 2, 2]);
});

Deno.test("an empty classic group gives way, a consumer group is none of the classic ones", () => {
  const test = testWith({ t: 1 });
  test.commit({ t: [7] });
  const a = new TestMember(test, "a").join();
  assert.equal(test.committed("t", 0), 7, "its offsets stay");
  const described = test.coordinator.describeGroup(test.context(6), GROUP);
  assert.equal(described.errorCode, ErrorCode.GROUP_ID_NOT_FOUND);
  assert.equal(described.errorMessage, `Group ${GROUP} is not a classic group.`);
  a.leave();
  test.restart();
  assert.equal(groupOf(test).groupState, "Empty");
});

Deno.test("offsets are committed with the epoch that a member has, or had since it got the partition", () => {
  const test = testWith({ t: 2 });
  const a = new TestMember(test, "a").join();
  const commit = (epoch: number, version = 9) =>
    test.commit({ t: [1, 2] }, { memberId: "a", generationIdOrMemberEpoch: epoch, version })
      .get().topics[0]!.partitions.map(({ errorCode }) => errorCode);
  assert.deepEqual(commit(2), [0, 0]);
  assert.deepEqual(commit(2, 8), [ErrorCode.UNSUPPORTED_VERSION, ErrorCode.UNSUPPORTED_VERSION]);
  assert.deepEqual(commit(3), [ErrorCode.STALE_MEMBER_EPOCH, ErrorCode.STALE_MEMBER_EPOCH]);
  assert.equal(test.commitError({ t: [1] }, { memberId: "x", generationIdOrMemberEpoch: 2 }), 25);
  assert.equal(test.commitError({ t: [1] }), ErrorCode.UNKNOWN_MEMBER_ID);
  const b = new TestMember(test, "b").join();
  settle(test, [a, b]);
  const kept = a.has === "t/0" ? 0 : 1;
  const codes = commit(2);
  assert.equal(codes[kept], 0, "it has had it since epoch 2");
  assert.equal(codes[1 - kept], ErrorCode.STALE_MEMBER_EPOCH);
  b.leave();
  a.leave();
  assert.equal(test.commitError({ t: [9] }), 0, "an empty group takes a tool's commit");
});

Deno.test("a consumer group is deleted when nobody is in it", () => {
  const test = testWith({ t: 1 });
  const a = new TestMember(test, "a").join();
  test.commit({ t: [1] }, { memberId: "a", generationIdOrMemberEpoch: 2 });
  const remove = (): number => {
    const errors: number[] = [];
    test.coordinator.deleteGroup(test.context(2), GROUP, ({ errorCode }) => errors.push(errorCode));
    return errors[0]!;
  };
  assert.equal(remove(), ErrorCode.NON_EMPTY_GROUP);
  a.leave();
  assert.equal(remove(), 0);
  assert.equal(test.coordinator.table.groups.size, 0);
  test.restart();
  assert.equal(test.coordinator.table.groups.size, 0, "every record has its tombstone");
});

Deno.test("an empty group is forgotten when its offsets have expired", () => {
  const test = testWith({ t: 1 });
  const a = new TestMember(test, "a").join();
  test.commit({ t: [1] }, { memberId: "a", generationIdOrMemberEpoch: 2 });
  for (let day = 0; day < 8 * 24 * 60; day++) {
    test.advance(40_000);
    a.beat();
    if (day > 30) break;
  }
  a.leave();
  test.advance(8 * 24 * 3_600_000);
  assert.equal(test.coordinator.table.groups.size, 0);
});

Deno.test("a group takes no more members than it may", () => {
  const test = testWith({ t: 1 });
  test.world.config = { ...test.world.config, sizeMax: 1 };
  const a = new TestMember(test, "a").join();
  const full = new TestMember(test, "b").joining().get();
  assert.equal(full.errorCode, ErrorCode.GROUP_MAX_SIZE_REACHED);
  assert.equal(a.beat().errorCode, 0);
});

Deno.test("members are told how often to come, and groups are listed with their kind", () => {
  const test = testWith({ t: 1 });
  const response = new TestMember(test, "a").joining().get();
  assert.equal(response.heartbeatIntervalMs, 5_000);
  const listed = test.coordinator.listGroups(test.context(5), {
    statesFilter: [],
    typesFilter: [],
  });
  assert.deepEqual(
    listed.groups.map(({ groupType, groupState, protocolType }) => [
      groupType,
      groupState,
      protocolType,
    ]),
    [["consumer", "Stable", "consumer"]],
  );
});

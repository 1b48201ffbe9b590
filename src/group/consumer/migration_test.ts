import { strict as assert } from "node:assert";
import { ErrorCode } from "../../wire/errors.ts";
import { GROUP, TestCoordinator } from "../test_coordinator.ts";
import { writeAssignment } from "./embedded.ts";
import { CLASSIC_VERSION as VERSION, ClassicMember } from "./test_classic_member.ts";
import { TestMember } from "./test_member.ts";
import { MemberState } from "./types.ts";

/** A classic group of two, which share `t` of four partitions. */
function classicPair(cooperates = false, config = {}) {
  const test = new TestCoordinator();
  const topicId = test.world.setTopic("t", 4);
  test.world.config = { ...test.world.config, ...config };
  const members = [new ClassicMember(test, cooperates), new ClassicMember(test, cooperates)];
  const joins = members.map((member) => member.come());
  test.advance(0);
  const leader = joins[0]!.get();
  const give = (...list: number[]) =>
    writeAssignment(new Map([[topicId, list]]), VERSION, test.world.topics);
  const plan = [give(0, 1), give(2, 3)];
  const { generationId } = leader;
  for (const [at, member] of members.entries()) {
    member.generation = generationId;
    const pending = test.syncBytes(
      member.memberId,
      generationId,
      at === 0 ? new Map(members.map(({ memberId }, i) => [memberId, plan[i]!])) : new Map(),
    );
    member.take(pending.get().assignment);
  }
  return { test, topicId, members: members as [ClassicMember, ClassicMember] };
}

function described(test: TestCoordinator) {
  return test.coordinator.describeConsumerGroup(test.context(1), GROUP);
}

/** Everybody does what the coordinator says. */
function settle(consumers: readonly TestMember[], classics: readonly ClassicMember[]): void {
  for (let round = 0; round < 10; round++) {
    for (const consumer of consumers) consumer.beat();
    for (const classic of classics) {
      if (classic.beat() === ErrorCode.REBALANCE_IN_PROGRESS) classic.rejoin();
    }
  }
}

for (const cooperates of [false, true]) {
  const how = cooperates ? "cooperating" : "eager";
  Deno.test(`a live group of ${how} classic members becomes a consumer group, and back`, () => {
    const { test, members: [a, b] } = classicPair(cooperates);
    test.commit({ t: [5] }, { memberId: a.memberId, generationIdOrMemberEpoch: a.generation });
    const consumer = new TestMember(test, "new").join();
    assert.equal(consumer.has, "", "what the classic members have is not free");
    const group = described(test);
    assert.deepEqual(group.members.map(({ memberType }) => memberType), [0, 0, 1]);
    assert.equal(test.state(), "Empty", "the classic half is gone");
    assert.equal(a.beat(), ErrorCode.REBALANCE_IN_PROGRESS);
    settle([consumer], [a, b]);
    assert.deepEqual([a.count, b.count, consumer.has.split(" ").length].sort(), [1, 1, 2]);
    assert.equal(described(test).groupState, "Stable");
    assert.equal(test.committed("t", 0), 5);
    const commit = (generation: number): number =>
      test.commitError({ t: [6] }, {
        memberId: a.memberId,
        generationIdOrMemberEpoch: generation,
      });
    assert.equal(commit(a.generation), 0);
    assert.equal(commit(a.generation - 1), ErrorCode.ILLEGAL_GENERATION);
    test.restart();
    assert.equal(a.beat(), 0, "another coordinator goes on");

    // The last one of the new protocol goes.
    consumer.leave();
    assert.equal(described(test).errorCode, ErrorCode.GROUP_ID_NOT_FOUND);
    assert.equal(test.state(), "PreparingRebalance");
    assert.equal(a.beat(), ErrorCode.REBALANCE_IN_PROGRESS);
    const joins = [a.join(), b.join()];
    assert.equal(joins[0]!.get().errorCode, 0);
    assert.ok(joins[0]!.get().generationId > a.generation, "generations go on");
    assert.equal(joins[1]!.get().members.length + joins[0]!.get().members.length, 2);
    test.restart();
    assert.equal(test.state(), "Stable", "it is written as a classic group");
  });
}

Deno.test("a classic member that leaves a mixed group gives its partitions to the others", () => {
  const { test, members: [a, b] } = classicPair();
  const consumer = new TestMember(test, "new").join();
  settle([consumer], [a, b]);
  assert.equal(test.leave({ memberId: b.memberId }).members[0]!.errorCode, 0);
  settle([consumer], [a]);
  assert.deepEqual([a.count, consumer.has.split(" ").length], [2, 2]);
  assert.equal(b.beat(), ErrorCode.UNKNOWN_MEMBER_ID);
  assert.equal(test.leave({ memberId: a.memberId }).members[0]!.errorCode, 0);
  settle([consumer], []);
  assert.equal(consumer.has, "t/0 t/1 t/2 t/3");
});

Deno.test("a silent classic member of a mixed group is removed by its own session timeout", () => {
  const { test, members: [a, b] } = classicPair();
  const consumer = new TestMember(test, "new").join();
  settle([consumer], [a, b]);
  test.advance(9_000);
  a.beat();
  test.advance(1_000);
  settle([consumer], [a]);
  assert.equal(a.count, 2);
  assert.equal(b.beat(), ErrorCode.UNKNOWN_MEMBER_ID);
});

Deno.test("a classic member that does not join again is removed after its rebalance timeout", () => {
  const { test, members: [a, b] } = classicPair();
  const consumer = new TestMember(test, "new").join();
  for (let ms = 0; ms < 24_000; ms += 3_000) {
    const error = a.beat();
    if (error === ErrorCode.UNKNOWN_MEMBER_ID) break;
    assert.equal(error, ErrorCode.REBALANCE_IN_PROGRESS);
    if (b.beat() === ErrorCode.REBALANCE_IN_PROGRESS) b.rejoin();
    consumer.beat();
    test.advance(3_000);
  }
  assert.equal(a.beat(), ErrorCode.UNKNOWN_MEMBER_ID);
  settle([consumer], [b]);
  assert.deepEqual([b.count, consumer.has.split(" ").length], [2, 2]);
});

Deno.test("a new classic member comes into a consumer group that has members", () => {
  const test = new TestCoordinator();
  test.world.setTopic("t", 4);
  const consumer = new TestMember(test, "new").join();
  const classic = new ClassicMember(test);
  assert.equal(classic.come().get().errorCode, 0);
  classic.rejoin();
  settle([consumer], [classic]);
  assert.deepEqual([classic.count, consumer.has.split(" ").length], [2, 2]);
  const other = test.join({ type: "connect", protocols: { x: "y" } }).get();
  assert.equal(other.errorCode, ErrorCode.INCONSISTENT_GROUP_PROTOCOL);
});

Deno.test("a classic member in an empty consumer group makes it a classic one", () => {
  const test = new TestCoordinator();
  test.world.setTopic("t", 1);
  new TestMember(test, "new").join().leave();
  const classic = new ClassicMember(test);
  classic.come();
  test.advance(0);
  assert.equal(test.state(), "CompletingRebalance");
  assert.equal(described(test).errorCode, ErrorCode.GROUP_ID_NOT_FOUND);
});

Deno.test("groups change only where the policy lets them, and only groups of consumers", () => {
  const upgrade = (config: { canUpgrade?: boolean; canDowngrade?: boolean }) => {
    const pair = classicPair(false, config);
    return { ...pair, response: new TestMember(pair.test, "new").joining().get() };
  };
  const refused = upgrade({ canUpgrade: false }).response;
  assert.equal(refused.errorCode, ErrorCode.GROUP_ID_NOT_FOUND);
  assert.match(refused.errorMessage!, /because the online upgrade is disabled\.$/);
  const { test } = upgrade({ canDowngrade: false });
  new TestMember(test, "new").leave();
  assert.equal(described(test).members.length, 2, "classic members alone stay");

  const others = new TestCoordinator();
  others.stable(1, { type: "connect" });
  const connect = new TestMember(others, "new").joining().get();
  assert.match(connect.errorMessage!, /does not use the consumer embedded protocol\.$/);
  const garbled = new TestCoordinator();
  garbled.stable(1);
  const broken = new TestMember(garbled, "new").joining().get();
  assert.match(broken.errorMessage!, /the embedded consumer protocol is malformed\.$/);
});

Deno.test("a change that cannot be written leaves the group what it was", () => {
  const { test, members: [a, b] } = classicPair();
  test.log.failWith = ErrorCode.NOT_ENOUGH_REPLICAS;
  assert.notEqual(new TestMember(test, "new").joining().get().errorCode, 0);
  test.log.failWith = 0;
  assert.equal(test.state(), "PreparingRebalance");
  assert.equal(a.beat(), ErrorCode.REBALANCE_IN_PROGRESS);
  const joins = [a.join(), b.join()];
  assert.equal(joins[0]!.get().errorCode, 0);

  const mixed = classicPair();
  const consumer = new TestMember(mixed.test, "new").join();
  settle([consumer], mixed.members);
  mixed.test.log.failWith = ErrorCode.NOT_ENOUGH_REPLICAS;
  assert.notEqual(consumer.leave().errorCode, 0);
  mixed.test.log.failWith = 0;
  assert.equal(described(mixed.test).groupState, "Stable");
  assert.equal(mixed.members[0].beat(), 0);
});

Deno.test("while the change is on its way, members commit as before, and what comes waits", () => {
  const { test, members: [a] } = classicPair();
  test.log.held = true;
  const joining = new TestMember(test, "new").joining();
  const commit = test.commit({ t: [3] }, {
    memberId: a.memberId,
    generationIdOrMemberEpoch: a.generation,
  });
  assert.equal(joining.answered, false);
  test.log.held = false;
  test.log.release();
  assert.equal(joining.get().errorCode, 0);
  assert.equal(commit.get().topics[0]!.partitions[0]!.errorCode, 0);
  const { currents } = test.group().consumer!.written;
  assert.equal(currents.get(a.memberId)!.state, MemberState.STABLE);
});

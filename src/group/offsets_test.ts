import { strict as assert } from "node:assert";
import { Writer } from "../bytes/writer.ts";
import { ErrorCode } from "../wire/errors.ts";
import {
  encodeConsumerProtocolSubscription,
  newConsumerProtocolSubscription,
} from "../wire/generated/consumer_protocol_subscription.ts";
import { newOffsetDeleteRequest } from "../wire/generated/offset_delete_request.ts";
import type { OffsetDeleteResponse } from "../wire/generated/offset_delete_response.ts";
import { newOffsetFetchRequestGroup } from "../wire/generated/offset_fetch_request.ts";
import { GROUP, TestCoordinator } from "./test_coordinator.ts";

/** What a consumer that reads `topics` says to its leader. */
function subscription(...topics: string[]): Uint8Array {
  const writer = new Writer();
  writer.int16(1);
  encodeConsumerProtocolSubscription(writer, 1, newConsumerProtocolSubscription({ topics }));
  return writer.copyBytes();
}

function remove(test: TestCoordinator, topics: string[], groupId = GROUP) {
  const pending = test.pending<OffsetDeleteResponse>("OffsetDelete");
  const request = newOffsetDeleteRequest({
    groupId,
    topics: topics.map((name) => ({ name, partitions: [{ partitionIndex: 0 }] })),
  });
  test.coordinator.offsetDelete(test.context(0), request, pending.respond);
  return pending.get();
}

Deno.test("a simple consumer's commit makes the group and is kept", () => {
  const test = new TestCoordinator();
  assert.equal(test.commitError({ t: [10, 20] }), 0);
  assert.equal(test.state(), "Empty");
  assert.equal(test.committed("t", 0), 10);
  assert.equal(test.committed("t", 1), 20);
  assert.equal(test.committed("t", 2), -1);
  assert.equal(test.committed("t", 0, "other"), -1);
  test.commit({ t: [11] });
  assert.equal(test.committed("t", 0), 11);
  assert.equal(test.commitError({ t: [1] }, { groupId: "" }), 0, "the empty group id is a group");
});

Deno.test("OffsetFetch gives all topics when none is named, with epoch and note", () => {
  const test = new TestCoordinator();
  test.commit({ a: [1], b: [2, 3] }, { metadata: "note" });
  const request = newOffsetFetchRequestGroup({ groupId: GROUP, topics: null });
  const { topics } = test.coordinator.offsetFetch(test.context(8), request);
  assert.deepEqual(
    topics.map((t) => [t.name, t.partitions.map((p) => [p.committedOffset, p.metadata])]),
    [["a", [[1, "note"]]], ["b", [[2, "note"], [3, "note"]]]],
  );
  const none = newOffsetFetchRequestGroup({ groupId: "none", topics: null });
  assert.deepEqual(test.coordinator.offsetFetch(test.context(8), none).topics, []);
});

Deno.test("OffsetCommit checks group, member, generation and state", () => {
  const test = new TestCoordinator();
  const member = (memberId: string, generationIdOrMemberEpoch: number, version = 9) =>
    test.commitError({ t: [1] }, { memberId, generationIdOrMemberEpoch, version });
  assert.equal(member("m", 0), ErrorCode.GROUP_ID_NOT_FOUND);
  assert.equal(member("m", 0, 8), ErrorCode.ILLEGAL_GENERATION);
  const { ids, generation } = test.stable(2);
  const id = ids[0]!;
  const cases: [string, string, number, number][] = [
    ["member", id, generation, 0],
    ["old generation", id, generation - 1, ErrorCode.ILLEGAL_GENERATION],
    ["new generation", id, generation + 1, ErrorCode.ILLEGAL_GENERATION],
    ["no generation", id, -1, ErrorCode.ILLEGAL_GENERATION],
    ["stranger", "ghost", generation, ErrorCode.UNKNOWN_MEMBER_ID],
    ["simple consumer", "", -1, ErrorCode.UNKNOWN_MEMBER_ID],
  ];
  for (const [what, memberId, epoch, errorCode] of cases) {
    assert.equal(member(memberId, epoch), errorCode, what);
  }
  const join = test.join({ memberId: id });
  assert.equal(test.state(), "PreparingRebalance");
  assert.equal(member(ids[1]!, generation), 0, "those of the last generation may");
  test.join({ memberId: ids[1]! });
  assert.equal(join.get().errorCode, 0);
  assert.equal(test.state(), "CompletingRebalance");
  assert.equal(member(id, generation + 1), ErrorCode.REBALANCE_IN_PROGRESS);
  test.leave({ memberId: id }, { memberId: ids[1]! });
  assert.equal(test.state(), "Empty");
  assert.equal(member("", -1), 0);
  assert.equal(member(id, generation + 1), ErrorCode.UNKNOWN_MEMBER_ID);
});

Deno.test("a commit is a sign of life", () => {
  const test = new TestCoordinator();
  const { ids, generation } = test.stable(1, { sessionMs: 6_000 });
  const fields = { memberId: ids[0]!, generationIdOrMemberEpoch: generation };
  for (let i = 0; i < 5; i++) {
    test.advance(5_000);
    assert.equal(test.commitError({ t: [i] }, fields), 0);
  }
});

Deno.test("a note that is too long costs its own partition alone", () => {
  const test = new TestCoordinator();
  const tooLong = test.commit({ t: [1] }, { metadata: "x".repeat(4097) }).get();
  assert.equal(tooLong.topics[0]!.partitions[0]!.errorCode, ErrorCode.OFFSET_METADATA_TOO_LARGE);
  assert.equal(test.coordinator.table.groups.size, 0, "nothing is left behind");
  assert.equal(test.commitError({ t: [1] }, { metadata: "x".repeat(4096) }), 0);
});

Deno.test("readers see a commit when the log has it, not before", () => {
  const test = new TestCoordinator();
  test.commit({ t: [1] });
  test.log.held = true;
  const pending = test.commit({ t: [2] });
  assert.equal(pending.answered, false);
  assert.equal(test.committed("t", 0), 1);
  test.log.release();
  assert.equal(pending.get().topics[0]!.partitions[0]!.errorCode, 0);
  assert.equal(test.committed("t", 0), 2);
});

Deno.test("a failed commit changes nothing", () => {
  const cases: [number, number][] = [
    [ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.NOT_COORDINATOR],
    [ErrorCode.REQUEST_TIMED_OUT, ErrorCode.COORDINATOR_NOT_AVAILABLE],
    [ErrorCode.MESSAGE_TOO_LARGE, ErrorCode.INVALID_COMMIT_OFFSET_SIZE],
    [ErrorCode.KAFKA_STORAGE_ERROR, ErrorCode.NOT_COORDINATOR],
  ];
  for (const [appendError, errorCode] of cases) {
    const test = new TestCoordinator();
    test.log.failWith = appendError;
    assert.equal(test.commitError({ t: [1] }), errorCode);
    assert.equal(test.coordinator.table.groups.size, 0);
    test.log.failWith = 0;
    test.commit({ t: [1] });
    test.log.failWith = appendError;
    assert.equal(test.commitError({ t: [2] }), errorCode);
    assert.equal(test.committed("t", 0), 1);
  }
});

Deno.test("OffsetDelete spares topics that a member reads", () => {
  const test = new TestCoordinator();
  assert.equal(remove(test, ["t"], "").errorCode, ErrorCode.INVALID_GROUP_ID);
  assert.equal(remove(test, ["t"]).errorCode, ErrorCode.GROUP_ID_NOT_FOUND);
  test.commit({ read: [1], left: [2] });
  const { ids } = test.stable(1, { protocols: { range: subscription("read") } });
  const deleted = remove(test, ["read", "left", "never"]);
  assert.deepEqual(deleted.topics.map((t) => [t.name, t.partitions[0]!.errorCode]), [
    ["read", ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC],
    ["left", 0],
    ["never", 0],
  ]);
  assert.equal(test.committed("read", 0), 1);
  assert.equal(test.committed("left", 0), -1);
  test.leave({ memberId: ids[0]! });
  assert.equal(remove(test, ["read"]).topics[0]!.partitions[0]!.errorCode, 0);
  assert.equal(test.committed("read", 0), -1);
});

Deno.test("a subscription is read by the fields that all versions begin with", () => {
  // @platformatic/kafka says version 1 and leaves out its field; other clients may say what they like.
  for (const version of [0, 1, 3, 9, -1]) {
    const test = new TestCoordinator();
    test.commit({ read: [1], left: [2] });
    const metadata = subscription("read").slice(0, -4);
    new DataView(metadata.buffer).setInt16(0, version);
    test.stable(1, { protocols: { range: metadata } });
    const deleted = remove(test, ["read", "left"]);
    assert.deepEqual(
      deleted.topics.map((t) => t.partitions[0]!.errorCode),
      [ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC, 0],
    );
  }
});

Deno.test("a group whose last offset was deleted is there until the next check", () => {
  const test = new TestCoordinator();
  test.commit({ t: [1] });
  assert.equal(remove(test, ["t"]).errorCode, 0);
  assert.equal(test.state(), "Empty");
  assert.equal(remove(test, ["t"]).errorCode, 0);
  test.advance(test.config.offsetsRetentionCheckMs);
  assert.equal(test.state(), "none");
  assert.equal(remove(test, ["t"]).errorCode, ErrorCode.GROUP_ID_NOT_FOUND);
});

Deno.test("OffsetDelete believes consumers that it cannot read, and no other members", () => {
  const test = new TestCoordinator();
  test.commit({ t: [1] });
  test.stable(1, { protocols: { range: Uint8Array.of(0, 1, 0, 0, 0, 9) } });
  const subscribed = remove(test, ["t"]).topics[0]!.partitions[0]!.errorCode;
  assert.equal(subscribed, ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC);

  const other = new TestCoordinator();
  other.commit({ t: [1] });
  other.stable(1, { type: "connect" });
  assert.equal(remove(other, ["t"]).errorCode, ErrorCode.NON_EMPTY_GROUP);
});

Deno.test("OffsetDelete takes along a commit that is on its way", () => {
  const test = new TestCoordinator();
  test.commit({ other: [1] });
  test.log.held = true;
  const commit = test.commit({ t: [5] });
  const pending = test.pending<OffsetDeleteResponse>("OffsetDelete");
  const topics = [{ name: "t", partitions: [{ partitionIndex: 0 }] }];
  const request = newOffsetDeleteRequest({ groupId: GROUP, topics });
  test.coordinator.offsetDelete(test.context(0), request, pending.respond);
  test.log.release();
  assert.equal(commit.get().topics[0]!.partitions[0]!.errorCode, 0);
  assert.equal(pending.get().errorCode, 0);
  assert.equal(test.committed("t", 0), -1);
});

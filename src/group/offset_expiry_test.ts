import { strict as assert } from "node:assert";
import { Writer } from "../bytes/writer.ts";
import { ErrorCode } from "../wire/errors.ts";
import type { DeletableGroupResult } from "../wire/generated/delete_groups_response.ts";
import {
  encodeConsumerProtocolSubscription,
  newConsumerProtocolSubscription,
} from "../wire/generated/consumer_protocol_subscription.ts";
import { GROUP, TestCoordinator, writtenState } from "./test_coordinator.ts";

const HOUR_MS = 3_600_000;
/** Retention of one hour, looked at every ten minutes. */
const HOURLY = { offsetsRetentionMs: HOUR_MS, offsetsRetentionCheckMs: 600_000 };

function consumerOf(topic: string): { protocols: Record<string, Uint8Array>; sessionMs: number } {
  const writer = new Writer();
  writer.int16(0);
  encodeConsumerProtocolSubscription(
    writer,
    0,
    newConsumerProtocolSubscription({ topics: [topic] }),
  );
  return { protocols: { range: writer.copyBytes() }, sessionMs: 1_800_000 };
}

function remove(test: TestCoordinator, groupId = GROUP): number {
  const pending = test.pending<DeletableGroupResult>("DeleteGroups");
  test.coordinator.deleteGroup(test.context(3), groupId, pending.respond);
  assert.equal(pending.get().groupId, groupId);
  return pending.get().errorCode;
}

Deno.test("a simple consumer's offsets expire, each after its own commit", () => {
  const test = new TestCoordinator(HOURLY);
  test.commit({ a: [1] });
  test.advance(HOUR_MS / 2);
  test.commit({ b: [2] });
  test.advance(HOUR_MS / 2);
  assert.equal(test.committed("a", 0), -1);
  assert.equal(test.committed("b", 0), 2);
  test.advance(HOUR_MS / 2);
  assert.equal(test.state(), "none", "nothing is left of the group");
  assert.deepEqual(test.log.records.at(-1)!.value, null);
});

Deno.test("a group's offsets expire when it has been empty for the retention, all at once", () => {
  const test = new TestCoordinator(HOURLY);
  const { ids, generation } = test.stable(1, { sessionMs: 1_800_000 });
  test.commit({ t: [1] }, { memberId: ids[0]!, generationIdOrMemberEpoch: generation });
  for (let i = 0; i < 8; i++) {
    test.advance(1_000_000);
    assert.equal(test.heartbeat(ids[0]!, generation), 0);
  }
  assert.equal(test.committed("t", 0), 1, "a member is there");
  test.leave({ memberId: ids[0]! });
  test.advance(HOUR_MS - 1_000_000);
  assert.equal(test.committed("t", 0), 1);
  test.advance(1_600_000);
  assert.equal(test.committed("t", 0), -1);
  assert.equal(test.state(), "none");
  test.restart();
  assert.equal(test.state(), "none", "the group is gone from the log too");
});

Deno.test("a stable consumer group loses the offsets of topics that nobody reads any more", () => {
  const test = new TestCoordinator(HOURLY);
  test.commit({ read: [1], left: [2] });
  const { ids, generation } = test.stable(1, consumerOf("read"));
  for (let i = 0; i < 5; i++) {
    test.advance(1_000_000);
    assert.equal(test.heartbeat(ids[0]!, generation), 0);
  }
  assert.equal(test.committed("left", 0), -1);
  assert.equal(test.committed("read", 0), 1);
});

Deno.test("other groups with members keep everything", () => {
  const test = new TestCoordinator(HOURLY);
  test.commit({ t: [1] });
  const { ids, generation } = test.stable(1, { type: "connect", sessionMs: 1_800_000 });
  for (let i = 0; i < 5; i++) {
    test.advance(1_000_000);
    test.heartbeat(ids[0]!, generation);
  }
  assert.equal(test.committed("t", 0), 1);
});

Deno.test("a retention that came with the commit goes before the broker's", () => {
  const test = new TestCoordinator(HOURLY);
  test.commit({ short: [1] }, { retentionTimeMs: 1_000, version: 4 });
  test.commit({ long: [2] }, { retentionTimeMs: 10 * HOUR_MS, version: 4 });
  test.advance(600_000);
  assert.equal(test.committed("short", 0), -1);
  test.restart();
  test.advance(5 * HOUR_MS);
  assert.equal(test.committed("long", 0), 2);
  test.advance(5 * HOUR_MS);
  assert.equal(test.committed("long", 0), -1);
});

Deno.test("an offset that is committed again while it expires stays", () => {
  const test = new TestCoordinator(HOURLY);
  test.commit({ t: [1] });
  test.advance(HOUR_MS - 1);
  test.log.held = true;
  test.commit({ t: [2] });
  test.advance(600_000);
  test.log.held = false;
  test.log.release();
  assert.equal(test.committed("t", 0), 2);
});

Deno.test("DeleteGroups forgets an empty group, and only that", () => {
  const test = new TestCoordinator();
  assert.equal(remove(test), ErrorCode.GROUP_ID_NOT_FOUND);
  const { ids, generation } = test.stable(1);
  test.commit({ t: [1, 2] }, { memberId: ids[0]!, generationIdOrMemberEpoch: generation });
  assert.equal(remove(test), ErrorCode.NON_EMPTY_GROUP);
  test.leave({ memberId: ids[0]! });
  assert.equal(remove(test), 0);
  assert.equal(test.state(), "none");
  assert.deepEqual(test.log.records.slice(-3).map((record) => record.value), [null, null, null]);
  test.restart();
  assert.deepEqual(writtenState(test.coordinator), []);
  assert.equal(remove(test), ErrorCode.GROUP_ID_NOT_FOUND);
});

Deno.test("DeleteGroups takes along a commit that is on its way", () => {
  const test = new TestCoordinator();
  test.commit({ t: [1] });
  test.log.held = true;
  test.commit({ u: [2] });
  const pending = test.pending<DeletableGroupResult>("DeleteGroups");
  test.coordinator.deleteGroup(test.context(3), GROUP, pending.respond);
  test.log.release();
  assert.equal(pending.get().errorCode, 0);
  assert.equal(test.state(), "none");
});

Deno.test("a deletion that cannot be written leaves the group as it was", () => {
  const test = new TestCoordinator();
  test.commit({ t: [1] });
  test.log.failWith = ErrorCode.NOT_LEADER_OR_FOLLOWER;
  assert.equal(remove(test), ErrorCode.NOT_COORDINATOR);
  assert.equal(test.committed("t", 0), 1);
});

Deno.test("many tombstones go in batches", () => {
  const test = new TestCoordinator();
  test.commit({ t: Array.from({ length: 2_500 }, (_, at) => at) });
  assert.equal(remove(test), 0);
  assert.equal(test.log.records.length, 2_500 + 2_501);
  assert.equal(test.state(), "none");
});

Deno.test("topicsDeleted() forgets the offsets of a topic in every group", () => {
  const test = new TestCoordinator();
  test.commit({ gone: [1, 2], kept: [3] });
  test.commit({ gone: [4] }, { groupId: "other" });
  test.coordinator.topicsDeleted(["gone"]);
  assert.equal(test.committed("gone", 0), -1);
  assert.equal(test.committed("gone", 1), -1);
  assert.equal(test.committed("kept", 0), 3);
  assert.equal(test.state("other"), "Empty", "a group stays until the next check");
  test.advance(test.config.offsetsRetentionCheckMs);
  assert.equal(test.state("other"), "none");
});

Deno.test("DeleteGroups also forgets members that were given an id", () => {
  const test = new TestCoordinator();
  const { memberId } = test.join().get();
  assert.equal(test.state(), "Empty");
  assert.equal(remove(test), 0);
  assert.equal(test.state(), "none");
  assert.equal(test.join({ memberId }).get().errorCode, ErrorCode.UNKNOWN_MEMBER_ID);
});

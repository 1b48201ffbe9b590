import assert from "node:assert/strict";
import { ErrorCode } from "../wire/errors.ts";
import { newOffsetCommitRequest } from "../wire/generated/offset_commit_request.ts";
import type { OffsetCommitResponse } from "../wire/generated/offset_commit_response.ts";
import { newOffsetFetchRequestGroup } from "../wire/generated/offset_fetch_request.ts";
import { PENDING_OFFSETS_MAX } from "./limits.ts";
import { GROUP, TestCoordinator } from "./test_coordinator.ts";

interface Words {
  readonly memberId?: string;
  readonly generation?: number;
  readonly producerId?: number;
}

/** Commits an offset of a partition in a producer's transaction; the error. */
function commit(test: TestCoordinator, committedOffset: number, words: Words = {}): number {
  const pending = test.pending<OffsetCommitResponse>("TxnOffsetCommit");
  const partition = { partitionIndex: 0, committedOffset };
  const rest = { committedLeaderEpoch: -1, commitTimestamp: -1, committedMetadata: "" };
  const topics = [{ name: "t", topicId: "", partitions: [{ ...partition, ...rest }] }];
  test.coordinator.transactionalCommit(
    test.context(3),
    newOffsetCommitRequest({
      groupId: GROUP,
      memberId: words.memberId ?? "",
      generationIdOrMemberEpoch: words.generation ?? -1,
      topics,
    }),
    { producerId: words.producerId ?? 7, producerEpoch: 0 },
    pending.respond,
  );
  return pending.get().topics[0]!.partitions[0]!.errorCode;
}

/** The error of a reader that requires stable offsets. */
function stableError(test: TestCoordinator): number {
  const topics = [{ name: "t", topicId: "", partitionIndexes: [0] }];
  const request = newOffsetFetchRequestGroup({ groupId: GROUP, topics });
  const fetched = test.coordinator.offsetFetch(test.context(8), request, true);
  return fetched.topics[0]!.partitions[0]!.errorCode;
}

Deno.test("an offset in a transaction counts when that is committed, and never when it is aborted", () => {
  const test = new TestCoordinator();
  test.commit({ t: [5] });
  assert.equal(commit(test, 10), ErrorCode.NONE);
  assert.equal(test.committed("t", 0), 5);
  assert.equal(stableError(test), ErrorCode.UNSTABLE_OFFSET_COMMIT);
  test.coordinator.endTransaction(8, true);
  assert.equal(test.committed("t", 0), 5);
  test.coordinator.endTransaction(7, true);
  assert.equal(test.committed("t", 0), 10);
  assert.equal(stableError(test), ErrorCode.NONE);
  commit(test, 20);
  test.coordinator.endTransaction(7, false);
  assert.equal(test.committed("t", 0), 10);
  test.coordinator.endTransaction(7, true);
  assert.equal(test.committed("t", 0), 10);
});

Deno.test("a commit outside of the transaction that comes later is newer", () => {
  const test = new TestCoordinator();
  commit(test, 10);
  test.commit({ t: [12] });
  test.coordinator.endTransaction(7, true);
  assert.equal(test.committed("t", 0), 12);
});

Deno.test("a group that exists in a transaction alone is there when that is committed", () => {
  const test = new TestCoordinator();
  commit(test, 10);
  assert.equal(test.committed("t", 0), -1);
  test.coordinator.endTransaction(7, true);
  assert.equal(test.committed("t", 0), 10);
});

Deno.test("KIP-447: a member of an old generation is fenced, a client that names none is not", () => {
  const test = new TestCoordinator();
  const { ids, generation } = test.stable(1);
  const memberId = ids[0]!;
  assert.equal(commit(test, 10, { memberId, generation }), ErrorCode.NONE);
  assert.equal(
    commit(test, 11, { memberId, generation: generation - 1 }),
    ErrorCode.ILLEGAL_GENERATION,
  );
  assert.equal(commit(test, 12, { memberId: "ghost", generation }), ErrorCode.UNKNOWN_MEMBER_ID);
  assert.equal(commit(test, 13), ErrorCode.NONE);
});

Deno.test("a snapshot holds the offsets of transactions as they were when it began", () => {
  const test = new TestCoordinator();
  test.commit({ t: [5] });
  commit(test, 10);
  commit(test, 30, { producerId: 9 });
  const drawn = test.coordinator.table.snapshotRecords();
  // It ends while the snapshot is drawn: the log after it has the end, but not the offset.
  test.coordinator.endTransaction(7, true);
  test.log.records.splice(0, Infinity, ...drawn);
  const copy = test.create();
  for (const { key, value } of test.log.records) assert.equal(copy.replay(key, value), null);
  copy.loaded(0, 0);
  copy.endTransaction(7, true);
  assert.equal(copy.table.groups.get(GROUP)!.offsets.get("t", 0)!.offset, 10);
  copy.endTransaction(9, true);
  assert.equal(copy.table.groups.get(GROUP)!.offsets.get("t", 0)!.offset, 30);
});

Deno.test("of two transactions' offsets the later one stays, whichever ends first", () => {
  for (const isCopied of [false, true]) {
    for (const first of [7, 9]) {
      const test = new TestCoordinator();
      commit(test, 10, { producerId: 9 });
      commit(test, 1, { producerId: 7 });
      commit(test, 20, { producerId: 7 });
      commit(test, 30, { producerId: 9 });
      let { coordinator } = test;
      if (isCopied) {
        const records = [...coordinator.table.snapshotRecords()];
        coordinator = test.create();
        for (const { key, value } of records) coordinator.replay(key, value);
        coordinator.loaded(0, 0);
      }
      coordinator.endTransaction(first, true);
      coordinator.endTransaction(16 - first, true);
      assert.equal(coordinator.table.groups.get(GROUP)!.offsets.get("t", 0)!.offset, 30);
    }
  }
});

Deno.test("what is deleted while an offset waits in a transaction does not come back with its end", () => {
  const test = new TestCoordinator();
  commit(test, 10);
  test.coordinator.topicsDeleted(["other"]);
  assert.equal(stableError(test), ErrorCode.UNSTABLE_OFFSET_COMMIT);
  test.coordinator.topicsDeleted(["t"]);
  assert.equal(stableError(test), ErrorCode.NONE);
  test.coordinator.endTransaction(7, true);
  assert.equal(test.committed("t", 0), -1);
  test.commit({ u: [5] });
  commit(test, 10);
  const errors: number[] = [];
  test.coordinator.deleteGroup(test.context(2), GROUP, ({ errorCode }) => errors.push(errorCode));
  assert.deepEqual(errors, [ErrorCode.NONE]);
  test.coordinator.endTransaction(7, true);
  assert.equal(test.committed("t", 0), -1);
});

Deno.test("the offsets that wait in transactions are limited", () => {
  const test = new TestCoordinator();
  const { pending, groups } = test.coordinator.table;
  const value = {
    offset: 1,
    leaderEpoch: -1,
    metadata: "",
    commitTimestampMs: 0,
    expireTimestampMs: -1,
  };
  for (let i = 0; i < PENDING_OFFSETS_MAX; i++) {
    pending.add(8, { groupId: `g${i}`, topic: "t", partition: 0, value });
  }
  pending.add(8, { groupId: "g0", topic: "t", partition: 0, value });
  assert.equal(pending.size, PENDING_OFFSETS_MAX);
  assert.equal(commit(test, 10), ErrorCode.COORDINATOR_NOT_AVAILABLE);
  assert.equal(groups.has(GROUP), false);
  pending.supersede({ groupId: "g0", topic: "t", partition: 0 });
  assert.equal(commit(test, 10), ErrorCode.NONE);
  test.coordinator.endTransaction(8, false);
  assert.equal(pending.size, 1);
  test.coordinator.endTransaction(7, true);
  assert.equal(pending.size, 0);
});

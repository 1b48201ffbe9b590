import { strict as assert } from "node:assert";
import { ErrorCode } from "../wire/errors.ts";
import { Group } from "./group.ts";
import {
  ASSIGNMENTS_SIZE_MAX,
  GROUP_PROTOCOLS_SIZE_MAX,
  GROUPS_PER_COORDINATOR_MAX,
  MEMBER_PROTOCOLS_SIZE_MAX,
} from "./limits.ts";
import { TestCoordinator } from "./test_coordinator.ts";

Deno.test("a coordinator with too many groups lets further ones wait, and serves those it has", () => {
  const test = new TestCoordinator();
  const { groups } = test.coordinator.table;
  for (let i = 0; i < GROUPS_PER_COORDINATOR_MAX; i++) groups.set(`g${i}`, new Group(`g${i}`));
  const wait = ErrorCode.COORDINATOR_NOT_AVAILABLE;
  assert.equal(test.join({ group: "one more" }).get().errorCode, wait);
  assert.equal(test.commitError({ t: [1] }, { groupId: "one more" }), wait);
  assert.equal(test.commitError({ t: [1] }, { groupId: "g0" }), 0);
});

Deno.test("a group's members together may say so much, and no more", () => {
  const test = new TestCoordinator();
  const size = MEMBER_PROTOCOLS_SIZE_MAX - "range".length;
  const protocols = { range: new Uint8Array(size) };
  const fitting = Math.floor(GROUP_PROTOCOLS_SIZE_MAX / MEMBER_PROTOCOLS_SIZE_MAX);
  for (let i = 0; i < fitting; i++) {
    assert.equal(test.join({ version: 3, protocols }).answered, false);
  }
  const refused = test.join({ version: 3, protocols }).get();
  assert.equal(refused.errorCode, ErrorCode.GROUP_MAX_SIZE_REACHED);
});

Deno.test("an assignment that is too large makes the group join again", () => {
  const test = new TestCoordinator();
  const { memberId } = test.joinDynamic();
  test.advance(0);
  const sync = test.sync(memberId, 1, { [memberId]: "x".repeat(ASSIGNMENTS_SIZE_MAX + 1) });
  assert.equal(sync.get().errorCode, ErrorCode.UNKNOWN_SERVER_ERROR);
  assert.equal(test.state(), "PreparingRebalance");
});

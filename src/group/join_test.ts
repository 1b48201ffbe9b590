import { strict as assert } from "node:assert";
import { ErrorCode } from "../wire/errors.ts";
import { decode, TestCoordinator } from "./coordinator_test_context.ts";

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

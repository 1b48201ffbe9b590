import { strict as assert } from "node:assert";
import { RECOVERY_BURST_BYTES, RECOVERY_BYTES_PER_MS } from "../base/limits.ts";
import { Timers } from "../io/timers.ts";
import { type PacedRequest, RecoveryPace } from "./recovery_pace.ts";

const FRAME = 256 * 1024;

/** A request of a member of which nobody waits for what it lacks. */
function spare(go: () => void): PacedRequest {
  return { isSpare: () => true, go };
}

Deno.test("learners get so many bytes in a second, however many ask, and all get some", () => {
  const timers = new Timers();
  let nowMs = 0;
  const pace = new RecoveryPace({ timers, nowMs: () => nowMs, appendedBytes: () => 0 });
  const sent = [0, 0, 0, 0];
  const send = (learner: number): void => {
    sent[learner]! += FRAME;
    pace.sent(FRAME);
  };
  const LAST_MS = 2_000;
  for (; nowMs < LAST_MS; nowMs++) {
    for (const learner of sent.keys()) {
      if (!pace.holdsBack(1, learner, spare(() => send(learner)))) send(learner);
    }
    timers.run(nowMs);
  }
  const all = sent.reduce((sum, bytes) => sum + bytes, 0);
  const allowed = RECOVERY_BURST_BYTES + LAST_MS * RECOVERY_BYTES_PER_MS;
  assert(all > allowed * 0.9 && all <= allowed + FRAME, `${all} of ${allowed}`);
  assert(Math.min(...sent) > 0.8 * Math.max(...sent), `${sent}`);
});

Deno.test("what waits comes once, and a later request takes the place of the earlier", () => {
  const timers = new Timers();
  let nowMs = 0;
  const pace = new RecoveryPace({ timers, nowMs: () => nowMs, appendedBytes: () => 0 });
  assert(!pace.holdsBack(1, 1, spare(() => assert.fail("it need not wait"))));
  pace.sent(RECOVERY_BURST_BYTES + 100 * RECOVERY_BYTES_PER_MS);
  const came: string[] = [];
  assert(pace.holdsBack(1, 1, spare(() => came.push("early"))));
  assert(pace.holdsBack(1, 1, spare(() => came.push("late"))));
  assert(pace.holdsBack(1, 2, spare(() => came.push("other"))));
  timers.run(nowMs = 50);
  assert.deepEqual(came, []);
  timers.run(nowMs = 102);
  assert.deepEqual(came, ["late", "other"]);
  timers.run(nowMs = 1_000);
  assert.equal(came.length, 2);
});

Deno.test("where more is appended than the usual pace, whoever is filled gets on", () => {
  const timers = new Timers();
  let nowMs = 0;
  const APPENDED_PER_MS = 4 * RECOVERY_BYTES_PER_MS;
  const appendedBytes = (): number => nowMs * APPENDED_PER_MS;
  const pace = new RecoveryPace({ timers, nowMs: () => nowMs, appendedBytes });
  let sent = 0;
  const send = (): void => {
    sent += FRAME;
    pace.sent(FRAME);
  };
  const LAST_MS = 4_000;
  for (; nowMs < LAST_MS; nowMs++) {
    for (let i = 0; i < 8; i++) if (!pace.holdsBack(1, 1, spare(send))) send();
    timers.run(nowMs);
  }
  assert(sent > 1.1 * appendedBytes() && sent < 1.4 * appendedBytes(), `${sent}`);
});

Deno.test("where more is appended than the usual pace, each of several nodes that are filled gets on", () => {
  const timers = new Timers();
  let nowMs = 0;
  const APPENDED_PER_MS = RECOVERY_BYTES_PER_MS;
  const appendedBytes = (): number => nowMs * APPENDED_PER_MS;
  const pace = new RecoveryPace({ timers, nowMs: () => nowMs, appendedBytes });
  const sent = [0, 0];
  const send = (node: number): void => {
    sent[node]! += FRAME;
    pace.sent(FRAME);
  };
  const LAST_MS = 8_000;
  for (; nowMs < LAST_MS; nowMs++) {
    for (const node of sent.keys()) {
      if (!pace.holdsBack(1, node, spare(() => send(node)))) send(node);
    }
    timers.run(nowMs);
  }
  assert(Math.min(...sent) > 1.1 * appendedBytes(), `${sent} of ${appendedBytes()}`);
});

Deno.test("requests that wait go at once when their member has become one without which nothing commits", () => {
  const GROUPS = 2_000;
  const timers = new Timers();
  let nowMs = 0;
  const pace = new RecoveryPace({ timers, nowMs: () => nowMs, appendedBytes: () => 0 });
  pace.sent(RECOVERY_BURST_BYTES + 1);
  let isSpare = true;
  const came: number[] = [];
  for (let group = 0; group < GROUPS; group++) {
    const go = (): void => {
      came.push(group);
      pace.sent(FRAME);
    };
    assert(pace.holdsBack(group, 1, { isSpare: () => isSpare, go }));
  }
  for (; nowMs < 300; nowMs++) timers.run(nowMs);
  assert(came.length > 0 && came.length < GROUPS / 10, `${came.length}`);
  isSpare = false;
  for (; nowMs < 500; nowMs++) timers.run(nowMs);
  assert.equal(came.length, GROUPS);
});

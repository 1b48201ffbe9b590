import { strict as assert } from "node:assert";
import { Timers } from "../io/timers.ts";
import { metadataWait, StartWait } from "./start_wait.ts";

const VOTERS = [0, 1, 2].map((nodeId) => ({
  nodeId,
  incarnation: `${nodeId}`.repeat(32),
  host: "10.0.0.1",
  port: 33145 + nodeId,
}));

Deno.test("a start without a majority names how many nodes are needed, and which are not reached", () => {
  assert.equal(
    metadataWait(VOTERS, (node) => node === 0),
    "the cluster's metadata needs 2 of its 3 nodes, and only this one is here; not reached: " +
      "node 1 (10.0.0.1:33146), node 2 (10.0.0.1:33147)",
  );
  const five = [...VOTERS, ...VOTERS.map((one) => ({ ...one, nodeId: one.nodeId + 3 }))].slice(
    0,
    5,
  );
  assert.match(
    metadataWait(five, (node) => node < 2),
    /needs 3 of its 5 nodes, and only 2 are here/,
  );
  assert.match(
    metadataWait(VOTERS, (node) => node < 2),
    /have not elected a leader among them yet/,
  );
});

/** What is told and logged, second by second; the reason is `reasons[second]`, the last one from there on. */
function waited(reasons: readonly (string | null)[], seconds: number): {
  readonly told: (string | null)[];
  readonly logged: string[];
} {
  let nowMs = 0;
  const timers = new Timers();
  const told: (string | null)[] = [];
  const logged: string[] = [];
  const wait = new StartWait({
    timers,
    nowMs: () => nowMs,
    reason: () => reasons[Math.min(reasons.length - 1, Math.floor(nowMs / 1000))]!,
    tell: (why) => told.push(why),
    logger: { log: (_level, message, fields) => logged.push(`${message} ${fields!["why"]}`) },
  });
  wait.begin();
  for (; nowMs <= seconds * 1000; nowMs += 100) timers.run(nowMs);
  wait.end();
  return { told, logged };
}

Deno.test("what a start waits for is told at once when it changes, and logged every few seconds", () => {
  const same = waited(["a"], 25);
  assert.deepEqual(same.told, ["a", null]);
  assert.equal(same.logged.length, 3, "at 2, 12 and 22 s");
  assert.equal(same.logged[0], "Waiting for the other nodes a");
  // One that changes all the time is a line in three seconds.
  const busy = waited(Array.from({ length: 25 }, (_, at) => `reason ${at}`), 24);
  assert.equal(busy.told.length, 24);
  assert.ok(busy.logged.length >= 7 && busy.logged.length <= 9, `${busy.logged.length}`);
  assert.deepEqual(waited([null], 5), { told: [], logged: [] });
});

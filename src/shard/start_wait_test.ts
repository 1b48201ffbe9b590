import { strict as assert } from "node:assert";
import { Timers } from "../io/timers.ts";
import { metadataWait, StartWait } from "./start_wait.ts";

const MISSING = [1, 2, 3].map((nodeId) => ({
  nodeId,
  incarnation: `${nodeId}`.repeat(32),
  host: "10.0.0.1",
  port: 33145 + nodeId,
  isWiped: false,
}));

Deno.test("a start without a majority names how many nodes are needed, and which are not reached", () => {
  assert.equal(
    metadataWait(3, MISSING.slice(0, 2), false),
    "the cluster's metadata needs 2 of its 3 nodes, and only this one is here; not reached: " +
      "node 1 (10.0.0.1:33146), node 2 (10.0.0.1:33147)",
  );
  assert.match(metadataWait(5, MISSING, false), /needs 3 of its 5 nodes, and only 2 are here/);
  assert.match(
    metadataWait(3, MISSING.slice(0, 1), true),
    /have not elected a leader among them yet/,
  );
});

Deno.test("a start that waits for long says how to find out what would be lost; nodes without their disks are not there", () => {
  const [one, two] = MISSING;
  const missing = [{ ...one!, isWiped: true }, { ...two!, host: "" }];
  assert.match(
    metadataWait(3, missing, true),
    /not reached: node 1 \(10\.0\.0\.1:33146\) with the disk that it had, node 2; .* start this node with --recover-metadata 1,2, which says what would be lost$/,
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

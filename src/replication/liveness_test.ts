import { strict as assert } from "node:assert";
import { LIFE_INTERVAL_MS } from "../base/limits.ts";
import { Timers } from "../io/timers.ts";
import { Liveness } from "./liveness.ts";

/** One shard; the other node is 1 and has two shards. */
function shard(first: readonly number[]) {
  const groups = new Set(first.map((groupId) => ({ groupId })));
  const timers = new Timers();
  const sent: string[] = [];
  let flushWaitMs = 0;
  let nowMs = 0;
  const liveness = new Liveness({
    timers,
    nowMs: () => nowMs,
    flushWaitMs: () => flushWaitMs,
    groupsByNode: new Map([[1, groups]]),
    shardCountOf: () => 2,
    sendLife: (node, to, isAnswer) => sent.push(`${node}/${to}${isAnswer ? " answers" : ""}`),
    onSilent: () => {},
    onHeard: () => {},
    onStalled: () => {},
  });
  liveness.noteGroups(1);
  const pass = (): string[] => {
    nowMs += LIFE_INTERVAL_MS;
    timers.run(nowMs);
    return sent.splice(0);
  };
  const leave = (): void => {
    groups.clear();
    liveness.noteGroups(1);
  };
  return { liveness, sent, pass, leave, stall: (ms = 1e6) => flushWaitMs = ms };
}

Deno.test("who is told of life by a shard with which it knows of no common group answers, once", () => {
  const { liveness, sent, pass, stall } = shard([4]);
  assert.deepEqual(pass(), ["1/0"]);
  liveness.heard(1, 0, false);
  assert.deepEqual(sent, [], "it gives signs of its own");
  liveness.heard(1, 1, false);
  assert.deepEqual(sent.splice(0), ["1/1 answers"]);
  liveness.heard(1, 1, true);
  liveness.heard(1, 7, false);
  assert.deepEqual(sent, [], "neither an answer, nor a shard that there is not");
  stall();
  pass();
  liveness.heard(1, 1, false);
  assert.deepEqual(sent, [], "the disk does not work");
});

Deno.test("who shared groups with a shard, and does no more, answers it", () => {
  const { liveness, sent, pass, leave } = shard([4]);
  assert.deepEqual(pass(), ["1/0"]);
  leave();
  liveness.heard(1, 0, false);
  assert.deepEqual(sent.splice(0), ["1/0 answers"], "before it has looked again");
  assert.deepEqual(pass(), []);
  liveness.heard(1, 0, false);
  assert.deepEqual(sent, ["1/0 answers"]);
});

Deno.test("a disk that hung while the last group left is known to work again", () => {
  const { liveness, sent, pass, leave, stall } = shard([4]);
  stall();
  pass();
  leave();
  pass();
  liveness.heard(1, 0, false);
  assert.deepEqual([liveness.isStalled, sent], [true, []]);
  stall(0);
  pass();
  liveness.heard(1, 0, false);
  assert.deepEqual([liveness.isStalled, sent], [false, ["1/0 answers"]]);
});

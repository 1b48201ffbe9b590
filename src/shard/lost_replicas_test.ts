import { strict as assert } from "node:assert";
import { EventLog } from "../base/event_log.ts";
import { Timers } from "../io/timers.ts";
import type { Partition } from "../kafka/partition.ts";
import { LostReplicas } from "./lost_replicas.ts";

for (
  const [what, suspect, overruled] of [
    ["damaged", true, false],
    ["that the partition went on without", false, true],
  ] as const
) {
  Deno.test(`a log ${what} is kept until a majority of the others keeps up with their leader`, () => {
    checkKept(suspect, overruled);
  });
}

function checkKept(suspect: boolean, overruled: boolean): void {
  const timers = new Timers();
  let nowMs = 0;
  let inSync: readonly number[] = [1];
  let told = 0;
  const image = {
    groupId: 7,
    isChanging: false,
    holders: [{ nodeId: 0 }, { nodeId: 1 }, { nodeId: 2 }],
    holderOf: () => ({ since: 0 }),
  };
  const partition = { image, log: { suspect, directory: "" }, replica: { leaderId: 1, overruled } };
  const lost = new LostReplicas({
    nodeId: 0,
    timers,
    nowMs: () => nowMs,
    events: { note() {} } as unknown as EventLog,
    partitions: () => [partition as unknown as Partition],
    uncutForMs: () => 0,
    inSyncOf: () => inSync,
    tell: () => told++,
  });
  const pass = (ms: number): void => {
    for (const endMs = nowMs + ms; nowMs < endMs; nowMs += 100) timers.run(nowMs);
  };
  pass(20_000);
  // What this node itself has does not count.
  inSync = [0, 1];
  pass(20_000);
  assert.equal(told, 0);
  inSync = [1, 2];
  pass(20_000);
  assert.notEqual(told, 0);
  lost.stop();
}

import { strict as assert } from "node:assert";
import { EventLog } from "../base/event_log.ts";
import { Timers } from "../io/timers.ts";
import type { Partition } from "../kafka/partition.ts";
import { LostReplicas } from "./lost_replicas.ts";

Deno.test("a damaged log is kept until a majority of the others keeps up with their leader", () => {
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
  const partition = { image, log: { suspect: true, directory: "" }, replica: { leaderId: 1 } };
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
});

import { strict as assert } from "node:assert";
import type { PartitionImage } from "./image.ts";
import { LeaderTable } from "./leaders.ts";

function partition(groupId: number, replicas: readonly number[]): PartitionImage {
  return { groupId, replicas } as unknown as PartitionImage;
}

Deno.test("the newest epoch counts, and who does not know its leader changes nothing", () => {
  const leaders = new LeaderTable();
  const on = partition(3, [1, 2]);
  assert.equal(leaders.leaderOf(on), -1);
  leaders.note(3, 2, 5);
  leaders.note(3, -1, 5);
  leaders.note(3, 1, 4);
  assert.deepEqual([leaders.leaderOf(on), leaders.epochOf(on)], [2, 5]);
  leaders.note(3, -1, 6);
  assert.deepEqual([leaders.leaderOf(on), leaders.epochOf(on)], [-1, 6]);
  leaders.note(3, 1, 6);
  assert.deepEqual([leaders.leaderOf(on), leaders.epochOf(on)], [1, 6]);
});

Deno.test("a leader that stops leading within its epoch is none any more", () => {
  const leaders = new LeaderTable(1);
  const on = partition(3, [1, 2]);
  leaders.note(3, 1, 5);
  leaders.note(3, -1, 5);
  assert.deepEqual([leaders.leaderOf(on), leaders.epochOf(on)], [-1, 5]);
  leaders.note(3, 2, 6);
  leaders.note(3, -1, 6);
  assert.equal(leaders.leaderOf(on), 2);
});

Deno.test("a partition on one node is led by nobody else, heard of or not", () => {
  const leaders = new LeaderTable();
  assert.equal(leaders.leaderOf(partition(70, [4])), 4);
  assert.equal(leaders.knownLeaderOf(70), -1);
  leaders.note(70, 4, 2);
  assert.equal(leaders.epochOf(partition(70, [4])), 2);
});

Deno.test("groups whose ids are far apart take memory for themselves only, and not without end", () => {
  const leaders = new LeaderTable();
  const before = Deno.memoryUsage().external;
  for (let groupId = 1; groupId < 2e9; groupId += 1e8) leaders.note(groupId, 2, 5);
  assert.equal(leaders.knownLeaderOf(1 + 1e8), 2);
  assert.equal(leaders.knownLeaderOf(2 + 1e8), -1);
  assert.ok(Deno.memoryUsage().external - before < 2 ** 20);
  for (let page = 0; page < 20_000; page++) leaders.note(page * 1024 + 1, 1, 1);
  assert.equal(leaders.knownLeaderOf(1 + 1024), 1);
  assert.equal(leaders.knownLeaderOf(19_999 * 1024 + 1), -1);
});

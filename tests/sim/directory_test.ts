import { strict as assert } from "node:assert";
import { newMetadataResponse } from "../../src/wire/generated/metadata_response.ts";
import type { MetadataResponse } from "../../src/wire/generated/metadata_response.ts";
import { Directory, UNKNOWN_NODE } from "./directory.ts";

const TOPIC = "1".repeat(32);

function metadata(
  leaders: readonly number[],
  controllerId: number,
  leaderEpoch = 1,
): MetadataResponse {
  const brokers = [1, 2].map((nodeId) => ({ nodeId, host: `h${nodeId}`, port: 9, rack: null }));
  const partitions = leaders.map((leaderId, partitionIndex) => ({
    leaderId,
    partitionIndex,
    leaderEpoch,
  }));
  const topics = [{ topicId: TOPIC, name: "t", partitions }];
  return { ...newMetadataResponse(), brokers, controllerId, topics } as unknown as MetadataResponse;
}

Deno.test("Directory follows what the last metadata says, and knows nobody without an address", () => {
  const directory = new Directory();
  assert.equal(directory.leaderOf(TOPIC, 0), UNKNOWN_NODE);
  directory.take(metadata([1, 2, -1, 7], 2));
  assert.deepEqual([0, 1, 2, 3].map((index) => directory.leaderOf(TOPIC, index)), [1, 2, -1, -1]);
  assert.equal(directory.controllerId, 2);
  assert.equal(directory.addressOf(2), "h2:9");
  directory.take(metadata([2], -1));
  assert.deepEqual([0, 1].map((index) => directory.leaderOf(TOPIC, index)), [2, -1]);
  assert.equal(directory.controllerId, UNKNOWN_NODE);
});

Deno.test("Directory does not believe in a leader of an earlier epoch", () => {
  const directory = new Directory();
  assert.equal(directory.epochOf(TOPIC, 0), -1);
  directory.take(metadata([1], 1, 6));
  directory.take(metadata([2], 1, 5));
  assert.equal(directory.leaderOf(TOPIC, 0), UNKNOWN_NODE);
  directory.forget();
  directory.take(metadata([2], 1, 7));
  assert.equal(directory.leaderOf(TOPIC, 0), 2);
  assert.equal(directory.epochOf(TOPIC, 0), 7);
});

Deno.test("Directory forgets leaders, coordinators and the controller after a refusal, not addresses", () => {
  const directory = new Directory();
  directory.take(metadata([1], 1));
  directory.place(5, "h5", 9);
  directory.noteCoordinator("g", 5);
  assert.equal(directory.coordinatorOf("g"), 5);
  directory.forget();
  assert.equal(directory.leaderOf(TOPIC, 0), UNKNOWN_NODE);
  assert.equal(directory.coordinatorOf("g"), UNKNOWN_NODE);
  assert.equal(directory.controllerId, UNKNOWN_NODE);
  assert.equal(directory.addressOf(5), "h5:9");
});

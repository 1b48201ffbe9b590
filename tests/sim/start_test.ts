/**
 * A node serves from its image of the cluster, whatever it leads: here its disk hangs before anything can be led
 * but the metadata, and before the node is registered again.
 */

import { strict as assert } from "node:assert";
import { CONTROLLER_GROUP_ID } from "../../src/cluster/records.ts";
import { ErrorCode } from "../../src/wire/errors.ts";
import {
  CREATE_TOPICS,
  INIT_PRODUCER_ID,
  METADATA,
  PRODUCE,
} from "../../src/wire/generated/apis.ts";
import { newInitProducerIdRequest } from "../../src/wire/generated/init_producer_id_request.ts";
import { newMetadataRequest } from "../../src/wire/generated/metadata_request.ts";
import type { MetadataResponse } from "../../src/wire/generated/metadata_response.ts";
import type { Api } from "../../src/wire/api.ts";
import { SimClient } from "./sim_client.ts";
import { SimNode } from "./sim_node.ts";
import { STEP_MS } from "./sim_world.ts";
import { produceRequest, SMALL_BATCH, topicRequest } from "./sim_requests.ts";

/** How long the disk hangs (virtual ms): the two steps that need a leader are waited for, 2 s each. */
const HANG_MS = 30_000;

function ask<Request, Response>(
  node: SimNode,
  client: SimClient,
  api: Api<Request, Response>,
  version: number,
  request: Request,
): Response {
  let answer: Response | undefined;
  client.send(api, version, request, (response) => answer = response);
  assert(node.run(() => (client.poll(), answer !== undefined)), `${api.name} is not answered`);
  return answer!;
}

function metadata(node: SimNode, client: SimClient): MetadataResponse {
  return ask(node, client, METADATA, 12, newMetadataRequest({ topics: null }));
}

Deno.test("a node whose disk hangs answers Metadata, and refuses what needs a leader until it has one", () => {
  const node = new SimNode({ seed: 11, disk: { latencyMs: { min: 0.05, max: 0.05 } } });
  assert(node.mount(1));
  const first = new SimClient(node.connect(0));
  assert.equal(
    ask(node, first, CREATE_TOPICS, 7, topicRequest("orders", 1)).topics[0]!.errorCode,
    0,
  );
  const before = metadata(node, first);
  assert.equal(before.topics[0]!.partitions[0]!.leaderId, 0);
  node.crash();

  const startedMs = node.nowMs;
  node.begin(1);
  // The write that opens the metadata's term is on its way; the next one is to lead everything else.
  assert(node.run(() => node.shards[0]!.steps.shard !== null));
  const slow = { kind: "slow", delayMs: HANG_MS } as const;
  node.disk.inject({ operation: "write", path: /journal-/, nth: 1, fault: slow });
  assert(node.run(() => node.serving), "the start waits for the disk");
  assert(node.nowMs < startedMs + HANG_MS / 2, `the start took ${node.nowMs - startedMs} ms`);

  const client = new SimClient(node.connect(0));
  const during = metadata(node, client);
  assert.deepEqual(during.brokers, before.brokers);
  assert.equal(during.clusterId, before.clusterId);
  const [topic] = during.topics;
  assert.equal(topic!.topicId, before.topics[0]!.topicId);
  // Nobody has said yet that he leads it: clients are sent to the preferred replica, without an epoch.
  assert.equal(topic!.partitions[0]!.leaderEpoch, -1);
  const produce = (): number => {
    const request = produceRequest("orders", 0, SMALL_BATCH);
    return ask(node, client, PRODUCE, 9, request).responses[0]!.partitionResponses[0]!.errorCode;
  };
  assert.equal(produce(), ErrorCode.NOT_LEADER_OR_FOLLOWER);
  assert(node.nowMs < startedMs + HANG_MS, "the disk did not hang");

  node.pass(HANG_MS);
  assert.equal(produce(), ErrorCode.NONE);
  const after = metadata(node, client).topics[0]!.partitions[0]!;
  assert(after.leaderEpoch > before.topics[0]!.partitions[0]!.leaderEpoch);
  assert(node.stop());
});

Deno.test("a node that its cluster does not know yet serves nobody, and says what it waits for", () => {
  const node = new SimNode({ seed: 11, disk: { latencyMs: { min: 0.05, max: 0.05 } } });
  const startedMs = node.nowMs;
  node.begin(2);
  // The metadata is led; the next write is the registration.
  assert(
    node.run(() => {
      const shard = node.shards[0]!.steps.shard;
      return shard?.partitions.byGroup(CONTROLLER_GROUP_ID)?.leading === true;
    }),
  );
  const slow = { kind: "slow", delayMs: HANG_MS } as const;
  node.disk.inject({ operation: "write", path: /journal-/, nth: 1, fault: slow });
  assert(
    !node.run(() => node.serving, (HANG_MS - 1_000) / STEP_MS),
    "a node without address serves",
  );
  const said = node.remarks.filter((each) =>
    each.includes("not written to the cluster's metadata")
  );
  assert(said.length >= 2 && said.length < 10, node.remarks.join());
  assert(node.run(() => node.serving));
  assert(node.nowMs >= startedMs + HANG_MS);
  const found = metadata(node, new SimClient(node.connect(1)));
  assert.equal(found.brokers.length, 1);
  assert.notEqual(found.clusterId, null);
  assert.equal(found.controllerId, found.brokers[0]!.nodeId);
});

/** A request's topics are made by several commands. */
const TOPICS = 200;

for (const shards of [1, 3]) {
  Deno.test(`topics are made in one wait where a partition has no leader, on ${shards} shards`, () => {
    const node = new SimNode({ seed: 12 });
    assert(node.mount(shards));
    const client = new SimClient(node.connect(0));
    // As on a full disk: none of this shard's partitions comes to have a leader.
    const stuck = node.shards.at(-1)!.shard.partitions;
    stuck.whenSettled = () => {};
    const topics = Array.from({ length: TOPICS }, (_, i) => topicRequest(`t${i}`, 1).topics[0]!);
    const startedMs = node.nowMs;
    const created = ask(node, client, CREATE_TOPICS, 7, { ...topicRequest("t", 1), topics });
    assert.equal(created.topics.filter(({ errorCode }) => errorCode === 0).length, TOPICS);
    const tookMs = node.nowMs - startedMs;
    assert(tookMs > 1_900 && tookMs < 3_000, `${tookMs} ms`);
    // What makes no partition waits for none.
    const id = newInitProducerIdRequest({ transactionalId: null });
    const beforeMs = node.nowMs;
    assert.equal(ask(node, client, INIT_PRODUCER_ID, 4, id).errorCode, 0);
    assert(node.nowMs - beforeMs < 100, `a producer's id took ${node.nowMs - beforeMs} ms`);
  });
}

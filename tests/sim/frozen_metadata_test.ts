/**
 * A metadata log that may lack commands: what is left of it is served, and nothing is decided on it. Then the device
 * gives the missing part back.
 */

import { strict as assert } from "node:assert";
import { CONTROLLER_GROUP_ID } from "../../src/cluster/records.ts";
import type { Api } from "../../src/wire/api.ts";
import { ErrorCode } from "../../src/wire/errors.ts";
import {
  CREATE_TOPICS,
  DELETE_TOPICS,
  FETCH,
  INIT_PRODUCER_ID,
  PRODUCE,
} from "../../src/wire/generated/apis.ts";
import {
  newFetchPartition,
  newFetchRequest,
  newFetchTopic,
} from "../../src/wire/generated/fetch_request.ts";
import { newInitProducerIdRequest } from "../../src/wire/generated/init_producer_id_request.ts";
import { takePicture } from "./disk_picture.ts";
import { SimClient } from "./sim_client.ts";
import { SimNode } from "./sim_node.ts";
import { produceRequest, SMALL_BATCH, topicRequest } from "./sim_requests.ts";

function call<Request, Response>(
  node: SimNode,
  api: Api<Request, Response>,
  version: number,
  request: Request,
): Response {
  const client = new SimClient(node.connect(0));
  let response: Response | null = null;
  client.send(api, version, request, (r) => response = r);
  node.run(() => (client.poll(), response !== null), 20_000);
  assert.ok(response !== null, `no answer to ${api.name}`);
  return response;
}

function produce(node: SimNode, topic: string, index: number): number {
  const response = call(node, PRODUCE, 9, produceRequest(topic, index, SMALL_BATCH));
  return response.responses[0]!.partitionResponses[0]!.errorCode;
}

function remove(node: SimNode, topic: string): { errorCode: number; errorMessage: string | null } {
  const request = { topics: [], topicNames: [topic], timeoutMs: 1000 };
  return call(node, DELETE_TOPICS, 5, request).responses[0]!;
}

/** How many bytes of a partition are served, or minus the error code. */
function served(node: SimNode, topic: string, partition: number): number {
  const request = newFetchRequest({
    maxWaitMs: 0,
    maxBytes: 1_000_000,
    sessionEpoch: -1,
    topics: [newFetchTopic({
      topic,
      partitions: [newFetchPartition({ partition, fetchOffset: 0, partitionMaxBytes: 1_000_000 })],
    })],
  });
  const answer = call(node, FETCH, 11, request).responses[0]!.partitions[0]!;
  return answer.errorCode === 0 ? answer.records?.length ?? 0 : -answer.errorCode;
}

Deno.test("a metadata log that may lack commands is served as it is, and loses nothing of what is back later", () => {
  const settings = { "log.retention.check.interval.ms": "100000" };
  let node = new SimNode({ seed: 3, settings });
  assert.ok(node.mount(2));
  const configs = [{ name: "retention.ms", value: "1" }];
  const orders = topicRequest("orders", 2);
  Object.assign(orders.topics[0]!, { configs });
  for (const topics of [orders, topicRequest("doomed", 2)]) {
    assert.equal(call(node, CREATE_TOPICS, 7, topics).topics[0]!.errorCode, 0);
  }
  assert.ok(node.stop());
  node.crash();
  // Clean behind it: what follows is in the journals alone.
  assert.ok(node.mount(2));
  const groupOf = (topic: string, index: number): number =>
    node.shards[0]!.shard.image.topicByName(topic)!.partitions[index]!.groupId;
  const even = groupOf("orders", 0) % 2;
  const odd = 1 - even;
  for (const index of [0, 1]) assert.equal(produce(node, "orders", index), 0);
  const whole = served(node, "orders", 0);
  const before = takePicture(node.disk).shards[0]!.blocks.map(({ lsn }) => lsn);
  assert.equal(remove(node, "doomed").errorCode, 0);
  node.pass(5);
  node.crash();
  const lost = takePicture(node.disk).shards[0]!.blocks.filter(({ lsn }) => !before.includes(lsn));
  for (const { path, block } of lost) node.disk.loseBlock(path, block);
  const disk = node.disk.fork();
  node = new SimNode({ seed: 4, settings: { "log.retention.check.interval.ms": "10" } });
  node.adopt(disk);
  for (let start = 0; start < 2; start++) {
    assert.ok(node.mount(2), node.refusal ?? "");
    assert.ok(node.report!.suspectGroups.includes(CONTROLLER_GROUP_ID));
    assert.ok(node.shards[0]!.shard.metadataReadOnly);
    assert.ok(node.remarks.some((each) => /nothing can be changed/.test(each)));
    const created = call(node, CREATE_TOPICS, 7, topicRequest("new", 1)).topics[0]!;
    assert.equal(created.errorCode, ErrorCode.KAFKA_STORAGE_ERROR);
    assert.match(created.errorMessage!, /--accept-loss/);
    assert.equal(remove(node, "orders").errorCode, ErrorCode.KAFKA_STORAGE_ERROR);
    const id = call(node, INIT_PRODUCER_ID, 4, newInitProducerIdRequest({ transactionalId: null }));
    assert.equal(id.errorCode, ErrorCode.COORDINATOR_NOT_AVAILABLE);
    // The deletion is not known, the logs are gone: they are not made anew.
    for (const index of [0, 1]) {
      if (node.logOf(groupOf("doomed", index)) !== undefined) continue;
      assert.equal(produce(node, "doomed", index), ErrorCode.NOT_LEADER_OR_FOLLOWER);
    }
    assert.equal(produce(node, "orders", odd), 0);
    assert.equal(produce(node, "orders", even), ErrorCode.KAFKA_STORAGE_ERROR);
    // Whether records may go because of their age is not known either.
    node.pass(100);
    for (const index of [0, 1]) assert.ok(served(node, "orders", index) >= whole, `${index}`);
    assert.ok(start === 1 || node.stop());
    node.crash();
  }
  node.adopt(node.disk.fork());
  const paths = new Set(lost.map(({ path }) => path));
  for (const path of paths) node.disk.giveBack(path);
  assert.ok(node.mount(2), node.refusal ?? "");
  assert.deepEqual(node.report!.suspectGroups, []);
  assert.equal(node.shards[0]!.shard.image.topicByName("doomed"), undefined);
  for (const index of [0, 1]) assert.equal(produce(node, "orders", index), 0);
  assert.equal(call(node, CREATE_TOPICS, 7, topicRequest("new", 1)).topics[0]!.errorCode, 0);
  assert.deepEqual(node.fatals, []);
});

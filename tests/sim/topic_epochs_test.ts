import { strict as assert } from "node:assert";
import {
  CREATE_TOPICS,
  DELETE_TOPICS,
  METADATA,
  OFFSET_FOR_LEADER_EPOCH,
  PRODUCE,
} from "../../src/wire/generated/apis.ts";
import type { Api } from "../../src/wire/api.ts";
import { newDeleteTopicsRequest } from "../../src/wire/generated/delete_topics_request.ts";
import { newMetadataRequest } from "../../src/wire/generated/metadata_request.ts";
import { newOffsetForLeaderEpochRequest } from "../../src/wire/generated/offset_for_leader_epoch_request.ts";
import { ZERO_UUID } from "../../src/wire/uuid.ts";
import { SimClient } from "./sim_client.ts";
import { SimNode } from "./sim_node.ts";
import { produceRequest, SMALL_BATCH, topicRequest } from "./sim_requests.ts";

const PARTITIONS = 3;

function call<Request, Response>(
  node: SimNode,
  api: Api<Request, Response>,
  version: number,
  request: Request,
): Response {
  const client = new SimClient(node.connect(node.shards.length - 1));
  let response: Response | null = null;
  client.send(api, version, request, (r) => response = r);
  assert(node.run(() => (client.poll(), response !== null)));
  return response!;
}

function create(node: SimNode, name: string): void {
  const { topics } = call(node, CREATE_TOPICS, 7, topicRequest(name, PARTITIONS));
  assert.equal(topics[0]!.errorCode, 0);
}

function remove(node: SimNode, name: string): void {
  const request = newDeleteTopicsRequest({ topicNames: [name], timeoutMs: 1000 });
  assert.equal(call(node, DELETE_TOPICS, 5, request).responses[0]!.errorCode, 0);
}

function epochs(node: SimNode, name: string): number[] {
  // A shard reports its leaderships to the others a turn later.
  node.pass(5);
  const request = newMetadataRequest({ topics: [{ name, topicId: ZERO_UUID }] });
  const { partitions } = call(node, METADATA, 9, request).topics[0]!;
  return partitions.sort((a, b) => a.partitionIndex - b.partitionIndex)
    .map(({ leaderEpoch }) => leaderEpoch);
}

Deno.test("a recreated topic has later epochs than its predecessor, whatever starts lie between", () => {
  for (let seed = 0; seed < 8; seed++) {
    const node = new SimNode({ seed });
    let shards = 1 + seed % 3;
    const restart = (): void => {
      if (node.shards.length > 0) node.crash();
      assert(node.mount(shards));
      shards = 1 + shards % 3;
    };
    restart();
    create(node, "t");
    for (let round = 0; round < 6; round++) {
      for (let i = node.random.nextBelow(3); i > 0; i--) restart();
      const before = epochs(node, "t");
      if (node.random.nextBelow(2) === 0) {
        // As many as there were are gone with it, and the numbers of their groups are not used again.
        create(node, "other");
        remove(node, "other");
      }
      remove(node, "t");
      for (let i = node.random.nextBelow(2); i > 0; i--) restart();
      create(node, "t");
      const after = epochs(node, "t");
      for (let partition = 0; partition < PARTITIONS; partition++) {
        const said = `seed ${seed} round ${round}: ${before} became ${after}`;
        assert(before[partition]! > 0 && after[partition]! > before[partition]!, said);
      }
    }
  }
});

Deno.test("a client with the predecessor's epoch learns that it ends where the new topic begins", () => {
  const node = new SimNode({ seed: 1 });
  assert(node.mount(2));
  create(node, "t");
  for (let i = 0; i < 3; i++) call(node, PRODUCE, 9, produceRequest("t", 0, SMALL_BATCH));
  const [old] = epochs(node, "t");
  remove(node, "t");
  create(node, "t");
  for (let i = 0; i < 3; i++) call(node, PRODUCE, 9, produceRequest("t", 0, SMALL_BATCH));
  const [current] = epochs(node, "t");
  // A consumer at offset 9 of the old one: the new one is as long, and yet the consumer must begin again.
  const request = newOffsetForLeaderEpochRequest({
    replicaId: -1,
    topics: [{
      topic: "t",
      partitions: [{ partition: 0, currentLeaderEpoch: current!, leaderEpoch: old! }],
    }],
  });
  const { topics } = call(node, OFFSET_FOR_LEADER_EPOCH, 4, request);
  const { errorCode, leaderEpoch, endOffset } = topics[0]!.partitions[0]!;
  assert.deepEqual([errorCode, leaderEpoch, endOffset], [0, old, 0]);
});

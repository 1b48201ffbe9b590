import { strict as assert } from "node:assert";
import { produceRequest, SMALL_BATCH, topicRequest } from "./sim_requests.ts";
import { CREATE_TOPICS, FETCH, PRODUCE } from "../../src/wire/generated/apis.ts";
import { newFetchRequest } from "../../src/wire/generated/fetch_request.ts";
import { SimClient } from "./sim_client.ts";
import { SimNode } from "./sim_node.ts";

for (const shards of [1, 3]) {
  Deno.test(`SimNode with ${shards} shards takes records and gives them back, over a power cut`, () => {
    const node = new SimNode({ seed: 7 });
    assert(node.mount(shards));
    const client = new SimClient(node.connect(shards - 1));
    let created = -1;
    client.send(CREATE_TOPICS, 7, topicRequest("orders", 4), (response) => {
      created = response.topics[0]!.errorCode;
    });
    assert(node.run(() => (client.poll(), created >= 0)));
    assert.equal(created, 0);

    let acknowledged = 0;
    for (let partition = 0; partition < 4; partition++) {
      client.send(PRODUCE, 9, produceRequest("orders", partition, SMALL_BATCH), (r) => {
        assert.equal(r.responses[0]!.partitionResponses[0]!.errorCode, 0);
        acknowledged++;
      });
    }
    assert(node.run(() => (client.poll(), acknowledged === 4)));

    node.crash();
    assert(node.mount(shards === 1 ? 2 : 1));
    const second = new SimClient(node.connect(0));
    const fetched: number[] = [];
    second.send(
      FETCH,
      12,
      newFetchRequest({
        maxWaitMs: 100,
        minBytes: 1,
        maxBytes: 1_000_000,
        topics: [{
          topic: "orders",
          topicId: "0".repeat(32),
          partitions: [0, 1, 2, 3].map((partition) => ({
            partition,
            currentLeaderEpoch: -1,
            fetchOffset: 0,
            lastFetchedEpoch: -1,
            logStartOffset: -1,
            partitionMaxBytes: 100_000,
            replicaDirectoryId: "0".repeat(32),
            highWatermark: 0,
          })),
        }],
      }),
      (response) => {
        for (const { errorCode, records } of response.responses[0]!.partitions) {
          assert.equal(errorCode, 0);
          fetched.push(records!.length);
        }
      },
    );
    assert(node.run(() => (second.poll(), fetched.length > 0)));
    assert.deepEqual(fetched, new Array(4).fill(SMALL_BATCH.length));
    assert.deepEqual(node.fatals, []);
    assert.deepEqual(node.remarks, []);
    assert(node.stop());
  });
}

/**
 * Clients that ask much and take nothing, and batches that would be huge once they are opened: the
 * broker's memory stays in its budgets, and a client beside them is served.
 */

import { strict as assert } from "node:assert";
import { compress } from "../../src/bytes/compression.ts";
import { CREATE_TOPICS, METADATA, PRODUCE } from "../../src/wire/generated/apis.ts";
import { ErrorCode } from "../../src/wire/errors.ts";
import { newMetadataRequest } from "../../src/wire/generated/metadata_request.ts";
import { Compression } from "../../src/wire/record_batch.ts";
import { RecordBatchBuilder } from "../../src/wire/record_batch_builder.ts";
import { SimClient } from "../sim/sim_client.ts";
import { SimNode } from "../sim/sim_node.ts";
import { produceRequest, SMALL_BATCH, topicRequest } from "../sim/sim_requests.ts";

const FLOOD = 3_000;

function startNode(): { readonly node: SimNode; readonly healthy: SimClient } {
  const node = new SimNode({ seed: 11 });
  assert(node.mount(2));
  const healthy = new SimClient(node.connect(1));
  let created = -1;
  healthy.send(CREATE_TOPICS, 7, topicRequest("flooded", 2), (response) => {
    created = response.topics[0]!.errorCode;
  });
  assert(node.run(() => (healthy.poll(), created >= 0)));
  assert.equal(created, 0);
  return { node, healthy };
}

function serves(node: SimNode, client: SimClient): void {
  let offset = -1;
  client.send(PRODUCE, 9, produceRequest("flooded", 1, SMALL_BATCH), (response) => {
    const { errorCode, baseOffset } = response.responses[0]!.partitionResponses[0]!;
    assert.equal(errorCode, 0);
    offset = baseOffset;
  });
  assert(node.run(() => (client.poll(), offset >= 0), 4_000), "a healthy client was not served");
}

Deno.test("a flood of requests whose responses are never taken stays in the budgets", () => {
  const { node, healthy } = startNode();
  const deaf = [0, 1].map((shard) => new SimClient(node.connect(shard)));
  let answered = 0;
  for (const client of deaf) {
    client.end.stalled = true;
    for (let i = 0; i < FLOOD; i++) {
      if (i % 3 === 0) {
        client.send(METADATA, 12, newMetadataRequest({ topics: null }), () => answered++);
      } else {
        client.send(PRODUCE, 9, produceRequest("flooded", 0, SMALL_BATCH), () => answered++);
      }
    }
  }
  for (let i = 0; i < 20; i++) {
    node.pass(50);
    serves(node, healthy);
    for (const { blocks } of node.shards) {
      const { waitingWindows, begunFrames, smallFrames, largeFrames, responses } = blocks;
      for (const budget of [waitingWindows, begunFrames, smallFrames, largeFrames, responses]) {
        assert(budget.used <= budget.limit, `${budget.name} beyond its limit`);
      }
    }
  }
  assert.equal(answered, 0);
  for (const client of deaf) assert(client.end.pendingBytes > 0, "who takes nothing is not read");

  for (const client of deaf) client.end.stalled = false;
  const all = node.run(() => {
    for (const client of deaf) client.poll();
    return answered === deaf.length * FLOOD;
  });
  assert(all, "every request of the flood is answered in the end, in order");
  assert.deepEqual(node.fatals, []);
});

Deno.test("a compression bomb is refused, and costs nobody else anything", () => {
  const { node, healthy } = startNode();
  const builder = new RecordBatchBuilder();
  const value = new Uint8Array(64 * 2 ** 20);
  builder.add({ key: null, value, timestamp: 1_700_000_000_000 });
  const bomb = builder.build({
    compression: Compression.GZIP,
    compress: (records) => compress(Compression.GZIP, records),
  });
  assert(bomb.length < 100_000, "64 MiB in less than 100 kB");
  const bomber = new SimClient(node.connect(0));
  let error = -1;
  bomber.send(PRODUCE, 9, produceRequest("flooded", 0, bomb), (response) => {
    error = response.responses[0]!.partitionResponses[0]!.errorCode;
  });
  serves(node, healthy);
  assert(node.run(() => (bomber.poll(), error >= 0)));
  assert.equal(error, ErrorCode.MESSAGE_TOO_LARGE);
  serves(node, healthy);
  assert.deepEqual(node.fatals, []);
});

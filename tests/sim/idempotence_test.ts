import { strict as assert } from "node:assert";
import { CREATE_TOPICS, PRODUCE } from "../../src/wire/generated/apis.ts";
import type { Api } from "../../src/wire/api.ts";
import {
  newCreatableTopic,
  newCreateTopicsRequest,
} from "../../src/wire/generated/create_topics_request.ts";
import { RecordBatchBuilder } from "../../src/wire/record_batch_builder.ts";
import { SimClient } from "./sim_client.ts";
import { SimNode } from "./sim_node.ts";
import { produceRequest } from "./sim_requests.ts";

const MINUTE_MS = 60_000;
/** No producer id that this cluster ever gave out. */
const FOREIGN_ID = 4_711_000_000;
/** Of records from long ago, as a mirrored topic has them. */
const LONG_AGO_MS = 1000;

interface Answer {
  readonly errorCode: number;
  readonly baseOffset: number;
  readonly logAppendTimeMs: number;
}

function call<Request, Response>(
  node: SimNode,
  api: Api<Request, Response>,
  version: number,
  request: Request,
): Response {
  const client = new SimClient(node.connect(0));
  let response: Response | null = null;
  client.send(api, version, request, (r) => response = r);
  assert(node.run(() => (client.poll(), response !== null)));
  return response!;
}

function create(node: SimNode, name: string, configs: Readonly<Record<string, string>>): void {
  const topic = newCreatableTopic({
    name,
    numPartitions: 1,
    replicationFactor: 1,
    configs: Object.entries(configs).map(([name, value]) => ({ name, value })),
  });
  const request = newCreateTopicsRequest({ topics: [topic], timeoutMs: 1000 });
  assert.equal(call(node, CREATE_TOPICS, 7, request).topics[0]!.errorCode, 0);
}

function produce(node: SimNode, topic: string, baseSequence: number): Answer {
  const builder = new RecordBatchBuilder();
  for (let i = 0; i < 3; i++) {
    builder.add({ key: null, value: new Uint8Array([i]), timestamp: LONG_AGO_MS + i });
  }
  const options = { producerId: FOREIGN_ID, producerEpoch: 0, baseSequence };
  const request = produceRequest(topic, 0, builder.build(options));
  const answer = call(node, PRODUCE, 9, request).responses[0]!.partitionResponses[0]!;
  assert.equal(answer.errorCode, 0);
  return answer;
}

Deno.test("a duplicate's answer repeats offset and append time, also over starts", () => {
  const node = new SimNode({ seed: 5 });
  assert(node.mount(1));
  create(node, "stamped", { "message.timestamp.type": "LogAppendTime" });
  const first = produce(node, "stamped", 0);
  assert.ok(first.logAppendTimeMs > LONG_AGO_MS);
  node.jump(MINUTE_MS);
  const second = produce(node, "stamped", 3);
  assert.ok(second.logAppendTimeMs >= first.logAppendTimeMs + MINUTE_MS);
  const repeats = (): void => {
    node.jump(MINUTE_MS);
    for (const [sequence, original] of [[0, first], [3, second]] as const) {
      const again = produce(node, "stamped", sequence);
      assert.equal(again.baseOffset, original.baseOffset);
      assert.equal(again.logAppendTimeMs, original.logAppendTimeMs);
    }
  };
  repeats();
  // From the journal, and from a checkpoint.
  node.crash();
  assert(node.mount(2));
  repeats();
  assert(node.stop());
  node.crash();
  assert(node.mount(1));
  repeats();
  assert.equal(produce(node, "stamped", 6).baseOffset, 6);
});

Deno.test("a producer of old records keeps its idempotence as long as the broker hears of it", () => {
  const settings = {
    "producer.id.expiration.ms": String(10 * MINUTE_MS),
    "producer.id.expiration.check.interval.ms": "1000",
  };
  const node = new SimNode({ seed: 6, settings });
  assert(node.mount(1));
  create(node, "mirrored", {});
  assert.equal(produce(node, "mirrored", 0).baseOffset, 0);
  const wait = (minutes: number): void => {
    node.jump(minutes * MINUTE_MS);
    node.pass(50);
  };
  wait(9);
  assert.equal(produce(node, "mirrored", 0).baseOffset, 0);
  wait(9);
  assert.equal(produce(node, "mirrored", 3).baseOffset, 3);
  wait(9);
  assert.equal(produce(node, "mirrored", 3).baseOffset, 3);
  // A start does not make it longer silent than it was, nor forgotten.
  node.crash();
  assert(node.mount(2));
  wait(9);
  assert.equal(produce(node, "mirrored", 3).baseOffset, 3);
  assert(node.stop());
  node.crash();
  assert(node.mount(1));
  wait(9);
  assert.equal(produce(node, "mirrored", 3).baseOffset, 3);
  wait(11);
  // Forgotten: it may begin anywhere.
  assert.equal(produce(node, "mirrored", 3).baseOffset, 6);
});

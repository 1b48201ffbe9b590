/**
 * Sizes of produce requests: what is too large is refused at once, whatever made it so, and a request
 * whose batches are each small enough is served however large it is as a whole.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { ErrorCode } from "../../src/wire/errors.ts";
import {
  newCreatableTopic,
  newCreateTopicsRequest,
} from "../../src/wire/generated/create_topics_request.ts";
import { CREATE_TOPICS, PRODUCE } from "../../src/wire/generated/apis.ts";
import {
  newPartitionProduceData,
  newProduceRequest,
  newTopicProduceData,
} from "../../src/wire/generated/produce_request.ts";
import { RecordBatchBuilder } from "../../src/wire/record_batch_builder.ts";
import { Connection } from "../../src/cli/client/connection.ts";
import { Broker } from "../harness/broker.ts";

/** The last version of Produce in which topics go by name. */
const PRODUCE_NAMES = 12;
const TIMEOUT_MS = 30_000;
const BATCH_SIZE_MAX = 14_000_000;

function batch(valueBytes: number): Uint8Array {
  const builder = new RecordBatchBuilder();
  builder.add({ key: null, value: new Uint8Array(valueBytes), timestamp: Date.now() });
  return builder.build();
}

async function produce(connection: Connection, sizes: readonly number[]): Promise<number[]> {
  const request = newProduceRequest({
    acks: -1,
    timeoutMs: TIMEOUT_MS,
    topicData: [newTopicProduceData({
      name: "sizes",
      partitionData: sizes.map((size, index) =>
        newPartitionProduceData({ index, records: batch(size) })
      ),
    })],
  });
  const response = await connection.call(PRODUCE, request, { maxVersion: PRODUCE_NAMES });
  return response.responses.flatMap((topic) => topic.partitionResponses)
    .sort((a, b) => a.index - b.index)
    .map((partition) => partition.errorCode);
}

Deno.test("a produce request larger than a journal write is served or refused, never left waiting", async () => {
  await using broker = await Broker.start({ cores: 2 });
  const [host, port] = broker.kafka.split(":");
  const address = { host: host!, port: Number(port) };
  const connection = await Connection.open(address, { timeoutMs: TIMEOUT_MS });
  try {
    const created = await connection.call(
      CREATE_TOPICS,
      newCreateTopicsRequest({
        timeoutMs: TIMEOUT_MS,
        topics: [newCreatableTopic({
          name: "sizes",
          numPartitions: 10,
          replicationFactor: 1,
          configs: [{ name: "max.message.bytes", value: String(BATCH_SIZE_MAX) }],
        })],
      }),
    );
    assert.equal(created.topics[0]!.errorCode, ErrorCode.NONE);
    // Ten batches of 1 MB: none is large, together they are more than one journal write takes.
    const many = new Array<number>(10).fill(1_000_000);
    assert.deepEqual(await produce(connection, many), many.map(() => ErrorCode.NONE));
    // Larger than any record of the journal: it goes straight to its segment.
    assert.deepEqual(await produce(connection, [BATCH_SIZE_MAX - 1_000_000]), [ErrorCode.NONE]);
    // Larger than the topic allows.
    const tooLarge = [ErrorCode.MESSAGE_TOO_LARGE];
    assert.deepEqual(await produce(connection, [BATCH_SIZE_MAX + 1_000_000]), tooLarge);
    // The connection and its shard go on.
    assert.deepEqual(await produce(connection, [100, 200]), [ErrorCode.NONE, ErrorCode.NONE]);
  } finally {
    connection.close();
  }
});

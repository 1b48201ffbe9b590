/**
 * Requests that simulations send.
 *
 * @module
 */

import {
  type CreateTopicsRequest,
  newCreatableTopic,
  newCreateTopicsRequest,
} from "../../src/wire/generated/create_topics_request.ts";
import {
  newProduceRequest,
  type ProduceRequest,
} from "../../src/wire/generated/produce_request.ts";
import { RecordBatchBuilder } from "../../src/wire/record_batch_builder.ts";
import { ZERO_UUID } from "../../src/wire/uuid.ts";

export function topicRequest(
  name: string,
  numPartitions: number,
  replicationFactor = 1,
): CreateTopicsRequest {
  const topic = newCreatableTopic({ name, numPartitions, replicationFactor });
  return newCreateTopicsRequest({ topics: [topic], timeoutMs: 10_000 });
}

/** One batch for one partition, acks=all. */
export function produceRequest(
  name: string,
  index: number,
  records: Uint8Array,
  acks = -1,
): ProduceRequest {
  return newProduceRequest({
    acks,
    timeoutMs: 10_000,
    topicData: [{ name, topicId: ZERO_UUID, partitionData: [{ index, records }] }],
  });
}

/** A batch of three small records, without a producer id. */
export const SMALL_BATCH: Uint8Array = smallBatch();

function smallBatch(): Uint8Array {
  const builder = new RecordBatchBuilder();
  const encoder = new TextEncoder();
  for (let i = 0; i < 3; i++) {
    const timestamp = 1_700_000_000_000 + i;
    builder.add({ key: encoder.encode(`k${i}`), value: encoder.encode(`value ${i}`), timestamp });
  }
  return builder.build();
}

/**
 * Sends batches of every kind to a broker, whichever it is, and says what it answered and stored.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { Connection } from "../../../src/cli/client/connection.ts";
import {
  newCreatableTopic,
  newCreateTopicsRequest,
} from "../../../src/wire/generated/create_topics_request.ts";
import {
  newFetchPartition,
  newFetchRequest,
  newFetchTopic,
} from "../../../src/wire/generated/fetch_request.ts";
import { newProduceRequest } from "../../../src/wire/generated/produce_request.ts";
import { CREATE_TOPICS, FETCH, PRODUCE } from "../../../src/wire/generated/apis.ts";
import {
  batchAttributes,
  batchMaxTimestamp,
  LOG_APPEND_TIME_FLAG,
} from "../../../src/wire/record_batch.ts";
import { ErrorCode, errorInfo } from "../../../src/wire/errors.ts";
import { ZERO_UUID } from "../../../src/wire/uuid.ts";
import { BASE_MS, BATCH_KINDS, type BatchKind } from "./batch_kinds.ts";

/** The last versions in which topics go by name. */
const NAMES = 12;
const TIMEOUT_MS = 30_000;
const HOUR_MS = 3_600_000;

/** What came of one batch. */
export interface Verdict {
  /** `INVALID_TIMESTAMP, records 0 1`, or `NONE, stored +1000`: the max timestamp after {@linkcode BASE_MS}. */
  readonly answer: string;
  readonly message: string | null;
  readonly recordMessages: readonly (string | null)[];
}

const TOPICS: Readonly<Record<BatchKind["topic"], Readonly<Record<string, string>>>> = {
  plain: {},
  compacted: { "cleanup.policy": "compact" },
  bounded: {
    "message.timestamp.before.max.ms": String(HOUR_MS),
    "message.timestamp.after.max.ms": String(HOUR_MS),
  },
  stamped: { "message.timestamp.type": "LogAppendTime" },
};

export async function probe(kafka: string): Promise<Map<string, Verdict>> {
  const [host, port] = kafka.split(":");
  const connection = await Connection.open({ host: host!, port: Number(port) }, {
    timeoutMs: TIMEOUT_MS,
  });
  try {
    const created = await connection.call(
      CREATE_TOPICS,
      newCreateTopicsRequest({
        timeoutMs: TIMEOUT_MS,
        topics: Object.entries(TOPICS).map(([name, configs]) =>
          newCreatableTopic({
            name,
            numPartitions: 1,
            replicationFactor: 1,
            configs: Object.entries(configs).map(([name, value]) => ({ name, value })),
          })
        ),
      }),
    );
    for (const topic of created.topics) assert.equal(topic.errorCode, 0, topic.errorMessage ?? "");
    const verdicts = new Map<string, Verdict>();
    for (const kind of BATCH_KINDS) verdicts.set(kind.name, await shoot(connection, kind));
    return verdicts;
  } finally {
    connection.close();
  }
}

async function shoot(connection: Connection, kind: BatchKind): Promise<Verdict> {
  const request = newProduceRequest({
    acks: -1,
    timeoutMs: TIMEOUT_MS,
    topicData: [{
      name: kind.topic,
      topicId: ZERO_UUID,
      partitionData: [{ index: 0, records: kind.make() }],
    }],
  });
  let answer;
  for (let i = 0; i < 100; i++) {
    const response = await connection.call(PRODUCE, request, { maxVersion: NAMES });
    answer = response.responses[0]!.partitionResponses[0]!;
    const early = answer.errorCode === ErrorCode.UNKNOWN_TOPIC_OR_PARTITION ||
      answer.errorCode === ErrorCode.NOT_LEADER_OR_FOLLOWER;
    if (!early) break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const { errorCode, errorMessage, recordErrors, baseOffset } = answer!;
  const indexes = recordErrors.map((each) => ` ${each.batchIndex}`).join("");
  return {
    answer: errorInfo(errorCode).name +
      (errorCode === 0
        ? `, stored ${await storedAt(connection, kind.topic, baseOffset)}`
        : indexes === ""
        ? ""
        : `, records${indexes}`),
    message: errorMessage,
    recordMessages: recordErrors.map((each) => each.batchIndexErrorMessage),
  };
}

/** The max timestamp of the batch at `offset`, in words. */
async function storedAt(
  connection: Connection,
  topic: string,
  offset: number,
): Promise<string> {
  const request = newFetchRequest({
    maxWaitMs: 1000,
    minBytes: 1,
    maxBytes: 1 << 20,
    topics: [newFetchTopic({
      topic,
      partitions: [newFetchPartition({
        partition: 0,
        fetchOffset: offset,
        partitionMaxBytes: 1 << 20,
      })],
    })],
  });
  const response = await connection.call(FETCH, request, { maxVersion: NAMES });
  const { records } = response.responses[0]!.partitions[0]!;
  const view = new DataView(records!.buffer, records!.byteOffset, records!.byteLength);
  if (batchAttributes(view, 0) & LOG_APPEND_TIME_FLAG) return "stamped";
  const maxTimestamp = batchMaxTimestamp(view, 0);
  return maxTimestamp === -1 ? "without time" : `+${maxTimestamp - BASE_MS}`;
}

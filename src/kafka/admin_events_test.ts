import { strict as assert } from "node:assert";
import { ErrorCode } from "../wire/errors.ts";
import {
  CREATE_TOPICS,
  DELETE_RECORDS,
  DELETE_TOPICS,
  INCREMENTAL_ALTER_CONFIGS,
  METADATA,
} from "../wire/generated/apis.ts";
import {
  newCreatableTopicResult,
  newCreateTopicsResponse,
} from "../wire/generated/create_topics_response.ts";
import { newCreateTopicsRequest } from "../wire/generated/create_topics_request.ts";
import { adminEvents } from "./admin_events.ts";

const ID = "0123456789abcdef0123456789abcdef";

Deno.test("changes are logged, refused and validated-only ones are not", () => {
  const response = newCreateTopicsResponse({
    topics: [
      newCreatableTopicResult({ name: "orders", topicId: ID, numPartitions: 3 }),
      newCreatableTopicResult({ name: "b@d", errorCode: ErrorCode.INVALID_TOPIC_EXCEPTION }),
    ],
  });
  assert.deepEqual(adminEvents(CREATE_TOPICS.key, newCreateTopicsRequest(), response), [{
    message: "Topic created",
    fields: { topic: "orders", id: "ASNFZ4mrze8BI0VniavN7w", partitions: 3 },
  }]);
  const tried = newCreateTopicsRequest({ validateOnly: true });
  assert.deepEqual(adminEvents(CREATE_TOPICS.key, tried, response), []);
  assert.deepEqual(adminEvents(METADATA.key, {}, {}), []);
});

Deno.test("settings are named without their values; deleted records by partition", () => {
  const resource = { resourceType: 2, resourceName: "orders" };
  const configs = [{ name: "retention.ms", value: "5", configOperation: 0 }];
  const altered = adminEvents(
    INCREMENTAL_ALTER_CONFIGS.key,
    { resources: [{ ...resource, configs }], validateOnly: false },
    { responses: [{ ...resource, errorCode: 0 }] },
  );
  assert.deepEqual(altered, [{
    message: "Topic altered",
    fields: { topic: "orders", settings: "retention.ms" },
  }]);
  const partitions = [{ partitionIndex: 1, lowWatermark: 7, errorCode: 0 }];
  assert.deepEqual(
    adminEvents(DELETE_RECORDS.key, {}, { topics: [{ name: "orders", partitions }] }),
    [{ message: "Records deleted", fields: { partition: "orders-1", newStart: 7 } }],
  );
  const responses = [{ name: "orders", topicId: ID, errorCode: 0 }];
  assert.deepEqual(adminEvents(DELETE_TOPICS.key, {}, { responses })[0]!.message, "Topic deleted");
});

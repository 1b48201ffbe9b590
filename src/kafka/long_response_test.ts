import { strict as assert } from "node:assert";
import { runTask, type Task } from "../io/task.ts";
import { newDescribeConfigsResourceResult } from "../wire/generated/describe_configs_response.ts";
import { newDescribeConfigsResponse } from "../wire/generated/describe_configs_response.ts";
import { newDescribeConfigsResult } from "../wire/generated/describe_configs_response.ts";
import {
  newCreatableTopicResult,
  newCreateTopicsResponse,
} from "../wire/generated/create_topics_response.ts";
import {
  newMetadataResponse,
  newMetadataResponseBroker,
  newMetadataResponsePartition,
  newMetadataResponseTopic,
} from "../wire/generated/metadata_response.ts";
import { CREATE_TOPICS_HANDLER } from "./handlers/create_topics.ts";
import { DESCRIBE_CONFIGS_HANDLER } from "./handlers/describe_configs.ts";
import { METADATA_HANDLER } from "./handlers/metadata.ts";
import { encodeLong, encodeWhole, TURN_BYTES } from "./long_response.ts";
import type { AnyHandler } from "./router.ts";

function encoded(handler: AnyHandler, version: number, response: unknown) {
  const got: { bytes: Uint8Array | null; turns: number } = { bytes: null, turns: 0 };
  // deno-lint-ignore require-yield -- the next turn is now.
  const nextTurn = function* (): Task<void> {
    got.turns++;
  };
  const task = encodeLong(handler.api, version, response, handler.rows!, nextTurn);
  runTask(task, (bytes) => got.bytes = bytes);
  return got;
}

const names = (count: number): string[] => Array.from({ length: count }, (_, i) => `topic-${i}`);

const RESPONSES: [AnyHandler, (count: number) => unknown][] = [
  [CREATE_TOPICS_HANDLER, (count) =>
    newCreateTopicsResponse({
      throttleTimeMs: 7,
      topics: names(count).map((name, i) =>
        newCreatableTopicResult({ name, errorCode: i % 3, errorMessage: i % 2 ? null : "no" })
      ),
    })],
  [DESCRIBE_CONFIGS_HANDLER, (count) =>
    newDescribeConfigsResponse({
      throttleTimeMs: 7,
      results: names(count).map((resourceName, i) =>
        newDescribeConfigsResult({
          resourceName,
          resourceType: 2,
          errorMessage: "",
          configs: names(i % 4).map((name) =>
            newDescribeConfigsResourceResult({ name, value: "v".repeat(i) })
          ),
        })
      ),
    })],
  [METADATA_HANDLER, (count) =>
    newMetadataResponse({
      throttleTimeMs: 7,
      clusterId: "c",
      controllerId: 3,
      brokers: names(3).map((host, nodeId) => newMetadataResponseBroker({ host, nodeId, port: 9 })),
      topics: names(count).map((name, i) =>
        newMetadataResponseTopic({
          name,
          partitions: [newMetadataResponsePartition({ partitionIndex: i, replicaNodes: [1, 2] })],
        })
      ),
    })],
];

for (const [handler, responseOf] of RESPONSES) {
  const { api, minVersion, maxVersion } = handler;

  Deno.test(`${api.name}: what is encoded over several turns is what is encoded at once`, () => {
    for (let version = minVersion; version <= maxVersion; version++) {
      for (const count of [0, 1, 15, 16, 127, 128, 300]) {
        const response = responseOf(count);
        const whole = encodeWhole(api, version, response)!;
        const { bytes, turns } = encoded(handler, version, response);
        assert.deepEqual(bytes, whole, `version ${version}, ${count}`);
        assert.ok(turns <= whole.length / TURN_BYTES + count / 256);
      }
    }
  });
}

Deno.test("a response that is too large is given up when that shows, and takes many turns before", () => {
  const [handler, responseOf] = RESPONSES[1]!;
  const row = handler.rows!.of(responseOf(301)).at(-1)!;
  const large = { ...(row as object), errorMessage: "x".repeat(4000) };
  const response = handler.rows!.with(responseOf(0), new Array(40_000).fill(large));
  const { bytes, turns } = encoded(handler, 4, response);
  assert.equal(bytes, null);
  assert.ok(turns > 1000, `${turns}`);
});

import { strict as assert } from "node:assert";
import process from "node:process";
import { ResourceType } from "../../cluster/config_table.ts";
import { runTask } from "../../io/task.ts";
import {
  newDescribeConfigsRequest,
  newDescribeConfigsResource,
} from "../../wire/generated/describe_configs_request.ts";
import type { DescribeConfigsResponse } from "../../wire/generated/describe_configs_response.ts";
import { ErrorCode } from "../../wire/errors.ts";
import {
  newOffsetCommitRequest,
  newOffsetCommitRequestPartition,
  newOffsetCommitRequestTopic,
} from "../../wire/generated/offset_commit_request.ts";
import type { OffsetCommitResponse } from "../../wire/generated/offset_commit_response.ts";
import { newDescribeGroupsRequest } from "../../wire/generated/describe_groups_request.ts";
import type { DescribeGroupsResponse } from "../../wire/generated/describe_groups_response.ts";
import {
  newOffsetFetchRequest,
  newOffsetFetchRequestGroup,
} from "../../wire/generated/offset_fetch_request.ts";
import {
  newOffsetFetchResponse,
  newOffsetFetchResponseGroup,
  type OffsetFetchResponse,
} from "../../wire/generated/offset_fetch_response.ts";
import { ZERO_UUID } from "../../wire/uuid.ts";
import type { Handler } from "../handler.ts";
import { mergeTopics } from "../partition_requests.ts";
import { TestBroker } from "../test_services.ts";
import { DESCRIBE_CONFIGS_HANDLER } from "./describe_configs.ts";
import { DESCRIBE_GROUPS_HANDLER } from "./describe_groups.ts";
import { DESCRIBE_PRODUCERS_HANDLER } from "./describe_producers.ts";
import { DESCRIBE_REPLICAS_HANDLER } from "./describe_replicas.ts";
import { OFFSET_COMMIT_HANDLER } from "./offset_commit.ts";
import { OFFSET_FETCH_HANDLER } from "./offset_fetch.ts";

const TIMES = 50_000;
/** As many elements as a request may have. */
const MANY = 100_000;
/** What grows with the square of that takes several times as long (ms). */
const SLOW_MS = 3_000;

/** The objects of a response, as the handler gives them. */
function objectsOf<Request, Response>(
  broker: TestBroker,
  handler: Handler<Request, Response>,
  version: number,
  request: Request,
): Response {
  const answers: Response[] = [];
  const context = {
    version,
    clientId: "t",
    clientHost: "/127.0.0.1",
    nowMs: 0,
    wallMs: 0,
    services: broker.services(0),
  };
  runTask(handler.handle(context, request), (response) => answers.push(response));
  return answers[0]!;
}

Deno.test("what a request asks many times is made once", () => {
  const broker = new TestBroker();
  broker.addTopic("t", 1);
  const resource = newDescribeConfigsResource({
    resourceType: ResourceType.TOPIC,
    resourceName: "t",
    configurationKeys: null,
  });
  const configs: DescribeConfigsResponse = objectsOf(
    broker,
    DESCRIBE_CONFIGS_HANDLER,
    4,
    newDescribeConfigsRequest({
      resources: new Array(TIMES).fill(resource),
      includeSynonyms: true,
    }),
  );
  assert.equal(configs.results.length, TIMES);
  assert(configs.results[0]!.configs.length > 20);
  assert(configs.results.every((result) => result.configs === configs.results[0]!.configs));

  const groups: DescribeGroupsResponse = objectsOf(
    broker,
    DESCRIBE_GROUPS_HANDLER,
    5,
    newDescribeGroupsRequest({ groups: new Array(TIMES).fill("g") }),
  );
  assert.equal(groups.groups.length, TIMES);
  assert(groups.groups.every((group) => group === groups.groups[0]));

  const group = newOffsetFetchRequestGroup({ groupId: "g", topics: null });
  const offsets: OffsetFetchResponse = objectsOf(
    broker,
    OFFSET_FETCH_HANDLER,
    8,
    newOffsetFetchRequest({ groups: new Array(TIMES).fill(group) }),
  );
  assert.equal(offsets.groups.length, TIMES);
  assert(offsets.groups.every((each) => each === offsets.groups[0]));

  const indexes = new Array(TIMES).fill(0);
  const producers = objectsOf(broker, DESCRIBE_PRODUCERS_HANDLER, 0, {
    topics: [{ name: "t", partitionIndexes: indexes }, { name: "t", partitionIndexes: [0] }],
  });
  const replicas = objectsOf(broker, DESCRIBE_REPLICAS_HANDLER, 0, {
    topics: [{ name: "u", partitions: indexes }, { name: "u", partitions: [0] }],
  });
  for (const { topics } of [producers, replicas]) {
    const all: unknown[] = topics.flatMap(({ partitions }) => [...partitions]);
    assert.equal(all.length, TIMES + 1);
    assert(all.every((each) => each === all[0]));
  }
});

/** What it takes to do something, of processors' time (ms): others may want them, too. */
function timeOf(act: () => void): number {
  const before = process.cpuUsage();
  act();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

Deno.test("answers to what was asked many times are put together in time that grows with their number", () => {
  const indexes = {
    of: (item: { readonly index: number }) => item.index,
    in: (item: { readonly index: number }) => item.index,
  };
  const partitions = Array.from({ length: MANY }, () => ({ index: 0 }));
  const topics = [{ name: "t", partitions }];
  assert(timeOf(() => assert.deepEqual(mergeTopics(topics, topics, indexes), topics)) < SLOW_MS);

  const groups = Array.from({ length: MANY }, () => newOffsetFetchRequestGroup({ groupId: "g" }));
  const answers = groups.map(() => newOffsetFetchResponseGroup({ groupId: "g" }));
  const { route } = OFFSET_FETCH_HANDLER;
  assert(route.kind === "split");
  let merged: OffsetFetchResponse | null = null;
  const tookMs = timeOf(() => {
    const response = newOffsetFetchResponse({ groups: answers });
    merged = route.merge(newOffsetFetchRequest({ groups }), [response]);
  });
  assert(merged!.groups.every((group, at) => group === answers[at]));
  assert(tookMs < SLOW_MS, `${tookMs} ms`);
});

Deno.test("a commit that names many topics, known and unknown, takes time that grows with their number", () => {
  const broker = new TestBroker();
  broker.addTopic("t", 1);
  const directory = broker.groups.directory(0);
  const groupId = ["a", "b", "c", "d", "e", "f"].find((id) => directory.shardOfGroup(id) === 0)!;
  const known = newOffsetCommitRequestTopic({
    name: "t",
    topicId: ZERO_UUID,
    partitions: [newOffsetCommitRequestPartition({ partitionIndex: 0, committedOffset: 1 })],
  });
  const unknown = Array.from(
    { length: 60_000 },
    (_, i) => newOffsetCommitRequestTopic({ name: `nobody ${i}`, topicId: ZERO_UUID }),
  );
  const topics = [...unknown, ...new Array(10_000).fill(known)];
  const request = newOffsetCommitRequest({ groupId, topics });
  let answer: OffsetCommitResponse | null = null;
  const tookMs = timeOf(() => answer = objectsOf(broker, OFFSET_COMMIT_HANDLER, 8, request));
  assert.equal(answer!.topics.at(-1)!.partitions[0]!.errorCode, ErrorCode.NONE);
  assert(tookMs < SLOW_MS, `${tookMs} ms`);
});

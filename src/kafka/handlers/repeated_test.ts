import { strict as assert } from "node:assert";
import { ResourceType } from "../../cluster/config_table.ts";
import { runTask } from "../../io/task.ts";
import {
  newDescribeConfigsRequest,
  newDescribeConfigsResource,
} from "../../wire/generated/describe_configs_request.ts";
import type { DescribeConfigsResponse } from "../../wire/generated/describe_configs_response.ts";
import { newDescribeGroupsRequest } from "../../wire/generated/describe_groups_request.ts";
import type { DescribeGroupsResponse } from "../../wire/generated/describe_groups_response.ts";
import {
  newOffsetFetchRequest,
  newOffsetFetchRequestGroup,
} from "../../wire/generated/offset_fetch_request.ts";
import type { OffsetFetchResponse } from "../../wire/generated/offset_fetch_response.ts";
import type { Handler } from "../handler.ts";
import { TestBroker } from "../test_services.ts";
import { DESCRIBE_CONFIGS_HANDLER } from "./describe_configs.ts";
import { DESCRIBE_GROUPS_HANDLER } from "./describe_groups.ts";
import { OFFSET_FETCH_HANDLER } from "./offset_fetch.ts";

const TIMES = 50_000;

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
});

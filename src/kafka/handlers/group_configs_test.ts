/**
 * Configurations of groups: what a consumer group has of its own.
 */

import { strict as assert } from "node:assert";
import { ResourceType } from "../../cluster/config_table.ts";
import { raiseVersion } from "../../cluster/features.ts";
import { ClusterImage } from "../../cluster/image.ts";
import { CONSUMER_GROUPS_SINCE_VERSION } from "../../cluster/logical_version.ts";
import { testNode } from "../../cluster/test_cluster.ts";
import { ErrorCode } from "../../wire/errors.ts";
import { newDescribeConfigsRequest } from "../../wire/generated/describe_configs_request.ts";
import { newIncrementalAlterConfigsRequest } from "../../wire/generated/incremental_alter_configs_request.ts";
import { newListConfigResourcesRequest } from "../../wire/generated/list_config_resources_request.ts";
import { TestBroker } from "../test_services.ts";
import { DESCRIBE_CONFIGS_HANDLER } from "./describe_configs.ts";
import { INCREMENTAL_ALTER_CONFIGS_HANDLER } from "./incremental_alter_configs.ts";
import { LIST_CONFIG_RESOURCES_HANDLER } from "./list_config_resources.ts";

for (let version = 0; version <= 4; version++) {
  Deno.test(`DescribeConfigs v${version} shows what a consumer group goes by`, () =>
    checkShown(version));
}

function checkShown(version: number): void {
  const broker = new TestBroker();
  broker.cluster.run(raiseVersion);
  const group = { resourceType: ResourceType.GROUP, resourceName: "g" };
  const change = (name: string, value: string | null, resource = group) => {
    const configs = [{ name, configOperation: value === null ? 1 : 0, value }];
    const request = newIncrementalAlterConfigsRequest({ resources: [{ ...resource, configs }] });
    return broker.ask(INCREMENTAL_ALTER_CONFIGS_HANDLER, 1, request).responses[0]!;
  };
  const shown = () => {
    const resources = [{ ...group, configurationKeys: null }];
    const request = newDescribeConfigsRequest({ resources });
    const { configs } = broker.ask(DESCRIBE_CONFIGS_HANDLER, version, request).results[0]!;
    return new Map(configs.map((config) => [config.name, config]));
  };
  const session = "consumer.session.timeout.ms";
  assert.equal(shown().get(session)!.value, "45000");
  assert.equal(change(session, "50000").errorCode, ErrorCode.NONE);
  assert.equal(shown().get(session)!.value, "50000");
  if (version > 0) assert.equal(shown().get(session)!.configSource, 8);
  const refused: [string, string, RegExp][] = [
    [session, "1", /must be greater than or equal to group.consumer.min.session.timeout.ms$/],
    [session, "60001", /must be less than or equal to group.consumer.max.session.timeout.ms$/],
    [session, "soon", /Not a number of type INT$/],
    ["consumer.session.timeout", "1", /did you mean consumer.session.timeout.ms\?$/],
    ["share.session.timeout.ms", "50000", /^Unknown group config name/],
  ];
  for (const [name, value, message] of refused) {
    const { errorCode, errorMessage } = change(name, value);
    assert.equal(errorCode, ErrorCode.INVALID_CONFIG);
    assert.match(errorMessage!, message);
  }
  const nameless = { resourceType: ResourceType.GROUP, resourceName: "" };
  assert.equal(change(session, "50000", nameless).errorCode, ErrorCode.INVALID_REQUEST);
  const list = newListConfigResourcesRequest({ resourceTypes: [ResourceType.GROUP] });
  const listed = broker.ask(LIST_CONFIG_RESOURCES_HANDLER, 1, list).configResources;
  assert.deepEqual(listed, [group]);
  const copy = new ClusterImage(0, new Map());
  for (const record of broker.cluster.image.snapshotRecords()) {
    assert.equal(copy.replay(record), null);
  }
  assert.equal(copy.configs.get(ResourceType.GROUP, "g").get(session), "50000");
  assert.equal(change(session, null).errorCode, ErrorCode.NONE);
  assert.equal(shown().get(session)!.value, "45000");
}

Deno.test("configs of groups wait until every node knows them", () => {
  const older = { ...testNode(0), logicalVersion: CONSUMER_GROUPS_SINCE_VERSION - 1 };
  const broker = new TestBroker({ nodes: [older] });
  broker.cluster.run(raiseVersion);
  const request = newIncrementalAlterConfigsRequest({
    resources: [{
      resourceType: ResourceType.GROUP,
      resourceName: "g",
      configs: [{ name: "consumer.session.timeout.ms", configOperation: 0, value: "50000" }],
    }],
  });
  const { responses } = broker.ask(INCREMENTAL_ALTER_CONFIGS_HANDLER, 1, request);
  assert.equal(responses[0]!.errorCode, ErrorCode.INVALID_REQUEST);
});

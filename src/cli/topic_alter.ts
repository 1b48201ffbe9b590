/**
 * `gregor topic alter`.
 *
 * @module
 */

import { TOPIC_CONFIGS } from "../cluster/topic_config.ts";
import { CREATE_PARTITIONS } from "../wire/generated/apis.ts";
import {
  newCreatePartitionsRequest,
  newCreatePartitionsTopic,
} from "../wire/generated/create_partitions_request.ts";
import type { Cluster } from "./client/cluster.ts";
import { alterConfigs, RESOURCE_TOPIC } from "./client/configs.ts";
import { brokerRefusal } from "./client/outcome.ts";
import { CLIENT_FLAGS, withCluster } from "./client_flags.ts";
import { command } from "./command.ts";
import { EXIT_OK } from "./exit_codes.ts";
import { integer, list, pairs } from "./flags.ts";
import { plainConfigValues } from "./plain_configs.ts";

export const definition = command({
  name: "topic alter",
  about: "Changes a topic's configs, or adds partitions to it. Once the number " +
    "of partitions has changed, records with keys go to other partitions. It cannot be reduced.",
  positionals: [{ name: "NAME", help: "Name of the topic", required: true }],
  flags: {
    ...CLIENT_FLAGS,
    "partitions": integer({ value: "N", min: 1, help: "New total number of partitions" }),
    "config": pairs({
      value: "KEY=VALUE",
      help: "A config to set, repeatable; sizes and times may have units: retention.ms=7d",
    }),
    "unset": list({ value: "KEY", help: "A config to reset to its default, repeatable" }),
  },
  examples: [
    { line: "topic alter orders --partitions 12", says: "More partitions:" },
    {
      line: "topic alter orders --config retention.ms=3d --unset segment.bytes",
      says: "Another retention, and the default segment size again:",
    },
  ],
  check: ({ given }) =>
    given.has("partitions") || given.has("config") || given.has("unset") ? [] : [{
      subject: "NAME",
      message: "alone changes nothing: give --partitions, --config or --unset",
    }],
  run: async ({ values, args, terminal }) => {
    const name = args[0]!;
    await withCluster(values, async (cluster) => {
      const set = plainConfigValues(values.config, TOPIC_CONFIGS);
      if (set.size > 0 || values.unset.length > 0) {
        const what = { type: RESOURCE_TOPIC, name };
        await alterConfigs(cluster, what, { set, unset: values.unset });
      }
      if (values.partitions !== undefined) await addPartitions(cluster, name, values.partitions);
    });
    terminal.remark(`Topic ${name} altered.\n`);
    return EXIT_OK;
  },
});

async function addPartitions(cluster: Cluster, name: string, count: number): Promise<void> {
  const request = newCreatePartitionsRequest({
    topics: [newCreatePartitionsTopic({ name, count, assignments: null })],
    timeoutMs: cluster.timeoutMs,
  });
  const response = await cluster.callController(
    (controller) => controller.call(CREATE_PARTITIONS, request),
    ({ results }) => results.map(({ errorCode }) => errorCode),
  );
  for (const { errorCode, errorMessage } of response.results) {
    if (errorCode !== 0) throw brokerRefusal(`add partitions to ${name}`, errorCode, errorMessage);
  }
}

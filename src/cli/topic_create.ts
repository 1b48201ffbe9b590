/**
 * `gregor topic create`.
 *
 * @module
 */

import { TOPIC_CONFIGS } from "../cluster/topic_config.ts";
import { ErrorCode } from "../wire/errors.ts";
import { CREATE_TOPICS } from "../wire/generated/apis.ts";
import {
  newCreatableTopic,
  newCreatableTopicConfig,
  newCreateTopicsRequest,
} from "../wire/generated/create_topics_request.ts";
import { brokerRefusal } from "./client/outcome.ts";
import { CLIENT_FLAGS, FORMAT_FLAG, printRows, withCluster } from "./client_flags.ts";
import { command } from "./command.ts";
import { EXIT_OK } from "./exit_codes.ts";
import { throwAll } from "./failure.ts";
import { integer, pairs, toggle } from "./flags.ts";
import { plainConfigValues } from "./plain_configs.ts";

export const definition = command({
  name: "topic create",
  about: "Creates topics. Without numbers the cluster's defaults apply (num.partitions, " +
    "default.replication.factor).",
  positionals: [{ name: "NAME", help: "Names of the topics", required: true, many: true }],
  flags: {
    ...CLIENT_FLAGS,
    "partitions": integer({ value: "N", min: 1, help: "Partitions of each topic" }),
    "replication-factor": integer({
      value: "N",
      min: 1,
      max: 32767,
      help: "Replicas of each partition",
    }),
    "config": pairs({
      value: "KEY=VALUE",
      help: "A topic config, repeatable; sizes and times may have units: retention.ms=7d",
    }),
    "if-not-exists": toggle({ help: "Skip topics that already exist" }),
    ...FORMAT_FLAG,
  },
  examples: [
    { line: "topic create orders --partitions 6", says: "A topic with six partitions:" },
    {
      line: "topic create users --config cleanup.policy=compact",
      says: "A compacted one:",
    },
    {
      line: "topic create clicks --config retention.ms=1h --config segment.bytes=16MiB",
      says: "Short-lived data:",
    },
  ],
  run: async ({ values, args, terminal }) => {
    const configs = [...plainConfigValues(values.config, TOPIC_CONFIGS)].map(([name, value]) =>
      newCreatableTopicConfig({ name, value })
    );
    const topics = args.map((name) =>
      newCreatableTopic({
        name,
        numPartitions: values.partitions ?? -1,
        replicationFactor: values.replicationFactor ?? -1,
        configs,
      })
    );
    const response = await withCluster(values, async (cluster) => {
      const request = newCreateTopicsRequest({ topics, timeoutMs: values.timeout });
      return await cluster.callController(
        (controller) => controller.call(CREATE_TOPICS, request),
        (answer) => answer.topics.map(({ errorCode }) => errorCode),
      );
    });
    const made: { name: string; status: string; partitions: number; replicas: number }[] = [];
    const refusals = [];
    for (const topic of response.topics) {
      const isThere = topic.errorCode === ErrorCode.TOPIC_ALREADY_EXISTS && values.ifNotExists;
      if (topic.errorCode !== 0 && !isThere) {
        const what = `create topic ${topic.name}`;
        refusals.push(brokerRefusal(what, topic.errorCode, topic.errorMessage));
        continue;
      }
      made.push({
        name: topic.name,
        status: isThere ? "exists" : "created",
        partitions: topic.numPartitions,
        replicas: topic.replicationFactor,
      });
    }
    const count = (of: number): string => of < 0 ? "-" : String(of);
    if (made.length === 0) throwAll(refusals);
    printRows(terminal, values.format, [
      { heading: "TOPIC", key: "name", of: (row) => row.name },
      { heading: "STATUS", key: "status", of: (row) => row.status },
      {
        heading: "PARTITIONS",
        isNumber: true,
        key: "partitions",
        of: (row) => row.partitions,
        show: (row) => count(row.partitions),
      },
      {
        heading: "REPLICAS",
        isNumber: true,
        key: "replicas",
        of: (row) => row.replicas,
        show: (row) => count(row.replicas),
      },
    ], made);
    throwAll(refusals);
    return EXIT_OK;
  },
});

/**
 * `gregor topic describe`.
 *
 * @module
 */

import type { Cluster, TopicPlace } from "./client/cluster.ts";
import { type Config, describeConfigs, RESOURCE_TOPIC } from "./client/configs.ts";
import { listRanges } from "./client/offsets.ts";
import { CLIENT_FLAGS, FORMAT_FLAG, printJson, printRows, withCluster } from "./client_flags.ts";
import { command } from "./command.ts";
import { EXIT_OK } from "./exit_codes.ts";
import { eachName } from "./failure.ts";
import { toggle } from "./flags.ts";
import { formatFields } from "./table.ts";
import { uuidToBase64 } from "../wire/uuid.ts";

interface Described {
  readonly name: string;
  readonly id: string;
  readonly configs: readonly Config[];
  readonly partitions: readonly {
    readonly partition: number;
    readonly leader: number;
    readonly epoch: number;
    readonly replicas: readonly number[];
    readonly inSync: readonly number[];
    readonly start: number | null;
    readonly end: number | null;
  }[];
}

export const definition = command({
  name: "topic describe",
  about: "Shows a topic's configs and, per partition, the leader, the replicas and the offsets. " +
    "END is the offset after the last committed record.",
  positionals: [{ name: "NAME", help: "Names of the topics", required: true, many: true }],
  flags: {
    ...CLIENT_FLAGS,
    "all-configs": toggle({ help: "Show configs that are at their defaults too" }),
    ...FORMAT_FLAG,
  },
  examples: [
    { line: "topic describe orders", says: "One topic:" },
    { line: "topic describe orders --all-configs", says: "With every config and its origin:" },
  ],
  run: async ({ values, args, terminal }) => {
    const described: Described[] = [];
    const describing = withCluster(values, (cluster) =>
      eachName(args, async (name) => {
        const topic = await cluster.topic(name);
        const configs = await describeConfigs(cluster, { type: RESOURCE_TOPIC, name });
        const shown = configs.filter((one) => values.allConfigs || one.source !== "default");
        described.push(await describe(cluster, topic, shown));
      }));
    // The found topics are shown, even if others failed.
    await describing.catch(() => {});
    if (values.format === "json") {
      if (described.length > 0) printJson(terminal, described);
      await describing;
      return EXIT_OK;
    }
    described.forEach((topic, at) => {
      if (at > 0) terminal.out("\n");
      terminal.out(formatFields([
        ["topic", topic.name],
        ["id", topic.id],
        ...topic.configs.map((config) =>
          [config.name, `${config.value ?? ""} (${config.source})`] as const
        ),
      ]));
      terminal.out("\n");
      printRows(terminal, "table", [
        { heading: "PARTITION", isNumber: true, key: "partition", of: (one) => one.partition },
        {
          heading: "LEADER",
          isNumber: true,
          key: "leader",
          of: (one) => one.leader,
          show: (one) => one.leader < 0 ? "none" : String(one.leader),
        },
        { heading: "EPOCH", isNumber: true, key: "epoch", of: (one) => one.epoch },
        { heading: "REPLICAS", key: "replicas", of: (one) => one.replicas },
        { heading: "IN-SYNC", key: "inSync", of: (one) => one.inSync },
        { heading: "START", isNumber: true, key: "start", of: (one) => one.start },
        { heading: "END", isNumber: true, key: "end", of: (one) => one.end },
      ], topic.partitions);
    });
    await describing;
    return EXIT_OK;
  },
});

async function describe(
  cluster: Cluster,
  topic: TopicPlace,
  configs: readonly Config[],
): Promise<Described> {
  // A partition without a leader has no offsets to ask for.
  const led = topic.partitions.filter((one) => one.leader >= 0);
  const ranges = await listRanges(
    cluster,
    led.map(({ partition }) => ({ topic: topic.name, partition })),
  );
  return {
    name: topic.name,
    id: uuidToBase64(topic.topicId),
    configs,
    partitions: topic.partitions.map((one) => {
      const range = ranges.get(`${topic.name}/${one.partition}`);
      return {
        partition: one.partition,
        leader: one.leader,
        epoch: one.leaderEpoch,
        replicas: one.replicas,
        inSync: one.inSync,
        start: range?.start ?? null,
        end: range?.end ?? null,
      };
    }),
  };
}

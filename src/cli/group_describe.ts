/**
 * `gregor group describe`.
 *
 * @module
 */

import type { Cluster } from "./client/cluster.ts";
import {
  committedOffsets,
  type DescribedGroup,
  describeGroup,
  type Member,
} from "./client/groups.ts";
import { listRanges } from "./client/offsets.ts";
import { CLIENT_FLAGS, FORMAT_FLAG, printJson, printRows, withCluster } from "./client_flags.ts";
import { command } from "./command.ts";
import { EXIT_OK } from "./exit_codes.ts";
import { eachName } from "./failure.ts";
import { formatFields } from "./table.ts";

/** One partition that the group has committed for or that a member reads. */
interface Progress {
  readonly topic: string;
  readonly partition: number;
  readonly committed: number | null;
  readonly end: number | null;
  readonly lag: number | null;
  readonly member: string | null;
  readonly client: string | null;
  readonly host: string | null;
}

export const definition = command({
  name: "group describe",
  about: "Shows a group's state, its members, and how far it lags on every partition. LAG is " +
    "counted from the committed offset, or from the log's start where nothing is committed.",
  positionals: [{ name: "GROUP", help: "Names of the groups", required: true, many: true }],
  flags: { ...CLIENT_FLAGS, ...FORMAT_FLAG },
  examples: [{ line: "group describe billing", says: "One group:" }],
  run: async ({ values, args, terminal }) => {
    const described: {
      readonly group: DescribedGroup;
      readonly progress: readonly Progress[];
    }[] = [];
    const describing = withCluster(values, (cluster) =>
      eachName(args, async (name) => {
        const group = await describeGroup(cluster, name);
        described.push({ group, progress: await progressOf(cluster, group) });
      }));
    // The found groups are shown, even if others failed.
    await describing.catch(() => {});
    if (values.format === "json") {
      const shown = described.map(({ group, progress }) => ({ ...group, progress }));
      if (shown.length > 0) printJson(terminal, shown);
      await describing;
      return EXIT_OK;
    }
    described.forEach(({ group, progress }, at) => {
      if (at > 0) terminal.out("\n");
      const lag = progress.reduce((sum, one) => sum + (one.lag ?? 0), 0);
      terminal.out(formatFields([
        ["group", group.name],
        ["state", group.state],
        ["type", group.type],
        ["assignor", group.assignor],
        ["coordinator", `node ${group.coordinator}`],
        ["members", String(group.members.length)],
        ["total lag", String(lag)],
      ]));
      if (progress.length === 0) return;
      terminal.out("\n");
      printRows(terminal, "table", [
        { heading: "TOPIC", key: "topic", of: (one) => one.topic },
        { heading: "PARTITION", isNumber: true, key: "partition", of: (one) => one.partition },
        { heading: "COMMITTED", isNumber: true, key: "committed", of: (one) => one.committed },
        { heading: "END", isNumber: true, key: "end", of: (one) => one.end },
        { heading: "LAG", isNumber: true, key: "lag", of: (one) => one.lag },
        { heading: "CLIENT", key: "client", of: (one) => one.client },
        { heading: "HOST", key: "host", of: (one) => one.host },
        { heading: "MEMBER", key: "member", of: (one) => one.member },
      ], progress);
    });
    await describing;
    return EXIT_OK;
  },
});

async function progressOf(cluster: Cluster, group: DescribedGroup): Promise<Progress[]> {
  const committed = await committedOffsets(cluster, group.name);
  const offsets = new Map(committed.map((one) => [`${one.topic}/${one.partition}`, one.offset]));
  const readers = new Map<string, Member>(
    group.members.flatMap((member) =>
      member.partitions.map((one) => [`${one.topic}/${one.partition}`, member] as const)
    ),
  );
  const wanted = new Map(
    [...committed, ...group.members.flatMap((member) => member.partitions)]
      .map(({ topic, partition }) => [`${topic}/${partition}`, { topic, partition }]),
  );
  // A topic with committed offsets may have been deleted since.
  const { topics } = await cluster.places([
    ...new Set([...wanted.values()].map((one) => one.topic)),
  ]);
  const live = new Set(
    topics.flatMap((topic) => topic.partitions.map((one) => `${topic.name}/${one.partition}`)),
  );
  const ranges = await listRanges(
    cluster,
    [...wanted].filter(([key]) => live.has(key)).map(([, one]) => one),
  );
  return [...wanted]
    .map(([key, { topic, partition }]) => {
      const range = ranges.get(key);
      const offset = offsets.get(key) ?? null;
      const member = readers.get(key);
      return {
        topic,
        partition,
        committed: offset,
        end: range?.end ?? null,
        lag: range === undefined ? null : Math.max(0, range.end - (offset ?? range.start)),
        member: member?.memberId ?? null,
        client: member?.clientId ?? null,
        host: member?.host ?? null,
      };
    })
    .sort((a, b) => a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1);
}

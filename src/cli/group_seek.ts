/**
 * `gregor group seek`.
 *
 * @module
 */

import { commitOffsets, committedOffsets, type TopicPartition } from "./client/groups.ts";
import type { Cluster } from "./client/cluster.ts";
import { AT_END, AT_START, listOffsets } from "./client/offsets.ts";
import { CLIENT_FLAGS, FORMAT_FLAG, printRows, withCluster } from "./client_flags.ts";
import { command } from "./command.ts";
import { EXIT_FAILED, EXIT_OK } from "./exit_codes.ts";
import { Failure } from "./failure.ts";
import { integer, list, text } from "./flags.ts";
import { parseDuration } from "./size.ts";

/** Where to: a place in the log, a moment, a number, or a step from where the group is. */
type Target =
  | { readonly kind: "time"; readonly time: number }
  | { readonly kind: "offset"; readonly offset: number }
  | { readonly kind: "step"; readonly by: number };

interface Sought extends TopicPartition {
  readonly before: number | null;
  readonly offset: number;
}

export const definition = command({
  name: "group seek",
  about: "Moves the committed offsets of a group that has no members, so that it continues " +
    "from another position.",
  positionals: [{ name: "GROUP", help: "Name of the group", required: true }],
  flags: {
    ...CLIENT_FLAGS,
    "to": text({
      value: "WHERE",
      required: true,
      help: "start, end, an offset (1000), a step (+10, -10), a time ago (2h ago) or a moment " +
        "(2026-01-31T12:00:00Z)",
    }),
    "topic": list({
      value: "NAME",
      help: "Topics, repeatable; default all that are committed for",
    }),
    "partition": integer({ value: "N", min: 0, help: "One partition only; default all" }),
    ...FORMAT_FLAG,
  },
  examples: [
    { line: "group seek billing --to start", says: "Read everything again:" },
    {
      line: "group seek billing --topic orders --to '2h ago'",
      says: "The last two hours of orders:",
    },
    { line: "group seek billing --topic orders --partition 3 --to=-1", says: "One record back:" },
  ],
  check: ({ values }) =>
    values.to === undefined || readTarget(values.to, 0) !== null ? [] : [{
      subject: "--to",
      message: `expected start, end, N, +N, -N, "TIME ago" or a date, got "${values.to}"`,
    }],
  run: async ({ values, args, terminal }) => {
    const name = args[0]!;
    const target = readTarget(values.to, Date.now())!;
    const sought = await withCluster(values, async (cluster) => {
      const committed = await committedOffsets(cluster, name);
      const topics = values.topic.length > 0
        ? values.topic
        : [...new Set(committed.map((one) => one.topic))];
      if (topics.length === 0) {
        throw new Failure(
          EXIT_FAILED,
          `group ${name} has committed nothing yet`,
          "Say which topics with --topic NAME.",
        );
      }
      const partitions: TopicPartition[] = [];
      for (const topic of topics) {
        for (const { partition } of (await cluster.topic(topic)).partitions) {
          if (values.partition === undefined || values.partition === partition) {
            partitions.push({ topic, partition });
          }
        }
      }
      const before = new Map(committed.map((one) => [`${one.topic}/${one.partition}`, one.offset]));
      const moved = await resolve(cluster, partitions, target, before);
      await commitOffsets(cluster, name, moved);
      return moved;
    });
    printRows(terminal, values.format, [
      { heading: "TOPIC", key: "topic", of: (row) => row.topic },
      { heading: "PARTITION", isNumber: true, key: "partition", of: (row) => row.partition },
      { heading: "BEFORE", isNumber: true, key: "before", of: (row) => row.before },
      { heading: "NOW", isNumber: true, key: "offset", of: (row) => row.offset },
    ], sought);
    return EXIT_OK;
  },
});

/** Reads `--to`; null when it is none. */
export function readTarget(given: string, nowMs: number): Target | null {
  if (given === "start") return { kind: "time", time: AT_START };
  if (given === "end") return { kind: "time", time: AT_END };
  if (/^\d+$/.test(given)) return { kind: "offset", offset: Number(given) };
  if (/^[+-]\d+$/.test(given)) return { kind: "step", by: Number(given) };
  const ago = /^(.+?)\s+ago$/.exec(given);
  const duration = ago === null ? undefined : parseDuration(ago[1]!);
  if (duration !== undefined) return { kind: "time", time: Math.round(nowMs - duration) };
  const moment = /^\d{4}-\d{2}-\d{2}/.test(given) ? Date.parse(given) : NaN;
  return Number.isNaN(moment) ? null : { kind: "time", time: moment };
}

/** Finds the offsets; they are kept within what the log has. */
async function resolve(
  cluster: Cluster,
  partitions: readonly TopicPartition[],
  target: Target,
  before: ReadonlyMap<string, number>,
): Promise<Sought[]> {
  const at = (time: number) => listOffsets(cluster, partitions.map((one) => ({ ...one, time })));
  const [starts, ends] = [await at(AT_START), await at(AT_END)];
  const found = target.kind === "time" ? await at(target.time) : null;
  return partitions.map(({ topic, partition }, index) => {
    const start = starts[index]!.offset;
    const end = ends[index]!.offset;
    const was = before.get(`${topic}/${partition}`) ?? null;
    let offset: number;
    // No record as young as the moment asked for: the end.
    if (found !== null) offset = found[index]!.offset < 0 ? end : found[index]!.offset;
    else if (target.kind === "step") offset = (was ?? start) + target.by;
    else offset = target.kind === "offset" ? target.offset : end;
    return { topic, partition, before: was, offset: Math.min(Math.max(offset, start), end) };
  });
}

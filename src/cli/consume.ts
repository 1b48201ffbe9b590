/**
 * `gregor consume`.
 *
 * @module
 */

import type { Cluster } from "./client/cluster.ts";
import { Fetcher } from "./client/fetcher.ts";
import { GroupMember } from "./client/group_member.ts";
import { commitOffsets, committedOffsets, type TopicPartition } from "./client/groups.ts";
import { AT_END, AT_START, listOffsets, listRanges } from "./client/offsets.ts";
import { BrokerRefusal } from "./client/outcome.ts";
import type { ConsumedRecord } from "./client/records.ts";
import { CLIENT_FLAGS, withCluster } from "./client_flags.ts";
import { command } from "./command.ts";
import { EXIT_FAILED, EXIT_OK } from "./exit_codes.ts";
import { Failure } from "./failure.ts";
import { integer, text, toggle } from "./flags.ts";
import { type RecordFormat, recordFormat } from "./record_format.ts";
import { parseDuration } from "./size.ts";
import type { Terminal } from "./terminal.ts";

const COMMIT_INTERVAL_MS = 5_000;

export const definition = command({
  name: "consume",
  about: "Prints the records of a topic, one per line, until Ctrl-C or --count. With --group the " +
    "partitions are shared among all members, and the group continues where it stopped. The " +
    "command waits for a broker that is away for less than --timeout.",
  positionals: [{ name: "TOPIC", help: "What to read", required: true }],
  flags: {
    ...CLIENT_FLAGS,
    "group": text({ value: "NAME", help: "Read as a member of this consumer group" }),
    "offset": text({
      value: "WHERE",
      default: "start",
      help:
        "Where to begin: start, end, N (an offset), -N (the last N records of each partition), @1h (records of the last hour) " +
        "or @2026-12-31T10:00:00Z (from that time on). With --group, where the group has committed nothing yet. A number " +
        "outside a partition's records means its nearer end",
    }),
    "partition": integer({ value: "N", min: 0, help: "One partition only; default all" }),
    "count": integer({ value: "N", min: 1, help: "Stop after this many records" }),
    "until-end": toggle({ help: "Stop at the present end of the log, instead of waiting" }),
    "format": text({
      value: "PATTERN",
      default: "%v",
      help: "json, or a pattern of %k key, %v value, %t topic, %p partition, %o offset, " +
        "%d timestamp in ms, %h headers",
    }),
    "read-committed": toggle({ help: "Leave out records of open and aborted transactions" }),
  },
  examples: [
    { line: "consume hello", says: "Existing records, and new ones:" },
    { line: "consume hello --offset end", says: "Only new records:" },
    { line: "consume hello --offset -10 --until-end", says: "The last ten of each partition:" },
    { line: "consume hello --offset @15m", says: "From a quarter of an hour ago on:" },
    {
      line: "consume orders --offset start --count 10 --format '%o %k=%v'",
      says: "The first ten:",
    },
    {
      line: "consume orders --until-end --format json",
      says: "All existing records, as JSON:",
    },
    { line: "consume orders --group billing", says: "As a member of a group:" },
  ],
  check: ({ values }) => {
    const problems = [];
    if (readStart(values.offset) === null) {
      const message = `expected start, end, N, -N, @1h or @DATE, got "${values.offset}"`;
      problems.push({ subject: "--offset", message });
    }
    const format = recordFormat(values.format);
    if (typeof format === "string") problems.push({ subject: "--format", message: format });
    if (values.group !== undefined && values.partition !== undefined) {
      const message = "does not go with --group, which shares the partitions out itself";
      problems.push({ subject: "--partition", message });
    }
    return problems;
  },
  run: async ({ values, args, terminal }) => {
    const topic = args[0]!;
    await withCluster(values, async (cluster) => {
      const place = await cluster.existingTopic(topic);
      const partitions = place.partitions
        .map(({ partition }) => ({ topic, partition }))
        .filter((one) => values.partition === undefined || one.partition === values.partition);
      if (partitions.length === 0) {
        throw new Failure(EXIT_FAILED, `topic ${topic} has no partition ${values.partition}`);
      }
      const say = (what: string): void => terminal.remark(`${what}\n`);
      const fetcher = new Fetcher(cluster, {
        isReadCommitted: values.readCommitted,
        resetTo: values.offset === "end" ? "end" : "start",
        onReset: say,
      });
      const output = new Output(
        terminal,
        recordFormat(values.format) as RecordFormat,
        values.count ?? Infinity,
      );
      if (values.untilEnd) {
        const ends = partitions.map((one) => ({ ...one, time: AT_END }));
        output.stopAt(await listOffsets(cluster, ends, values.readCommitted));
      }
      const stopListening = terminal.onInterrupt(() => output.stop());
      try {
        if (values.group === undefined) {
          fetcher.assign(await positionsFor(cluster, partitions, values.offset, say));
          while (!output.isDone(fetcher.positions)) {
            await output.print(await cluster.surviving(() => fetcher.poll(), say));
          }
        } else {
          const reading = { cluster, group: values.group, fetcher, output, say };
          const member = new GroupMember(cluster, values.group, [topic]);
          await consumeAsMember(reading, member, values.offset);
        }
      } finally {
        stopListening();
      }
    });
    return EXIT_OK;
  },
});

/** The options of a member. */
interface Reading {
  readonly cluster: Cluster;
  readonly group: string;
  readonly fetcher: Fetcher;
  readonly output: Output;
  /** Tells the person, beside the records. */
  readonly say: (what: string) => void;
}

/** Reads as a member until done; commits every few seconds, before a rebalance, and at the end. */
async function consumeAsMember(
  { cluster, group, fetcher, output, say }: Reading,
  member: GroupMember,
  offset: string,
): Promise<void> {
  let committedAt = performance.now();
  const commit = async (): Promise<void> => {
    committedAt = performance.now();
    const positions = output.printed;
    if (positions.length === 0) return;
    await commitOffsets(cluster, group, positions, member.committer);
    output.noteCommitted(positions);
  };
  const step = async (): Promise<void> => {
    if (member.mustRejoin) {
      await ignoringRebalance(commit());
      fetcher.assign([]);
      const partitions = await member.join();
      output.forgetPrinted();
      const committed = await committedOffsets(cluster, group, partitions);
      const known = new Set(committed.map((one) => one.partition));
      const fresh = partitions.filter((one) => !known.has(one.partition));
      fetcher.assign([...committed, ...await positionsFor(cluster, fresh, offset, say)]);
      output.isAssigned = true;
    }
    await output.print(await fetcher.poll());
    if (performance.now() - committedAt > COMMIT_INTERVAL_MS) await ignoringRebalance(commit());
  };
  const onLost = (what: string): void => {
    say(what);
    member.forgetConnection();
  };
  try {
    while (!output.isDone(fetcher.positions)) await cluster.surviving(step, onLost);
    await cluster.surviving(() => ignoringRebalance(commit()), onLost);
  } finally {
    await member.leave();
  }
}

/** A commit that comes too late for its generation is not lost work: the next owner reads again. */
async function ignoringRebalance(commit: Promise<void>): Promise<void> {
  try {
    await commit;
  } catch (error) {
    if (!(error instanceof BrokerRefusal)) throw error;
    if (!/REBALANCE|ILLEGAL_GENERATION|UNKNOWN_MEMBER/.test(error.message)) throw error;
  }
}

/** Offsets for `start`, `end` or a number; a number outside a partition's records is reported. */
async function positionsFor(
  cluster: Cluster,
  partitions: readonly TopicPartition[],
  offset: string,
  say: (what: string) => void = () => {},
): Promise<(TopicPartition & { readonly offset: number })[]> {
  if (partitions.length === 0) return [];
  const start = readStart(offset)!;
  if ("time" in start) {
    const at = (time: number) => listOffsets(cluster, partitions.map((one) => ({ ...one, time })));
    const found = await at(start.time);
    if (found.every((one) => one.offset >= 0)) return found;
    // No record there is as young.
    const ends = await at(AT_END);
    return found.map((one, index) => one.offset >= 0 ? one : ends[index]!);
  }
  const ranges = await listRanges(cluster, partitions);
  return partitions.map((one) => {
    const name = `${one.topic}/${one.partition}`;
    const range = ranges.get(name)!;
    if ("last" in start) {
      return { ...one, offset: Math.max(range.start, range.end - start.last) };
    }
    const nearer = Math.min(Math.max(start.offset, range.start), range.end);
    if (nearer > start.offset) say(`${name} begins at offset ${nearer}: reading from there`);
    if (nearer < start.offset) say(`${name} ends at offset ${nearer}: reading what comes there`);
    return { ...one, offset: nearer };
  });
}

/** Where to begin, as written; null: it is none of the ways to write it. */
function readStart(
  written: string,
): { readonly time: number } | { readonly offset: number } | { readonly last: number } | null {
  if (written === "start") return { time: AT_START };
  if (written === "end") return { time: AT_END };
  if (/^\d+$/.test(written)) return { offset: Number(written) };
  if (/^-\d+$/.test(written)) return { last: -Number(written) };
  if (!written.startsWith("@")) return null;
  const ago = parseDuration(written.slice(1));
  const time = ago === undefined ? Date.parse(written.slice(1)) : Date.now() - ago;
  return Number.isFinite(time) && time >= 0 ? { time } : null;
}

/** Prints records and knows when enough was printed. */
class Output {
  readonly #terminal: Terminal;
  readonly #format: RecordFormat;
  #left: number;
  #isStopped = false;
  /** Ends to stop at, by partition; null: never. */
  #ends: Map<number, number> | null = null;
  /** Offsets after the records printed since the last commit, by partition. */
  #printed = new Map<string, TopicPartition & { readonly offset: number }>();
  /** Partitions are known; a group member has none before its first assignment. */
  isAssigned = false;

  constructor(terminal: Terminal, format: RecordFormat, count: number) {
    this.#terminal = terminal;
    this.#format = format;
    this.#left = count;
  }

  stop(): void {
    this.#isStopped = true;
  }

  stopAt(ends: readonly (TopicPartition & { readonly offset: number })[]): void {
    this.#ends = new Map(ends.map((one) => [one.partition, one.offset]));
  }

  isDone(positions: readonly (TopicPartition & { readonly offset: number })[]): boolean {
    if (this.#isStopped || this.#left <= 0) return true;
    if (this.#ends === null || (positions.length === 0 && !this.isAssigned)) return false;
    return positions.every((one) => one.offset >= (this.#ends!.get(one.partition) ?? 0));
  }

  async print(records: readonly ConsumedRecord[]): Promise<void> {
    const parts: Uint8Array[] = [];
    for (const record of records) {
      if (this.#left <= 0) break;
      const end = this.#ends?.get(record.partition) ?? Infinity;
      if (record.offset >= end) continue;
      parts.push(this.#format(record));
      this.#left--;
      const { topic, partition, offset } = record;
      this.#printed.set(`${topic}/${partition}`, { topic, partition, offset: offset + 1 });
    }
    if (parts.length > 0) {
      await this.#terminal.outBytes(await new Blob(parts as BlobPart[]).bytes());
    }
  }

  /** Where to continue, for each partition with printed records that are not committed. */
  get printed(): (TopicPartition & { readonly offset: number })[] {
    return [...this.#printed.values()];
  }

  /**
   * What could not be committed for an assignment that is over may be another member's by now, which has gone
   * further: it is read again, by whoever has the partition.
   */
  forgetPrinted(): void {
    this.#printed.clear();
  }

  /** The printed records before `positions` are committed. */
  noteCommitted(positions: readonly (TopicPartition & { readonly offset: number })[]): void {
    for (const { topic, partition, offset } of positions) {
      const key = `${topic}/${partition}`;
      if (this.#printed.get(key)?.offset === offset) this.#printed.delete(key);
    }
  }
}

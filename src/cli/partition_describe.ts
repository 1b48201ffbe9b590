/**
 * `gregor partition describe`.
 *
 * @module
 */

import type { DescribedReplica } from "../wire/generated/describe_replicas_response.ts";
import type { Cluster, ClusterPlaces } from "./client/cluster.ts";
import {
  METADATA_TOPIC,
  parsePartition,
  type PartitionName,
  type ReplicaReport,
  reportsOf,
} from "./client/replicas.ts";
import { CLIENT_FLAGS, FORMAT_FLAG, printJson, printRows, withCluster } from "./client_flags.ts";
import { command } from "./command.ts";
import { EXIT_OK } from "./exit_codes.ts";
import { eachName } from "./failure.ts";
import { formatDuration } from "./size.ts";
import { formatFields } from "./table.ts";

/** One replica, by its leader's words and its own. */
export interface ReplicaRow {
  readonly node: number;
  readonly part: string;
  readonly state: string;
  /** First offset that is not in its log; null: it cannot be asked. */
  readonly end: number | null;
  /** Records that the leader has and that are not durable there; null: not known. */
  readonly lag: number | null;
  /** The term of its last entry. */
  readonly lastTerm: number | null;
  /** How long ago the leader heard from it (ms). */
  readonly heardMs: number | null;
}

export interface PartitionState {
  readonly partition: string;
  /** -1: nobody leads. */
  readonly leader: number;
  readonly epoch: number;
  readonly start: number | null;
  readonly committed: number | null;
  readonly changing: boolean;
  readonly replicas: readonly ReplicaRow[];
  /** What to do where nobody leads; null otherwise. */
  readonly advice: string | null;
}

export const definition = command({
  name: "partition describe",
  about:
    "Shows how the replicas of partitions are: who leads in which epoch, up to where records are " +
    "committed, and for each replica its part (voter, learner), its state, where its log ends, and " +
    "how many records it lags behind. Every node that has a replica is asked, so that a partition " +
    "without a leader shows, too.\n" +
    `${METADATA_TOPIC}/0 is the cluster's metadata, whose leader is the controller.`,
  positionals: [{
    name: "PARTITION",
    help: "Partitions (orders/0), or topics, of which all are shown",
    required: true,
    many: true,
  }],
  flags: { ...CLIENT_FLAGS, ...FORMAT_FLAG },
  examples: [
    { line: "partition describe orders", says: "All partitions of a topic:" },
    { line: "partition describe orders/0", says: "One of them:" },
    { line: `partition describe ${METADATA_TOPIC}/0`, says: "The cluster's metadata:" },
  ],
  run: async ({ values, args, terminal }) => {
    const states: PartitionState[] = [];
    const describing = withCluster(values, async (cluster) => {
      const places = await cluster.places(null);
      await eachName(args, async (arg) => {
        for (const name of await partitionsOf(cluster, places, arg)) {
          states.push(judgePartition(name, await reportsOf(cluster, places, name)));
        }
      });
    });
    // What was found is shown, even if the rest failed.
    await describing.catch(() => {});
    if (values.format === "json") {
      if (states.length > 0) printJson(terminal, states);
      await describing;
      return EXIT_OK;
    }
    states.forEach((state, at) => {
      if (at > 0) terminal.out("\n");
      terminal.out(formatFields(fieldsOf(state)));
      terminal.out("\n");
      printRows(terminal, "table", [
        { heading: "NODE", isNumber: true, key: "node", of: (row) => row.node },
        { heading: "PART", key: "part", of: (row) => row.part },
        { heading: "STATE", key: "state", of: (row) => row.state },
        { heading: "END", isNumber: true, key: "end", of: (row) => row.end },
        { heading: "LAG", isNumber: true, key: "lag", of: (row) => row.lag },
        {
          heading: "HEARD",
          key: "heardMs",
          of: (row) => row.heardMs,
          show: ({ heardMs }) => heardMs === null ? "-" : `${formatDuration(heardMs)} ago`,
        },
      ], state.replicas);
      if (state.advice !== null) terminal.out(`\n${state.advice}\n`);
    });
    await describing;
    return EXIT_OK;
  },
});

async function partitionsOf(
  cluster: Cluster,
  places: ClusterPlaces,
  arg: string,
): Promise<PartitionName[]> {
  if (arg.includes("/")) return [parsePartition(arg)];
  if (arg === METADATA_TOPIC) return [{ topic: arg, partition: 0 }];
  const topic = places.topics.find(({ name }) => name === arg) ?? await cluster.existingTopic(arg);
  return topic.partitions.map(({ partition }) => ({ topic: arg, partition }));
}

function fieldsOf(state: PartitionState): [string, string][] {
  const { leader, epoch, start, committed } = state;
  return [
    ["partition", state.partition],
    ["leader", leader < 0 ? "none" : `node ${leader}, epoch ${epoch}`],
    ["offsets", committed === null ? "-" : `${start} to ${committed}, committed`],
    ...(state.changing ? [["members", "being changed"] as [string, string]] : []),
  ];
}

/** Puts together what the nodes say: the leader's word counts for the others, each one's own for itself. */
export function judgePartition(
  { topic, partition }: PartitionName,
  reports: readonly ReplicaReport[],
): PartitionState {
  const answers = reports.flatMap(({ node, replica }) =>
    replica === null ? [] : [{ node, replica }]
  );
  // Of two that say so, the later one leads.
  const leader = answers.filter(({ replica }) => replica.role === "leader")
    .sort((a, b) => b.replica.term - a.replica.term)[0] ?? null;
  const furthest = leader?.replica ?? longest(answers)?.replica ?? null;
  const nodes = new Set([
    ...furthest?.members.map(({ nodeId }) => nodeId) ?? [],
    ...reports.map(({ node }) => node),
  ]);
  const replicas = [...nodes].sort((a, b) => a - b).map((node): ReplicaRow => {
    const own = answers.find((answer) => answer.node === node)?.replica ?? null;
    const member = furthest?.members.find(({ nodeId }) => nodeId === node) ?? null;
    const isLeader = leader?.node === node;
    const seen = leader === null || member === null || member.matchOffset < 0
      ? null
      : member.matchOffset;
    return {
      node,
      part: member?.part ?? "none",
      state: stateOf(own, member?.isUp ?? true, member?.state ?? "", isLeader),
      end: own?.endOffset ?? null,
      lag: isLeader || leader === null || seen === null
        ? null
        : Math.max(0, leader.replica.endOffset - seen),
      lastTerm: own?.lastTerm ?? null,
      heardMs: isLeader || leader === null || member === null || member.heardMs < 0
        ? null
        : member.heardMs,
    };
  });
  return {
    partition: `${topic}/${partition}`,
    leader: leader?.node ?? -1,
    epoch: leader?.replica.term ?? -1,
    start: furthest?.startOffset ?? null,
    committed: furthest?.commitOffset ?? null,
    changing: furthest?.isChanging ?? false,
    replicas,
    advice: leader === null ? adviceFor(answers, replicas) : null,
  };
}

function stateOf(
  own: DescribedReplica | null,
  isUp: boolean,
  state: string,
  isLeader: boolean,
): string {
  if (isLeader) return "leader";
  if (own?.role === "read-only") return "damaged";
  if (own === null) return isUp ? "no answer" : "down";
  return state === "" || state === "leader" ? own.role : state;
}

/** The replica whose log is furthest: it may lead without losing what was committed, if a majority agrees. */
export function longest<T extends { readonly replica: DescribedReplica }>(
  answers: readonly T[],
): T | null {
  return [...answers].sort((a, b) =>
    b.replica.lastTerm - a.replica.lastTerm || b.replica.lastIndex - a.replica.lastIndex
  )[0] ?? null;
}

function adviceFor(
  answers: readonly { readonly node: number; readonly replica: DescribedReplica }[],
  replicas: readonly ReplicaRow[],
): string {
  const voters = replicas.filter(({ part }) => part === "voter" || part === "leaving");
  const needed = Math.floor(voters.length / 2) + 1;
  const missing = voters.filter(({ end }) => end === null).map(({ node }) => node);
  if (voters.length - missing.length >= needed) {
    return "Nobody leads at the moment, though a majority of the replicas answers: an election " +
      "takes a second or two. If it stays so, look into the logs of these nodes.";
  }
  const names = `${missing.length === 1 ? "node" : "nodes"} ${missing.join(", ")}`;
  return `Nobody leads: ${needed} of its ${voters.length} replicas are needed, and ` +
    `${answers.length} ${answers.length === 1 ? "answers" : "answer"}. Start ${names} again. ` +
    "If they are gone for good, `gregor partition recover` says what can be done.";
}

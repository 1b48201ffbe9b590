/**
 * `gregor partition recover`.
 *
 * @module
 */

import { RECOVER_METADATA, RECOVER_PARTITION } from "../wire/generated/apis.ts";
import type { DescribedReplica } from "../wire/generated/describe_replicas_response.ts";
import { newRecoverMetadataRequest } from "../wire/generated/recover_metadata_request.ts";
import {
  newRecoveredVoter,
  newRecoverPartitionRequest,
  type RecoveredVoter,
} from "../wire/generated/recover_partition_request.ts";
import type { Cluster } from "./client/cluster.ts";
import { brokerRefusal } from "./client/outcome.ts";
import {
  METADATA_TOPIC,
  parsePartition,
  type PartitionName,
  type ReplicaReport,
  reportsOf,
} from "./client/replicas.ts";
import { CLIENT_FLAGS, withCluster } from "./client_flags.ts";
import { command } from "./command.ts";
import { EXIT_FAILED, EXIT_OK } from "./exit_codes.ts";
import { Failure } from "./failure.ts";
import { integer, toggle } from "./flags.ts";
import { pause } from "./pause.ts";
import { judgePartition, longest } from "./partition_describe.ts";

const LOOK_MS = 50;

/** A replica that may go on alone. */
interface Survivor {
  readonly node: number;
  readonly replica: DescribedReplica;
}

export const definition = command({
  name: "partition recover",
  about:
    "For a partition whose majority is lost for good, with its disks: one replica that is left " +
    "goes on alone. Without --accept-loss it only says which one, and what may be lost; nothing is " +
    "changed. Nodes that come back keep everything: start them instead, if there is any way.\n" +
    `${METADATA_TOPIC}/0 is the cluster's metadata, without which no other partition can be ` +
    "recovered: it comes first. The nodes that are given up must never be started again with their " +
    "old data directories.",
  positionals: [{ name: "PARTITION", help: "The partition, such as orders/0", required: true }],
  flags: {
    ...CLIENT_FLAGS,
    "node": integer({
      value: "N",
      min: 0,
      help: "The node whose replica goes on; default the one whose log is the furthest",
    }),
    "accept-loss": toggle({ help: "Do it: what only the missing replicas have is lost" }),
  },
  examples: [
    { line: "partition recover orders/0", says: "See what would happen:" },
    { line: "partition recover orders/0 --accept-loss", says: "Do it:" },
    {
      line: `partition recover ${METADATA_TOPIC}/0 --accept-loss`,
      says: "First, if the cluster's metadata has lost its majority as well:",
    },
  ],
  run: async ({ values, args, terminal }) => {
    const name = parsePartition(args[0]!);
    await withCluster(values, async (cluster) => {
      const places = await cluster.places(null);
      const reports = await reportsOf(cluster, places, name);
      const survivor = chooseSurvivor(name, reports, values.node ?? null);
      if (!values.acceptLoss) {
        throw new Failure(
          EXIT_FAILED,
          `nothing was changed.\n${describeLoss(name, reports, survivor)}`,
          `If the missing nodes are gone for good: gregor partition recover ${args[0]} ` +
            `--node ${survivor.node} --accept-loss`,
        );
      }
      await recover(cluster, name, survivor, reports);
      if (survivor.replica.role === "read-only") {
        terminal.remark(
          `${
            args[0]
          } is to go on with node ${survivor.node} alone, whose log is damaged: restart that node once with ` +
            "--accept-loss.\n",
        );
        return;
      }
      terminal.remark(`${args[0]} goes on with node ${survivor.node} alone.\n`);
      terminal.remark(
        name.topic === METADATA_TOPIC
          ? "Recover the partitions that have no leader next: gregor cluster health names them.\n"
          : "It has one replica now.\n",
      );
    });
    return EXIT_OK;
  },
});

/**
 * The replica that is to go on.
 *
 * @throws Failure where the partition has a leader, or no such replica answers
 */
export function chooseSurvivor(
  name: PartitionName,
  reports: readonly ReplicaReport[],
  wanted: number | null,
): Survivor {
  const what = `${name.topic}/${name.partition}`;
  const { leader } = judgePartition(name, reports);
  if (leader >= 0) {
    throw new Failure(
      EXIT_FAILED,
      `${what} has a leader, node ${leader}: there is nothing to recover`,
      `gregor partition describe ${what} shows its replicas.`,
    );
  }
  const answers = reports.flatMap(({ node, replica }) => {
    const part = replica?.members.find(({ nodeId }) => nodeId === node)?.part ?? "none";
    return replica === null || part === "none" ? [] : [{ node, replica, part }];
  });
  const able = answers.filter(({ replica }) => replica.role !== "read-only");
  // Where no voter is left, a copy that was being made is all that there is.
  const survivor = wanted === null
    ? longest(able.filter(({ part }) => part !== "learner")) ?? longest(able)
    : answers.find(({ node }) => node === wanted) ?? null;
  if (survivor !== null) return survivor;
  throw new Failure(
    EXIT_FAILED,
    wanted === null
      ? `no replica of ${what} answers that could go on`
      : `node ${wanted} has no replica of ${what} that answers and could go on`,
    `gregor partition describe ${what} shows its replicas.`,
  );
}

/** What goes on, and what may be lost. */
export function describeLoss(
  { topic, partition }: PartitionName,
  reports: readonly ReplicaReport[],
  { node, replica }: Survivor,
): string {
  const { startOffset, commitOffset, endOffset, members } = replica;
  const others = members.filter(({ nodeId }) => nodeId !== node).map(({ nodeId }) => nodeId);
  const replicaOn = (other: number): DescribedReplica | null =>
    reports.find((report) => report.node === other)?.replica ?? null;
  const partOn = (other: number): string =>
    replicaOn(other)?.members.find(({ nodeId }) => nodeId === other)?.part ?? "none";
  const silent = others.filter((other) => replicaOn(other) === null);
  const wiped = others.filter((other) => !silent.includes(other) && partOn(other) === "none");
  const damaged = others.filter((other) =>
    !wiped.includes(other) && replicaOn(other)?.role === "read-only"
  );
  const names = nodesOf([...silent, ...wiped, ...damaged].sort((a, b) => a - b));
  const why = [
    ...silent.length === 0 ? [] : [`${nodesOf(silent)} do not answer`],
    ...wiped.length === 0 ? [] : [`the disk of ${nodesOf(wiped)} is lost`],
    ...damaged.length === 0 ? [] : [`damage has cut the log of ${nodesOf(damaged)}`],
  ];
  const isMetadata = topic === METADATA_TOPIC;
  const unit = isMetadata ? "commands" : "records";
  const unsure = endOffset > commitOffset
    ? [
      `  - ${unit} from ${commitOffset} to ${endOffset} become committed, though nobody may have been told ` +
      "that they are",
    ]
    : [];
  return [
    `${topic}/${partition} has no leader; of its ${members.length} replicas, ${why.join(", ")}.`,
    `Node ${node} would go on alone, with ${unit} ${startOffset} to ${endOffset}. Then:`,
    `  - ${unit} from ${endOffset} on are lost, if ${names} had acknowledged any`,
    ...unsure,
    isMetadata
      ? `  - ${names} must never be started again with the data directories of before`
      : `  - what ${names} have of this partition is deleted when they come back`,
  ].join("\n");
}

function nodesOf(nodes: readonly number[]): string {
  return `${nodes.length === 1 ? "node" : "nodes"} ${nodes.join(", ")}`;
}

/** Who votes by the configuration of the furthest replica: the metadata does not know how far a change has come. */
export function votersOf(reports: readonly ReplicaReport[]): RecoveredVoter[] {
  const answers = reports.flatMap(({ node, replica }) =>
    replica === null ? [] : [{ node, replica }]
  );
  const members = longest(answers)?.replica.members ?? [];
  return members.filter(({ part, incarnation }) => part !== "learner" && incarnation >= 0).map(
    (member) => {
      const { nodeId, incarnation, part, wasVoter } = member;
      const own = answers.find(({ node }) => node === nodeId)?.replica;
      const isDamaged = own?.role === "read-only";
      return newRecoveredVoter({
        nodeId,
        incarnation,
        isVoter: part === "voter",
        wasVoter,
        isDamaged,
      });
    },
  );
}

async function recover(
  cluster: Cluster,
  name: PartitionName,
  { node, replica: { role } }: Survivor,
  reports: readonly ReplicaReport[],
): Promise<void> {
  const what = `recover ${name.topic}/${name.partition}`;
  const isMetadata = name.topic === METADATA_TOPIC;
  const { errorCode, errorMessage } = isMetadata
    ? await (await cluster.node(node)).call(
      RECOVER_METADATA,
      newRecoverMetadataRequest({ nodeId: node }),
    )
    : await cluster.any.call(
      RECOVER_PARTITION,
      newRecoverPartitionRequest({ ...name, nodeId: node, voters: votersOf(reports) }),
    );
  if (errorCode !== 0) throw brokerRefusal(what, errorCode, errorMessage);
  if (role === "read-only") return;
  const deadlineMs = performance.now() + cluster.timeoutMs;
  while (performance.now() < deadlineMs) {
    const places = await cluster.places(isMetadata ? [] : [name.topic]);
    const { leader, replicas } = judgePartition(name, await reportsOf(cluster, places, name));
    const voters = replicas.filter(({ part }) => part === "voter" || part === "leaving");
    if (leader === node && voters.length === 1) return;
    await pause(LOOK_MS);
  }
  throw new Failure(
    EXIT_FAILED,
    `node ${node} does not lead ${name.topic}/${name.partition} after ${cluster.timeoutMs} ms`,
    "It is recorded, and goes on: gregor partition describe shows how far it is.",
  );
}

/**
 * `gregor topic reassign`.
 *
 * @module
 */

import {
  ALTER_PARTITION_REASSIGNMENTS,
  LIST_PARTITION_REASSIGNMENTS,
} from "../wire/generated/apis.ts";
import {
  newAlterPartitionReassignmentsRequest,
} from "../wire/generated/alter_partition_reassignments_request.ts";
import {
  newListPartitionReassignmentsRequest,
} from "../wire/generated/list_partition_reassignments_request.ts";
import type { Cluster } from "./client/cluster.ts";
import { brokerRefusal } from "./client/outcome.ts";
import { reportsOf } from "./client/replicas.ts";
import { CLIENT_FLAGS, withCluster } from "./client_flags.ts";
import { command } from "./command.ts";
import { EXIT_INTERRUPTED, EXIT_OK } from "./exit_codes.ts";
import { throwAll } from "./failure.ts";
import { integer, list, toggle } from "./flags.ts";
import { judgePartition } from "./partition_describe.ts";
import { type Left, seeThrough } from "./progress.ts";

export const definition = command({
  name: "topic reassign",
  about:
    "Moves a topic's partitions to other nodes, or changes their number of replicas. New replicas " +
    "get a copy first, then all change at once; clients go on meanwhile. Shows how far that is until " +
    "it is done; Ctrl-C ends the showing alone, and --cancel takes back what is not done.",
  positionals: [{ name: "NAME", help: "The topic", required: true }],
  flags: {
    ...CLIENT_FLAGS,
    "replicas": list({
      value: "NODE,NODE,...",
      help:
        "The nodes that are to hold each partition; the first of them leads, in turn for each partition",
    }),
    "partition": integer({ value: "N", min: 0, help: "This partition alone" }),
    "cancel": toggle({ help: "Go back to the replicas before" }),
    "no-wait": toggle({ help: "Do not wait until it is done" }),
  },
  examples: [
    { line: "topic reassign orders --replicas 1,2,3", says: "To three nodes:" },
    { line: "topic reassign orders --partition 0 --replicas 2,3", says: "One partition:" },
    { line: "topic reassign orders --cancel", says: "Not after all:" },
  ],
  check: ({ values, given }) => {
    const subject = "--replicas";
    if (values.cancel === given.has("replicas")) {
      return [{ subject, message: "give either this or --cancel" }];
    }
    const nodes = nodesOf(values.replicas);
    if (nodes.some((node) => !Number.isInteger(node) || node < 0)) {
      return [{ subject, message: "expected numbers of nodes, such as 1,2,3" }];
    }
    return new Set(nodes).size < nodes.length ? [{ subject, message: "names a node twice" }] : [];
  },
  run: async ({ values, args, terminal }) => {
    const name = args[0]!;
    return await withCluster(values, async (cluster) => {
      const topic = await cluster.existingTopic(name);
      const all = topic.partitions.map(({ partition }) => partition);
      const partitions = values.partition === undefined ? all : [values.partition];
      const nodes = values.cancel ? null : nodesOf(values.replicas);
      await reassign(cluster, name, partitions, nodes);
      if (values.noWait) return EXIT_OK;
      const isDone = await seeThrough(terminal, () => whatIsLeft(cluster, name, partitions));
      if (!isDone) {
        terminal.remark(
          `It goes on by itself; gregor topic reassign ${name} --cancel takes it back.\n`,
        );
        return EXIT_INTERRUPTED;
      }
      terminal.remark(`The replicas of ${name} are where they should be.\n`);
      return EXIT_OK;
    });
  },
});

function nodesOf(texts: readonly string[]): number[] {
  return texts.flatMap((text) => text.split(",")).map((text) => text === "" ? NaN : Number(text));
}

async function reassign(
  cluster: Cluster,
  name: string,
  partitions: readonly number[],
  nodes: readonly number[] | null,
): Promise<void> {
  const request = newAlterPartitionReassignmentsRequest({
    timeoutMs: cluster.timeoutMs,
    topics: [{
      name,
      partitions: partitions.map((partitionIndex, at) => ({
        partitionIndex,
        replicas: nodes === null
          ? null
          : [...nodes.slice(at % nodes.length), ...nodes.slice(0, at % nodes.length)],
      })),
    }],
  });
  const response = await cluster.callController(
    (controller) => controller.call(ALTER_PARTITION_REASSIGNMENTS, request),
    ({ errorCode }) => [errorCode],
  );
  if (response.errorCode !== 0) {
    throw brokerRefusal(`reassign ${name}`, response.errorCode, response.errorMessage);
  }
  throwAll(
    response.responses.flatMap((topic) => topic.partitions)
      .filter(({ errorCode }) => errorCode !== 0)
      .map(({ partitionIndex, errorCode, errorMessage }) =>
        brokerRefusal(`reassign ${name}/${partitionIndex}`, errorCode, errorMessage)
      ),
  );
}

/** Partitions that still move, and what their new replicas lack. */
async function whatIsLeft(
  cluster: Cluster,
  name: string,
  partitions: readonly number[],
): Promise<Left> {
  const topics = [{ name, partitionIndexes: [...partitions] }];
  const request = newListPartitionReassignmentsRequest({ timeoutMs: cluster.timeoutMs, topics });
  const { topics: moving } = await cluster.callController(
    (controller) => controller.call(LIST_PARTITION_REASSIGNMENTS, request),
    ({ errorCode }) => [errorCode],
  );
  const left = moving.flatMap((topic) => topic.partitions).map(({ partitionIndex }) =>
    partitionIndex
  );
  if (left.length === 0) return { amount: 0, words: "" };
  const places = await cluster.places([name]);
  let records = 0;
  for (const partition of left) {
    const state = judgePartition(
      { topic: name, partition },
      await reportsOf(cluster, places, { topic: name, partition }),
    );
    for (const { part, lag } of state.replicas) if (part === "learner") records += lag ?? 0;
  }
  const words =
    `${left.length} of ${partitions.length} partitions to move, new replicas lack ${records} records`;
  return { amount: left.length + records, words };
}

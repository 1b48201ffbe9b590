/**
 * `gregor partition transfer`.
 *
 * @module
 */

import { TRANSFER_LEADERSHIP } from "../wire/generated/apis.ts";
import { newTransferLeadershipRequest } from "../wire/generated/transfer_leadership_request.ts";
import type { Cluster } from "./client/cluster.ts";
import { brokerRefusal } from "./client/outcome.ts";
import {
  METADATA_TOPIC,
  parsePartition,
  type PartitionName,
  reportsOf,
} from "./client/replicas.ts";
import { CLIENT_FLAGS, withCluster } from "./client_flags.ts";
import { command } from "./command.ts";
import { EXIT_FAILED, EXIT_OK } from "./exit_codes.ts";
import { eachName, Failure } from "./failure.ts";
import { integer } from "./flags.ts";
import { pause } from "./pause.ts";
import { judgePartition } from "./partition_describe.ts";

const LOOK_MS = 20;

export const definition = command({
  name: "partition transfer",
  about:
    "Hands the leadership of partitions to a node, and waits until it leads: clients follow by " +
    "themselves, and nothing is lost. The node must have a replica that keeps up.\n" +
    `${METADATA_TOPIC}/0 moves the controller.`,
  positionals: [{
    name: "PARTITION",
    help: "Partitions, such as orders/0",
    required: true,
    many: true,
  }],
  flags: {
    ...CLIENT_FLAGS,
    "to": integer({ value: "NODE", min: 0, required: true, help: "The node that is to lead" }),
  },
  examples: [{ line: "partition transfer orders/0 --to 2", says: "To node 2:" }],
  run: async ({ values, args, terminal }) => {
    await withCluster(values, (cluster) =>
      eachName(args, async (arg) => {
        const name = parsePartition(arg);
        const startedMs = performance.now();
        const from = await transfer(cluster, name, values.to!);
        const tookMs = Math.round(performance.now() - startedMs);
        terminal.remark(
          from === values.to
            ? `Node ${from} leads ${arg} already.\n`
            : `Node ${values.to} leads ${arg}, after node ${from} (${tookMs} ms).\n`,
        );
      }));
    return EXIT_OK;
  },
});

/** Who led before. */
async function transfer(cluster: Cluster, name: PartitionName, to: number): Promise<number> {
  const what = `move ${name.topic}/${name.partition} to node ${to}`;
  const before = await leaderOf(cluster, name);
  if (before < 0) {
    throw new Failure(
      EXIT_FAILED,
      `cannot ${what}: nobody leads it`,
      `gregor partition describe ${name.topic}/${name.partition} shows why.`,
    );
  }
  if (before === to) return before;
  const connection = await cluster.node(before);
  const request = newTransferLeadershipRequest({ ...name, nodeId: to });
  const { errorCode, errorMessage } = await connection.call(TRANSFER_LEADERSHIP, request);
  if (errorCode !== 0) throw brokerRefusal(what, errorCode, errorMessage);
  const deadlineMs = performance.now() + cluster.timeoutMs;
  while (performance.now() < deadlineMs) {
    if (await leaderOf(cluster, name) === to) return before;
    await pause(LOOK_MS);
  }
  throw new Failure(
    EXIT_FAILED,
    `node ${to} does not lead ${name.topic}/${name.partition} after ${cluster.timeoutMs} ms`,
    `gregor partition describe ${name.topic}/${name.partition} shows whether it keeps up.`,
  );
}

/** By the word of the replicas themselves. */
async function leaderOf(cluster: Cluster, name: PartitionName): Promise<number> {
  const places = await cluster.places(name.topic === METADATA_TOPIC ? [] : [name.topic]);
  return judgePartition(name, await reportsOf(cluster, places, name)).leader;
}

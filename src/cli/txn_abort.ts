/**
 * `gregor txn abort`.
 *
 * @module
 */

import {
  abortHanging,
  describeTransaction,
  openProducers,
  takeTransactionalId,
} from "./client/transactions.ts";
import type { Cluster } from "./client/cluster.ts";
import type { TopicPartition } from "./client/groups.ts";
import { CLIENT_FLAGS, withCluster } from "./client_flags.ts";
import { command } from "./command.ts";
import { EXIT_FAILED, EXIT_OK } from "./exit_codes.ts";
import { eachName, Failure } from "./failure.ts";
import { integer, text } from "./flags.ts";
import type { Terminal } from "./terminal.ts";

export const definition = command({
  name: "txn abort",
  about:
    "Aborts the open transaction of each id, and fences its producer: whoever uses the id is told so, and has to begin anew.\n" +
    "With --hanging it aborts what is open in one partition, without asking a coordinator: for a transaction that no " +
    "coordinator knows any more, and that holds up readers of committed records. Of a live transaction that would take one " +
    "part out, so look at `gregor txn list` first.",
  positionals: [{ name: "ID", help: "Transactional ids", required: false, many: true }],
  flags: {
    ...CLIENT_FLAGS,
    "hanging": text({
      value: "TOPIC/N",
      help: "Instead of ids: a partition with a hanging transaction",
    }),
    "producer-id": integer({
      value: "N",
      min: 0,
      help: "With --hanging: whose transaction; may be left out where there is one",
    }),
  },
  examples: [
    { line: "txn abort payments-1", says: "By its id:" },
    { line: "txn abort --hanging payments/3", says: "One that nobody will end:" },
  ],
  check: ({ args, values }) => {
    const problems = [];
    if (values.hanging === undefined && args.length === 0) {
      problems.push({ subject: "ID", message: "is missing: transactional ids, or --hanging" });
    }
    if (values.hanging !== undefined && args.length > 0) {
      problems.push({ subject: "--hanging", message: "takes no transactional ids beside it" });
    }
    if (values.hanging !== undefined && readPlace(values.hanging) === null) {
      problems.push({ subject: "--hanging", message: `expected TOPIC/N, got "${values.hanging}"` });
    }
    return problems;
  },
  run: async ({ values, args, terminal }) => {
    await withCluster(values, async (cluster) => {
      const place = readPlace(values.hanging ?? "");
      if (place !== null) await abortOne(cluster, place, values.producerId ?? null, terminal);
      await eachName(args, async (id) => {
        const { state } = await describeTransaction(cluster, id);
        await takeTransactionalId(cluster, id);
        terminal.remark(`Transactional id ${id} (${state}) fenced; what was open is aborted.\n`);
      });
    });
    return EXIT_OK;
  },
});

async function abortOne(
  cluster: Cluster,
  place: TopicPartition,
  producerId: number | null,
  terminal: Terminal,
): Promise<void> {
  const name = `${place.topic}/${place.partition}`;
  const open = await openProducers(cluster, place);
  const [one, ...others] = open.filter((each) =>
    producerId === null || each.producerId === producerId
  );
  if (one === undefined) {
    const whose = producerId === null ? "" : ` of producer ${producerId}`;
    throw new Failure(EXIT_FAILED, `no transaction${whose} is open in ${name}`);
  }
  if (others.length > 0) {
    const ids = open.map((each) => each.producerId).join(", ");
    const words = `${open.length} transactions are open in ${name}`;
    throw new Failure(EXIT_FAILED, words, `Say whose with --producer-id: ${ids}.`);
  }
  await abortHanging(cluster, place, one);
  terminal.remark(
    `What producer ${one.producerId} had open in ${name}, from offset ${one.currentTxnStartOffset} on, is aborted.\n`,
  );
}

/** `TOPIC/N`; null: it is something else. */
function readPlace(written: string): TopicPartition | null {
  const [, topic, partition] = /^(.+)\/(\d+)$/.exec(written) ?? [];
  return topic === undefined ? null : { topic, partition: Number(partition) };
}

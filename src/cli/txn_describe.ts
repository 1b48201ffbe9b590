/**
 * `gregor txn describe`.
 *
 * @module
 */

import { type DescribedTransaction, describeTransaction } from "./client/transactions.ts";
import { CLIENT_FLAGS, FORMAT_FLAG, printJson, withCluster } from "./client_flags.ts";
import { command } from "./command.ts";
import { EXIT_OK } from "./exit_codes.ts";
import { eachName } from "./failure.ts";
import { formatFields } from "./table.ts";

export const definition = command({
  name: "txn describe",
  about: "Shows the producer, the age and the partitions of the last transaction of each id.",
  positionals: [{ name: "ID", help: "Transactional ids", required: true, many: true }],
  flags: { ...CLIENT_FLAGS, ...FORMAT_FLAG },
  examples: [{ line: "txn describe payments-1", says: "One id:" }],
  run: async ({ values, args, terminal }) => {
    const found: DescribedTransaction[] = [];
    try {
      await withCluster(values, (cluster) =>
        eachName(args, async (id) => {
          found.push(await describeTransaction(cluster, id));
        }));
    } finally {
      if (values.format === "json") printJson(terminal, found.map(plain));
      else terminal.out(found.map(describe).join("\n"));
    }
    return EXIT_OK;
  },
});

function describe(one: DescribedTransaction): string {
  return formatFields([
    ["transactional id", one.transactionalId],
    ["state", one.state],
    ["producer", `${one.producerId}, epoch ${one.producerEpoch}`],
    ["coordinator", `node ${one.coordinator}`],
    ["timeout", `${one.timeoutMs} ms`],
    ["open since", one.startMs < 0 ? "-" : new Date(one.startMs).toISOString()],
    [
      "partitions",
      one.partitions.map(({ topic, partition }) => `${topic}/${partition}`).join(" ") || "-",
    ],
  ]);
}

function plain(one: DescribedTransaction): unknown {
  return {
    transactional_id: one.transactionalId,
    state: one.state,
    producer_id: one.producerId,
    producer_epoch: one.producerEpoch,
    coordinator: one.coordinator,
    timeout_ms: one.timeoutMs,
    open_since_ms: one.startMs < 0 ? null : one.startMs,
    partitions: one.partitions,
  };
}

/**
 * `gregor txn list`.
 *
 * @module
 */

import { listTransactions } from "./client/transactions.ts";
import { CLIENT_FLAGS, FORMAT_FLAG, printRows, withCluster } from "./client_flags.ts";
import { command } from "./command.ts";
import { EXIT_OK } from "./exit_codes.ts";
import { duration, list } from "./flags.ts";

export const definition = command({
  name: "txn list",
  about: "Lists the transactional ids of all nodes, with the state of their last transaction.",
  positionals: [],
  flags: {
    ...CLIENT_FLAGS,
    "state": list({
      value: "STATE,...",
      help: "Only in these states: Empty, Ongoing, PrepareCommit, CompleteCommit, ...",
    }),
    "open-for": duration({ value: "TIME", min: 0, help: "Only those open for longer than this" }),
    ...FORMAT_FLAG,
  },
  examples: [
    { line: "txn list", says: "All of them:" },
    {
      line: "txn list --state Ongoing --open-for 5m",
      says: "What holds readers of committed data up:",
    },
  ],
  run: async ({ values, terminal }) => {
    const filter = { states: values.state, longerThanMs: values.openFor ?? -1 };
    const found = await withCluster(values, (cluster) => listTransactions(cluster, filter));
    if (found.length === 0 && values.format === "table") {
      terminal.remark("There are no such transactional ids.\n");
      return EXIT_OK;
    }
    printRows(terminal, values.format, [
      { heading: "TRANSACTIONAL ID", key: "transactional_id", of: (one) => one.transactionalId },
      { heading: "STATE", key: "state", of: (one) => one.state },
      { heading: "PRODUCER", key: "producer_id", isNumber: true, of: (one) => one.producerId },
      { heading: "COORDINATOR", key: "coordinator", isNumber: true, of: (one) => one.coordinator },
    ], found);
    return EXIT_OK;
  },
});

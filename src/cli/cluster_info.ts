/**
 * `gregor cluster info`.
 *
 * @module
 */

import { CLIENT_FLAGS, FORMAT_FLAG, printJson, printRows, withCluster } from "./client_flags.ts";
import { command } from "./command.ts";
import { EXIT_OK } from "./exit_codes.ts";
import { formatAddress } from "./flags.ts";
import { formatFields } from "./table.ts";

export const definition = command({
  name: "cluster info",
  about:
    "Shows the cluster's id and its nodes: their addresses for clients, and the partitions that they lead.",
  positionals: [],
  flags: { ...CLIENT_FLAGS, ...FORMAT_FLAG },
  examples: [{ line: "cluster info --brokers 10.0.0.1:9092", says: "Some other cluster:" }],
  run: async ({ values, terminal }) => {
    const places = await withCluster(values, (cluster) => cluster.places(null));
    const partitions = places.topics.flatMap((topic) => topic.partitions);
    const nodes = places.brokers.map((broker) => ({
      node: broker.nodeId,
      address: formatAddress(broker.address),
      rack: broker.rack,
      leads: partitions.filter((one) => one.leader === broker.nodeId).length,
      replicas: partitions.filter((one) => one.replicas.includes(broker.nodeId)).length,
    }));
    const { clusterId, controllerId } = places;
    if (values.format === "json") {
      const counts = { topics: places.topics.length, partitions: partitions.length };
      printJson(terminal, { clusterId, controllerId, ...counts, nodes });
      return EXIT_OK;
    }
    terminal.out(formatFields([
      ["cluster", clusterId ?? "-"],
      ["controller", controllerId < 0 ? "none at the moment" : `node ${controllerId}`],
      ["topics", String(places.topics.length)],
      ["partitions", String(partitions.length)],
    ]));
    terminal.out("\n");
    printRows(terminal, "table", [
      { heading: "NODE", isNumber: true, key: "node", of: (row) => row.node },
      { heading: "ADDRESS", key: "address", of: (row) => row.address },
      { heading: "RACK", key: "rack", of: (row) => row.rack },
      { heading: "LEADS", isNumber: true, key: "leads", of: (row) => row.leads },
      { heading: "REPLICAS", isNumber: true, key: "replicas", of: (row) => row.replicas },
    ], nodes);
    return EXIT_OK;
  },
});

/**
 * `gregor generate grafana-dashboard`.
 *
 * @module
 */

import { grafanaDashboard } from "../admin/dashboard.ts";
import { command } from "./command.ts";
import { EXIT_OK } from "./exit_codes.ts";

export const definition = command({
  name: "generate grafana-dashboard",
  about:
    "Prints a dashboard for Grafana as JSON: the cluster, traffic, latencies, groups, replication " +
    "and resources. Import it, and choose the Prometheus that scrapes /public_metrics of the nodes.",
  positionals: [],
  flags: {},
  examples: [{ line: "generate grafana-dashboard > gregor.json", says: "To a file:" }],
  run: ({ terminal }) => {
    terminal.out(JSON.stringify(grafanaDashboard(), null, 2) + "\n");
    return Promise.resolve(EXIT_OK);
  },
});

/**
 * `gregor cluster recommission`.
 *
 * @module
 */

import { NodeState, setNodeState } from "./client/node_states.ts";
import { CLIENT_FLAGS, withCluster } from "./client_flags.ts";
import { command } from "./command.ts";
import { EXIT_OK } from "./exit_codes.ts";
import { integer } from "./flags.ts";

export const definition = command({
  name: "cluster recommission",
  about:
    "Takes back a decommission, or ends a node's maintenance: the node takes part in everything " +
    "again. Replicas that have moved away stay where they are.",
  positionals: [],
  flags: {
    ...CLIENT_FLAGS,
    "node": integer({ value: "N", min: 0, required: true, help: "The node" }),
  },
  examples: [{ line: "cluster recommission --node 3", says: "Keep node 3 after all:" }],
  run: async ({ values, terminal }) => {
    const node = values.node!;
    await withCluster(
      values,
      (cluster) => setNodeState(cluster, node, NodeState.ACTIVE, `recommission node ${node}`),
    );
    terminal.remark(`Node ${node} takes part in everything again.\n`);
    return EXIT_OK;
  },
});

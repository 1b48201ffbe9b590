/**
 * `gregor cluster maintenance`.
 *
 * @module
 */

import { NodeState, setNodeState } from "./client/node_states.ts";
import { CLIENT_FLAGS, withCluster } from "./client_flags.ts";
import { command } from "./command.ts";
import { EXIT_INTERRUPTED, EXIT_OK } from "./exit_codes.ts";
import { integer, toggle } from "./flags.ts";
import { seeThrough } from "./progress.ts";

export const definition = command({
  name: "cluster maintenance",
  about:
    "Has a node hand over what it leads, and lead nothing, until --end: it can be stopped, and " +
    "started again, without anybody noticing. It keeps its replicas. Waits until it leads nothing.",
  positionals: [],
  flags: {
    ...CLIENT_FLAGS,
    "node": integer({ value: "N", min: 0, required: true, help: "The node" }),
    "end": toggle({ help: "The node takes part in everything again" }),
  },
  examples: [
    { line: "cluster maintenance --node 2", says: "Before node 2 is stopped for a while:" },
    { line: "cluster maintenance --node 2 --end", says: "When it is back:" },
  ],
  run: async ({ values, terminal }) => {
    const node = values.node!;
    const state = values.end ? NodeState.ACTIVE : NodeState.MAINTENANCE;
    return await withCluster(values, async (cluster) => {
      await setNodeState(cluster, node, state, `change the state of node ${node}`);
      if (values.end) {
        terminal.remark(`Node ${node} takes part in everything again.\n`);
        return EXIT_OK;
      }
      const isDone = await seeThrough(terminal, async () => {
        const { topics } = await cluster.places(null);
        const partitions = topics.flatMap((topic) => topic.partitions);
        const amount = partitions.filter(({ leader, replicas }) =>
          leader === node && replicas.length > 1
        ).length;
        return { amount, words: `${amount} partitions to hand over` };
      });
      if (!isDone) return EXIT_INTERRUPTED;
      terminal.remark(
        `Node ${node} leads nothing that others could lead. Afterwards: ` +
          `gregor cluster maintenance --node ${node} --end\n`,
      );
      return EXIT_OK;
    });
  },
});

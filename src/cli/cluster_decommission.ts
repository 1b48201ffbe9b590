/**
 * `gregor cluster decommission`.
 *
 * @module
 */

import { describeNode, NodeState, setNodeState } from "./client/node_states.ts";
import { CLIENT_FLAGS, withCluster } from "./client_flags.ts";
import { command } from "./command.ts";
import { EXIT_INTERRUPTED, EXIT_OK } from "./exit_codes.ts";
import { integer, toggle } from "./flags.ts";
import { seeThrough } from "./progress.ts";

export const definition = command({
  name: "cluster decommission",
  about:
    "Moves everything that a node holds to the others, for good; it gets nothing new. Shows how " +
    "far that is until it is done, and then what to do; Ctrl-C ends the showing alone. " +
    "`gregor cluster recommission` takes it back; what has moved stays where it is.",
  positionals: [],
  flags: {
    ...CLIENT_FLAGS,
    "node": integer({ value: "N", min: 0, required: true, help: "The node" }),
    "no-wait": toggle({ help: "Do not wait until it is done" }),
  },
  examples: [
    { line: "cluster decommission --node 3", says: "Empty node 3, before it is taken away:" },
  ],
  run: async ({ values, terminal }) => {
    const node = values.node!;
    return await withCluster(values, async (cluster) => {
      await setNodeState(cluster, node, NodeState.DECOMMISSIONING, `decommission node ${node}`);
      if (values.noWait) {
        terminal.remark(
          `Node ${node} is being emptied; gregor cluster nodes shows how far it is.\n`,
        );
        return EXIT_OK;
      }
      const isDone = await seeThrough(terminal, async () => {
        const { state, replicas, moving } = await describeNode(cluster, node);
        // Somebody has taken it back.
        const amount = state === NodeState.DECOMMISSIONING ? replicas : 0;
        return { amount, words: `${replicas} replicas to move, ${moving} on their way` };
      });
      if (!isDone) {
        terminal.remark("It goes on by itself; gregor cluster recommission takes it back.\n");
        return EXIT_INTERRUPTED;
      }
      const { state } = await describeNode(cluster, node);
      terminal.remark(
        state === NodeState.DECOMMISSIONING
          ? `Node ${node} holds nothing any more. Stop it, then: gregor cluster forget --node ${node}\n`
          : `Node ${node} is not being decommissioned any longer.\n`,
      );
      return EXIT_OK;
    });
  },
});

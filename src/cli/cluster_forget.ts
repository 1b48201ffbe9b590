/**
 * `gregor cluster forget`.
 *
 * @module
 */

import { UNREGISTER_BROKER } from "../wire/generated/apis.ts";
import { newUnregisterBrokerRequest } from "../wire/generated/unregister_broker_request.ts";
import { brokerRefusal } from "./client/outcome.ts";
import { CLIENT_FLAGS, withCluster } from "./client_flags.ts";
import { command } from "./command.ts";
import { EXIT_OK } from "./exit_codes.ts";
import { integer } from "./flags.ts";

export const definition = command({
  name: "cluster forget",
  about: "Takes a node that is stopped, and holds nothing, out of the cluster's metadata: see " +
    "`gregor cluster decommission`.",
  positionals: [],
  flags: {
    ...CLIENT_FLAGS,
    "node": integer({ value: "N", min: 0, required: true, help: "The node" }),
  },
  examples: [{ line: "cluster forget --node 3", says: "Node 3 is gone for good:" }],
  run: async ({ values, terminal }) => {
    const node = values.node!;
    await withCluster(values, async (cluster) => {
      const request = newUnregisterBrokerRequest({ brokerId: node });
      const { errorCode, errorMessage } = await cluster.callController(
        (controller) => controller.call(UNREGISTER_BROKER, request),
        (answer) => [answer.errorCode],
      );
      if (errorCode !== 0) throw brokerRefusal(`forget node ${node}`, errorCode, errorMessage);
    });
    terminal.remark(`Node ${node} is no part of the cluster any more.\n`);
    return EXIT_OK;
  },
});

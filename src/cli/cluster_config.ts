/**
 * `gregor cluster config`.
 *
 * @module
 */

import { SETTINGS } from "../base/settings.ts";
import { alterConfigs, describeConfigs, RESOURCE_BROKER } from "./client/configs.ts";
import { CLIENT_FLAGS, FORMAT_FLAG, printRows, withCluster } from "./client_flags.ts";
import { command } from "./command.ts";
import { EXIT_OK } from "./exit_codes.ts";
import { integer, list, pairs, toggle } from "./flags.ts";
import { plainConfigValues } from "./plain_configs.ts";

export const definition = command({
  name: "cluster config",
  about: "Shows the settings in force, or changes those that can be changed while the cluster " +
    "runs. The others are given at the start of a broker: gregor start --set KEY=VALUE.",
  positionals: [],
  flags: {
    ...CLIENT_FLAGS,
    "node": integer({
      value: "N",
      min: 0,
      help: "The settings of this node; default those of the node that answers",
    }),
    "set": pairs({ value: "KEY=VALUE", help: "A setting to change for all nodes, repeatable" }),
    "unset": list({ value: "KEY", help: "A setting to reset to its default, repeatable" }),
    "all": toggle({ help: "Show settings that are at their defaults too" }),
    ...FORMAT_FLAG,
  },
  examples: [
    { line: "cluster config", says: "Settings that differ from the defaults:" },
    { line: "cluster config --all", says: "Everything:" },
    { line: "cluster config --set log.retention.ms=3d", says: "Change one:" },
  ],
  run: async ({ values, given, terminal }) => {
    if (given.has("set") || given.has("unset")) {
      const set = plainConfigValues(values.set, SETTINGS);
      const everyNode = { type: RESOURCE_BROKER, name: "" };
      await withCluster(
        values,
        (cluster) => alterConfigs(cluster, everyNode, { set, unset: values.unset }),
      );
      for (const [name, value] of set) terminal.remark(`${name} is now ${value}.\n`);
      for (const name of values.unset) terminal.remark(`${name} is at its default.\n`);
      return EXIT_OK;
    }
    const configs = await withCluster(values, async (cluster) => {
      const places = await cluster.places([]);
      const node = values.node ?? places.brokers[0]!.nodeId;
      return await describeConfigs(cluster, { type: RESOURCE_BROKER, name: String(node) });
    });
    const shown = configs.filter((config) => values.all || config.source !== "default");
    if (shown.length === 0 && values.format === "table") {
      terminal.remark("Every setting is at its default; --all shows them.\n");
      return EXIT_OK;
    }
    printRows(terminal, values.format, [
      { heading: "SETTING", key: "name", of: (config) => config.name },
      { heading: "VALUE", key: "value", of: (config) => config.value },
      { heading: "FROM", key: "source", of: (config) => config.source },
    ], shown);
    return EXIT_OK;
  },
});

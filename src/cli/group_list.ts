/**
 * `gregor group list`.
 *
 * @module
 */

import { listGroups } from "./client/groups.ts";
import { CLIENT_FLAGS, FORMAT_FLAG, printRows, withCluster } from "./client_flags.ts";
import { command } from "./command.ts";
import { EXIT_OK } from "./exit_codes.ts";

export const definition = command({
  name: "group list",
  about: "Lists the groups of all nodes.",
  positionals: [],
  flags: { ...CLIENT_FLAGS, ...FORMAT_FLAG },
  examples: [{ line: "group list", says: "All groups:" }],
  run: async ({ values, terminal }) => {
    const groups = await withCluster(values, listGroups);
    if (groups.length === 0 && values.format === "table") {
      terminal.remark("There are no groups yet.\n");
      return EXIT_OK;
    }
    printRows(terminal, values.format, [
      { heading: "GROUP", key: "name", of: (group) => group.name },
      { heading: "STATE", key: "state", of: (group) => group.state },
      { heading: "TYPE", key: "type", of: (group) => group.type },
    ], groups);
    return EXIT_OK;
  },
});

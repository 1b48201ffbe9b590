/**
 * `gregor group delete`.
 *
 * @module
 */

import { DELETE_GROUPS } from "../wire/generated/apis.ts";
import { newDeleteGroupsRequest } from "../wire/generated/delete_groups_request.ts";
import { brokerRefusal } from "./client/outcome.ts";
import { CLIENT_FLAGS, withCluster } from "./client_flags.ts";
import { command } from "./command.ts";
import { EXIT_OK } from "./exit_codes.ts";
import { eachName } from "./failure.ts";

export const definition = command({
  name: "group delete",
  about: "Deletes groups that have no members, with all their committed offsets.",
  positionals: [{ name: "GROUP", help: "Names of the groups", required: true, many: true }],
  flags: CLIENT_FLAGS,
  examples: [{ line: "group delete billing", says: "One group:" }],
  run: async ({ values, args, terminal }) => {
    await withCluster(values, async (cluster) => {
      await eachName(args, async (name) => {
        await cluster.retrying(async () => {
          const { connection } = await cluster.coordinator(name);
          const request = newDeleteGroupsRequest({ groupsNames: [name] });
          for (const one of (await connection.call(DELETE_GROUPS, request)).results) {
            if (one.errorCode !== 0) {
              throw brokerRefusal(`delete group ${name}`, one.errorCode, one.errorMessage);
            }
          }
        });
        terminal.remark(`Group ${name} deleted.\n`);
      });
    });
    return EXIT_OK;
  },
});

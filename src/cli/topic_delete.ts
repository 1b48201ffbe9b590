/**
 * `gregor topic delete`.
 *
 * @module
 */

import { DELETE_TOPICS } from "../wire/generated/apis.ts";
import {
  newDeleteTopicsRequest,
  newDeleteTopicState,
} from "../wire/generated/delete_topics_request.ts";
import { brokerRefusal } from "./client/outcome.ts";
import { CLIENT_FLAGS, withCluster } from "./client_flags.ts";
import { command } from "./command.ts";
import { EXIT_OK } from "./exit_codes.ts";
import { throwAll } from "./failure.ts";

/** The first version that takes names or ids in one list. */
const DELETE_TOPICS_STATES = 6;

export const definition = command({
  name: "topic delete",
  about: "Deletes topics and all their records, at once and for good.",
  positionals: [{ name: "NAME", help: "Names of the topics", required: true, many: true }],
  flags: CLIENT_FLAGS,
  examples: [{ line: "topic delete orders", says: "One topic:" }],
  run: async ({ values, args, terminal }) => {
    await withCluster(values, async (cluster) => {
      const response = await cluster.callController(async (controller) => {
        const listed = controller.versionOf(DELETE_TOPICS) >= DELETE_TOPICS_STATES;
        return await controller.call(
          DELETE_TOPICS,
          newDeleteTopicsRequest({
            ...(listed
              ? { topics: args.map((name) => newDeleteTopicState({ name })) }
              : { topicNames: [...args] }),
            timeoutMs: values.timeout,
          }),
        );
      }, ({ responses }) => responses.map(({ errorCode }) => errorCode));
      const refusals = [];
      for (const { name, errorCode, errorMessage } of response.responses) {
        if (errorCode === 0) terminal.remark(`Topic ${name} deleted.\n`);
        else refusals.push(brokerRefusal(`delete topic ${name}`, errorCode, errorMessage));
      }
      throwAll(refusals);
    });
    return EXIT_OK;
  },
});

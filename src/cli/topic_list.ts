/**
 * `gregor topic list`.
 *
 * @module
 */

import { CLIENT_FLAGS, FORMAT_FLAG, printRows, withCluster } from "./client_flags.ts";
import { command } from "./command.ts";
import { EXIT_OK } from "./exit_codes.ts";
import { toggle } from "./flags.ts";

export const definition = command({
  name: "topic list",
  about: "Lists topics with their partitions and replicas.",
  positionals: [],
  flags: {
    ...CLIENT_FLAGS,
    "internal": toggle({ help: "Show internal topics too (__consumer_offsets and the like)" }),
    ...FORMAT_FLAG,
  },
  examples: [
    { line: "topic list", says: "All topics:" },
    { line: "topic list --format json | jq -r '.[].name'", says: "Their names alone:" },
  ],
  run: async ({ values, terminal }) => {
    const { topics } = await withCluster(values, (cluster) => cluster.places(null));
    const shown = topics.filter((topic) => values.internal || !topic.isInternal);
    if (shown.length === 0 && values.format === "table") {
      terminal.remark("There are no topics yet; `gregor topic create NAME` creates one.\n");
      return EXIT_OK;
    }
    printRows(terminal, values.format, [
      { heading: "TOPIC", key: "name", of: (topic) => topic.name },
      {
        heading: "PARTITIONS",
        isNumber: true,
        key: "partitions",
        of: (topic) => topic.partitions.length,
      },
      {
        heading: "REPLICAS",
        isNumber: true,
        key: "replicas",
        of: (topic) => topic.partitions[0]?.replicas.length ?? 0,
      },
    ], shown);
    return EXIT_OK;
  },
});

/**
 * `gregor generate prometheus-rules`.
 *
 * @module
 */

import { prometheusRules } from "../admin/alerts.ts";
import { command } from "./command.ts";
import { EXIT_OK } from "./exit_codes.ts";
import { text } from "./flags.ts";

export const definition = command({
  name: "generate prometheus-rules",
  about:
    "Prints alerts for Prometheus as a file of rules. Each links to the section of the runbook that " +
    "says what to do.",
  positionals: [],
  flags: {
    "job": text({
      value: "NAME",
      default: "gregor",
      help: "The job of the nodes in Prometheus' configuration",
    }),
    "runbook": text({
      value: "URL",
      default: "docs/OPERATIONS.md",
      help: "Where the runbook is",
    }),
  },
  examples: [{ line: "generate prometheus-rules > gregor.rules.yml", says: "To a file:" }],
  run: ({ values, terminal }) => {
    terminal.out(prometheusRules(values.job, values.runbook));
    return Promise.resolve(EXIT_OK);
  },
});

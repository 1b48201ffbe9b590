/**
 * `gregor start`.
 *
 * @module
 */

import { command } from "./command.ts";
import { EXIT_HOST_UNFIT } from "./exit_codes.ts";
import { Failure } from "./failure.ts";
import { inspectHost } from "./host.ts";
import { START, startOptions } from "./start_options.ts";

export const definition = command({
  ...START,
  run: ({ values }) => {
    const options = startOptions(values, inspectHost());
    throw new Failure(EXIT_HOST_UNFIT, `this build has no broker for ${options.cores} cores`);
  },
});

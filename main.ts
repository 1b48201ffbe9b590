/**
 * Gregor's one entry: argument vector to command, nothing else.
 *
 * @module
 */

import { runCommandLine } from "./src/cli/run.ts";
import { processTerminal } from "./src/cli/terminal.ts";

Deno.exit(await runCommandLine(Deno.args, processTerminal(Deno.exit)));

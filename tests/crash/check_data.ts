/**
 * `gregor check` on the files of a broker that does not run.
 *
 * @module
 */

import { gregorCommand } from "../harness/broker.ts";

export interface CheckResult {
  readonly code: number;
  readonly output: string;
}

/** Runs `gregor check` to its end. */
export async function checkData(dataDir: string): Promise<CheckResult> {
  const [program, ...args] = gregorCommand();
  const { code, stdout, stderr } = await new Deno.Command(program!, {
    args: [...args, "check", `--data-dir=${dataDir}`],
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return { code, output: decoder.decode(stdout) + decoder.decode(stderr) };
}

/**
 * `gregor check` on the files of a broker that does not run.
 *
 * @module
 */

import { gregorCommand, within } from "../harness/broker.ts";

const CHECK_MS = 120_000;

export interface CheckResult {
  readonly code: number;
  readonly output: string;
}

/** Runs `gregor check` to its end; throws when that does not come. */
export async function checkData(dataDir: string): Promise<CheckResult> {
  const [program, ...args] = gregorCommand();
  const child = new Deno.Command(program!, {
    args: [...args, "check", `--data-dir=${dataDir}`],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const result = await within(child.output(), CHECK_MS);
  if (result === null) {
    child.kill("SIGKILL");
    throw new Error(`gregor check runs for more than ${CHECK_MS} ms`);
  }
  const { code, stdout, stderr } = result;
  const decoder = new TextDecoder();
  return { code, output: decoder.decode(stdout) + decoder.decode(stderr) };
}

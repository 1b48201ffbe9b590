/**
 * Runs a `gregor` command to its end, as a person would.
 *
 * @module
 */

import { gregorCommand, within } from "../harness/broker.ts";

const COMMAND_MS = 60_000;

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Throws when the command does not end. */
export async function gregor(args: readonly string[], stdin = ""): Promise<CommandResult> {
  const [program, ...first] = gregorCommand();
  const child = new Deno.Command(program!, {
    args: [...first, ...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  // One that reads nothing may have ended by now.
  await writer.write(new TextEncoder().encode(stdin)).catch(() => {});
  await writer.close().catch(() => {});
  const result = await within(child.output(), COMMAND_MS);
  if (result === null) {
    child.kill("SIGKILL");
    throw new Error(`gregor ${args.join(" ")} runs for more than ${COMMAND_MS} ms`);
  }
  const decoder = new TextDecoder();
  return {
    code: result.code,
    stdout: decoder.decode(result.stdout),
    stderr: decoder.decode(result.stderr),
  };
}

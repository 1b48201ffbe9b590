/**
 * A broker as a child process of a command: its ready line, its log on this terminal, its end.
 *
 * The child leads a process group of its own: Ctrl-C reaches the command alone, which decides who stops when. When the
 * command itself is killed, the child notices and stops (`launcher.ts`).
 *
 * @module
 */

import { build } from "../io/packed.ts";
import type { Terminal } from "./terminal.ts";

/** As `deno task start` runs a broker. */
export const V8_FLAGS = "--v8-flags=--min-semi-space-size=4,--max-semi-space-size=4";

/** How a broker ended. */
export interface LocalExit {
  readonly node: number;
  readonly pid: number;
  readonly code: number;
  readonly signal: string | null;
}

export class LocalBroker {
  readonly node: number;
  /** Its ready line; never settles when there is none. */
  readonly ready: Promise<string>;
  readonly exited: Promise<LocalExit>;
  readonly #child: Deno.ChildProcess;
  #isOver = false;

  /** @param flags of `gregor start` */
  constructor(node: number, flags: readonly string[], terminal: Terminal) {
    this.node = node;
    // A program that was built starts by itself; the runtime has to be told what to run.
    const program = build() === null ? ["run", "-A", V8_FLAGS, Deno.mainModule] : [];
    this.#child = new Deno.Command(Deno.execPath(), {
      args: [...program, "start", ...flags],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      detached: true,
    }).spawn();
    let tellReady: (line: string) => void = () => {};
    this.ready = new Promise((resolve) => tellReady = resolve);
    const output = Promise.all([
      eachLine(this.#child.stdout, tellReady),
      eachLine(this.#child.stderr, (line) => terminal.remark(`node ${node} | ${line}\n`)),
    ]);
    this.exited = this.#child.status.then(async ({ code, signal }) => {
      // Its last words come before the news of its end.
      await output;
      this.#isOver = true;
      return { node, pid: this.#child.pid, code, signal };
    });
  }

  /** It has ended, and everything that it wrote was passed on. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Asks it to stop; `exited` follows. */
  stop(): void {
    try {
      this.#child.kill("SIGTERM");
    } catch (error) {
      // It has ended already.
      if (!(error instanceof Deno.errors.NotFound) && !(error instanceof TypeError)) throw error;
    }
  }
}

/** How it ended, for people. */
export function describeExit({ code, signal }: LocalExit): string {
  return signal === null ? `exit code ${code}` : `killed by ${signal}`;
}

async function eachLine(
  output: ReadableStream<Uint8Array>,
  take: (line: string) => void,
): Promise<void> {
  let rest = "";
  for await (const chunk of output.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop()!;
    for (const line of lines) take(line);
  }
  if (rest !== "") take(rest);
}

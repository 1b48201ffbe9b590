/**
 * A child program that prints JSON lines: run to its end, or watched while it lives.
 *
 * The child leads a process group of its own and is killed with it, so that a wrapper's own children
 * (kcat) die too.
 *
 * @module
 */

import { within } from "./broker.ts";

export type JsonLine = Readonly<Record<string, unknown>>;

const STDERR_CHARACTERS_MAX = 16 * 1024;

export class Program {
  readonly command: readonly string[];
  readonly lines: JsonLine[] = [];
  /** Settles with the exit code when the process is gone and its output read. */
  readonly exited: Promise<number>;
  #alive = true;
  #stderr = "";
  readonly #child: Deno.ChildProcess;
  readonly #onLine: (line: JsonLine) => void;

  constructor(command: readonly string[], onLine: (line: JsonLine) => void = () => {}) {
    this.command = command;
    this.#onLine = onLine;
    this.#child = new Deno.Command(command[0]!, {
      args: command.slice(1),
      env: { NO_COLOR: "1" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      detached: true,
    }).spawn();
    this.exited = this.#watch();
  }

  get alive(): boolean {
    return this.#alive;
  }

  get lastLine(): JsonLine | undefined {
    return this.lines.at(-1);
  }

  /** The command, its last line and its stderr: the body of a failure's message. */
  get story(): string {
    return `${this.command.join(" ")}\n${JSON.stringify(this.lastLine)}\n${this.#stderr.trimEnd()}`;
  }

  terminate(): void {
    if (this.#alive) Deno.kill(this.#child.pid, "SIGTERM");
  }

  /** SIGKILL to the whole group. */
  async kill(): Promise<void> {
    if (this.#alive) Deno.kill(-this.#child.pid, "SIGKILL");
    await this.exited;
  }

  async #watch(): Promise<number> {
    const output = Promise.all([this.#readLines(), this.#readStderr()]);
    const { code } = await this.#child.status;
    this.#alive = false;
    await output;
    return code;
  }

  async #readLines(): Promise<void> {
    let rest = "";
    for await (const text of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        if (!line.startsWith("{")) continue;
        const parsed = JSON.parse(line) as JsonLine;
        this.lines.push(parsed);
        this.#onLine(parsed);
      }
    }
  }

  async #readStderr(): Promise<void> {
    for await (const text of this.#child.stderr.pipeThrough(new TextDecoderStream())) {
      this.#stderr = (this.#stderr + text).slice(-STDERR_CHARACTERS_MAX);
    }
  }
}

/** Runs a program to its end and returns its result line; throws when it failed or took too long. */
export async function runProgram(command: readonly string[], timeoutMs: number): Promise<JsonLine> {
  const program = new Program(command);
  const code = await within(program.exited, timeoutMs);
  if (code === null) {
    await program.kill();
    throw new Error(`Not done after ${timeoutMs} ms: ${program.story}`);
  }
  const result = program.lastLine;
  if (code !== 0 || result?.["ok"] !== true) throw new Error(`Exit code ${code}: ${program.story}`);
  return result;
}

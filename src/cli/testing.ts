/**
 * A terminal made of strings, for tests of commands.
 *
 * @module
 */

import { runCommandLine } from "./run.ts";
import type { Terminal } from "./terminal.ts";

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly remarks: string;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** All of it, or as it comes. */
  readonly stdin?: string | ReadableStream<Uint8Array>;
  readonly isInteractive?: boolean;
  /** Interrupts the command as Ctrl-C does, once its output contains this. */
  readonly interruptAt?: string;
}

/** Runs `gregor ARGV` in this process; gives what it printed and its exit code. */
export async function runGregor(argv: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const out: Uint8Array[] = [];
  const remarks: string[] = [];
  let interrupt = (): void => {};
  const print = (bytes: Uint8Array): void => {
    out.push(bytes);
    if (options.interruptAt === undefined) return;
    if (new TextDecoder().decode(bytes).includes(options.interruptAt)) interrupt();
  };
  const terminal: Terminal = {
    env: options.env ?? {},
    isInteractive: options.isInteractive === true,
    canRedraw: false,
    columns: 100,
    stdin: options.stdin instanceof ReadableStream
      ? options.stdin
      : new Blob([options.stdin ?? ""]).stream(),
    out: (text) => print(new TextEncoder().encode(text)),
    outBytes: (bytes) => Promise.resolve(print(bytes)),
    remark: (text) => remarks.push(text),
    onInterrupt: (stop) => {
      interrupt = stop;
      return () => interrupt = () => {};
    },
  };
  const code = await runCommandLine(argv, terminal);
  const bytes = await new Blob(out as BlobPart[]).bytes();
  return { code, out: new TextDecoder().decode(bytes), remarks: remarks.join("") };
}

/**
 * Where a command reads and writes: the process's streams in production, strings in tests.
 *
 * Answers go to stdout, everything else (progress, warnings, errors) to stderr, so that a pipe only
 * ever sees answers.
 *
 * @module
 */

import { EXIT_INTERRUPTED } from "../base/exit_codes.ts";

/** A task runner delivers an interrupt twice; a person who insists does it later than this (ms). */
const SECOND_SIGNAL_MS = 500;

export interface Terminal {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** stdout is a terminal: progress and colour are welcome. */
  readonly isInteractive: boolean;
  /** Columns to lay text out in. */
  readonly columns: number;
  readonly stdin: ReadableStream<Uint8Array>;
  /** Writes an answer as it is, with no line end added. */
  out(text: string): void;
  /** Writes bytes to stdout and waits until they are taken. */
  outBytes(bytes: Uint8Array): Promise<void>;
  /** Writes a remark to stderr as it is. */
  remark(text: string): void;
  /** stderr is a terminal: a line may be overwritten. */
  readonly canRedraw: boolean;
  /** Calls `stop` at the first SIGINT or SIGTERM; one that comes well after it ends the process at once. */
  onInterrupt(stop: () => void): () => void;
}

/** The streams of this process. */
export function processTerminal(exit: (code: number) => never): Terminal {
  const encoder = new TextEncoder();
  const writeAll = (to: { writeSync(bytes: Uint8Array): number }, bytes: Uint8Array): void => {
    let at = 0;
    while (at < bytes.length) at += to.writeSync(bytes.subarray(at));
  };
  return {
    env: Deno.env.toObject(),
    isInteractive: Deno.stdout.isTerminal(),
    canRedraw: Deno.stderr.isTerminal(),
    columns: Deno.stdout.isTerminal() ? Deno.consoleSize().columns : 100,
    stdin: Deno.stdin.readable,
    out: (text) => writeAll(Deno.stdout, encoder.encode(text)),
    outBytes: async (bytes) => {
      let at = 0;
      while (at < bytes.length) at += await Deno.stdout.write(bytes.subarray(at));
    },
    remark: (text) => writeAll(Deno.stderr, encoder.encode(text)),
    onInterrupt: (stop) => {
      let firstMs = -1;
      const onSignal = (): void => {
        const nowMs = performance.now();
        if (firstMs < 0) {
          firstMs = nowMs;
          stop();
        } else if (nowMs - firstMs > SECOND_SIGNAL_MS) exit(EXIT_INTERRUPTED);
      };
      Deno.addSignalListener("SIGINT", onSignal);
      Deno.addSignalListener("SIGTERM", onSignal);
      return () => {
        Deno.removeSignalListener("SIGINT", onSignal);
        Deno.removeSignalListener("SIGTERM", onSignal);
      };
    },
  };
}

/** Bold where it can be seen; plain in pipes, files and under NO_COLOR. */
export function bold(terminal: Terminal, text: string): string {
  return paint(terminal, text, "1");
}

/** Red where it can be seen. */
export function red(terminal: Terminal, text: string): string {
  return paint(terminal, text, "31");
}

/** Grey where it can be seen. */
export function dim(terminal: Terminal, text: string): string {
  return paint(terminal, text, "2");
}

function paint(terminal: Terminal, text: string, code: string): string {
  const wanted = terminal.isInteractive && (terminal.env["NO_COLOR"] ?? "") === "" &&
    terminal.env["TERM"] !== "dumb";
  return wanted ? `\x1b[${code}m${text}\x1b[0m` : text;
}

/**
 * Runs other programs from a script, and prints what runs, how long it took, and how it ended.
 *
 * @module
 */

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

export interface RunResult {
  readonly code: number;
  /** stdout and stderr, in the order they came within each. */
  readonly output: string;
  readonly seconds: number;
}

/** The repository's root, with a slash at its end. */
export const ROOT: string = new URL("..", import.meta.url).pathname;

/** Runs a program to its end, from the repository's root by default; a missing program is code 127. */
export async function run(
  command: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const startedMs = performance.now();
  const seconds = (): number => (performance.now() - startedMs) / 1000;
  try {
    const { code, stdout, stderr } = await new Deno.Command(command[0]!, {
      args: command.slice(1),
      cwd: options.cwd ?? ROOT,
      env: { NO_COLOR: "1", ...options.env },
      stdin: "null",
    }).output();
    const decoder = new TextDecoder();
    return { code, output: decoder.decode(stdout) + decoder.decode(stderr), seconds: seconds() };
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return { code: 127, output: `${command[0]}: not found`, seconds: seconds() };
  }
}

/** Whether a file or folder exists. `path` is absolute, or from the current folder. */
export function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/**
 * Deno's own way to one file. Whether its base can be had is found out by asking for it, and whether the result is
 * right by running it: a base that is no base (the whole of Deno, say) makes a file that behaves as Deno.
 *
 * @module
 */

import { run } from "../run.ts";
import { type BuildPlan, SIZE_MAX, writeEntry } from "./plan.ts";

/** @returns why the file was not made, or null */
export async function compileWithDeno(plan: BuildPlan): Promise<string | null> {
  const product = `${plan.folder}gregor-deno`;
  const made = await run([
    Deno.execPath(),
    "compile",
    "--quiet",
    "--no-check",
    ...plan.runtimeFlags,
    "--include=ffi/target/release/libgregor.so",
    "--include=src/shard/worker.ts",
    `--output=${product}`,
    writeEntry(plan, "main", "deno compile", 'import "../../main.ts";'),
  ]);
  if (made.code !== 0) return causesOf(made.output);
  const { size } = Deno.statSync(product);
  const asked = await run(["timeout", "30", product, "version", "--format", "json"], { cwd: "/" });
  const problem = productProblem(asked.code, asked.output, size, plan.commit);
  if (problem === null) Deno.renameSync(product, plan.output);
  else Deno.removeSync(product);
  return problem;
}

/**
 * What is wrong with a file that `gregor version --format json` was asked of, or null.
 *
 * @param output what it said
 * @param size of the file (bytes)
 */
export function productProblem(
  code: number,
  output: string,
  size: number,
  commit: string,
): string | null {
  let said: { commit?: unknown; lockedMemory?: unknown };
  try {
    said = JSON.parse(output);
  } catch {
    const line = lastLine(output);
    return `what it made does not answer as gregor (exit code ${code}, "${line}")`;
  }
  if (code !== 0 || said.commit !== commit) {
    return `what it made says that it is of commit ${said.commit}, not ${commit}`;
  }
  if (said.lockedMemory === "unknown") return "what it made cannot load its shim";
  if (size > SIZE_MAX) return `what it made has ${size} bytes, more than ${SIZE_MAX}`;
  return null;
}

/** Why Deno gave up: the causes that it lists, each of which repeats what is below it. */
export function causesOf(text: string): string {
  const lines = text.split("\n");
  const causes = lines.slice(0, lines.indexOf("Stack backtrace:") >>> 0)
    .flatMap((line) => /^\s+\d+: (.*)$/.exec(line)?.[1] ?? []);
  const own = causes.filter((cause, at) => !causes.slice(0, at).some((one) => one.endsWith(cause)));
  return own.length > 0 ? own.join(" ") : lastLine(text);
}

function lastLine(text: string): string {
  return text.trim().split("\n").at(-1)!.trim().slice(0, 200);
}

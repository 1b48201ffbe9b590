/**
 * `deno task compile`: makes `dist/gregor`, one file with everything inside, for Linux on x86_64.
 *
 * There are two ways. Deno's own (`deno compile`) needs a base that it downloads; ours needs nothing that is not
 * here, and its result needs nothing of the host (`docs/adr/0041-the-binary-unpacks-itself-into-memory.md`). Deno's is tried
 * first: its result is taken if it runs, is what was asked for, and is not too large.
 *
 * @module
 */

import { type BuildPlan, COMMAND_TIMEOUT_MS } from "./compile/plan.ts";
import { compileWithDeno } from "./compile/deno_compile.ts";
import { packWithLauncher } from "./compile/launcher.ts";
import { exists, ROOT, run } from "./run.ts";

const HELP = `deno task compile [--way launcher|deno-compile] [--output FILE]

Makes dist/gregor: the program, its runtime and all that it needs in one file.
  --way     deno-compile needs Deno's base (DENORT_BIN, its cache, or the network), launcher does not;
            without it, deno-compile is tried first
  --output  where the file goes; default dist/gregor
`;

async function main(args: readonly string[]): Promise<number> {
  let way: string | null = null;
  let output = `${ROOT}dist/gregor`;
  for (let at = 0; at < args.length; at += 2) {
    const value = args[at + 1];
    if (args[at] === "--way" && (value === "launcher" || value === "deno-compile")) way = value;
    else if (args[at] === "--output" && value !== undefined) output = value;
    else {
      console.error(HELP);
      return args[at] === "--help" ? 0 : 64;
    }
  }
  if (Deno.build.os !== "linux" || Deno.build.arch !== "x86_64") {
    console.error("The file is made on Linux on x86_64, for the same.");
    return 71;
  }
  const shim = await run([Deno.execPath(), "run", "-A", "scripts/build_shim.ts"]);
  if (shim.code !== 0) return giveUp(shim.output);
  const plan: BuildPlan = {
    folder: `${ROOT}dist/build/`,
    output,
    commit: await commit(),
    runtimeFlags: runtimeFlags(),
  };
  Deno.mkdirSync(plan.folder, { recursive: true });
  if (way !== "launcher") {
    const problem = await compileWithDeno(plan);
    if (problem === null) return report(plan, "deno compile");
    console.error(`Not by deno compile: ${problem}`);
    if (way === "deno-compile") return 1;
  }
  const problem = await packWithLauncher(plan);
  return problem === null ? report(plan, "launcher") : giveUp(problem);
}

function report({ output, commit }: BuildPlan, way: string): number {
  const mebibytes = (Deno.statSync(output).size / 2 ** 20).toFixed(1);
  console.log(`${output.replace(ROOT, "")}  ${mebibytes} MiB, by ${way}, of ${commit}`);
  return 0;
}

function giveUp(message: string): number {
  console.error(message.trimEnd());
  return 1;
}

/** The commit's hash, with "+" if files differ from it. */
async function commit(): Promise<string> {
  if (!exists(`${ROOT}.git`)) return "unknown";
  const head = await run(["git", "rev-parse", "HEAD"]);
  const changed = await run(["git", "status", "--porcelain"]);
  if (head.code !== 0) return "unknown";
  return head.output.trim() + (changed.output.trim() === "" ? "" : "+");
}

/** The flags with which `deno task gregor` runs the program: `-A`, and those of V8. */
function runtimeFlags(): string[] {
  const { tasks } = JSON.parse(Deno.readTextFileSync(`${ROOT}deno.json`)) as {
    tasks: { gregor: { command: string } };
  };
  const words = tasks.gregor.command.split("&&").at(-1)!.trim().split(/\s+/);
  return words.slice(words.indexOf("run") + 1, words.indexOf("main.ts"));
}

const timer = setTimeout(() => {
  console.error(`Not done after ${COMMAND_TIMEOUT_MS / 1000} s`);
  Deno.exit(1);
}, COMMAND_TIMEOUT_MS);
Deno.exitCode = await main(Deno.args);
clearTimeout(timer);

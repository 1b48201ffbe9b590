/**
 * Our own way to one file: the launcher (`ffi/launcher`), and behind it this Deno, the loader and libraries that it
 * needs, the bundled scripts and the shim.
 *
 * @module
 */

import { ROOT, run } from "../run.ts";
import { Compressor } from "./compressor.ts";
import { readImage } from "./elf.ts";
import { appendParts, Kind, type Part } from "./payload.ts";
import { type BuildPlan, SIZE_MAX, writeEntry } from "./plan.ts";

const TARGET = "x86_64-unknown-linux-gnu";
const SHIM = `${ROOT}ffi/target/release/libgregor.so`;

/** @returns why the file was not made, or null */
export async function packWithLauncher(plan: BuildPlan): Promise<string | null> {
  const launcher = await buildLauncher();
  if (launcher.problem !== null) return launcher.problem;
  const scripts: Part[] = [];
  for (
    const [kind, name, script] of [
      [Kind.MAIN, "main", MAIN],
      [Kind.WORKER, "worker", WORKER],
    ] as const
  ) {
    const bundle = `${plan.folder}${name}.js`;
    const problem = await makeBundle(writeEntry(plan, name, "launcher", script), bundle);
    if (problem !== null) return problem;
    const code = functionBody(Deno.readTextFileSync(bundle), `gregor/${name}.js`);
    if (code === null) return "deno bundle makes another header than it did; see functionBody()";
    scripts.push({ kind, name: `${name}.js`, content: new TextEncoder().encode(code) });
  }
  const needed = await neededFiles([Deno.execPath(), SHIM]);
  if (typeof needed === "string") return needed;
  const image = (kind: Part["kind"], name: string, path: string): Part => {
    const content = Deno.readFileSync(path);
    return { kind, name, content, image: readImage(content, path) };
  };
  const words = ["deno", "run", ...RUN_FLAGS, ...plan.runtimeFlags, "{main}"];
  const parts: Part[] = [
    image(Kind.PROGRAM, "deno", Deno.execPath()),
    image(Kind.LOADER, "loader", needed.loader),
    ...needed.libraries.map((path) => {
      const name = path.slice(path.lastIndexOf("/") + 1);
      return { kind: Kind.LIBRARY, name, content: Deno.readFileSync(path) };
    }),
    { kind: Kind.SHIM, name: "libgregor.so", content: Deno.readFileSync(SHIM) },
    ...scripts,
    {
      kind: Kind.ARGUMENTS,
      name: "arguments",
      content: new TextEncoder().encode(words.map((word) => `${word}\0`).join("")),
    },
  ];
  const unfinished = `${plan.folder}gregor`;
  Deno.copyFileSync(launcher.path, unfinished);
  Deno.chmodSync(unfinished, 0o755);
  const sizes = await appendParts(unfinished, parts, new Compressor(`${plan.folder}frames`));
  for (const { name, bytes, packed } of sizes) {
    console.error(`${name.padEnd(24)} ${String(bytes).padStart(9)} ${String(packed).padStart(9)}`);
  }
  const { size } = Deno.statSync(unfinished);
  if (size > SIZE_MAX) return `The file has ${size} bytes, more than ${SIZE_MAX}.`;
  Deno.renameSync(unfinished, plan.output);
  return null;
}

/** The runtime looks for no configuration, asks for nothing, fetches nothing, keeps nothing. */
const RUN_FLAGS = [
  "--quiet",
  "--no-config",
  "--no-lock",
  "--no-remote",
  "--no-npm",
  "--no-prompt",
  "--no-check",
  "--no-code-cache",
  "--ext=js",
];

/** As `main.ts`, without waiting at the top: a function's body cannot. */
const MAIN = `import { runCommandLine } from "../../src/cli/run.ts";
import { processTerminal } from "../../src/cli/terminal.ts";
runCommandLine(Deno.args, processTerminal(Deno.exit)).then(Deno.exit);`;
const WORKER = 'import "../../src/shard/worker.ts";';

/** The bundler comes from npm at its first use; a download may hang. */
const BUNDLE_SECONDS = 90;
const BUNDLE_ATTEMPTS = 3;

/** One script of a module and all that it imports, to be run as the body of a function. */
async function makeBundle(entry: string, bundle: string): Promise<string | null> {
  const bounded = ["timeout", String(BUNDLE_SECONDS), Deno.execPath()];
  const flags = ["bundle", "--quiet", "--platform=deno", "--format=iife"];
  for (let attempt = 1;; attempt++) {
    const made = await run([...bounded, ...flags, `--output=${bundle}`, entry]);
    if (made.code === 0) return null;
    if (attempt === BUNDLE_ATTEMPTS) return `deno bundle failed (${made.code}):\n${made.output}`;
  }
}

/** What the bundler puts before a script for modules of the runtime; outside a module it has no meaning. */
const REQUIRE =
  /^ *import \{ createRequire as (\w+) \} from "node:module";\n *var __require = \1\(import\.meta\.url\);$/m;

/**
 * A bundle as the body of a function with the parameter `require`; null when it is none.
 *
 * @param name that stack traces show
 */
export function functionBody(bundle: string, name: string): string | null {
  const body = bundle.replace(REQUIRE, "var __require = require;");
  if (/^ *(?:import|export)\b[^(]*$/m.test(body.slice(0, 4096))) return null;
  return `"use strict";\n${body}\n//# sourceURL=${name}\n`;
}

/** A static program: it runs where there is no loader. */
async function buildLauncher(): Promise<
  { readonly path: string; readonly problem: null } | { readonly problem: string }
> {
  const folder = `${ROOT}ffi/launcher`;
  const built = await run(
    ["cargo", "build", "--release", "--locked", "--quiet", `--target=${TARGET}`],
    { cwd: folder, env: { RUSTFLAGS: "-C target-feature=+crt-static" } },
  );
  if (built.code !== 0) return { problem: `Cannot build the launcher:\n${built.output}` };
  return { path: `${folder}/target/${TARGET}/release/gregor-launcher`, problem: null };
}

/** The loader and the libraries that `programs` need, as this machine has them; a message when one is missing. */
async function neededFiles(
  programs: readonly string[],
): Promise<{ readonly loader: string; readonly libraries: readonly string[] } | string> {
  const libraries = new Map<string, string>();
  let loader = "";
  for (const program of programs) {
    const listed = await run(["ldd", program]);
    if (listed.code !== 0) return `ldd ${program} failed:\n${listed.output}`;
    for (const line of listed.output.split("\n")) {
      const [, name, path] = /^\s*(\S+) => (\S+) \(0x/.exec(line) ?? [];
      if (name !== undefined && path !== undefined) libraries.set(name, Deno.realPathSync(path));
      else if (line.includes("not found")) return `A library is missing: ${line.trim()}`;
      loader = /^\s*(\/\S*ld-linux\S*) \(0x/.exec(line)?.[1] ?? loader;
    }
  }
  if (loader === "") return `ldd names no loader of ${programs.join(", ")}`;
  return { loader: Deno.realPathSync(loader), libraries: [...libraries.values()] };
}

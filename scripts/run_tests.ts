/**
 * `deno task test [SUITE...]`: installs what the tests need, then runs every suite, or the named ones.
 *
 * Suites run one after the other, cheap ones first; their output is passed on as it comes. The last line is
 * the sum over all of them, `N passed, N failed, N skipped`, and the exit code is 1 if anything failed.
 * Types are not checked here: that is `deno task ok`. (The file is not called `test.ts`, because
 * `deno test scripts/` would take it for a test and run it inside itself.)
 *
 * @module
 */

import { installClients } from "./install_clients.ts";
import { exists, ROOT } from "./run.ts";
import { add, countTests, NO_TESTS, type TestCounts } from "./test_summary.ts";

interface Suite {
  readonly name: string;
  readonly command: readonly string[];
  readonly timeoutMs: number;
}

const MINUTE_MS = 60_000;
const deno = Deno.execPath();
const LOCK = ["--lock=tests/deno.lock", "--frozen"];
const DENO_TEST = [deno, "test", "--allow-all", "--no-check", "--quiet", ...LOCK];

/** Whole brokers or whole clusters: one after the other, after the unit tests, in this order. */
const LARGE_SUITES = ["sim", "conformance", "crash", "binary", "cluster", "clients", "bench"];
/** These drive real clients. */
const WITH_CLIENTS = new Set(["binary", "clients"]);
/** These share the process's one memory region, so that two files of them cannot run at once. */
const RING_TESTS = "src/io/";
const NO_SUITE = new Set(LARGE_SUITES);

function suites(): Suite[] {
  const found: Suite[] = [];
  if (exists(`${ROOT}ffi/Cargo.toml`)) {
    found.push({
      name: "shim",
      command: ["cargo", "test", "--locked", "--manifest-path", "ffi/Cargo.toml"],
      timeoutMs: 10 * MINUTE_MS,
    });
  }
  if (exists(`${ROOT}ffi/launcher/Cargo.toml`)) {
    found.push({
      name: "launcher",
      command: ["cargo", "test", "--locked", "--manifest-path", "ffi/launcher/Cargo.toml"],
      timeoutMs: 10 * MINUTE_MS,
    });
  }
  const unitFolders = [
    ...sourceFolders().filter((folder) => folder !== RING_TESTS),
    "scripts/",
    ...testFolders().filter((name) => !NO_SUITE.has(name)).map(folderOf),
  ];
  found.push({
    name: "unit",
    command: [...DENO_TEST, "--parallel", ...unitFolders],
    timeoutMs: 10 * MINUTE_MS,
  });
  found.push({ name: "ring", command: [...DENO_TEST, RING_TESTS], timeoutMs: 5 * MINUTE_MS });
  for (const name of LARGE_SUITES) {
    if (!testFolders().includes(name)) continue;
    // A simulation has one thread, and shares nothing with others. CI runs very many of them.
    const parallel = name === "sim" ? ["--parallel"] : [];
    found.push({
      name,
      command: [...DENO_TEST, ...parallel, folderOf(name)],
      timeoutMs: (name === "sim" ? 40 : 20) * MINUTE_MS,
    });
  }
  return found;
}

function folderOf(name: string): string {
  return `tests/${name}/`;
}

function sourceFolders(): string[] {
  return [...Deno.readDirSync(`${ROOT}src`)].filter(({ isDirectory }) => isDirectory)
    .map(({ name }) => `src/${name}/`).sort();
}

/** Folders of tests/ that hold a test file at any depth. */
function testFolders(): string[] {
  return [...Deno.readDirSync(`${ROOT}tests`)]
    .filter(({ isDirectory, name }) => isDirectory && holdsTests(`${ROOT}tests/${name}`))
    .map(({ name }) => name).sort();
}

function holdsTests(folder: string): boolean {
  return [...Deno.readDirSync(folder)].some(({ name, isDirectory }) => {
    if (!isDirectory) return name.endsWith("_test.ts");
    return name !== "node_modules" && name !== ".cache" && holdsTests(`${folder}/${name}`);
  });
}

/** Runs a suite, passing its output on; kills it when it takes too long. */
async function runSuite({ command, timeoutMs }: Suite): Promise<TestCounts> {
  const child = new Deno.Command(command[0]!, {
    args: command.slice(1),
    cwd: ROOT,
    env: { NO_COLOR: "1", DENO_JOBS: "2" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    detached: true,
  }).spawn();
  const killGroup = (): void => Deno.kill(-child.pid, "SIGKILL");
  const interrupt = (): never => {
    killGroup();
    Deno.exit(130);
  };
  Deno.addSignalListener("SIGINT", interrupt);
  Deno.addSignalListener("SIGTERM", interrupt);
  const timer = setTimeout(() => {
    console.error(`Killed after ${timeoutMs / MINUTE_MS} minutes`);
    killGroup();
  }, timeoutMs);
  const [output] = await Promise.all([
    passOn(child.stdout, Deno.stdout),
    passOn(child.stderr, Deno.stderr),
  ]);
  const { code } = await child.status;
  clearTimeout(timer);
  Deno.removeSignalListener("SIGINT", interrupt);
  Deno.removeSignalListener("SIGTERM", interrupt);
  return countTests(output, code);
}

async function passOn(
  from: ReadableStream<Uint8Array>,
  to: { writeSync(bytes: Uint8Array): number },
): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of from) {
    for (let at = 0; at < chunk.length;) at += to.writeSync(chunk.subarray(at));
    text += decoder.decode(chunk, { stream: true });
  }
  return text;
}

async function main(): Promise<void> {
  const all = suites();
  const unknown = Deno.args.filter((name) => !all.some((suite) => suite.name === name));
  if (unknown.length > 0) {
    console.error(`No suite ${unknown.join(", ")}: ${all.map(({ name }) => name).join(", ")}`);
    Deno.exit(64);
  }
  const chosen = all.filter(({ name }) => Deno.args.length === 0 || Deno.args.includes(name));

  const shim = await new Deno.Command(deno, {
    args: ["run", "--allow-all", "scripts/build_shim.ts"],
    cwd: ROOT,
    stdin: "null",
  }).spawn().status;
  if (!shim.success) Deno.exit(shim.code);
  if (chosen.some(({ name }) => WITH_CLIENTS.has(name))) await installClients();

  let sum = NO_TESTS;
  for (const suite of chosen) {
    console.log(`suite ${suite.name}`);
    const startedMs = performance.now();
    const counts = await runSuite(suite);
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
    const verdict = counts.failed === 0 ? "ok" : `${counts.failed} FAILED`;
    console.log(`suite ${suite.name}: ${verdict}, ${counts.passed} tests in ${seconds} s\n`);
    sum = add(sum, counts);
  }
  console.log(`${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped`);
  Deno.exitCode = sum.failed === 0 ? 0 : 1;
}

await main();

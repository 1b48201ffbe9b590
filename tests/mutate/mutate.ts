/**
 * `deno task mutate [--seeds N] [--only WORDS]`: puts one deliberate bug after the other into a copy of the
 * sources, and runs the storage's simulation on it until a seed fails; or the directed test that the bug names.
 *
 * One line per bug: which seed or test caught it, and as what. Exit code 1 when one survives, or no longer applies.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { ROOT } from "../../scripts/run.ts";
import { type DirectedTest, type Mutation, MUTATIONS } from "./mutations.ts";

/** Bugs hunted at once. */
const WORKERS = 2;
/** A seed that takes longer does not end, which is a way to be caught (ms). */
const SEED_TIMEOUT_MS = 60_000;
const SEEDS_DEFAULT = 400;
/** A directed test that takes longer does not end (ms). */
const TEST_TIMEOUT_MS = 300_000;
const COPIED = [
  "src",
  "tests/sim",
  "tests/mutate",
  "tests/harness",
  "tests/conformance/records",
  "deno.json",
];
const SHIM = "ffi/target/release/libgregor.so";

/** What bugs are put into, and what hunts them there. */
export interface Prey {
  /** The folder that the files of edits are below. */
  readonly sources: string;
  /** Runs seeds until one fails (`hunt.ts`). */
  readonly hunter: string;
  /** What the hunter is to try for a mutation, in this order. */
  readonly tries: (mutation: Mutation, seeds: number) => readonly string[];
  /** A seed that takes longer does not end, which is a way to be caught (ms). */
  readonly seedTimeoutMs: number;
}

export const STORAGE: Prey = {
  sources: "src/storage",
  hunter: "tests/mutate/hunt.ts",
  tries: ({ seed }, seeds) => [...(seed === undefined ? [] : [`${seed}`]), `1-${seeds}`],
  seedTimeoutMs: SEED_TIMEOUT_MS,
};

export interface Verdict {
  readonly mutation: Mutation;
  readonly outcome: "caught" | "survived" | "stale";
  /** For people: the seed and what failed, or the file whose snippet is not there. */
  readonly detail: string;
  readonly seconds: number;
}

/** Hunts each mutation with the seeds from 1 on; `told` is called as verdicts come. */
export async function hunt(
  mutations: readonly Mutation[],
  seeds: number,
  told: (verdict: Verdict) => void,
  prey = STORAGE,
): Promise<Verdict[]> {
  const queue = mutations.slice();
  const verdicts: Verdict[] = [];
  const work = async (): Promise<void> => {
    const tree = await copyTree();
    try {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        const verdict = await hunted(tree, next, seeds, prey);
        verdicts.push(verdict);
        told(verdict);
      }
    } finally {
      await Deno.remove(tree, { recursive: true });
    }
  };
  await Promise.all(Array.from({ length: WORKERS }, work));
  return verdicts;
}

/** How the sources as they are fail what the hunter is to try; null: they hold, so that what fails it is a bug's doing. */
export async function failureWithout(
  tries: readonly string[],
  prey: Prey,
): Promise<string | null> {
  const tree = await copyTree();
  try {
    return await runHunter(tree, prey, tries);
  } finally {
    await Deno.remove(tree, { recursive: true });
  }
}

async function copyTree(): Promise<string> {
  const tree = await Deno.makeTempDir({ prefix: "gregor-mutate-" });
  await Deno.mkdir(`${tree}/tests`);
  await Deno.mkdir(`${tree}/tests/conformance`);
  for (const path of COPIED) await copy(`${ROOT}${path}`, `${tree}/${path}`);
  await Deno.mkdir(`${tree}/ffi/target/release`, { recursive: true });
  await Deno.symlink(`${ROOT}${SHIM}`, `${tree}/${SHIM}`);
  return tree;
}

async function copy(from: string, to: string): Promise<void> {
  if (!(await Deno.stat(from)).isDirectory) return await Deno.copyFile(from, to);
  await Deno.mkdir(to);
  for await (const { name } of Deno.readDir(from)) await copy(`${from}/${name}`, `${to}/${name}`);
}

/** Applies a mutation to a copy of the tree, runs it, and puts the sources back. */
async function hunted(
  tree: string,
  mutation: Mutation,
  seeds: number,
  prey: Prey,
): Promise<Verdict> {
  const startedMs = performance.now();
  const seconds = (): number => (performance.now() - startedMs) / 1000;
  const originals = new Map<string, string>();
  try {
    for (const { file, find, by } of mutation.edits) {
      const path = `${tree}/${prey.sources}/${file}`;
      const source = await Deno.readTextFile(path);
      if (!originals.has(path)) originals.set(path, source);
      if (source.split(find).length !== 2) {
        return { mutation, outcome: "stale", detail: `not found once in ${file}`, seconds: 0 };
      }
      await Deno.writeTextFile(path, source.replace(find, () => by));
    }
    const { test } = mutation;
    const detail = test === undefined
      ? await runHunter(tree, prey, prey.tries(mutation, seeds))
      : await runTest(tree, test);
    const outcome = detail === null ? "survived" : "caught";
    const tried = test === undefined ? `${seeds} seeds` : `"${test.name}"`;
    return { mutation, outcome, detail: detail ?? tried, seconds: seconds() };
  } finally {
    for (const [path, source] of originals) await Deno.writeTextFile(path, source);
  }
}

/** The seed that failed and why, or null when none did. */
async function runHunter(
  tree: string,
  { hunter, seedTimeoutMs }: Prey,
  ranges: readonly string[],
): Promise<string | null> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--no-check",
      "--quiet",
      "--no-lock",
      `${tree}/${hunter}`,
      ...ranges,
    ],
    cwd: tree,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const errors = new Response(child.stderr).text();
  let seed = "";
  let result = "";
  let isStuck = false;
  const giveUp = (): void => {
    isStuck = true;
    child.kill("SIGKILL");
  };
  let timer = setTimeout(giveUp, seedTimeoutMs);
  let rest = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      clearTimeout(timer);
      timer = setTimeout(giveUp, seedTimeoutMs);
      if (line.startsWith("try ")) seed = line.slice("try ".length);
      else result = line;
    }
  }
  clearTimeout(timer);
  const { success } = await child.status;
  const stderr = await errors;
  if (isStuck) return `seed ${seed}: does not end`;
  if (!success) throw new Error(`The hunter failed at seed ${seed}: ${stderr}`);
  if (result === "survived") return null;
  const [, caught, reason] = /^caught (\S+) (.*)$/.exec(result)!;
  return `seed ${caught}: ${reason}`;
}

/** How a directed test fails, or null when it passes. */
async function runTest(tree: string, { file, name }: DirectedTest): Promise<string | null> {
  const filter = `/^${name.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&")}/`;
  const signal = AbortSignal.timeout(TEST_TIMEOUT_MS);
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      "test",
      "-A",
      "--no-check",
      "--quiet",
      "--no-lock",
      "--filter",
      filter,
      `${tree}/${file}`,
    ],
    cwd: tree,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "null",
    signal,
  }).output();
  const told = new TextDecoder().decode(stdout);
  if (signal.aborted) return `test "${name}" does not end`;
  if (code === 0 && / [1-9]\d* passed /.test(told)) return null;
  if (!/ [1-9]\d* failed/.test(told)) throw new Error(`"${name}" did not run: ${told}`);
  const [, reason = "it fails"] = /(?:^|\n)error: (.*)/.exec(told) ?? [];
  return `test "${name}": ${reason}`;
}

/** One line about a verdict. */
export function lineOf({ mutation, outcome, detail, seconds }: Verdict): string {
  const took = seconds >= 0.1 ? ` (${seconds.toFixed(1)} s)` : "";
  return `${outcome.padEnd(8)} ${mutation.name}: ${detail.slice(0, 160)}${took}`;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seeds: { type: "string", default: `${SEEDS_DEFAULT}` },
      only: { type: "string", default: "" },
    },
  });
  const { only } = values;
  const chosen = MUTATIONS.filter(({ name }) => name.includes(only));
  let told = 0;
  const verdicts = await hunt(chosen, Number(values.seeds), (verdict) => {
    console.log(`${++told}/${chosen.length} ${lineOf(verdict)}`);
  });
  const caught = verdicts.filter(({ outcome }) => outcome === "caught").length;
  console.log(`${caught} of ${chosen.length} bugs were caught`);
  return caught === chosen.length && caught > 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main());

/**
 * `deno task mutate [--seeds N] [--only WORDS]`: puts one deliberate bug after the other into a copy of the
 * sources, and runs the storage's simulation on it until a seed fails.
 *
 * One line per bug: which seed caught it, and as what. Exit code 1 when one survives, or no longer applies.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { ROOT } from "../../scripts/run.ts";
import { type Mutation, MUTATIONS } from "./mutations.ts";

/** Bugs hunted at once. */
const WORKERS = 2;
/** A seed that takes longer does not end, which is a way to be caught (ms). */
const SEED_TIMEOUT_MS = 60_000;
const SEEDS_DEFAULT = 400;
const COPIED = ["src", "tests/sim", "tests/mutate", "deno.json"];

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
): Promise<Verdict[]> {
  const queue = mutations.slice();
  const verdicts: Verdict[] = [];
  const work = async (): Promise<void> => {
    const tree = await copyTree();
    try {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        const verdict = await hunted(tree, next, seeds);
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

async function copyTree(): Promise<string> {
  const tree = await Deno.makeTempDir({ prefix: "gregor-mutate-" });
  await Deno.mkdir(`${tree}/tests`);
  for (const path of COPIED) await copy(`${ROOT}${path}`, `${tree}/${path}`);
  return tree;
}

async function copy(from: string, to: string): Promise<void> {
  if (!(await Deno.stat(from)).isDirectory) return await Deno.copyFile(from, to);
  await Deno.mkdir(to);
  for await (const { name } of Deno.readDir(from)) await copy(`${from}/${name}`, `${to}/${name}`);
}

/** Applies a mutation to a copy of the tree, runs it, and puts the sources back. */
async function hunted(tree: string, mutation: Mutation, seeds: number): Promise<Verdict> {
  const startedMs = performance.now();
  const seconds = (): number => (performance.now() - startedMs) / 1000;
  const originals = new Map<string, string>();
  try {
    for (const { file, find, by } of mutation.edits) {
      const path = `${tree}/src/storage/${file}`;
      const source = await Deno.readTextFile(path);
      if (!originals.has(path)) originals.set(path, source);
      if (source.split(find).length !== 2) {
        return { mutation, outcome: "stale", detail: `not found once in ${file}`, seconds: 0 };
      }
      await Deno.writeTextFile(path, source.replace(find, () => by));
    }
    const first = mutation.seed === undefined ? [] : [`${mutation.seed}`];
    const detail = await runHunter(tree, [...first, `1-${seeds}`]);
    const outcome = detail === null ? "survived" : "caught";
    return { mutation, outcome, detail: detail ?? `${seeds} seeds`, seconds: seconds() };
  } finally {
    for (const [path, source] of originals) await Deno.writeTextFile(path, source);
  }
}

/** The seed that failed and why, or null when none did. */
async function runHunter(tree: string, ranges: readonly string[]): Promise<string | null> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--no-check",
      "--quiet",
      "--no-lock",
      `${tree}/tests/mutate/hunt.ts`,
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
  let timer = setTimeout(giveUp, SEED_TIMEOUT_MS);
  let rest = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      clearTimeout(timer);
      timer = setTimeout(giveUp, SEED_TIMEOUT_MS);
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
  const [, caught, reason] = /^caught (\d+) (.*)$/.exec(result)!;
  return `seed ${caught}: ${reason}`;
}

/** One line about a verdict. */
export function lineOf({ mutation, outcome, detail, seconds }: Verdict): string {
  const took = seconds >= 0.1 ? ` (${seconds.toFixed(1)} s)` : "";
  return `${outcome.padEnd(8)} ${mutation.name}: ${detail.slice(0, 100)}${took}`;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seeds: { type: "string", default: `${SEEDS_DEFAULT}` },
      only: { type: "string", default: "" },
    },
  });
  const chosen = MUTATIONS.filter(({ name }) => name.includes(values.only));
  const verdicts = await hunt(chosen, Number(values.seeds), (verdict) => {
    console.log(lineOf(verdict));
  });
  const caught = verdicts.filter(({ outcome }) => outcome === "caught").length;
  console.log(`${caught} of ${chosen.length} bugs were caught`);
  return caught === chosen.length && caught > 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main());

/**
 * `deno run -A tests/mutate/raft_hunt.ts [--seeds N] [--only WORDS]`: puts one deliberate bug after the other into a
 * copy of the Raft core, and runs its simulation until a seed fails; or the directed test that the bug names.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { ROOT } from "../../scripts/run.ts";
import { RAFT_MUTATIONS, type RaftMutation } from "./raft_mutations.ts";

const SEEDS_DEFAULT = 200;
const COPIED = ["src/raft", "src/base", "src/bytes", "tests/harness", "deno.json"];
const TEST_TIMEOUT_MS = 60_000;

export interface RaftVerdict {
  readonly mutation: RaftMutation;
  readonly outcome: "caught" | "survived" | "stale";
  /** The seed or the test, and how it failed. */
  readonly detail: string;
}

/** Hunts each mutation with the seeds from 1 on. */
export async function huntRaft(
  mutations: readonly RaftMutation[],
  seeds: number,
  report: (verdict: RaftVerdict) => void,
): Promise<RaftVerdict[]> {
  const verdicts: RaftVerdict[] = [];
  for (const mutation of mutations) {
    const tree = await Deno.makeTempDir({ prefix: "gregor-raft-" });
    try {
      const verdict = await hunted(tree, mutation, seeds);
      verdicts.push(verdict);
      report(verdict);
    } finally {
      await Deno.remove(tree, { recursive: true });
    }
  }
  return verdicts;
}

async function hunted(
  tree: string,
  mutation: RaftMutation,
  seeds: number,
): Promise<RaftVerdict> {
  for (const path of COPIED) await copy(`${ROOT}${path}`, `${tree}/${path}`);
  for (const { file, find, by } of mutation.edits) {
    const path = `${tree}/src/raft/${file}`;
    const source = await Deno.readTextFile(path);
    if (source.split(find).length !== 2) {
      return { mutation, outcome: "stale", detail: `not found once in ${file}: ${find}` };
    }
    await Deno.writeTextFile(path, source.replace(find, () => by));
  }
  const { test } = mutation;
  const detail = test === undefined
    ? await caughtBySeeds(tree, mutation.seed, seeds)
    : await caughtByTest(`${tree}/${test.file}`, test.name);
  return detail === null
    ? { mutation, outcome: "survived", detail: test?.name ?? `${seeds} seeds` }
    : { mutation, outcome: "caught", detail };
}

async function copy(from: string, to: string): Promise<void> {
  if ((await Deno.stat(from)).isDirectory) {
    await Deno.mkdir(to, { recursive: true });
    for await (const { name } of Deno.readDir(from)) await copy(`${from}/${name}`, `${to}/${name}`);
  } else await Deno.copyFile(from, to);
}

/** Runs in this process: the copy is another module. */
async function caughtBySeeds(
  tree: string,
  known: number | undefined,
  seeds: number,
): Promise<string | null> {
  const { RaftSimulation } = await import(`file://${tree}/src/raft/test_simulation.ts`);
  const order = Array.from({ length: seeds }, (_, at) => at + 1);
  for (const seed of known === undefined ? order : [known, ...order]) {
    try {
      new RaftSimulation(seed).run();
    } catch (error) {
      return `seed ${seed}: ${(error as Error).message.split("\n")[0]}`;
    }
  }
  return null;
}

async function caughtByTest(path: string, name: string): Promise<string | null> {
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["test", "-A", "--no-check", "--quiet", "--no-lock", "--filter", name, path],
    env: { NO_COLOR: "1" },
    stdin: "null",
    stderr: "null",
    signal: AbortSignal.timeout(TEST_TIMEOUT_MS),
  }).output();
  const said = new TextDecoder().decode(stdout);
  if (code === 0 && / [1-9]\d* passed /.test(said)) return null;
  if (!/ [1-9]\d* failed/.test(said)) throw new Error(`"${name}" did not run: ${said}`);
  const [, reason = "it fails"] = /(?:^|\n)error: (.*)/.exec(said) ?? [];
  return `"${name}": ${reason}`;
}

/** One line about a verdict. */
export function lineOf({ mutation, outcome, detail }: RaftVerdict): string {
  return `${outcome.padEnd(8)} ${mutation.name}: ${detail.slice(0, 140)}`;
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      seeds: { type: "string", default: `${SEEDS_DEFAULT}` },
      only: { type: "string", default: "" },
    },
  });
  const chosen = RAFT_MUTATIONS.filter(({ name }) => name.includes(values.only));
  const verdicts = await huntRaft(chosen, Number(values.seeds), (verdict) => {
    console.log(lineOf(verdict));
  });
  const caught = verdicts.filter(({ outcome }) => outcome === "caught").length;
  console.log(`${caught} of ${chosen.length} bugs were caught`);
  Deno.exit(caught === chosen.length && caught > 0 ? 0 : 1);
}

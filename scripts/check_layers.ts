/**
 * The rules of the source tree that neither the compiler nor the linter knows.
 *
 * - layer: imports point one way, {@linkcode LAYERS}; a folder imports itself and what stands before it.
 * - purity: what decides is deterministic, so that a simulation's seed replays it exactly: no clock, no
 *   randomness, no promise, no runtime in {@linkcode PURE_FOLDERS}.
 * - length: one subject per file, so 600 lines at most.
 * - header: each source file opens by saying why it exists.
 * - todo: a TODO gives its reason, `TODO(reason): …`.
 * - place: no path or registry of the machine it was written on.
 *
 * Prints `file:line: rule: what` per violation.
 *
 * @module
 */

export interface Violation {
  readonly file: string;
  readonly line: number;
  readonly rule: string;
  readonly message: string;
}

/** Folders of src/, lowest first. Folders of one row stand side by side and do not import each other. */
export const LAYERS: readonly (readonly string[])[] = [
  ["base"],
  ["metrics"],
  ["bytes"],
  ["raft"],
  ["wire", "io"],
  ["storage", "rpc"],
  ["replication"],
  ["cluster", "group", "txn"],
  ["kafka"],
  ["shard"],
  ["admin"],
  ["cli"],
];

/** Of src/io, these are interfaces or plain computation: what is pure may import them. */
const PURE_IO = new Set([
  "completion",
  "disk",
  "clock",
  "task",
  "timers",
  "errno",
  "sockets",
  "range_cursor",
  "record_walk",
  "regexes",
  "record_compactor",
]);

const PURE_FOLDERS = new Set([
  "base",
  "metrics",
  "bytes",
  "wire",
  "storage",
  "rpc",
  "raft",
  "replication",
  "cluster",
  "group",
  "txn",
  "kafka",
]);

/** Reaches the runtime's codecs, which are impure in form but deterministic. */
const PURITY_EXEMPT = new Set(["src/bytes/compression.ts"]);

const IMPURE = [
  /\basync\b/,
  /\bawait\b/,
  /\bPromise\b/,
  /\bDate\b/,
  /\bperformance\b/,
  /\bMath\.random\b/,
  /\bcrypto\b/,
  /\b(?:setTimeout|setInterval|setImmediate|queueMicrotask)\b/,
  /\bDeno\b/,
  /\bconsole\b/,
  /["']node:/,
];

const LINES_MAX = 600;

const PLACES = [
  // The folders of a development machine, and the hosts that packages come from.
  /(?<![\w.])\/(?:work|home|root|Users)\/\w/,
  /\bregistry\.[\w-]+\.\w/,
  /\bproxy\.golang\.org\b/,
  /\brepo1?\.maven\.(?:apache\.)?org\b/,
  /\b(?:files\.)?pythonhosted\.org\b/,
  /\bartifactory\b/i,
];

const GENERATED = /(?:^|\/)generated\//;

/** Every violation of one file. `file` is its path from the repository's root, with slashes. */
export function checkFile(file: string, text: string): Violation[] {
  const violations: Violation[] = [];
  const report = (line: number, rule: string, message: string): void => {
    violations.push({ file, line, rule, message });
  };
  const lines = text.split("\n");
  checkPlaces(file, lines, report);
  if (!file.endsWith(".ts") || GENERATED.test(file)) return violations;

  const lineCount = text.endsWith("\n") ? lines.length - 1 : lines.length;
  if (lineCount > LINES_MAX) {
    report(LINES_MAX + 1, "length", `${lineCount} lines, ${LINES_MAX} allowed`);
  }
  lines.forEach((line, index) => {
    const bare = /\b(?:TODO|FIXME|XXX)\b(?!\([^)]+\):)/.exec(line);
    if (bare !== null && !RULES_THEMSELVES.test(file)) {
      report(index + 1, "todo", `${bare[0]} without a reason: write ${bare[0]}(reason): text`);
    }
  });

  if (!file.startsWith("src/")) return violations;
  const isTest = isForTests(file);
  if (!isTest && !text.trimStart().startsWith("/**")) {
    report(1, "header", "no doc comment that says why this file exists");
  }
  const code = withoutComments(text).split("\n");
  checkImports(file, code, report);
  const folder = file.split("/")[1]!;
  if (!isTest && PURE_FOLDERS.has(folder) && !PURITY_EXEMPT.has(file)) {
    checkPurity(code, report);
  }
  return violations;
}

type Report = (line: number, rule: string, message: string) => void;

/** Tests, benchmarks, and what only they import (`test_node.ts`). */
function isForTests(file: string): boolean {
  return /(?:_test|_bench)\.ts$|\/test_[^/]*\.ts$/.test(file);
}

/** This file and its test speak of what they forbid. */
const RULES_THEMSELVES = /^scripts\/check_layers(?:_test)?\.ts$/;

function checkPlaces(file: string, lines: readonly string[], report: Report): void {
  if (RULES_THEMSELVES.test(file)) return;
  lines.forEach((line, index) => {
    for (const place of PLACES) {
      const found = place.exec(line);
      if (found !== null) report(index + 1, "place", `"${found[0]}" belongs to one machine`);
    }
  });
}

function checkImports(file: string, code: readonly string[], report: Report): void {
  const folder = file.split("/")[1]!;
  const ownRow = rowOf(folder);
  if (ownRow < 0) {
    report(1, "layer", `src/${folder} is in no layer`);
    return;
  }
  const isTest = isForTests(file);
  code.forEach((line, index) => {
    for (const match of line.matchAll(/(?:\bfrom|\bimport\s*\(?)\s*["'](\.[^"']+)["']/g)) {
      const target = resolve(file, match[1]!);
      if (!target.startsWith("src/")) {
        if (!isTest) report(index + 1, "layer", `${target} is outside src`);
        continue;
      }
      const targetFolder = target.split("/")[1]!;
      if (targetFolder === folder || isTest) continue;
      if (rowOf(targetFolder) >= ownRow && !isPureIo(target, ownRow)) {
        report(index + 1, "layer", `src/${folder} may not import src/${targetFolder}`);
      } else if (
        targetFolder === "io" && PURE_FOLDERS.has(folder) && !PURE_IO.has(moduleName(target))
      ) {
        report(index + 1, "layer", `src/${folder} may import only interfaces of src/io`);
      }
    }
  });
}

/** The seam's interfaces stand beside wire, and wire's generated tables need none of them. */
function isPureIo(target: string, ownRow: number): boolean {
  return target.startsWith("src/io/") && ownRow >= rowOf("io") && PURE_IO.has(moduleName(target));
}

function rowOf(folder: string): number {
  return LAYERS.findIndex((row) => row.includes(folder));
}

function moduleName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1).replace(/\.ts$/, "");
}

function resolve(file: string, specifier: string): string {
  return new URL(specifier, `file:///${file}`).pathname.slice(1);
}

function checkPurity(code: readonly string[], report: Report): void {
  code.forEach((line, index) => {
    const words = /\bfrom\s+["']|^\s*import\b/.test(line) ? line : withoutStrings(line);
    for (const impure of IMPURE) {
      const found = impure.exec(words);
      if (found !== null) report(index + 1, "purity", `${found[0]} in what decides`);
    }
  });
}

/** Blanks quoted text of one line; template literals stay, they may hold code. */
function withoutStrings(line: string): string {
  return line.replace(/"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/g, '""');
}

/** The same lines with comments blanked; comment marks inside quotes do not count. */
export function withoutComments(text: string): string {
  return text.replace(
    /"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`|\/\*[^]*?\*\/|\/\/[^\n]*/g,
    (found) => found.startsWith("/") ? found.replace(/[^\n]/g, " ") : found,
  );
}

/** Text files of the repository: tracked ones and new ones that are not ignored. */
export function repositoryFiles(root: string): string[] {
  const git = new Deno.Command("git", {
    args: ["ls-files", "--cached", "--others", "--exclude-standard", "-z"],
    cwd: root,
    stdin: "null",
  }).outputSync();
  if (!git.success) throw new Error(`Cannot list files: ${new TextDecoder().decode(git.stderr)}`);
  return new TextDecoder().decode(git.stdout).split("\0").filter((file) => TEXT.test(file));
}

const TEXT =
  /(?:\.(?:ts|js|mjs|json|jsonc|md|rs|toml|lock|go|mod|sum|java|xml|py|txt|sh|ya?ml)|\.ci\/run)$/;

/** Checks every file below `root`; a file deleted since it was listed is passed over. */
export function checkRepository(root: string): Violation[] {
  const violations: Violation[] = [];
  for (const file of repositoryFiles(root)) {
    let text: string;
    try {
      text = Deno.readTextFileSync(`${root}/${file}`);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) continue;
      throw error;
    }
    violations.push(...checkFile(file, text));
  }
  return violations;
}

if (import.meta.main) {
  const violations = checkRepository(new URL("..", import.meta.url).pathname);
  for (const { file, line, rule, message } of violations) {
    console.error(`${file}:${line}: ${rule}: ${message}`);
  }
  if (violations.length > 0) Deno.exit(1);
}

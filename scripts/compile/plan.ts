/**
 * What a build makes, and of what.
 *
 * @module
 */

/** A build with an empty cache takes a few minutes on two cores. */
export const COMMAND_TIMEOUT_MS = 15 * 60_000;

/** Larger files are refused, whichever way they were made (bytes). */
export const SIZE_MAX = 60 * 10 ** 6;

export interface BuildPlan {
  /** For what is made on the way, with a slash at its end. */
  readonly folder: string;
  readonly output: string;
  readonly commit: string;
  /** Of `deno run`: permissions, V8 flags. */
  readonly runtimeFlags: readonly string[];
}

/** Writes an entry that says what the build is before it does what `lines` say; paths are from `plan.folder`. */
export function writeEntry(plan: BuildPlan, name: string, way: string, lines: string): string {
  const facts = `${plan.folder}${name}_facts.ts`;
  const entry = `${plan.folder}${name}.ts`;
  const build = JSON.stringify({ commit: plan.commit, packedBy: way });
  Deno.writeTextFileSync(facts, `globalThis.gregorBuild = ${build} as never;\nexport {};\n`);
  Deno.writeTextFileSync(entry, `import "./${name}_facts.ts";\n${lines}\n`);
  return entry;
}

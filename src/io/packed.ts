/**
 * How this program was built, and where its other parts are when it is one file.
 *
 * From source, neither is there: scripts and the shim are found beside this file. A build says what it was made of
 * (`gregorBuild`, written by `scripts/compile.ts`). The launcher of the one file unpacks into memory, and says
 * where (`gregorPacked`, by `ffi/launcher`).
 *
 * @module
 */

/** What a build was made of. */
export interface Build {
  /** The commit's hash, with "+" if files differed from it. */
  readonly commit: string;
  /** Which way it was packed. */
  readonly packedBy: "launcher" | "deno compile";
}

/** Files in memory. */
export interface Packed {
  /** A path. */
  readonly shim: string;
  /** URL of the script of a shard's thread. */
  readonly worker: string;
}

declare global {
  var gregorBuild: Build | undefined;
  var gregorPacked: Packed | undefined;
}

/** Null: it runs from source. */
export function build(): Build | null {
  return globalThis.gregorBuild ?? null;
}

/** Null: the other parts are beside the sources. */
export function packed(): Packed | null {
  return globalThis.gregorPacked ?? null;
}

/**
 * `gregor version`: what this program was made of, and what the kernel offers it; for reports of defects.
 *
 * @module
 */

import { uringProblem } from "../io/host.ts";
import { inMebibytes } from "../io/host_problem.ts";
import { build } from "../io/packed.ts";
import { loadShim, type Shim, ShimUnavailable } from "../io/shim.ts";
import { FORMAT_FLAG, printJson } from "./client_flags.ts";
import { command } from "./command.ts";
import { EXIT_OK } from "./exit_codes.ts";
import { formatFields } from "./table.ts";
import { VERSION } from "./version.ts";

/** By what the shim says; where there is no /sys, it cannot tell. */
const HUGE_PAGES = ["never, or unknown", "where asked for", "always"] as const;
/** Where the kernel says which release it is. */
const KERNEL_RELEASE = "/proc/sys/kernel/osrelease";

export const definition = command({
  name: "version",
  about: "Shows the version, the commit that it was built from, the runtime within, and what the " +
    "kernel offers: io_uring, memory that may be locked, huge pages. `gregor --version` prints the " +
    "version alone.",
  positionals: [],
  flags: FORMAT_FLAG,
  examples: [{ line: "version --format json", says: "For scripts:" }],
  run: ({ values, terminal }) => {
    const report = versionReport();
    if (values.format === "json") printJson(terminal, report);
    else {
      terminal.out(`gregor ${report.version}\n`);
      terminal.out(formatFields([
        ["commit", report.commit],
        ["built", report.built],
        ["deno", report.deno],
        ["v8", report.v8],
        ["kernel", report.kernel],
        ["io_uring", report.ioUring],
        ["locked memory", report.lockedMemory],
        ["huge pages", report.hugePages],
      ]));
    }
    return Promise.resolve(EXIT_OK);
  },
});

interface VersionReport {
  readonly version: string;
  readonly commit: string;
  readonly built: string;
  readonly deno: string;
  readonly v8: string;
  readonly kernel: string;
  readonly ioUring: string;
  readonly lockedMemory: string;
  readonly hugePages: string;
}

function versionReport(): VersionReport {
  const { commit, packedBy } = build() ?? { commit: sourceCommit(), packedBy: null };
  return {
    version: VERSION,
    commit,
    built: packedBy === null ? "no, runs from source" : `one file, by ${packedBy}`,
    deno: Deno.version.deno,
    v8: Deno.version.v8,
    kernel: `Linux ${kernelRelease()} ${Deno.build.arch}`,
    ...offered(),
  };
}

/** What the kernel offers, as the shim finds it. */
function offered(): Pick<VersionReport, "ioUring" | "lockedMemory" | "hugePages"> {
  let shim: Shim;
  try {
    shim = loadShim();
  } catch (error) {
    if (!(error instanceof ShimUnavailable)) throw error;
    return { ioUring: `unknown: ${error.message}`, lockedMemory: "unknown", hugePages: "unknown" };
  }
  const lockable = shim.gregor_lockable_bytes();
  return {
    ioUring: uringProblem(shim)?.message ?? "usable",
    lockedMemory: Number.isFinite(lockable) ? `at most ${inMebibytes(lockable)}` : "no limit",
    hugePages: HUGE_PAGES[shim.gregor_huge_pages()] ?? HUGE_PAGES[0],
  };
}

function kernelRelease(): string {
  try {
    return Deno.readTextFileSync(KERNEL_RELEASE).trim();
  } catch (error) {
    return error instanceof Error ? `(${error.message})` : "unknown";
  }
}

/** The checkout's commit; a checkout without git, or a host without it, has none. */
function sourceCommit(): string {
  try {
    const { success, stdout } = new Deno.Command("git", {
      args: ["rev-parse", "HEAD"],
      cwd: new URL("../../", import.meta.url),
      stdin: "null",
      stderr: "null",
    }).outputSync();
    return success ? new TextDecoder().decode(stdout).trim() : "unknown";
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "unknown";
    throw error;
  }
}
